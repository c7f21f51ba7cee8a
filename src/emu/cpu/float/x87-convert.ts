/**
 * Conversions between extended and the memory formats, and FRNDINT.
 * Source: SDM Vol. 1, 4.2, 4.7 (packed BCD), 8.5.1.2; Vol. 2, FIST, FISTTP, FBSTP, FST, FRNDINT.
 *
 * Conversions to memory leave their flags in the scratch area: the instruction stores first and commits afterwards.
 */
import { type I32, type I64, i32, i64, k32, k64, select, type Val } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import {
  controlWord,
  isDenormal,
  isInfinite,
  isNan,
  isSignalling,
  isUnsupported,
  loadExtended,
  operandOf,
  signOf,
  storeExtended,
  storeInteger,
  unmasked,
} from './extended.ts';
import {
  EXTENDED_BIAS,
  EXTENDED_MAX,
  FLAG,
  flag64,
  INTEGER_BIT,
  type KernelSet,
  or32,
  raiseFlags,
  SCRATCH,
} from './kernel-set.ts';
import { FORMATS, type Format, roundSignificand } from './round.ts';
import { shiftRightJam } from './wide.ts';

const INTEGER_INDEFINITE: Record<16 | 32 | 64, bigint> = { 16: -0x8000n, 32: -0x80000000n, 64: -(1n << 63n) };
const BCD_LIMIT = 10n ** 18n;

/** x87FromF32, x87FromF64 (bits, destination): exact, signalling NaNs stay so. Returns MODE.denormal for a denormal, else 0. */
function defineWiden(set: KernelSet, format: Format): void {
  const spare = 63 - format.fraction;
  set.define(`x87FromF${format.bits}`, [format.type, 'i32'], 'i32', (f) => {
    const raw: Val = f.param(0, format.type).get;
    const bits = f.let(format.bits === 64 ? (raw as I64) : i64.extendU(raw as I32));
    const to = f.param(1, 'i32').get;
    const sign = f.let(i32.shl(i32.wrap(i64.shrU(bits, k64(format.bits - 1))), k32(15)));
    const exp = f.let(i32.and(i32.wrap(i64.shrU(bits, k64(format.fraction))), k32(format.max)));
    const sig = f.let(i64.and(i64.shl(bits, k64(spare)), k64(INTEGER_BIT - 1n)));
    f.if(exp, () => {
      const field = select(
        i32.eq(exp, k32(format.max)),
        k32(EXTENDED_MAX),
        i32.add(exp, k32(EXTENDED_BIAS - format.bias)),
      );
      storeExtended(f, to, i64.or(sig, k64(INTEGER_BIT)), i32.or(field, sign));
      f.return(k32(0));
    });
    f.if(i64.eqz(sig), () => {
      storeExtended(f, to, k64(0), sign);
      f.return(k32(0));
    });
    const n = f.let(i64.clz(sig));
    const field = i32.sub(k32(EXTENDED_BIAS - format.bias + 1), i32.wrap(n));
    storeExtended(f, to, i64.shl(sig, n), i32.or(field, sign));
    f.return(k32(2));
    f.unreachable();
  });
}

/** x87ToF32, x87ToF64 (state, source): the bits; scratch flags are those of this conversion alone. */
function defineNarrow(set: KernelSet, format: Format): void {
  const { bits, fraction, max } = format;
  const infinity = BigInt(max) << BigInt(fraction);
  const indefinite = (1n << BigInt(bits - 1)) | infinity | (1n << BigInt(fraction - 1));
  set.define(`x87ToF${bits}`, ['i32', 'i32'], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const v = loadExtended(f, f.param(1, 'i32').get);
    const control = f.let(controlWord(state));
    const give = (value: I64): void => f.return(bits === 64 ? value : i32.wrap(value));
    const sign = f.let(signOf(v));
    const signBit = i64.shl(flag64(sign), k64(bits - 1));
    f.store32(state, k32(0), SCRATCH.flags);
    f.if(i32.or(i32.eqz(v.exp), i32.or(isUnsupported(v), i32.eq(v.exp, k32(EXTENDED_MAX)))), () => {
      f.if(isUnsupported(v), () => {
        raiseFlags(f, state, k32(FLAG.ie));
        give(k64(indefinite));
      });
      f.if(isNan(v), () => {
        raiseFlags(f, state, isSignalling(v));
        const payload = i64.shrU(i64.shl(v.sig, k64(1)), k64(64 - fraction));
        give(i64.or(i64.or(signBit, k64(infinity | (1n << BigInt(fraction - 1)))), payload));
      });
      f.if(isInfinite(v), () => give(i64.or(signBit, k64(infinity))));
      f.if(i64.eqz(v.sig), () => give(signBit));
    });
    const o = operandOf(f, v);
    f.return(set.value(format.type, `round${bits}`, state, control, sign, o.exp, o.sig, k64(0)));
    f.unreachable();
  });
}

/** Rounds a finite value to an integer: its magnitude (saturated to 2^64 - 1 with `huge`), inexact and rounded-up. */
function toMagnitude(
  f: FunctionBuilder,
  sign: I32,
  control: I32,
  exp: I32,
  sig: I64,
): { magnitude: I64; flags: I32; huge: I32 } {
  const hi = f.local('i64');
  const lo = f.local('i64');
  f.set(hi, sig);
  f.set(lo, k64(0));
  const right = f.let(i32.sub(k32(EXTENDED_BIAS + 63), exp));
  const huge = f.let(i32.ltS(right, k32(0)));
  const flags = f.local('i32');
  f.set(flags, k32(0));
  f.if(i32.eqz(huge), () => {
    shiftRightJam(f, hi, lo, right);
    const r = roundSignificand(f, sign, control, hi, lo.get, 0);
    f.set(flags, i32.or(i32.shl(r.inexact, k32(5)), i32.shl(r.up, k32(9))));
  });
  return { magnitude: hi.get, flags: flags.get, huge };
}

/**
 * x87ToInteger(state, source, bits, control): the integer, sign-extended; the integer indefinite when it does not fit.
 * Scratch flags are those of this conversion alone.
 */
function defineToInteger(set: KernelSet): void {
  set.define('x87ToInteger', ['i32', 'i32', 'i32', 'i32'], 'i64', (f) => {
    const state = f.param(0, 'i32').get;
    const v = loadExtended(f, f.param(1, 'i32').get);
    const bits = f.param(2, 'i32').get;
    const control = f.param(3, 'i32').get;
    const sign = f.let(signOf(v));
    f.store32(state, k32(0), SCRATCH.flags);
    f.block((invalid) => {
      f.brIf(invalid, i32.or(isUnsupported(v), i32.eq(v.exp, k32(EXTENDED_MAX))));
      f.if(i64.eqz(v.sig), () => f.return(k64(0)));
      const o = operandOf(f, v);
      const r = toMagnitude(f, sign, control, o.exp, o.sig);
      f.brIf(invalid, r.huge);
      const limit = i64.add(i64.shrU(k64(INTEGER_BIT), i64.extendU(i32.sub(k32(64), bits))), flag64(sign));
      f.brIf(invalid, i64.geU(r.magnitude, limit));
      f.if(r.flags, () => raiseFlags(f, state, r.flags));
      f.return(select(sign, i64.sub(k64(0), r.magnitude), r.magnitude));
    });
    raiseFlags(f, state, k32(FLAG.ie));
    f.return(
      select(
        i32.eq(bits, k32(64)),
        k64(INTEGER_INDEFINITE[64]),
        select(i32.eq(bits, k32(32)), k64(INTEGER_INDEFINITE[32]), k64(INTEGER_INDEFINITE[16])),
      ),
    );
    f.unreachable();
  });
}

/** x87ToBcd(state, source): leaves 10 bytes at SCRATCH.result. Scratch flags likewise. */
function defineToBcd(set: KernelSet): void {
  set.define('x87ToBcd', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const v = loadExtended(f, f.param(1, 'i32').get);
    const sign = f.let(signOf(v));
    f.store32(state, k32(0), SCRATCH.flags);
    f.block((invalid) => {
      f.brIf(invalid, i32.or(isUnsupported(v), i32.eq(v.exp, k32(EXTENDED_MAX))));
      const o = operandOf(f, v);
      const rest = f.local('i64');
      f.set(rest, k64(0));
      f.if(i64.ne(v.sig, k64(0)), () => {
        const r = toMagnitude(f, sign, controlWord(state), o.exp, o.sig);
        f.brIf(invalid, r.huge);
        f.set(rest, r.magnitude);
        f.brIf(invalid, i64.geU(rest.get, k64(BCD_LIMIT)));
        raiseFlags(f, state, r.flags);
      });
      const low = f.local('i64');
      const shift = f.local('i64');
      f.set(low, k64(0));
      f.set(shift, k64(0));
      f.loop((again) => {
        f.set(low, i64.or(low.get, i64.shl(i64.remU(rest.get, k64(10)), shift.get)));
        f.set(rest, i64.divU(rest.get, k64(10)));
        f.set(shift, i64.add(shift.get, k64(4)));
        f.brIf(again, i64.ltU(shift.get, k64(64)));
      });
      f.store64(state, low.get, SCRATCH.result);
      const top = i64.or(i64.remU(rest.get, k64(10)), i64.shl(i64.divU(rest.get, k64(10)), k64(4)));
      f.store16(state, i32.or(i32.wrap(top), i32.shl(sign, k32(15))), SCRATCH.result + 8);
      f.return();
    });
    raiseFlags(f, state, k32(FLAG.ie));
    f.store64(state, k64(0xc000000000000000n), SCRATCH.result);
    f.store16(state, k32(0xffff), SCRATCH.result + 8);
  });
}

/** x87FromBcd(low, high, destination): exact; digits above 9 count as they are. */
function defineFromBcd(set: KernelSet): void {
  set.define('x87FromBcd', ['i64', 'i32', 'i32'], 'void', (f) => {
    const low = f.param(0, 'i64').get;
    const high = f.param(1, 'i32').get;
    const to = f.param(2, 'i32').get;
    const value = f.local('i64');
    const shift = f.local('i64');
    const nibble = (n: number): I64 => i64.extendU(i32.and(i32.shrU(high, k32(n)), k32(15)));
    f.set(value, i64.add(i64.mul(nibble(4), k64(10)), nibble(0)));
    f.set(shift, k64(60));
    f.loop((again) => {
      f.set(value, i64.add(i64.mul(value.get, k64(10)), i64.and(i64.shrU(low, shift.get), k64(15))));
      f.set(shift, i64.sub(shift.get, k64(4)));
      f.brIf(again, i64.geS(shift.get, k64(0)));
    });
    storeInteger(f, to, value.get);
    f.store16(to, i32.or(i32.load16U(to, 8), i32.and(high, k32(0x8000))), 8);
  });
}

/** x87RoundInteger(state, source, destination): FRNDINT; 1 when an unmasked exception kept the result back. */
function defineRoundInteger(set: KernelSet): void {
  set.define('x87RoundInteger', ['i32', 'i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.param(1, 'i32').get;
    const to = f.param(2, 'i32').get;
    const v = loadExtended(f, at);
    const done = (flags: I32): void => {
      set.run(f, 'x87Commit', state, flags);
      f.return(k32(0));
    };
    f.if(i32.or(isUnsupported(v), isNan(v)), () => {
      const place = i32.add(state, k32(SCRATCH.result));
      const flags = f.let(set.value('i32', 'x87Nan', at, at, place));
      f.if(unmasked(state, flags), () => {
        set.run(f, 'x87Commit', state, flags);
        f.return(k32(1));
      });
      storeExtended(f, to, i64.load(place), i32.load16U(place, 8));
      done(flags);
    });
    const small = i32.ltU(v.exp, k32(EXTENDED_BIAS + 63));
    f.if(i32.or(i32.eqz(small), i64.eqz(v.sig)), () => {
      storeExtended(f, to, v.sig, v.signExp);
      done(k32(0));
    });
    const denormal = f.let(i32.shl(isDenormal(v), k32(1)));
    f.if(unmasked(state, denormal), () => {
      set.run(f, 'x87Commit', state, denormal);
      f.return(k32(1));
    });
    const o = operandOf(f, v);
    const r = toMagnitude(f, o.sign, controlWord(state), o.exp, o.sig);
    const signBit = i32.shl(o.sign, k32(15));
    f.if(
      i64.eqz(r.magnitude),
      () => storeExtended(f, to, k64(0), signBit),
      () => {
        const n = f.let(i64.clz(r.magnitude));
        const exponent = i32.sub(k32(EXTENDED_BIAS + 63), i32.wrap(n));
        storeExtended(f, to, i64.shl(r.magnitude, n), i32.or(exponent, signBit));
      },
    );
    done(or32(denormal, r.flags));
    f.unreachable();
  });
}

/** x87FromInteger(value, destination): exact. */
function defineFromInteger(set: KernelSet): void {
  set.define('x87FromInteger', ['i64', 'i32'], 'void', (f) => {
    storeInteger(f, f.param(1, 'i32').get, f.param(0, 'i64').get);
  });
}

export function defineX87Conversions(set: KernelSet): void {
  for (const format of FORMATS) {
    defineWiden(set, format);
    defineNarrow(set, format);
  }
  defineFromInteger(set);
  defineToInteger(set);
  defineFromBcd(set);
  defineToBcd(set);
  defineRoundInteger(set);
}
