/**
 * Descriptors in the three layouts that the PCnet family knows.
 * Source: Am79C970A data sheet, "Receive descriptors", "Transmit descriptors" (SWSTYLE 0, 2 and 3).
 */
import type { DmaMemory } from '#emu/bus/wires.ts';
import { STYLE } from './registers.ts';

export class PcnetDescriptor {
  readonly #memory: DmaMemory;
  readonly #scratch: Uint8Array = new Uint8Array(4);
  readonly #one: Uint8Array = this.#scratch.subarray(0, 1);
  readonly #two: Uint8Array = this.#scratch.subarray(0, 2);
  #at = 0;
  #style = 0;
  /** Bits 31 to 16 of the flags word; the 16-bit layout has only the upper half of them. */
  flags = 0;
  buffer = 0;
  byteCount = 0;

  constructor(memory: DmaMemory) {
    this.#memory = memory;
  }

  /**
   * Fetches one.
   * @param style BCR20
   * @param high what stands above 24-bit addresses, in place
   */
  fetch(base: number, index: number, style: number, high: number): void {
    const memory = this.#memory;
    this.#style = style;
    if ((style & STYLE.wide) === 0) {
      const at = base + index * 8;
      const word = memory.readU16(at + 2);
      this.#at = at;
      this.flags = word & 0xff00;
      this.buffer = (high | ((word & 0xff) << 16) | memory.readU16(at)) >>> 0;
      this.byteCount = countOf(memory.readU16(at + 4));
      return;
    }
    const at = base + index * 16;
    const word = memory.readU32(at + 4);
    this.#at = at;
    this.flags = word >>> 16;
    this.buffer = memory.readU32((style & STYLE.mask) === 3 ? at + 8 : at);
    this.byteCount = countOf(word);
  }

  /** Gives a receive descriptor back. @param messageBytes 0 unless the frame ends here */
  finishReceive(flags: number, messageBytes: number): void {
    this.#finish(flags, messageBytes & 0xfff);
  }

  /** Gives a transmit descriptor back. @param errors bits 31 to 16 of TMD2 */
  finishTransmit(flags: number, errors: number): void {
    // The 16-bit layout has the same errors in TMD3.
    this.#finish(flags, (this.#style & STYLE.wide) === 0 ? errors : (errors << 16) >>> 0);
  }

  /** The status goes first: a driver that sees the owner change sees all of it. */
  #finish(flags: number, status: number): void {
    const memory = this.#memory;
    const scratch = this.#scratch;
    scratch[0] = status;
    scratch[1] = status >>> 8;
    if ((this.#style & STYLE.wide) === 0) {
      memory.write(this.#at + 6, this.#two);
      scratch[0] = flags >>> 8;
      memory.write(this.#at + 3, this.#one);
      return;
    }
    scratch[2] = status >>> 16;
    scratch[3] = status >>> 24;
    memory.write((this.#style & STYLE.mask) === 3 ? this.#at : this.#at + 8, scratch);
    scratch[0] = flags;
    scratch[1] = flags >>> 8;
    memory.write(this.#at + 6, this.#two);
  }
}

/** BCNT is a two's complement number of 12 bits. */
const countOf = (word: number): number => 4096 - (word & 0xfff);
