/** What this browser, or the server of this page, lacks for a machine to run. */
import type { Problem } from './problems.ts';

const BROWSERS = 'Chrome or Edge 92, Firefox 95 or Safari 16.4, or later';

export interface Environment {
  readonly crossOriginIsolated: boolean;
  readonly isSecureContext: boolean;
  readonly hasSharedArrayBuffer: boolean;
  readonly hasWebAssembly: boolean;
  readonly hasIndexedDb: boolean;
}

export function thisEnvironment(): Environment {
  return {
    crossOriginIsolated: globalThis.crossOriginIsolated === true,
    isSecureContext: globalThis.isSecureContext,
    hasSharedArrayBuffer: typeof SharedArrayBuffer === 'function',
    hasWebAssembly: typeof WebAssembly === 'object',
    hasIndexedDb: typeof indexedDB !== 'undefined',
  };
}

/** @returns undefined when machines can run */
export function missingFrom(environment: Environment): Problem | undefined {
  const action = { label: 'Reload the page', remedy: 'reload' } as const;
  if (!environment.hasWebAssembly || !environment.hasIndexedDb) {
    const what = environment.hasWebAssembly ? 'IndexedDB' : 'WebAssembly';
    return {
      code: 'old-browser',
      title: `This browser has no ${what}`,
      why: `TabBox runs machines with WebAssembly and keeps them in IndexedDB. Private windows and some settings turn them off.`,
      stillWorks: `It works in ${BROWSERS}.`,
      action,
    };
  }
  if (!environment.isSecureContext) {
    return {
      code: 'insecure',
      title: 'Machines need https or localhost',
      why: 'Browsers share memory between threads, which a machine needs, only on pages that came over https or from this computer.',
      stillWorks:
        'Open the page by its https address, or as http://localhost. Machines kept in this browser are untouched.',
      action,
    };
  }
  if (!environment.crossOriginIsolated || !environment.hasSharedArrayBuffer) {
    return {
      code: 'not-isolated',
      title: 'This page is not cross-origin isolated',
      why: 'Without isolation the browser gives no SharedArrayBuffer, the memory a machine and its screen share. The web server must send two headers with the page: “Cross-Origin-Opener-Policy: same-origin” and “Cross-Origin-Embedder-Policy: require-corp”.',
      stillWorks: `“npm start” serves the page with these headers, and it runs in ${BROWSERS}. Machines kept in this browser are untouched.`,
      action,
    };
  }
  return undefined;
}
