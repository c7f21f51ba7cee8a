/** Types for a person: key after key, as fast as the guest takes them and no faster than a very good typist. */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { Ps2Keyboard } from '#emu/devices/input/ps2-keyboard.ts';

/** A BIOS buffers 15 keys and an installer's menu reads them one at a time. */
const KEY_NS = 20_000_000;

export class KeyFeeder {
  readonly #keyboard: Ps2Keyboard;
  readonly #timers: Timers;
  readonly #timer: Timer;
  #waiting: (readonly number[])[] = [];

  constructor(keyboard: Ps2Keyboard, timers: Timers) {
    this.#keyboard = keyboard;
    this.#timers = timers;
    this.#timer = timers.create(() => this.#next());
  }

  /** @param sequences one a character, as `textScancodes` gives them */
  type(sequences: readonly (readonly number[])[]): void {
    this.#waiting.push(...sequences);
    if (!this.#timer.armed) this.#next();
  }

  /** Characters not typed yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Forgets what is not typed. */
  reset(): void {
    this.#waiting = [];
    this.#timer.disarm();
  }

  #next(): void {
    // A guest that reads no keys is waited for.
    if (this.#keyboard.queuedBytes === 0) {
      const keys = this.#waiting.shift();
      if (!keys) return;
      this.#keyboard.putScancodes(keys);
    }
    this.#timer.arm(guestNs(this.#timers.now() + KEY_NS));
  }
}
