// Frames on a pair of byte streams: two bytes of length, big-endian, then the frame, as `vde_plug` has them.

import type { Readable, Writable } from 'node:stream';
import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { FrameQueue } from '../../src/net-relay/switch/frame-queue.ts';
import { put16, u16 } from '../../src/net-relay/wire/bytes.ts';

/** Bytes that wait to be written, above which the cable's other end has to wait. */
const MOST_QUEUED = 512 * 1024;
const BLOCK_BYTES = 128 * 1024;
const LONGEST = 0xffff;

export class FramedPipe implements PacketReceiver {
  readonly #cable: PacketPort;
  readonly #queue: FrameQueue;
  readonly #input: Readable;
  readonly #out: Writable;
  readonly #end: () => void;
  #rest: Uint8Array = new Uint8Array(0);
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #filled = 0;
  #isScheduled = false;
  #hasRefused = false;
  #isClosed = false;

  /**
   * @param cable its end here
   * @param end takes the other process away
   */
  constructor(cable: PacketPort, input: Readable, out: Writable, end: () => void) {
    this.#cable = cable;
    this.#queue = new FrameQueue(cable, MOST_QUEUED);
    this.#input = input;
    this.#out = out;
    this.#end = end;
    cable.connect(this);
    cable.setLink(true);
    input.on('data', (bytes: Buffer) => this.#read(bytes));
    input.on('close', () => this.close());
    out.on('error', () => this.close());
    out.on('drain', () => this.#drained());
  }

  receive(frame: Uint8Array): boolean {
    if (this.#isClosed || frame.length > LONGEST) return true;
    if (this.#out.writableLength > MOST_QUEUED) {
      this.#hasRefused = true;
      return false;
    }
    if (this.#filled + 2 + frame.length > BLOCK_BYTES) this.#flush();
    put16(this.#block, this.#filled, frame.length);
    this.#block.set(frame, this.#filled + 2);
    this.#filled += 2 + frame.length;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(() => {
        this.#isScheduled = false;
        this.#flush();
      });
    }
    return true;
  }

  resume(): void {
    if (this.#queue.resume()) this.#input.resume();
  }

  linkChanged(): void {
    if (!this.#cable.linkUp) this.#queue.clear();
    this.resume();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cable.setLink(false);
    this.#end();
  }

  #flush(): void {
    if (this.#isClosed || this.#filled === 0) return;
    // The stream keeps what it is given.
    const all = this.#block.slice(0, this.#filled);
    this.#filled = 0;
    this.#out.write(all);
  }

  #drained(): void {
    if (!this.#hasRefused) return;
    this.#hasRefused = false;
    this.#cable.resume();
  }

  #read(bytes: Uint8Array): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= 2) {
      const size = u16(all, at);
      if (all.length - at < 2 + size) break;
      // Not a Buffer, whose `slice` shares memory where everybody else's copies.
      if (size > 0) this.#queue.send(new Uint8Array(all.buffer, all.byteOffset + at + 2, size), false);
      at += 2 + size;
    }
    this.#rest = all.subarray(at);
    if (!this.#queue.isReady) this.#input.pause();
  }
}
