/**
 * What an instruction's semantics may do. Tier 0 and, later, tier 1 implement it; an instruction is written once.
 *
 * Rules that keep faults precise: do every access that may fault (reads, `modify`, `probe`) before the first register,
 * flag or memory change. `write` of a memory operand may fault too, so it comes before register changes.
 * Values returned are already evaluated: they do not change when a register is written later.
 */

import type { SystemCall } from '../system/calls.ts';
import type { I32, I64, V128 } from '../wasm/expr.ts';
import type { Callee, FunctionBuilder } from '../wasm/function.ts';

/** Exceptions by vector (SDM Vol. 3A, table 6-1). */
export const EXCEPTION = {
  de: 0,
  db: 1,
  nmi: 2,
  bp: 3,
  of: 4,
  br: 5,
  ud: 6,
  nm: 7,
  df: 8,
  ts: 10,
  np: 11,
  ss: 12,
  gp: 13,
  pf: 14,
  mf: 16,
  ac: 17,
  mc: 18,
  xm: 19,
} as const;

export type Width32 = 8 | 16 | 32;

export interface Ops {
  /** For locals, `let`, `if`, loops and pure code. */
  readonly f: FunctionBuilder;
  /** Operand size in bits of this case: what v, z, y operands have; 8 where the row has only byte operands. */
  readonly size: Width32;
  /** Address size of this case; fixed only in rows that ask for it (`address`), else undefined behaviour. */
  readonly address32: boolean;
  /** Stack-pointer size of this case; fixed only in rows that ask for it (`stack`). */
  readonly stack32: boolean;
  /** Repeat prefix of this case; only in rows that ask for it (`rep`). */
  readonly rep: 'none' | 'rep' | 'repne';

  /** Operand `n` (from 0, destination first), up to 32 bits, zero-extended. XMM and MMX operands give their low bits. */
  read(n: number): I32;
  /** Operand `n` sign-extended from its size to 32 bits. */
  readSigned(n: number): I32;
  read64(n: number): I64;
  read128(n: number): V128;
  /** Writes an operand of up to 32 bits. Of an XMM or MMX register only the low part changes. */
  write(n: number, value: I32): void;
  /** Likewise 64 bits. Writing an MMX register also sets its exponent field to all ones. */
  write64(n: number, value: I64): void;
  write128(n: number, value: V128): void;
  /** Reads, computes, writes; the write cannot fault once the read has not. `change` runs between. */
  modify(n: number, change: (old: I32) => I32): void;
  /** Is operand `n` in memory in this case? Static. */
  isMemory(n: number): boolean;
  /** Offset of memory operand `n` in its segment (LEA). */
  offsetOf(n: number): I32;
  /** Linear address of memory operand `n`. */
  linear(n: number): I32;
  /** Address (in the state block, absolute) of the register slot of register operand `n`. */
  slot(n: number): I32;

  /** Guest memory at a linear address, zero-extended. May fault. */
  load(bits: Width32, at: I32): I32;
  load64(at: I32): I64;
  load128(at: I32): V128;
  store(bits: Width32, at: I32, value: I32): void;
  store64(at: I32, value: I64): void;
  store128(at: I32, value: V128): void;
  /** Faults now if any byte of [at, at + bytes) cannot be written; 0 < bytes <= 4096. */
  probe(at: I32, bytes: I32): void;
  /** Linear-memory address of the byte at linear address `at` if its page is in the TLB for reading, else 0. */
  readable(at: I32): I32;
  /** Likewise for writing. Valid up to the end of the page and until the next access that may fault. */
  writable(at: I32): I32;

  /** A 4-byte field of the state block (an offset of STATE). */
  get(field: number): I32;
  get64(field: number): I64;
  set(field: number, value: I32): void;
  set64(field: number, value: I64): void;
  /** Absolute linear-memory address of a field, for indexed access. */
  addressOf(field: number): I32;

  /** Raises an exception of this instruction: nothing after it runs. */
  raise(vector: number, errorCode?: I32): void;
  raiseIf(condition: I32, vector: number, errorCode?: I32): void;

  /** EIP of this instruction and of the one after it. */
  eip(): I32;
  nextEip(): I32;
  /** Goes to the target of relative operand `n`. Ends the semantics. */
  jumpRelative(n: number): void;
  /** Goes to relative operand `n` when `taken` is non-zero, else to the next instruction. Ends the semantics. */
  branch(n: number, taken: I32): void;
  /** Goes to an EIP (already cut to the operand size). Ends the semantics. */
  jump(target: I32): void;
  /** Runs this instruction again from its start (a repeated string instruction that used its share). */
  again(): void;

  /**
   * Runs a part of the system that lives in TypeScript (see system/), with up to four arguments. It may fault, go on with
   * the next instruction or elsewhere. Ends the semantics.
   */
  system(name: SystemCall, ...args: I32[]): void;
  /** Likewise for a value: goes on with what the call left in STATE.queryResult, or faults. */
  query(name: SystemCall, ...args: I32[]): I32;
  /** A function of the interpreter's module, by name (kernels of float/). */
  kernel(name: string): Callee<never>;

  /** Linear base of the segment the memory operand (or the string source) uses, prefix applied. */
  segmentBase(): I32;
  /** Selector of that segment (x87 keeps it as the data pointer's). */
  segmentSelector(): I32;
  /** Most iterations a repeated string instruction may do in one go. */
  repeatLimit(): I32;
  /** Takes `count` more instructions from the slice's budget. */
  spend(count: I32): void;
}
