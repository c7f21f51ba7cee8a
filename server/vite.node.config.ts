import { fileURLToPath } from 'node:url';
import type { UserConfig } from 'vite';
import { builtInterpreters } from './vite.interpreters.ts';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const interpreters = await builtInterpreters('');

/** What runs in Node: the command line, its machine worker and the HTTP server, with their packages inside, in dist/node. */
const config: UserConfig = {
  root: at('..'),
  define: interpreters.define,
  plugins: [interpreters.plugin],
  publicDir: false,
  ssr: { noExternal: true },
  build: {
    ssr: true,
    outDir: 'dist/node',
    emptyOutDir: true,
    target: 'node20',
    sourcemap: true,
    minify: false,
    rolldownOptions: {
      input: {
        main: at('cli/main.ts'),
        'machine-worker': at('cli/machine-worker.ts'),
        'region-worker': at('cli/region-worker.ts'),
        serve: at('cli/serve.ts'),
      },
      // All in one folder: files that sources find beside themselves are then found from chunks as well.
      output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
    },
  },
};

export default config;
