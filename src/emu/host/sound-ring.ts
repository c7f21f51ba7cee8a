/**
 * Sound from a machine's thread to any number of others. The writer never waits: it overwrites what is oldest, and a reader
 * that was asleep for too long goes on with what is newest.
 *
 * Source: ECMA-262 (2024) section 25.4 (Atomics) and section 29 (memory model).
 */
import type { Bell } from './byte-ring.ts';

/** Index of a 32-bit word at the front: frames written, modulo 2^32. */
const WRITTEN = 0;
const HEADER_BYTES = 64;
/** A power of two: 0.7 seconds. */
const CAPACITY = 32_768;
/** A reader that finds more waiting has lost what is older: the writer may be about to overwrite it. */
const MOST_WAITING = CAPACITY / 2;
/** What a reader that was too slow still gets. */
const KEPT = 4800;

export function createSoundRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + CAPACITY * 4);
}

const wordsOf = (ring: SharedArrayBuffer): Int32Array => new Int32Array(ring, 0, HEADER_BYTES / 4);
const samplesOf = (ring: SharedArrayBuffer): Int16Array => new Int16Array(ring, HEADER_BYTES, CAPACITY * 2);

/** The one end that writes. */
export class SoundRingWriter {
  readonly #words: Int32Array;
  readonly #samples: Int16Array;

  constructor(ring: SharedArrayBuffer) {
    this.#words = wordsOf(ring);
    this.#samples = samplesOf(ring);
  }

  /** @param samples whole frames, at most half a second */
  write(samples: Int16Array): void {
    const written = this.#words[WRITTEN];
    const at = (written & (CAPACITY - 1)) * 2;
    const first = Math.min(samples.length, this.#samples.length - at);
    this.#samples.set(first < samples.length ? samples.subarray(0, first) : samples, at);
    if (first < samples.length) this.#samples.set(samples.subarray(first), 0);
    Atomics.store(this.#words, WRITTEN, (written + samples.length / 2) | 0);
    Atomics.notify(this.#words, WRITTEN);
  }
}

/** One of the ends that read: begins with what is written from now on. */
export class SoundRingReader {
  /** Load it before reading, sleep while it is unchanged. */
  readonly bell: Bell;
  readonly #words: Int32Array;
  readonly #samples: Int16Array;
  #read: number;

  constructor(ring: SharedArrayBuffer) {
    this.#words = wordsOf(ring);
    this.#samples = samplesOf(ring);
    this.bell = { words: this.#words, index: WRITTEN };
    this.#read = this.writtenCount;
  }

  get writtenCount(): number {
    return Atomics.load(this.#words, WRITTEN);
  }

  /** Frames that wait. */
  get available(): number {
    return (this.writtenCount - this.#read) >>> 0;
  }

  /** Number of the next frame, modulo 2^32: it jumps where this reader was too slow. */
  get position(): number {
    return this.#read >>> 0;
  }

  /** Leaves all but the newest `frames` out. */
  skipTo(frames: number): void {
    if (this.available > frames) this.#read = (this.writtenCount - frames) | 0;
  }

  /** Copies frames into `into`; `position` before the next call tells which. @returns how many frames */
  read(into: Int16Array): number {
    if (this.available > MOST_WAITING) this.skipTo(KEPT);
    const frames = Math.min(into.length >> 1, this.available);
    const at = (this.#read & (CAPACITY - 1)) * 2;
    const first = Math.min(frames * 2, this.#samples.length - at);
    into.set(this.#samples.subarray(at, at + first), 0);
    if (first < frames * 2) into.set(this.#samples.subarray(0, frames * 2 - first), first);
    this.#read = (this.#read + frames) | 0;
    return frames;
  }
}
