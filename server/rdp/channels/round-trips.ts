/**
 * Measures the way to a client and back while it is shown something, so that pictures fill that way and no more.
 * Source: [MS-RDPBCGR] 1.3.9 (network auto-detection), 2.2.14.
 */

import { decodeRoundTripResponse, encodeNetworkResult, encodeRoundTripRequest } from '../pdu/auto-detect.ts';
import type { PduReader } from '../pdu/bytes.ts';
import { readSecurityFlags, SEC } from '../pdu/security-header.ts';

const EVERY_MS = 1000;
/** An answer that has not come by then will not. */
const LOST_MS = 10_000;
/** The shortest of so many is what the way itself takes; the others have waited behind pictures. */
const MOST_KEPT = 8;
/** Round trips from one result that the client is told to the next. */
const RESULT_EVERY = 4;
/** Pictures that a client may have, besides those on their way, before it says that it has shown one. */
const FRAMES_AT_CLIENT = 2;
/** No client is sent more pictures a second. */
const FRAME_MS = 33;
const MOST_FRAMES = 8;

export class RoundTrips {
  readonly #send: (pdu: Uint8Array) => void;
  readonly #nowMs: () => number;
  #sequence = 0;
  #asked: { readonly sequence: number; readonly atMs: number } | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #took: number[] = [];
  #answers = 0;

  /** @param nowMs milliseconds of any clock that does not go back */
  constructor(send: (pdu: Uint8Array) => void, nowMs: () => number) {
    this.#send = send;
    this.#nowMs = nowMs;
  }

  /** Frames that a client may have that it has not acknowledged. */
  get framesInFlight(): number {
    const shortest = this.#took.length > 0 ? Math.min(...this.#took) : 0;
    return Math.min(MOST_FRAMES, FRAMES_AT_CLIENT + Math.floor(shortest / FRAME_MS));
  }

  /** Something is sent: measures, if that was long ago. */
  sending(): void {
    const now = this.#nowMs();
    if (now - this.#lastMs < (this.#asked ? LOST_MS : EVERY_MS)) return;
    this.#lastMs = now;
    this.#asked = { sequence: this.#next(), atMs: now };
    this.#send(encodeRoundTripRequest(this.#asked.sequence));
  }

  /** A PDU of the message channel, its security header first. @throws PduError */
  receive(r: PduReader): void {
    if ((readSecurityFlags(r) & SEC.autoDetectResponse) === 0) return;
    const sequence = decodeRoundTripResponse(r);
    if (!this.#asked || sequence !== this.#asked.sequence) return;
    this.#took.push(this.#nowMs() - this.#asked.atMs);
    if (this.#took.length > MOST_KEPT) this.#took.shift();
    this.#asked = undefined;
    this.#answers++;
    if (this.#answers % RESULT_EVERY !== 0) return;
    const average = this.#took.reduce((sum, one) => sum + one, 0) / this.#took.length;
    this.#send(encodeNetworkResult(this.#next(), Math.round(Math.min(...this.#took)), Math.round(average)));
  }

  #next(): number {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return this.#sequence;
  }
}
