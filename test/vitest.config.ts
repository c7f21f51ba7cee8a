import { fileURLToPath } from 'node:url';
import type { ViteUserConfig } from 'vitest/config';

/** Tests beside the code and those that need no guest and no browser. */
const config: ViteUserConfig = {
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['src/**/*.test.ts', 'server/**/*.test.ts', 'test/unit/**/*.test.ts', 'test/cpu/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A second is little where two cores are shared.
    expect: { poll: { timeout: 15_000 } },
    maxWorkers: 2,
  },
};

export default config;
