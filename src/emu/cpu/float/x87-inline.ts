/**
 * x87 arithmetic for code that keeps registers as values: an i64 significand and a `key`, with the fewest instructions for
 * normal numbers rounded to nearest at 64 bits. Everything else is found out by looking at the result alone.
 *
 * A key has the sign in bit 31 and the exponent in bits 14 to 0. UNUSUAL is set where the number is not normal (zero,
 * denormal, infinite, NaN, unsupported): it drives the exponent of whatever is made of it out of range.
 */
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { CC, EXTENDED_BIAS, EXTENDED_MAX, INTEGER_BIT } from './kernel-set.ts';
import type { Format } from './round.ts';
import { divideCore, multiplyWide, squareRootCore, unrounded } from './wide.ts';

export const UNUSUAL = 1 << 20;
/** The limit of exponents minus 1; 0 where nothing may be done in the short way. */
export const EXPONENT_LIMIT = EXTENDED_MAX - 1;

const SIGN = 0x8000_0000 | 0;
const MAGNITUDE = 0x7fff_ffff;

export interface Keyed {
  readonly sig: I64;
  readonly key: I32;
}
export interface Inline extends Keyed {
  /** 0 or 1: rounded away from zero. */
  readonly up: I32;
  /** Any of them not 0: `sig` and `key` mean nothing. */
  readonly bad: readonly I32[];
}

/** The key of a significand and the 16 bits of sign and exponent; anything above them is ignored. */
export function keyOf(f: FunctionBuilder, sig: I64, signExp: I32): I32 {
  const exp = f.let(i32.and(signExp, k32(EXTENDED_MAX)));
  const odd = i32.or(i64.geS(sig, k64(0)), i32.geU(i32.sub(exp, k32(1)), k32(EXPONENT_LIMIT)));
  return i32.or(i32.or(i32.shl(i32.shrU(signExp, k32(15)), k32(31)), exp), i32.shl(odd, k32(20)));
}
/** Sign and exponent in 16 bits. */
export const signExpOf = (key: I32): I32 =>
  i32.or(i32.and(i32.shrU(key, k32(16)), k32(0x8000)), i32.and(key, k32(EXTENDED_MAX)));
export const negated = (key: I32): I32 => i32.xor(key, k32(SIGN));
export const absolute = (key: I32): I32 => i32.and(key, k32(MAGNITUDE));

/** hi:lo with bit 127 set, rounded to nearest even; the key's exponent may be anything. */
function round(f: FunctionBuilder, hi: I64, lo: I64, key: I32, limit: I32): Inline {
  const up = f.let(i64.gtU(lo, i64.sub(k64(INTEGER_BIT), i64.and(hi, k64(1)))));
  const sig = f.let(i64.add(hi, i64.extendU(up)));
  return { sig, key, up, bad: notNormal(sig, key, limit) };
}
/** A carry out of the significand leaves bit 63 clear, as does a zero. */
const notNormal = (sig: I64, key: I32, limit: I32): I32[] => [
  i64.geS(sig, k64(0)),
  i32.geU(i32.sub(absolute(key), k32(1)), limit),
];

/** a + b, almost without branches: signs, exponents and carries of real programs cannot be foretold. */
export function addInline(f: FunctionBuilder, a: Keyed, b: Keyed, limit: I32): Inline {
  const difference = f.let(i32.sub(absolute(a.key), absolute(b.key)));
  const swap = f.let(i32.shrU(i32.sub(difference, i64.ltU(a.sig, b.sig)), k32(31)));
  const big = f.let(select(swap, b.sig, a.sig));
  const small = f.let(select(swap, a.sig, b.sig));
  const key = select(swap, b.key, a.key);
  const apart = f.let(select(swap, i32.sub(k32(0), difference), difference));
  const n = f.let(i64.extendU(apart));
  // All ones to subtract: a - b is ~(~a + b). Both are moved down by one, so that a carry stays inside.
  const mask = f.let(i64.extendS(i32.shrS(i32.xor(a.key, b.key), k32(31))));
  const smallLow = f.let(i64.shl(small, i64.xor(n, k64(63))));
  const low = f.let(i64.add(i64.xor(i64.shl(big, k64(63)), mask), smallLow));
  const carry = i64.extendU(i64.ltU(low, smallLow));
  const smallHigh = i64.shrU(i64.shrU(small, k64(1)), n);
  const high = i64.add(i64.add(i64.xor(i64.shrU(big, k64(1)), mask), smallHigh), carry);
  const hi = f.let(i64.xor(high, mask));
  const lo = f.let(i64.xor(low, mask));
  const up = f.let(i64.clz(hi));
  // With an upper half of zero the count is 64, and bit 63 stays clear.
  const top = f.let(i64.or(i64.shl(hi, up), i64.shrU(i64.shrU(lo, k64(1)), i64.xor(up, k64(63)))));
  const sum = f.let(i32.sub(i32.add(key, k32(1)), i32.wrap(up)));
  const result = round(f, top, f.let(i64.shl(lo, up)), sum, limit);
  // Farther apart the smaller number's bits do not all fit.
  return { ...result, bad: [...result.bad, i32.shrU(apart, k32(6))] };
}

/** a * b. */
export function multiplyInline(f: FunctionBuilder, a: Keyed, b: Keyed, limit: I32): Inline {
  const { hi, lo } = multiplyWide(f, a.sig, b.sig);
  const long = f.let(i64.ltS(hi, k64(0)));
  const top = f.let(select(long, hi, i64.or(i64.add(hi, hi), i64.shrU(lo, k64(63)))));
  const low = f.let(select(long, lo, i64.add(lo, lo)));
  // Signs add up in bit 31; an exponent below zero borrows from there, and is out of range.
  const key = f.let(i32.add(i32.add(a.key, b.key), i32.sub(long, k32(EXTENDED_BIAS))));
  const up = f.let(i64.shrU(low, k64(63)));
  const sig = f.let(i64.add(top, up));
  // Few products lie in the middle between two significands.
  return { sig, key, up: i32.wrap(up), bad: [...notNormal(sig, key, limit), i64.eq(low, k64(INTEGER_BIT))] };
}

/** a / b, whose quotient's integer part is worked out in digits of 32 bits. */
export function divideInline(f: FunctionBuilder, a: Keyed, b: Keyed, limit: I32): Inline {
  const out = unrounded(f);
  const operand = (v: Keyed) => ({ sign: f.let(i32.shrU(v.key, k32(31))), exp: f.let(absolute(v.key)), sig: v.sig });
  divideCore(f, operand(a), operand(b), out);
  const key = f.let(i32.or(i32.shl(out.sign.get, k32(31)), i32.and(out.exp.get, k32(MAGNITUDE))));
  return round(f, out.hi.get, out.lo.get, key, limit);
}

/** The square root of what has no sign. */
export function squareRootInline(f: FunctionBuilder, v: Keyed, limit: I32): Inline {
  const out = unrounded(f);
  squareRootCore(f, { sign: k32(0), exp: v.key, sig: v.sig }, out);
  return round(f, out.hi.get, out.lo.get, out.exp.get, limit);
}

/** A single (i32) or double (i64) as it lies in memory. With `bad` it is not normal, and the rest means nothing. */
export function widenInline(f: FunctionBuilder, bits: I32 | I64): Keyed & { readonly bad: I32 } {
  const wide = bits.type === 'i64';
  const high = f.let(wide ? i32.wrap(i64.shrU(bits as I64, k64(32))) : (bits as I32));
  const [shift, field] = wide ? [20, 0x7ff] : [23, 0xff];
  const unit = 1 << (shift + 1);
  const rest = i32.sub(i32.shl(high, k32(1)), k32(unit));
  const bad = i32.geU(rest, k32((field - 1) * unit));
  const key = i32.add(i32.and(i32.shrS(high, k32(shift)), k32(SIGN | field)), k32(EXTENDED_BIAS - (field >> 1)));
  const fraction = wide ? i64.shl(bits as I64, k64(11)) : i64.shl(i64.extendU(bits as I32), k64(40));
  return { sig: f.let(i64.or(fraction, k64(INTEGER_BIT))), key: f.let(key), bad };
}

/** A number rounded to a single or double that is normal, as bits (of a single, in the lower half). */
export function narrowInline(
  f: FunctionBuilder,
  v: Keyed,
  format: Format,
  limit: I32,
): { bits: I64; up: I32; bad: I32 } {
  const drop = 63 - format.fraction;
  // The highest exponents may overflow when rounded, the lowest may have been tiny.
  const field = f.let(i32.sub(absolute(v.key), k32(EXTENDED_BIAS - format.bias + 1)));
  const bad = i32.geU(field, i32.and(limit, k32(format.max - 2)));
  const kept = f.let(i64.shrU(v.sig, k64(drop)));
  const rest = i64.and(v.sig, k64((1n << BigInt(drop)) - 1n));
  const up = f.let(i64.gtU(i64.add(rest, i64.and(kept, k64(1))), k64(1n << BigInt(drop - 1))));
  // The integer bit adds one to the exponent field; a carry of the rounding does so again.
  const magnitude = i64.add(i64.add(kept, i64.extendU(up)), i64.shl(i64.extendU(field), k64(format.fraction)));
  const sign = i64.shl(i64.extendU(i32.and(v.key, k32(SIGN))), k64(format.bits - 32));
  return { bits: f.let(i64.or(magnitude, sign)), up, bad };
}

/** C0 and C3 of a compared with b; `bad` unless both are normal. */
export function compareInline(f: FunctionBuilder, a: Keyed, b: Keyed): { code: I32; bad: I32 } {
  const ordered = (key: I32): I32 => i32.xor(key, i32.shrU(i32.shrS(key, k32(31)), k32(1)));
  const same = f.let(i32.eq(a.key, b.key));
  const smaller = i32.xor(i64.ltU(a.sig, b.sig), i32.shrU(a.key, k32(31)));
  const equal = f.let(i32.and(same, i64.eq(a.sig, b.sig)));
  const less = i32.or(i32.ltS(ordered(a.key), ordered(b.key)), i32.and(i32.xor(same, equal), smaller));
  const code = i32.or(i32.shl(less, k32(Math.log2(CC.c0))), i32.shl(equal, k32(Math.log2(CC.c3))));
  return { code, bad: i32.and(i32.or(a.key, b.key), k32(UNUSUAL)) };
}
