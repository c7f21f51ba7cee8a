/** General registers that instructions use without naming them. */
import { GPR, STATE } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { zeroExtend } from './flag-ops.ts';
import type { Ops, Width32 } from './ops.ts';

const fieldOf = (n: number): number => STATE.gpr + n * 8;

/** Register `n` by its encoding: for 8 bits 4..7 are AH CH DH BH. Zero-extended, evaluated. */
export const getReg = (e: Ops, bits: Width32, n: number): I32 => {
  if (bits === 8 && n >= 4) return e.f.let(i32.and(i32.shrU(e.get(fieldOf(n - 4)), k32(8)), k32(0xff)));
  return e.f.let(zeroExtend(bits, e.get(fieldOf(n))));
};

/** Writes the low bits of `value`; the rest of a wider register stays. */
export function setReg(e: Ops, bits: Width32, n: number, value: I32): void {
  if (bits === 32) {
    e.set(fieldOf(n), value);
    return;
  }
  const high = bits === 8 && n >= 4;
  const field = fieldOf(high ? n - 4 : n);
  const mask = bits === 16 ? 0xffff : high ? 0xff00 : 0xff;
  const v = e.f.let(high ? i32.shl(value, k32(8)) : value);
  e.set(field, i32.or(i32.and(e.get(field), k32(~mask)), i32.and(v, k32(mask))));
}

/** AL, AX or EAX. */
export const getAccumulator = (e: Ops, bits: Width32): I32 => getReg(e, bits, GPR.eax);
export const setAccumulator = (e: Ops, bits: Width32, value: I32): void => setReg(e, bits, GPR.eax, value);

export const AH = 4;
