/** SSE conversions, one element at a time. Source: SDM Vol. 1, 11.4.1.6, 11.5; Vol. 2, CVT*. Flags as in sse-arith.ts. */
import { type I64, i32, i64, k32, k64, select, type Val, word } from '../wasm/expr.ts';
import { type Extended, isNan, isSignalling, isZero, operandOf, signOf } from './extended.ts';
import { EXTENDED_BIAS, EXTENDED_MAX, FLAG, flag64, type KernelSet, raiseFlags } from './kernel-set.ts';
import { F32, F64, FORMATS, type Format, roundSignificand } from './round.ts';
import { constantsOf, narrow, unpack } from './sse-arith.ts';
import { shiftRightJam } from './wide.ts';

/** sseF32ToF64, sseF64ToF32 (state, control, bits). */
function defineResize(set: KernelSet, from: Format, to: Format): void {
  const { quietBit, infinity } = constantsOf(to);
  set.define(`sseF${from.bits}ToF${to.bits}`, ['i32', 'i32', from.type], to.type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const v = unpack(f, from, f.param(2, from.type).get, control);
    const signBit = f.let(i64.shl(flag64(signOf(v)), k64(to.bits - 1)));
    f.if(i32.eq(v.exp, k32(EXTENDED_MAX)), () => {
      const payload = i64.shrU(i64.shl(v.sig, k64(1)), k64(64 - to.fraction));
      const quiet = select(isNan(v), i64.or(payload, k64(quietBit)), k64(0));
      raiseFlags(f, state, isSignalling(v));
      f.return(narrow(to, i64.or(i64.or(signBit, k64(infinity)), quiet)));
    });
    f.if(isZero(v), () => f.return(narrow(to, signBit)));
    f.if(v.denormal, () => raiseFlags(f, state, v.denormal));
    const o = operandOf(f, v);
    f.return(set.value(to.type, `round${to.bits}`, state, control, o.sign, o.exp, o.sig, k64(0)));
    f.unreachable();
  });
}

/** sseF32ToI32, sseF32ToI64 ... (state, control, bits): the integer indefinite when it does not fit. */
function defineToInteger(set: KernelSet, format: Format, to: 'i32' | 'i64'): void {
  const { bits } = INTEGER[to];
  const result = (v: I64): Val => (to === 'i32' ? i32.wrap(v) : v);
  set.define(`sseF${format.bits}ToI${bits}`, ['i32', 'i32', format.type], to, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const v: Extended = unpack(f, format, f.param(2, format.type).get, control);
    f.if(isZero(v), () => f.return(result(k64(0))));
    const sign = f.let(signOf(v));
    f.block((invalid) => {
      f.brIf(invalid, i32.gtS(v.exp, k32(EXTENDED_BIAS + (bits === 64 ? 63 : 32))));
      const hi = f.local('i64');
      const lo = f.local('i64');
      f.set(hi, v.sig);
      f.set(lo, k64(0));
      shiftRightJam(f, hi, lo, i32.sub(k32(EXTENDED_BIAS + 63), v.exp));
      const r = roundSignificand(f, sign, control, hi, lo.get, 0);
      f.brIf(invalid, i64.gtU(hi.get, i64.add(k64(2n ** BigInt(bits - 1) - 1n), flag64(sign))));
      raiseFlags(f, state, i32.shl(r.inexact, k32(5)));
      f.return(result(select(sign, i64.sub(k64(0), hi.get), hi.get)));
    });
    raiseFlags(f, state, k32(FLAG.ie));
    f.return(result(k64(-(2n ** BigInt(bits - 1)))));
    f.unreachable();
  });
}

/** How an element is rounded to an integer: the mode in bits 0-1; bit 3: without PE. */
const ROUND_QUIET = 8;

/** sseRound32, sseRound64 (state, control, bits, how): an integer in the same format. Denormals are not reported. */
function defineRoundToInteger(set: KernelSet, format: Format): void {
  const { quietBit } = constantsOf(format);
  set.define(`sseRound${format.bits}`, ['i32', 'i32', format.type, 'i32'], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const how = f.param(3, 'i32').get;
    const v = unpack(f, format, f.param(2, format.type).get, f.param(1, 'i32').get);
    const sign = f.let(signOf(v));
    const zero = f.let(i64.shl(flag64(sign), k64(format.bits - 1)));
    f.if(isNan(v), () => {
      raiseFlags(f, state, isSignalling(v));
      f.return(narrow(format, i64.or(v.bits, k64(quietBit))));
    });
    f.if(isZero(v), () => f.return(narrow(format, zero)));
    f.if(i32.geS(v.exp, k32(EXTENDED_BIAS + format.fraction)), () => f.return(narrow(format, v.bits)));
    const hi = f.local('i64');
    const lo = f.local('i64');
    f.set(hi, v.sig);
    f.set(lo, k64(0));
    shiftRightJam(f, hi, lo, i32.sub(k32(EXTENDED_BIAS + 63), v.exp));
    const r = roundSignificand(f, sign, f.let(i32.shl(how, k32(10))), hi, lo.get, 0);
    f.if(i32.eqz(i32.and(how, k32(ROUND_QUIET))), () => raiseFlags(f, state, i32.shl(r.inexact, k32(5))));
    f.if(i64.eqz(hi.get), () => f.return(narrow(format, zero)));
    const n = f.let(i64.clz(hi.get));
    const exp = i32.sub(k32(EXTENDED_BIAS + 63), i32.wrap(n));
    f.return(set.value(format.type, `round${format.bits}`, state, k32(FLAG.pe), sign, exp, i64.shl(hi.get, n), k64(0)));
    f.unreachable();
  });
}

/** sseI32ToF32, sseI64ToF32, sseI64ToF64 (state, control, value). */
function defineFromInteger(set: KernelSet, from: 'i32' | 'i64', format: Format): void {
  set.define(`sseI${INTEGER[from].bits}ToF${format.bits}`, ['i32', 'i32', from], format.type, (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const wide = f.let(word.toS('i64', f.param(2, from).get)) as I64;
    f.if(i64.eqz(wide), () => f.return(narrow(format, k64(0))));
    const sign = f.let(i32.wrap(i64.shrU(wide, k64(63))));
    const magnitude = f.let(select(sign, i64.sub(k64(0), wide), wide));
    const n = f.let(i64.clz(magnitude));
    const exp = i32.sub(k32(EXTENDED_BIAS + 63), i32.wrap(n));
    const rounded = [control, sign, exp, i64.shl(magnitude, n), k64(0)] as const;
    f.return(set.value(format.type, `round${format.bits}`, state, ...rounded));
    f.unreachable();
  });
}

const INTEGER = { i32: { bits: 32 }, i64: { bits: 64 } } as const;

export function defineSseConversions(set: KernelSet): void {
  defineResize(set, F32, F64);
  defineResize(set, F64, F32);
  for (const format of FORMATS) {
    defineToInteger(set, format, 'i32');
    defineToInteger(set, format, 'i64');
    defineFromInteger(set, 'i64', format);
    defineRoundToInteger(set, format);
  }
  defineFromInteger(set, 'i32', F32);
}
