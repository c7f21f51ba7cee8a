/**
 * Rounding to a format, with overflow, underflow and precision. Source: SDM Vol. 1, 4.9.1.4-4.9.1.6, 8.5.4-8.5.6, 11.5.2.
 *
 * Tininess is detected after rounding, to the destination's precision with an unbounded exponent.
 */
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Var } from '../wasm/function.ts';
import {
  anyBit,
  CONTROL,
  EXTENDED_BIAS,
  EXTENDED_MAX,
  FLAG,
  flag64,
  INTEGER_BIT,
  type KernelSet,
  raiseFlags,
} from './kernel-set.ts';
import { shiftRightJam } from './wide.ts';

/** What the exponent is moved by when an unmasked overflow or underflow delivers a result (x87 registers only). */
const BIAS_ADJUST = 24576;

interface Rounded {
  /** 0 or 1. */
  readonly inexact: I32;
  /** 0 or 1: the magnitude grew. */
  readonly up: I32;
  /** 0 or 1: it grew to the next power of two (hi is then 2^63). */
  readonly carry: I32;
}

/** Rounds hi:lo to 64 - drop bits, in place (0 <= drop <= 63). */
export function roundSignificand(
  f: FunctionBuilder,
  sign: I32,
  control: I32,
  hi: Var<'i64'>,
  lo: I64,
  drop: I64 | 0,
): Rounded {
  const sticky = flag64(i64.ne(lo, k64(0)));
  const count = drop === 0 ? k64(0) : drop;
  const cut = drop === 0 ? lo : i64.or(i64.shl(hi.get, i64.sub(k64(64), count)), sticky);
  const fraction = f.let(drop === 0 ? cut : select(i64.eqz(count), lo, cut));
  const unit = f.let(i64.shl(k64(1), count));
  const inexact = f.let(i64.ne(fraction, k64(0)));
  const up = f.local('i32');
  const mode = f.let(i32.and(control, k32(CONTROL.rounding)));
  f.if(
    mode,
    () => {
      // Down rounds the magnitude up when the sign is set, up when it is clear, zero never.
      const away = select(i32.eq(mode, k32(CONTROL.down)), sign, i32.eqz(sign));
      f.set(up, i32.and(inexact, i32.and(away, i32.ne(mode, k32(CONTROL.zero)))));
    },
    () => {
      const odd = i64.ne(i64.and(hi.get, unit), k64(0));
      const tie = i64.eq(fraction, k64(INTEGER_BIT));
      f.set(up, i32.and(i64.ltS(fraction, k64(0)), i32.or(i32.eqz(tie), odd)));
    },
  );
  const kept = i64.and(hi.get, i64.sub(k64(0), unit));
  f.set(hi, i64.add(kept, select(up.get, unit, k64(0))));
  const carry = f.let(i32.and(up.get, i64.eqz(hi.get)));
  f.if(carry, () => f.set(hi, k64(INTEGER_BIT)));
  return { inexact, up: up.get, carry };
}

/** PE and C1 of a rounding. */
const precisionFlags = (r: Rounded): I32 => i32.or(i32.shl(r.inexact, k32(5)), i32.shl(r.up, k32(9)));

/** Does an overflow give the largest finite number instead of infinity? */
const overflowStays = (sign: I32, control: I32): I32 => {
  const mode = i32.and(control, k32(CONTROL.rounding));
  const towards = select(sign, k32(CONTROL.up), k32(CONTROL.down));
  return i32.or(i32.eq(mode, k32(CONTROL.zero)), i32.eq(mode, towards));
};

/** round80(destination, control, sign, exp, hi, lo): stores an extended value of at most the controlled precision; flags. */
export function defineRound80(set: KernelSet): void {
  set.define('round80', ['i32', 'i32', 'i32', 'i32', 'i64', 'i64'], 'i32', (f) => {
    const at = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const sign = f.param(2, 'i32').get;
    const exp = f.param(3, 'i32');
    const hi = f.param(4, 'i64');
    const lo = f.param(5, 'i64');
    const store = (significand: I64, exponent: I32): void => {
      f.store64(at, significand);
      f.store16(at, i32.or(exponent, i32.shl(sign, k32(15))), 8);
    };
    const inRange = (): I32 => i32.ltU(i32.sub(exp.get, k32(1)), k32(EXTENDED_MAX - 1));
    const usual = i32.eq(
      i32.and(control, k32(CONTROL.precision | CONTROL.rounding)),
      k32(CONTROL.extended | CONTROL.nearest),
    );
    f.if(i32.and(usual, inRange()), () => {
      // A carry out of the top significand at the top exponent is left to the general path.
      const tie = i64.eq(lo.get, k64(INTEGER_BIT));
      const odd = i32.wrap(i64.and(hi.get, k64(1)));
      const up = f.let(i32.and(i64.ltS(lo.get, k64(0)), i32.or(i32.eqz(tie), odd)));
      const rounded = f.let(i64.add(hi.get, flag64(up)));
      f.if(i64.ne(rounded, k64(0)), () => {
        store(rounded, exp.get);
        f.return(i32.or(i32.shl(i64.ne(lo.get, k64(0)), k32(5)), i32.shl(up, k32(9))));
      });
    });

    const precision = f.let(i32.and(control, k32(CONTROL.precision)));
    const drop = f.let(
      select(i32.eqz(precision), k64(40), select(i32.eq(precision, k32(CONTROL.double)), k64(11), k64(0))),
    );
    const hi0 = f.local('i64');
    f.set(hi0, hi.get);
    const exp0 = f.let(i32.add(exp.get, k32(0)));
    const r = roundSignificand(f, sign, control, hi, lo.get, drop);
    f.set(exp, i32.add(exp.get, r.carry));
    const flags = f.let(precisionFlags(r));
    f.if(inRange(), () => {
      store(hi.get, exp.get);
      f.return(flags);
    });
    f.if(i32.ltS(exp.get, k32(1)), () => {
      f.if(
        anyBit(control, FLAG.ue),
        () => {
          shiftRightJam(f, hi0, lo, i32.sub(k32(1), exp0));
          const d = roundSignificand(f, sign, control, hi0, lo.get, drop);
          store(hi0.get, i64.ltS(hi0.get, k64(0)));
          f.return(i32.or(precisionFlags(d), i32.shl(d.inexact, k32(4))));
        },
        () => {
          // Too small even for the moved exponent (FSCALE): zero.
          f.set(exp, i32.add(exp.get, k32(BIAS_ADJUST)));
          f.if(i32.ltS(exp.get, k32(1)), () => {
            store(k64(0), k32(0));
            f.return(k32(FLAG.ue | FLAG.pe));
          });
          store(hi.get, exp.get);
          f.return(i32.or(flags, k32(FLAG.ue)));
        },
      );
    });
    f.if(i32.eqz(anyBit(control, FLAG.oe)), () => {
      f.set(exp, i32.sub(exp.get, k32(BIAS_ADJUST)));
      f.if(inRange(), () => {
        store(hi.get, exp.get);
        f.return(i32.or(flags, k32(FLAG.oe)));
      });
      store(k64(INTEGER_BIT), k32(EXTENDED_MAX));
      f.return(k32(FLAG.oe | FLAG.pe | FLAG.c1));
    });
    f.if(
      overflowStays(sign, control),
      () => {
        store(i64.shl(k64(-1n), drop), k32(EXTENDED_MAX - 1));
        f.return(k32(FLAG.oe | FLAG.pe));
      },
      () => store(k64(INTEGER_BIT), k32(EXTENDED_MAX)),
    );
    f.return(k32(FLAG.oe | FLAG.pe | FLAG.c1));
  });
}

/** An interchange format narrower than extended. */
export interface Format {
  readonly type: 'i32' | 'i64';
  readonly bits: 16 | 32 | 64;
  /** Explicit significand bits. */
  readonly fraction: 10 | 23 | 52;
  readonly bias: number;
  /** Exponent field of infinities and NaNs. */
  readonly max: number;
}
export const F32: Format = { type: 'i32', bits: 32, fraction: 23, bias: 127, max: 0xff };
export const F64: Format = { type: 'i64', bits: 64, fraction: 52, bias: 1023, max: 0x7ff };
export const FORMATS: readonly Format[] = [F32, F64];

/**
 * round32, round64 (state, control, sign, exp, hi, lo): the value's bits; flags go to the scratch area.
 * After an unmasked overflow or underflow the value means nothing: it is not delivered.
 */
export function defineRoundNarrow(set: KernelSet, format: Format): void {
  const drop = 63 - format.fraction;
  set.define(`round${format.bits}`, ['i32', 'i32', 'i32', 'i32', 'i64', 'i64'], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const sign = f.param(2, 'i32').get;
    const exp = f.param(3, 'i32');
    const hi = f.param(4, 'i64');
    const lo = f.param(5, 'i64');
    const giveBits = (magnitude: I64): void => {
      const bits = i64.or(magnitude, i64.shl(flag64(sign), k64(format.bits - 1)));
      f.return(format.bits === 64 ? bits : i32.wrap(bits));
    };
    /** The integer bit adds one to the exponent field, so it is taken off the field first. */
    const fields = (significand: I64, field: I32): I64 =>
      i64.add(i64.shrU(significand, k64(drop)), i64.shl(i64.extendS(field), k64(format.fraction)));

    f.set(exp, i32.sub(exp.get, k32(EXTENDED_BIAS - format.bias)));
    const hi0 = f.local('i64');
    f.set(hi0, hi.get);
    const exp0 = f.let(i32.add(exp.get, k32(0)));
    const r = roundSignificand(f, sign, control, hi, lo.get, k64(drop));
    f.set(exp, i32.add(exp.get, r.carry));
    const flags = f.let(precisionFlags(r));
    f.if(i32.ltU(i32.sub(exp.get, k32(1)), k32(format.max - 1)), () => {
      f.if(flags, () => raiseFlags(f, state, flags));
      giveBits(fields(hi.get, i32.sub(exp.get, k32(1))));
    });
    f.if(i32.ltS(exp.get, k32(1)), () => {
      f.if(i32.eqz(anyBit(control, FLAG.ue)), () => {
        raiseFlags(f, state, i32.or(flags, k32(FLAG.ue)));
        giveBits(k64(0));
      });
      f.if(anyBit(control, CONTROL.ftz), () => {
        raiseFlags(f, state, k32(FLAG.ue | FLAG.pe));
        giveBits(k64(0));
      });
      shiftRightJam(f, hi0, lo, i32.sub(k32(1), exp0));
      const d = roundSignificand(f, sign, control, hi0, lo.get, k64(drop));
      raiseFlags(f, state, i32.or(precisionFlags(d), i32.shl(d.inexact, k32(4))));
      giveBits(fields(hi0.get, k32(0)));
    });
    f.if(i32.eqz(anyBit(control, FLAG.oe)), () => {
      raiseFlags(f, state, i32.or(flags, k32(FLAG.oe)));
      giveBits(k64(0));
    });
    const infinity = BigInt(format.max) << BigInt(format.fraction);
    f.if(overflowStays(sign, control), () => {
      raiseFlags(f, state, k32(FLAG.oe | FLAG.pe));
      giveBits(k64(infinity - 1n));
    });
    raiseFlags(f, state, k32(FLAG.oe | FLAG.pe | FLAG.c1));
    giveBits(k64(infinity));
    f.unreachable();
  });
}
