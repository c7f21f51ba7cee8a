// What visitors of a link need, fetched beside the script that finds out that they came by one.

import type { Plugin } from 'vite';

/**
 * Everybody gets it: that is 30 KB more for those who run machines here, who need most of the rest anyway, and no script
 * inside the page, which a server's content security policy might forbid.
 * @param module end of the name of a source that is imported when it is needed
 */
export function preloadModule(module: string): Plugin {
  return {
    name: 'tabbox-preload',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler(_, { bundle }) {
        const chunks = Object.values(bundle ?? {}).filter((one) => one.type === 'chunk');
        const wanted = chunks.find(({ facadeModuleId }) => facadeModuleId?.endsWith(module));
        if (!wanted) throw new Error(`the build has no chunk of ${module}`);
        const entries = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName));
        return [wanted.fileName, ...wanted.imports.filter((name) => !entries.has(name))].map((name) => ({
          tag: 'link',
          attrs: { rel: 'modulepreload', crossorigin: true, href: `./${name}` },
          injectTo: 'head',
        }));
      },
    },
  };
}
