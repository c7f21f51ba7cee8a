/**
 * The statistics registers: they count up, stick at all ones, and are cleared by reading.
 * Source: 8254x SDM (317453), section 13.7.
 */
import type { Saveable } from '#emu/bus/wires.ts';

/** Byte offsets from 4000h. */
const STAT = {
  missedPackets: 0x10,
  received64: 0x5c,
  goodReceived: 0x74,
  broadcastReceived: 0x78,
  multicastReceived: 0x7c,
  goodTransmitted: 0x80,
  goodOctetsReceived: 0x88,
  goodOctetsTransmitted: 0x90,
  noBuffers: 0xa0,
  undersize: 0xa4,
  oversize: 0xac,
  octetsReceived: 0xc0,
  octetsTransmitted: 0xc8,
  packetsReceived: 0xd0,
  packetsTransmitted: 0xd4,
  transmitted64: 0xd8,
  multicastTransmitted: 0xf0,
  broadcastTransmitted: 0xf4,
  segmentationContexts: 0xf8,
} as const;
const WORDS = 0x40;
const FCS_BYTES = 4;
/** Low words of 64-bit counters; both halves are cleared by reading the high one. */
const WIDE: readonly number[] = [
  STAT.goodOctetsReceived,
  STAT.goodOctetsTransmitted,
  STAT.octetsReceived,
  STAT.octetsTransmitted,
];

export class E1000Statistics implements Saveable<Uint32Array> {
  readonly #words: Uint32Array = new Uint32Array(WORDS);

  /** @param offset from 4000h */
  read(offset: number): number {
    const value = this.#words[offset >> 2];
    if (WIDE.includes(offset)) return value;
    this.#words[offset >> 2] = 0;
    if (WIDE.includes(offset - 4)) this.#words[(offset - 4) >> 2] = 0;
    return value;
  }

  /** A frame came in and passed the filter. @param frame without FCS */
  received(frame: Uint8Array): void {
    this.#count(STAT.goodReceived);
    this.#add(STAT.goodOctetsReceived, frame.length + FCS_BYTES);
    this.#countSize(STAT.received64, frame.length + FCS_BYTES);
    if ((frame[0] & 1) !== 0) this.#count(isBroadcast(frame) ? STAT.broadcastReceived : STAT.multicastReceived);
  }

  /** A frame came in, wanted or not. */
  seen(byteCount: number): void {
    this.#count(STAT.packetsReceived);
    this.#add(STAT.octetsReceived, byteCount + FCS_BYTES);
  }

  transmitted(frame: Uint8Array, byteCount: number): void {
    this.#count(STAT.goodTransmitted);
    this.#count(STAT.packetsTransmitted);
    this.#add(STAT.goodOctetsTransmitted, byteCount + FCS_BYTES);
    this.#add(STAT.octetsTransmitted, byteCount + FCS_BYTES);
    this.#countSize(STAT.transmitted64, byteCount + FCS_BYTES);
    if ((frame[0] & 1) !== 0) this.#count(isBroadcast(frame) ? STAT.broadcastTransmitted : STAT.multicastTransmitted);
  }

  segmented(): void {
    this.#count(STAT.segmentationContexts);
  }

  oversize(): void {
    this.#count(STAT.oversize);
  }

  undersize(): void {
    this.#count(STAT.undersize);
  }

  noBuffer(): void {
    this.#count(STAT.noBuffers);
  }

  missed(): void {
    this.#count(STAT.missedPackets);
  }

  reset(): void {
    this.#words.fill(0);
  }

  save(): Uint32Array {
    return this.#words.slice();
  }

  restore(state: Uint32Array): void {
    this.#words.set(state);
  }

  #count(offset: number): void {
    const at = offset >> 2;
    if (this.#words[at] !== 0xffff_ffff) this.#words[at]++;
  }

  #add(offset: number, byteCount: number): void {
    const at = offset >> 2;
    const low = this.#words[at] + byteCount;
    this.#words[at] = low;
    if (low > 0xffff_ffff) this.#count(offset + 4);
  }

  /** Six counters side by side: 64, 65-127, 128-255, 256-511, 512-1023, 1024 and more bytes. */
  #countSize(first: number, byteCount: number): void {
    const size = byteCount <= 64 ? 0 : Math.min(5, 26 - Math.clz32(byteCount));
    this.#count(first + size * 4);
  }
}

function isBroadcast(frame: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return false;
  return true;
}
