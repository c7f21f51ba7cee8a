/** Conditions straight from the operands of a comparison, where that is one operation. Source: SDM Vol. 1, appendix B. */

import { signExtend } from '../isa/flag-ops.ts';
import type { FlagSource } from '../isa/ops.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';

const CODE = { o: 0, b: 2, e: 4, be: 6, s: 8, p: 10, l: 12, le: 14 } as const;

/** 0 or non-zero; undefined: it takes the lazy words. Sources of 64 bits are not for here. */
export function fusedCondition(source: FlagSource, code: number): I32 | undefined {
  const test = testOf(source, code & ~1);
  return test === undefined || (code & 1) === 0 ? test : i32.eqz(test);
}

function testOf(source: FlagSource, code: number): I32 | undefined {
  if (source.kind === 'words') return code === CODE.e && source.result ? i32.eqz(source.result as I32) : undefined;
  const { bits } = source;
  const signed = (v: I32): I32 => signExtend(bits, v);
  const low = (v: I32): I32 => (bits === 32 ? v : i32.and(v, k32(bits === 16 ? 0xffff : 0xff)));
  const result = source.result as I32;
  if (code === CODE.e) return i32.eqz(low(result));
  if (code === CODE.s) return i32.ltS(signed(result), k32(0));
  if (source.kind === 'sub') {
    const a = source.a as I32;
    const b = source.b as I32;
    if (code === CODE.b) return i32.ltU(low(a), low(b));
    if (code === CODE.be) return i32.leU(low(a), low(b));
    if (code === CODE.l) return i32.ltS(signed(a), signed(b));
    if (code === CODE.le) return i32.leS(signed(a), signed(b));
    return undefined;
  }
  if (source.kind === 'logic') {
    if (code === CODE.b || code === CODE.o) return k32(0);
    if (code === CODE.be) return i32.eqz(low(result));
    if (code === CODE.l) return i32.ltS(signed(result), k32(0));
    if (code === CODE.le) return i32.leS(signed(result), k32(0));
  }
  return undefined;
}
