/** What RDRAND and RDSEED hand out: numbers of the host's secure source, fetched a few hundred at a time. */
const POOL_WORDS = 1024;

export class RandomNumbers {
  readonly #fill: (into: Uint8Array) => void;
  readonly #words = new Int32Array(POOL_WORDS);
  #next = POOL_WORDS;

  /** @param fill overwrites the bytes with random ones; at most 65 536 at a time */
  constructor(fill: (into: Uint8Array) => void) {
    this.#fill = fill;
  }

  /** 32 random bits. */
  next(): number {
    if (this.#next === POOL_WORDS) {
      this.#fill(new Uint8Array(this.#words.buffer));
      this.#next = 0;
    }
    const word = this.#words[this.#next];
    // Nobody shall find it in memory afterwards.
    this.#words[this.#next++] = 0;
    return word;
  }
}
