/** What vector instructions do that is too long to be written out in every case, as functions of the interpreter's module. */
import { KernelSet } from '../float/kernel-set.ts';
import type { Callee } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { defineAes } from './aes.ts';
import { defineCarryless } from './carryless.ts';
import { defineStringCompare } from './string-compare.ts';

/** Semantics get them by name through `Ops.kernel`. All take the address of the state block first. */
export function defineSimdKernels(module: ModuleBuilder): Record<string, Callee> {
  const set = new KernelSet(module);
  defineAes(set);
  defineCarryless(set);
  defineStringCompare(set);
  return set.table;
}
