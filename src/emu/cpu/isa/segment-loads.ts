/**
 * The usual loads of segment registers by 32-bit kernels, which load the same few selectors at every entry and return: null
 * into FS and GS, and what was loaded into the register before, when its descriptor is the same.
 *
 * Source: SDM Vol. 2, MOV and POP. What privilege level 0 may load depends on the selector and the descriptor alone.
 */
import { SEG, SEGMENT, SEGMENT_LOAD, STATE } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64, v128 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';

const at0 = k32(0);
const PROTECTION_ENABLED = 1;

/** @returns whether `loadUsual` is of use */
export const loadsUsually = (e: Ops, seg: number): boolean => e.kernel32 === true && seg !== SEG.ss && seg !== SEG.cs;

/** Loads a segment register if it can. @returns 1 when it has, else 0 */
export function loadUsual(e: Ops, seg: number, value: I32): I32 {
  const { f } = e;
  const selector = f.let(i32.and(value, k32(0xffff)));
  const to = e.addressOf(STATE.segments + seg * SEGMENT.bytes);
  const known = f.let(e.addressOf(STATE.segmentLoads + seg * SEGMENT_LOAD.bytes));
  const entry = f.let(i32.add(e.get(STATE.gdtBase), i32.and(selector, k32(0xfff8))));
  const host = f.let(e.readable(entry));
  // In the GDT, in one page, at level 0 of protected mode.
  const elsewhere = i32.or(i32.and(selector, k32(4)), i32.and(entry, k32(7)));
  const level = i32.or(e.get(STATE.cpl), i32.xor(i32.and(e.get(STATE.cr0), k32(PROTECTION_ENABLED)), k32(1)));
  const inTable = i32.leU(i32.or(selector, k32(7)), e.get(STATE.gdtLimit));
  const sameSelector = i32.eq(i32.load(known, SEGMENT.selector), selector);
  const sameDescriptor = i64.eq(i64.load(host), i64.load(known, SEGMENT_LOAD.descriptor));
  const same = f.let(
    i32.and(
      i32.and(i32.ne(host, at0), i32.eqz(i32.or(elsewhere, level))),
      i32.and(inTable, i32.and(sameSelector, sameDescriptor)),
    ),
  );
  const copy = (): void => {
    for (const half of [0, 16]) f.store128(to, v128.load(known, half), half);
  };
  if (seg < SEG.fs) {
    // ES and DS stay flat, so that the mode stays.
    const flat = i32.and(
      i32.and(i64.eqz(i64.load(known, SEGMENT.base)), i32.eq(i32.load(known, SEGMENT.limit), k32(-1))),
      i32.and(i32.load(known, SEGMENT.readable), i32.load(known, SEGMENT.writable)),
    );
    const done = f.let(i32.and(same, flat));
    f.if(done, copy);
    return done;
  }
  const isNull = f.let(i32.and(i32.leU(selector, k32(3)), i32.eqz(level)));
  f.if(same, copy);
  f.if(isNull, () => {
    for (let field = 0; field < SEGMENT.bytes; field += 8) f.store64(to, k64(0), field);
    f.store32(to, selector, SEGMENT.selector);
  });
  return f.let(i32.or(same, isNull));
}
