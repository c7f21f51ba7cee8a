/** Operands for the tests against the host: random ones, and those where formats end. */

/** A small deterministic generator (xorshift32); the seed is part of the test. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed || 1;
  }
  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
  below(n: number): number {
    return this.u32() % n;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
}

/** A significand of `bits` bits with runs of zeros and ones, where rounding has its corners. */
function significand(r: Random, bits: number): bigint {
  const mask = (1n << BigInt(bits)) - 1n;
  switch (r.below(6)) {
    case 0:
      return 0n;
    case 1:
      return mask;
    case 2:
      return (r.u64() << BigInt(r.below(bits))) & mask;
    case 3:
      return (mask << BigInt(r.below(bits))) & mask;
    case 4:
      return ((1n << BigInt(r.below(bits))) + BigInt(r.below(3)) - 1n) & mask;
    default:
      return r.u64() & mask;
  }
}

/** An exponent field: mostly near the middle, sometimes at an end. */
function exponent(r: Random, max: number): number {
  switch (r.below(8)) {
    case 0:
      return 0;
    case 1:
      return max;
    case 2:
      return 1 + r.below(3);
    case 3:
      return max - 1 - r.below(3);
    case 4:
      return r.below(max + 1);
    default:
      return Math.min(max, Math.max(0, (max >> 1) + r.below(128) - 64));
  }
}

export const random32 = (r: Random): number =>
  Number(BigInt.asIntN(32, (BigInt(r.below(2)) << 31n) | (BigInt(exponent(r, 255)) << 23n) | significand(r, 23)));
export const random64 = (r: Random): bigint =>
  (BigInt(r.below(2)) << 63n) | (BigInt(exponent(r, 2047)) << 52n) | significand(r, 52);

/** An extended value; `odd` allows unsupported formats and pseudo-denormals. */
export function random80(r: Random, odd = true): { significand: bigint; signExponent: number } {
  const exp = exponent(r, 0x7fff);
  let sig = significand(r, 63);
  const integer = exp === 0 ? odd && r.below(8) === 0 : !(odd && r.below(24) === 0);
  if (integer) sig |= 1n << 63n;
  return { significand: sig, signExponent: exp | (r.below(2) << 15) };
}
