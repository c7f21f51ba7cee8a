/**
 * Pushing frames in IA-32e mode: on the stack of 64-bit code, or on one that the TSS names.
 *
 * Source: SDM Vol. 3A, 5.8.5.1 (stack switching), 6.14.2 to 6.14.5 (stack frame, IST), 7.7 (64-bit TSS).
 */
import { EXCEPTION } from '../isa/ops.ts';
import { SEG, SEGMENT, STATE } from '../state/layout.ts';
import { isCanonical, type SystemContext } from './context.ts';

/** Offsets in the 64-bit TSS (figure 7-11). */
const RSP0 = 4;
const IST1 = 0x24;

export class LongStack {
  #supervisor = true;
  /** The stack pointer: a signed 64-bit address. */
  pointer = 0;

  use(pointer: number, supervisor: boolean): void {
    this.pointer = pointer;
    this.#supervisor = supervisor;
  }

  /** Makes sure that `byteCount` bytes can be pushed. @returns false: fault was set */
  reserve(c: SystemContext, byteCount: number): boolean {
    const at = this.pointer - byteCount;
    if (!isCanonical(at) || !isCanonical(this.pointer - 1)) return c.fault(EXCEPTION.ss, c.ext);
    return c.mmu.checkWrite(at, byteCount, this.#supervisor);
  }

  /** After `reserve`. @param byteCount 2, 4 or 8 */
  push(c: SystemContext, byteCount: number, low: number, high: number): void {
    this.pointer -= byteCount;
    if (byteCount === 8) c.mmu.writeQuad(this.pointer, low, high, this.#supervisor);
    else c.mmu.writeLinear(this.pointer, byteCount, low, this.#supervisor);
  }

  pushAddress(c: SystemContext, byteCount: number, address: number): void {
    this.push(c, byteCount, address | 0, Math.floor(address / 0x1_0000_0000));
  }
}

/** One is enough: nothing that pushes is interrupted. */
export const longStack: LongStack = new LongStack();

/**
 * Makes the stack of a privilege level, or of an entry of the interrupt stack table, the target of `longStack`.
 * @param ist 1..7, or 0 for `level`
 * @returns false: fault was set (#TS with the TSS's selector, or a page fault)
 */
export function useTaskStack(c: SystemContext, level: number, ist: number): boolean {
  const { state, mmu } = c;
  const at = ist > 0 ? IST1 + (ist - 1) * 8 : RSP0 + level * 8;
  if (at + 7 > state.limit(SEG.tr)) return c.faultSelector(EXCEPTION.ts, state.selector(SEG.tr));
  if (!mmu.readQuad(state.address(STATE.segments + SEG.tr * SEGMENT.bytes) + at, true)) return false;
  longStack.use(mmu.high * 0x1_0000_0000 + (mmu.low >>> 0), level !== 3);
  return true;
}
