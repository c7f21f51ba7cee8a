/** A block port that counts what goes through it, for the activity lamps of the page. */
import { SECTOR_BYTES } from '#base/units.ts';
import type { BlockPort, BlockRequest } from '#emu/host/block.ts';

export class CountingPort implements BlockPort {
  readonly sectorCount: number;
  readonly writable: boolean;
  /** Since the port was made. */
  sectorsRead = 0;
  sectorsWritten = 0;
  /** Requests without an answer. */
  pending = 0;
  readonly #port: BlockPort;

  constructor(port: BlockPort) {
    this.#port = port;
    this.sectorCount = port.sectorCount;
    this.writable = port.writable;
  }

  submit(request: BlockRequest): void {
    const sectors = request.bytes.length / SECTOR_BYTES;
    if (request.kind === 'read') this.sectorsRead += sectors;
    else if (request.kind === 'write') this.sectorsWritten += sectors;
    this.pending++;
    this.#port.submit({
      ...request,
      done: (status) => {
        this.pending--;
        request.done(status);
      },
    });
  }
}
