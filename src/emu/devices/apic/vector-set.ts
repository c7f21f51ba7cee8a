/** 256 bits, one a vector: IRR, ISR and TMR of a local APIC. Source: SDM Vol. 3A, figure 10-20. */
export class VectorSet {
  /** Eight words as a guest reads them; bit n of word w is vector 32w + n. */
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return (this.words[vector >>> 5] & (1 << (vector & 31))) !== 0;
  }

  add(vector: number): void {
    this.words[vector >>> 5] |= 1 << (vector & 31);
  }

  delete(vector: number): void {
    this.words[vector >>> 5] &= ~(1 << (vector & 31));
  }

  clear(): void {
    this.words.fill(0);
  }

  /** The highest vector, or -1. */
  get highest(): number {
    for (let w = 7; w >= 0; w--) {
      const word = this.words[w];
      if (word !== 0) return w * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}
