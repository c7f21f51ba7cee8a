import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));

export default defineConfig({
  root,
  test: {
    include: ['src/**/*.test.ts', 'server/**/*.test.ts', 'test/unit/**/*.test.ts', 'test/cpu/**/*.test.ts'],
    testTimeout: 60_000,
    maxWorkers: 2,
  },
});
