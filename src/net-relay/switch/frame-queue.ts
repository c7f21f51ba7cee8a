import type { PacketPort } from '#emu/host/packet-port.ts';

/**
 * Frames on their way into a cable whose other end may have no room for a while: kept in order up to a bound, then
 * dropped, as in the port of a real switch.
 */
export class FrameQueue {
  readonly #port: PacketPort;
  readonly #mostBytes: number;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  /** Frames that found the queue full. */
  dropped = 0;

  /** @param mostBytes kept while the cable has no room; one frame always fits */
  constructor(port: PacketPort, mostBytes: number) {
    this.#port = port;
    this.#mostBytes = mostBytes;
  }

  /** Nothing waits: what is sent now goes straight into the cable. */
  get isReady(): boolean {
    return this.#waiting.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param isOwn the frame is ours to keep; otherwise one that has to wait is copied */
  send(frame: Uint8Array, isOwn: boolean): void {
    if (this.#waiting.length === 0 && this.#port.send(frame)) return;
    if (this.#bytes > 0 && this.#bytes + frame.length > this.#mostBytes) {
      this.dropped++;
      return;
    }
    this.#waiting.push(isOwn ? frame : frame.slice());
    this.#bytes += frame.length;
  }

  /** The cable has room again. @returns whether everything that waited is on its way */
  resume(): boolean {
    let sent = 0;
    while (sent < this.#waiting.length && this.#port.send(this.#waiting[sent]))
      this.#bytes -= this.#waiting[sent++].length;
    if (sent > 0) this.#waiting = this.#waiting.slice(sent);
    return this.#waiting.length === 0;
  }

  /** The cable leads elsewhere now, or nowhere. */
  clear(): void {
    this.#waiting = [];
    this.#bytes = 0;
  }
}
