/** Bits into bytes, the highest first. */
export class BitWriter {
  #bytes = new Uint8Array(256);
  #to = 0;
  #waiting = 0;
  #count = 0;

  /** The low `bits` of `value`, at most 16. */
  put(value: number, bits: number): void {
    this.#waiting = (this.#waiting << bits) | value;
    this.#count += bits;
    while (this.#count >= 8) {
      this.#count -= 8;
      if (this.#to === this.#bytes.length) this.#grow();
      this.#bytes[this.#to++] = this.#waiting >>> this.#count;
    }
    this.#waiting &= (1 << this.#count) - 1;
  }

  /** Filled up with zeros to whole bytes. */
  done(): Uint8Array {
    if (this.#count > 0) this.put(0, 8 - this.#count);
    return this.#bytes.subarray(0, this.#to);
  }

  #grow(): void {
    const larger = new Uint8Array(this.#bytes.length * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
