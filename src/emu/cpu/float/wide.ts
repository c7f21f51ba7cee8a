/** 128-bit arithmetic on pairs of i64, and the four operations on significands built from it. */
import { f64, type I32, type I64, i32, i64, k32, k64, kf64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Var } from '../wasm/function.ts';
import { EXTENDED_BIAS, flag64, INTEGER_BIT } from './kernel-set.ts';

export interface Wide {
  readonly hi: I64;
  readonly lo: I64;
}

/** A number: (-1)^sign * (hi:lo / 2^127) * 2^(exp - 16383); bit 0 of lo is sticky, bit 127 is set unless it is zero. */
export interface Unrounded {
  readonly sign: Var<'i32'>;
  readonly exp: Var<'i32'>;
  readonly hi: Var<'i64'>;
  readonly lo: Var<'i64'>;
}

/** An operand: (-1)^sign * (sig / 2^63) * 2^(exp - 16383), bit 63 of sig set unless it is zero. */
export interface Operand {
  readonly sign: I32;
  readonly exp: I32;
  readonly sig: I64;
}

/** Exponent given to a zero operand of an addition: below every other by more than 128. */
export const ZERO_EXPONENT = -40000;

const LOW = 0xffffffffn;
const low32 = (v: I64): I64 => i64.and(v, k64(LOW));
const high32 = (v: I64): I64 => i64.shrU(v, k64(32));

export const unrounded = (f: FunctionBuilder): Unrounded => ({
  sign: f.local('i32'),
  exp: f.local('i32'),
  hi: f.local('i64'),
  lo: f.local('i64'),
});

/** a * b, all 128 bits. */
export function multiplyWide(f: FunctionBuilder, a: I64, b: I64): Wide {
  const a0 = f.let(low32(a));
  const a1 = f.let(high32(a));
  const b0 = f.let(low32(b));
  const b1 = f.let(high32(b));
  const p00 = f.let(i64.mul(a0, b0));
  const p01 = f.let(i64.mul(a0, b1));
  // (2^32-1)^2 + 2 (2^32-1) = 2^64 - 1: no carry is lost.
  const middle = f.let(i64.add(i64.add(high32(p00), low32(p01)), i64.mul(a1, b0)));
  const hi = f.let(i64.add(i64.add(i64.mul(a1, b1), high32(p01)), high32(middle)));
  const lo = f.let(i64.or(i64.shl(middle, k64(32)), low32(p00)));
  return { hi, lo };
}

/** hi:lo >> count (count >= 0) in place; bits shifted out stay as the sticky bit 0. */
export function shiftRightJam(f: FunctionBuilder, hi: Var<'i64'>, lo: Var<'i64'>, count: I32): void {
  const n = f.let(count);
  f.if(n, () => {
    const wide = f.let(i64.extendU(n));
    f.if(
      i32.ltU(n, k32(64)),
      () => {
        const back = f.let(i64.sub(k64(64), wide));
        const lost = f.let(i64.ne(i64.shl(lo.get, back), k64(0)));
        f.set(lo, i64.or(i64.or(i64.shrU(lo.get, wide), i64.shl(hi.get, back)), flag64(lost)));
        f.set(hi, i64.shrU(hi.get, wide));
      },
      () => {
        f.if(
          i32.ltU(n, k32(128)),
          () => {
            // (hi << 1) << (127 - n) and not hi << (128 - n): the count of 64 would be taken modulo 64.
            const out = i64.shl(i64.shl(hi.get, k64(1)), i64.sub(k64(127), wide));
            const lost = f.let(i64.ne(i64.or(out, lo.get), k64(0)));
            f.set(lo, i64.or(i64.shrU(hi.get, i64.sub(wide, k64(64))), flag64(lost)));
          },
          () => f.set(lo, flag64(i64.ne(i64.or(hi.get, lo.get), k64(0)))),
        );
        f.set(hi, k64(0));
      },
    );
  });
}

/** Quotient and remainder of hi:lo by `divisor`, whose bit 63 is set; hi < divisor (Knuth's algorithm D, base 2^32). */
export function divideWide(f: FunctionBuilder, hi: I64, lo: I64, divisor: I64): { quotient: I64; remainder: I64 } {
  const d1 = f.let(high32(divisor));
  const d0 = f.let(low32(divisor));
  const digit = (top: I64, next: I64): { q: I64; rest: I64 } => {
    const q = f.local('i64');
    const r = f.local('i64');
    f.set(q, i64.divU(top, d1));
    f.set(r, i64.sub(top, i64.mul(q.get, d1)));
    f.block((done) => {
      f.loop((again) => {
        const tooBig = i32.or(
          i64.gtU(q.get, k64(LOW)),
          i64.gtU(i64.mul(q.get, d0), i64.or(i64.shl(r.get, k64(32)), next)),
        );
        f.brIf(done, i32.eqz(tooBig));
        f.set(q, i64.sub(q.get, k64(1)));
        f.set(r, i64.add(r.get, d1));
        f.brIf(again, i64.leU(r.get, k64(LOW)));
      });
    });
    const rest = f.let(i64.sub(i64.or(i64.shl(top, k64(32)), next), i64.mul(q.get, divisor)));
    return { q: q.get, rest };
  };
  const first = digit(hi, f.let(high32(lo)));
  const second = digit(first.rest, f.let(low32(lo)));
  return { quotient: f.let(i64.or(i64.shl(first.q, k64(32)), second.q)), remainder: second.rest };
}

/** a + b for operands that are not both zero; the sign of an exact zero is left to the caller (hi = lo = 0 then). */
export function addCore(f: FunctionBuilder, a: Operand, b: Operand, out: Unrounded): void {
  const swap = f.let(i32.or(i32.gtS(b.exp, a.exp), i32.and(i32.eq(a.exp, b.exp), i64.gtU(b.sig, a.sig))));
  const big = f.let(select(swap, b.sig, a.sig));
  const otherHi = f.local('i64');
  const otherLo = f.local('i64');
  f.set(otherHi, select(swap, a.sig, b.sig));
  f.set(otherLo, k64(0));
  f.set(out.exp, select(swap, b.exp, a.exp));
  f.set(out.sign, select(swap, b.sign, a.sign));
  shiftRightJam(f, otherHi, otherLo, i32.sub(out.exp.get, select(swap, a.exp, b.exp)));
  f.if(
    i32.eq(a.sign, b.sign),
    () => {
      f.set(out.hi, i64.add(big, otherHi.get));
      f.set(out.lo, otherLo.get);
      f.if(i64.ltU(out.hi.get, big), () => {
        f.set(
          out.lo,
          i64.or(i64.or(i64.shrU(out.lo.get, k64(1)), i64.and(out.lo.get, k64(1))), i64.shl(out.hi.get, k64(63))),
        );
        f.set(out.hi, i64.or(i64.shrU(out.hi.get, k64(1)), k64(INTEGER_BIT)));
        f.set(out.exp, i32.add(out.exp.get, k32(1)));
      });
    },
    () => {
      f.set(out.lo, i64.sub(k64(0), otherLo.get));
      f.set(out.hi, i64.sub(i64.sub(big, otherHi.get), flag64(i64.ne(otherLo.get, k64(0)))));
      normalize(f, out);
    },
  );
}

/** A number as `Unrounded` describes it, as a value: bit 127 is set, bit 0 of lo may be sticky. */
export interface WideOperand {
  readonly sign: I32;
  readonly exp: I32;
  readonly hi: I64;
  readonly lo: I64;
}

/**
 * a + b, neither zero; hi = lo = 0 when they cancel. At least the two lowest bits of both are zero, so that what is shifted
 * out and kept as one sticky bit does not matter where the difference loses leading bits.
 */
export function addWide(f: FunctionBuilder, a: WideOperand, b: WideOperand, out: Unrounded): void {
  const below = i32.or(i64.gtU(b.hi, a.hi), i32.and(i64.eq(b.hi, a.hi), i64.gtU(b.lo, a.lo)));
  const swap = f.let(i32.or(i32.gtS(b.exp, a.exp), i32.and(i32.eq(a.exp, b.exp), below)));
  const bigHi = f.let(select(swap, b.hi, a.hi));
  const bigLo = f.let(select(swap, b.lo, a.lo));
  const hi = f.local('i64');
  const lo = f.local('i64');
  f.set(hi, select(swap, a.hi, b.hi));
  f.set(lo, select(swap, a.lo, b.lo));
  f.set(out.exp, select(swap, b.exp, a.exp));
  f.set(out.sign, select(swap, b.sign, a.sign));
  shiftRightJam(f, hi, lo, i32.sub(out.exp.get, select(swap, a.exp, b.exp)));
  f.if(
    i32.eq(a.sign, b.sign),
    () => {
      f.set(out.lo, i64.add(bigLo, lo.get));
      const carry = f.let(flag64(i64.ltU(out.lo.get, bigLo)));
      const sum = f.let(i64.add(bigHi, hi.get));
      f.set(out.hi, i64.add(sum, carry));
      const over = i32.or(i64.ltU(sum, bigHi), i64.ltU(out.hi.get, sum));
      f.if(over, () => {
        const sticky = i64.and(out.lo.get, k64(1));
        f.set(out.lo, i64.or(i64.or(i64.shrU(out.lo.get, k64(1)), sticky), i64.shl(out.hi.get, k64(63))));
        f.set(out.hi, i64.or(i64.shrU(out.hi.get, k64(1)), k64(INTEGER_BIT)));
        f.set(out.exp, i32.add(out.exp.get, k32(1)));
      });
    },
    () => {
      f.set(out.lo, i64.sub(bigLo, lo.get));
      f.set(out.hi, i64.sub(i64.sub(bigHi, hi.get), flag64(i64.ltU(bigLo, lo.get))));
      normalize(f, out);
    },
  );
}

/** Shifts left until bit 127 is set; zero stays zero. */
export function normalize(f: FunctionBuilder, out: Unrounded): void {
  f.if(i64.geS(out.hi.get, k64(0)), () => {
    f.if(i64.eqz(out.hi.get), () => {
      f.set(out.hi, out.lo.get);
      f.set(out.lo, k64(0));
      f.set(out.exp, i32.sub(out.exp.get, k32(64)));
    });
    const n = f.let(i64.clz(out.hi.get));
    f.if(i32.and(i64.ne(n, k64(0)), i64.ne(n, k64(64))), () => {
      f.set(out.hi, i64.or(i64.shl(out.hi.get, n), i64.shrU(out.lo.get, i64.sub(k64(64), n))));
      f.set(out.lo, i64.shl(out.lo.get, n));
      f.set(out.exp, i32.sub(out.exp.get, i32.wrap(n)));
    });
  });
}

/** a * b, neither zero. */
export function multiplyCore(f: FunctionBuilder, a: Operand, b: Operand, out: Unrounded): void {
  const p = multiplyWide(f, a.sig, b.sig);
  f.set(out.sign, i32.xor(a.sign, b.sign));
  f.set(out.exp, i32.sub(i32.add(a.exp, b.exp), k32(EXTENDED_BIAS - 1)));
  const short = f.let(i64.geS(p.hi, k64(0)));
  const n = f.let(flag64(short));
  f.set(out.hi, i64.or(i64.shl(p.hi, n), i64.and(i64.shrU(p.lo, k64(63)), n)));
  f.set(out.lo, i64.shl(p.lo, n));
  f.set(out.exp, i32.sub(out.exp.get, short));
}

/** a / b, neither zero. */
export function divideCore(f: FunctionBuilder, a: Operand, b: Operand, out: Unrounded): void {
  const less = f.let(i64.ltU(a.sig, b.sig));
  f.set(out.sign, i32.xor(a.sign, b.sign));
  f.set(out.exp, i32.sub(i32.add(i32.sub(a.exp, b.exp), k32(EXTENDED_BIAS)), less));
  const hi = f.let(i64.shrU(a.sig, flag64(i32.eqz(less))));
  const lo = f.let(select(less, k64(0), i64.shl(a.sig, k64(63))));
  const { quotient, remainder } = divideWide(f, hi, lo, b.sig);
  f.set(out.hi, quotient);
  // 2r against b without overflow: r against b - r.
  const rest = f.let(i64.sub(b.sig, remainder));
  f.set(
    out.lo,
    i64.or(
      i64.shl(flag64(i64.geU(remainder, rest)), k64(63)),
      flag64(i32.and(i64.ne(remainder, k64(0)), i64.ne(remainder, rest))),
    ),
  );
}

/** The square root of a, which is positive. */
export function squareRootCore(f: FunctionBuilder, a: Operand, out: Unrounded): void {
  const TWO_32 = kf64(2 ** 32);
  const TWO_64 = kf64(2 ** 64);
  const e = f.let(i32.sub(a.exp, k32(EXTENDED_BIAS)));
  const odd = f.let(i32.and(e, k32(1)));
  f.set(out.sign, k32(0));
  f.set(out.exp, i32.add(i32.shrS(e, k32(1)), k32(EXTENDED_BIAS)));
  const hi = f.let(select(odd, a.sig, i64.shrU(a.sig, k64(1))));
  const lo = f.let(select(odd, k64(0), i64.shl(a.sig, k64(63))));
  const root = f.local('i64');
  const restHi = f.local('i64');
  const restLo = f.local('i64');
  const setRest = (): void => {
    const square = multiplyWide(f, root.get, root.get);
    f.set(restLo, i64.sub(lo, square.lo));
    f.set(restHi, i64.sub(i64.sub(hi, square.hi), flag64(i64.ltU(lo, square.lo))));
  };
  f.set(root, i64.truncSatF64U(f64.mul(f64.sqrt(f64.convertI64U(hi)), TWO_32)));
  setRest();
  // One Newton step from 52 bits, kept below the root; then single steps up.
  const rest = f64.add(f64.mul(f64.convertI64S(restHi.get), TWO_64), f64.convertI64U(restLo.get));
  const step = f64.div(rest, f64.mul(f64.convertI64U(root.get), kf64(2)));
  f.set(root, i64.add(root.get, i64.sub(i64.truncSatF64S(f64.floor(step)), k64(1))));
  setRest();
  f.block((done) => {
    f.loop((again) => {
      // Stop when rest <= 2 root.
      const twiceHi = i64.shrU(root.get, k64(63));
      const twiceLo = i64.shl(root.get, k64(1));
      const greater = i32.or(
        i64.gtS(restHi.get, twiceHi),
        i32.and(i64.eq(restHi.get, twiceHi), i64.gtU(restLo.get, twiceLo)),
      );
      f.brIf(done, i32.eqz(greater));
      const less = f.let(i64.leU(restLo.get, twiceLo));
      f.set(restHi, i64.sub(i64.sub(restHi.get, twiceHi), flag64(less)));
      f.set(restLo, i64.sub(i64.sub(restLo.get, twiceLo), k64(1)));
      f.set(root, i64.add(root.get, k64(1)));
      f.br(again);
    });
  });
  f.set(out.hi, root.get);
  const past = i32.or(i64.ne(restHi.get, k64(0)), i64.gtU(restLo.get, root.get));
  f.set(out.lo, i64.or(i64.shl(flag64(past), k64(63)), flag64(i64.ne(i64.or(restHi.get, restLo.get), k64(0)))));
}
