/**
 * H.264 as plain as it may be: every macroblock is its samples (I_PCM), so that a decoder shows exactly what was coded. Key
 * pictures, and others that are of no use without what came before.
 * Source: ITU-T H.264 7.3.2.1 (sequence), 7.3.2.2 (picture), 7.3.3 (slices), 7.3.5 (macroblocks), 7.4.1.1 (emulation
 * prevention), 9.1 (Exp-Golomb codes).
 */

const NAL = { other: 0x41, key: 0x65, sequence: 0x67, picture: 0x68 } as const;
const MACROBLOCK = 16;
const NO_COLOUR = 128;
/** mb_type of I_PCM, tables 7-11 and 7-13. */
const PCM_IN_I = 25;
const PCM_IN_P = 30;
const SLICE = { p: 5, i: 7 } as const;

export class PlainH264 {
  readonly #width: number;
  readonly #height: number;
  #count = 0;
  #keys = 0;

  /** @param width, height even */
  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
  }

  /** One grey picture, Annex B. @param luma of each pixel, 0 to 255 */
  encode(luma: (x: number, y: number) => number, isKey: boolean): Uint8Array<ArrayBuffer> {
    this.#count = isKey ? 0 : this.#count + 1;
    const units = isKey ? [this.#sequence(), this.#picture(), this.#slice(luma, true)] : [this.#slice(luma, false)];
    const all = units.flat();
    return Uint8Array.from(all);
  }

  get #columns(): number {
    return Math.ceil(this.#width / MACROBLOCK);
  }

  get #rows(): number {
    return Math.ceil(this.#height / MACROBLOCK);
  }

  #sequence(): number[] {
    const bits = new Bits([NAL.sequence, 66, 0xc0, 40]);
    // Number, frame numbers of 4 bits, order of output as coded, one reference, no gaps.
    bits.golomb(0).golomb(0).golomb(2).golomb(1).put(0, 1);
    bits.golomb(this.#columns - 1).golomb(this.#rows - 1);
    // Frames only, 8 x 8 inference, cropped, in units of two samples.
    bits.put(0b111, 3).golomb(0);
    bits.golomb((this.#columns * MACROBLOCK - this.#width) / 2).golomb(0);
    bits.golomb((this.#rows * MACROBLOCK - this.#height) / 2);
    return bits.put(0, 1).unit();
  }

  #picture(): number[] {
    const bits = new Bits([NAL.picture]).golomb(0).golomb(0).put(0, 2).golomb(0).golomb(0).golomb(0).put(0, 3);
    // Quantizers, then: the deblocking filter can be switched off.
    return bits.golomb(0).golomb(0).golomb(0).put(0b100, 3).unit();
  }

  #slice(luma: (x: number, y: number) => number, isKey: boolean): number[] {
    const bits = new Bits([isKey ? NAL.key : NAL.other]);
    bits
      .golomb(0)
      .golomb(isKey ? SLICE.i : SLICE.p)
      .golomb(0);
    bits.put(this.#count & 15, 4);
    // Its number and no long-term reference; or references as they are.
    if (isKey) bits.golomb(this.#keys++ & 1).put(0, 2);
    else bits.put(0, 3);
    bits.golomb(0).golomb(1);
    for (let row = 0; row < this.#rows; row++) {
      for (let column = 0; column < this.#columns; column++) {
        // None is skipped.
        if (!isKey) bits.golomb(0);
        bits.golomb(isKey ? PCM_IN_I : PCM_IN_P).align();
        for (let i = 0; i < 256; i++) bits.byte(luma(column * MACROBLOCK + (i & 15), row * MACROBLOCK + (i >> 4)));
        for (let i = 0; i < 128; i++) bits.byte(NO_COLOUR);
      }
    }
    return bits.unit();
  }
}

class Bits {
  readonly #bytes: number[];
  #bit = 0;

  constructor(bytes: number[]) {
    this.#bytes = bytes;
  }

  put(value: number, count: number): this {
    for (let i = count - 1; i >= 0; i--) {
      if (this.#bit === 0) this.#bytes.push(0);
      this.#bytes[this.#bytes.length - 1] |= ((value >> i) & 1) << (7 - this.#bit);
      this.#bit = (this.#bit + 1) & 7;
    }
    return this;
  }

  /** An unsigned number; 0 is that as well where a signed one is due. */
  golomb(value: number): this {
    const length = 32 - Math.clz32(value + 1);
    return this.put(0, length - 1).put(value + 1, length);
  }

  align(): this {
    this.#bit = 0;
    return this;
  }

  byte(value: number): void {
    this.#bytes.push(value);
  }

  /** Start code and all, with what keeps start codes out of it. */
  unit(): number[] {
    this.put(1, 1);
    const unit = [0, 0, 0, 1];
    let zeros = 0;
    for (const byte of this.#bytes) {
      if (zeros >= 2 && byte <= 3) {
        unit.push(3);
        zeros = 0;
      }
      unit.push(byte);
      zeros = byte === 0 ? zeros + 1 : 0;
    }
    return unit;
  }
}
