/**
 * Sound on its way into a machine: a sound ring whose writer is the host and whose one reader is the machine's thread, and
 * a word that says whether the guest records, so that nobody is listened to in vain.
 *
 * Source: ECMA-262 (2024) section 25.4 (Atomics) and section 29 (memory model).
 */
import type { Bell } from './byte-ring.ts';
import type { SoundInput } from './sound.ts';
import { createSoundRing, SoundRingReader, SoundRingWriter } from './sound-ring.ts';

/** Index of a 32-bit word at the front, of those that a sound ring leaves alone: 1 while the guest records. */
const WANTED = 1;
const HEADER_WORDS = 16;
/** Frames that gather before the guest gets any: 50 ms, so that what comes unevenly is recorded without gaps. */
const START = 2400;
/** More than this waiting is skipped: 200 ms. */
const MOST = 9600;

export const createRecordingRing = (): SharedArrayBuffer => createSoundRing();

/** The machine's end. */
export class RecordingInput implements SoundInput {
  readonly #words: Int32Array;
  readonly #reader: SoundRingReader;
  #isFlowing = false;

  constructor(ring: SharedArrayBuffer) {
    this.#words = new Int32Array(ring, 0, HEADER_WORDS);
    this.#reader = new SoundRingReader(ring);
  }

  record(on: boolean): void {
    this.#reader.skipTo(0);
    this.#isFlowing = false;
    Atomics.store(this.#words, WANTED, on ? 1 : 0);
    Atomics.notify(this.#words, WANTED);
  }

  read(into: Int16Array): void {
    const reader = this.#reader;
    if (reader.available > MOST) reader.skipTo(START);
    this.#isFlowing ||= reader.available >= START;
    const frames = this.#isFlowing ? reader.read(into) : 0;
    if (frames * 2 === into.length) return;
    into.fill(0, frames * 2);
    this.#isFlowing = false;
  }
}

/** The host's end; one of it writes at a time. */
export class RecordingOutput {
  /** Load it before looking whether the guest records, sleep while it is unchanged. */
  readonly bell: Bell;
  readonly #writer: SoundRingWriter;

  constructor(ring: SharedArrayBuffer) {
    this.bell = { words: new Int32Array(ring, 0, HEADER_WORDS), index: WANTED };
    this.#writer = new SoundRingWriter(ring);
  }

  get isWanted(): boolean {
    return Atomics.load(this.bell.words, WANTED) !== 0;
  }

  /** @param samples whole frames, see `sound.ts`; at most half a second */
  write(samples: Int16Array): void {
    this.#writer.write(samples);
  }
}
