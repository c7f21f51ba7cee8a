/**
 * Classes of extended-precision values, NaN selection and the x87 status word.
 * Source: SDM Vol. 1, 4.2.2, 4.8.3, table 4-7 (NaN results), 8.1.3, 8.2.2 (unsupported formats), 8.5.
 */
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Var } from '../wasm/function.ts';
import {
  anyBit,
  CC,
  CONTROL,
  EXTENDED_MAX,
  FLAG,
  flag64,
  INDEFINITE_SIGN_EXPONENT,
  INDEFINITE_SIGNIFICAND,
  INTEGER_BIT,
  type KernelSet,
  SUMMARY,
} from './kernel-set.ts';
import { type Operand, ZERO_EXPONENT } from './wide.ts';

const QUIET_BIT = 1n << 62n;

/** An extended value in memory, loaded. */
export interface Extended {
  readonly sig: I64;
  /** Sign in bit 15, exponent in bits 0-14. */
  readonly signExp: I32;
  readonly exp: I32;
}

export function loadExtended(f: FunctionBuilder, at: I32): Extended {
  const sig = f.let(i64.load(at));
  const signExp = f.let(i32.load16U(at, 8));
  return { sig, signExp, exp: f.let(i32.and(signExp, k32(EXTENDED_MAX))) };
}

export function storeExtended(f: FunctionBuilder, at: I32, sig: I64, signExp: I32): void {
  f.store64(at, sig);
  f.store16(at, signExp, 8);
}

export const storeIndefinite = (f: FunctionBuilder, at: I32): void =>
  storeExtended(f, at, k64(INDEFINITE_SIGNIFICAND), k32(INDEFINITE_SIGN_EXPONENT));

/** Normal, so neither zero, denormal, infinite, NaN nor unsupported. */
export const isNormal = (v: Extended): I32 =>
  i32.and(i32.ltU(i32.sub(v.exp, k32(1)), k32(EXTENDED_MAX - 1)), i64.ltS(v.sig, k64(0)));
export const isUnsupported = (v: Extended): I32 => i32.and(i32.ne(v.exp, k32(0)), i64.geS(v.sig, k64(0)));
/** Of a supported value. */
export const isNan = (v: Extended): I32 =>
  i32.and(i32.eq(v.exp, k32(EXTENDED_MAX)), i64.ne(i64.shl(v.sig, k64(1)), k64(0)));
export const isSignalling = (v: Extended): I32 => i32.and(isNan(v), i64.eqz(i64.and(v.sig, k64(QUIET_BIT))));
export const isInfinite = (v: Extended): I32 =>
  i32.and(i32.eq(v.exp, k32(EXTENDED_MAX)), i64.eq(v.sig, k64(INTEGER_BIT)));
/** Of a supported value. */
export const isZero = (v: Extended): I32 => i64.eqz(v.sig);
/** Denormals and pseudo-denormals. */
export const isDenormal = (v: Extended): I32 => i32.and(i32.eqz(v.exp), i64.ne(v.sig, k64(0)));
export const signOf = (v: Extended): I32 => i32.shrU(v.signExp, k32(15));

/** A finite value with its significand normalised. */
export function operandOf(f: FunctionBuilder, v: Extended): Operand {
  const sig = f.local('i64');
  const exp = f.local('i32');
  f.set(sig, v.sig);
  f.set(exp, v.exp);
  f.if(i32.eqz(v.exp), () => {
    f.if(
      i64.eqz(v.sig),
      () => f.set(exp, k32(ZERO_EXPONENT)),
      () => {
        const n = f.let(i64.clz(v.sig));
        f.set(sig, i64.shl(v.sig, n));
        f.set(exp, i32.sub(k32(1), i32.wrap(n)));
      },
    );
  });
  return { sign: f.let(signOf(v)), exp: exp.get, sig: sig.get };
}

export const controlWord = (state: I32): I32 => i32.and(i32.load(state, STATE.fpuControl), k32(CONTROL.x87));

/** Address of physical register top + i. */
export const registerAt = (state: I32, i: I32): I32 =>
  i32.add(i32.add(state, k32(STATE.fpr)), i32.shl(i32.and(i32.add(i32.load(state, STATE.fpuTop), i), k32(7)), k32(4)));
/** Bit of `fpuTags` for physical register top + i. */
export const tagBit = (state: I32, i: I32): I32 =>
  i32.shl(k32(1), i32.and(i32.add(i32.load(state, STATE.fpuTop), i), k32(7)));
export const isEmpty = (state: I32, i: I32): I32 => i32.eqz(i32.and(i32.load(state, STATE.fpuTags), tagBit(state, i)));

/** Are any of `flags` (0-5) unmasked? Non-zero if so. */
export const unmasked = (state: I32, flags: I32): I32 =>
  i32.and(i32.and(flags, k32(0x3f)), i32.xor(i32.load(state, STATE.fpuControl), k32(-1)));

/** Marks register top + i as valid. */
export function setValid(f: FunctionBuilder, state: I32, i: I32): void {
  f.store32(state, i32.or(i32.load(state, STATE.fpuTags), tagBit(state, i)), STATE.fpuTags);
}

/** Pops `count` times. */
export function popStack(f: FunctionBuilder, state: I32, count: I32): void {
  f.block((done) => {
    const n = f.local('i32');
    f.set(n, count);
    f.loop((again) => {
      f.brIf(done, i32.eqz(n.get));
      f.store32(state, i32.and(i32.load(state, STATE.fpuTags), i32.xor(tagBit(state, k32(0)), k32(-1))), STATE.fpuTags);
      f.store32(state, i32.and(i32.add(i32.load(state, STATE.fpuTop), k32(1)), k32(7)), STATE.fpuTop);
      f.set(n, i32.sub(n.get, k32(1)));
      f.br(again);
    });
  });
}

/** Clears C1, sets `flags`, and ES and B when an unmasked one is set. */
export function defineCommit(set: KernelSet): void {
  set.define('x87Commit', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const flags = f.param(1, 'i32').get;
    const status = f.local('i32');
    f.set(status, i32.or(i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c1)), flags));
    f.if(unmasked(state, status.get), () => f.set(status, i32.or(status.get, k32(SUMMARY))));
    f.store32(state, status.get, STATE.fpuStatus);
  });
}

/**
 * x87Nan(a, b, destination): a or b is unsupported or a NaN. Stores what table 4-7 says and returns FLAG.ie or 0.
 * `destination` may be one of them.
 */
export function defineNan(set: KernelSet): void {
  set.define('x87Nan', ['i32', 'i32', 'i32'], 'i32', (f) => {
    const a = loadExtended(f, f.param(0, 'i32').get);
    const b = loadExtended(f, f.param(1, 'i32').get);
    const to = f.param(2, 'i32').get;
    f.if(i32.or(isUnsupported(a), isUnsupported(b)), () => {
      storeIndefinite(f, to);
      f.return(k32(FLAG.ie));
    });
    const nanA = f.let(isNan(a));
    const nanB = f.let(isNan(b));
    const signalA = f.let(isSignalling(a));
    const signalB = f.let(isSignalling(b));
    const takeA = f.local('i32');
    f.if(
      i32.and(i32.and(nanA, nanB), i32.eq(signalA, signalB)),
      () => {
        f.set(takeA, select(i64.eq(a.sig, b.sig), i32.leU(a.signExp, b.signExp), i64.gtU(a.sig, b.sig)));
      },
      // One is a NaN, or one is quiet: the quiet one, else the only one.
      () => f.set(takeA, select(i32.and(nanA, nanB), signalB, nanA)),
    );
    storeExtended(
      f,
      to,
      i64.or(select(takeA.get, a.sig, b.sig), k64(QUIET_BIT)),
      select(takeA.get, a.signExp, b.signExp),
    );
    f.return(i32.or(signalA, signalB));
  });
}

/** Flags of a set of classes, kept as the condition codes of a comparison. */
export const commitCondition = (f: FunctionBuilder, state: I32, condition: I32): void =>
  f.store32(
    state,
    i32.or(i32.and(i32.load(state, STATE.fpuStatus), k32(~(CC.c320 | CC.c1))), condition),
    STATE.fpuStatus,
  );

/** A value as an exact extended one in memory: |v| from a signed 64-bit integer. */
export function storeInteger(f: FunctionBuilder, at: I32, value: I64): void {
  const sign = f.let(i64.shrU(value, k64(63)));
  const magnitude = f.let(select(i32.wrap(sign), i64.sub(k64(0), value), value));
  const n = f.let(i64.clz(magnitude));
  f.if(
    i64.eqz(magnitude),
    () => storeExtended(f, at, k64(0), k32(0)),
    () => {
      const exponent = i32.sub(k32(16383 + 63), i32.wrap(n));
      storeExtended(f, at, i64.shl(magnitude, n), i32.or(exponent, i32.shl(i32.wrap(sign), k32(15))));
    },
  );
}

export const loadVar = (f: FunctionBuilder, value: I32): Var<'i32'> => {
  const v = f.local('i32');
  f.set(v, value);
  return v;
};

export { anyBit, flag64 };
