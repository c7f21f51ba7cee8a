/** The stack as PUSH and POP see it: SS and RSP, ESP or SP by the case's `stackSize`. Source: SDM Vol. 1, 6.2. */
import { GPR, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { type Word, word } from '../wasm/expr.ts';
import { zeroExtend } from './flag-ops.ts';
import type { Address, Ops } from './ops.ts';

export type StackWidth = 16 | 32 | 64;

const SS_BASE = STATE.segments + SEG.ss * SEGMENT.bytes + SEGMENT.base;

/** Operand size of a stack instruction. */
export const stackBits = (e: Ops): StackWidth => (e.size === 8 ? 32 : e.size);

/** Cuts a stack offset to the width of the stack pointer. */
export const stackOffset = (e: Ops, offset: Address): Address => zeroExtend(e.stackSize, offset);

/** Linear address of an offset in the stack segment, which is cut to the width of the stack pointer first. */
export const stackLinear = (e: Ops, offset: Address): Address =>
  e.long ? offset : word.add(e.get(SS_BASE), stackOffset(e, offset));

/** All of ESP (RSP in 64-bit code), evaluated. */
export const stackPointer = (e: Ops): Address => e.register(e.long ? 64 : 32, GPR.esp);

/** Sets the stack pointer, or SP alone on a 16-bit stack. */
export const setStackPointer = (e: Ops, value: Address): void => e.setRegister(e.stackSize, GPR.esp, value);

/** The value `bytes` above the top of the stack; does not pop. May fault. */
export const readStack = (e: Ops, bits: StackWidth, bytes = 0): Word =>
  e.loadWord(bits, e.f.let(stackLinear(e, bytes === 0 ? stackPointer(e) : word.add(stackPointer(e), bytes))), true);

/** Moves the stack pointer up by `bytes`. */
export const release = (e: Ops, bytes: Address | number): void => setStackPointer(e, word.add(stackPointer(e), bytes));

/** Stores below the stack, then moves the stack pointer: a fault leaves everything as it was. */
export function push(e: Ops, bits: StackWidth, value: Word): void {
  const next = e.f.let(word.sub(stackPointer(e), bits / 8));
  e.store(bits, e.f.let(stackLinear(e, next)), value, true);
  setStackPointer(e, next);
}

/** Loads, then moves the stack pointer. */
export function pop(e: Ops, bits: StackWidth): Word {
  const value = e.f.let(readStack(e, bits));
  release(e, bits / 8);
  return value;
}
