/** Starts a compiling thread, another when it dies, and none any more when they keep dying. Lives where threads are started. */

/** So many deaths within `WINDOW_MS`, more than one bad piece of code causes, and it is given up. */
const MOST_DEATHS = 5;
const WINDOW_MS = 300_000;

export interface CompilerWatchParts {
  /** Monotonic, in milliseconds. */
  readonly nowMs: () => number;
  /** Starts a thread. It may call `died` at most once, at any time after `start` has come back. */
  readonly start: (died: (why: string) => void) => void;
  /** A thread has died and the next one is about to start. */
  readonly onDied: (why: string) => void;
  /** There will be no other one. @param message for a person */
  readonly onGivenUp: (message: string) => void;
}

export class CompilerWatch {
  readonly #parts: CompilerWatchParts;
  readonly #deathsMs: number[] = [];

  constructor(parts: CompilerWatchParts) {
    this.#parts = parts;
    this.#start();
  }

  #start(): void {
    this.#parts.start((why) => this.#died(why));
  }

  #died(why: string): void {
    const { nowMs, onDied, onGivenUp } = this.#parts;
    const now = nowMs();
    this.#deathsMs.push(now);
    if (this.#deathsMs.length > MOST_DEATHS) this.#deathsMs.shift();
    if (this.#deathsMs.length === MOST_DEATHS && now - this.#deathsMs[0] < WINDOW_MS) {
      onGivenUp(
        `fast code is not made any more, so the machine goes on many times slower: the thread that makes it ended ${MOST_DEATHS} times, at last because ${why}; switch the machine off and on to try again`,
      );
      return;
    }
    onDied(why);
    this.#start();
  }
}
