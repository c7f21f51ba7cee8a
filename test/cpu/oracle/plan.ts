/** What cases are: an instruction and a machine state. And what the generators know of a row before they make any. */
import { type OpcodeSpec, parseOpcode } from '#emu/cpu/decoder/opcode-map.ts';
import { type OperandSpec, parseOperands } from '#emu/cpu/decoder/operands.ts';
import type { Row } from '#emu/cpu/isa/row.ts';
import { exclusionOf, isPrivileged } from './exclusions.ts';
import { WINDOW } from './layout.ts';
import { Random } from './random.ts';

export interface MemoryOperand {
  /** Linear. */
  readonly at: number;
  /** From the start of the data window. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Case {
  readonly number: number;
  readonly row: Row;
  /** Operand size in bits, as decoded. */
  readonly size: 8 | 16 | 32 | 64;
  readonly code: Uint8Array;
  /** Offset in the code segment; in 64-bit code RIP. */
  readonly eip: number;
  readonly codeSize: 16 | 32 | 64;
  /** All segments are flat. */
  readonly flat: boolean;
  /** As the native program wants it. */
  readonly given: Uint8Array;
  /** Runs on the virtual CPU as part of a block; else single-stepped. */
  readonly block: boolean;
  /** The memory operand's place, where ModRM, a string or the stack names one. */
  readonly memory: MemoryOperand | undefined;
  /** The masked shift count, for undefined flags; -1 where there is none. */
  readonly count: number;
  /** CMPXCHG of 32 bits: the register whose upper half is cleared or kept when nothing is exchanged; else -1. */
  readonly halfDefined: number;
}

export interface Plan {
  readonly row: Row;
  readonly index: number;
  readonly spec: OpcodeSpec;
  readonly operands: readonly OperandSpec[];
  readonly privileged: boolean;
}

/** Bytes put into the data window. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** By OpcodeSpec.prefix and .map. */
export const MANDATORY = [[], [0x66], [0xf3], [0xf2]] as const;
export const MAP_BYTES = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]] as const;
export const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar', 'shld', 'shrd'];
/** MXCSR.MM exists on AMD processors only. */
export const MXCSR_MISALIGNED = 1 << 17;
export const LINE = 64;

/**
 * Rows that have cases.
 * @param wanted which rows of the table
 * @param only rows whose mnemonic or opcode is this text; all when empty
 * @throws Error when there are none
 */
export function plansOf(rows: readonly Row[], only: string, wanted: (row: Row) => boolean): readonly Plan[] {
  const plans = rows.flatMap((row, index) =>
    !wanted(row) || exclusionOf(row) !== undefined || (only !== '' && row.mnemonic !== only && row.opcode !== only)
      ? []
      : [{ row, index, spec: parseOpcode(row), operands: parseOperands(row), privileged: isPrivileged(row) }],
  );
  if (plans.length === 0) throw new Error(`no row is called ${JSON.stringify(only)}`);
  return plans;
}

/** What the data window holds before each case. */
export function randomWindow(seed: number): Uint8Array {
  const random = new Random(seed, -1);
  const bytes = new Uint8Array(WINDOW.dataBytes);
  for (let at = 0; at < bytes.length; at += 64) random.fill(bytes, at, 64);
  // Equal bytes in a row, for repeated comparisons.
  for (let at = 0x400; at < bytes.length; at += 0x800) bytes.fill(at >> 8, at, at + 0xc0);
  return bytes;
}

/** Puts patches behind a case's fixed part: count, then offset, bytes and the bytes of each. */
export function encodePatches(given: Uint8Array, countAt: number, patches: readonly Patch[]): void {
  const view = new DataView(given.buffer, given.byteOffset);
  view.setUint16(countAt, patches.length, true);
  let at = countAt + 2;
  for (const { offset, bytes } of patches) {
    view.setUint16(at, offset, true);
    view.setUint16(at + 2, bytes.length, true);
    given.set(bytes, at + 4);
    at += 4 + bytes.length;
  }
}

/** 0F 0D with a register is NOP on Intel's processors, #UD on AMD's. */
export const isPrefetchGroup = (row: Row): boolean => row.opcode === '0F 0D';
export const isBitTest = (row: Row, operands: readonly OperandSpec[]): boolean =>
  /^bt[src]?$/.test(row.mnemonic) && operands[1].kind === 'G';
