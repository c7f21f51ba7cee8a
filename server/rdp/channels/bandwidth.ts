/**
 * What the way to a client carries, and how much of what was sent is still on it, as the client's answers tell.
 * Source: [MS-RDPBCGR] 1.3.9 (network auto-detection), 3.2.5.14 (what a client measures).
 *
 * A way is kept full, and no queue is let grow in front of it: no more is sent while what has not arrived is more than the
 * way carries in a round trip and a moment. What has arrived, a client says by answering the question behind it. When
 * all has arrived, something may always be sent, whatever a client has said: it cannot stop its own picture.
 */

/** Fewer tell nothing: TLS puts up to 16 KB together, which all count as come at once. */
const LEAST_MEASURED_BYTES = 48 * 1024;
/** The fastest of so many counts: others were measured while the client had something else to do. */
const MOST_KEPT = 4;
/** What was measured so long ago may be of another way. */
const FORGET_MS = 30_000;
/** While nobody knows, what a way of 2 Mbit/s carries in a quarter of a second. */
const FIRST_WINDOW_BYTES = 64 * 1024;
const LEAST_WINDOW_BYTES = 16 * 1024;
/** What may wait in front of a way, so that it is never empty. */
const QUEUE_MS = 100;
/** A way that carries 20 Mbit/s is fast, and is not measured more often than every so often. */
const FAST_BYTES_A_MS = 2500;
const FAST_EVERY_MS = 1000;
/** Pixels of a picture that may have {@link LEAST_MEASURED_BYTES}. */
const LARGE_PIXELS = 128 * 128;

/** Behind these bytes there is a question. */
interface Mark {
  readonly sequence: number;
  readonly sent: number;
}

export class Bandwidth {
  readonly #nowMs: () => number;
  /** Bytes a millisecond, of late. */
  readonly #rates: number[] = [];
  #sent = 0;
  #arrived = 0;
  #marked = 0;
  readonly #marks: Mark[] = [];
  #canAnswer = false;
  /** Bytes that had been sent when the client began to count. */
  #startedAt: number | undefined;
  /** The question about what it has counted. */
  #stopSequence: number | undefined;
  #measuredMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs milliseconds of any clock that does not go back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Bytes that the way carries in a millisecond; undefined: not measured. */
  get bytesAMs(): number | undefined {
    if (this.#nowMs() - this.#measuredMs > FORGET_MS) this.#rates.length = 0;
    return this.#rates.length > 0 ? Math.max(...this.#rates) : undefined;
  }

  /** All that there is a question behind has arrived. */
  get isIdle(): boolean {
    return this.#marks.length === 0;
  }

  /** @param roundTripMs the shortest of late. @returns false: what was sent has to arrive first */
  hasRoom(roundTripMs: number): boolean {
    return this.isIdle || this.#sent - this.#arrived < this.#windowBytes(roundTripMs);
  }

  /** Something, whatever it is, was sent. */
  sent(byteCount: number): void {
    this.#sent += byteCount;
  }

  /** A picture is about to be sent. @returns true: the client is to count from here */
  starts(pixelCount: number, roundTripMs: number): boolean {
    if (!this.#canAnswer || this.#stopSequence !== undefined) return false;
    // Pictures without a gap between them are one: more is under way than is in the way itself.
    const inWay = (this.bytesAMs ?? 0) * roundTripMs;
    if (this.#startedAt !== undefined && !this.isIdle && this.#sent - this.#arrived > inWay) return false;
    this.#startedAt = undefined;
    if (pixelCount < LARGE_PIXELS) return false;
    const isFast = (this.bytesAMs ?? 0) >= FAST_BYTES_A_MS;
    if (isFast && this.#nowMs() - this.#measuredMs < FAST_EVERY_MS) return false;
    this.#startedAt = this.#sent;
    return true;
  }

  /**
   * A picture was sent.
   * @param sequence of the question that follows, if one does
   * @returns what to ask: what the client has counted, or whether it is there
   */
  ends(sequence: number, roundTripMs: number): 'counted' | 'arrived' | undefined {
    if (!this.#canAnswer) return undefined;
    const isCounted = this.#startedAt !== undefined && this.#sent - this.#startedAt >= LEAST_MEASURED_BYTES;
    if (!isCounted && this.#sent - this.#marked < this.#windowBytes(roundTripMs) / 4) return undefined;
    this.#marked = this.#sent;
    this.#marks.push({ sequence, sent: this.#sent });
    if (!isCounted) return 'arrived';
    this.#stopSequence = sequence;
    this.#startedAt = undefined;
    return 'counted';
  }

  /** The client has answered a question. @param sequence of any */
  answered(sequence: number): void {
    this.#canAnswer = true;
    const at = this.#marks.findIndex((mark) => mark.sequence === sequence);
    if (at < 0) return;
    this.#arrived = this.#marks[at].sent;
    this.#marks.splice(0, at + 1);
    // Answers come in the order of the questions.
    if (!this.#marks.some((mark) => mark.sequence === this.#stopSequence)) this.#stopSequence = undefined;
  }

  /** What it has counted. @returns false: it was not asked that */
  counted(sequence: number, tookMs: number, byteCount: number): boolean {
    const isAsked = sequence === this.#stopSequence;
    this.answered(sequence);
    if (!isAsked) return false;
    this.#measuredMs = this.#nowMs();
    // One that has counted nothing cannot count.
    if (byteCount === 0) return true;
    this.#rates.push(byteCount / Math.max(1, tookMs));
    if (this.#rates.length > MOST_KEPT) this.#rates.shift();
    return true;
  }

  /** It has not answered for too long: it is not waited for until it does. */
  givesUp(): void {
    this.#canAnswer = false;
    this.#marks.length = 0;
    this.#arrived = this.#sent;
    this.#startedAt = undefined;
    this.#stopSequence = undefined;
  }

  #windowBytes(roundTripMs: number): number {
    const rate = this.bytesAMs;
    if (rate === undefined) return FIRST_WINDOW_BYTES;
    return Math.max(LEAST_WINDOW_BYTES, rate * (roundTripMs + QUEUE_MS));
  }
}
