// The CPU's interpreters as the build has made them, beside the program; see `interpreterBytes`.

import { readFileSync } from 'node:fs';
import { compileModule } from '#emu/cpu/wasm/host.ts';

/** Names in the folder of the program, set by the build (vite.interpreters.ts); there are none without a build. */
declare const INTERPRETER_FILES: { readonly narrow: string; readonly wide: string };

/**
 * @param long of 64-bit code, else of all other modes
 * @returns compiled, or undefined when it has to be made
 */
export function preparedInterpreter(long: boolean): unknown {
  if (typeof INTERPRETER_FILES === 'undefined') return undefined;
  const file = new URL(long ? INTERPRETER_FILES.wide : INTERPRETER_FILES.narrow, import.meta.url);
  try {
    return compileModule(new Uint8Array(readFileSync(file)));
  } catch {
    // It saves a second; a program without it works as well.
    return undefined;
  }
}
