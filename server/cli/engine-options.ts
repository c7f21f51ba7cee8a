// What V8 has to be told before anything is compiled; browsers have no need of it.

import { setFlagsFromString } from 'node:v8';

const VERSION = Number.parseInt(process.versions.v8, 10);

/** For all threads; before anything is compiled. */
export function setEngineOptions(): void {
  // What branch hints of modules call unlikely goes to the end of a function, and registers are not kept on the stack for
  // its sake (WebAssembly branch-hinting proposal, section metadata.code.branch_hint). From 14 on there is no option.
  if (VERSION < 14) setFlagsFromString('--experimental-wasm-branch-hinting');
  // Functions with very many values went to a register allocator that keeps nothing in registers from one basic block to
  // the next: the interpreter's main function, which is a sixth faster with the usual one.
  if (VERSION < 12) setFlagsFromString('--no-turbo-use-mid-tier-regalloc-for-huge-functions');
  // Bytes of byte code that a function runs until it is looked at for the optimising compiler, ten times the usual: without the
  // tiers between that later versions have, 800 functions of ours were optimised during a boot, which took a third of what
  // V8 compiled.
  if (VERSION < 12) setFlagsFromString('--interrupt-budget=660000');
}

/**
 * For threads of a machine. Young objects would take 32 MB in each of them, which resident memory pays; with a third of that
 * they are looked through more often, which takes no time that could be measured.
 */
export const WORKER_LIMITS = { maxYoungGenerationSizeMb: 12 } as const;
