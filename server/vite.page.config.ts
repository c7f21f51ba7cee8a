import { fileURLToPath } from 'node:url';
import type { UserConfig } from 'vite';
import { builtInterpreters } from './vite.interpreters.ts';
import { preloadModule } from './vite.preload.ts';

const interpreters = await builtInterpreters('assets/');

/** The page: index.html and its workers, as static files in dist/page. */
const config: UserConfig = {
  root: fileURLToPath(new URL('..', import.meta.url)),
  // Relative addresses let the built page live under any path of a static host.
  base: './',
  define: interpreters.define,
  plugins: [interpreters.plugin, preloadModule('/ui/viewer-page.tsx')],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  build: {
    outDir: 'dist/page',
    emptyOutDir: true,
    target: 'es2023',
    sourcemap: true,
    // Inlined assets would be data: addresses, which workers and audio worklets cannot be loaded from everywhere.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2048,
  },
};

export default config;
