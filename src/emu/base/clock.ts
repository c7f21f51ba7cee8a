import { type GuestNs, guestNs } from './units.ts';

/** Where guest time comes from: the host's monotonic clock while the machine runs, or counted instructions in tests. */
export interface Clock {
  /** Guest time now, in nanoseconds since power-on; never runs backwards, stands still while the machine is paused. */
  now(): GuestNs;
}

/** One pending wake-up of a device. `arm` replaces an earlier deadline. */
export interface Timer {
  /**
   * Calls back once guest time has reached `deadline`, never before.
   * @param deferrable a sleeping host may come for it a little later, see `TimerQueue.latestWake`: who hears of it reads a
   * clock. Default: no, ticks are counted or a device's work waits
   */
  arm(deadline: GuestNs, deferrable?: boolean): void;
  disarm(): void;
  readonly armed: boolean;
}

/** Hands out timers. A device gets one as a part and never reads a global clock. */
export interface Timers extends Clock {
  /** @param onExpired called from the machine's own thread with the deadline that passed */
  create(onExpired: (deadline: GuestNs) => void): Timer;
}

interface Entry extends Timer {
  deadline: GuestNs | undefined;
  deferrable: boolean;
  readonly onExpired: (deadline: GuestNs) => void;
}

/**
 * The machine's timers. A machine has a few dozen, so a scan for the earliest beats a heap.
 */
export class TimerQueue implements Timers {
  readonly #clock: Clock;
  readonly #entries: Entry[] = [];
  #next: number = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): GuestNs {
    return this.#clock.now();
  }

  create(onExpired: (deadline: GuestNs) => void): Timer {
    const queue = this;
    const entry: Entry = {
      deadline: undefined,
      deferrable: false,
      onExpired,
      get armed(): boolean {
        return this.deadline !== undefined;
      },
      arm(deadline: GuestNs, deferrable = false): void {
        this.deadline = deadline;
        this.deferrable = deferrable;
        queue.#findNext();
      },
      disarm(): void {
        this.deadline = undefined;
        queue.#findNext();
      },
    };
    this.#entries.push(entry);
    return entry;
  }

  /** Earliest deadline in guest nanoseconds, or `Infinity`. */
  get nextDeadline(): number {
    return this.#next;
  }

  /**
   * When a host that sleeps has to be back, in guest nanoseconds, or `Infinity`: at the first deadline, but `slackNs` later
   * for deferrable ones, so that one wake serves several.
   */
  latestWake(slackNs: number): number {
    let latest = Number.POSITIVE_INFINITY;
    for (const { deadline, deferrable } of this.#entries) {
      if (deadline !== undefined) latest = Math.min(latest, deferrable ? deadline + slackNs : deadline);
    }
    return latest;
  }

  /** Runs every timer whose deadline has passed, in order of deadlines. */
  runExpired(): void {
    const now = this.#clock.now();
    while (this.#next <= now) {
      const due = this.#entries.find((e) => e.deadline === this.#next);
      if (due?.deadline === undefined) break;
      const deadline = due.deadline;
      due.deadline = undefined;
      this.#findNext();
      due.onExpired(deadline);
    }
  }

  #findNext(): void {
    let next = Number.POSITIVE_INFINITY;
    for (const e of this.#entries) if (e.deadline !== undefined && e.deadline < next) next = e.deadline;
    this.#next = next;
  }
}

/** A clock that a test moves by hand. */
export class ManualClock implements Clock {
  #now = 0;
  now(): GuestNs {
    return guestNs(this.#now);
  }
  advance(ns: number): void {
    this.#now += ns;
  }
}
