/**
 * F16C: half-precision elements to and from singles. Source: SDM Vol. 1, 14.4; Vol. 2C, VCVTPH2PS and VCVTPS2PH.
 * DAZ does not hold for halves that are read, nor FTZ for halves that are written.
 */
import { i32, i64, k32, k64, select } from '../wasm/expr.ts';
import { isNan, isSignalling, isZero, operandOf, signOf } from './extended.ts';
import { CONTROL, EXTENDED_MAX, flag64, type KernelSet, raiseFlags } from './kernel-set.ts';
import { defineRoundNarrow, F32, type Format } from './round.ts';
import { constantsOf, narrow, unpack } from './sse-arith.ts';

const F16: Format = { type: 'i32', bits: 16, fraction: 10, bias: 15, max: 0x1f };

function defineResize(set: KernelSet, from: Format, to: Format): void {
  const { quietBit, infinity } = constantsOf(to);
  /** sseF16ToF32, sseF32ToF16 (state, control, bits). */
  set.define(`sseF${from.bits}ToF${to.bits}`, ['i32', 'i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const reads = from === F16 ? k32(0) : control;
    const v = unpack(f, from, f.param(2, 'i32').get, reads);
    const signBit = f.let(i64.shl(flag64(signOf(v)), k64(to.bits - 1)));
    f.if(i32.eq(v.exp, k32(EXTENDED_MAX)), () => {
      const payload = i64.shrU(i64.shl(v.sig, k64(1)), k64(64 - to.fraction));
      const quiet = select(isNan(v), i64.or(payload, k64(quietBit)), k64(0));
      raiseFlags(f, state, isSignalling(v));
      f.return(narrow(to, i64.or(i64.or(signBit, k64(infinity)), quiet)));
    });
    f.if(isZero(v), () => f.return(narrow(to, signBit)));
    if (from !== F16) f.if(v.denormal, () => raiseFlags(f, state, v.denormal));
    const o = operandOf(f, v);
    const rounds = f.let(i32.and(control, k32(~CONTROL.ftz)));
    f.return(set.value('i32', `round${to.bits}`, state, rounds, o.sign, o.exp, o.sig, k64(0)));
    f.unreachable();
  });
}

export function defineHalfConversions(set: KernelSet): void {
  defineRoundNarrow(set, F16);
  defineResize(set, F16, F32);
  defineResize(set, F32, F16);
}
