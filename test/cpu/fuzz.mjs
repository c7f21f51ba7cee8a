// Long runs of the host oracle: `npm run fuzz:cpu -- [cases] [--long] [--seed N] [--only MNEMONIC]`, 10 million cases by
// default; 64-bit code with --long, else 16- and 32-bit code.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const text = { type: 'string' };
const { values, positionals } = parseArgs({
  options: { long: { type: 'boolean' }, seed: text, only: text },
  allowPositionals: true,
});
const [cases = '10000000'] = positionals;
const env = { ...process.env };
env.TABBOX_ORACLE_CASES ??= values.long ? '0' : cases;
env.TABBOX_ORACLE_CASES64 ??= values.long ? cases : '0';
if (values.seed !== undefined) env.TABBOX_ORACLE_SEED = values.seed;
env.TABBOX_ORACLE_SEED ??= String(Math.floor(Math.random() * 2 ** 31));
if (values.only !== undefined) env.TABBOX_ORACLE_ONLY = values.only;
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const arguments_ = [
  path('../../node_modules/vitest/vitest.mjs'),
  ...['run', '--config', path('../vitest.config.ts'), 'test/cpu/host-oracle.test.ts'],
];
const { status } = spawnSync(process.execPath, arguments_, { stdio: 'inherit', env, cwd: path('../..') });
process.exit(status ?? 1);
