#!/usr/bin/env node
// npm run build: builds dist/page and dist/node whether or not they are stale.

import { ensureBuild, ensureDependencies, ensureNode } from './prepare.mjs';

ensureNode();
ensureDependencies();
ensureBuild(['page', 'node'], true);
