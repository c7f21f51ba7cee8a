/** FCOM family, FXAM, FSCALE, FXTRACT, FPREM and FPREM1 on registers. Source: SDM Vol. 1, 8.3.4, 8.3.8; Vol. 2, those instructions. */
import { STATE } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import {
  controlWord,
  isDenormal,
  isInfinite,
  isNan,
  isSignalling,
  isUnsupported,
  isZero,
  loadExtended,
  operandOf,
  registerAt,
  signOf,
  storeExtended,
  storeIndefinite,
  storeInteger,
  unmasked,
} from './extended.ts';
import {
  CC,
  CONTROL,
  EXTENDED_BIAS,
  EXTENDED_MAX,
  FLAG,
  INTEGER_BIT,
  type KernelSet,
  or32,
  SCRATCH,
} from './kernel-set.ts';

/** Bit of a comparison's result: an unmasked exception keeps the pops from happening. */
export const COMPARED_KEPT = 1;

export const COMPARE = {
  /** Quiet NaNs raise nothing (FUCOM). */
  quiet: 1,
  /** An operand was a denormal before it was converted to extended. */
  denormal: 2,
} as const;

/** Commits flags and ends the kernel with `result` when one of them is unmasked. */
function raise(set: KernelSet, f: FunctionBuilder, state: I32, flags: I32, result: number): void {
  const v = f.let(flags);
  set.run(f, 'x87Commit', state, v);
  f.if(unmasked(state, v), () => f.return(k32(result)));
}

/** x87Compare(state, a, b, mode): C3, C2 and C0 as in the status word, plus COMPARED_KEPT after an unmasked exception. */
function defineCompare(set: KernelSet): void {
  set.define('x87CompareOrdered', ['i32', 'i32'], 'i32', (f) => compareOrdered(f));
  set.define('x87Compare', ['i32', 'i32', 'i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const a = loadExtended(f, f.param(1, 'i32').get);
    const b = loadExtended(f, f.param(2, 'i32').get);
    const mode = f.param(3, 'i32').get;
    const bad = f.let(i32.or(isUnsupported(a), isUnsupported(b)));
    f.if(or32(bad, isNan(a), isNan(b)), () => {
      const loud = i32.eqz(i32.and(mode, k32(COMPARE.quiet)));
      const flags = f.let(or32(bad, loud, isSignalling(a), isSignalling(b)));
      set.run(f, 'x87Commit', state, flags);
      f.return(i32.or(k32(CC.c320), i32.ne(unmasked(state, flags), k32(0))));
    });
    const denormal = i32.shl(i32.or(isDenormal(a), isDenormal(b)), k32(1));
    const flags = f.let(i32.and(i32.or(denormal, mode), k32(FLAG.de)));
    set.run(f, 'x87Commit', state, flags);
    const relation = set.value('i32', 'x87CompareOrdered', f.param(1, 'i32').get, f.param(2, 'i32').get);
    f.return(i32.or(relation, i32.ne(unmasked(state, flags), k32(0))));
    f.unreachable();
  });
}

/** The relation of two values that are not NaNs. */
function compareOrdered(f: FunctionBuilder): void {
  const a = loadExtended(f, f.param(0, 'i32').get);
  const b = loadExtended(f, f.param(1, 'i32').get);
  const zeroA = f.let(isZero(a));
  const zeroB = f.let(isZero(b));
  f.if(i32.and(zeroA, zeroB), () => f.return(k32(CC.c3)));
  const signA = f.let(select(zeroA, i32.xor(signOf(b), k32(1)), signOf(a)));
  const signB = f.let(select(zeroB, i32.xor(signA, k32(1)), signOf(b)));
  f.if(i32.ne(signA, signB), () => f.return(select(signA, k32(CC.c0), k32(0))));
  // A pseudo-denormal (exponent 0, integer bit set) has the value of exponent 1.
  const expA = f.let(i32.add(a.exp, i32.eqz(a.exp)));
  const expB = f.let(i32.add(b.exp, i32.eqz(b.exp)));
  f.if(i32.and(i32.eq(expA, expB), i64.eq(a.sig, b.sig)), () => f.return(k32(CC.c3)));
  const less = select(i32.eq(expA, expB), i64.ltU(a.sig, b.sig), i32.ltU(expA, expB));
  f.return(select(i32.xor(less, signA), k32(CC.c0), k32(0)));
  f.unreachable();
}

/** x87Examine(at): C3, C2 and C0 for a value that is not empty (FXAM); C1 is the sign. */
function defineExamine(set: KernelSet): void {
  set.define('x87Examine', ['i32'], 'i32', (f) => {
    const v = loadExtended(f, f.param(0, 'i32').get);
    const sign = f.let(i32.shl(signOf(v), k32(9)));
    f.if(isUnsupported(v), () => f.return(sign));
    f.if(isNan(v), () => f.return(i32.or(sign, k32(CC.c0))));
    f.if(isInfinite(v), () => f.return(i32.or(sign, k32(CC.c2 | CC.c0))));
    f.if(isZero(v), () => f.return(i32.or(sign, k32(CC.c3))));
    f.return(i32.or(sign, select(isDenormal(v), k32(CC.c3 | CC.c2), k32(CC.c2))));
    f.unreachable();
  });
}

/** Handles NaN and unsupported operands: ends the kernel with 0 (delivered to ST0) or 1. */
function nanResponse(set: KernelSet, f: FunctionBuilder, state: I32, a: I32, b: I32, to: I32): void {
  const place = i32.add(state, k32(SCRATCH.result));
  raise(set, f, state, set.value('i32', 'x87Nan', a, b, place), 1);
  storeExtended(f, to, i64.load(place), i32.load16U(place, 8));
  f.return(k32(0));
}

/** Exact results are not subject to precision control. */
const extendedControl = (state: I32): I32 => i32.or(controlWord(state), k32(CONTROL.extended));

/** x87Scale(state): ST0 = ST0 * 2^trunc(ST1); 1 when kept back. */
function defineScale(set: KernelSet): void {
  set.define('x87Scale', ['i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.let(registerAt(state, k32(0)));
    const by = f.let(registerAt(state, k32(1)));
    const a = loadExtended(f, at);
    const b = loadExtended(f, by);
    const signBit = f.let(i32.and(a.signExp, k32(0x8000)));
    f.if(or32(isUnsupported(a), isUnsupported(b), isNan(a), isNan(b)), () => nanResponse(set, f, state, at, by, at));
    const down = f.let(signOf(b));
    f.if(i32.and(isInfinite(b), select(down, isInfinite(a), isZero(a))), () => {
      raise(set, f, state, k32(FLAG.ie), 1);
      storeIndefinite(f, at);
      f.return(k32(0));
    });
    const denormal = i32.shl(i32.or(isDenormal(a), isDenormal(b)), k32(1));
    raise(set, f, state, denormal, 1);
    f.if(or32(isInfinite(a), isZero(a)), () => f.return(k32(0)));
    f.if(isInfinite(b), () => {
      f.if(
        down,
        () => storeExtended(f, at, k64(0), signBit),
        () => storeExtended(f, at, k64(INTEGER_BIT), i32.or(signBit, k32(EXTENDED_MAX))),
      );
      f.return(k32(0));
    });
    const n = f.local('i32');
    f.set(n, k32(0));
    f.if(i32.geU(b.exp, k32(EXTENDED_BIAS)), () => {
      f.set(n, k32(0x20000));
      f.if(i32.ltU(b.exp, k32(EXTENDED_BIAS + 17)), () => {
        const right = i64.extendU(i32.sub(k32(EXTENDED_BIAS + 63), b.exp));
        f.set(n, i32.wrap(i64.shrU(b.sig, right)));
      });
      f.if(down, () => f.set(n, i32.sub(k32(0), n.get)));
    });
    const o = operandOf(f, a);
    const flags = f.let(
      set.value('i32', 'round80', at, extendedControl(state), o.sign, i32.add(o.exp, n.get), o.sig, k64(0)),
    );
    set.run(f, 'x87Commit', state, flags);
    f.return(k32(0));
    f.unreachable();
  });
}

/** x87Extract(state, source, exponent, significand): 1 when kept back. The destinations may be the source. */
function defineExtract(set: KernelSet): void {
  set.define('x87Extract', ['i32', 'i32', 'i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.param(1, 'i32').get;
    const exponent = f.param(2, 'i32').get;
    const significand = f.param(3, 'i32').get;
    const v = loadExtended(f, at);
    const signBit = f.let(i32.and(v.signExp, k32(0x8000)));
    f.if(i32.or(isUnsupported(v), isNan(v)), () => {
      const place = i32.add(state, k32(SCRATCH.result));
      raise(set, f, state, set.value('i32', 'x87Nan', at, at, place), 1);
      for (const to of [exponent, significand]) storeExtended(f, to, i64.load(place), i32.load16U(place, 8));
      f.return(k32(0));
    });
    f.if(isZero(v), () => {
      raise(set, f, state, k32(FLAG.ze), 1);
      storeExtended(f, exponent, k64(INTEGER_BIT), k32(0x8000 | EXTENDED_MAX));
      storeExtended(f, significand, k64(0), signBit);
      f.return(k32(0));
    });
    raise(set, f, state, i32.shl(isDenormal(v), k32(1)), 1);
    f.if(isInfinite(v), () => {
      storeExtended(f, exponent, k64(INTEGER_BIT), k32(EXTENDED_MAX));
      storeExtended(f, significand, v.sig, v.signExp);
      f.return(k32(0));
    });
    const o = operandOf(f, v);
    storeInteger(f, exponent, i64.extendS(i32.sub(o.exp, k32(EXTENDED_BIAS))));
    storeExtended(f, significand, o.sig, i32.or(signBit, k32(EXTENDED_BIAS)));
    f.return(k32(0));
    f.unreachable();
  });
}

/**
 * x87Remainder(state, nearest): FPREM or FPREM1 of ST0 by ST1; 1 when kept back. Sets C0, C3, C1 (quotient bits 2, 1, 0)
 * and C2 (incomplete: the exponents differ by 64 or more, which takes off between 32 and 63 of the difference).
 */
function defineRemainder(set: KernelSet): void {
  set.define('x87Remainder', ['i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const nearest = f.param(1, 'i32').get;
    const at = f.let(registerAt(state, k32(0)));
    const by = f.let(registerAt(state, k32(1)));
    const a = loadExtended(f, at);
    const b = loadExtended(f, by);
    const setCondition = (condition: I32): void =>
      f.store32(
        state,
        i32.or(i32.and(i32.load(state, STATE.fpuStatus), k32(~(CC.c320 | CC.c1))), condition),
        STATE.fpuStatus,
      );
    f.if(or32(isUnsupported(a), isUnsupported(b), isNan(a), isNan(b)), () => nanResponse(set, f, state, at, by, at));
    f.if(i32.or(isInfinite(a), isZero(b)), () => {
      raise(set, f, state, k32(FLAG.ie), 1);
      storeIndefinite(f, at);
      f.return(k32(0));
    });
    raise(set, f, state, i32.shl(i32.or(isDenormal(a), isDenormal(b)), k32(1)), 1);
    f.if(i32.or(isZero(a), isInfinite(b)), () => {
      // ST0 stays, but a pseudo-denormal is written as the normal number that it is.
      storeExtended(f, at, a.sig, i32.or(a.signExp, i32.and(i32.eqz(a.exp), i64.ltS(a.sig, k64(0)))));
      setCondition(k32(0));
      f.return(k32(0));
    });
    const x = operandOf(f, a);
    const y = operandOf(f, b);
    const sign = f.local('i32');
    const exp = f.local('i32');
    const rest = f.local('i64');
    const quotient = f.local('i64');
    const more = f.local('i32');
    f.set(sign, x.sign);
    f.set(exp, x.exp);
    f.set(rest, x.sig);
    f.set(quotient, k64(0));
    f.set(more, k32(0));
    const difference = f.let(i32.sub(x.exp, y.exp));
    f.if(
      i32.geS(difference, k32(0)),
      () => {
        const count = f.local('i32');
        f.set(count, difference);
        f.if(i32.geS(difference, k32(64)), () => {
          f.set(more, k32(CC.c2));
          f.set(count, i32.or(i32.and(difference, k32(31)), k32(32)));
        });
        f.set(exp, i32.add(y.exp, i32.sub(difference, count.get)));
        const carry = f.local('i32');
        f.set(carry, k32(0));
        f.loop((again) => {
          const fits = f.let(i32.or(carry.get, i64.geU(rest.get, y.sig)));
          f.set(rest, i64.sub(rest.get, select(fits, y.sig, k64(0))));
          f.set(quotient, i64.or(i64.shl(quotient.get, k64(1)), i64.extendU(fits)));
          f.if(count.get, () => {
            f.set(carry, i64.ltS(rest.get, k64(0)));
            f.set(rest, i64.shl(rest.get, k64(1)));
            f.set(count, i32.sub(count.get, k32(1)));
            f.br(again);
          });
        });
        f.if(i32.and(nearest, i32.eqz(more.get)), () => {
          // 2 rest against the divisor, as rest against divisor - rest.
          const other = f.let(i64.sub(y.sig, rest.get));
          const odd = i32.wrap(i64.and(quotient.get, k64(1)));
          const up = i32.or(i64.gtU(rest.get, other), i32.and(i64.eq(rest.get, other), odd));
          f.if(up, () => {
            f.set(rest, other);
            f.set(sign, i32.xor(sign.get, k32(1)));
            f.set(quotient, i64.add(quotient.get, k64(1)));
          });
        });
      },
      () => {
        const half = i32.and(i32.eq(difference, k32(-1)), i64.gtU(x.sig, y.sig));
        f.if(i32.and(nearest, half), () => {
          f.set(rest, i64.sub(i64.shl(y.sig, k64(1)), x.sig));
          f.set(sign, i32.xor(sign.get, k32(1)));
          f.set(quotient, k64(1));
        });
      },
    );
    f.if(
      i64.eqz(rest.get),
      () => storeExtended(f, at, k64(0), i32.shl(x.sign, k32(15))),
      () => {
        const n = f.let(i64.clz(rest.get));
        const flags = f.let(
          set.value(
            'i32',
            'round80',
            at,
            extendedControl(state),
            sign.get,
            i32.sub(exp.get, i32.wrap(n)),
            i64.shl(rest.get, n),
            k64(0),
          ),
        );
        set.run(f, 'x87Commit', state, flags);
      },
    );
    const q = f.let(select(more.get, k32(0), i32.wrap(quotient.get)));
    setCondition(
      or32(
        more.get,
        i32.shl(i32.and(q, k32(1)), k32(9)),
        i32.shl(i32.and(q, k32(2)), k32(13)),
        i32.shl(i32.and(q, k32(4)), k32(6)),
      ),
    );
    f.return(k32(0));
    f.unreachable();
  });
}

export function defineX87More(set: KernelSet): void {
  defineCompare(set);
  defineExamine(set);
  defineScale(set);
  defineExtract(set);
  defineRemainder(set);
}
