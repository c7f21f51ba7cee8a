/** PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. Source: SDM Vol. 2B, 4.1. Their memory operand need not be aligned. */
import { STRING } from '../simd/string-compare.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, STATE } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64, select, v128, word } from '../wasm/expr.ts';
import { setArithmeticBits } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import { begin } from './sse-support.ts';
import { kernelValue } from './x87-support.ts';

/** The magnitude of a length in a register, with REX.W in all 64 bits of it; at most `limit`. */
const explicitLength = (e: Ops, register: number, limit: I32): I32 => {
  const value = e.register(e.size === 64 ? 64 : 32, register);
  const sign = e.f.let(word.shrS(value, e.size === 64 ? 63 : 31));
  const magnitude = e.f.let(word.sub(word.xor(value, sign), sign));
  return select(word.gtU(magnitude, 16), limit, least(word.low(magnitude), limit));
};
const least = (a: I32, b: I32): I32 => select(i32.gtU(a, b), b, a);

const compare = (explicit: boolean, index: boolean): ((e: Ops) => void) => {
  return (e) => {
    const { f } = e;
    begin(e);
    const b = f.let(e.read128(1));
    const a = f.let(e.read128(0));
    const control = f.let(e.read(2));
    const count = f.let(select(i32.and(control, k32(STRING.words)), k32(8), k32(16)));
    const lengthA = f.let(
      explicit ? explicitLength(e, GPR.eax, count) : kernelValue(e, 'i32', 'stringLength', control, a),
    );
    const lengthB = f.let(
      explicit ? explicitLength(e, GPR.edx, count) : kernelValue(e, 'i32', 'stringLength', control, b),
    );
    const lengths = i32.or(lengthA, i32.shl(lengthB, k32(8)));
    const bits = kernelValue(e, 'i32', 'compareStrings', control, a, b, lengths);
    const high = i32.and(control, k32(STRING.last));
    if (index) {
      const last = i32.sub(k32(31), i32.clz(bits));
      e.setRegister(32, GPR.ecx, select(bits, select(high, last, i32.ctz(bits)), count));
    } else {
      const narrow = v128.i64x2Replace(v128.splatI64(k64(0)), 0, i64.extendU(bits));
      const mask = select(high, kernelValue(e, 'v128', 'elementsOf', control, bits), narrow);
      f.store128(e.addressOf(STATE.xmm), mask);
      if (e.vex) f.store128(e.addressOf(STATE.xmm), v128.splatI64(k64(0)), 16);
    }
    const flag = (condition: I32, mask: number): I32 => i32.mul(condition, k32(mask));
    setArithmeticBits(
      e,
      [
        flag(i32.ltU(lengthB, count), EFLAGS.zf),
        flag(i32.ltU(lengthA, count), EFLAGS.sf),
        flag(i32.and(bits, k32(1)), EFLAGS.of),
      ].reduce((x, y) => i32.or(x, y), flag(i32.ne(bits, k32(0)), EFLAGS.cf)),
    );
  };
};

export const stringCompareRows: readonly Row[] = [
  row('66 0F 3A 60', 'pcmpestrm|pcmpestrm|pcmpestrm64', 'Vx,Wx,Ib', compare(true, false), { rexW: true }),
  row('66 0F 3A 61', 'pcmpestri|pcmpestri|pcmpestri64', 'Vx,Wx,Ib', compare(true, true), { rexW: true }),
  row('66 0F 3A 62', 'pcmpistrm', 'Vx,Wx,Ib', compare(false, false)),
  row('66 0F 3A 63', 'pcmpistri', 'Vx,Wx,Ib', compare(false, true)),
].map(fixedSize);
