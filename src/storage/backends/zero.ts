import { type BlockStore, checkRequest, closedError, readOnlyError } from '../block/block-store.ts';

/** What a new, empty disk reads as before anything is written over it: zeros that take no room. */
export class ZeroStore implements BlockStore {
  readonly description: string;
  readonly identity: string;
  readonly sectorCount: number;
  readonly writable: boolean = false;
  #closed = false;

  constructor(sectorCount: number) {
    this.sectorCount = sectorCount;
    this.description = `empty disk of ${sectorCount} sectors`;
    this.identity = `zero:${sectorCount}`;
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    if (this.#closed) throw closedError(this.description);
    checkRequest(this.sectorCount, sector, into.length);
    into.fill(0);
  }

  async write(): Promise<void> {
    throw readOnlyError(this.description);
  }

  async flush(): Promise<void> {
    if (this.#closed) throw closedError(this.description);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
