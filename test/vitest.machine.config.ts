import { fileURLToPath } from 'node:url';
import type { ViteUserConfig } from 'vitest/config';

/** Whole machines in Node: one at a time, because each keeps a core busy and a boot is judged by the clock. */
const config: ViteUserConfig = {
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/machine/**/*.test.ts'],
    testTimeout: 600_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    maxWorkers: 1,
  },
};

export default config;
