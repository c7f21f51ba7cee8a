/** General registers that instructions use without naming them. */
import { GPR } from '../state/layout.ts';
import type { I32, Word } from '../wasm/expr.ts';
import type { Ops, Width, Width32 } from './ops.ts';

/** Register `n` of up to 32 bits, as `Ops.register`. */
export const getReg = (e: Ops, bits: Width32, n: number): I32 => e.register(bits, n) as I32;

/** AL, AX, EAX or RAX. */
export const getAccumulator = (e: Ops, bits: Width): Word => e.register(bits, GPR.eax);
export const setAccumulator = (e: Ops, bits: Width, value: Word): void => e.setRegister(bits, GPR.eax, value);

export const AH = 4;
