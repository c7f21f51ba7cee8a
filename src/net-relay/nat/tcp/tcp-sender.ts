// The sending half of a connection: what to send next, when to send it again, how much may be on the way.
//
// Source: RFC 5681 (congestion control), RFC 6582 (NewReno), RFC 6675 (recovery with SACK), RFC 3042 (limited transmit),
// RFC 6298 (timeout), RFC 6928 (first window), RFC 9293 3.8.6.1 (zero-window probes) and 3.8.6.2.1 (silly window).
// Not modelled: Nagle's algorithm (what comes from a host's socket has been through one already), ECN, tail loss probes.
//
// Modes:
//   open      nothing is known to be lost; NXT runs to the right
//   recovery  three duplicate acknowledgments, or SACK says so; ends when RECOVER is acknowledged
//   loss      the timer ran out; NXT went back to UNA and skips what has been selectively acknowledged

import { sequenceDifference, type TcpSegment } from '../../wire/tcp.ts';
import { ByteQueue } from './byte-queue.ts';
import { RttEstimator } from './rtt-estimator.ts';
import { SequenceRanges } from './sequence-ranges.ts';

const DUPLICATE_THRESHOLD = 3;
const FIRST_WINDOW_SEGMENTS = 10;
const MOST_CONGESTION_WINDOW = 1 << 24;
const MOST_PROBE_INTERVAL_MS = 60_000;

/** What to send: data from `sequence`, possibly none when only FIN is left. */
export interface Transmission {
  sequence: number;
  bytes: number;
  fin: boolean;
  /** Behind what was sent before, so that its round trip may be measured. */
  isNew: boolean;
}

export class TcpSender {
  readonly queue: ByteQueue;
  readonly rtt = new RttEstimator();
  readonly #sacked = new SequenceRanges();
  readonly #out: Transmission = { sequence: 0, bytes: 0, fin: false, isNew: false };
  /** SND.UNA. */
  una: number;
  /** SND.NXT; behind `max` after a timeout. */
  next: number;
  /** One behind the last sequence number ever sent. */
  max: number;
  /** Sequence number of the queue's head: `una`, but for an unacknowledged SYN. */
  #base: number;
  /** SND.WND in bytes, and the segment that told it. */
  #window = 0;
  #windowSequence = 0;
  #windowAcknowledgment = 0;
  #largestWindow = 0;
  mss = 536;
  hasSack = false;
  #congestionWindow = 0;
  #slowStartThreshold = Number.POSITIVE_INFINITY;
  #acknowledgedInRound = 0;
  #duplicates = 0;
  #mode: 'open' | 'recovery' | 'loss' = 'open';
  #recover: number;
  /** One behind the last byte that recovery sent again. */
  #highRetransmitted = 0;
  #mustRetransmit = false;
  #finQueued = false;
  #finSent = false;
  /** Without timestamps: one measured segment at a time, never one sent twice (Karn). */
  #timed: { readonly end: number; readonly sentMs: number } | undefined;
  #lastSentMs = 0;
  #retransmitAtMs: number | undefined;
  /** When to probe; 0: now. */
  #persistAtMs: number | undefined;
  #probes = 0;
  /** Segments sent more than once. */
  retransmissions = 0;

  /** @param limit of the queue in bytes, a power of two */
  constructor(initialSequence: number, limit: number) {
    this.queue = new ByteQueue(limit);
    this.una = initialSequence;
    this.next = initialSequence;
    this.max = initialSequence;
    this.#base = (initialSequence + 1) >>> 0;
    this.#recover = initialSequence;
  }

  get deadlineMs(): number | undefined {
    if (this.#retransmitAtMs === undefined || this.#persistAtMs === undefined) {
      return this.#retransmitAtMs ?? this.#persistAtMs;
    }
    return Math.min(this.#retransmitAtMs, this.#persistAtMs);
  }

  /** Everything including FIN is acknowledged. */
  get isFinAcknowledged(): boolean {
    return this.#finSent && this.una === this.max;
  }

  get isFinQueued(): boolean {
    return this.#finQueued;
  }

  /** Nothing is on the way. */
  get isIdle(): boolean {
    return this.una === this.max;
  }

  /** FIN follows what is queued. */
  finish(): void {
    this.#finQueued = true;
  }

  /** SYN goes out (again); it takes one sequence number. */
  sendSyn(nowMs: number): void {
    if (this.max === this.una) {
      this.next = this.#base;
      this.max = this.#base;
      this.#timed = { end: this.max, sentMs: nowMs };
    } else this.#timed = undefined;
    this.#retransmitAtMs = nowMs + this.rtt.rtoMs;
  }

  /** The handshake is over: options are known, data may flow. @param window in bytes */
  open(nowMs: number, window: number, segment: TcpSegment): void {
    if (this.#timed) this.rtt.sample(nowMs - this.#timed.sentMs);
    this.#timed = undefined;
    this.una = this.#base;
    this.next = this.#base;
    this.rtt.progress();
    this.#retransmitAtMs = undefined;
    this.#congestionWindow = FIRST_WINDOW_SEGMENTS * this.mss;
    this.#setWindow(window, segment);
  }

  #setWindow(window: number, segment: TcpSegment): void {
    this.#window = window;
    this.#windowSequence = segment.sequence;
    this.#windowAcknowledgment = segment.acknowledgment;
    if (window > this.#largestWindow) this.#largestWindow = window;
    if (window === 0) return;
    this.#persistAtMs = undefined;
    this.#probes = 0;
  }

  /**
   * An acceptable acknowledgment: UNA <= `segment.acknowledgment` <= MAX.
   * @param window in bytes
   * @param echoAgeMs round trip by the timestamp that came back, or undefined
   */
  acknowledge(nowMs: number, segment: TcpSegment, window: number, echoAgeMs: number | undefined): void {
    const { acknowledgment } = segment;
    const newer = sequenceDifference(segment.sequence, this.#windowSequence);
    const isUpdate = newer > 0 || (newer === 0 && sequenceDifference(acknowledgment, this.#windowAcknowledgment) >= 0);
    const isSameWindow = window === this.#window;
    if (isUpdate) this.#setWindow(window, segment);
    const hasNews = this.#takeSack(segment);
    const bytes = sequenceDifference(acknowledgment, this.una);
    if (bytes > 0) this.#advance(nowMs, acknowledgment, bytes, echoAgeMs);
    // What answers a probe says nothing about losses.
    else if (
      this.#persistAtMs === undefined &&
      !this.isIdle &&
      (hasNews || (isSameWindow && segment.end === segment.dataAt))
    )
      this.#duplicate();
  }

  #takeSack(segment: TcpSegment): boolean {
    if (!this.hasSack) return false;
    let hasNews = false;
    for (let n = 0; n < segment.sackCount; n++) {
      const left = segment.sack[n * 2];
      const right = segment.sack[n * 2 + 1];
      // D-SACK (RFC 2883) and nonsense lie below UNA or behind MAX.
      if (sequenceDifference(left, this.una) < 0 || sequenceDifference(left, right) >= 0) continue;
      if (sequenceDifference(right, this.max) > 0) continue;
      if (this.#sacked.add(left, right)) hasNews = true;
    }
    return hasNews;
  }

  #advance(nowMs: number, acknowledgment: number, bytes: number, echoAgeMs: number | undefined): void {
    if (echoAgeMs !== undefined) this.rtt.sample(echoAgeMs);
    else if (this.#timed && sequenceDifference(acknowledgment, this.#timed.end) >= 0) {
      this.rtt.sample(nowMs - this.#timed.sentMs);
    }
    if (this.#timed && sequenceDifference(acknowledgment, this.#timed.end) >= 0) this.#timed = undefined;
    this.rtt.progress();
    const fin = this.#finSent && acknowledgment === this.max ? 1 : 0;
    this.queue.drop(bytes - fin);
    this.una = acknowledgment;
    this.#base = acknowledgment;
    if (sequenceDifference(this.next, acknowledgment) < 0) this.next = acknowledgment;
    this.#sacked.removeBelow(acknowledgment);
    if (this.#mode === 'recovery') this.#advanceInRecovery(acknowledgment, bytes);
    else this.#grow(bytes, acknowledgment);
    this.#duplicates = 0;
    this.#retransmitAtMs = this.isIdle ? undefined : nowMs + this.rtt.rtoMs;
  }

  #advanceInRecovery(acknowledgment: number, bytes: number): void {
    if (sequenceDifference(acknowledgment, this.#recover) >= 0) {
      this.#congestionWindow = this.#slowStartThreshold;
      this.#mode = 'open';
      return;
    }
    if (this.hasSack) return;
    // A partial acknowledgment: the next hole begins here. Source: RFC 6582 3.2, step 3.
    this.#congestionWindow = Math.max(this.#congestionWindow - bytes, this.mss) + this.mss;
    this.#mustRetransmit = true;
  }

  #grow(bytes: number, acknowledgment: number): void {
    if (this.#mode === 'loss' && sequenceDifference(acknowledgment, this.#recover) >= 0) this.#mode = 'open';
    // Kept near UNA, because sequence numbers wrap.
    if (this.#mode === 'open') this.#recover = acknowledgment;
    if (this.#congestionWindow < this.#slowStartThreshold) {
      this.#congestionWindow = Math.min(this.#congestionWindow + bytes, MOST_CONGESTION_WINDOW);
      return;
    }
    this.#acknowledgedInRound += bytes;
    if (this.#acknowledgedInRound < this.#congestionWindow) return;
    this.#acknowledgedInRound -= this.#congestionWindow;
    this.#congestionWindow += this.mss;
  }

  #duplicate(): void {
    if (this.#mode === 'recovery') {
      if (!this.hasSack) this.#congestionWindow += this.mss;
      return;
    }
    this.#duplicates++;
    const isLost = this.#duplicates >= DUPLICATE_THRESHOLD || (this.#sacked.count > 0 && this.#isLost(0));
    // Source: RFC 6582 3.2, step 1: what was sent before a timeout has been answered by it.
    if (!isLost || this.#mode === 'loss') return;
    this.#mode = 'recovery';
    this.#recover = this.max;
    this.#halve();
    this.#congestionWindow = this.#slowStartThreshold + (this.hasSack ? 0 : DUPLICATE_THRESHOLD * this.mss);
    this.#mustRetransmit = true;
    this.#highRetransmitted = this.una;
  }

  #halve(): void {
    const flight = sequenceDifference(this.max, this.una);
    this.#slowStartThreshold = Math.max(flight / 2, 2 * this.mss);
    this.#acknowledgedInRound = 0;
  }

  /** @returns false when the peer has not answered for so long that the connection is dead */
  tick(nowMs: number, mostTimeouts: number): boolean {
    if (this.#retransmitAtMs !== undefined && this.#retransmitAtMs <= nowMs) {
      if (this.rtt.backOffs >= mostTimeouts) return false;
      this.#timeOut(nowMs);
    }
    if (this.#persistAtMs !== undefined && this.#persistAtMs <= nowMs) this.#persistAtMs = 0;
    return true;
  }

  #timeOut(nowMs: number): void {
    if (this.#window === 0 && this.una === this.#base) {
      // The window has closed over what is on the way; this is no congestion, and only probes may go out.
      this.next = this.una;
      this.#persistAtMs = 0;
      this.#retransmitAtMs = undefined;
      return;
    }
    if (this.#mode !== 'loss') this.#halve();
    this.#congestionWindow = this.mss;
    this.#mode = 'loss';
    this.#recover = this.max;
    this.#duplicates = 0;
    this.#mustRetransmit = false;
    // A receiver may have dropped what it had selectively acknowledged. Source: RFC 2018, section 8.
    if (this.rtt.backOffs > 1) this.#sacked.clear();
    this.next = sequenceDifference(this.una, this.#base) < 0 ? this.max : this.una;
    this.#timed = undefined;
    this.rtt.backOff();
    this.#retransmitAtMs = nowMs + this.rtt.rtoMs;
  }

  /** What may go out now, or undefined. The caller sends it and calls `sent`. */
  take(nowMs: number): Transmission | undefined {
    if (this.una !== this.#base) return undefined;
    if (this.isIdle && this.#congestionWindow > FIRST_WINDOW_SEGMENTS * this.mss) this.#restartIdle(nowMs);
    if (this.#persistAtMs === 0) {
      const probe = this.#probe(nowMs);
      if (probe) return probe;
    }
    if (this.#mode === 'recovery') {
      const again = this.hasSack ? this.#takeHole() : this.#takeFirst();
      if (again) return again;
      if (this.hasSack && this.#congestionWindow - this.#pipe() < this.mss) return undefined;
    }
    return this.#takeNext(nowMs);
  }

  #restartIdle(nowMs: number): void {
    if (nowMs - this.#lastSentMs > this.rtt.rtoMs) this.#congestionWindow = FIRST_WINDOW_SEGMENTS * this.mss;
  }

  /** One byte beyond a closed window, so that its opening cannot get lost, or what fits into a small one. */
  #probe(nowMs: number): Transmission | undefined {
    this.#persistAtMs = undefined;
    if (this.queue.length === 0) return undefined;
    this.#persistAtMs = nowMs + Math.min(this.rtt.rtoMs * 2 ** this.#probes++, MOST_PROBE_INTERVAL_MS);
    return this.#transmission(this.una, Math.max(1, Math.min(this.#window, this.mss, this.queue.length)), false);
  }

  #takeFirst(): Transmission | undefined {
    if (!this.#mustRetransmit) return undefined;
    this.#mustRetransmit = false;
    return this.#again(this.una, this.max);
  }

  /** Source: RFC 6675, section 4, NextSeg() rules 1 and 3, and section 5, step 4.3 for the first one. */
  #takeHole(): Transmission | undefined {
    if (this.#mustRetransmit) {
      this.#mustRetransmit = false;
      return this.#again(this.una, this.#sacked.next(this.una, this.max));
    }
    if (this.#sacked.count === 0 || this.#congestionWindow - this.#pipe() < this.mss) return undefined;
    const from = sequenceDifference(this.#highRetransmitted, this.una) > 0 ? this.#highRetransmitted : this.una;
    const hole = this.#sacked.skip(from);
    if (sequenceDifference(hole, this.#sacked.highest) >= 0) return undefined;
    return this.#again(hole, this.#sacked.next(hole, this.max));
  }

  #again(from: number, to: number): Transmission | undefined {
    const dataEnd = (this.#base + this.queue.length) >>> 0;
    const end = sequenceDifference(to, dataEnd) > 0 ? dataEnd : to;
    const bytes = Math.min(this.mss, sequenceDifference(end, from));
    const fin = this.#finSent && (from + bytes) >>> 0 === dataEnd;
    if (bytes <= 0 && !fin) return undefined;
    this.#highRetransmitted = (from + bytes) >>> 0;
    return this.#transmission(from, bytes, fin);
  }

  #takeNext(nowMs: number): Transmission | undefined {
    if (this.#mode === 'loss') {
      const after = this.#sacked.skip(this.next);
      if (sequenceDifference(after, this.next) > 0) this.next = after;
    }
    const flight = sequenceDifference(this.next, this.una);
    const waiting = this.queue.length - sequenceDifference(this.next, this.#base);
    const mustFin = this.#finQueued && waiting >= 0 && !(this.#finSent && this.next === this.max);
    if (waiting <= 0) return mustFin ? this.#transmission(this.next, 0, true) : undefined;
    // In recovery with SACK the pipe has been looked at already.
    const limited = this.#mode === 'open' ? Math.min(this.#duplicates, 2) * this.mss : 0;
    const congestion = this.#mode === 'recovery' && this.hasSack ? flight + this.mss : this.#congestionWindow + limited;
    const room = Math.min(congestion, this.#window) - flight;
    let bytes = Math.min(this.mss, waiting, room);
    if (this.#mode === 'loss') {
      bytes = Math.min(bytes, sequenceDifference(this.#sacked.next(this.next, (this.next + bytes) >>> 0), this.next));
    }
    if (room <= 0) return this.#blocked(nowMs);
    const isCut = bytes < waiting && bytes < this.mss;
    if (isCut && this.#mode !== 'loss' && bytes < this.#largestWindow / 2) return this.#blocked(nowMs);
    return this.#transmission(this.next, bytes, mustFin && bytes === waiting);
  }

  /** The window is what holds us, and no acknowledgment will come by itself. */
  #blocked(nowMs: number): undefined {
    if (this.isIdle && this.#persistAtMs === undefined) this.#persistAtMs = nowMs + this.rtt.rtoMs;
    return undefined;
  }

  #transmission(sequence: number, bytes: number, fin: boolean): Transmission {
    const out = this.#out;
    out.sequence = sequence;
    out.bytes = bytes;
    out.fin = fin;
    const end = (sequence + bytes + (fin ? 1 : 0)) >>> 0;
    out.isNew = sequenceDifference(end, this.max) > 0;
    return out;
  }

  /** What `take` gave is on its way. */
  sent(nowMs: number, { sequence, bytes, fin, isNew }: Transmission): void {
    const end = (sequence + bytes + (fin ? 1 : 0)) >>> 0;
    this.#lastSentMs = nowMs;
    if (fin) this.#finSent = true;
    if (sequenceDifference(sequence, this.max) < 0) this.retransmissions++;
    else this.#timed ??= { end, sentMs: nowMs };
    const isProbe = this.#persistAtMs !== undefined;
    if (this.#mode !== 'recovery' && !isProbe && sequenceDifference(end, this.next) > 0) this.next = end;
    if (isNew) {
      this.max = end;
      if (this.#mode === 'recovery') this.next = end;
    }
    if (!isProbe) this.#retransmitAtMs ??= nowMs + this.rtt.rtoMs;
  }

  /** Offset in the queue of a sequence number. */
  offset(sequence: number): number {
    return sequenceDifference(sequence, this.#base);
  }

  /** Source: RFC 6675, section 4, IsLost(): enough lies selectively acknowledged behind range `n`'s left edge. */
  #isLost(n: number): boolean {
    const ranges = this.#sacked;
    if (ranges.count - n >= DUPLICATE_THRESHOLD) return true;
    let bytes = 0;
    for (let i = n; i < ranges.count; i++) bytes += sequenceDifference(ranges.right(i), ranges.left(i));
    return bytes > (DUPLICATE_THRESHOLD - 1) * this.mss;
  }

  /** Bytes on the way. Source: RFC 6675, section 4, SetPipe(). */
  #pipe(): number {
    const ranges = this.#sacked;
    let pipe = 0;
    let from = this.una;
    for (let n = 0; n < ranges.count; n++) {
      const hole = sequenceDifference(ranges.left(n), from);
      if (!this.#isLost(n)) pipe += hole;
      const again = Math.min(sequenceDifference(this.#highRetransmitted, from), hole);
      if (again > 0) pipe += again;
      from = ranges.right(n);
    }
    return pipe + sequenceDifference(this.max, from);
  }
}
