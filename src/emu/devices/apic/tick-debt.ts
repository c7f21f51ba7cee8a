/**
 * Periodic ticks that the host was late with, or that found the one before them still requested: they are owed and go out
 * at up to twice the programmed rate, so that a guest that counts ticks catches up without a storm of interrupts.
 */

/** Ticks are never closer than this. */
const MIN_SPACING_NS = 20_000;
/** At most so much is owed; older ticks are dropped. */
const BACKLOG_NS = 2e9;
/** Long enough before power-on to hold nothing back. */
const NOT_YET = -1e12;

export interface TickDebtState {
  readonly owed: number;
  readonly deliveredAt: number;
}

export class TickDebt {
  #owed = 0;
  /** Guest time at which a tick last went out or found another waiting, in ns. */
  #deliveredAt = NOT_YET;

  clear(): void {
    this.#owed = 0;
    this.#deliveredAt = NOT_YET;
  }

  /**
   * `ticks` periods have ended.
   * @param waiting the interrupt of an earlier tick is still requested
   * @returns whether a tick is to go out now
   */
  take(ticks: number, periodNs: number, now: number, waiting: boolean): boolean {
    this.#owed = Math.min(Math.max(1, Math.floor(BACKLOG_NS / periodNs)), this.#owed + ticks);
    if (this.#owed === 0) return false;
    this.#deliveredAt = now;
    if (waiting) return false;
    this.#owed--;
    return true;
  }

  /** Guest time of the next look, in ns. @param next when the next period ends */
  nextNs(next: number, periodNs: number): number {
    const soonest = this.#deliveredAt + Math.max(MIN_SPACING_NS, Math.floor(periodNs / 2));
    return this.#owed > 0 ? soonest : Math.max(next, soonest);
  }

  save(): TickDebtState {
    return { owed: this.#owed, deliveredAt: this.#deliveredAt };
  }

  restore(state: TickDebtState): void {
    this.#owed = state.owed;
    this.#deliveredAt = state.deliveredAt;
  }
}
