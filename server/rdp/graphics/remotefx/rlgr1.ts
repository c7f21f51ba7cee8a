/** Adaptive run-length and Golomb-Rice coding of coefficients. Source: [MS-RDPRFX] 3.1.8.1.7.3 (RLGR1 pseudo-code). */

const KP_MAX = 80;
const LS_GR = 3;
const UP_GR = 4;
const DOWN_GR = 6;
const UP_QUIET = 3;
const DOWN_QUIET = 3;
const ONES = 0xffff;

const clamped = (value: number): number => Math.max(0, Math.min(value, KP_MAX));

/** Writes bits, highest first. Its buffer is used again. */
export class Rlgr1Encoder {
  readonly #out: Uint8Array;
  #length = 0;
  #bits = 0;
  #bitCount = 0;

  /** @param capacity bytes of the longest result; what goes beyond is an error of the caller's */
  constructor(capacity: number) {
    this.#out = new Uint8Array(capacity);
  }

  /** @returns the code, valid until the next call; undefined when it does not fit */
  encode(values: Int16Array): Uint8Array | undefined {
    this.#length = 0;
    this.#bits = 0;
    this.#bitCount = 0;
    let k = 1;
    let kp = 1 << LS_GR;
    let krp = 1 << LS_GR;
    const end = values.length;
    for (let at = 0; at < end; ) {
      if (k === 0) {
        const value = values[at++];
        const code = value >= 0 ? value * 2 : -value * 2 - 1;
        krp = this.#golombRice(krp, code, 0, 0);
        kp = clamped(code === 0 ? kp + UP_QUIET : kp - DOWN_QUIET);
        k = kp >> LS_GR;
        continue;
      }
      let zeros = 0;
      while (at < end && values[at] === 0) {
        zeros++;
        at++;
      }
      for (let run = 1 << k; zeros >= run; run = 1 << k) {
        this.#put(0, 1);
        zeros -= run;
        kp = clamped(kp + UP_GR);
        k = kp >> LS_GR;
      }
      this.#put((1 << k) | zeros, k + 1);
      // Behind the last zeros comes a value that nobody decodes, but some decoders want to see it.
      const value = at < end ? values[at++] : 1;
      krp = this.#golombRice(krp, value < 0 ? -value - 1 : value - 1, value < 0 ? 1 : 0, 1);
      kp = clamped(kp - DOWN_GR);
      k = kp >> LS_GR;
    }
    if (this.#bitCount > 0) this.#put(0, 8 - this.#bitCount);
    return this.#length > this.#out.length ? undefined : this.#out.subarray(0, this.#length);
  }

  /** @param sign in front, `signBits` long. @returns the new parameter */
  #golombRice(krp: number, value: number, sign: number, signBits: number): number {
    const kr = krp >> LS_GR;
    const high = value >> kr;
    const low = value & ((1 << kr) - 1);
    // Nearly all codes are short; written at once they take a third less time than bit by bit.
    if (high <= 4) this.#put((((sign << high) | ((1 << high) - 1)) << (kr + 1)) | low, signBits + high + 1 + kr);
    else {
      this.#put(sign, signBits);
      for (let left = high; left > 0; left -= 16) this.#put(ONES, Math.min(left, 16));
      this.#put(low, kr + 1);
    }
    if (high === 0) return clamped(krp - 2);
    return high > 1 ? clamped(krp + high) : krp;
  }

  /** The low `count` bits of `value`, at most 16. */
  #put(value: number, count: number): void {
    this.#bits = (this.#bits << count) | (value & ((1 << count) - 1));
    this.#bitCount += count;
    while (this.#bitCount >= 8) {
      this.#bitCount -= 8;
      this.#out[this.#length++] = this.#bits >> this.#bitCount;
    }
    this.#bits &= (1 << this.#bitCount) - 1;
  }
}
