/** All floating-point kernels, defined into the interpreter's module. */
import type { Callee } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { defineCommit, defineNan } from './extended.ts';
import { defineFusedArithmetic } from './fused.ts';
import { defineHalfConversions } from './half.ts';
import { KernelSet } from './kernel-set.ts';
import { defineRound80, defineRoundNarrow, FORMATS } from './round.ts';
import { defineSseArithmetic } from './sse-arith.ts';
import { defineSseConversions } from './sse-convert.ts';
import { defineWideDivide } from './wide-divide.ts';
import { defineX87Arithmetic } from './x87-arith.ts';
import { defineX87Conversions } from './x87-convert.ts';
import { defineX87More } from './x87-more.ts';
import { defineX87Stack } from './x87-stack.ts';

/** Semantics get them by name through `Ops.kernel`. Every kernel that needs the state block takes its address first. */
export function defineFloatKernels(module: ModuleBuilder): Record<string, Callee> {
  const set = new KernelSet(module);
  defineRound80(set);
  for (const format of FORMATS) defineRoundNarrow(set, format);
  defineCommit(set);
  defineNan(set);
  defineX87Arithmetic(set);
  defineX87Conversions(set);
  defineX87More(set);
  defineX87Stack(set);
  defineSseArithmetic(set);
  defineSseConversions(set);
  defineFusedArithmetic(set);
  defineHalfConversions(set);
  defineWideDivide(set);
  return set.table;
}
