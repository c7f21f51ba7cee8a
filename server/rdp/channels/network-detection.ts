/**
 * Measures the way to a client and back while it is shown something, so that pictures fill that way and no more.
 * Source: [MS-RDPBCGR] 1.3.9 (network auto-detection), 2.2.14.
 * Not modelled: measuring while somebody connects.
 */

import {
  decodeAutoDetectResponse,
  encodeBandwidthStart,
  encodeBandwidthStop,
  encodeNetworkResult,
  encodeRoundTripRequest,
} from '../pdu/auto-detect.ts';
import type { PduReader } from '../pdu/bytes.ts';
import { readSecurityFlags, SEC } from '../pdu/security-header.ts';
import { Bandwidth } from './bandwidth.ts';

const EVERY_MS = 1000;
/** An answer that has not come by then will not. */
export const LOST_MS = 10_000;
/** The shortest of so many is what the way itself takes; the others have waited behind pictures. */
const MOST_KEPT = 8;
/** Answers from one result that the client is told to the next. */
const RESULT_EVERY = 4;
/** Pictures that a client may have, besides those on their way, before it says that it has shown one. */
const FRAMES_AT_CLIENT = 2;
/** No client is sent more pictures a second. */
const FRAME_MS = 33;
const MOST_FRAMES = 8;

export class NetworkDetection {
  readonly #send: (pdu: Uint8Array) => void;
  readonly #nowMs: () => number;
  readonly #bandwidth: Bandwidth;
  #sequence = 0;
  #asked: { readonly sequence: number; readonly atMs: number } | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #took: number[] = [];
  #answers = 0;

  /** @param nowMs milliseconds of any clock that does not go back */
  constructor(send: (pdu: Uint8Array) => void, nowMs: () => number) {
    this.#send = send;
    this.#nowMs = nowMs;
    this.#bandwidth = new Bandwidth(nowMs);
  }

  /** Frames that a client may have that it has not acknowledged. */
  get framesInFlight(): number {
    return Math.min(MOST_FRAMES, FRAMES_AT_CLIENT + Math.floor(this.#shortestMs / FRAME_MS));
  }

  /** False while so much is on its way that more would only wait in front of it. */
  get hasRoom(): boolean {
    return this.#bandwidth.hasRoom(this.#shortestMs);
  }

  /** Bytes that the way carries in a millisecond; undefined: not measured. */
  get bytesAMs(): number | undefined {
    return this.#bandwidth.bytesAMs;
  }

  /** Something, whatever it is, was sent. */
  sent(byteCount: number): void {
    this.#bandwidth.sent(byteCount);
  }

  /** A picture is about to be sent: measures, if that was long ago. @param pixelCount of what it shows */
  sending(pixelCount = 0): void {
    const now = this.#nowMs();
    const isDue = now - this.#lastMs >= (this.#asked ? LOST_MS : EVERY_MS);
    // Behind others it would be measured how long these take.
    if (isDue && (this.#bandwidth.isIdle || this.#took.length === 0)) {
      this.#lastMs = now;
      this.#asked = { sequence: this.#next(), atMs: now };
      this.#send(encodeRoundTripRequest(this.#asked.sequence));
    }
    if (this.#bandwidth.starts(pixelCount, this.#shortestMs)) this.#send(encodeBandwidthStart(this.#next()));
  }

  /** The picture is sent. */
  isSent(): void {
    const sequence = (this.#sequence + 1) & 0xffff;
    const question = this.#bandwidth.ends(sequence, this.#shortestMs);
    if (!question) return;
    this.#sequence = sequence;
    this.#send(question === 'counted' ? encodeBandwidthStop(sequence) : encodeRoundTripRequest(sequence));
  }

  /** What is on its way has not been answered for {@link LOST_MS}. */
  givesUp(): void {
    this.#bandwidth.givesUp();
  }

  /** A PDU of the message channel, its security header first. @throws PduError */
  receive(r: PduReader): void {
    if ((readSecurityFlags(r) & SEC.autoDetectResponse) === 0) return;
    const answer = decodeAutoDetectResponse(r);
    if (answer?.kind === 'bandwidth') {
      const { sequence, tookMs, byteCount } = answer;
      if (this.#bandwidth.counted(sequence, tookMs, byteCount)) this.#isAnswered();
    } else if (answer) this.#roundTrip(answer.sequence);
  }

  #roundTrip(sequence: number): void {
    this.#bandwidth.answered(sequence);
    if (!this.#asked || sequence !== this.#asked.sequence) return;
    this.#took.push(this.#nowMs() - this.#asked.atMs);
    if (this.#took.length > MOST_KEPT) this.#took.shift();
    this.#asked = undefined;
    this.#isAnswered();
  }

  #isAnswered(): void {
    this.#answers++;
    if (this.#answers % RESULT_EVERY !== 0) return;
    const average = this.#took.reduce((sum, one) => sum + one, 0) / Math.max(1, this.#took.length);
    const rate = this.bytesAMs;
    // Bytes a millisecond are eight kilobits a second.
    const kilobits = rate === undefined ? undefined : Math.min(0xffff_ffff, Math.round(rate * 8));
    this.#send(encodeNetworkResult(this.#next(), Math.round(this.#shortestMs), Math.round(average), kilobits));
  }

  get #shortestMs(): number {
    return this.#took.length > 0 ? Math.min(...this.#took) : 0;
  }

  #next(): number {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return this.#sequence;
  }
}
