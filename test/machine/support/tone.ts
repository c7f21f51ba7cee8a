/** Looks for a sine wave in what was heard. */

/** Frames a second. */
const RATE = 48_000;

export interface Tone {
  /** Frames of the longest stretch without a gap or a jump. */
  readonly frames: number;
  readonly frequencyHz: number;
  /** Of full scale. */
  readonly peak: number;
}

/** A listener that finds the longest clean stretch of a tone; frames that are missing end one. */
export class ToneFinder {
  readonly #frequencyHz: number;
  readonly #twoCos: number;
  readonly #tolerance: number;
  #next: number | undefined;
  #run: number[] = [];
  #best: number[] = [];

  /** @param tolerance how far a sample may be from what its two predecessors say: rounding, and a little noise */
  constructor(frequencyHz: number, tolerance = 64) {
    this.#frequencyHz = frequencyHz;
    this.#tolerance = tolerance;
    this.#twoCos = 2 * Math.cos((2 * Math.PI * frequencyHz) / RATE);
  }

  /** See `SoundListener`; the left channel is looked at, and the right one has to be nearly the same. */
  readonly hear = (samples: Int16Array, firstFrame: number): void => {
    if (firstFrame !== this.#next) this.#run = [];
    this.#next = (firstFrame + samples.length / 2) >>> 0;
    for (let i = 0; i < samples.length; i += 2)
      this.#take(samples[i], Math.abs(samples[i] - samples[i + 1]) <= this.#tolerance);
  };

  #take(sample: number, isSame: boolean): void {
    const run = this.#run;
    const expected = run.length < 2 ? sample : this.#twoCos * run[run.length - 1] - run[run.length - 2];
    // Silence follows the rule of every sine.
    const isQuiet =
      Math.abs(sample) < 500 &&
      run.length > RATE / this.#frequencyHz &&
      run.slice(-48).every((one) => Math.abs(one) < 500);
    if (!isSame || isQuiet || Math.abs(sample - expected) > this.#tolerance) this.#run = [sample];
    else run.push(sample);
    if (this.#run.length > this.#best.length) this.#best = this.#run;
  }

  get tone(): Tone {
    const best = this.#best;
    const rises: number[] = [];
    for (let i = 1; i < best.length; i++) {
      // Where the line between two samples crosses zero.
      if (best[i - 1] < 0 && best[i] >= 0) rises.push(i - best[i] / (best[i] - best[i - 1]));
    }
    const span = (rises.at(-1) ?? 0) - (rises[0] ?? 0);
    const frequencyHz = span > 0 ? ((rises.length - 1) * RATE) / span : 0;
    return { frames: best.length, frequencyHz, peak: best.reduce((most, one) => Math.max(most, one), 0) / 32_768 };
  }
}
