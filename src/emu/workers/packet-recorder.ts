/**
 * What passes a network card's cable, as a capture file in memory. Browsers keep blobs outside of the thread's heap, and
 * on disk when there are many.
 */
import type { NetworkCable } from '#emu/host/network-cable.ts';
import { pcapHeader, pcapRecord } from '#emu/host/pcap.ts';

const BLOCK_BYTES = 256 * 1024;
/** More than this is not recorded: the file ends there. */
export const MOST_TRACE_BYTES: number = 512 * 1024 * 1024;

export class PacketRecorder {
  readonly #cable: NetworkCable;
  readonly #blobs: Blob[] = [];
  #block = new Uint8Array(BLOCK_BYTES);
  #filled = 0;
  #bytes = 0;

  /** Begins at once. @param unixMs the time of day */
  constructor(cable: NetworkCable, unixMs: () => number) {
    this.#cable = cable;
    this.#add(pcapHeader());
    cable.trace = (frame) => this.#add(pcapRecord(frame, unixMs()));
  }

  get bytes(): number {
    return this.#bytes;
  }

  #add(record: Uint8Array): void {
    if (this.#bytes + record.length > MOST_TRACE_BYTES) {
      this.#cable.trace = undefined;
      return;
    }
    this.#bytes += record.length;
    if (this.#filled + record.length > BLOCK_BYTES) this.#store();
    this.#block.set(record, this.#filled);
    this.#filled += record.length;
  }

  #store(): void {
    this.#blobs.push(new Blob([this.#block.subarray(0, this.#filled)]));
    this.#block = new Uint8Array(BLOCK_BYTES);
    this.#filled = 0;
  }

  /** Ends it. */
  finish(): Blob {
    this.#cable.trace = undefined;
    this.#store();
    return new Blob(this.#blobs, { type: 'application/vnd.tcpdump.pcap' });
  }
}
