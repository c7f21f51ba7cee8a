/**
 * Bytes that wait to be sent, or to be acknowledged: a ring that grows as it fills, up to a limit, and shrinks to nothing
 * when it is empty, so that ten thousand idle connections cost nothing.
 */
export class ByteQueue {
  readonly #limit: number;
  #ring: Uint8Array = EMPTY;
  #head = 0;
  #length = 0;

  /** @param limit in bytes, a power of two */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#length;
  }

  /** May be negative: what is appended is always taken, because it has been read from a socket already. */
  get room(): number {
    return this.#limit - this.#length;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(this.#length + bytes.length);
    const mask = this.#ring.length - 1;
    const at = (this.#head + this.#length) & mask;
    const first = Math.min(bytes.length, this.#ring.length - at);
    this.#ring.set(first === bytes.length ? bytes : bytes.subarray(0, first), at);
    if (first < bytes.length) this.#ring.set(bytes.subarray(first), 0);
    this.#length += bytes.length;
  }

  /** Copies `count` bytes that begin `offset` bytes behind the head. All of them must be there. */
  copy(offset: number, count: number, to: Uint8Array, at: number): void {
    const mask = this.#ring.length - 1;
    const from = (this.#head + offset) & mask;
    const first = Math.min(count, this.#ring.length - from);
    to.set(this.#ring.subarray(from, from + first), at);
    if (first < count) to.set(this.#ring.subarray(0, count - first), at + first);
  }

  drop(count: number): void {
    this.#length -= count;
    this.#head = (this.#head + count) & (this.#ring.length - 1);
    if (this.#length === 0) {
      this.#head = 0;
      if (this.#ring.length > SMALL) {
        giveBack(this.#ring);
        this.#ring = EMPTY;
      }
    }
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#ring.length) return;
    let size = Math.max(this.#ring.length, SMALL);
    while (size < bytes) size *= 2;
    const ring = spareRings.get(size)?.pop() ?? new Uint8Array(size);
    this.copy(0, this.#length, ring, 0);
    giveBack(this.#ring);
    this.#ring = ring;
    this.#head = 0;
  }
}

const SMALL = 4096;
const EMPTY = new Uint8Array(0);

/** Rings of queues that have run empty, by size: one in use does so many times a second, and new ones cost a clearing. */
const spareRings = new Map<number, Uint8Array[]>();
const MOST_SPARE_RINGS = 4;

function giveBack(ring: Uint8Array): void {
  if (ring.length === 0) return;
  const spares = spareRings.get(ring.length);
  if (!spares) spareRings.set(ring.length, [ring]);
  else if (spares.length < MOST_SPARE_RINGS) spares.push(ring);
}
