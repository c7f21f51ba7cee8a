/**
 * RDP 8.0 bulk compression: matches in what was sent before, as prefix codes, in segments of at most 65535 bytes.
 * Source: [MS-RDPEGFX] 2.2.5 (segments), 3.1.9.1 (compression; the tables of 3.1.9.1.2.1).
 * Not modelled: runs of unencoded bytes; a segment that does not get smaller goes as it is.
 */
import { PduWriter } from '../pdu/bytes.ts';

const SEGMENT = { single: 0xe0, multipart: 0xe1 } as const;
const RDP8 = 0x04;
const COMPRESSED = 0x20;
const MAX_SEGMENT = 65_535;
/** How far back matches are looked for; clients keep 2,500,000 bytes. */
const WINDOW = 1 << 19;
/** What the window may grow to before its older half is dropped. */
const BUFFER = 2 * WINDOW;
const HASH_BITS = 15;
/** Positions that are remembered for one hash. */
const WAYS = 2;
/** A match from far away costs about as many bits as three literals. */
const SHORTEST = 4;
/** From a match that long on it is not worth looking for a longer one. */
const LONG_ENOUGH = 64;
const NEVER = -1;

/** Literals that have a code of their own: bits of the code, the code of the first, the bytes. */
const SHORT_LITERALS: readonly (readonly [number, number, readonly number[]])[] = [
  [5, 0b11000, [0x00, 0x01]],
  [6, 0b110100, [0x02, 0x03, 0xff]],
  [7, 0b1101110, [0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x80]],
  [8, 0b11111100, [0x0c, 0x38, 0x39, 0x66]],
];
const LITERAL_BITS = new Uint8Array(256).fill(9);
const LITERAL_CODES = Uint16Array.from({ length: 256 }, (_, byte) => byte);
for (const [bits, first, bytes] of SHORT_LITERALS) {
  bytes.forEach((byte, i) => {
    LITERAL_BITS[byte] = bits;
    LITERAL_CODES[byte] = first + i;
  });
}
/** Distances: bits of the code, the code, bits of the value behind it; each begins where the one before ends. */
const DISTANCES: readonly (readonly [number, number, number])[] = [
  ...[[5, 17, 5] as const, [5, 18, 7] as const, [5, 19, 9] as const, [5, 20, 10] as const, [5, 21, 12] as const],
  ...[[6, 44, 14] as const, [6, 45, 15] as const, [7, 92, 18] as const, [7, 93, 20] as const],
];
const DISTANCE_BASES = DISTANCES.map((_, i) => DISTANCES.slice(0, i).reduce((sum, [, , bits]) => sum + 2 ** bits, 0));

export class BulkCompressor {
  /** What was sent, the oldest first. */
  readonly #bytes = new Uint8Array(BUFFER);
  #end = 0;
  readonly #places = new Int32Array(WAYS << HASH_BITS).fill(NEVER);
  /** A literal takes nine bits at most; a byte that says how many of the last ones count for nothing. */
  readonly #out: Uint8Array = new Uint8Array(Math.ceil((MAX_SEGMENT * 9) / 8) + 8);
  #to = 0;
  #waiting = 0;
  #count = 0;

  /**
   * RDP_SEGMENTED_DATA of a message; messages have to be sent in this order.
   * @param isDense compressed by other means already: nothing to be looked for
   */
  encode(data: Uint8Array, isDense = false): Uint8Array<ArrayBuffer> {
    if (data.length <= MAX_SEGMENT) {
      const w = new PduWriter(2 + data.length).u8(SEGMENT.single);
      this.#segment(data, isDense, w);
      return w.done();
    }
    const count = Math.ceil(data.length / MAX_SEGMENT);
    const w = new PduWriter(7 + count * 5 + data.length).u8(SEGMENT.multipart).u16(count).u32(data.length);
    for (let at = 0; at < data.length; at += MAX_SEGMENT) {
      const sizeAt = w.length;
      w.u32(0);
      this.#segment(data.subarray(at, at + MAX_SEGMENT), isDense, w);
      w.patch32(sizeAt, w.length - sizeAt - 4);
    }
    return w.done();
  }

  #segment(data: Uint8Array, isDense: boolean, w: PduWriter): void {
    const start = this.#keep(data);
    if (!isDense && this.#compress(start, data.length)) {
      w.u8(RDP8 | COMPRESSED).bytes(this.#out.subarray(0, this.#to));
    } else w.u8(RDP8).bytes(data);
  }

  /** @returns where it begins in the window */
  #keep(data: Uint8Array): number {
    if (this.#end + data.length > BUFFER) {
      const drop = this.#end - WINDOW;
      this.#bytes.copyWithin(0, drop, this.#end);
      this.#end = WINDOW;
      const places = this.#places;
      for (let i = 0; i < places.length; i++) places[i] = Math.max(NEVER, places[i] - drop);
    }
    const start = this.#end;
    this.#bytes.set(data, start);
    this.#end = start + data.length;
    return start;
  }

  /** @returns false: it does not get smaller */
  #compress(start: number, length: number): boolean {
    const bytes = this.#bytes;
    const end = start + length;
    this.#to = 0;
    this.#waiting = 0;
    this.#count = 0;
    let at = start;
    while (at < end) {
      let longest = 0;
      let distance = 0;
      if (at + SHORTEST <= end) {
        const slot = this.#slot(at);
        for (let way = 0; way < WAYS && longest < LONG_ENOUGH; way++) {
          const place = this.#places[slot + way];
          if (place === NEVER || at - place > WINDOW) break;
          // A longer match has to agree where the longest one so far ended.
          if (bytes[place + longest] !== bytes[at + longest]) continue;
          let same = 0;
          while (at + same < end && bytes[place + same] === bytes[at + same]) same++;
          if (same > longest) {
            longest = same;
            distance = at - place;
          }
        }
        this.#note(slot, at);
      }
      if (longest < SHORTEST) {
        const byte = bytes[at++];
        this.#put(LITERAL_CODES[byte], LITERAL_BITS[byte]);
      } else {
        this.#match(distance, longest);
        const noted = Math.min(at + longest, end - SHORTEST + 1);
        for (let i = at + 1; i < noted; i++) this.#note(this.#slot(i), i);
        at += longest;
      }
      if (this.#to >= length) return false;
    }
    const unused = (8 - this.#count) & 7;
    if (unused > 0) this.#put(0, unused);
    this.#out[this.#to++] = unused;
    return this.#to < length;
  }

  #slot(at: number): number {
    const bytes = this.#bytes;
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    return (Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)) * WAYS;
  }

  #note(slot: number, at: number): void {
    this.#places[slot + 1] = this.#places[slot];
    this.#places[slot] = at;
  }

  /** @param length at least 4 */
  #match(distance: number, length: number): void {
    let row = DISTANCES.length - 1;
    while (distance < DISTANCE_BASES[row]) row--;
    const [bits, code, valueBits] = DISTANCES[row];
    this.#put(code, bits);
    this.#put(distance - DISTANCE_BASES[row], valueBits);
    // 4 to 7 in two bits, 8 to 15 in three: a one for each doubling, a zero, what is above the power of two.
    const doublings = 29 - Math.clz32(length);
    this.#put(2 ** (doublings + 2) - 2, doublings + 2);
    this.#put(length - (4 << doublings), doublings + 2);
  }

  /** @param bits at most 20 */
  #put(value: number, bits: number): void {
    this.#waiting = (this.#waiting << bits) | value;
    this.#count += bits;
    while (this.#count >= 8) {
      this.#count -= 8;
      this.#out[this.#to++] = this.#waiting >>> this.#count;
    }
    this.#waiting &= (1 << this.#count) - 1;
  }
}
