/**
 * The usual case of x87 arithmetic inline: normal operands and result, rounding to nearest at 53 or 64 bits, precision
 * exceptions masked. Everything else falls through to the general kernels.
 */
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { type Extended, isNormal, signOf } from './extended.ts';
import { CC, CONTROL, EXTENDED_BIAS, EXTENDED_MAX, FLAG, flag64, INTEGER_BIT, SCRATCH } from './kernel-set.ts';
import type { Format } from './round.ts';
import { addCore, divideCore, multiplyCore, type Operand, unrounded } from './wide.ts';
import { addNearest, multiplyNearest } from './x87-nearest.ts';

export type Operation = 'Add' | 'Multiply' | 'Divide';

/** Bits of the control word that the fast path needs in one state: RC nearest, PC 53 or 64, PM set. */
const USUAL_MASK = CONTROL.rounding | CONTROL.double | FLAG.pe;
const USUAL_VALUE = CONTROL.double | FLAG.pe;
/** With CONTROL.double: PC is 64 bits. */
const EXTENDED_BIT = 0x100;

export interface FastParts {
  readonly state: I32;
  readonly operation: Operation;
  readonly a: Extended;
  readonly b: Extended;
  /** 0 or 1 each: subtract instead of add; b op a instead of a op b. */
  readonly subtract: I32;
  readonly swap: I32;
  readonly to: I32;
  /** Code after a result was stored; ends the kernel. */
  readonly done: () => void;
}

/** 0 or 1: RC nearest, PC 53 or 64, PM set. */
export const isUsual = (control: I32): I32 => i32.eq(i32.and(control, k32(USUAL_MASK)), k32(USUAL_VALUE));

/** 0 or 1: the same with PC 64. */
export const isUsualExtended = (control: I32): I32 =>
  i32.eq(i32.and(control, k32(USUAL_MASK | EXTENDED_BIT)), k32(USUAL_VALUE | EXTENDED_BIT));

/** Falls through, with nothing changed, when the case is not the usual one. */
export function emitFast(f: FunctionBuilder, p: FastParts): void {
  const control = f.let(i32.load(p.state, STATE.fpuControl));
  f.if(i32.and(isUsual(control), i32.and(isNormal(p.a), isNormal(p.b))), () => {
    const { a, b } = p;
    const pick = (x: Extended, y: Extended): Operand => ({
      sign: f.let(select(p.swap, signOf(x), signOf(y))),
      exp: f.let(select(p.swap, x.exp, y.exp)),
      sig: f.let(select(p.swap, x.sig, y.sig)),
    });
    // a - b negates b, b - a negates a.
    const signed = (v: Extended, negate: I32): Operand => ({
      sign: f.let(i32.xor(signOf(v), negate)),
      exp: v.exp,
      sig: v.sig,
    });
    const divides = p.operation === 'Divide';
    emitUsual(f, {
      operation: p.operation,
      control,
      a: divides ? pick(b, a) : signed(a, i32.and(p.subtract, p.swap)),
      b: divides ? pick(a, b) : signed(b, i32.and(p.subtract, i32.eqz(p.swap))),
      give: (sig, signExp, flags) => {
        f.store64(p.to, sig);
        f.store16(p.to, signExp, 8);
        const status = i32.and(i32.load(p.state, STATE.fpuStatus), k32(~CC.c1));
        f.store32(p.state, i32.or(status, flags), STATE.fpuStatus);
        p.done();
      },
    });
  });
}

export interface UsualParts {
  readonly operation: Operation;
  readonly control: I32;
  readonly a: Operand;
  readonly b: Operand;
  /** Takes the result, and PE and C1; ends the function. */
  readonly give: (sig: I64, signExp: I32, flags: I32) => void;
}

const CORES = { Add: addCore, Multiply: multiplyCore, Divide: divideCore } as const;

/** a op b of normal operands and a usual control word. Falls through when the result is not normal; a sum of zero is given. */
export function emitUsual(f: FunctionBuilder, { operation, control, a, b, give }: UsualParts): void {
  if (operation !== 'Divide')
    f.if(i32.and(control, k32(EXTENDED_BIT)), () =>
      (operation === 'Add' ? addNearest : multiplyNearest)(f, a, b, give),
    );
  const out = unrounded(f);
  CORES[operation](f, a, b, out);
  const extended = f.let(i32.and(control, k32(EXTENDED_BIT)));
  const sticky = flag64(i64.ne(out.lo.get, k64(0)));
  const fraction = f.let(select(extended, out.lo.get, i64.or(i64.shl(out.hi.get, k64(53)), sticky)));
  const unit = f.let(select(extended, k64(1), k64(1 << 11)));
  const even = i64.eqz(i64.and(out.hi.get, unit));
  const tie = i64.eq(fraction, k64(INTEGER_BIT));
  const up = f.let(i32.and(i64.ltS(fraction, k64(0)), i32.eqz(i32.and(tie, even))));
  const kept = i64.and(out.hi.get, i64.sub(k64(0), unit));
  const rounded = f.let(i64.add(kept, select(up, unit, k64(0))));
  // A sum of zero and a carry out of the significand both leave bit 63 clear.
  const inRange = i32.ltU(i32.sub(out.exp.get, k32(1)), k32(EXTENDED_MAX - 1));
  f.if(i32.and(inRange, i64.ltS(rounded, k64(0))), () => {
    const flags = i32.or(i32.shl(i64.ne(fraction, k64(0)), k32(5)), i32.shl(up, k32(9)));
    give(rounded, i32.or(out.exp.get, i32.shl(out.sign.get, k32(15))), flags);
  });
  // Numbers that cancel give a zero that is positive when rounding to nearest.
  if (operation === 'Add') f.if(i64.eqz(i64.or(out.hi.get, out.lo.get)), () => give(k64(0), k32(0), k32(0)));
}

/** The registers a kernel works on: addresses, and whether both are in use. */
export function emitRegisters(f: FunctionBuilder, state: I32, i: I32): { st0: I32; sti: I32; used: I32; top: I32 } {
  const top = f.let(i32.load(state, STATE.fpuTop));
  const other = f.let(i32.and(i32.add(top, i), k32(7)));
  const place = (n: I32): I32 => f.let(i32.add(i32.add(state, k32(STATE.fpr)), i32.shl(n, k32(4))));
  const bits = f.let(i32.or(i32.shl(k32(1), top), i32.shl(k32(1), other)));
  const used = i32.eq(i32.and(i32.load(state, STATE.fpuTags), bits), bits);
  return { st0: place(top), sti: place(other), used: f.let(used), top };
}

/** Pops a register whose number is known. */
export function emitPop(f: FunctionBuilder, state: I32, top: I32): void {
  const keep = i32.rotl(k32(-2), top);
  f.store32(state, i32.and(i32.load(state, STATE.fpuTags), keep), STATE.fpuTags);
  f.store32(state, i32.and(i32.add(top, k32(1)), k32(7)), STATE.fpuTop);
}

/** A narrower operand as an extended one: right for normal numbers, never normal for others. */
export function emitWiden(f: FunctionBuilder, format: Format, bits: I64): Extended {
  const field = f.let(i32.and(i32.wrap(i64.shrU(bits, k64(format.fraction))), k32(format.max)));
  const normal = i32.ltU(i32.sub(field, k32(1)), k32(format.max - 1));
  const exp = f.let(select(normal, i32.add(field, k32(EXTENDED_BIAS - format.bias)), k32(0)));
  const sign = i32.shl(i32.wrap(i64.shrU(bits, k64(format.bits - 1))), k32(15));
  const sig = f.let(i64.or(i64.shl(bits, k64(63 - format.fraction)), k64(INTEGER_BIT)));
  return { sig, exp, signExp: f.let(i32.or(sign, exp)) };
}

/** FLD of a zero or normal number with room for it; ends the kernel. */
export function emitFastLoad(f: FunctionBuilder, state: I32, format: Format, bits: I64): void {
  const top = f.let(i32.and(i32.add(i32.load(state, STATE.fpuTop), k32(7)), k32(7)));
  const tags = f.let(i32.load(state, STATE.fpuTags));
  const tag = f.let(i32.shl(k32(1), top));
  const v = emitWiden(f, format, bits);
  const zero = f.let(i64.eqz(i64.shl(bits, k64(65 - format.bits))));
  const fits = i32.eqz(i32.and(tags, tag));
  f.if(i32.and(fits, i32.or(v.exp, zero)), () => {
    const at = f.let(i32.add(i32.add(state, k32(STATE.fpr)), i32.shl(top, k32(4))));
    f.store64(at, select(zero, k64(0), v.sig));
    f.store16(at, v.signExp, 8);
    f.store32(state, i32.or(tags, tag), STATE.fpuTags);
    f.store32(state, top, STATE.fpuTop);
    f.store32(state, i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c1)), STATE.fpuStatus);
    f.return();
  });
}

/** FST of a number that stays normal, rounded to nearest; `give` ends the kernel with its bits. */
export function emitFastStore(f: FunctionBuilder, state: I32, format: Format, give: (bits: I64) => void): void {
  const { st0, used } = emitRegisters(f, state, k32(0));
  f.if(used, () => {
    const sig = f.let(i64.load(st0));
    const signExp = f.let(i32.load16U(st0, 8));
    const control = i32.load(state, STATE.fpuControl);
    narrowUsual(f, { sig, signExp, control, format }, (bits, flags) => {
      f.store32(state, flags, SCRATCH.flags);
      give(bits);
    });
  });
}

export interface NarrowParts {
  readonly sig: I64;
  readonly signExp: I32;
  readonly control: I32;
  readonly format: Format;
}

/** An extended number as a narrower one that is normal, and the flags PE and C1; falls through otherwise. */
export function narrowUsual(
  f: FunctionBuilder,
  { sig, signExp, control, format }: NarrowParts,
  give: (bits: I64, flags: I32) => void,
): void {
  const drop = 63 - format.fraction;
  const field = f.let(i32.sub(i32.and(signExp, k32(EXTENDED_MAX)), k32(EXTENDED_BIAS - format.bias)));
  const fraction = f.let(i64.shl(sig, k64(64 - drop)));
  const nearest = i32.eqz(i32.and(control, k32(CONTROL.rounding)));
  // The highest exponent may overflow when rounded, the lowest may have been tiny.
  const inRange = i32.ltU(i32.sub(field, k32(1)), k32(format.max - 2));
  f.if(i32.and(inRange, i32.and(i64.ltS(sig, k64(0)), i32.or(nearest, i64.eqz(fraction)))), () => {
    const odd = i32.wrap(i64.and(i64.shrU(sig, k64(drop)), k64(1)));
    const tie = i64.eq(fraction, k64(INTEGER_BIT));
    const up = f.let(i32.and(i64.ltS(fraction, k64(0)), i32.or(i32.eqz(tie), odd)));
    // The integer bit adds one to the exponent field; a carry of the rounding does so again.
    const high = i64.shl(i64.extendU(i32.sub(field, k32(1))), k64(format.fraction));
    const magnitude = i64.add(i64.add(i64.shrU(sig, k64(drop)), flag64(up)), high);
    const sign = i64.shl(i64.extendU(i32.shrU(signExp, k32(15))), k64(format.bits - 1));
    give(i64.or(magnitude, sign), i32.or(i32.shl(i64.ne(fraction, k64(0)), k32(5)), i32.shl(up, k32(9))));
  });
}
