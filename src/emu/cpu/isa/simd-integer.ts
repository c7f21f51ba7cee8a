/**
 * Integer SIMD operations that MMX and SSE2 share, over vectors. Source: SDM Vol. 1, 9.4, 11.4.2; Vol. 2.
 *
 * An MMX operand is the low half of a vector; operations that mix halves have a form for each width.
 */
import { type I32, type I64, i32, i64, k32, k64, select, type V128, v128 } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';

export type Binary = (f: FunctionBuilder, a: V128, b: V128) => V128;

export interface IntegerOperation {
  /** Second opcode byte, after 0F. */
  readonly opcode: string;
  readonly mnemonic: string;
  /** 128-bit form. */
  readonly wide: Binary;
  /** 64-bit form over low halves; undefined where MMX has none. */
  readonly narrow: Binary | undefined;
}

const lanewise =
  (op: (a: V128, b: V128) => V128): Binary =>
  (_f, a, b) =>
    op(a, b);
const same = (opcode: string, mnemonic: string, op: (a: V128, b: V128) => V128): IntegerOperation => ({
  opcode,
  mnemonic,
  wide: lanewise(op),
  narrow: lanewise(op),
});

/** The low halves of a and b as one vector. */
const joined = (a: V128, b: V128): V128 => v128.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
const pack = (opcode: string, mnemonic: string, op: (a: V128, b: V128) => V128): IntegerOperation => ({
  opcode,
  mnemonic,
  wide: lanewise(op),
  narrow: (f, a, b) => {
    const v = f.let(joined(a, b));
    return op(v, v);
  },
});

/** Byte indices that interleave `bytes`-sized elements of a and b, from byte `from`. */
const interleaved = (bytes: number, from: number): number[] => {
  const out: number[] = [];
  for (let at = from; out.length < 16; at += bytes) {
    for (let i = 0; i < bytes; i++) out.push((at + i) & 15);
    for (let i = 0; i < bytes; i++) out.push(16 + ((at + i) & 15));
  }
  return out;
};
const unpack = (opcode: string, mnemonic: string, bytes: number, high: boolean): IntegerOperation => ({
  opcode,
  mnemonic,
  wide: lanewise((a, b) => v128.shuffle(a, b, interleaved(bytes, high ? 8 : 0))),
  narrow: bytes === 8 ? undefined : lanewise((a, b) => v128.shuffle(a, b, interleaved(bytes, high ? 4 : 0))),
});

/** The high words of eight 32-bit products. */
const HIGH_WORDS = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31];
const highProducts =
  (low: (a: V128, b: V128) => V128, high: (a: V128, b: V128) => V128) =>
  (a: V128, b: V128): V128 =>
    v128.shuffle(low(a, b), high(a, b), HIGH_WORDS);

const EVEN_DWORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
const multiplyEven = (a: V128, b: V128): V128 =>
  v128.i64x2ExtmulLowI32U(v128.shuffle(a, a, EVEN_DWORDS), v128.shuffle(b, b, EVEN_DWORDS));

/** Sums of absolute differences of eight bytes, one in each half. */
const sumDifferences: Binary = (f, a, b) => {
  const difference = v128.i8x16Sub(v128.i8x16MaxU(a, b), v128.i8x16MinU(a, b));
  const quads = f.let(v128.i32x4ExtaddPairwiseI16U(v128.i16x8ExtaddPairwiseI8U(difference)));
  const sum = v128.i64x2Add(quads, v128.i64x2ShrU(quads, k32(32)));
  return v128.and(sum, v128.splatI64(k64(0xffff)));
};

export const INTEGER_OPERATIONS: readonly IntegerOperation[] = [
  unpack('60', 'punpcklbw', 1, false),
  unpack('61', 'punpcklwd', 2, false),
  unpack('62', 'punpckldq', 4, false),
  pack('63', 'packsswb', v128.i8x16NarrowI16S),
  same('64', 'pcmpgtb', v128.i8x16GtS),
  same('65', 'pcmpgtw', v128.i16x8GtS),
  same('66', 'pcmpgtd', v128.i32x4GtS),
  pack('67', 'packuswb', v128.i8x16NarrowI16U),
  unpack('68', 'punpckhbw', 1, true),
  unpack('69', 'punpckhwd', 2, true),
  unpack('6A', 'punpckhdq', 4, true),
  pack('6B', 'packssdw', v128.i16x8NarrowI32S),
  unpack('6C', 'punpcklqdq', 8, false),
  unpack('6D', 'punpckhqdq', 8, true),
  same('74', 'pcmpeqb', v128.i8x16Eq),
  same('75', 'pcmpeqw', v128.i16x8Eq),
  same('76', 'pcmpeqd', v128.i32x4Eq),
  same('D4', 'paddq', v128.i64x2Add),
  same('D5', 'pmullw', v128.i16x8Mul),
  same('D8', 'psubusb', v128.i8x16SubSatU),
  same('D9', 'psubusw', v128.i16x8SubSatU),
  same('DA', 'pminub', v128.i8x16MinU),
  same('DB', 'pand', v128.and),
  same('DC', 'paddusb', v128.i8x16AddSatU),
  same('DD', 'paddusw', v128.i16x8AddSatU),
  same('DE', 'pmaxub', v128.i8x16MaxU),
  // PANDN negates the destination, i8x16.andnot its second operand.
  same('DF', 'pandn', (a, b) => v128.andnot(b, a)),
  same('E0', 'pavgb', v128.i8x16AvgrU),
  same('E3', 'pavgw', v128.i16x8AvgrU),
  same('E4', 'pmulhuw', highProducts(v128.i32x4ExtmulLowI16U, v128.i32x4ExtmulHighI16U)),
  same('E5', 'pmulhw', highProducts(v128.i32x4ExtmulLowI16S, v128.i32x4ExtmulHighI16S)),
  same('E8', 'psubsb', v128.i8x16SubSatS),
  same('E9', 'psubsw', v128.i16x8SubSatS),
  same('EA', 'pminsw', v128.i16x8MinS),
  same('EB', 'por', v128.or),
  same('EC', 'paddsb', v128.i8x16AddSatS),
  same('ED', 'paddsw', v128.i16x8AddSatS),
  same('EE', 'pmaxsw', v128.i16x8MaxS),
  same('EF', 'pxor', v128.xor),
  same('F4', 'pmuludq', multiplyEven),
  same('F5', 'pmaddwd', v128.i32x4DotI16S),
  { opcode: 'F6', mnemonic: 'psadbw', wide: sumDifferences, narrow: sumDifferences },
  same('F8', 'psubb', v128.i8x16Sub),
  same('F9', 'psubw', v128.i16x8Sub),
  same('FA', 'psubd', v128.i32x4Sub),
  same('FB', 'psubq', v128.i64x2Sub),
  same('FC', 'paddb', v128.i8x16Add),
  same('FD', 'paddw', v128.i16x8Add),
  same('FE', 'paddd', v128.i32x4Add),
];

type Shift = (v: V128, count: I32) => V128;
export interface ShiftOperation {
  /** Opcode with the count in an operand. */
  readonly opcode: string;
  /** Opcode and ModRM.reg with the count in an immediate. */
  readonly immediate: string;
  readonly mnemonic: string;
  readonly bits: 16 | 32 | 64;
  readonly shift: Shift;
  readonly arithmetic: boolean;
}
export const SHIFT_OPERATIONS: readonly ShiftOperation[] = [
  { opcode: 'D1', immediate: '71 /2', mnemonic: 'psrlw', bits: 16, shift: v128.i16x8ShrU, arithmetic: false },
  { opcode: 'D2', immediate: '72 /2', mnemonic: 'psrld', bits: 32, shift: v128.i32x4ShrU, arithmetic: false },
  { opcode: 'D3', immediate: '73 /2', mnemonic: 'psrlq', bits: 64, shift: v128.i64x2ShrU, arithmetic: false },
  { opcode: 'E1', immediate: '71 /4', mnemonic: 'psraw', bits: 16, shift: v128.i16x8ShrS, arithmetic: true },
  { opcode: 'E2', immediate: '72 /4', mnemonic: 'psrad', bits: 32, shift: v128.i32x4ShrS, arithmetic: true },
  { opcode: 'F1', immediate: '71 /6', mnemonic: 'psllw', bits: 16, shift: v128.i16x8Shl, arithmetic: false },
  { opcode: 'F2', immediate: '72 /6', mnemonic: 'pslld', bits: 32, shift: v128.i32x4Shl, arithmetic: false },
  { opcode: 'F3', immediate: '73 /6', mnemonic: 'psllq', bits: 64, shift: v128.i64x2Shl, arithmetic: false },
];

/** Shifts every element; counts beyond the element give 0, or copies of the sign. */
export function shiftElements(f: FunctionBuilder, op: ShiftOperation, value: V128, count: I64): V128 {
  const n = f.let(count);
  const over = f.let(i64.gtU(n, k64(op.bits - 1)));
  if (op.arithmetic) return op.shift(value, select(over, k32(op.bits - 1), i32.wrap(n)));
  const shifted = f.let(op.shift(value, i32.wrap(n)));
  return v128.and(shifted, v128.splatI32(i32.sub(over, k32(1))));
}

/** Four two-bit selectors as byte indices of dwords, for `swizzle`. */
export function dwordIndices(f: FunctionBuilder, selectors: I32): V128 {
  const imm = f.let(selectors);
  let indices = v128.splatI32(k32(0));
  for (let i = 0; i < 4; i++) {
    const lane = i32.and(i32.shrU(imm, k32(2 * i)), k32(3));
    indices = v128.i32x4Replace(indices, i, i32.add(i32.mul(lane, k32(0x04040404)), k32(0x03020100)));
  }
  return f.let(indices);
}

/** Likewise of the words of the half from byte `base`; the other half stays. */
export function wordIndices(f: FunctionBuilder, selectors: I32, base: 0 | 8): V128 {
  const imm = f.let(selectors);
  const IDENTITY = [0x0100, 0x0302, 0x0504, 0x0706, 0x0908, 0x0b0a, 0x0d0c, 0x0f0e];
  let indices = v128.splatI32(k32(0));
  for (let i = 0; i < 8; i++) {
    const inHalf = i >> 2 === base >> 3;
    const lane = i32.and(i32.shrU(imm, k32(2 * (i & 3))), k32(3));
    const chosen = i32.add(i32.mul(lane, k32(0x0202)), k32(0x0100 + base * 0x0101));
    indices = v128.i16x8Replace(indices, i, inHalf ? chosen : k32(IDENTITY[i]));
  }
  return f.let(indices);
}
