/** Pieces of an image already read, least recently used first to go. */
export class ChunkCache<Buffer extends ArrayBufferLike = ArrayBufferLike> {
  readonly #limitBytes: number;
  /** In order of use: a Map iterates in order of insertion. */
  readonly #chunks = new Map<number, Uint8Array<Buffer>>();
  #bytes = 0;

  /** @param limitBytes what all chunks together may hold */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(chunk: number): boolean {
    return this.#chunks.has(chunk);
  }

  get(chunk: number): Uint8Array<Buffer> | undefined {
    const bytes = this.#chunks.get(chunk);
    if (!bytes) return undefined;
    this.#chunks.delete(chunk);
    this.#chunks.set(chunk, bytes);
    return bytes;
  }

  set(chunk: number, bytes: Uint8Array<Buffer>): void {
    this.delete(chunk);
    this.#chunks.set(chunk, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#chunks.keys()) {
      if (this.#bytes <= this.#limitBytes) return;
      this.delete(oldest);
    }
  }

  delete(chunk: number): void {
    this.#bytes -= this.#chunks.get(chunk)?.length ?? 0;
    this.#chunks.delete(chunk);
  }

  clear(): void {
    this.#chunks.clear();
    this.#bytes = 0;
  }
}
