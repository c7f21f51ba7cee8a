/** Conditions straight from the operands of a comparison, where that is one operation. Source: SDM Vol. 1, appendix B. */

import { signExtend, zeroExtend } from '../isa/flag-ops.ts';
import type { FlagSource } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { type I32, i32, k32, type Word, word } from '../wasm/expr.ts';

const CODE = { o: 0, b: 2, e: 4, be: 6, s: 8, p: 10, l: 12, le: 14 } as const;

/** 0 or non-zero; undefined: it takes the lazy words. */
export function fusedCondition(source: FlagSource, code: number): I32 | undefined {
  const test = testOf(source, code & ~1);
  return test === undefined || (code & 1) === 0 ? test : i32.eqz(test);
}

function testOf(source: FlagSource, code: number): I32 | undefined {
  if (source.kind === 'words') return code === CODE.e && source.result ? word.eqz(source.result) : undefined;
  if (source.kind === 'bits') return testOfBits(source.result as I32, code);
  const { bits, result } = source;
  const signed = (v: Word): Word => (bits === 64 ? v : signExtend(bits, v));
  const low = (v: Word): Word => zeroExtend(bits, v);
  if (code === CODE.e) return word.eqz(low(result));
  if (code === CODE.s) return word.ltS(signed(result), 0);
  if (source.kind === 'sub') {
    const { a, b } = source;
    if (code === CODE.b) return word.ltU(low(a), low(b));
    if (code === CODE.be) return word.leU(low(a), low(b));
    if (code === CODE.l) return word.ltS(signed(a), signed(b));
    if (code === CODE.le) return i32.eqz(word.gtS(signed(a), signed(b)));
    return undefined;
  }
  if (source.kind === 'logic') {
    if (code === CODE.b || code === CODE.o) return k32(0);
    if (code === CODE.be) return word.eqz(low(result));
    if (code === CODE.l) return word.ltS(signed(result), 0);
    if (code === CODE.le) return i32.eqz(word.gtS(signed(result), 0));
  }
  return undefined;
}

/** SF, OF and AF are 0. */
function testOfBits(bits: I32, code: number): I32 {
  const any = (mask: number): I32 => i32.ne(i32.and(bits, k32(mask)), k32(0));
  switch (code) {
    case CODE.b:
      return any(EFLAGS.cf);
    case CODE.e:
    case CODE.le:
      return any(EFLAGS.zf);
    case CODE.be:
      return any(EFLAGS.cf | EFLAGS.zf);
    case CODE.p:
      return any(EFLAGS.pf);
    default:
      return k32(0);
  }
}
