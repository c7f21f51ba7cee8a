/**
 * A ring of bytes between two threads: a serial port's console, tones of the speaker. One writer, one reader, neither
 * ever waits inside a call. A full ring takes fewer bytes than offered; the writer keeps the rest, so none are lost.
 *
 * The reader sleeps on `ByteRingReader.bell`, or on a doorbell of its own that the writer rings too. A writer that could
 * not write everything sleeps on `ByteRingWriter.bell`.
 *
 * Source: ECMA-262 (2024) section 25.4 (Atomics) and section 29 (memory model).
 */
import { CodedError } from '#base/errors.ts';

/** Indexes of 32-bit words at the front of the buffer. Counts go up for ever and wrap. */
const WORD = { capacity: 0, written: 1, read: 2, closed: 3 } as const;
const HEADER_BYTES = 64;

/** One word in shared memory to sleep on. */
export interface Bell {
  readonly words: Int32Array;
  readonly index: number;
}

/**
 * Shared memory for a ring.
 * @param capacity in bytes, a power of two up to 2^30
 * @throws CodedError<'bad-ring'>
 */
export function createByteRing(capacity: number): SharedArrayBuffer {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > 2 ** 30 || (capacity & (capacity - 1)) !== 0) {
    throw new CodedError('bad-ring', 'a byte ring needs a power of two of bytes', { capacity });
  }
  const buffer = new SharedArrayBuffer(HEADER_BYTES + capacity);
  new Int32Array(buffer)[WORD.capacity] = capacity;
  return buffer;
}

/** Takes the writer's end. `doorbell` is rung at index 0 after every write, for a reader that sleeps on several things. */
export class ByteRingWriter {
  readonly bell: Bell;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #mask: number;
  readonly #doorbell: Int32Array | undefined;

  constructor(ring: SharedArrayBuffer, doorbell?: Int32Array) {
    this.#words = new Int32Array(ring, 0, HEADER_BYTES / 4);
    this.#mask = this.#words[WORD.capacity] - 1;
    this.#bytes = new Uint8Array(ring, HEADER_BYTES, this.#mask + 1);
    this.#doorbell = doorbell;
    this.bell = { words: this.#words, index: WORD.read };
  }

  /** Bytes that a write would take now; more may become free at any time. */
  get room(): number {
    return this.#mask + 1 - ((this.#words[WORD.written] - Atomics.load(this.#words, WORD.read)) | 0);
  }

  /** What to wait on while there is no room: load it before `write`, sleep while it is unchanged. */
  get readCount(): number {
    return Atomics.load(this.#words, WORD.read);
  }

  /** @returns how many of `bytes` were taken, from the front */
  write(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    if (count === 0) return 0;
    const written = this.#words[WORD.written];
    const at = written & this.#mask;
    const first = Math.min(count, this.#bytes.length - at);
    this.#bytes.set(bytes.subarray(0, first), at);
    if (first < count) this.#bytes.set(bytes.subarray(first, count), 0);
    Atomics.store(this.#words, WORD.written, (written + count) | 0);
    Atomics.notify(this.#words, WORD.written);
    this.#ring();
    return count;
  }

  /** Takes all of `bytes` or none. */
  writeWhole(bytes: Uint8Array): boolean {
    return this.room >= bytes.length && this.write(bytes) === bytes.length;
  }

  /** Tells the reader that nothing more will come. */
  close(): void {
    Atomics.store(this.#words, WORD.closed, 1);
    Atomics.notify(this.#words, WORD.written);
    this.#ring();
  }

  #ring(): void {
    if (!this.#doorbell) return;
    Atomics.add(this.#doorbell, 0, 1);
    Atomics.notify(this.#doorbell, 0);
  }
}

/** Takes the reader's end. */
export class ByteRingReader {
  readonly bell: Bell;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #mask: number;

  constructor(ring: SharedArrayBuffer) {
    this.#words = new Int32Array(ring, 0, HEADER_BYTES / 4);
    this.#mask = this.#words[WORD.capacity] - 1;
    this.#bytes = new Uint8Array(ring, HEADER_BYTES, this.#mask + 1);
    this.bell = { words: this.#words, index: WORD.written };
  }

  /** Bytes that wait to be read. */
  get available(): number {
    return (Atomics.load(this.#words, WORD.written) - this.#words[WORD.read]) | 0;
  }

  /** What to wait on while nothing is there: load it before `read`, sleep while it is unchanged. */
  get writtenCount(): number {
    return Atomics.load(this.#words, WORD.written);
  }

  /** The writer closed its end; what `available` still counts can be read. */
  get closed(): boolean {
    return Atomics.load(this.#words, WORD.closed) !== 0;
  }

  /** Copies up to `into.length` bytes and leaves them in the ring. @returns how many */
  peek(into: Uint8Array): number {
    const count = Math.min(into.length, this.available);
    const at = this.#words[WORD.read] & this.#mask;
    const first = Math.min(count, this.#bytes.length - at);
    into.set(this.#bytes.subarray(at, at + first), 0);
    if (first < count) into.set(this.#bytes.subarray(0, count - first), first);
    return count;
  }

  /** Takes `count` bytes out of the ring, at most what is available, as after a `peek`. */
  skip(count: number): void {
    const taken = Math.min(count, this.available);
    if (taken <= 0) return;
    Atomics.store(this.#words, WORD.read, (this.#words[WORD.read] + taken) | 0);
    Atomics.notify(this.#words, WORD.read);
  }

  /** Takes up to `into.length` bytes. @returns how many */
  read(into: Uint8Array): number {
    const count = this.peek(into);
    this.skip(count);
    return count;
  }
}
