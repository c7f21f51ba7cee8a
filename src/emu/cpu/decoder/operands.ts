/** Operands of a row, taken apart: address method and type (notation: isa/row.ts; SDM Vol. 2D, appendix A.2). */
import type { Width } from '../isa/ops.ts';
import type { Row } from '../isa/row.ts';

/** Address methods; `fixed` is an operand that the opcode names. */
const METHODS = [...'EGZMRSCDVWUPQNIJAOXYHBL'] as const;
export type OperandKind = (typeof METHODS)[number] | 'fixed';

const FIXED = ['AL', 'CL', 'DX', 'AX', 'eAX', '1', 'ST0', 'STi', 'ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;
export type FixedOperand = (typeof FIXED)[number];
const TYPES = ['', 'b', 'bs', 'w', 'd', 'q', 'x', 'dq', 'qq', 't', 'v', 'z', 'y', 'yy', 'p', 'a', 's'] as const;

export interface OperandSpec {
  readonly kind: OperandKind;
  /** `b`, `bs`, `w`, ... of row.ts, `n28` for 28 bytes; empty for fixed operands and bare addresses. */
  readonly type: string;
  readonly fixed?: FixedOperand;
  /** As written in the row. */
  readonly text: string;
}

const parseOperand = (row: Row, text: string): OperandSpec => {
  const fixed = FIXED.find((name) => name === text);
  if (fixed !== undefined) return { kind: 'fixed', type: '', fixed, text };
  const kind = METHODS.find((method) => method === text[0]);
  const type = text.slice(1);
  if (kind === undefined || !(TYPES.some((t) => t === type) || /^n[1-9]\d*$/.test(type)))
    throw new Error(`row ${row.opcode} ${row.mnemonic}: no operand is written ${JSON.stringify(text)}`);
  return { kind, type, text };
};

/**
 * Destination first.
 * @throws Error when the row is written wrongly
 */
export const parseOperands = (row: Row): readonly OperandSpec[] => {
  let found = parsed.get(row);
  if (found === undefined) {
    found = row.operands === '' ? [] : row.operands.split(',').map((text) => parseOperand(row, text));
    parsed.set(row, found);
  }
  return found;
};
/** Rows are asked about many times while tables are made. */
const parsed = new WeakMap<Row, readonly OperandSpec[]>();

/** Has operands of the operand size, as prefixes choose it? */
const followsOperandSize = (o: OperandSpec): boolean =>
  ['v', 'z', 'p', 'a', 's', 'bs'].includes(o.type) || o.fixed === 'eAX' || o.kind === 'J';
/** 64 bits with REX.W, else 32, whatever 66h says. */
const followsWide = (o: OperandSpec): boolean => o.type === 'y' || o.type === 'yy';

/** Operand sizes that a row has, in bits, smallest first. @param long in 64-bit code */
export const operandSizes = (row: Row, long: boolean): readonly Width[] => {
  const { size, force64, default64, max32 } = row.options;
  if (size !== undefined) return [size];
  if (row.options.rexW) return long ? [32, 64] : [32];
  const operands = parseOperands(row);
  const byte = (o: OperandSpec): boolean => o.type === 'b' && o.kind !== 'J';
  const neutral = (o: OperandSpec): boolean => o.fixed === 'AL' || o.fixed === 'CL' || o.fixed === '1';
  if (operands.some(byte) && operands.every((o) => byte(o) || neutral(o))) return [8];
  if (long && force64) return [64];
  if (!operands.some(followsOperandSize)) {
    if (operands.some(followsWide)) return long ? [32, 64] : [32];
    if (/^(NP|66|F3|F2|VEX\S*) /.test(row.opcode)) return [32];
  }
  if (!long || max32) return [16, 32];
  return default64 ? [16, 64] : [16, 32, 64];
};

/** What follows opcode, ModRM, SIB and displacement. */
export const IMMEDIATE = {
  none: 0,
  /** Zero-extended byte. */
  byte: 1,
  /** Sign-extended byte. */
  signedByte: 2,
  word: 3,
  dword: 4,
  /** 16 or 32 bits, zero-extended; of 64-bit operands 32 bits, sign-extended. */
  operandSize: 5,
  /** 16 or 32 bits, sign-extended. */
  relative: 6,
  /** Offset of 16 or 32 bits, then a selector. */
  far: 7,
  /** ENTER. */
  wordAndByte: 8,
  /** 16, 32 or 64 bits. */
  full: 9,
} as const;
export type Immediate = (typeof IMMEDIATE)[keyof typeof IMMEDIATE];

const IMMEDIATES: Readonly<Record<string, Immediate>> = {
  Ib: IMMEDIATE.byte,
  Ibs: IMMEDIATE.signedByte,
  Iw: IMMEDIATE.word,
  Id: IMMEDIATE.dword,
  Iv: IMMEDIATE.full,
  Iz: IMMEDIATE.operandSize,
  Jb: IMMEDIATE.signedByte,
  Jz: IMMEDIATE.relative,
  Jv: IMMEDIATE.relative,
  Ap: IMMEDIATE.far,
  'Iw,Ib': IMMEDIATE.wordAndByte,
  '': IMMEDIATE.none,
};

/** @throws Error when the row has immediates that no instruction has */
export const immediateLayout = (row: Row): Immediate => {
  const texts = parseOperands(row).flatMap((o) => ('IJA'.includes(o.kind) ? [o.text] : o.kind === 'L' ? ['Ib'] : []));
  const layout = IMMEDIATES[texts.join(',')];
  if (layout === undefined) throw new Error(`row ${row.opcode} ${row.mnemonic}: immediates of ${row.operands}`);
  return layout;
};
