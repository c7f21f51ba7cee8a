// Frames on a pair of byte streams: two bytes of length, big-endian, then the frame, as `vde_plug` has them.

import type { Readable, Writable } from 'node:stream';
import { type FrameLink, type FrameSink, NOWHERE } from '../../src/net-relay/switch/link.ts';
import { put16, u16 } from '../../src/net-relay/wire/bytes.ts';

/** Bytes that wait to be written, above which the pipe says that it is not ready. */
const MOST_QUEUED = 512 * 1024;
const LONGEST = 0xffff;

export class FramedPipe implements FrameLink {
  onReady: (() => void) | undefined;
  /** Frames that did not fit. */
  dropped = 0;
  readonly #out: Writable;
  readonly #end: () => void;
  #peer: FrameSink = NOWHERE;
  #rest: Uint8Array = new Uint8Array(0);
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #isScheduled = false;
  #wasFull = false;
  #isClosed = false;

  /** @param end takes the other process away */
  constructor(input: Readable, out: Writable, end: () => void) {
    this.#out = out;
    this.#end = end;
    input.on('data', (bytes: Buffer) => this.#receive(bytes));
    out.on('error', () => {});
    out.on('drain', () => this.#drained());
  }

  get isReady(): boolean {
    return this.#pendingBytes + this.#out.writableLength < MOST_QUEUED;
  }

  send(frame: Uint8Array): void {
    if (this.#isClosed || frame.length > LONGEST) return;
    if (!this.isReady) {
      this.#wasFull = true;
      this.dropped++;
      return;
    }
    this.#pending.push(frame);
    this.#pendingBytes += 2 + frame.length;
    if (!this.isReady) this.#wasFull = true;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#flush());
  }

  connect(peer: FrameSink | undefined): void {
    this.#peer = peer ?? NOWHERE;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#end();
  }

  #flush(): void {
    this.#isScheduled = false;
    if (this.#isClosed) return;
    const all = Buffer.allocUnsafe(this.#pendingBytes);
    let at = 0;
    for (const frame of this.#pending) {
      put16(all, at, frame.length);
      all.set(frame, at + 2);
      at += 2 + frame.length;
    }
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#out.write(all)) this.#drained();
  }

  #drained(): void {
    if (!this.#wasFull || !this.isReady) return;
    this.#wasFull = false;
    this.onReady?.();
  }

  #receive(bytes: Uint8Array): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= 2) {
      const size = u16(all, at);
      if (all.length - at < 2 + size) break;
      // The stream's buffer is not used again, so frames may be views of it.
      if (size > 0) this.#peer.send(all.subarray(at + 2, at + 2 + size));
      at += 2 + size;
    }
    this.#rest = all.subarray(at);
  }
}
