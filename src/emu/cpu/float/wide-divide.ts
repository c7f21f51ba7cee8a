/** 128-bit unsigned division for DIV and IDIV of 64 bits. Source: SDM Vol. 2A, DIV. */
import { STATE } from '../state/layout.ts';
import { i64, k64 } from '../wasm/expr.ts';
import type { KernelSet } from './kernel-set.ts';
import { divideWide } from './wide.ts';

/**
 * `divide128(state, high, low, divisor)`: quotient of high:low by a divisor that is not 0 and above `high`.
 * The remainder is left in the first 8 bytes of STATE.kernelScratch.
 */
export function defineWideDivide(set: KernelSet): void {
  set.define('divide128', ['i32', 'i64', 'i64', 'i64'], 'i64', (f) => {
    const state = f.param(0, 'i32').get;
    const high = f.param(1, 'i64').get;
    const low = f.param(2, 'i64').get;
    const divisor = f.param(3, 'i64').get;
    f.if(i64.eqz(high), () => {
      f.store64(state, i64.remU(low, divisor), STATE.kernelScratch);
      f.return(i64.divU(low, divisor));
    });
    const shift = f.let(i64.clz(divisor));
    // (low >> 1) >> (63 - shift) and not low >> (64 - shift): the count of 64 would be taken modulo 64.
    const carried = i64.shrU(i64.shrU(low, k64(1)), i64.sub(k64(63), shift));
    const top = f.let(i64.or(i64.shl(high, shift), carried));
    const { quotient, remainder } = divideWide(f, top, f.let(i64.shl(low, shift)), f.let(i64.shl(divisor, shift)));
    f.store64(state, i64.shrU(remainder, shift), STATE.kernelScratch);
    f.return(quotient);
  });
}
