/** What the decoder says about one instruction: enough for the interpreter's records and for the disassembler. */
import type { AddressWidth, Width } from '../isa/ops.ts';
import type { Row } from '../isa/row.ts';

export const DECODE = {
  ok: 0,
  /** The bytes given end inside the instruction. */
  needMore: 1,
  /** More than 15 bytes: #GP(0). */
  tooLong: 2,
  /** No row, LOCK where it is not allowed, or a register form that does not exist: #UD. */
  undefined: 3,
} as const;
export type DecodeStatus = (typeof DECODE)[keyof typeof DECODE];

/** Filled in place by `decode`, so that decoding allocates nothing. */
export interface Decoded {
  row: Row | undefined;
  /** Index of the row in the table the decoder was made from; -1 without one. */
  rowIndex: number;
  /** Bytes, 1..15. */
  length: number;
  /** Operand size in bits of the row's v and z operands; 8 for rows with only byte operands; `options.size` where given. */
  size: Width;
  addressSize: AddressWidth;
  /** A REX prefix counts: byte registers 4 to 7 are SPL, BPL, SIL, DIL instead of AH, CH, DH, BH. */
  rex: boolean;
  /** F3 = rep, F2 = repne, only where the row takes a repeat prefix; with `options.rep === 'rep'` both are rep. */
  rep: 'none' | 'rep' | 'repne';
  lock: boolean;
  /** SEG number of the memory operand's, string source's or moffs' segment: prefix or default. */
  segment: number;
  /** ModRM names memory, or the operand is a moffs. */
  memory: boolean;
  /** Register number 0..15, or -1. */
  base: number;
  index: number;
  /** Shift count 0..3. */
  scale: number;
  /** Signed 32-bit displacement; moffs address, its low half. */
  disp: number;
  /** Upper half of a 64-bit moffs address. */
  dispHigh: number;
  /** The displacement counts from the next instruction. */
  ripRelative: boolean;
  /** ModRM.reg, or the low three opcode bits for +r rows; 0..15. */
  reg: number;
  /** ModRM.rm when it names a register. */
  rm: number;
  /** Register number of VEX.vvvv: operands H and B. */
  vvvv: number;
  /** Immediate, sign-extended as the row says; relative branches: displacement from the end of the instruction; far pointers: offset. */
  imm: number;
  /** Upper half of a 64-bit immediate (MOV); else the sign of `imm`. */
  immHigh: number;
  /** Second immediate (ENTER); far pointers: selector; the register of operand L. */
  imm2: number;
}
