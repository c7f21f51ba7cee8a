/**
 * x87 add, subtract, multiply, divide and square root on extended values in memory.
 * Source: SDM Vol. 1, 8.3.5, 8.5; Vol. 2, tables of FADD, FSUB, FMUL and FDIV results.
 *
 * x87Add (and Multiply, Divide): (state, a, b, destination, mode) -> 1 when an unmasked exception kept the result back.
 * They update the status word. `mode`: see MODE.
 */
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import {
  controlWord,
  type Extended,
  isDenormal,
  isInfinite,
  isNan,
  isNormal,
  isUnsupported,
  isZero,
  loadExtended,
  operandOf,
  signOf,
  storeExtended,
  storeIndefinite,
  unmasked,
} from './extended.ts';
import { CC, CONTROL, EXTENDED_MAX, FLAG, INTEGER_BIT, type KernelSet, or32 } from './kernel-set.ts';
import { addCore, divideCore, multiplyCore, type Operand, squareRootCore, type Unrounded, unrounded } from './wide.ts';

export const MODE = {
  /** a - b instead of a + b. */
  subtract: 1,
  /** An operand was a denormal before it was converted to extended. */
  denormal: 2,
} as const;

/** Rounds to the destination and updates the status word; ends the kernel. */
function finish(set: KernelSet, f: FunctionBuilder, state: I32, to: I32, control: I32, r: Unrounded): void {
  const flags = f.let(set.value('i32', 'round80', to, control, r.sign.get, r.exp.get, r.hi.get, r.lo.get));
  f.if(
    i32.and(i32.and(flags, k32(0x3f)), i32.xor(control, k32(-1))),
    () => set.run(f, 'x87Commit', state, flags),
    () => f.store32(state, i32.or(i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c1)), flags), STATE.fpuStatus),
  );
  f.return(k32(0));
}

/** Commits flags; when one of them is unmasked ends the kernel with 1. */
function raise(set: KernelSet, f: FunctionBuilder, state: I32, flags: I32): void {
  const v = f.let(flags);
  set.run(f, 'x87Commit', state, v);
  f.if(unmasked(state, v), () => f.return(k32(1)));
}

type Special = (f: FunctionBuilder, parts: SpecialParts) => void;
interface SpecialParts {
  readonly state: I32;
  readonly to: I32;
  readonly a: Extended;
  readonly b: Extended;
  readonly subtract: I32;
  /** Ends the kernel with the invalid-operation response. */
  readonly invalid: () => void;
  /** Call after the checks for invalid: raises the denormal exception if there is one. */
  readonly denormal: () => void;
  /** Ends the kernel with a result that needs no rounding. */
  readonly give: (sign: I32, significand: I64, exponent: I32) => void;
  readonly raise: (flags: I32) => void;
}

/** A binary operation: `special` ends the kernel where an operand is zero or infinite and decides the result. */
function defineBinary(
  set: KernelSet,
  name: string,
  special: Special,
  core: (f: FunctionBuilder, a: Operand, b: Operand, out: Unrounded) => void,
): void {
  set.define(name, ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const atA = f.param(1, 'i32').get;
    const atB = f.param(2, 'i32').get;
    const to = f.param(3, 'i32').get;
    const mode = f.param(4, 'i32').get;
    const control = f.let(controlWord(state));
    const a = loadExtended(f, atA);
    const b = loadExtended(f, atB);
    const subtract = f.let(i32.and(mode, k32(MODE.subtract)));
    const flip = (o: Operand): Operand => ({ ...o, sign: f.let(i32.xor(o.sign, subtract)) });
    const out = unrounded(f);
    const go = (x: Operand, y: Operand): void => {
      core(f, x, flip(y), out);
      if (name === 'x87Add') {
        f.if(i64.eqz(i64.or(out.hi.get, out.lo.get)), () => {
          const down = i32.eq(i32.and(control, k32(CONTROL.rounding)), k32(CONTROL.down));
          storeExtended(f, to, k64(0), i32.shl(down, k32(15)));
          set.run(f, 'x87Commit', state, k32(0));
          f.return(k32(0));
        });
      }
      finish(set, f, state, to, control, out);
    };
    const plain = (v: Extended): Operand => ({ sign: f.let(signOf(v)), exp: v.exp, sig: v.sig });

    f.if(i32.and(i32.and(isNormal(a), isNormal(b)), i32.eqz(i32.and(mode, k32(MODE.denormal)))), () =>
      go(plain(a), plain(b)),
    );

    f.if(or32(isUnsupported(a), isUnsupported(b), isNan(a), isNan(b)), () => {
      // Into the scratch first: an unmasked exception leaves the destination alone.
      const place = i32.add(state, k32(STATE.kernelScratch + 32));
      const flags = f.let(set.value('i32', 'x87Nan', atA, atB, place));
      raise(set, f, state, flags);
      storeExtended(f, to, i64.load(place), i32.load16U(place, 8));
      f.return(k32(0));
    });
    special(f, {
      state,
      to,
      a,
      b,
      subtract,
      invalid: () => {
        raise(set, f, state, k32(FLAG.ie));
        storeIndefinite(f, to);
        f.return(k32(0));
      },
      denormal: () => {
        const denormal = or32(isDenormal(a), isDenormal(b), i32.shrU(mode, k32(1)));
        raise(set, f, state, i32.shl(denormal, k32(1)));
      },
      give: (sign, significand, exponent) => {
        storeExtended(f, to, significand, i32.or(exponent, i32.shl(sign, k32(15))));
        f.return(k32(0));
      },
      raise: (flags) => raise(set, f, state, flags),
    });
    go(operandOf(f, a), operandOf(f, b));
    f.unreachable();
  });
}

const INFINITE = [k64(INTEGER_BIT), k32(EXTENDED_MAX)] as const;
const ZERO = [k64(0), k32(0)] as const;

const addSpecial: Special = (f, { a, b, state, subtract, invalid, denormal, give }) => {
  const signB = f.let(i32.xor(signOf(b), subtract));
  const differ = f.let(i32.ne(signOf(a), signB));
  f.if(i32.and(i32.and(isInfinite(a), isInfinite(b)), differ), invalid);
  denormal();
  f.if(isInfinite(a), () => give(signOf(a), ...INFINITE));
  f.if(isInfinite(b), () => give(signB, ...INFINITE));
  f.if(i32.and(isZero(a), isZero(b)), () => {
    const down = i32.eq(i32.and(controlWord(state), k32(CONTROL.rounding)), k32(CONTROL.down));
    give(select(differ, down, signOf(a)), ...ZERO);
  });
};

const multiplySpecial: Special = (f, { a, b, invalid, denormal, give }) => {
  const sign = f.let(i32.xor(signOf(a), signOf(b)));
  const infinite = f.let(i32.or(isInfinite(a), isInfinite(b)));
  const zero = f.let(i32.or(isZero(a), isZero(b)));
  f.if(i32.and(infinite, zero), invalid);
  denormal();
  f.if(infinite, () => give(sign, ...INFINITE));
  f.if(zero, () => give(sign, ...ZERO));
};

const divideSpecial: Special = (f, { a, b, invalid, denormal, give, raise: signal }) => {
  const sign = f.let(i32.xor(signOf(a), signOf(b)));
  f.if(i32.and(isInfinite(a), isInfinite(b)), invalid);
  f.if(i32.and(isZero(a), isZero(b)), invalid);
  f.if(i32.and(isZero(b), i32.eqz(isInfinite(a))), () => {
    signal(k32(FLAG.ze));
    give(sign, ...INFINITE);
  });
  denormal();
  f.if(isInfinite(a), () => give(sign, ...INFINITE));
  f.if(i32.or(isZero(a), isInfinite(b)), () => give(sign, ...ZERO));
};

export function defineX87Arithmetic(set: KernelSet): void {
  defineBinary(set, 'x87Add', addSpecial, addCore);
  defineBinary(set, 'x87Multiply', multiplySpecial, multiplyCore);
  defineBinary(set, 'x87Divide', divideSpecial, divideCore);

  // x87SquareRoot(state, a, destination)
  set.define('x87SquareRoot', ['i32', 'i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.param(1, 'i32').get;
    const to = f.param(2, 'i32').get;
    const a = loadExtended(f, at);
    f.if(i32.or(isUnsupported(a), isNan(a)), () => {
      const place = i32.add(state, k32(STATE.kernelScratch + 32));
      raise(set, f, state, f.let(set.value('i32', 'x87Nan', at, at, place)));
      storeExtended(f, to, i64.load(place), i32.load16U(place, 8));
      f.return(k32(0));
    });
    f.if(isZero(a), () => {
      set.run(f, 'x87Commit', state, k32(0));
      storeExtended(f, to, a.sig, a.signExp);
      f.return(k32(0));
    });
    f.if(signOf(a), () => {
      raise(set, f, state, k32(FLAG.ie));
      storeIndefinite(f, to);
      f.return(k32(0));
    });
    raise(set, f, state, i32.shl(isDenormal(a), k32(1)));
    f.if(isInfinite(a), () => {
      storeExtended(f, to, a.sig, a.signExp);
      f.return(k32(0));
    });
    const out = unrounded(f);
    squareRootCore(f, operandOf(f, a), out);
    finish(set, f, state, to, f.let(controlWord(state)), out);
    f.unreachable();
  });
}
