/**
 * Integer operations of SSSE3, SSE4.1 and SSE4.2, over vectors. Source: SDM Vol. 1, 12.5 to 12.11; Vol. 2.
 *
 * As in simd-integer.ts an MMX operand is the low half of a vector.
 */
import { type I32, type I64, i32, k32, k64, k128, select, type V128, v128, type Word, word } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { Binary, IntegerOperation } from './simd-integer.ts';

const lanewise =
  (op: (a: V128, b: V128) => V128): Binary =>
  (_f, a, b) =>
    op(a, b);
const both = (opcode: string, mnemonic: string, op: Binary): IntegerOperation => ({
  opcode: `38 ${opcode}`,
  mnemonic,
  wide: op,
  narrow: op,
});
const wideOnly = (opcode: string, mnemonic: string, op: (a: V128, b: V128) => V128): IntegerOperation => ({
  opcode: `38 ${opcode}`,
  mnemonic,
  wide: lanewise(op),
  narrow: undefined,
});

const splat = (bits: bigint): V128 => k128(bits, bits);
const ZERO = splat(0n);
const IOTA = k128(0x0706050403020100n, 0x0f0e0d0c0b0a0908n);

/** Byte indices of every second element from element `from` on, of a then b. */
const alternate = (bytes: 2 | 4, from: 0 | 1): number[] => {
  const out: number[] = [];
  for (let at = from * bytes; out.length < 16; at += 2 * bytes) for (let i = 0; i < bytes; i++) out.push(at + i);
  return out;
};
/** PHADD and PHSUB: even elements of both operands with odd ones. */
const horizontal = (
  opcode: string,
  mnemonic: string,
  bytes: 2 | 4,
  op: (a: V128, b: V128) => V128,
): IntegerOperation => ({
  opcode: `38 ${opcode}`,
  mnemonic,
  wide: lanewise((a, b) => op(v128.shuffle(a, b, alternate(bytes, 0)), v128.shuffle(a, b, alternate(bytes, 1)))),
  narrow: (f, a, b) => {
    const v = f.let(v128.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]));
    return op(v128.shuffle(v, v, alternate(bytes, 0)), v128.shuffle(v, v, alternate(bytes, 1)));
  },
});

/** A selector's bit 7 gives 0; swizzle gives 0 for every index above 15. */
const shuffleBytes =
  (mask: bigint): Binary =>
  (_f, a, b) =>
    v128.swizzle(a, v128.and(b, splat(mask)));

/** Unsigned bytes of a times signed bytes of b, neighbours added with saturation. */
const multiplyAddBytes: Binary = (_f, a, b) =>
  v128.i16x8AddSatS(
    v128.i16x8Mul(v128.and(a, splat(0x00ff00ff00ff00ffn)), v128.i16x8ShrS(v128.i16x8Shl(b, k32(8)), k32(8))),
    v128.i16x8Mul(v128.i16x8ShrU(a, k32(8)), v128.i16x8ShrS(b, k32(8))),
  );

/** WebAssembly saturates the one product that does not fit, -1 times -1; x86 leaves it at -1. */
const multiplyHighRounded: Binary = (f, a, b) => {
  const least = splat(0x8000800080008000n);
  const product = f.let(v128.i16x8Q15MulrSatS(a, b));
  return v128.xor(product, v128.and(v128.i16x8Eq(a, least), v128.i16x8Eq(b, least)));
};

/** a with the sign of b: negated, zero or as it is. */
const signed =
  (sub: (a: V128, b: V128) => V128, gt: (a: V128, b: V128) => V128, eq: (a: V128, b: V128) => V128): Binary =>
  (f, a, b) => {
    const negative = f.let(gt(ZERO, b));
    return v128.andnot(sub(v128.xor(a, negative), negative), eq(b, ZERO));
  };

/** Even doublewords as signed numbers, multiplied to quadwords. */
const EVEN = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
const multiplyEvenSigned = (a: V128, b: V128): V128 =>
  v128.i64x2ExtmulLowI32S(v128.shuffle(a, a, EVEN), v128.shuffle(b, b, EVEN));

export const SSSE3_OPERATIONS: readonly IntegerOperation[] = [
  {
    opcode: '38 00',
    mnemonic: 'pshufb',
    wide: shuffleBytes(0x8f8f8f8f8f8f8f8fn),
    narrow: shuffleBytes(0x8787878787878787n),
  },
  horizontal('01', 'phaddw', 2, v128.i16x8Add),
  horizontal('02', 'phaddd', 4, v128.i32x4Add),
  horizontal('03', 'phaddsw', 2, v128.i16x8AddSatS),
  both('04', 'pmaddubsw', multiplyAddBytes),
  horizontal('05', 'phsubw', 2, v128.i16x8Sub),
  horizontal('06', 'phsubd', 4, v128.i32x4Sub),
  horizontal('07', 'phsubsw', 2, v128.i16x8SubSatS),
  both('08', 'psignb', signed(v128.i8x16Sub, v128.i8x16GtS, v128.i8x16Eq)),
  both('09', 'psignw', signed(v128.i16x8Sub, v128.i16x8GtS, v128.i16x8Eq)),
  both('0A', 'psignd', signed(v128.i32x4Sub, v128.i32x4GtS, v128.i32x4Eq)),
  both('0B', 'pmulhrsw', multiplyHighRounded),
];

export const SSE4_OPERATIONS: readonly IntegerOperation[] = [
  wideOnly('28', 'pmuldq', multiplyEvenSigned),
  wideOnly('29', 'pcmpeqq', v128.i64x2Eq),
  wideOnly('2B', 'packusdw', v128.i16x8NarrowI32U),
  wideOnly('37', 'pcmpgtq', v128.i64x2GtS),
  wideOnly('38', 'pminsb', v128.i8x16MinS),
  wideOnly('39', 'pminsd', v128.i32x4MinS),
  wideOnly('3A', 'pminuw', v128.i16x8MinU),
  wideOnly('3B', 'pminud', v128.i32x4MinU),
  wideOnly('3C', 'pmaxsb', v128.i8x16MaxS),
  wideOnly('3D', 'pmaxsd', v128.i32x4MaxS),
  wideOnly('3E', 'pmaxuw', v128.i16x8MaxU),
  wideOnly('3F', 'pmaxud', v128.i32x4MaxU),
  wideOnly('40', 'pmulld', v128.i32x4Mul),
];

export interface UnaryOperation {
  readonly opcode: string;
  readonly mnemonic: string;
  readonly op: (v: V128) => V128;
}
/** PABS: MMX and XMM alike. */
export const ABSOLUTE_OPERATIONS: readonly UnaryOperation[] = [
  { opcode: '38 1C', mnemonic: 'pabsb', op: v128.i8x16Abs },
  { opcode: '38 1D', mnemonic: 'pabsw', op: v128.i16x8Abs },
  { opcode: '38 1E', mnemonic: 'pabsd', op: v128.i32x4Abs },
];

/** PMOVSX and PMOVZX: the low `bytes` of the source become 16. */
export interface Extension {
  readonly opcode: string;
  readonly mnemonic: string;
  readonly bytes: 2 | 4 | 8;
  readonly op: (v: V128) => V128;
}
type Step = (v: V128) => V128;
const extensions = (group: 2 | 3, letter: 's' | 'z', byte: Step, word: Step, dword: Step): Extension[] => {
  const one = (n: number, name: string, bytes: 2 | 4 | 8, ...steps: Step[]): Extension => ({
    opcode: `38 ${group}${n}`,
    mnemonic: `pmov${letter}x${name}`,
    bytes,
    op: (v) => steps.reduce((value, step) => step(value), v),
  });
  return [
    one(0, 'bw', 8, byte),
    one(1, 'bd', 4, byte, word),
    one(2, 'bq', 2, byte, word, dword),
    one(3, 'wd', 8, word),
    one(4, 'wq', 4, word, dword),
    one(5, 'dq', 8, dword),
  ];
};
export const EXTENSIONS: readonly Extension[] = [
  ...extensions(2, 's', v128.i16x8ExtendLowI8S, v128.i32x4ExtendLowI16S, v128.i64x2ExtendLowI32S),
  ...extensions(3, 'z', v128.i16x8ExtendLowI8U, v128.i32x4ExtendLowI16U, v128.i64x2ExtendLowI32U),
];

/** a:b (32 bytes) moved down by `count` bytes, the low 16 of it. */
export function alignBytes(f: FunctionBuilder, a: V128, b: V128, count: I32): V128 {
  const n = f.let(count);
  const indices = f.let(v128.i8x16Add(IOTA, v128.splatI8(select(i32.gtU(n, k32(32)), k32(32), n))));
  return v128.or(v128.swizzle(b, indices), v128.swizzle(a, v128.i8x16Sub(indices, v128.splatI8(k32(16)))));
}
/** Likewise for MMX: 16 bytes, the low 8 of it. */
export function alignBytesNarrow(f: FunctionBuilder, a: V128, b: V128, count: I32): V128 {
  const n = f.let(count);
  const joined = v128.shuffle(b, a, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  return v128.swizzle(joined, v128.i8x16Add(IOTA, v128.splatI8(select(i32.gtU(n, k32(16)), k32(16), n))));
}

/** All ones in elements whose bit of `bits` is set. */
export function elementMask(bits: I32, size: 16 | 32 | 64): V128 {
  if (size === 64) {
    const weights = k128(1n, 2n);
    return v128.i64x2Eq(v128.and(v128.splatI32(bits), weights), weights);
  }
  if (size === 32) {
    const weights = k128(0x2_0000_0001n, 0x8_0000_0004n);
    return v128.i32x4Eq(v128.and(v128.splatI32(bits), weights), weights);
  }
  const weights = k128(0x0008_0004_0002_0001n, 0x0080_0040_0020_0010n);
  return v128.i16x8Eq(v128.and(v128.splatI16(bits), weights), weights);
}

/** Element `index` (modulo their number) of v replaced by the low bits of `value`. */
export function insertedElement(v: V128, size: 8 | 16 | 32 | 64, index: I32, element: Word): V128 {
  const value = word.low(element);
  const number = i32.and(index, k32(128 / size - 1));
  if (size === 8) {
    const place = v128.i8x16Eq(IOTA, v128.splatI8(number));
    return v128.bitselect(v128.splatI8(value), v, place);
  }
  const place = elementMask(i32.shl(k32(1), number), size);
  if (size === 64) return v128.bitselect(v128.splatI64(element as I64), v, place);
  return v128.bitselect(size === 16 ? v128.splatI16(value) : v128.splatI32(value), v, place);
}

/** The sign of each element, all over it. */
export const signMask = (v: V128, size: 8 | 32 | 64): V128 =>
  size === 8 ? v128.i8x16GtS(ZERO, v) : size === 32 ? v128.i32x4ShrS(v, k32(31)) : v128.i64x2ShrS(v, k32(63));

/** The smallest word and its number, in the low doubleword. */
export function smallestWord(f: FunctionBuilder, value: V128): V128 {
  const v = f.let(value);
  /** Word and number as one doubleword each, the word above. */
  const numbered = (words: V128, numbers: bigint, more: bigint): V128 =>
    v128.or(v128.i32x4Shl(words, k32(16)), k128(numbers, more));
  const low = numbered(v128.i32x4ExtendLowI16U(v), 0x1_0000_0000n, 0x3_0000_0002n);
  const upper = v128.shuffle(v, v, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
  const high = numbered(v128.i32x4ExtendLowI16U(upper), 0x5_0000_0004n, 0x7_0000_0006n);
  const four = f.let(v128.i32x4MinU(low, high));
  const two = f.let(
    v128.i32x4MinU(four, v128.shuffle(four, four, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7])),
  );
  const least = f.let(
    v128.i32x4Extract(v128.i32x4MinU(two, v128.shuffle(two, two, [4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3])), 0),
  );
  return v128.i32x4Replace(ZERO, 0, i32.rotl(least, k32(16)));
}

/** MPSADBW: eight sums of four absolute differences; `control` chooses a block of b (bits 0-1) and where in a to begin (bit 2). */
export function sumsOfDifferences(f: FunctionBuilder, a: V128, b: V128, control: I32): V128 {
  const c = f.let(control);
  const start = i32.and(c, k32(4));
  const block = f.let(v128.splatI32(i32.mul(i32.and(c, k32(3)), k32(0x04040404))));
  const x = f.let(v128.swizzle(a, v128.i8x16Add(IOTA, v128.splatI8(start))));
  const y = f.let(v128.swizzle(b, v128.i8x16Add(splat(0x0302010003020100n), block)));
  /** |x[i] - y[i]| for four neighbouring bytes of x from each of four places, added up. */
  const four = (from: number): V128 => {
    const window = [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((n) => from + i + n));
    const part = f.let(v128.shuffle(x, x, window));
    const difference = v128.i8x16Sub(v128.i8x16MaxU(part, y), v128.i8x16MinU(part, y));
    return f.let(v128.i32x4ExtaddPairwiseI16U(v128.i16x8ExtaddPairwiseI8U(difference)));
  };
  return v128.i16x8NarrowI32U(four(0), four(4));
}

export const zeroExtended = (quad: Parameters<typeof v128.splatI64>[0]): V128 =>
  v128.i64x2Replace(v128.splatI64(k64(0)), 0, quad);
