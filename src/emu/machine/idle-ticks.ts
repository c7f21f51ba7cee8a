/**
 * How much later than asked an idle guest may be woken. Debian's i386 kernels, among others, tick 250 times a second also
 * when nothing runs (CONFIG_HZ_PERIODIC), by a one-shot timer set anew at each tick. A host that wakes so often pays for
 * cold caches each time, far more than for the few thousand instructions. A kernel that is late finds from its clock how
 * many ticks have passed and accounts for all, so while nothing but ticks has happened for a while, one wake serves several.
 *
 * As soon as a program runs, ticks are on time again: it is late once, by at most `SLACK_NS`. What comes from outside
 * wakes a guest at once as ever, and so do timers that are not deferrable.
 */

/** A guest that sleeps longer ticks seldom or not at all (CONFIG_NO_HZ), and costs nothing. */
const SHORT_NS = 8e6;
/** So many ticks in a row without a program. */
const CALM_TICKS = 64;
/** A tick takes a few thousand; with more the kernel has work of its own. */
const TICK_INSTRUCTIONS = 20_000;
/** A little less than a frame of 60 Hz: whoever watches the screen wakes the machine that often anyhow. */
const SLACK_NS = 16e6;

export class IdleTicks {
  #calm = 0;
  #retired = 0;

  /**
   * The guest halts.
   * @param retired instructions executed so far
   * @param programRan since it halted last
   * @param sleepNs guest time until it wants to be woken
   */
  sleeping(retired: number, programRan: boolean, sleepNs: number): void {
    const executed = retired - this.#retired;
    this.#retired = retired;
    if (programRan || executed > TICK_INSTRUCTIONS || sleepNs > SHORT_NS) this.#calm = 0;
    // Woken for nothing, it has not ticked.
    else if (executed > 0) this.#calm++;
  }

  /** How much later deferrable timers may be. */
  get slackNs(): number {
    return this.#calm < CALM_TICKS ? 0 : SLACK_NS;
  }
}
