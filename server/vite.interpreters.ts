// The CPU's interpreters as files of a build: a machine that makes them itself starts a second later.

import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { type Plugin, runnerImport } from 'vite';

type ImageModule = typeof import('../src/emu/cpu/interpreter/image.ts');

const KINDS = { narrow: false, wide: true } as const;

export interface BuiltInterpreters {
  /** Tells sources the files' names, which change with their contents. */
  readonly define: Readonly<Record<string, string>>;
  readonly plugin: Plugin;
}

/** @param folder of the build's output in which the program looks for them, '' or with a slash at its end */
export async function builtInterpreters(folder: string): Promise<BuiltInterpreters> {
  const source = fileURLToPath(new URL('../src/emu/cpu/interpreter/image.ts', import.meta.url));
  const { module } = await runnerImport<ImageModule>(source, { configFile: false });
  const files = Object.entries(KINDS).map(([kind, long]) => {
    const bytes = module.interpreterBytes(long);
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
    return { kind, name: `interpreter-${kind}-${hash}.wasm`, bytes };
  });
  return {
    define: { INTERPRETER_FILES: JSON.stringify(Object.fromEntries(files.map(({ kind, name }) => [kind, name]))) },
    plugin: {
      name: 'tabbox-interpreters',
      generateBundle() {
        for (const { name, bytes } of files)
          this.emitFile({ type: 'asset', fileName: `${folder}${name}`, source: bytes });
      },
    },
  };
}
