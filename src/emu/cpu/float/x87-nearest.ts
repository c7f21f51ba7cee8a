/**
 * Arithmetic of normal extended numbers, rounded to nearest at 64 bits, addition and multiplication almost without branches:
 * signs, exponents and carries of real programs cannot be foretold.
 */
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { EXTENDED_BIAS, EXTENDED_MAX, flag64 } from './kernel-set.ts';
import { divideCore, multiplyWide, type Operand, squareRootCore, type Unrounded, unrounded } from './wide.ts';

type Give = (sig: I64, signExp: I32, flags: I32) => void;

/** Farther apart the smaller number's bits do not all fit. */
const MOST_APART = 62;

/** a + b. Falls through when they are far apart, cancel in their upper halves, or give what is not normal. */
export function addNearest(f: FunctionBuilder, a: Operand, b: Operand, give: Give): void {
  const swap = f.let(i32.or(i32.gtS(b.exp, a.exp), i32.and(i32.eq(a.exp, b.exp), i64.gtU(b.sig, a.sig))));
  const big = f.let(select(swap, b.sig, a.sig));
  const small = f.let(select(swap, a.sig, b.sig));
  const bigExp = f.let(select(swap, b.exp, a.exp));
  const apart = f.let(i32.sub(bigExp, select(swap, a.exp, b.exp)));
  const sign = f.let(select(swap, b.sign, a.sign));
  f.if(i32.leU(apart, k32(MOST_APART)), () => {
    // Both are moved down by one, so that a carry stays inside: 128 bits hold every bit of the sum.
    const n = f.let(i64.extendU(apart));
    const negative = f.let(i64.sub(k64(0), i64.extendU(i32.xor(a.sign, b.sign))));
    const bigLow = f.let(i64.shl(big, k64(63)));
    const smallLow = f.let(i64.shl(small, i64.sub(k64(63), n)));
    const smallHigh = i64.shrU(small, i64.add(n, k64(1)));
    const addedLow = f.let(i64.sub(i64.xor(smallLow, negative), negative));
    const low = f.let(i64.add(bigLow, addedLow));
    // -(high:low) is ~high:-low, and one more when low is 0.
    const addedHigh = i64.sub(
      i64.xor(smallHigh, negative),
      i64.and(negative, i64.sub(k64(0), flag64(i64.eqz(smallLow)))),
    );
    const carry = flag64(i64.ltU(low, bigLow));
    const high = f.let(i64.add(i64.add(i64.shrU(big, k64(1)), addedHigh), carry));
    f.if(i32.eqz(i64.eqz(high)), () => {
      const up = f.let(i64.clz(high));
      const hi = f.let(i64.or(i64.shl(high, up), i64.shrU(i64.shrU(low, k64(1)), i64.sub(k64(63), up))));
      const exp = f.let(i32.sub(i32.add(bigExp, k32(1)), i32.wrap(up)));
      roundNearest(f, { sign, exp, hi, lo: f.let(i64.shl(low, up)) }, give);
    });
  });
}

/** a * b. Falls through when the result is not normal. */
export function multiplyNearest(f: FunctionBuilder, a: Operand, b: Operand, give: Give): void {
  const p = multiplyWide(f, a.sig, b.sig);
  const short = f.let(flag64(i64.geS(p.hi, k64(0))));
  const hi = f.let(i64.or(i64.shl(p.hi, short), i64.and(i64.shrU(p.lo, k64(63)), short)));
  const exp = f.let(i32.sub(i32.sub(i32.add(a.exp, b.exp), k32(EXTENDED_BIAS - 1)), i32.wrap(short)));
  roundNearest(f, { sign: f.let(i32.xor(a.sign, b.sign)), exp, hi, lo: f.let(i64.shl(p.lo, short)) }, give);
}

/** a / b. Falls through when the result is not normal. */
export function divideNearest(f: FunctionBuilder, a: Operand, b: Operand, give: Give): void {
  const out = unrounded(f);
  divideCore(f, a, b, out);
  roundNearest(f, exactOf(out), give);
}

/** The square root of a, which is positive. */
export function squareRootNearest(f: FunctionBuilder, a: Operand, give: Give): void {
  const out = unrounded(f);
  squareRootCore(f, a, out);
  roundNearest(f, exactOf(out), give);
}

const exactOf = ({ sign, exp, hi, lo }: Unrounded): Exact => ({
  sign: sign.get,
  exp: exp.get,
  hi: hi.get,
  lo: lo.get,
});

interface Exact {
  readonly sign: I32;
  readonly exp: I32;
  /** Bit 63 is set. */
  readonly hi: I64;
  readonly lo: I64;
}
function roundNearest(f: FunctionBuilder, { sign, exp, hi, lo }: Exact, give: Give): void {
  const pastHalf = i64.ne(i64.shl(lo, k64(1)), k64(0));
  const up = f.let(i32.and(i64.ltS(lo, k64(0)), i32.or(pastHalf, i32.wrap(i64.and(hi, k64(1))))));
  const rounded = f.let(i64.add(hi, flag64(up)));
  // A carry out of the significand leaves bit 63 clear.
  const inRange = i32.ltU(i32.sub(exp, k32(1)), k32(EXTENDED_MAX - 1));
  f.if(i32.and(inRange, i64.ltS(rounded, k64(0))), () => {
    const flags = i32.or(i32.shl(i64.ne(lo, k64(0)), k32(5)), i32.shl(up, k32(9)));
    give(rounded, i32.or(exp, i32.shl(sign, k32(15))), flags);
  });
}
