/** Breakpoints on data and code, DR0 to DR3. Source: SDM Vol. 3A, 17.2. */
import type { CpuState } from '../state/cpu-state.ts';
import { ATTENTION, MODE, STATE } from '../state/layout.ts';
import { breakpointBytes, breakpointEnabled, breakpointKind, EFER } from '../system/control-bits.ts';

/** Somebody outside the guest who watches data, beside the guest's own breakpoints. */
export interface DataWatch {
  /** Page numbers. */
  readonly pages: readonly number[];
  /** @returns true: the access is not to be made now but by its instruction alone, which is then asked about again */
  access(at: number, byteCount: number, write: boolean): boolean;
}

/** Addresses are linear: unsigned with 32 bits, signed with 64. */
export class DataBreakpoints {
  readonly #state: CpuState;
  /** Page numbers with an enabled breakpoint. */
  readonly #pages: number[] = [];
  /** The same for breakpoints on instructions. */
  readonly #codePages: number[] = [];
  /** `changed` must be called after it was set. */
  watch: DataWatch | undefined;

  constructor(state: CpuState) {
    this.#state = state;
  }

  get any(): boolean {
    return this.#pages.length > 0;
  }

  /** DR0-DR3, DR7 or EFER.LMA changed. @returns true when there are some, or were */
  changed(): boolean {
    const dr7 = this.#state.get(STATE.dr7);
    const before = this.#pages.length + this.#codePages.length;
    this.#pages.length = 0;
    this.#codePages.length = 0;
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n)) continue;
      const kind = breakpointKind(dr7, n);
      if (kind === 2) continue;
      (kind === 0 ? this.#codePages : this.#pages).push(Math.floor(this.#address(n) / 4096));
    }
    if (this.watch) this.#pages.push(...this.watch.pages);
    return before > 0 || this.#pages.length + this.#codePages.length > 0;
  }

  watches(at: number): boolean {
    return this.#pages.length > 0 && this.#pages.includes(Math.floor(at / 4096));
  }

  /** Is an instruction breakpoint in the page of this address? Its code is run an instruction at a time. */
  breaksIn(at: number): boolean {
    return this.#codePages.length > 0 && this.#codePages.includes(Math.floor(at / 4096));
  }

  /**
   * A data breakpoint is a trap: remembered here, delivered after the instruction, which therefore has to run alone.
   * @param mayPutOff false: the access is made by code of ours, which cannot be run again
   * @returns true: do not make the access, but run the instruction again, alone; nothing was remembered
   */
  check(at: number, byteCount: number, write: boolean, mayPutOff: boolean): boolean {
    if (this.watch?.access(at, byteCount, write)) return true;
    const hits = this.#hits(at, byteCount, write);
    if (hits === 0) return false;
    const state = this.#state;
    const mode = state.get(STATE.mode);
    if (mayPutOff && !(mode & MODE.step) && !(state.get(STATE.attention) & ATTENTION.alone)) return true;
    state.set(STATE.pendingDebug, state.get(STATE.pendingDebug) | hits);
    state.set(STATE.mode, mode | MODE.step);
    return false;
  }

  /** DR6 bits of the breakpoints that an access touches. */
  #hits(at: number, byteCount: number, write: boolean): number {
    const dr7 = this.#state.get(STATE.dr7);
    let hits = 0;
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n)) continue;
      const kind = breakpointKind(dr7, n);
      if (kind !== 3 && !(kind === 1 && write)) continue;
      const bytes = breakpointBytes(dr7, n);
      const from = Math.floor(this.#address(n) / bytes) * bytes;
      if (at < from + bytes && from < at + byteCount) hits |= 1 << n;
    }
    return hits;
  }

  #address(n: number): number {
    const field = STATE.dr + n * 8;
    return this.#state.get(STATE.efer) & EFER.lma ? this.#state.address(field) : this.#state.get(field) >>> 0;
  }
}
