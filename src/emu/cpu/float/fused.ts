/**
 * FMA: a * b + c with one rounding, one element at a time. Source: SDM Vol. 1, 14.5 (operations, NaNs, exceptions); Vol. 2C.
 *
 * The product of two significands has at most 106 bits, so 128 hold it with room for a sticky bit.
 */
import { type I32, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { isInfinite, isNan, isSignalling, isZero, operandOf, signOf } from './extended.ts';
import { CONTROL, FLAG, flag64, type KernelSet, or32, raiseFlags } from './kernel-set.ts';
import { FORMATS, type Format } from './round.ts';
import { constantsOf, type Element, narrow, unpack } from './sse-arith.ts';
import { addWide, multiplyCore, unrounded, type WideOperand } from './wide.ts';

/** Fourth argument of the kernels: what is negated. */
export const NEGATE = { product: 1, addend: 2 } as const;

const isDown = (control: I32): I32 => i32.eq(i32.and(control, k32(CONTROL.rounding)), k32(CONTROL.down));

function defineFused(set: KernelSet, format: Format): void {
  const { quietBit, infinity, indefinite } = constantsOf(format);
  const { type } = format;
  /** sseFused32, sseFused64 (state, control, a, b, c, negate). */
  set.define(`sseFused${format.bits}`, ['i32', 'i32', type, type, type, 'i32'], type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const [a, b, c] = [2, 3, 4].map((n) => unpack(f, format, f.param(n, type).get, control)) as [
      Element,
      Element,
      Element,
    ];
    const negate = f.param(5, 'i32').get;
    const productSign = f.let(i32.xor(i32.xor(signOf(a), signOf(b)), i32.and(negate, k32(NEGATE.product))));
    const addendSign = f.let(i32.xor(signOf(c), i32.shrU(i32.and(negate, k32(NEGATE.addend)), k32(1))));
    const give = (sign: I32, magnitude: bigint): void =>
      f.return(narrow(format, i64.or(k64(magnitude), i64.shl(flag64(sign), k64(format.bits - 1)))));
    const invalid = (): void => {
      raiseFlags(f, state, k32(FLAG.ie));
      f.return(narrow(format, k64(indefinite)));
    };
    const impossible = f.let(i32.or(i32.and(isInfinite(a), isZero(b)), i32.and(isZero(a), isInfinite(b))));
    f.if(or32(isNan(a), isNan(b), isNan(c)), () => {
      const quiet = select(isNan(a), a.bits, select(isNan(b), b.bits, c.bits));
      raiseFlags(f, state, or32(isSignalling(a), isSignalling(b), isSignalling(c)));
      f.return(narrow(format, i64.or(quiet, k64(quietBit))));
    });
    f.if(impossible, invalid);
    const infinite = f.let(i32.or(isInfinite(a), isInfinite(b)));
    const differ = f.let(i32.ne(productSign, addendSign));
    f.if(i32.and(i32.and(infinite, isInfinite(c)), differ), invalid);
    raiseFlags(f, state, or32(a.denormal, b.denormal, c.denormal));
    f.if(infinite, () => give(productSign, infinity));
    f.if(isInfinite(c), () => give(addendSign, infinity));
    const noProduct = f.let(i32.or(isZero(a), isZero(b)));
    f.if(i32.and(noProduct, isZero(c)), () => give(select(differ, isDown(control), productSign), 0n));

    const out = unrounded(f);
    const addend: WideOperand = { ...operandOf(f, c), sign: addendSign, hi: c.sig, lo: k64(0) };
    f.if(
      noProduct,
      () => copy(f, addend, out),
      () => {
        const product = unrounded(f);
        multiplyCore(f, operandOf(f, a), operandOf(f, b), product);
        const wide: WideOperand = {
          sign: productSign,
          exp: product.exp.get,
          hi: product.hi.get,
          lo: product.lo.get,
        };
        f.if(
          isZero(c),
          () => copy(f, wide, out),
          () => addWide(f, wide, addend, out),
        );
      },
    );
    f.if(i64.eqz(i64.or(out.hi.get, out.lo.get)), () => give(isDown(control), 0n));
    const { sign, exp, hi, lo } = out;
    f.return(set.value(type, `round${format.bits}`, state, control, sign.get, exp.get, hi.get, lo.get));
    f.unreachable();
  });
}

function copy(f: FunctionBuilder, from: WideOperand, out: ReturnType<typeof unrounded>): void {
  f.set(out.sign, from.sign);
  f.set(out.exp, from.exp);
  f.set(out.hi, from.hi);
  f.set(out.lo, from.lo);
}

export function defineFusedArithmetic(set: KernelSet): void {
  for (const format of FORMATS) defineFused(set, format);
}
