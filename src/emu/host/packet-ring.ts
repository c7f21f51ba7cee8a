/**
 * A packet ring: an Ethernet cable between the machine's thread and the thread that owns the network. Both sides see one
 * SharedArrayBuffer; neither ever waits for the other inside a call.
 *
 * Each direction is a ring of records: the frame's length (4 bytes, little-endian words), the frame, padding to 4 bytes.
 * A frame is never split: a length of 0 says that the next record is at the front. So a reader hands on views of
 * shared memory, and a frame is copied once on each side at most.
 *
 * Each end sleeps on a doorbell, a word of its owner's choosing that the other end adds to and notifies; `poll` then does
 * what there is to do.
 *
 * Source: ECMA-262 (2024) section 25.4 (Atomics) and section 29 (memory model).
 */
import { CodedError } from '#base/errors.ts';
import { KIB } from '#base/units.ts';
import type { Bell } from './byte-ring.ts';
import { MAX_FRAME_BYTES, NO_RECEIVER, type PacketPort, type PacketReceiver } from './packet-port.ts';

/** Who holds an end. */
export type PacketRingSide = 'card' | 'network';

/** Indexes of 32-bit words at the front of the buffer. The two sides' words come in this order: card, network. */
const WORD = { capacity: 0, closed: 1, sides: 16 } as const;
/** Words of one side, each written by that side alone but for `wantsRoom`. */
const SIDE_WORDS = 16;
const SIDE = {
  /** Bytes written to the other side and read from it since the start; they wrap. */
  written: 0,
  read: 1,
  /** 1: the side was refused and waits for room; whoever makes room clears it. */
  wantsRoom: 2,
  /** 1: plugged in. */
  link: 3,
  /** The doorbell of a side that has no other. */
  bell: 4,
} as const;
const HEADER_BYTES = 256;
const LENGTH_BYTES = 4;
const LEAST_CAPACITY = 4 * MAX_FRAME_BYTES;

/**
 * Shared memory for a cable.
 * @param capacity bytes for each direction, a power of two from 64 KiB on; default 256 KiB
 * @throws CodedError<'bad-ring'>
 */
export function createPacketRing(capacity: number = 256 * KIB): SharedArrayBuffer {
  if (capacity < LEAST_CAPACITY || capacity > 2 ** 28 || (capacity & (capacity - 1)) !== 0) {
    throw new CodedError('bad-ring', `a packet ring needs a power of two of bytes from ${LEAST_CAPACITY} on`, {
      capacity,
    });
  }
  const buffer = new SharedArrayBuffer(HEADER_BYTES + 2 * capacity);
  new Int32Array(buffer)[WORD.capacity] = capacity;
  return buffer;
}

/** One end. `poll` calls the receiver; without `poll` nothing arrives. */
export class PacketRingEnd implements PacketPort {
  /** What to sleep on when the owner has no doorbell of its own. */
  readonly bell: Bell;
  readonly #words: Int32Array;
  readonly #capacity: number;
  /** First word of this side and of the other. */
  readonly #mine: number;
  readonly #theirs: number;
  readonly #out: Uint8Array;
  readonly #outWords: Int32Array;
  readonly #in: Uint8Array;
  readonly #inWords: Int32Array;
  readonly #farBell: Int32Array;
  readonly #farBellIndex: number;
  #receiver: PacketReceiver = NO_RECEIVER;
  #linkSeen = false;
  #refused = false;
  #polling = false;
  /** `send` said no and `resume` is owed. */
  #roomAsked = false;

  /**
   * @param farDoorbell the other side's doorbell, rung at index 0; without one the ring's own word is
   */
  constructor(ring: SharedArrayBuffer, side: PacketRingSide, farDoorbell?: Int32Array) {
    this.#words = new Int32Array(ring, 0, HEADER_BYTES / 4);
    const capacity = this.#words[WORD.capacity];
    this.#capacity = capacity;
    const own = side === 'card' ? 0 : 1;
    this.#mine = WORD.sides + own * SIDE_WORDS;
    this.#theirs = WORD.sides + (1 - own) * SIDE_WORDS;
    const outAt = HEADER_BYTES + own * capacity;
    const inAt = HEADER_BYTES + (1 - own) * capacity;
    this.#out = new Uint8Array(ring, outAt, capacity);
    this.#outWords = new Int32Array(ring, outAt, capacity / 4);
    this.#in = new Uint8Array(ring, inAt, capacity);
    this.#inWords = new Int32Array(ring, inAt, capacity / 4);
    this.bell = { words: this.#words, index: this.#mine + SIDE.bell };
    this.#farBell = farDoorbell ?? this.#words;
    this.#farBellIndex = farDoorbell ? 0 : this.#theirs + SIDE.bell;
  }

  get linkUp(): boolean {
    return !this.closed && Atomics.load(this.#words, this.#theirs + SIDE.link) !== 0;
  }

  /** One of the sides has gone for good. */
  get closed(): boolean {
    return Atomics.load(this.#words, WORD.closed) !== 0;
  }

  connect(receiver: PacketReceiver): void {
    this.#receiver = receiver;
    this.#linkSeen = this.linkUp;
  }

  send(frame: Uint8Array): boolean {
    if (Atomics.load(this.#words, this.#mine + SIDE.link) === 0 || !this.linkUp) return true;
    if (this.#write(frame)) return true;
    // Ask for room, then look again: the other side may have made room in between and seen no wish.
    Atomics.store(this.#words, this.#mine + SIDE.wantsRoom, 1);
    this.#roomAsked = !this.#write(frame);
    if (!this.#roomAsked) Atomics.store(this.#words, this.#mine + SIDE.wantsRoom, 0);
    return !this.#roomAsked;
  }

  resume(): void {
    this.#refused = false;
    this.#deliver();
  }

  setLink(up: boolean): void {
    Atomics.store(this.#words, this.#mine + SIDE.link, up ? 1 : 0);
    this.#ring();
  }

  /** Says that this side goes for good: the other one's link goes down. */
  close(): void {
    Atomics.store(this.#words, WORD.closed, 1);
    this.#ring();
  }

  /**
   * Calls the receiver with whatever is new. A thread that has nothing else to do loads its doorbell, polls, and then
   * waits for the doorbell to differ from what it loaded.
   */
  poll(): void {
    const linkUp = this.linkUp;
    if (linkUp !== this.#linkSeen) {
      this.#linkSeen = linkUp;
      this.#receiver.linkChanged();
    }
    const mine = this.#mine;
    if (this.#roomAsked && Atomics.load(this.#words, mine + SIDE.wantsRoom) === 0) {
      this.#roomAsked = false;
      this.#receiver.resume();
    }
    this.#deliver();
  }

  #deliver(): void {
    // A receiver that makes room may come back here from inside `receive`.
    if (this.#refused || this.#polling) return;
    this.#polling = true;
    const read = this.#mine + SIDE.read;
    const from = this.#words[read];
    let at = from;
    let end = Atomics.load(this.#words, this.#theirs + SIDE.written);
    while (at !== end) {
      const index = at & (this.#capacity - 1);
      const length = this.#inWords[index >> 2];
      if (length === 0) {
        at = (at + this.#capacity - index) | 0;
      } else {
        const next = (at + recordBytes(length)) | 0;
        const frame = this.#in.subarray(index + LENGTH_BYTES, index + LENGTH_BYTES + length);
        if (!this.#receiver.receive(frame, next !== end)) {
          this.#refused = true;
          break;
        }
        at = next;
      }
      Atomics.store(this.#words, read, at);
      if (at === end) end = Atomics.load(this.#words, this.#theirs + SIDE.written);
    }
    this.#polling = false;
    if (at !== from && Atomics.exchange(this.#words, this.#theirs + SIDE.wantsRoom, 0) !== 0) this.#ring();
  }

  #write(frame: Uint8Array): boolean {
    const mask = this.#capacity - 1;
    const written = this.#words[this.#mine + SIDE.written];
    const room = this.#capacity - ((written - Atomics.load(this.#words, this.#theirs + SIDE.read)) | 0);
    const need = recordBytes(frame.length);
    let index = written & mask;
    const toEnd = this.#capacity - index;
    const skipped = need > toEnd ? toEnd : 0;
    if (room < skipped + need) return false;
    if (skipped > 0) {
      this.#outWords[index >> 2] = 0;
      index = 0;
    }
    this.#outWords[index >> 2] = frame.length;
    this.#out.set(frame, index + LENGTH_BYTES);
    Atomics.store(this.#words, this.#mine + SIDE.written, (written + skipped + need) | 0);
    this.#ring();
    return true;
  }

  #ring(): void {
    Atomics.add(this.#farBell, this.#farBellIndex, 1);
    Atomics.notify(this.#farBell, this.#farBellIndex);
  }
}

const recordBytes = (length: number): number => LENGTH_BYTES + ((length + 3) & ~3);
