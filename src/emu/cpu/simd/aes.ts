/**
 * The steps of the AES rounds, on sixteen bytes at once. Sources: FIPS 197, sections 4.2 and 5; SDM Vol. 1, 12.13.
 *
 * No table in memory: SubBytes is sixteen look-ups of sixteen bytes, so its time does not depend on the data.
 */
import type { KernelSet } from '../float/kernel-set.ts';
import { k32, k128, type V128, v128 } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';

/** a * b in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
const multiply = (a: number, b: number): number => {
  let product = 0;
  for (let x = a, y = b; y !== 0; y >>= 1, x = (x << 1) ^ (x & 0x80 ? 0x11b : 0)) if (y & 1) product ^= x;
  return product;
};
/** FIPS 197, 5.1.1: the inverse (a^254), then an affine map of its bits. */
const substitution = (): Uint8Array => {
  const box = new Uint8Array(256);
  for (let a = 0; a < 256; a++) {
    let inverse = 1;
    for (let i = 0; i < 254; i++) inverse = multiply(inverse, a);
    let mapped = 0x63;
    for (let shift = 0; shift < 5; shift++) mapped ^= (inverse << shift) | (inverse >> (8 - shift));
    box[a] = mapped;
  }
  return box;
};

const constant = (bytes: Uint8Array): V128 => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return k128(view.getBigUint64(0, true), view.getBigUint64(8, true));
};
const splat = (byte: number): V128 => {
  const bits = 0x0101010101010101n * BigInt(byte);
  return k128(bits, bits);
};

/** Every byte of `value` replaced by that of a table of 256. */
function lookUp(f: FunctionBuilder, value: V128, table: Uint8Array): V128 {
  const v = f.let(value);
  let result = v128.swizzle(constant(table.subarray(0, 16)), v);
  // Sixteen entries at a time: an index outside them gives 0.
  for (let from = 16; from < 256; from += 16) {
    const part = v128.swizzle(constant(table.subarray(from, from + 16)), v128.i8x16Sub(v, splat(from)));
    result = v128.or(result, part);
  }
  return f.let(result);
}

/** Byte r of column c comes from column c + by(r). */
const rows = (by: (row: number) => number): number[] =>
  Array.from({ length: 16 }, (_, i) => (((i >> 2) + by(i & 3)) & 3) * 4 + (i & 3));
const SHIFT_ROWS = rows((r) => r);
const SHIFT_ROWS_BACK = rows((r) => 4 - r);
const permuted = (v: V128, lanes: readonly number[]): V128 => v128.shuffle(v, v, lanes);
/** Every column turned up by `by` bytes. */
const turned = (v: V128, by: number): V128 =>
  permuted(
    v,
    Array.from({ length: 16 }, (_, i) => (i & ~3) | ((i + by) & 3)),
  );
const doubled = (f: FunctionBuilder, value: V128): V128 => {
  const v = f.let(value);
  return v128.xor(v128.i8x16Shl(v, k32(1)), v128.and(v128.i8x16GtS(splat(0), v), splat(0x1b)));
};

function mixColumns(f: FunctionBuilder, value: V128): V128 {
  const v = f.let(value);
  const one = f.let(turned(v, 1));
  const rest = v128.xor(one, v128.xor(turned(v, 2), turned(v, 3)));
  return f.let(v128.xor(doubled(f, v128.xor(v, one)), rest));
}
/** The inverse matrix is that of MixColumns times (5, 0, 4, 0). */
function mixColumnsBack(f: FunctionBuilder, value: V128): V128 {
  const v = f.let(value);
  const four = doubled(f, doubled(f, v128.xor(v, turned(v, 2))));
  return mixColumns(f, v128.xor(v, four));
}

/** aesEncrypt, aesEncryptLast, aesDecrypt, aesDecryptLast (state, block, key); aesMixBack (state, v); aesSubstitute (state, v). */
export function defineAes(set: KernelSet): void {
  const forward = substitution();
  const back = new Uint8Array(256);
  forward.forEach((to, from) => {
    back[to] = from;
  });
  const round = (name: string, step: (f: FunctionBuilder, v: V128) => V128): void => {
    set.define(name, ['i32', 'v128', 'v128'], 'v128', (f) => {
      f.return(v128.xor(step(f, f.param(1, 'v128').get), f.param(2, 'v128').get));
      f.unreachable();
    });
  };
  const substituted = (f: FunctionBuilder, v: V128): V128 => lookUp(f, permuted(v, SHIFT_ROWS), forward);
  const restored = (f: FunctionBuilder, v: V128): V128 => lookUp(f, permuted(v, SHIFT_ROWS_BACK), back);
  round('aesEncrypt', (f, v) => mixColumns(f, substituted(f, v)));
  round('aesEncryptLast', substituted);
  round('aesDecrypt', (f, v) => mixColumnsBack(f, restored(f, v)));
  round('aesDecryptLast', restored);
  set.define('aesMixBack', ['i32', 'v128'], 'v128', (f) => {
    f.return(mixColumnsBack(f, f.param(1, 'v128').get));
    f.unreachable();
  });
  set.define('aesSubstitute', ['i32', 'v128'], 'v128', (f) => {
    f.return(lookUp(f, f.param(1, 'v128').get, forward));
    f.unreachable();
  });
}
