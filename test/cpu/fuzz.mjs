// Long runs of the host oracle: `npm run fuzz:cpu -- [cases] [seed] [mnemonic]`, 10 million cases by default.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [cases = '10000000', seed, only] = process.argv.slice(2);
const env = { ...process.env };
env.TABBOX_ORACLE_CASES ??= cases;
if (seed !== undefined) env.TABBOX_ORACLE_SEED = seed;
if (only !== undefined) env.TABBOX_ORACLE_ONLY = only;
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const arguments_ = [
  path('../../node_modules/vitest/vitest.mjs'),
  ...['run', '--config', path('../vitest.config.ts'), 'test/cpu/host-oracle.test.ts'],
];
const { status } = spawnSync(process.execPath, arguments_, { stdio: 'inherit', env, cwd: path('../..') });
process.exit(status ?? 1);
