/**
 * What an instruction's semantics may do. Tier 0 and, later, tier 1 implement it; an instruction is written once.
 *
 * Rules that keep faults precise: do every access that may fault (reads, `modify`, `probe`) before the first register,
 * flag or memory change. `write` of a memory operand may fault too, so it comes before register changes.
 * Values returned are already evaluated: they do not change when a register is written later.
 */

import type { SystemCall } from '../system/calls.ts';
import type { I32, I64, Ordinary, V128, Val, Word } from '../wasm/expr.ts';
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
export type Width = Width32 | 64;
/** Width of addresses and stack pointers. */
export type AddressWidth = 16 | 32 | 64;
/** A linear address or an offset in a segment: i64 in 64-bit code, else i32. */
export type Address = Word;

/**
 * Where the six arithmetic flags come from. Tiers keep this as it is or as the two lazy words of state/flags.ts.
 * Values are evaluated (`let`); those of less than 32 bits may have anything above their width.
 */
export type FlagSource =
  /** `result` = a + b or a - b, with a carry or borrow into it where the operation has one. */
  | { readonly kind: 'add' | 'sub'; readonly bits: Width; readonly a: Word; readonly b: Word; readonly result: Word }
  /** CF = OF = AF = 0. */
  | { readonly kind: 'logic'; readonly bits: Width; readonly result: Word }
  /** INC and DEC: CF stays. */
  | { readonly kind: 'inc' | 'dec'; readonly bits: Width; readonly a: Word; readonly result: Word }
  /** EFLAGS bits, of which SF, OF and AF are 0; always 32 bits. */
  | { readonly kind: 'bits'; readonly bits: Width; readonly result: Word }
  /** The lazy words themselves; one that is missing stays. `result` is sign-extended from its width to its type. */
  | { readonly kind: 'words'; readonly result?: Word; readonly aux?: I32 };

/** A VEX-encoded instruction made from the semantics of a legacy one. */
export interface VexUse {
  /** 256 bits: the semantics run once for each half, and exceptions of both are reported together. */
  readonly wide: boolean;
  /** Memory operands must be aligned to their size. */
  readonly aligned: boolean;
  /** 1: these are bits 255 to 128. */
  readonly half: 0 | 1;
}

export type FloatUnit = 'sse' | 'avx' | 'x87';

/** See jit/float-mode.ts. */
export interface ShortFloats {
  /** 7FE00000h while WebAssembly's arithmetic on normal numbers is all that an instruction does, else 0. */
  readonly mask: I32;
  /** Register operand `n` has been found ordinary. */
  found(n: number, ordinary: Ordinary): void;
  /** After the long way. @param ordinary 0: something that has been taken for ordinary is not */
  reconsider(ordinary: I32): void;
}

export type X87Operation = 'Add' | 'Multiply' | 'Divide';

/**
 * x87 instructions on registers that are not in the state block; `how` words are those of the kernels. Availability, pending
 * exceptions, empty registers and what is not usual are the tier's business.
 */
export interface ShortX87 {
  /** The unit is there, and no exception is pending. */
  begin(): void;
  /** Keeps opcode, instruction pointer and, of memory forms, data pointer. */
  record(opcode: number, memory: boolean): void;
  /** @param memory a single (i32) or a double (i64) instead of ST(i) */
  arithmetic(operation: X87Operation, how: number, memory?: Val): void;
  squareRoot(): void;
  load(significand: I64, signExponent: I32): void;
  /** A single (i32) or a double (i64). */
  loadNarrow(value: Val): void;
  loadInteger(value: I64): void;
  loadRegister(i: number): void;
  /** ST0 as a single or a double; `stored` has to follow. */
  store(bits: 32 | 64): { value: Word; flags: I32 };
  stored(flags: I32, pops: number): void;
  storeRegister(i: number, pops: number): void;
  exchange(i: number): void;
  /** FCHS or FABS. */
  changeSign(negate: boolean): void;
  /** C3, C2 and C0. */
  compare(how: number, memory?: Val): I32;
  /** Puts them into the status word. */
  conditions(code: I32): void;
  /** With TOP. */
  statusWord(): I32;
}

export interface Ops {
  /** For locals, `let`, `if`, loops and pure code. */
  readonly f: FunctionBuilder;
  /** 64-bit code: addresses are i64, 32-bit register writes clear the upper half. Static. */
  readonly long: boolean;
  /** Operand size in bits of this case: what v and y operands have (z and y: see row.ts); 8 where the row has only byte operands. */
  readonly size: Width;
  /** Address size of this case; fixed only in rows that ask for it (`address`), else undefined behaviour. */
  readonly addressSize: AddressWidth;
  /** Stack-pointer size of this case; fixed only in rows that ask for it (`stack`). */
  readonly stackSize: AddressWidth;
  /** Repeat prefix of this case; only in rows that ask for it (`rep`). */
  readonly rep: 'none' | 'rep' | 'repne';

  /** Operand `n` (from 0, destination first), up to 32 bits, zero-extended. XMM and MMX operands give their low bits. */
  read(n: number): I32;
  /** Likewise of any width: i64 where the operand has 64 bits, else i32. Immediates are sign-extended to the operand size. */
  readWord(n: number): Word;
  /** Operand `n` sign-extended from its size to the operand size, at least to 32 bits. */
  readSigned(n: number): Word;
  read64(n: number): I64;
  read128(n: number): V128;
  /** Writes an operand: an i64 when it has 64 bits. Of an XMM or MMX register only the low part changes. */
  write(n: number, value: Word): void;
  /** Writes 64 bits whatever the operand size. Writing an MMX register also sets its exponent field to all ones. */
  write64(n: number, value: I64): void;
  write128(n: number, value: V128): void;
  /** Reads, computes, writes; the write cannot fault once the read has not. `change` runs between. */
  modify(n: number, change: (old: Word) => Word): void;
  /** Is operand `n` in memory in this case? Static. */
  isMemory(n: number): boolean;
  /** Bits of operand `n` in this case; general registers, immediates and memory of up to 64 bits. Static. */
  widthOf(n: number): Width;
  /** Offset of memory operand `n` in its segment (LEA). */
  offsetOf(n: number): Address;
  /** Linear address of memory operand `n`. */
  linear(n: number): Address;
  /** Address (in the state block, absolute) of the register slot of register operand `n`; not of general registers. */
  slot(n: number): I32;
  /** Address of bits 255 to 128 of vector register operand `n`. */
  upper(n: number): I32;
  /** Number of the general register that operand `n` names. */
  registerNumber(n: number): I32;

  /** General register `n` by its encoding; for 8 bits 4..7 are AH CH DH BH. Zero-extended, evaluated. */
  register(bits: Width, n: number): Word;
  /** Writes the low bits of `value`; the rest of a wider register stays, but 32-bit writes clear the upper half in 64-bit code. */
  setRegister(bits: Width, n: number, value: Word): void;

  setFlags(source: FlagSource): void;
  /** The lazy words, evaluated: i64 in 64-bit code, else i32. */
  flagResult(): Word;
  flagAux(): I32;
  /** Condition codes 0..15 as Jcc, SETcc and CMOVcc encode them (SDM Vol. 1, appendix B): 0 or non-zero. */
  condition(code: number): I32;

  /** Slot of the vector that is the memory operand's index, and the shift count of its elements (rows with `vsib`). */
  vectorIndex(): { slot: I32; shift: I32 };
  /** What a row's semantics are used for besides the row they were written for: see vex-view.ts. */
  readonly vex?: VexUse;

  /**
   * A tier's own way to make sure that a unit's instructions are available; missing: semantics look at control registers.
   */
  available?(unit: FloatUnit): void;
  /** A tier's own short way through floating-point arithmetic; missing: there is only the long one. */
  readonly floats?: ShortFloats;
  /** Missing: semantics work on the state block, or run kernels that do. */
  readonly x87?: ShortX87 | undefined;

  /**
   * Where a tier runs the usual cases of an instruction itself: leaves it to another one when `condition` holds; it must not
   * have done anything yet. Missing: semantics do all cases.
   */
  unless?(condition: I32): void;
  /**
   * In flat segments, where a tier runs the usual cases of a system call itself: calls the system when `done` is 0, which
   * means that nothing has been done yet. Missing: `system` does all cases.
   */
  systemUnless?: ((done: I32, name: SystemCall, ...args: Word[]) => void) | undefined;
  /** The code is of a 32-bit kernel in flat segments. Missing: nothing is known. */
  readonly kernel32?: boolean;

  /**
   * Goes to an EIP with the privilege level, TLB and jump cache that the state block says, at full speed in the same kind of
   * code. Ends the semantics; inside a condition. Missing: only the system can.
   */
  transfer?(target: Address): void;

  /** Guest memory at a linear address, zero-extended. May fault. */
  load(bits: Width32, at: Address): I32;
  /** @param stack through SS: what is not canonical is #SS(0) */
  loadWord(bits: Width, at: Address, stack?: boolean): Word;
  load64(at: Address): I64;
  load128(at: Address): V128;
  store(bits: Width, at: Address, value: Word, stack?: boolean): void;
  store64(at: Address, value: I64): void;
  store128(at: Address, value: V128): void;
  /** Faults now if any byte of [at, at + bytes) cannot be written; 0 < bytes <= 4096. */
  probe(at: Address, bytes: I32): void;
  /**
   * Faults now if the memory operand's segment does not let [offset, offset + bytes) be read, or written. For rows whose
   * `access` is 'masked': others are checked before they run. Nothing in 64-bit code.
   */
  checkSegment(offset: Address, bytes: number, access: 'read' | 'write'): void;
  /**
   * Linear-memory address of the byte at linear address `at` if its page is in the TLB for reading, else 0.
   * @param bank address of the TLB bank; left out: the one in use
   */
  readable(at: Address, bank?: I32): I32;
  /** Likewise for writing. Valid up to the end of the page and until the next access that may fault. */
  writable(at: Address, bank?: I32): I32;

  /** A 4-byte field of the state block (an offset of STATE). Not of general registers and lazy flags. */
  get(field: number): I32;
  get64(field: number): I64;
  /** An 8-byte field that holds an address: all of it in 64-bit code, else the low half. */
  getAddress(field: number): Address;
  set(field: number, value: I32): void;
  set64(field: number, value: I64): void;
  /** Absolute linear-memory address of a field, for indexed access. */
  addressOf(field: number): I32;

  /** Raises an exception of this instruction: nothing after it runs. */
  raise(vector: number, errorCode?: I32): void;
  raiseIf(condition: I32, vector: number, errorCode?: I32): void;

  /** EIP of this instruction and of the one after it. */
  eip(): Address;
  nextEip(): Address;
  /** Goes to the target of relative operand `n`. Ends the semantics. */
  jumpRelative(n: number): void;
  /** Goes to relative operand `n` when `taken` is non-zero, else to the next instruction. Ends the semantics. */
  branch(n: number, taken: I32): void;
  /** Goes to an EIP (already cut to the operand size). Ends the semantics. */
  jump(target: Address): void;
  /** Runs this instruction again from its start (a repeated string instruction that used its share). */
  again(): void;

  /**
   * Runs a part of the system that lives in TypeScript (see system/), with up to four arguments (system/calls.ts: how i64
   * goes there). It may fault, go on with the next instruction or elsewhere. Ends the semantics.
   */
  system(name: SystemCall, ...args: Word[]): void;
  /** Likewise for a value: goes on with what the call left in STATE.queryResult, or faults. */
  query(name: SystemCall, ...args: Word[]): I32;
  query64(name: SystemCall, ...args: Word[]): I64;
  /** A function of the interpreter's module, by name (kernels of float/). */
  kernel(name: string): Callee<never>;

  /** Linear base of the segment the memory operand (or the string source) uses, prefix applied. */
  segmentBase(): Address;
  /** Selector of that segment (x87 keeps it as the data pointer's). */
  segmentSelector(): I32;
  /** Most iterations a repeated string instruction may do in one go. */
  repeatLimit(): I32;
  /** Takes `count` more instructions from the slice's budget. */
  spend(count: I32): void;
  /** What is left of the budget, to within a block. */
  left(): I32;
}
