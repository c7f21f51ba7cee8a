/**
 * What a disk controller asks of its medium. Callbacks, not promises: `done` runs on the machine's thread, either
 * before `submit` returns or later when the machine polls its host, so a completion never waits for an event loop.
 */
export interface BlockPort {
  /** Size of the medium in 512-byte sectors. */
  readonly sectorCount: number;
  readonly writable: boolean;
  submit(request: BlockRequest): void;
}

/** `io`: the host could not; `full`: the host has no room left for a changed block; `read-only`: the medium takes no writes. */
export type BlockStatus = 'ok' | 'io' | 'full' | 'read-only';

export interface BlockRequest {
  /** `flush` completes only when everything written before is durable. */
  readonly kind: 'read' | 'write' | 'flush';
  /** First 512-byte sector; 0 for flush. */
  readonly sector: number;
  /** Filled by a read, source of a write; a whole number of sectors, inside the medium. Untouched until `done`. */
  readonly bytes: Uint8Array;
  readonly done: (status: BlockStatus) => void;
}

/** A medium in RAM, for tests and small images. */
export class MemoryBlockPort implements BlockPort {
  readonly sectorCount: number;
  readonly writable: boolean;
  readonly image: Uint8Array;

  constructor(image: Uint8Array, writable = true) {
    this.image = image;
    this.sectorCount = Math.floor(image.length / 512);
    this.writable = writable;
  }

  submit(request: BlockRequest): void {
    request.done(this.#carryOut(request));
  }

  #carryOut(request: BlockRequest): BlockStatus {
    if (request.kind === 'flush') return 'ok';
    const at = request.sector * 512;
    if (at + request.bytes.length > this.sectorCount * 512) return 'io';
    if (request.kind === 'read') request.bytes.set(this.image.subarray(at, at + request.bytes.length));
    else if (!this.writable) return 'read-only';
    else this.image.set(request.bytes, at);
    return 'ok';
  }
}
