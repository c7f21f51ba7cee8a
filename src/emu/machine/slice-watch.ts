/**
 * Ends the CPU's slice in time. A slice is a number of instructions, and what they take differs a hundredfold: a move in
 * RAM and a read of a port are one each. So whoever hears of the guest on the way looks at the clock.
 */
import type { Timer, TimerQueue, Timers } from '#base/clock.ts';
import type { GuestNs } from '#base/units.ts';
import { IoBus, type Width } from '#emu/bus/io-bus.ts';

/** The machine's timers as its devices see them. */
export class SliceWatch implements Timers {
  readonly #queue: TimerQueue;
  readonly #onLate: () => void;
  #end = Number.POSITIVE_INFINITY;
  #inSlice = false;

  /** @param onLate the slice in progress is to end */
  constructor(queue: TimerQueue, onLate: () => void) {
    this.#queue = queue;
    this.#onLate = onLate;
  }

  /** @param end guest time at which the slice that begins is to be over, in ns */
  begin(end: number): void {
    this.#end = end;
    this.#inSlice = true;
  }

  finish(): void {
    this.#end = Number.POSITIVE_INFINITY;
    this.#inSlice = false;
  }

  now(): GuestNs {
    const now = this.#queue.now();
    if (now > this.#end) {
      this.#end = Number.POSITIVE_INFINITY;
      this.#onLate();
    }
    return now;
  }

  create(onExpired: (deadline: GuestNs) => void): Timer {
    const timer = this.#queue.create(onExpired);
    const watch = this;
    return {
      arm(deadline: GuestNs, deferrable?: boolean): void {
        timer.arm(deadline, deferrable);
        // Between slices there is none to end: the next one would end before it began, and a device that arms a timer
        // before each would keep the guest from running at all.
        if (!watch.#inSlice || deadline >= watch.#end) return;
        // The slice is planned anew up to this deadline.
        watch.#end = Number.POSITIVE_INFINITY;
        watch.#onLate();
      },
      disarm: () => timer.disarm(),
      get armed(): boolean {
        return timer.armed;
      },
    };
  }
}

/** Port accesses between two looks at the clock: a few microseconds. */
const ACCESSES = 16;

/** The port bus of a machine whose slices are watched. */
export class WatchedIoBus extends IoBus {
  readonly #watch: Timers;
  #left = ACCESSES;

  constructor(watch: Timers) {
    super();
    this.#watch = watch;
  }

  override read(port: number, width: Width): number {
    if (--this.#left === 0) this.#look();
    return super.read(port, width);
  }

  override write(port: number, width: Width, value: number): void {
    if (--this.#left === 0) this.#look();
    super.write(port, width, value);
  }

  #look(): void {
    this.#left = ACCESSES;
    this.#watch.now();
  }
}
