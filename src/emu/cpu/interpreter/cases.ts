/**
 * Which cases the interpreter has: every row in every combination of what is fixed when code is decoded.
 *
 * A case is a number in a record's `op`. Micro-operations come first, then the hot cases (inlined in the main function),
 * then the cold ones (functions in the table). 64-bit code has a table of its own.
 */
import { type OperandSpec, operandSizes, parseOperands } from '../decoder/operands.ts';
import type { AddressWidth, Width } from '../isa/ops.ts';
import type { Row } from '../isa/row.ts';

/**
 * How the memory operand's address is made. `base`: register + displacement in a flat segment; `full`: everything. Relative
 * branches of 64-bit code: `full` goes to 4 GB behind what the record says.
 */
export const FORM = { register: 0, base: 1, full: 2 } as const;
export type Form = (typeof FORM)[keyof typeof FORM];

/** Operations that no instruction has. */
export const MICRO = {
  /** Goes to the block at offset `imm`; ends a block whose last instruction does not jump. */
  end: 0,
  /** Leaves the interpreter at offset `imm`. */
  stop: 1,
  /** The block was invalidated: go to the one that replaced it (`imm2` of its header) or leave. */
  stale: 2,
  /** Limit and type check of the memory access that follows: `imm` = bytes, plus bits of CHECK. */
  check: 3,
  /** Raises exception `imm`, with error code 0 when `imm2` is 1. */
  raise: 4,
} as const;
export const MICRO_COUNT = 5;

/** Bits of a check's `imm`, above the 16 bits of the byte count. */
export const CHECK = {
  write: 1 << 16,
  /** Only when the count register (CX or ECX, as the address size says) is not zero: a repeat prefix. */
  ifCount: 1 << 17,
} as const;

export interface Case {
  readonly number: number;
  readonly row: Row;
  readonly operands: readonly OperandSpec[];
  readonly size: Width;
  readonly form: Form;
  readonly stackSize: AddressWidth;
  readonly addressSize: AddressWidth;
  readonly rep: 'none' | 'rep' | 'repne';
}

const SIZES: readonly Width[] = [8, 16, 32, 64];
const REPEATS = ['none', 'rep', 'repne'] as const;
const COMBINATIONS = 4 * 3 * 2 * 2 * 3;
/** @param stack, address 0 or 1: the narrower or the wider of the two that the kind of code has */
const combination = (size: number, form: number, stack: number, address: number, rep: number): number =>
  (((size * 3 + form) * 2 + stack) * 2 + address) * 3 + rep;

const isFarBranch = (o: OperandSpec): boolean => o.kind === 'J' && o.type !== 'b';

const formsOf = (row: Row, operands: readonly OperandSpec[], long: boolean): readonly Form[] => {
  if (long && operands.some(isFarBranch)) return [FORM.register, FORM.full];
  const memory: readonly Form[] = row.options.hot ? [FORM.base, FORM.full] : [FORM.full];
  if (operands.some((o) => o.kind === 'O' || o.kind === 'M')) return memory;
  const either = operands.some((o) => o.kind === 'E' || o.kind === 'W' || o.kind === 'Q');
  if (!either) return [FORM.register];
  if (/ m( |$)/.test(row.opcode)) return memory;
  if (/ r( |$)/.test(row.opcode)) return [FORM.register];
  return [FORM.register, ...memory];
};

/** All cases of a table, and how to find the one for a decoded instruction. */
export class CaseTable {
  readonly long: boolean;
  readonly cases: readonly Case[];
  /** Cases with a smaller number are inlined in the main function. */
  readonly firstCold: number;
  readonly #numbers: Uint16Array;

  /** @param long of 64-bit code, else of all other modes */
  constructor(rows: readonly Row[], long: boolean) {
    this.long = long;
    const addresses: readonly AddressWidth[] = long ? [32, 64] : [16, 32];
    const stacks: readonly AddressWidth[] = long ? [64] : [16, 32];
    const widest = long ? 64 : 32;
    const all: (Omit<Case, 'number'> & { rowIndex: number; slot: number })[] = [];
    rows.forEach((row, rowIndex) => {
      if (long ? row.options.not64 : row.options.only64) return;
      const operands = parseOperands(row);
      const { stack, address, rep } = row.options;
      for (const size of operandSizes(row, long))
        for (const form of formsOf(row, operands, long))
          for (const stackSize of stack === undefined ? [widest as AddressWidth] : stacks)
            for (const addressSize of address || rep ? addresses : [widest as AddressWidth])
              for (const r of rep === undefined
                ? (['none'] as const)
                : rep === 'rep'
                  ? (['none', 'rep'] as const)
                  : REPEATS) {
                const slot = combination(
                  SIZES.indexOf(size),
                  form,
                  Number(stackSize === widest),
                  Number(addressSize === widest),
                  REPEATS.indexOf(r),
                );
                all.push({ row, operands, size, form, stackSize, addressSize, rep: r, rowIndex, slot });
              }
    });
    // Inlining pays where code is 32-bit or wider: 16-bit variants of hot rows stay functions, except MOV.
    const isHot = (c: Omit<Case, 'number'>): boolean =>
      c.row.options.hot === true &&
      (c.size !== 16 || c.row.mnemonic === 'mov') &&
      c.stackSize === widest &&
      c.addressSize === widest &&
      c.rep === 'none' &&
      !(c.form === FORM.full && c.operands.some(isFarBranch));
    const ordered = [...all.filter(isHot), ...all.filter((c) => !isHot(c))];
    this.firstCold = MICRO_COUNT + all.filter(isHot).length;
    this.#numbers = new Uint16Array(rows.length * COMBINATIONS);
    this.cases = ordered.map((c, i) => {
      this.#numbers[c.rowIndex * COMBINATIONS + c.slot] = MICRO_COUNT + i;
      return { ...c, number: MICRO_COUNT + i };
    });
  }

  /** Number of the case; what the row does not fix is ignored. 0 = there is none, which is a bug of the table. */
  find(
    rowIndex: number,
    row: Row,
    size: Width,
    form: Form,
    stackSize: AddressWidth,
    addressSize: AddressWidth,
    rep: string,
  ): number {
    const { options } = row;
    const widest = this.long ? 64 : 32;
    const slot = combination(
      size === 64 ? 3 : size >> 4,
      form,
      options.stack === undefined || stackSize === widest ? 1 : 0,
      !(options.address || options.rep) || addressSize === widest ? 1 : 0,
      options.rep === undefined || rep === 'none' ? 0 : rep === 'rep' ? 1 : 2,
    );
    const at = rowIndex * COMBINATIONS + slot;
    const found = this.#numbers[at];
    if (found !== 0 || form !== FORM.base) return found;
    return this.#numbers[at + (FORM.full - FORM.base) * 12];
  }
}
