/** Reproducible random values, most of them at the corners of their type. */
const F64 = new DataView(new ArrayBuffer(8));

/** sfc32 (Chris Doty-Humphrey, PractRand): seeded anew for each case, so that any case can be made alone. */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  constructor(seed: number, stream: number) {
    this.#a = seed | 0;
    this.#b = stream | 0;
    this.#c = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ stream;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const t = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }
  /** 0 <= x < n */
  below(n: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * n);
  }
  /** Signed, both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }

  /** 32 bits as programs have them: corners of all widths, small numbers, single bits, noise. */
  word(): number {
    switch (this.below(8)) {
      case 0:
        return this.pick(CORNERS);
      case 1:
        return (this.pick(CORNERS) + this.between(-2, 2)) >>> 0;
      case 2:
        return this.between(-130, 130) >>> 0;
      case 3:
        return (1 << this.below(32)) >>> 0;
      case 4:
        return (this.pick(CORNERS) ^ (this.u32() & this.u32() & this.u32())) >>> 0;
      default:
        return this.u32();
    }
  }

  /** Fills with values of one kind: integers, singles, doubles or extended numbers, or a mixture. */
  fill(bytes: Uint8Array, at: number, count: number): void {
    const end = at + count;
    const kind = this.below(6);
    while (at < end) {
      switch (kind === 5 ? this.below(5) : kind) {
        case 0:
          at = this.#put(bytes, at, end, this.u32(), 4);
          break;
        case 1:
          at = this.#put(bytes, at, end, this.word(), 4);
          break;
        case 2:
          at = this.#put(bytes, at, end, this.single(), 4);
          break;
        case 3:
          this.double();
          for (let i = 0; i < 8 && at < end; i++) bytes[at++] = F64.getUint8(i);
          break;
        default:
          at = this.#extended(bytes, at, end);
      }
    }
  }

  /** An 80-bit extended number. */
  fillExtended(bytes: Uint8Array, at: number): void {
    this.#extended(bytes, at, at + 10);
  }

  /** Bits of a single. */
  single(): number {
    const sign = this.below(2) * 0x8000_0000;
    const fraction = this.#fraction(23);
    switch (this.below(10)) {
      case 0:
        return (sign + this.pick([0, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, 0x7fff_ffff, 1, 0x7f_ffff])) >>> 0;
      case 1:
        return (sign + this.pick([0x80_0000, 0x7f7f_ffff, 0x3f80_0000, 0x3f00_0000, 0x4b00_0000, 0x4f00_0000])) >>> 0;
      case 2:
        return (sign + fraction) >>> 0;
      case 3:
        return this.u32();
      case 4:
        return (sign + this.pick([1, 2, 3, 252, 253, 254]) * 0x80_0000 + fraction) >>> 0;
      default:
        return (sign + this.between(127 - 34, 127 + 34) * 0x80_0000 + fraction) >>> 0;
    }
  }

  /** Leaves a double in F64, little-endian. */
  double(): void {
    const sign = this.below(2) * 0x8000_0000;
    const kind = this.below(10);
    const exponent =
      kind === 0
        ? this.pick([0, 2047])
        : kind === 1
          ? this.pick([1, 2, 2045, 2046, 1023 - 149, 1023 - 126, 1023 - 127, 1023 + 127, 1023 + 128])
          : kind === 2
            ? this.below(2048)
            : this.between(1023 - 66, 1023 + 66);
    F64.setUint32(4, (sign + exponent * 0x10_0000 + this.#fraction(20)) >>> 0, true);
    F64.setUint32(0, this.oneIn(3) ? this.pick([0, 1, 0xffff_ffff, 0x1000_0000, 0x1fff_ffff]) : this.u32(), true);
  }

  #extended(bytes: Uint8Array, at: number, end: number): number {
    const kind = this.below(12);
    const bias = 16383;
    const exponent =
      kind === 0
        ? this.pick([0, 0x7fff])
        : kind === 1
          ? this.pick([
              1,
              2,
              0x7ffd,
              0x7ffe,
              bias - 1022,
              bias - 1023,
              bias + 1023,
              bias + 1024,
              bias - 126,
              bias + 128,
            ])
          : kind === 2
            ? this.below(0x8000)
            : kind === 3
              ? this.pick([
                  bias - 1074,
                  bias - 1075,
                  bias - 149,
                  bias - 150,
                  bias + 63,
                  bias + 64,
                  bias + 31,
                  bias + 15,
                ])
              : this.between(bias - 70, bias + 70);
    let high = this.#fraction(31);
    // The integer bit is clear in denormals; elsewhere that makes an unsupported encoding.
    if (exponent !== 0 ? !this.oneIn(40) : this.oneIn(8)) high += 0x8000_0000;
    const low = this.oneIn(3) ? this.pick([0, 1, 0xffff_ffff, 0x400, 0x800, 0x7ff, 0x8000_0000]) : this.u32();
    const next = this.#put(bytes, this.#put(bytes, at, end, low, 4), end, high >>> 0, 4);
    return this.#put(bytes, next, end, exponent | (this.below(2) << 15), 2);
  }

  #fraction(bits: number): number {
    const top = 2 ** bits;
    switch (this.below(5)) {
      case 0:
        return this.pick([0, 1, top - 1, top / 2, top / 2 - 1, top / 2 + 1, top / 4]);
      case 1:
        return Math.floor((this.u32() & this.u32() & this.u32()) >>> 0) % top;
      default:
        return this.u32() % top;
    }
  }

  #put(bytes: Uint8Array, at: number, end: number, value: number, count: number): number {
    for (let i = 0; i < count && at < end; i++) bytes[at++] = value >>> (i * 8);
    return at;
  }
}

const CORNERS = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
  0xffff_ff80, 0xffff_8000, 0x5555_5555, 0xaaaa_aaaa, 31, 32, 33,
] as const;
