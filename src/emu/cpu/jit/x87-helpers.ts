/**
 * Short ways of x87 arithmetic as functions of a batch's module, on values instead of registers. Each answers with two
 * values; NOT_USUAL in the second: nothing has been done. What is not the most usual, normal numbers at 64 bits, is a
 * function of its own, so that the first one has nothing to keep for its sake.
 */
import { type Extended, isNormal, isZero, signOf } from '../float/extended.ts';
import { CC, CONTROL, EXTENDED_MAX } from '../float/kernel-set.ts';
import { F32, F64, type Format } from '../float/round.ts';
import type { Operand } from '../float/wide.ts';
import { emitUsual, isUsual, isUsualExtended, narrowUsual, type Operation } from '../float/x87-fast.ts';
import { divideInline, type Inline, type Keyed, squareRootInline, UNUSUAL } from '../float/x87-inline.ts';
import { addNearest, divideNearest, multiplyNearest, squareRootNearest } from '../float/x87-nearest.ts';
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { Callee, FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';

export const NOT_USUAL = 0x8000_0000 | 0;
/** Where the second value has flags for the status word, above sign and exponent. */
export const FLAGS_SHIFT = 16;

/** Second values of functions on keys (float/x87-inline.ts): the key, whether it was rounded up, and that nothing was done. */
export const KEYED = { key: 0x8000_ffff | 0 | UNUSUAL, upAt: 16, bad: 1 << 21 } as const;

/** (significand, sign-exponent) of a and b, control word -> (significand, sign-exponent | flags << 16). */
export type ArithmeticHelper = Callee<'pair'>;
export interface X87Helpers {
  readonly arithmetic: Readonly<Record<Operation, ArithmeticHelper>>;
  /** (significand, key) of a and b, limit -> (significand, KEYED) */
  readonly divide: Callee<'pair'>;
  /** (significand, key, limit) -> the same */
  readonly keyedRoot: Callee<'pair'>;
  /** (significand, sign-exponent, control word) -> what `arithmetic` gives */
  readonly squareRoot: Callee<'pair'>;
  /** (significand, sign-exponent, control word) -> (bits of a single or double, flags) */
  readonly store: Readonly<Record<32 | 64, Callee<'pair'>>>;
  /** (significand, sign-exponent) of a and b -> C3, C2, C0, or NOT_USUAL */
  readonly compare: Callee<'i32'>;
}

const PAIRS = ['i64', 'i32', 'i64', 'i32'] as const;
/** For recording runs: only types count. */
export const NO_HELPERS: X87Helpers = (() => {
  const arithmetic: ArithmeticHelper = { index: 0, params: [...PAIRS, 'i32'], result: 'pair' };
  const store: Callee<'pair'> = { index: 0, params: ['i64', 'i32', 'i32'], result: 'pair' };
  return {
    arithmetic: { Add: arithmetic, Multiply: arithmetic, Divide: arithmetic },
    divide: arithmetic,
    keyedRoot: store,
    squareRoot: store,
    store: { 32: store, 64: store },
    compare: { index: 0, params: PAIRS, result: 'i32' },
  };
})();

export function defineX87Helpers(module: ModuleBuilder): X87Helpers {
  const arithmetic = (operation: Operation): ArithmeticHelper => {
    const other = module.define([...PAIRS, 'i32'], 'pair', (f) => defineArithmetic(f, operation));
    return module.define([...PAIRS, 'i32'], 'pair', (f) => defineMostUsual(f, operation, other));
  };
  const store = (format: Format): Callee<'pair'> =>
    module.define(['i64', 'i32', 'i32'], 'pair', (f) => defineStore(f, format));
  return {
    arithmetic: { Add: arithmetic('Add'), Multiply: arithmetic('Multiply'), Divide: arithmetic('Divide') },
    divide: module.define([...PAIRS, 'i32'], 'pair', (f) => {
      const [a, b, limit] = [keyed(f, 0), keyed(f, 2), f.param(4, 'i32').get];
      refuse(f, i32.or(a.key, b.key), limit);
      giveKeyed(f, divideInline(f, a, b, limit));
    }),
    keyedRoot: module.define(['i64', 'i32', 'i32'], 'pair', (f) => {
      const [v, limit] = [keyed(f, 0), f.param(2, 'i32').get];
      refuse(f, v.key, limit);
      giveKeyed(f, squareRootInline(f, v, limit));
    }),
    squareRoot: module.define(['i64', 'i32', 'i32'], 'pair', defineSquareRoot),
    store: { 32: store(F32), 64: store(F64) },
    compare: module.define(PAIRS, 'i32', defineCompare),
  };
}

const keyed = (f: FunctionBuilder, n: number): Keyed => ({
  sig: f.param(n, 'i64').get,
  key: f.param(n + 1, 'i32').get,
});
/** What would divide by zero, or run in circles. */
const refuse = (f: FunctionBuilder, keys: I32, limit: I32): void =>
  f.ifUnlikely(i32.or(i32.and(keys, k32(UNUSUAL)), i32.eqz(limit)), () => f.returnPair(k64(0), k32(KEYED.bad)));
function giveKeyed(f: FunctionBuilder, { sig, key, up, bad }: Inline): void {
  for (const condition of bad) f.ifUnlikely(condition, () => f.returnPair(k64(0), k32(KEYED.bad)));
  f.returnPair(sig, i32.or(key, i32.shl(up, k32(KEYED.upAt))));
  f.unreachable();
}
const parameter = (f: FunctionBuilder, n: number): Extended => {
  const signExp = f.param(n + 1, 'i32').get;
  return { sig: f.param(n, 'i64').get, signExp, exp: f.let(i32.and(signExp, k32(EXTENDED_MAX))) };
};
/** Zero itself: a significand of zero with any other exponent is unsupported. */
const isNothing = (v: Extended): I32 => i32.and(isZero(v), i32.eqz(v.exp));

const giver =
  (f: FunctionBuilder) =>
  (sig: I64, signExp: I32, flags: I32): void =>
    f.returnPair(sig, i32.or(signExp, i32.shl(flags, k32(FLAGS_SHIFT))));
const operand = (f: FunctionBuilder, v: Extended): Operand => ({ sign: f.let(signOf(v)), exp: v.exp, sig: v.sig });
const isNormalExponent = (v: Extended): I32 => i32.ltU(i32.sub(v.exp, k32(1)), k32(EXTENDED_MAX - 1));

const NEAREST = { Add: addNearest, Multiply: multiplyNearest, Divide: divideNearest } as const;

/** @param other what does the rest */
function defineMostUsual(f: FunctionBuilder, operation: Operation, other: ArithmeticHelper): void {
  const a = parameter(f, 0);
  const b = parameter(f, 2);
  const control = f.param(4, 'i32').get;
  f.block((otherwise) => {
    const integerBits = i64.ltS(i64.and(a.sig, b.sig), k64(0));
    for (const condition of [isUsualExtended(control), integerBits, isNormalExponent(a), isNormalExponent(b)])
      f.brUnless(otherwise, condition);
    NEAREST[operation](f, operand(f, a), operand(f, b), giver(f));
  });
  const sig = f.local('i64');
  const rest = f.local('i32');
  f.setPair(sig, rest, other, a.sig, a.signExp, b.sig, b.signExp, control);
  f.returnPair(sig.get, rest.get);
  f.unreachable();
}

function defineSquareRoot(f: FunctionBuilder): void {
  const v = parameter(f, 0);
  f.block((otherwise) => {
    // An exponent with the sign in front is in range only when that is 0.
    const positive = { ...v, exp: v.signExp };
    for (const condition of [isUsualExtended(f.param(2, 'i32').get), isNormal(positive)])
      f.brUnless(otherwise, condition);
    squareRootNearest(f, operand(f, v), giver(f));
  });
  f.returnPair(k64(0), k32(NOT_USUAL));
  f.unreachable();
}

function defineArithmetic(f: FunctionBuilder, operation: Operation): void {
  const a = parameter(f, 0);
  const b = parameter(f, 2);
  const control = f.param(4, 'i32').get;
  const give = giver(f);
  const usual = f.let(isUsual(control));
  f.if(i32.and(usual, i32.and(isNormal(a), isNormal(b))), () =>
    emitUsual(f, { operation, control, a: operand(f, a), b: operand(f, b), give }),
  );
  const extended = i32.eq(i32.and(control, k32(CONTROL.precision)), k32(CONTROL.extended));
  f.if(usual, () => {
    const nothingA = f.let(isNothing(a));
    const nothingB = f.let(isNothing(b));
    const none = k32(0);
    if (operation === 'Add') {
      f.if(i32.and(nothingA, nothingB), () => give(k64(0), i32.and(a.signExp, b.signExp), none));
      f.if(i32.and(extended, i32.and(nothingA, isNormal(b))), () => give(b.sig, b.signExp, none));
      f.if(i32.and(extended, i32.and(nothingB, isNormal(a))), () => give(a.sig, a.signExp, none));
      return;
    }
    const signs = i32.and(i32.xor(a.signExp, b.signExp), k32(0x8000));
    const otherFine = (nothing: I32, other: Extended): I32 =>
      i32.and(nothing, i32.or(isNormal(other), isNothing(other)));
    if (operation === 'Multiply')
      f.if(i32.or(otherFine(nothingA, b), otherFine(nothingB, a)), () => give(k64(0), signs, none));
    else f.if(i32.and(nothingA, isNormal(b)), () => give(k64(0), signs, none));
  });
  f.returnPair(k64(0), k32(NOT_USUAL));
  f.unreachable();
}

function defineStore(f: FunctionBuilder, format: Format): void {
  const v = parameter(f, 0);
  narrowUsual(f, { sig: v.sig, signExp: v.signExp, control: f.param(2, 'i32').get, format }, (bits, flags) =>
    f.returnPair(bits, flags),
  );
  f.if(isNothing(v), () => {
    f.returnPair(i64.shl(i64.extendU(i32.shrU(v.signExp, k32(15))), k64(format.bits - 1)), k32(0));
  });
  f.returnPair(k64(0), k32(NOT_USUAL));
  f.unreachable();
}

function defineCompare(f: FunctionBuilder): void {
  const a = parameter(f, 0);
  const b = parameter(f, 2);
  const usual = (v: Extended): I32 => i32.or(isNormal(v), isNothing(v));
  f.if(i32.eqz(i32.and(usual(a), usual(b))), () => f.return(k32(NOT_USUAL)));
  f.if(i32.and(isNothing(a), isNothing(b)), () => f.return(k32(CC.c3)));
  const signA = f.let(signOf(a));
  // A zero is smaller than all other magnitudes, by its exponent.
  f.if(i32.ne(signA, signOf(b)), () => f.return(select(signA, k32(CC.c0), k32(0))));
  f.if(i32.and(i32.eq(a.exp, b.exp), i64.eq(a.sig, b.sig)), () => f.return(k32(CC.c3)));
  const less = f.let(select(i32.eq(a.exp, b.exp), i64.ltU(a.sig, b.sig), i32.ltU(a.exp, b.exp)));
  f.return(select(i32.xor(less, signA), k32(CC.c0), k32(0)));
  f.unreachable();
}
