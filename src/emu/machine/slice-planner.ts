/**
 * How many instructions to run before timers are looked at again: about 0.7 ms worth on this host, fewer when a timer is
 * due sooner.
 */
const SLICE_NS = 700_000;
const FIRST_PER_MS = 10_000;
const SLOWEST_PER_MS = 1000;
const FASTEST_PER_MS = 5_000_000;
/** Fewer are not worth entering the CPU for. */
const LEAST = 500;
/** A guest that counts instructions sees time only between slices. */
const COUNTED_SLICE = 2000;
/** Share of the newest measurement when the guest got faster; a slower one counts at once. */
const SMOOTHING = 0.1;

export class SlicePlanner {
  readonly #nsPerInstruction: number | null;
  #perMs = FIRST_PER_MS;

  /** @param nsPerInstruction null: measure; a number: guest time is counted and slices have a fixed length */
  constructor(nsPerInstruction: number | null) {
    this.#nsPerInstruction = nsPerInstruction;
  }

  /** Guest time that a slice takes when no timer cuts it, in nanoseconds. */
  get sliceNs(): number {
    return this.#nsPerInstruction === null ? SLICE_NS : COUNTED_SLICE * this.#nsPerInstruction;
  }

  /** @param nsToDeadline guest time until the next timer, may be Infinity or in the past */
  budget(nsToDeadline: number): number {
    if (this.#nsPerInstruction !== null) {
      return Math.min(COUNTED_SLICE, Math.max(1, Math.ceil(nsToDeadline / this.#nsPerInstruction)));
    }
    const ns = Math.min(SLICE_NS, Math.max(0, nsToDeadline));
    return Math.max(LEAST, Math.floor((ns / 1e6) * this.#perMs));
  }

  /** What a slice took that used its budget up. */
  measured(instructions: number, ns: number): void {
    if (instructions < LEAST) return;
    const perMs = ns > 0 ? (instructions * 1e6) / ns : FASTEST_PER_MS;
    const smoothed = perMs < this.#perMs ? perMs : this.#perMs + (perMs - this.#perMs) * SMOOTHING;
    this.#perMs = Math.min(FASTEST_PER_MS, Math.max(SLOWEST_PER_MS, smoothed));
  }
}
