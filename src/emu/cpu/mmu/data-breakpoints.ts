/** Breakpoints on data, DR0 to DR3. Source: SDM Vol. 3A, 17.2. */
import type { CpuState } from '../state/cpu-state.ts';
import { STATE } from '../state/layout.ts';
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
    const before = this.#pages.length;
    this.#pages.length = 0;
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n) || !(breakpointKind(dr7, n) & 1)) continue;
      this.#pages.push(Math.floor(this.#address(n) / 4096));
    }
    if (this.watch) this.#pages.push(...this.watch.pages);
    return before > 0 || this.#pages.length > 0;
  }

  watches(at: number): boolean {
    return this.#pages.length > 0 && this.#pages.includes(Math.floor(at / 4096));
  }

  /**
   * A data breakpoint is a trap: remembered here, delivered after the instruction.
   * @returns true: do not make the access, see `DataWatch`; nothing was remembered
   */
  check(at: number, byteCount: number, write: boolean): boolean {
    if (this.watch?.access(at, byteCount, write)) return true;
    const state = this.#state;
    const dr7 = state.get(STATE.dr7);
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n)) continue;
      const kind = breakpointKind(dr7, n);
      if (kind !== 3 && !(kind === 1 && write)) continue;
      const bytes = breakpointBytes(dr7, n);
      const from = Math.floor(this.#address(n) / bytes) * bytes;
      if (at < from + bytes && from < at + byteCount) {
        state.set(STATE.pendingDebug, state.get(STATE.pendingDebug) | (1 << n));
      }
    }
    return false;
  }

  #address(n: number): number {
    const field = STATE.dr + n * 8;
    return this.#state.get(STATE.efer) & EFER.lma ? this.#state.address(field) : this.#state.get(field) >>> 0;
  }
}
