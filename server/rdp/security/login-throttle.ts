/** Slows down whoever tries passwords: each wrong one doubles the time until the next is looked at. */

const FIRST_PENALTY_MS = 500;
const LONGEST_PENALTY_MS = 30_000;
/** Without a wrong password for so long, all is forgotten. */
const FORGET_MS = 10 * 60_000;
const MAX_ENTRIES = 10_000;

interface Entry {
  failures: number;
  lastMs: number;
}

export class LoginThrottle {
  readonly #entries = new Map<string, Entry>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Milliseconds that a key (an address, a user) has to wait now. */
  waitMs(key: string): number {
    const entry = this.#entries.get(key);
    if (!entry) return 0;
    const penalty = Math.min(FIRST_PENALTY_MS * 2 ** (entry.failures - 1), LONGEST_PENALTY_MS);
    return Math.max(0, entry.lastMs + penalty - this.#nowMs());
  }

  failed(key: string): void {
    const now = this.#nowMs();
    const entry = this.#entries.get(key);
    const isFresh = entry === undefined || now - entry.lastMs > FORGET_MS;
    this.#entries.delete(key);
    this.#entries.set(key, { failures: isFresh ? 1 : entry.failures + 1, lastMs: now });
    // The oldest go first, so memory stays bounded whatever names are tried.
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MAX_ENTRIES) break;
      this.#entries.delete(oldest);
    }
  }

  succeeded(key: string): void {
    this.#entries.delete(key);
  }
}
