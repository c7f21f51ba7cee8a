// The receiving half of a connection: window, reassembly, when to acknowledge.
// Source: RFC 9293 3.8.6 (window), 3.8.6.2.2 (receiver's silly window), 3.8.6.3 and RFC 5681 4.2 (delayed ACK), RFC 2018.

import { MAX_SACK_BLOCKS, sequenceDifference, type TcpSegment } from '../../wire/tcp.ts';

/** RFC 5681 allows 500 ms. Short, so that a peer with Nagle's algorithm hardly waits; it is no timer a segment. */
const DELAYED_ACK_MS = 10;
const MAX_PIECES = 1024;

interface Piece {
  readonly left: number;
  readonly bytes: Uint8Array;
}

export class TcpReceiver {
  /** Most bytes that are on their way to the host's socket or wait for a gap to close. */
  readonly #capacity: number;
  readonly #deliver: (bytes: Uint8Array) => void;
  readonly #pieces: Piece[] = [];
  /** RCV.NXT. */
  next: number;
  /** One behind the last sequence number that was ever offered. INVARIANT: it never moves to the left. */
  #edge: number;
  scale = 0;
  /** Given to the host's socket, not yet taken by it. */
  #undelivered = 0;
  /** Where the most recent out-of-order piece was, for the first SACK block. */
  #recent = 0;
  #unacknowledgedBytes = 0;
  #mustAcknowledge = false;
  #acknowledgeAtMs: number | undefined;
  mss = 536;

  /**
   * @param capacity in bytes
   * @param deliver gets bytes in order; a view that is valid during the call
   */
  constructor(initialSequence: number, capacity: number, deliver: (bytes: Uint8Array) => void) {
    this.#capacity = capacity;
    this.#deliver = deliver;
    this.next = (initialSequence + 1) >>> 0;
    this.#edge = this.next;
  }

  /** The peer's SYN came in answer to ours. */
  begin(initialSequence: number): void {
    this.next = (initialSequence + 1) >>> 0;
    this.#edge = this.next;
  }

  get deadlineMs(): number | undefined {
    return this.#acknowledgeAtMs;
  }

  /** Whether an acknowledgment must go out at the end of the batch. */
  get mustAcknowledge(): boolean {
    return this.#mustAcknowledge || this.#unacknowledgedBytes >= 2 * this.mss;
  }

  acknowledgeNow(): void {
    this.#mustAcknowledge = true;
  }

  /** A segment with RCV.NXT went out. */
  acknowledged(): void {
    this.#mustAcknowledge = false;
    this.#unacknowledgedBytes = 0;
    this.#acknowledgeAtMs = undefined;
  }

  tick(nowMs: number): void {
    if (this.#acknowledgeAtMs !== undefined && this.#acknowledgeAtMs <= nowMs) this.#mustAcknowledge = true;
  }

  /** Bytes that the peer may still send. */
  get window(): number {
    return sequenceDifference(this.#edge, this.next);
  }

  /** Moves the right edge where that is worth telling, and returns the window field. */
  offerWindow(isSyn: boolean): number {
    const free = this.#capacity - this.#undelivered;
    const wanted = (this.next + Math.max(free, 0)) >>> 0;
    const gain = sequenceDifference(wanted, this.#edge);
    if (gain >= Math.min(this.mss, this.#capacity / 2)) this.#edge = wanted;
    if (isSyn) return Math.min(this.window, 0xffff);
    // Rounded down, the edge seems to move to the left by a few bytes; what the peer sends there is still accepted
    // (RFC 7323, section 2.4). Rounded up, it would creep beyond the buffer.
    return Math.min(Math.floor(this.window / (1 << this.scale)), 0xffff);
  }

  /** The host's socket took bytes. @returns whether the peer should hear of the larger window */
  drained(bytes: number): boolean {
    this.#undelivered -= bytes;
    const gain = this.#capacity - this.#undelivered - this.window;
    return gain >= this.#capacity / 2 || (this.window < 2 * this.mss && gain >= 2 * this.mss);
  }

  /** Whether a segment lies in the window. Source: RFC 9293 3.10.7.4, table 6. */
  accepts(sequence: number, length: number): boolean {
    const start = sequenceDifference(sequence, this.next);
    const { window } = this;
    if (length === 0) return window === 0 ? start === 0 : 0 <= start && start < window;
    return window > 0 && start < window && 0 < start + length;
  }

  /**
   * Takes the data of an acceptable segment.
   * @param b, at, end the data: no view is made for what is not delivered
   * @returns true when RCV.NXT has reached the end of this segment, so that its FIN counts
   */
  receive(nowMs: number, sequence: number, b: Uint8Array, at: number, end: number): boolean {
    const length = end - at;
    const start = sequenceDifference(sequence, this.next);
    const from = Math.max(-start, 0);
    const to = Math.min(length, this.window - start);
    if (to < length) this.#mustAcknowledge = true;
    if (from >= to) {
      // Nothing new: the peer missed our acknowledgment.
      if (length > 0) this.#mustAcknowledge = true;
      return start <= 0 && start + length >= 0;
    }
    if (start > 0) {
      this.#keep(sequence, b.subarray(at, at + to));
      this.#mustAcknowledge = true;
      return false;
    }
    this.#take(b.subarray(at + from, at + to));
    if (this.#pieces.length > 0) {
      this.#takePieces();
      this.#mustAcknowledge = true;
    }
    this.#acknowledgeAtMs ??= nowMs + DELAYED_ACK_MS;
    return to === length;
  }

  /** The peer's FIN was in order. */
  receiveFin(): void {
    this.next = (this.next + 1) >>> 0;
    if (sequenceDifference(this.#edge, this.next) < 0) this.#edge = this.next;
    this.#mustAcknowledge = true;
  }

  get hasGap(): boolean {
    return this.#pieces.length > 0;
  }

  /** Blocks for the SACK option, the most recent first. Source: RFC 2018, section 4. @param most that fit */
  writeSack(into: TcpSegment, most: number): void {
    into.sackCount = 0;
    if (this.#pieces.length === 0) return;
    const blocks: [number, number][] = [];
    for (const { left, bytes } of this.#pieces) {
      const last = blocks[blocks.length - 1];
      if (last && last[1] === left) last[1] = (left + bytes.length) >>> 0;
      else blocks.push([left, (left + bytes.length) >>> 0]);
    }
    const holdsRecent = ([left, right]: [number, number]): boolean =>
      sequenceDifference(left, this.#recent) <= 0 && sequenceDifference(this.#recent, right) < 0;
    const first = blocks.findIndex(holdsRecent);
    if (first > 0) blocks.unshift(...blocks.splice(first, 1));
    for (const [left, right] of blocks.slice(0, Math.min(most, MAX_SACK_BLOCKS))) {
      into.sack[into.sackCount * 2] = left;
      into.sack[into.sackCount * 2 + 1] = right;
      into.sackCount++;
    }
  }

  #take(bytes: Uint8Array): void {
    this.next = (this.next + bytes.length) >>> 0;
    this.#undelivered += bytes.length;
    this.#unacknowledgedBytes += bytes.length;
    this.#deliver(bytes);
  }

  #takePieces(): void {
    while (this.#pieces.length > 0) {
      const { left, bytes } = this.#pieces[0];
      const start = sequenceDifference(left, this.next);
      if (start > 0) return;
      this.#pieces.shift();
      if (start + bytes.length > 0) this.#take(bytes.subarray(-start));
    }
  }

  /** Keeps the parts of a segment that no other piece has. INVARIANT: pieces are ascending and disjoint. */
  #keep(sequence: number, bytes: Uint8Array): void {
    this.#recent = sequence;
    let left = sequence;
    const right = (sequence + bytes.length) >>> 0;
    for (let n = 0; n <= this.#pieces.length && sequenceDifference(left, right) < 0; n++) {
      const piece = this.#pieces[n];
      const stop = piece && sequenceDifference(piece.left, right) < 0 ? piece.left : right;
      if (sequenceDifference(left, stop) < 0 && this.#pieces.length < MAX_PIECES) {
        const from = sequenceDifference(left, sequence);
        const part = bytes.slice(from, from + sequenceDifference(stop, left));
        this.#pieces.splice(n, 0, { left, bytes: part });
        left = stop;
        continue;
      }
      if (!piece) return;
      const end = (piece.left + piece.bytes.length) >>> 0;
      if (sequenceDifference(left, end) < 0) left = end;
    }
  }
}
