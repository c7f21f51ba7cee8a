// Long attacks on the RDP gateway: `npm run fuzz:rdp -- [seconds] [--seed N]`, ten minutes by default. Two at once: clients
// without sockets, as many as can be, and strangers with them.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ options: { seed: { type: 'string' } }, allowPositionals: true });
const [seconds = '600'] = positionals;
const env = { ...process.env, TABBOX_RDP_FUZZ_SECONDS: seconds };
if (values.seed !== undefined) env.TABBOX_RDP_FUZZ_SEED = values.seed;
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const vitest = path('../node_modules/vitest/vitest.mjs');
const files = ['server/rdp/hostile-clients.test.ts', 'server/rdp/hostile-strangers.test.ts'];
const arguments_ = ['run', '--config', path('vitest.config.ts'), ...files];
const { status } = spawnSync(process.execPath, [vitest, ...arguments_], { stdio: 'inherit', env, cwd: path('..') });
process.exit(status ?? 1);
