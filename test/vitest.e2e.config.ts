import { fileURLToPath } from 'node:url';
import type { ViteUserConfig } from 'vitest/config';

/** The page in headless Chromium, driven by playwright from Node. */
const config: ViteUserConfig = {
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/e2e/**/*.test.ts'],
    testTimeout: 600_000,
    hookTimeout: 120_000,
    // A guest on a shared machine takes its time to say something.
    expect: { poll: { timeout: 30_000, interval: 250 } },
    fileParallelism: false,
    maxWorkers: 1,
  },
};

export default config;
