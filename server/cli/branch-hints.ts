/**
 * Makes V8 heed the branch hints of modules: what they call unlikely goes to the end of a function, and registers are not
 * kept on the stack for its sake. Browsers do so by default; V8 before 14 asks for an option.
 * Source: WebAssembly branch-hinting proposal, section metadata.code.branch_hint.
 */
import { setFlagsFromString } from 'node:v8';

const FIRST_WITHOUT_OPTION = 14;

/** For all threads; before anything is compiled. */
export function heedBranchHints(): void {
  if (Number.parseInt(process.versions.v8, 10) >= FIRST_WITHOUT_OPTION) return;
  setFlagsFromString('--experimental-wasm-branch-hinting');
}
