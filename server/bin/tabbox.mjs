#!/usr/bin/env node
// The command `tabbox`: makes sure that it is built from the present sources, then hands over to server/cli/main.ts.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuild, ensureDependencies, ensureNode, ROOT } from './prepare.mjs';

ensureNode();
ensureDependencies();
ensureBuild(process.argv[2] === 'serve' ? ['page', 'node'] : ['node']);
await import(pathToFileURL(join(ROOT, 'dist', 'node', 'main.js')).href);
