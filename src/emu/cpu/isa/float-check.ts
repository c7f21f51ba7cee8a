/**
 * When is WebAssembly's arithmetic all that an SSE instruction does? Tier 0 asks for everything each time. Where the tier
 * has a short way (`Ops.floats`) exponent fields tell: one that is neither all zeros nor all ones belongs to a normal number,
 * and normal numbers that give a normal number raise nothing but PE. The rest, zeros too, is asked for everything.
 */
import {
  type I32,
  i32,
  i64,
  k32,
  k128,
  type Ordinary,
  type V128,
  type Val,
  type ValType,
  v128,
  withKnown,
} from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { ordinary, type Shape } from './sse-shapes.ts';
import { isPlain } from './sse-support.ts';

/** One in the lowest place of the exponent field, and the field's higher bits: of a double's upper half, of a single. */
const DOUBLE = { one: 0x0010_0000 } as const;
const SINGLE = { one: 0x0080_0000, mask: 0x7f00_0000 } as const;
const repeated = (lane: number, bits: 16 | 32): V128 => {
  let half = 0n;
  for (let at = 0n; at < 64n; at += BigInt(bits)) half |= BigInt(lane) << at;
  return k128(half, half);
};
/**
 * Of vectors the lanes that have the exponent field, of 32 or, of a double, 16 bits, shifted left by one: without the sign
 * those of normal numbers are a range from `one` on. Moved by this to begin with the smallest integer; and its last.
 */
const RANGES = {
  32: { by: repeated(0x7f00_0000, 32), last: repeated(0x7dff_ffff, 32) },
  64: { by: repeated(0x7fe0, 16), last: repeated(0x7fbf, 16) },
} as const;

/** 0: a value, or a lane of it, is not normal; scalars: or arithmetic is not plain. */
function isNormal<T extends ValType, M extends ValType>(s: Shape<T, M>, v: Val, mask: I32): I32 {
  if (v.type === 'v128') {
    const vector = v as V128;
    const { by, last } = RANGES[s.bits];
    const outside =
      s.bits === 64
        ? v128.i64x2Bitmask(v128.i16x8GtS(v128.i16x8Add(v128.i16x8Add(vector, vector), by), last))
        : v128.i32x4Bitmask(v128.i32x4GtS(v128.i32x4Add(v128.i32x4Add(vector, vector), by), last));
    return i32.eqz(outside);
  }
  if (v.type === 'f64') {
    const upper = i32.wrap(i64.shrU(i64.reinterpretF64(v as Val<'f64'>), HALF));
    return i32.and(i32.add(upper, k32(DOUBLE.one)), mask);
  }
  const bits = i32.reinterpretF32(v as Val<'f32'>);
  return i32.and(i32.add(bits, k32(SINGLE.one)), i32.and(mask, k32(SINGLE.mask)));
}
const HALF = i64.extendU(k32(32));

/** Is a value known to be ordinary in all its lanes? */
const isKnown = <T extends ValType, M extends ValType>(s: Shape<T, M>, v: Val<T>): boolean => {
  const known = v.known?.ordinary;
  return known !== undefined && known.bits === s.bits && (s.lanes === 1 || known.lanes === 'all');
};
const knowledge = <T extends ValType, M extends ValType>(s: Shape<T, M>): Ordinary => ({
  bits: s.bits,
  lanes: s.lanes === 1 ? 'low' : 'all',
});

interface Check<T extends ValType> {
  /** Operands of the instruction by number, with their values. */
  readonly operands: readonly { readonly n: number; readonly value: Val<T> }[];
  /** The result, where it can be other than ordinary when the operands are ordinary. */
  readonly result?: () => Val<T>;
  /** 0 or 1: is plain arithmetic right for these operands and this result? Emitted where it is asked. */
  readonly fine: () => I32;
  /** Does it all over again. */
  readonly again: () => void;
}

/** Emits the question, and the long way behind it. */
export function unlessPlain<T extends ValType, M extends ValType>(e: Ops, s: Shape<T, M>, check: Check<T>): void {
  const { operands, fine, again } = check;
  const { f, floats } = e;
  if (!floats) {
    f.if(i32.eqz(fine()), again);
    return;
  }
  const { mask } = floats;
  const asked = operands.filter(({ value }) => !isKnown(s, value)).map(({ value }) => value);
  if (check.result) asked.push(check.result());
  const conditions = asked.map((v) => isNormal(s, v, mask));
  if (asked.length === 0 || s.lanes > 1) conditions.unshift(mask);
  f.unless(conditions, () => {
    f.if(i32.eqz(fine()), again);
    const all = [...operands.map(({ value }) => value), ...(check.result ? [check.result()] : [])];
    floats.reconsider(all.map((v) => s.all(ordinary(s, v))).reduce((a, b) => i32.and(a, b)));
  });
  for (const { n } of operands) floats.found(n, knowledge(s));
}

/** A result after `unlessPlain`. */
export const nowOrdinary = <T extends ValType, M extends ValType>(e: Ops, s: Shape<T, M>, v: Val<T>): Val<T> =>
  e.floats ? withKnown(v, { ordinary: knowledge(s) }) : v;

/** Likewise, where plain arithmetic also depends on MXCSR. */
export const plainAnd = (e: Ops, fine: I32): I32 => i32.and(isPlain(e), fine);
