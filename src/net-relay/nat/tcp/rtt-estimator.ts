// The retransmission timeout. Source: RFC 6298. Departures: the least timeout is 200 ms instead of a second, as in
// Linux and BSD, because the guest is a few milliseconds away and its delayed acknowledgments take at most that long.

const FIRST_RTO_MS = 1000;
const MIN_RTO_MS = 200;
const MAX_RTO_MS = 60_000;
const CLOCK_GRANULARITY_MS = 1;

export class RttEstimator {
  #smoothed = -1;
  #variation = 0;
  #rtoMs = FIRST_RTO_MS;
  #backOffs = 0;

  get rtoMs(): number {
    // A power is a call; this is asked about with every segment.
    return this.#backOffs === 0 ? this.#rtoMs : Math.min(this.#rtoMs * 2 ** this.#backOffs, MAX_RTO_MS);
  }

  /** Consecutive timeouts without a new acknowledgment. */
  get backOffs(): number {
    return this.#backOffs;
  }

  /** One measured round trip. Source: section 2.2 and 2.3. */
  sample(roundTripMs: number): void {
    if (this.#smoothed < 0) {
      this.#smoothed = roundTripMs;
      this.#variation = roundTripMs / 2;
    } else {
      this.#variation += (Math.abs(this.#smoothed - roundTripMs) - this.#variation) / 4;
      this.#smoothed += (roundTripMs - this.#smoothed) / 8;
    }
    const rto = this.#smoothed + Math.max(CLOCK_GRANULARITY_MS, 4 * this.#variation);
    this.#rtoMs = Math.max(MIN_RTO_MS, Math.min(rto, MAX_RTO_MS));
  }

  backOff(): void {
    this.#backOffs++;
  }

  /** The peer has acknowledged something new. */
  progress(): void {
    this.#backOffs = 0;
  }
}
