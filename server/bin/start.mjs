#!/usr/bin/env node
// npm start: from a fresh clone to an address to open. Installs, builds and prepares what is missing, then serves.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuild, ensureDependencies, ensureGuests, ensureNode, fail, guestsDirectory, ROOT } from './prepare.mjs';
import { parseServeOptions, serveUsage } from './serve-options.mjs';

const USAGE = serveUsage('npm start --');

function options() {
  try {
    return parseServeOptions(process.argv.slice(2));
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

ensureNode();
const given = options();
if (given.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
ensureDependencies();
ensureGuests(['firmware', 'default']);
ensureBuild(['page', 'node']);

const { serveUntilSignal } = await import(pathToFileURL(join(ROOT, 'dist', 'node', 'serve.js')).href);
const directories = { pageDirectory: join(ROOT, 'dist', 'page'), guestsDirectory: guestsDirectory() };
process.exitCode = await serveUntilSignal(given, directories).catch((error) => fail(error.message));
