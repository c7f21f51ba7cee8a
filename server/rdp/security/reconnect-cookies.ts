/**
 * Auto-reconnect: a client whose connection broke comes back without a password, and takes its own place.
 * Source: [MS-RDPBCGR] 5.5 (automatic reconnection), 2.2.4.2, 2.2.4.3.
 * A cookie is good once, for the user it was made for, and not after its session has ended in an orderly way.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const COOKIE_RANDOM_BYTES = 16;
/** How long after its connection broke a client is known again. */
const LIFE_MS = 60 * 60_000;
const MAX_ENTRIES = 1000;

/** What a client sends of its cookie. */
export interface ReconnectProof {
  readonly logonId: number;
  readonly verifier: Uint8Array;
}

/** What a client is given, and shows it has without sending it. */
export interface ReconnectCookie {
  readonly logonId: number;
  readonly random: Uint8Array;
}

interface Entry<T> {
  readonly random: Uint8Array;
  readonly userName: string;
  readonly session: T;
  readonly madeMs: number;
}

export class ReconnectCookies<T> {
  readonly #entries = new Map<number, Entry<T>>();
  readonly #random: (count: number) => Uint8Array;
  readonly #nowMs: () => number;
  #last = 0;

  constructor(random: (count: number) => Uint8Array, nowMs: () => number) {
    this.#random = random;
    this.#nowMs = nowMs;
  }

  /** @param session what `redeem` gives back */
  issue(userName: string, session: T): ReconnectCookie {
    this.#clean();
    const logonId = ++this.#last;
    const random = this.#random(COOKIE_RANDOM_BYTES);
    this.#entries.set(logonId, { random, userName: userName.toLowerCase(), session, madeMs: this.#nowMs() });
    return { logonId, random };
  }

  /**
   * @param clientRandom of the connection it came over; zeros under TLS
   * @returns whom the cookie was made for; undefined when it is no good
   */
  redeem(proof: ReconnectProof, clientRandom: Uint8Array, userName: string): T | undefined {
    const entry = this.#entries.get(proof.logonId);
    if (!entry || this.#isOld(entry) || entry.userName !== userName.toLowerCase()) return undefined;
    const expected = createHmac('md5', entry.random).update(clientRandom).digest();
    if (!timingSafeEqual(expected, proof.verifier)) return undefined;
    this.#entries.delete(proof.logonId);
    return entry.session;
  }

  /** The session has ended for good. */
  revoke(session: T): void {
    for (const [id, entry] of this.#entries) if (entry.session === session) this.#entries.delete(id);
  }

  #isOld(entry: Entry<T>): boolean {
    return this.#nowMs() - entry.madeMs > LIFE_MS;
  }

  #clean(): void {
    for (const [id, entry] of this.#entries) {
      // In the order in which they were made.
      if (this.#entries.size < MAX_ENTRIES && !this.#isOld(entry)) return;
      this.#entries.delete(id);
    }
  }
}
