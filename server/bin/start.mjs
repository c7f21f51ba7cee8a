#!/usr/bin/env node
// npm start: from a fresh clone to an address to open. Installs, builds and prepares what is missing, then serves.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureBuild, ensureDependencies, ensureGuests, ensureNode, fail, guestsDirectory, ROOT } from './prepare.mjs';

const FIRST_PORT = 8086;
const PORTS_TRIED = 100;
const USAGE = `usage: npm start -- [--port N] [--host ADDRESS]
  --port N        port to listen on (default: ${FIRST_PORT}, or the next free one)
  --host ADDRESS  address to listen on (default: 127.0.0.1, this computer only)
`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: 'string' },
        host: { type: 'string', default: '127.0.0.1' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.port !== undefined && !(/^\d+$/.test(values.port) && Number(values.port) <= 65535)) {
      throw new Error(`--port takes a number from 0 to 65535, not '${values.port}'`);
    }
    return values;
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

ensureNode();
const { port, host, help } = options();
if (help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
ensureDependencies();
ensureGuests(['firmware', 'default']);
ensureBuild(['page', 'node']);

const { startServer } = await import(pathToFileURL(join(ROOT, 'dist', 'node', 'serve.js')).href);
const ports = port === undefined ? Array.from({ length: PORTS_TRIED }, (_, i) => FIRST_PORT + i) : [Number(port)];
const server = await startServer({
  pageDirectory: join(ROOT, 'dist', 'page'),
  guestsDirectory: guestsDirectory(),
  host,
  ports,
}).catch((error) => fail(error.message));

process.stdout.write(`TabBox is at ${server.url} (Ctrl-C ends it)\n`);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close().then(() => process.exit(0)));
