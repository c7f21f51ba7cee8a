import { SECTOR_BYTES } from '#base/units.ts';
import { type BlockStore, checkRequest, closedError, readOnlyError, sectorsFor } from '../block/block-store.ts';
import { fingerprint } from '../block/content.ts';

export interface MemoryStoreOptions {
  /** Default true. */
  readonly writable?: boolean;
  readonly description?: string;
}

/** A whole image in RAM: floppies, small kernels, tests. Lost with the page. */
export class MemoryStore implements BlockStore {
  readonly description: string;
  readonly identity: string;
  readonly sectorCount: number;
  readonly writable: boolean;
  #image: Uint8Array | undefined;

  /** @param image used in place when it is whole sectors, else copied and zero-padded */
  constructor(image: Uint8Array, options: MemoryStoreOptions = {}) {
    this.sectorCount = sectorsFor(image.length);
    this.writable = options.writable ?? true;
    this.description = options.description ?? `memory image of ${image.length} bytes`;
    this.identity = `memory:${image.length}:${fingerprint(image)}`;
    this.#image = image;
    if (image.length % SECTOR_BYTES === 0) return;
    this.#image = new Uint8Array(this.sectorCount * SECTOR_BYTES);
    this.#image.set(image);
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    const image = this.#open();
    checkRequest(this.sectorCount, sector, into.length);
    into.set(image.subarray(sector * SECTOR_BYTES, sector * SECTOR_BYTES + into.length));
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    const image = this.#open();
    if (!this.writable) throw readOnlyError(this.description);
    checkRequest(this.sectorCount, sector, from.length);
    image.set(from, sector * SECTOR_BYTES);
  }

  async flush(): Promise<void> {
    this.#open();
  }

  async close(): Promise<void> {
    this.#image = undefined;
  }

  #open(): Uint8Array {
    if (!this.#image) throw closedError(this.description);
    return this.#image;
  }
}
