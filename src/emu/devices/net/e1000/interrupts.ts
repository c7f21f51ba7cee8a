/**
 * Interrupt causes of the 8254x: cause and mask registers, the throttle, and the delay timers of both directions.
 * Source: 8254x SDM (317453), sections 3.2.7 (receive interrupts), 3.4.4 (transmit), 13.4.16 to 13.4.21 (ICR, ITR, ICS, IMS, IMC).
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import { ICR_BITS, REG } from './registers.ts';

const THROTTLE_UNIT_NS = 256;
const DELAY_UNIT_NS = 1024;

export interface InterruptsParts {
  readonly timers: Timers;
  /** All registers, one word each. */
  readonly words: Uint32Array;
  /** The PCI function's pin. */
  readonly setPin: (asserted: boolean) => void;
}

export interface InterruptsState {
  readonly asserted: boolean;
  readonly assertedAt: number;
}

export class E1000Interrupts implements Saveable<InterruptsState> {
  readonly #words: Uint32Array;
  readonly #timers: Timers;
  readonly #setPin: (asserted: boolean) => void;
  readonly #throttle: Timer;
  #asserted = false;
  #assertedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: InterruptsParts) {
    this.#words = parts.words;
    this.#timers = parts.timers;
    this.#setPin = parts.setPin;
    this.#throttle = parts.timers.create(() => this.#update());
  }

  raise(causes: number): void {
    this.#words[REG.icr >> 2] |= causes & ICR_BITS;
    this.#update();
  }

  /** Reading clears. */
  readCauses(): number {
    const causes = this.#words[REG.icr >> 2];
    this.#words[REG.icr >> 2] = 0;
    this.#update();
    return causes;
  }

  clear(causes: number): void {
    this.#words[REG.icr >> 2] &= ~causes;
    this.#update();
  }

  enable(causes: number): void {
    this.#words[REG.ims >> 2] |= causes & ICR_BITS;
    this.#update();
  }

  disable(causes: number): void {
    this.#words[REG.ims >> 2] &= ~causes;
    this.#update();
  }

  reset(): void {
    this.#assertedAt = Number.NEGATIVE_INFINITY;
    this.#update();
  }

  save(): InterruptsState {
    return { asserted: this.#asserted, assertedAt: this.#assertedAt };
  }

  /** After the words. */
  restore(state: InterruptsState): void {
    this.#asserted = state.asserted;
    this.#assertedAt = state.assertedAt;
    this.#setPin(this.#asserted);
    this.#update();
  }

  #update(): void {
    const wanted = (this.#words[REG.icr >> 2] & this.#words[REG.ims >> 2]) !== 0;
    if (!wanted) {
      this.#throttle.disarm();
      if (this.#asserted) this.#setPin(false);
      this.#asserted = false;
      return;
    }
    if (this.#asserted) return;
    const now = this.#timers.now();
    const next = this.#assertedAt + (this.#words[REG.itr >> 2] & 0xffff) * THROTTLE_UNIT_NS;
    if (now < next) {
      this.#throttle.arm(guestNs(next));
      return;
    }
    this.#asserted = true;
    this.#assertedAt = now;
    this.#setPin(true);
  }
}

export interface DelayState {
  readonly relativeEnds: number | undefined;
  readonly absoluteEnds: number | undefined;
}

/** A cause that waits for a quiet moment, but not for ever. */
export class DelayedCause implements Saveable<DelayState> {
  readonly #timers: Timers;
  readonly #relative: Timer;
  readonly #absolute: Timer;
  readonly #raise: () => void;
  #relativeEnds: number | undefined;
  #absoluteEnds: number | undefined;

  constructor(timers: Timers, raise: () => void) {
    this.#timers = timers;
    this.#raise = raise;
    this.#relative = timers.create(() => this.expire());
    this.#absolute = timers.create(() => this.expire());
  }

  /**
   * Something happened.
   * @param relative delay from the last event in units of 1.024 us, 16 bits; 0: now
   * @param absolute delay from the first event in the same units; 0: none
   */
  happen(relative: number, absolute: number): void {
    if (relative === 0) {
      this.expire();
      return;
    }
    const now = this.#timers.now();
    this.#relativeEnds = now + relative * DELAY_UNIT_NS;
    this.#relative.arm(guestNs(this.#relativeEnds));
    if (absolute === 0 || this.#absoluteEnds !== undefined) return;
    this.#absoluteEnds = now + absolute * DELAY_UNIT_NS;
    this.#absolute.arm(guestNs(this.#absoluteEnds));
  }

  /** The cause comes now, and no timer runs. */
  expire(): void {
    this.cancel();
    this.#raise();
  }

  /** As `expire`, when a timer runs. */
  flush(): void {
    if (this.#relativeEnds !== undefined || this.#absoluteEnds !== undefined) this.expire();
  }

  cancel(): void {
    this.#relative.disarm();
    this.#absolute.disarm();
    this.#relativeEnds = undefined;
    this.#absoluteEnds = undefined;
  }

  save(): DelayState {
    return { relativeEnds: this.#relativeEnds, absoluteEnds: this.#absoluteEnds };
  }

  restore(state: DelayState): void {
    this.cancel();
    this.#relativeEnds = state.relativeEnds;
    this.#absoluteEnds = state.absoluteEnds;
    if (this.#relativeEnds !== undefined) this.#relative.arm(guestNs(this.#relativeEnds));
    if (this.#absoluteEnds !== undefined) this.#absolute.arm(guestNs(this.#absoluteEnds));
  }
}
