/**
 * From a ring of sound to a loudspeaker that takes samples at a pace of its own: waits until some are there, so that small
 * delays leave no gap, and never lets many pile up, so that what is heard is not late.
 */
import type { SoundRingReader } from '#emu/host/sound-ring.ts';

export interface PlayoutLimits {
  /** Frames that wait before anything is heard. */
  readonly start: number;
  /** With more waiting, all but `start` are left out. */
  readonly most: number;
}

export class Playout {
  readonly #reader: SoundRingReader;
  readonly #limits: PlayoutLimits;
  #chunk = new Int16Array(256);
  #isPlaying = false;
  /** Frames heard; how often sound ended or came too late; frames left out. */
  readonly counts = { played: 0, stops: 0, skipped: 0 };

  constructor(reader: SoundRingReader, limits: PlayoutLimits) {
    this.#reader = reader;
    this.#limits = limits;
  }

  /** Fills both channels, of equal length, with what is to be heard next: -1 to 1, silence while there is none. */
  fill(left: Float32Array, right: Float32Array): void {
    const { start, most } = this.#limits;
    const reader = this.#reader;
    const waiting = reader.available;
    if (!this.#isPlaying && waiting >= start) this.#isPlaying = true;
    if (waiting > most) {
      reader.skipTo(start);
      this.counts.skipped += waiting - start;
    }
    if (this.#chunk.length < left.length * 2) this.#chunk = new Int16Array(left.length * 2);
    const frames = this.#isPlaying ? reader.read(this.#chunk.subarray(0, left.length * 2)) : 0;
    for (let i = 0; i < frames; i++) {
      left[i] = this.#chunk[2 * i] / 32_768;
      right[i] = this.#chunk[2 * i + 1] / 32_768;
    }
    left.fill(0, frames);
    right.fill(0, frames);
    this.counts.played += frames;
    if (!this.#isPlaying || frames === left.length) return;
    this.#isPlaying = false;
    this.counts.stops++;
  }
}
