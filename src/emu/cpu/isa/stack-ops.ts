/** The stack as PUSH and POP see it: SS and ESP or SP by the case's `stack32`. Source: SDM Vol. 1, 6.2. */
import { GPR, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';

export type StackWidth = 16 | 32;

const ESP = STATE.gpr + GPR.esp * 8;
const SS_BASE = STATE.segments + SEG.ss * SEGMENT.bytes + SEGMENT.base;

/** Operand size of a stack instruction. */
export const stackBits = (e: Ops): StackWidth => (e.size === 32 ? 32 : 16);

/** Cuts a stack offset to the width of the stack pointer. */
export const stackOffset = (e: Ops, offset: I32): I32 => (e.stack32 ? offset : i32.and(offset, k32(0xffff)));

/** Linear address of an offset in the stack segment, which is cut to the width of the stack pointer first. */
export const stackLinear = (e: Ops, offset: I32): I32 => i32.add(e.get(SS_BASE), stackOffset(e, offset));

/** All of ESP, evaluated. */
export const stackPointer = (e: Ops): I32 => e.f.let(e.get(ESP));

/** Sets ESP, or SP alone on a 16-bit stack. */
export function setStackPointer(e: Ops, value: I32): void {
  if (e.stack32) {
    e.set(ESP, value);
    return;
  }
  const low = e.f.let(i32.and(value, k32(0xffff)));
  e.set(ESP, i32.or(i32.and(e.get(ESP), k32(~0xffff)), low));
}

/** The value `bytes` above the top of the stack; does not pop. May fault. */
export const readStack = (e: Ops, bits: StackWidth, bytes = 0): I32 =>
  e.load(bits, e.f.let(stackLinear(e, bytes === 0 ? e.get(ESP) : i32.add(e.get(ESP), k32(bytes)))));

/** Moves the stack pointer up by `bytes`. */
export const release = (e: Ops, bytes: I32): void => setStackPointer(e, i32.add(e.get(ESP), bytes));

/** Stores below the stack, then moves the stack pointer: a fault leaves everything as it was. */
export function push(e: Ops, bits: StackWidth, value: I32): void {
  const next = e.f.let(i32.sub(e.get(ESP), k32(bits / 8)));
  e.store(bits, e.f.let(stackLinear(e, next)), value);
  setStackPointer(e, next);
}

/** Loads, then moves the stack pointer. */
export function pop(e: Ops, bits: StackWidth): I32 {
  const value = e.f.let(readStack(e, bits));
  release(e, k32(bits / 8));
  return value;
}
