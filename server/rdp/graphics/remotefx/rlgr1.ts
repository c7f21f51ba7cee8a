/** Adaptive run-length and Golomb-Rice coding of coefficients. Source: [MS-RDPRFX] 3.1.8.1.7.3 (RLGR1 pseudo-code). */

const KP_MAX = 80;
const LS_GR = 3;
const UP_GR = 4;
const DOWN_GR = 6;
const UP_QUIET = 3;
const DOWN_QUIET = 3;
/** Bits that are put at once at most; 15 may wait in front of them, and all have to fit a signed word. */
const MOST_BITS = 16;

/** Writes bits, highest first. Its buffer is used again. */
export class Rlgr1Encoder {
  readonly #out: Uint8Array;

  /** @param capacity bytes of the longest result; what goes beyond is an error of the caller's */
  constructor(capacity: number) {
    this.#out = new Uint8Array(capacity);
  }

  /**
   * @param values an even number of them, at an even place of their buffer
   * @returns the code, valid until the next call; undefined when it does not fit
   */
  encode(values: Int16Array): Uint8Array | undefined {
    const out = this.#out;
    const pairs = new Int32Array(values.buffer, values.byteOffset, values.length >> 1);
    const end = values.length;
    let length = 0;
    // Bits that wait, and how many; they and all parameters are locals, which halves the time.
    let bits = 0;
    let waiting = 0;
    let k = 1;
    let kp = 1 << LS_GR;
    let krp = 1 << LS_GR;
    for (let at = 0; at < end; ) {
      // What goes out: `head` of `headBits`, then `code` as Golomb-Rice has it.
      let head = 0;
      let headBits = 0;
      let code = 0;
      if (k === 0) {
        const value = values[at++];
        code = value >= 0 ? value * 2 : -value * 2 - 1;
        kp = code === 0 ? kp + UP_QUIET : kp - DOWN_QUIET;
      } else {
        const from = at;
        // Most of a tile is zeros: two at a time.
        if ((at & 1) !== 0 && values[at] === 0) at++;
        if ((at & 1) === 0) {
          while (at < end && pairs[at >> 1] === 0) at += 2;
          if (at < end && values[at] === 0) at++;
        }
        let zeros = at - from;
        for (let run = 1 << k; zeros >= run; run = 1 << k) {
          bits <<= 1;
          if (++waiting === MOST_BITS) {
            out[length++] = bits >> 8;
            out[length++] = bits;
            bits = 0;
            waiting = 0;
          }
          zeros -= run;
          kp = Math.min(kp + UP_GR, KP_MAX);
          k = kp >> LS_GR;
        }
        // Behind the last zeros comes a value that nobody decodes, but some decoders want to see it.
        const value = at < end ? values[at++] : 1;
        const isNegative = value < 0;
        code = isNegative ? -value - 1 : value - 1;
        head = (((1 << k) | zeros) << 1) | (isNegative ? 1 : 0);
        headBits = k + 2;
        kp -= DOWN_GR;
      }
      kp = kp < 0 ? 0 : Math.min(kp, KP_MAX);
      k = kp >> LS_GR;
      const kr = krp >> LS_GR;
      let high = code >> kr;
      const low = code & ((1 << kr) - 1);
      if (high === 0) krp = krp < 2 ? 0 : krp - 2;
      else if (high > 1) krp = Math.min(krp + high, KP_MAX);
      // Nearly all codes fit one step.
      if (headBits + high + 1 + kr > MOST_BITS) {
        bits = (bits << headBits) | head;
        waiting += headBits;
        for (;;) {
          while (waiting >= 8) {
            waiting -= 8;
            out[length++] = bits >> waiting;
            bits &= (1 << waiting) - 1;
          }
          if (high === 0) break;
          const ones = Math.min(high, 8);
          bits = (bits << ones) | ((1 << ones) - 1);
          waiting += ones;
          high -= ones;
        }
        head = low;
        headBits = kr + 1;
      } else {
        head = (((head << high) | ((1 << high) - 1)) << (kr + 1)) | low;
        headBits += high + 1 + kr;
      }
      bits = (bits << headBits) | head;
      waiting += headBits;
      if (waiting >= MOST_BITS) {
        waiting -= MOST_BITS;
        const word = bits >> waiting;
        out[length++] = word >> 8;
        out[length++] = word;
        bits &= (1 << waiting) - 1;
      }
    }
    for (; waiting > 0; waiting -= 8) out[length++] = waiting >= 8 ? bits >> (waiting - 8) : bits << (8 - waiting);
    return length > out.length ? undefined : out.subarray(0, length);
  }
}
