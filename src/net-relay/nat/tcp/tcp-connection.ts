/**
 * One TCP connection of the guest, spliced onto a stream of the host. Source: RFC 9293 3.10; RFC 7323 (scaling, time
 * stamps, PAWS); RFC 5961 (challenge acknowledgments); RFC 1122 4.2.3.6 (keep-alive).
 * Not modelled: urgent data (delivered in line), simultaneous open (nobody here opens that way), ECN.
 *
 * Theory of operation. We are the far end: the guest believes to talk to a server or client somewhere, and its segments
 * end here. A connection is made of a sender (towards the guest), a receiver (from the guest) and this state machine.
 * Acknowledged means: in the queue of the host's stream, which is bounded by the window that the receiver offers. Read
 * from the host means: in the sender's queue, which is bounded by pausing the host's stream. So a slow reader on either
 * side slows the writer on the other, and nothing else grows.
 *
 *   state         event                          next           done
 *   connecting    host connected                 synReceived    SYN+ACK
 *                 host refused                   closed         RST
 *                 RST, time                      closed         host destroyed
 *   synSent       SYN+ACK                        established    ACK, host resumed     (a forwarded port)
 *                 RST, time                      closed         host destroyed
 *   synReceived   ACK of SYN                     established    host resumed
 *   established   host ended                     finWait1       FIN behind the queue
 *                 FIN                            closeWait      host's writing side ended
 *   finWait1      ACK of FIN                     finWait2
 *                 FIN                            closing        host's writing side ended
 *   finWait2      FIN                            timeWait       host's writing side ended
 *   closing       ACK of FIN                     timeWait
 *   closeWait     host ended                     lastAck        FIN behind the queue
 *   lastAck       ACK of FIN                     closed
 *   timeWait      two seconds                    closed
 *   any           RST in window                  closed         host destroyed
 *                 host broke                     closed         RST
 *                 no answer for too long         closed         RST, host destroyed
 */
import { sequenceDifference, TCP, type TcpSegment } from '../../wire/tcp.ts';
import type { Timed } from './deadline-heap.ts';
import { TcpReceiver } from './tcp-receiver.ts';
import { TcpSender } from './tcp-sender.ts';

export type TcpState =
  | 'connecting'
  | 'synSent'
  | 'synReceived'
  | 'established'
  | 'finWait1'
  | 'finWait2'
  | 'closing'
  | 'timeWait'
  | 'closeWait'
  | 'lastAck'
  | 'closed';

/** The host's end: a socket in Node, something else in a test. Calls never fail; trouble is told to the connection. */
export interface HostStream {
  /** Bytes from the guest, valid during the call only; taken when `TcpConnection.drained` says so. */
  write(bytes: Uint8Array): void;
  /** The guest writes no more. */
  end(): void;
  /** Both directions are over. */
  destroy(): void;
  /** Give no more bytes for now. */
  pause(): void;
  resume(): void;
}

/** What connections share. */
export interface TcpEnvironment {
  /** False while the guest's card takes no frames; then `TcpConnection.flush` is called when it does again. */
  readonly isLinkReady: boolean;
  /** Puts `bytes` bytes of the connection's queue, from `offset`, into a segment and sends it. */
  transmit(connection: TcpConnection, segment: TcpSegment, bytes: number, offset: number): void;
  /** Its deadline may have changed. */
  changed(connection: TcpConnection): void;
  /** It has output that waits for the link. */
  blocked(connection: TcpConnection): void;
  closed(connection: TcpConnection): void;
}

export interface TcpOptions {
  /** Largest IP packet in bytes, and what IP and TCP need of it at least. */
  readonly mtu: number;
  readonly headerBytes: number;
  /** Bytes on their way to the host. */
  readonly receiveBytes: number;
  /** Bytes on their way to the guest, a power of two. */
  readonly sendBytes: number;
}

const CONNECT_MS = 75_000;
const HANDSHAKE_TIMEOUTS = 5;
const MOST_TIMEOUTS = 12;
/** Twice the life of a segment; the link to the guest has no routers in which one could wait. */
const TIME_WAIT_MS = 2000;
const KEEP_ALIVE_MS = 600_000;
const KEEP_ALIVE_INTERVAL_MS = 30_000;
const KEEP_ALIVE_PROBES = 8;
const CHALLENGES_A_SECOND = 10;

export class TcpConnection implements Timed {
  readonly key: Uint8Array;
  heapIndex = -1;
  heapKey = 0;
  /** Marked by the engine: is in its list of connections with output. */
  isTouched = false;
  readonly sender: TcpSender;
  readonly receiver: TcpReceiver;
  readonly #environment: TcpEnvironment;
  readonly #options: TcpOptions;
  readonly #segment: TcpSegment;
  #state: TcpState;
  #host: HostStream | undefined;
  #isHostPaused = true;
  #hasTimestamps = false;
  /** TS.Recent and Last.ACK.sent of RFC 7323. */
  #timestampRecent = 0;
  #lastAcknowledged = 0;
  #windowScale = 0;
  #hasScale = false;
  #lastHeardMs: number;
  #keepAlives = 0;
  /** For states that end by time. */
  #endsAtMs: number | undefined;
  #challengeSecond = 0;
  #challenges = 0;

  private constructor(
    key: Uint8Array,
    initialSequence: number,
    options: TcpOptions,
    scratch: TcpSegment,
    environment: TcpEnvironment,
    opening: { readonly nowMs: number; readonly syn: TcpSegment | undefined },
  ) {
    this.key = key;
    this.#environment = environment;
    this.#options = options;
    this.#segment = scratch;
    this.#lastHeardMs = opening.nowMs;
    this.sender = new TcpSender(initialSequence, options.sendBytes);
    this.receiver = new TcpReceiver(opening.syn?.sequence ?? 0, options.receiveBytes, (bytes) =>
      this.#host?.write(bytes),
    );
    this.#state = opening.syn ? 'connecting' : 'synSent';
    this.#endsAtMs = opening.syn ? opening.nowMs + CONNECT_MS : undefined;
    if (opening.syn) this.#agree(opening.syn);
  }

  /** The guest's SYN came; the host's stream is being connected. */
  static accept(
    nowMs: number,
    key: Uint8Array,
    syn: TcpSegment,
    initialSequence: number,
    options: TcpOptions,
    scratch: TcpSegment,
    environment: TcpEnvironment,
  ): TcpConnection {
    return new TcpConnection(key, initialSequence, options, scratch, environment, { nowMs, syn });
  }

  /** The host's stream is there; the guest is asked. */
  static open(
    nowMs: number,
    key: Uint8Array,
    host: HostStream,
    initialSequence: number,
    options: TcpOptions,
    scratch: TcpSegment,
    environment: TcpEnvironment,
  ): TcpConnection {
    const connection = new TcpConnection(key, initialSequence, options, scratch, environment, {
      nowMs,
      syn: undefined,
    });
    connection.#host = host;
    connection.#sendSyn(nowMs);
    environment.changed(connection);
    return connection;
  }

  get state(): TcpState {
    return this.#state;
  }

  /** Neither established nor over. */
  get isHalfOpen(): boolean {
    return this.#state === 'connecting' || this.#state === 'synSent' || this.#state === 'synReceived';
  }

  get deadlineMs(): number | undefined {
    if (this.#state === 'closed') return undefined;
    let earliest = this.#endsAtMs ?? this.#keepAliveAtMs;
    const timeout = this.sender.deadlineMs;
    if (timeout !== undefined && timeout < earliest) earliest = timeout;
    const acknowledge = this.receiver.deadlineMs;
    if (acknowledge !== undefined && acknowledge < earliest) earliest = acknowledge;
    return earliest;
  }

  get #keepAliveAtMs(): number {
    return this.#lastHeardMs + KEEP_ALIVE_MS + this.#keepAlives * KEEP_ALIVE_INTERVAL_MS;
  }

  // What the host says.

  /** The stream that was asked for. It is paused until the guest has answered. */
  attach(host: HostStream): void {
    this.#host = host;
  }

  hostConnected(nowMs: number): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'synReceived';
    this.#endsAtMs = undefined;
    this.#sendSyn(nowMs);
    this.#environment.changed(this);
  }

  /** Bytes for the guest; copied. */
  hostReceived(nowMs: number, bytes: Uint8Array): void {
    if (this.#state === 'closed' || this.sender.isFinQueued) return;
    this.sender.queue.append(bytes);
    if (this.sender.queue.room <= 0) this.#pauseHost();
    this.flush(nowMs);
  }

  /** The host's peer writes no more. */
  hostEnded(nowMs: number): void {
    if (this.#state === 'closed' || this.sender.isFinQueued) return;
    this.sender.finish();
    if (this.#state === 'established') this.#state = 'finWait1';
    else if (this.#state === 'closeWait') this.#state = 'lastAck';
    this.flush(nowMs);
  }

  /** The stream took bytes that were written to it. */
  hostDrained(nowMs: number, bytes: number): void {
    if (this.receiver.drained(bytes)) {
      this.receiver.acknowledgeNow();
      this.flush(nowMs);
    }
  }

  /** The stream broke, or could not be connected. */
  hostFailed(nowMs: number): void {
    this.#host = undefined;
    if (this.#state !== 'closed') this.abort(nowMs);
  }

  /** Resets the connection on both sides. */
  abort(nowMs: number): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'connecting') this.#send(nowMs, TCP.rst | TCP.ack, 0, 0, 0);
    else if (this.#state !== 'timeWait') this.#send(nowMs, TCP.rst | TCP.ack, this.sender.next, 0, 0);
    this.#close();
  }

  // What the guest says.

  /** One segment with a correct checksum. Output waits for `flush`. */
  receive(nowMs: number, segment: TcpSegment, b: Uint8Array): void {
    switch (this.#state) {
      case 'closed':
      case 'connecting':
        if ((segment.flags & TCP.rst) !== 0) this.#close();
        return;
      case 'synSent':
        this.#receiveInSynSent(nowMs, segment);
        return;
      default:
        this.#receiveSynchronized(nowMs, segment, b);
    }
  }

  /** Whether a SYN in timeWait opens a new connection. Source: RFC 9293 3.10.7.4, RFC 6191. */
  maySucceed(syn: TcpSegment): boolean {
    return this.#state === 'timeWait' && sequenceDifference(syn.sequence, this.receiver.next) > 0;
  }

  #receiveInSynSent(nowMs: number, segment: TcpSegment): void {
    const hasAck = (segment.flags & TCP.ack) !== 0 && segment.acknowledgment === this.sender.max;
    if (!hasAck) return;
    if ((segment.flags & TCP.rst) !== 0) {
      this.#close();
      return;
    }
    if ((segment.flags & TCP.syn) === 0) return;
    this.receiver.begin(segment.sequence);
    this.#agree(segment);
    this.#establish(nowMs, segment, segment.window);
    this.receiver.acknowledgeNow();
  }

  /** Takes the options of the guest's SYN. */
  #agree(syn: TcpSegment): void {
    const { mtu, headerBytes } = this.#options;
    const most = mtu - headerBytes;
    // Source: RFC 9293 3.7.1: 536 when nothing is said. Less than 64 is an attack on us.
    const theirs = Math.max(syn.mss || 536, 64);
    this.#hasTimestamps = syn.hasTimestamps;
    this.#timestampRecent = syn.timestamp;
    this.sender.hasSack = syn.sackPermitted;
    // The MSS does not count options, but every segment has them.
    this.sender.mss = Math.min(theirs, most) - (syn.hasTimestamps ? 12 : 0);
    this.receiver.mss = most - (syn.hasTimestamps ? 12 : 0);
    if (syn.windowScale >= 0) {
      this.#hasScale = true;
      this.#windowScale = syn.windowScale;
      this.receiver.scale = ownScale(this.#options.receiveBytes);
    }
  }

  #establish(nowMs: number, segment: TcpSegment, window: number): void {
    this.#state = this.sender.isFinQueued ? 'finWait1' : 'established';
    this.#lastHeardMs = nowMs;
    this.sender.open(nowMs, window, segment);
    this.#resumeHost();
  }

  #receiveSynchronized(nowMs: number, segment: TcpSegment, b: Uint8Array): void {
    const { flags, sequence } = segment;
    if (this.#hasTimestamps && segment.hasTimestamps && (flags & TCP.rst) === 0) {
      // PAWS. Source: RFC 7323, section 5.3.
      if (sequenceDifference(segment.timestamp, this.#timestampRecent) < 0) {
        this.receiver.acknowledgeNow();
        return;
      }
    }
    const dataBytes = segment.end - segment.dataAt;
    const length = dataBytes + ((flags & TCP.fin) !== 0 ? 1 : 0) + ((flags & TCP.syn) !== 0 ? 1 : 0);
    const isAcceptable = this.receiver.accepts(sequence, length);
    if ((flags & TCP.rst) !== 0) {
      if (sequence === this.receiver.next) this.#close();
      else if (isAcceptable) this.#challenge(nowMs);
      return;
    }
    if ((flags & TCP.syn) !== 0) {
      if (this.#state === 'synReceived' && sequence === (this.receiver.next - 1) >>> 0) this.#sendSyn(nowMs);
      else this.#challenge(nowMs);
      return;
    }
    if ((flags & TCP.ack) === 0) return;
    // A probe of our closed window, or what was received before, is answered, and its acknowledgment counts.
    const isOld = sequenceDifference(sequence, this.receiver.next) <= 0;
    if (!isAcceptable) {
      this.receiver.acknowledgeNow();
      if (!isOld) return;
    }
    this.#lastHeardMs = nowMs;
    this.#keepAlives = 0;
    this.#noteTimestamp(segment);
    if (!this.#receiveAcknowledgment(nowMs, segment) || !isAcceptable) return;
    this.#receiveData(nowMs, segment, b);
  }

  /** Source: RFC 7323, section 4.3. */
  #noteTimestamp(segment: TcpSegment): void {
    if (!this.#hasTimestamps || !segment.hasTimestamps) return;
    if (sequenceDifference(segment.sequence, this.#lastAcknowledged) <= 0) this.#timestampRecent = segment.timestamp;
  }

  /** @returns false when the segment is not to be looked at further */
  #receiveAcknowledgment(nowMs: number, segment: TcpSegment): boolean {
    const { sender } = this;
    const ahead = sequenceDifference(segment.acknowledgment, sender.max);
    if (this.#state === 'synReceived') {
      if (ahead !== 0) {
        this.#send(nowMs, TCP.rst, segment.acknowledgment, 0, 0);
        return false;
      }
      this.#establish(nowMs, segment, segment.window * (1 << this.#windowScale));
      return true;
    }
    if (ahead > 0) {
      this.#challenge(nowMs);
      return false;
    }
    // An old acknowledgment carries nothing, but its data may be new.
    if (sequenceDifference(segment.acknowledgment, sender.una) < 0) return true;
    const echo = this.#hasTimestamps && segment.hasTimestamps && segment.timestampEcho !== 0;
    const age = echo ? sequenceDifference(clock(nowMs), segment.timestampEcho) : -1;
    sender.acknowledge(nowMs, segment, segment.window * (1 << this.#windowScale), age >= 0 ? age : undefined);
    if (this.#isHostPaused && sender.queue.room >= this.#options.sendBytes / 2) this.#resumeHost();
    if (sender.isFinAcknowledged) return this.#finAcknowledged(nowMs);
    return true;
  }

  #finAcknowledged(nowMs: number): boolean {
    if (this.#state === 'finWait1') this.#state = 'finWait2';
    else if (this.#state === 'closing') this.#waitForLateSegments(nowMs);
    else if (this.#state === 'lastAck') {
      this.#close();
      return false;
    }
    return true;
  }

  #receiveData(nowMs: number, segment: TcpSegment, b: Uint8Array): void {
    const mayReceive = this.#state === 'established' || this.#state === 'finWait1' || this.#state === 'finWait2';
    if (!mayReceive) {
      this.#receiveBehindFin(nowMs, segment);
      return;
    }
    const isAtEnd = this.receiver.receive(nowMs, segment.sequence, b, segment.dataAt, segment.end);
    if ((segment.flags & TCP.fin) === 0 || !isAtEnd || this.receiver.hasGap) return;
    this.receiver.receiveFin();
    this.#host?.end();
    if (this.#state === 'established') this.#state = 'closeWait';
    else if (this.#state === 'finWait1') this.#state = 'closing';
    else this.#waitForLateSegments(nowMs);
  }

  /** Behind the guest's FIN there is only its repetition. */
  #receiveBehindFin(nowMs: number, segment: TcpSegment): void {
    if (segment.end > segment.dataAt || (segment.flags & TCP.fin) !== 0) this.receiver.acknowledgeNow();
    if (this.#state === 'timeWait') this.#endsAtMs = nowMs + TIME_WAIT_MS;
  }

  #waitForLateSegments(nowMs: number): void {
    this.#state = 'timeWait';
    this.#endsAtMs = nowMs + TIME_WAIT_MS;
  }

  // What goes out.

  /** Sends what may be sent, and an acknowledgment where one is due. */
  flush(nowMs: number): void {
    if (this.#state === 'closed') return;
    if (!this.isHalfOpen) {
      this.#sendQueued(nowMs);
      if (this.receiver.mustAcknowledge) this.#send(nowMs, TCP.ack, this.sender.max, 0, 0);
    }
    this.#environment.changed(this);
  }

  #sendQueued(nowMs: number): void {
    const { sender } = this;
    while (true) {
      if (!this.#environment.isLinkReady) {
        this.#environment.blocked(this);
        return;
      }
      const one = sender.take(nowMs);
      if (!one) return;
      const isLast = sender.offset(one.sequence) + one.bytes === sender.queue.length;
      const flags = TCP.ack | (isLast && one.bytes > 0 ? TCP.psh : 0) | (one.fin ? TCP.fin : 0);
      this.#send(nowMs, flags, one.sequence, one.bytes, sender.offset(one.sequence));
      sender.sent(nowMs, one);
    }
  }

  #sendSyn(nowMs: number): void {
    const isAnswer = this.#state === 'synReceived';
    const sequence = (this.sender.isIdle ? this.sender.una : this.sender.max - 1) >>> 0;
    this.sender.sendSyn(nowMs);
    this.#send(nowMs, TCP.syn | (isAnswer ? TCP.ack : 0), sequence, 0, 0);
  }

  /** Source: RFC 5961, section 7: few enough not to serve as an amplifier. */
  #challenge(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#challengeSecond) this.#challenges = 0;
    this.#challengeSecond = second;
    if (this.#challenges++ < CHALLENGES_A_SECOND) this.receiver.acknowledgeNow();
  }

  #send(nowMs: number, flags: number, sequence: number, bytes: number, offset: number): void {
    const out = this.#segment;
    const isSyn = (flags & TCP.syn) !== 0;
    const mayScale = isSyn && (this.#state === 'synSent' || this.#hasScale);
    out.flags = flags;
    out.sequence = sequence;
    out.acknowledgment = (flags & TCP.ack) === 0 ? 0 : this.receiver.next;
    out.window = (flags & TCP.rst) === 0 ? this.receiver.offerWindow(isSyn) : 0;
    out.mss = isSyn ? this.#options.mtu - this.#options.headerBytes : 0;
    out.windowScale = mayScale ? ownScale(this.#options.receiveBytes) : -1;
    out.sackPermitted = isSyn && (this.#state === 'synSent' || this.sender.hasSack);
    out.hasTimestamps = (flags & TCP.rst) === 0 && ((isSyn && this.#state === 'synSent') || this.#hasTimestamps);
    out.timestamp = clock(nowMs);
    out.timestampEcho = (flags & TCP.ack) === 0 ? 0 : this.#timestampRecent;
    out.sackCount = 0;
    if (!isSyn && this.sender.hasSack && bytes === 0) this.receiver.writeSack(out, this.#hasTimestamps ? 3 : 4);
    if ((flags & TCP.ack) !== 0) {
      this.#lastAcknowledged = this.receiver.next;
      this.receiver.acknowledged();
    }
    this.#environment.transmit(this, out, bytes, offset);
  }

  /** To be called when `deadlineMs` has passed. */
  tick(nowMs: number): void {
    if (this.#state === 'closed') return;
    if (this.#endsAtMs !== undefined && this.#endsAtMs <= nowMs) {
      if (this.#state === 'connecting') this.abort(nowMs);
      else this.#close();
      return;
    }
    const timeouts = this.sender.rtt.backOffs;
    if (!this.sender.tick(nowMs, this.isHalfOpen ? HANDSHAKE_TIMEOUTS : MOST_TIMEOUTS)) {
      this.abort(nowMs);
      return;
    }
    if (this.isHalfOpen && this.sender.rtt.backOffs > timeouts) this.#sendSyn(nowMs);
    if (!this.isHalfOpen && this.#state !== 'timeWait' && this.#keepAliveAtMs <= nowMs && !this.#keepAlive(nowMs))
      return;
    this.receiver.tick(nowMs);
    this.flush(nowMs);
  }

  /** An empty segment below the window, which must be answered. @returns false when nobody has answered */
  #keepAlive(nowMs: number): boolean {
    if (this.#keepAlives >= KEEP_ALIVE_PROBES) {
      this.abort(nowMs);
      return false;
    }
    this.#keepAlives++;
    this.#send(nowMs, TCP.ack, (this.sender.una - 1) >>> 0, 0, 0);
    return true;
  }

  #pauseHost(): void {
    if (this.#isHostPaused) return;
    this.#isHostPaused = true;
    this.#host?.pause();
  }

  #resumeHost(): void {
    this.#isHostPaused = false;
    this.#host?.resume();
  }

  #close(): void {
    const host = this.#host;
    const isOrderly = this.#state === 'timeWait' || this.#state === 'lastAck';
    this.#state = 'closed';
    this.#host = undefined;
    // After FIN both ways the stream ends by itself, once it has written everything.
    if (!isOrderly) host?.destroy();
    this.#environment.closed(this);
  }
}

/** Our timestamps tick once a millisecond, which lies in the range of RFC 7323, section 5.4; never zero. */
const clock = (nowMs: number): number => (Math.floor(nowMs) + 1) >>> 0;

/** Least shift with which the whole buffer can be offered. */
function ownScale(bytes: number): number {
  let scale = 0;
  while (bytes > 0xffff * 2 ** scale) scale++;
  return scale;
}
