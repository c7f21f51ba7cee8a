/**
 * Guest time: the host's monotonic clock while the machine runs, or counted instructions.
 * It starts at 0 at power-on, stands still while the machine is paused and goes on where a saved state left it.
 */
import type { Clock } from '#base/clock.ts';
import { type GuestNs, guestNs } from '#base/units.ts';

export interface GuestClock extends Clock {
  /** Starts time, or stops it. */
  setRunning(running: boolean): void;
  /** Jumps there: a restored state. */
  setTime(ns: number): void;
  /** Time that passes without the host's doing: a CPU that sleeps until `deadline`. False when the host's clock rules. */
  skipTo(deadline: number): boolean;
}

export class HostClock implements GuestClock {
  readonly #nowMs: () => number;
  /** Host time in ns at which guest time was 0. */
  #origin = 0;
  #stoppedAt: number | undefined = 0;
  /** A host clock that stumbles must not carry the guest back. */
  #last = 0;

  /** @param nowMs a monotonic clock in milliseconds with fractions */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  now(): GuestNs {
    if (this.#stoppedAt !== undefined) return guestNs(this.#stoppedAt);
    const now = Math.floor(this.#nowMs() * 1e6 - this.#origin);
    if (now > this.#last) this.#last = now;
    return guestNs(this.#last);
  }

  setRunning(running: boolean): void {
    if (running === (this.#stoppedAt === undefined)) return;
    if (running) {
      const at = this.#stoppedAt ?? 0;
      this.#origin = this.#nowMs() * 1e6 - at;
      this.#last = at;
      this.#stoppedAt = undefined;
    } else this.#stoppedAt = this.now();
  }

  setTime(ns: number): void {
    const running = this.#stoppedAt === undefined;
    this.#stoppedAt = ns;
    this.setRunning(running);
  }

  skipTo(): boolean {
    return false;
  }
}

/** The same run gives the same times: for tests. */
export class InstructionClock implements GuestClock {
  readonly #nsPerInstruction: number;
  readonly #retired: () => number;
  /** Time that instructions did not take. */
  #skipped = 0;

  /** @param retired instructions executed so far */
  constructor(nsPerInstruction: number, retired: () => number) {
    this.#nsPerInstruction = nsPerInstruction;
    this.#retired = retired;
  }

  now(): GuestNs {
    return guestNs(Math.floor(this.#retired() * this.#nsPerInstruction + this.#skipped));
  }

  setRunning(): void {}

  setTime(ns: number): void {
    this.#skipped = ns - Math.floor(this.#retired() * this.#nsPerInstruction);
  }

  skipTo(deadline: number): boolean {
    const now = this.now();
    if (deadline > now) this.#skipped += deadline - now;
    return true;
  }
}
