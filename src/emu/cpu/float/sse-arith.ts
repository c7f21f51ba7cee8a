/**
 * SSE arithmetic, one element at a time, with every exception. Source: SDM Vol. 1, 4.8.3.5, 10.2.3, 11.5.
 *
 * The fast paths are in isa/: these are for what plain WebAssembly arithmetic does not do exactly. `control` comes from
 * sseBegin; flags gather in the scratch area until sseFinish.
 */
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select, type Val } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { type Extended, isInfinite, isNan, isSignalling, isZero, operandOf, signOf } from './extended.ts';
import {
  anyBit,
  CONTROL,
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
import { FORMATS, type Format } from './round.ts';
import { addCore, divideCore, multiplyCore, type Operand, squareRootCore, type Unrounded, unrounded } from './wide.ts';

/** EFLAGS as (U)COMIS sets them. */
export const RELATION = { greater: 0, less: 1, equal: 0x40, unordered: 0x45 } as const;

/** An element as an extended value; denormals are normalised. */
export interface Element extends Extended {
  readonly bits: I64;
  /** FLAG.de or 0. */
  readonly denormal: I32;
}

export const widen64 = (value: Val): I64 => (value.type === 'i64' ? (value as I64) : i64.extendU(value as I32));
export const narrow = (format: Format, bits: I64): Val => (format.bits === 64 ? bits : i32.wrap(bits));

/** Unpacks an element; with DAZ a denormal is a zero of its sign. */
export function unpack(f: FunctionBuilder, format: Format, value: Val, control: I32): Element {
  const bits = f.let(widen64(value));
  const field = f.let(i32.and(i32.wrap(i64.shrU(bits, k64(format.fraction))), k32(format.max)));
  const sig = f.local('i64');
  const exp = f.local('i32');
  const denormal = f.local('i32');
  f.set(denormal, k32(0));
  f.set(sig, i64.and(i64.shl(bits, k64(63 - format.fraction)), k64(INTEGER_BIT - 1n)));
  f.if(
    field,
    () => {
      f.set(sig, i64.or(sig.get, k64(INTEGER_BIT)));
      f.set(
        exp,
        select(i32.eq(field, k32(format.max)), k32(EXTENDED_MAX), i32.add(field, k32(EXTENDED_BIAS - format.bias))),
      );
    },
    () => {
      f.set(exp, k32(0));
      f.if(i64.ne(sig.get, k64(0)), () => {
        f.if(
          anyBit(control, CONTROL.daz),
          () => f.set(sig, k64(0)),
          () => {
            const n = f.let(i64.clz(sig.get));
            f.set(sig, i64.shl(sig.get, n));
            f.set(exp, i32.sub(k32(EXTENDED_BIAS - format.bias + 1), i32.wrap(n)));
            f.set(denormal, k32(FLAG.de));
          },
        );
      });
    },
  );
  const sign = i32.shl(i32.wrap(i64.shrU(bits, k64(format.bits - 1))), k32(15));
  return {
    bits,
    sig: sig.get,
    exp: exp.get,
    signExp: f.let(i32.or(sign, i32.and(exp.get, k32(EXTENDED_MAX)))),
    denormal: denormal.get,
  };
}

export interface Constants {
  readonly quietBit: bigint;
  readonly infinity: bigint;
  readonly indefinite: bigint;
}
export const constantsOf = (format: Format): Constants => {
  const infinity = BigInt(format.max) << BigInt(format.fraction);
  const quietBit = 1n << BigInt(format.fraction - 1);
  return { quietBit, infinity, indefinite: (1n << BigInt(format.bits - 1)) | infinity | quietBit };
};

interface Parts {
  readonly a: Element;
  readonly b: Element;
  readonly control: I32;
  readonly invalid: () => void;
  /** Ends the kernel with a magnitude and a sign. */
  readonly give: (sign: I32, magnitude: bigint, tellDenormal?: boolean) => void;
  readonly raise: (flags: I32) => void;
  readonly infinity: bigint;
}

/** Ends the kernel with the quieted first NaN, when there is one. */
function nanResponse(f: FunctionBuilder, format: Format, state: I32, a: Element, b: Element): void {
  const { quietBit } = constantsOf(format);
  f.if(i32.or(isNan(a), isNan(b)), () => {
    raiseFlags(f, state, i32.or(isSignalling(a), isSignalling(b)));
    f.return(narrow(format, i64.or(select(isNan(a), a.bits, b.bits), k64(quietBit))));
  });
}

function defineBinary(
  set: KernelSet,
  format: Format,
  name: string,
  special: (f: FunctionBuilder, parts: Parts) => void,
  core: (f: FunctionBuilder, a: Operand, b: Operand, out: Unrounded) => void,
  zeroSum: boolean,
  flip: boolean,
): void {
  const { indefinite, infinity } = constantsOf(format);
  set.define(`sse${name}${format.bits}`, ['i32', 'i32', format.type, format.type], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const a = unpack(f, format, f.param(2, format.type).get, control);
    const raw = unpack(f, format, f.param(3, format.type).get, control);
    nanResponse(f, format, state, a, raw);
    const b: Element = flip ? { ...raw, signExp: f.let(i32.xor(raw.signExp, k32(0x8000))) } : raw;
    const atMax = (v: Extended): I32 => i32.eq(v.exp, k32(EXTENDED_MAX));
    f.if(or32(atMax(a), atMax(b), isZero(a), isZero(b)), () =>
      special(f, {
        a,
        b,
        control,
        infinity,
        invalid: () => {
          raiseFlags(f, state, k32(FLAG.ie));
          f.return(narrow(format, k64(indefinite)));
        },
        give: (sign, magnitude, tellDenormal = true) => {
          if (tellDenormal) raiseFlags(f, state, i32.or(a.denormal, b.denormal));
          f.return(narrow(format, i64.or(k64(magnitude), i64.shl(flag64(sign), k64(format.bits - 1)))));
        },
        raise: (flags) => raiseFlags(f, state, flags),
      }),
    );
    const denormal = f.let(i32.or(a.denormal, b.denormal));
    f.if(denormal, () => raiseFlags(f, state, denormal));
    const out = unrounded(f);
    core(f, operandOf(f, a), operandOf(f, b), out);
    if (zeroSum) {
      f.if(i64.eqz(i64.or(out.hi.get, out.lo.get)), () => {
        const down = i32.eq(i32.and(control, k32(CONTROL.rounding)), k32(CONTROL.down));
        f.return(narrow(format, i64.shl(flag64(down), k64(format.bits - 1))));
      });
    }
    const result = set.value(
      format.type,
      `round${format.bits}`,
      state,
      control,
      out.sign.get,
      out.exp.get,
      out.hi.get,
      out.lo.get,
    );
    f.return(result);
    f.unreachable();
  });
}

function addSpecial(f: FunctionBuilder, { a, b, control, invalid, give, infinity }: Parts): void {
  const differ = f.let(i32.ne(signOf(a), signOf(b)));
  f.if(i32.and(i32.and(isInfinite(a), isInfinite(b)), differ), invalid);
  f.if(isInfinite(a), () => give(signOf(a), infinity));
  f.if(isInfinite(b), () => give(signOf(b), infinity));
  f.if(i32.and(isZero(a), isZero(b)), () => {
    const down = i32.eq(i32.and(control, k32(CONTROL.rounding)), k32(CONTROL.down));
    give(select(differ, down, signOf(a)), 0n);
  });
}

function multiplySpecial(f: FunctionBuilder, { a, b, invalid, give, infinity }: Parts): void {
  const sign = f.let(i32.xor(signOf(a), signOf(b)));
  const infinite = f.let(i32.or(isInfinite(a), isInfinite(b)));
  f.if(i32.and(infinite, i32.or(isZero(a), isZero(b))), invalid);
  f.if(infinite, () => give(sign, infinity));
  give(sign, 0n);
}

function divideSpecial(f: FunctionBuilder, { a, b, invalid, give, raise, infinity }: Parts): void {
  const sign = f.let(i32.xor(signOf(a), signOf(b)));
  f.if(i32.and(isInfinite(a), isInfinite(b)), invalid);
  f.if(i32.and(isZero(a), isZero(b)), invalid);
  f.if(isInfinite(a), () => give(sign, infinity));
  f.if(isZero(b), () => {
    // A divide by zero hides that the dividend was a denormal.
    raise(k32(FLAG.ze));
    give(sign, infinity, false);
  });
  give(sign, 0n);
}

function defineSquareRoot(set: KernelSet, format: Format): void {
  const { indefinite } = constantsOf(format);
  set.define(`sseSquareRoot${format.bits}`, ['i32', 'i32', format.type], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const a = unpack(f, format, f.param(2, format.type).get, control);
    nanResponse(f, format, state, a, a);
    f.if(isZero(a), () => f.return(narrow(format, i64.shl(flag64(signOf(a)), k64(format.bits - 1)))));
    f.if(signOf(a), () => {
      raiseFlags(f, state, k32(FLAG.ie));
      f.return(narrow(format, k64(indefinite)));
    });
    f.if(isInfinite(a), () => f.return(narrow(format, a.bits)));
    f.if(a.denormal, () => raiseFlags(f, state, a.denormal));
    const out = unrounded(f);
    squareRootCore(f, operandOf(f, a), out);
    f.return(
      set.value(format.type, `round${format.bits}`, state, control, k32(0), out.exp.get, out.hi.get, out.lo.get),
    );
    f.unreachable();
  });
}

/** sseCompare32, sseCompare64 (state, control, a, b, loud): a RELATION; quiet NaNs are invalid when `loud`. */
function defineCompare(set: KernelSet, format: Format): void {
  set.define(`sseCompare${format.bits}`, ['i32', 'i32', format.type, format.type, 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const a = unpack(f, format, f.param(2, format.type).get, control);
    const b = unpack(f, format, f.param(3, format.type).get, control);
    f.if(i32.or(isNan(a), isNan(b)), () => {
      raiseFlags(f, state, or32(f.param(4, 'i32').get, isSignalling(a), isSignalling(b)));
      f.return(k32(RELATION.unordered));
    });
    raiseFlags(f, state, i32.or(a.denormal, b.denormal));
    f.if(i32.and(isZero(a), isZero(b)), () => f.return(k32(RELATION.equal)));
    const signA = f.let(signOf(a));
    const signB = f.let(signOf(b));
    f.if(i32.ne(signA, signB), () => f.return(select(signA, k32(RELATION.less), k32(RELATION.greater))));
    f.if(i32.and(i32.eq(a.exp, b.exp), i64.eq(a.sig, b.sig)), () => f.return(k32(RELATION.equal)));
    // A normalised denormal's exponent may be below 0, a zero's significand is 0.
    const byExp = select(i32.eq(a.exp, b.exp), i64.ltU(a.sig, b.sig), i32.ltS(a.exp, b.exp));
    const less = select(isZero(b), k32(0), select(isZero(a), k32(1), byExp));
    f.return(select(i32.xor(less, signA), k32(RELATION.less), k32(RELATION.greater)));
    f.unreachable();
  });
}

/** sseMinMax32, sseMinMax64 (state, control, a, b, 1 = maximum): b when either is a NaN or both are zero. */
function defineMinMax(set: KernelSet, format: Format): void {
  set.define(`sseMinMax${format.bits}`, ['i32', 'i32', format.type, format.type, 'i32'], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const rawA = f.param(2, format.type).get;
    const rawB = f.param(3, format.type).get;
    const relation = f.let(set.value('i32', `sseCompare${format.bits}`, state, control, rawA, rawB, k32(1)));
    const wanted = select(f.param(4, 'i32').get, k32(RELATION.greater), k32(RELATION.less));
    const chosen = f.let(select(i32.eq(relation, wanted), widen64(rawA), widen64(rawB)));
    const { infinity } = constantsOf(format);
    f.if(i32.and(anyBit(control, CONTROL.daz), i64.eqz(i64.and(chosen, k64(infinity)))), () => {
      f.return(narrow(format, i64.and(chosen, k64(1n << BigInt(format.bits - 1)))));
    });
    f.return(narrow(format, chosen));
    f.unreachable();
  });
}

const controlWord = (mxcsr: I32): I32 =>
  or32(
    i32.and(i32.shrU(mxcsr, k32(7)), k32(0x3f)),
    i32.and(i32.shrU(mxcsr, k32(3)), k32(CONTROL.rounding)),
    i32.and(mxcsr, k32(CONTROL.daz | CONTROL.ftz)),
  );

export function defineSseArithmetic(set: KernelSet): void {
  /** sseBegin(state): the control word of MXCSR; clears the scratch flags. */
  set.define('sseBegin', ['i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const mxcsr = f.let(i32.load(state, STATE.mxcsr));
    f.store32(state, k32(0), SCRATCH.flags);
    f.return(controlWord(mxcsr));
    f.unreachable();
  });
  /** sseControl(state): likewise, and the flags stay. */
  set.define('sseControl', ['i32'], 'i32', (f) => {
    f.return(controlWord(f.let(i32.load(f.param(0, 'i32').get, STATE.mxcsr))));
    f.unreachable();
  });
  /** sseFinish(state): moves the scratch flags into MXCSR; non-zero when one of them is unmasked. */
  set.define('sseFinish', ['i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const mxcsr = f.let(i32.load(state, STATE.mxcsr));
    const open = f.let(i32.xor(i32.shrU(mxcsr, k32(7)), k32(-1)));
    const flags = f.local('i32');
    f.set(flags, i32.and(i32.load(state, SCRATCH.flags), k32(0x3f)));
    const BEFORE = FLAG.ie | FLAG.de | FLAG.ze;
    // An unmasked exception found before computing keeps the computation, and its exceptions, from happening.
    f.if(i32.and(i32.and(flags.get, open), k32(BEFORE)), () => f.set(flags, i32.and(flags.get, k32(BEFORE))));
    f.store32(state, i32.or(mxcsr, flags.get), STATE.mxcsr);
    f.return(i32.and(flags.get, open));
    f.unreachable();
  });
  for (const format of FORMATS) {
    defineBinary(set, format, 'Add', addSpecial, addCore, true, false);
    defineBinary(set, format, 'Subtract', addSpecial, addCore, true, true);
    defineBinary(set, format, 'Multiply', multiplySpecial, multiplyCore, false, false);
    defineBinary(set, format, 'Divide', divideSpecial, divideCore, false, false);
    defineSquareRoot(set, format);
    defineCompare(set, format);
    defineMinMax(set, format);
  }
}
