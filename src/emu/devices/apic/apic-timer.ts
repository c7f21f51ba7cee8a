/**
 * The timer of a local APIC: one-shot, periodic, TSC deadline.
 * Source: SDM Vol. 3A, 10.5.4 (APIC timer), 10.5.4.1 (TSC-deadline mode). Clock: one tick a nanosecond of guest time,
 * which CPUID leaf 15h gives as the crystal's rate; the time-stamp counter runs at the same.
 * Periodic ticks that are late are made up for: see `TickDebt`.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import { TickDebt, type TickDebtState } from './tick-debt.ts';

export const TIMER_MODE = { oneShot: 0, periodic: 1, tscDeadline: 2 } as const;

const TWO_32 = 0x1_0000_0000;
/** Beyond this no deadline is kept: the counter's low half has no exact nanosecond. */
const FAR_NS = 2 ** 52;

export interface ApicTimerParts {
  readonly timers: Timers;
  /** The timer's interrupt: delivered unless the LVT masks it. */
  readonly onExpired: () => void;
  /** The interrupt before is still requested: another one would be lost. */
  readonly isWaiting: () => boolean;
}

export interface ApicTimerState {
  readonly mode: number;
  readonly masked: boolean;
  readonly divideConfiguration: number;
  readonly initialCount: number;
  /** Guest time in ns at which the count was `initialCount`; its meaning ends when the count is 0. */
  readonly startedAt: number;
  readonly deadline: readonly [low: number, high: number];
  readonly tscOffset: readonly [low: number, high: number];
  /** Expiries of the present count so far, delivered or owed. */
  readonly counted: number;
  readonly debt: TickDebtState;
}

export class ApicTimer implements Saveable<ApicTimerState> {
  readonly #parts: ApicTimerParts;
  readonly #timer: Timer;
  #mode: number = TIMER_MODE.oneShot;
  #masked = true;
  #divideConfiguration = 0;
  #initialCount = 0;
  #startedAt = 0;
  #deadlineLow = 0;
  #deadlineHigh = 0;
  #tscLow = 0;
  #tscHigh = 0;
  #counted = 0;
  readonly #debt = new TickDebt();

  constructor(parts: ApicTimerParts) {
    this.#parts = parts;
    this.#timer = parts.timers.create(() => this.#expired());
  }

  /** RESET#. The time-stamp counter is not the timer's and goes on. */
  reset(): void {
    this.#mode = TIMER_MODE.oneShot;
    this.#masked = true;
    this.#divideConfiguration = 0;
    this.#stop();
  }

  /**
   * What the LVT entry says.
   * @param mode one of `TIMER_MODE`
   * @param masked expiries have no effect; the count goes on all the same, but nobody need wake for it
   */
  configure(mode: number, masked: boolean): void {
    if (mode === this.#mode && masked === this.#masked) return;
    const disarms = mode !== this.#mode && (mode === TIMER_MODE.tscDeadline || this.#mode === TIMER_MODE.tscDeadline);
    this.#mode = mode;
    this.#masked = masked;
    // To and from deadline mode disarms (10.5.4.1); between the others the count goes on.
    if (disarms) this.#stop();
    else this.#rearm();
  }

  /** The divide configuration register: bits 0, 1 and 3. */
  get divideConfiguration(): number {
    return this.#divideConfiguration;
  }

  set divideConfiguration(value: number) {
    const count = this.currentCount;
    this.#divideConfiguration = value & 0xb;
    if (count === 0 || this.#mode === TIMER_MODE.tscDeadline) return;
    // The count stays and its rate changes.
    this.#startedAt = this.#now() - (this.#initialCount - count) * this.#divisor;
    this.#counted = 0;
    this.#arm();
  }

  get initialCount(): number {
    return this.#initialCount;
  }

  /** @param count unsigned; 0 stops the timer */
  set initialCount(count: number) {
    if (this.#mode === TIMER_MODE.tscDeadline) return;
    this.#stop();
    this.#initialCount = count;
    if (count === 0) return;
    this.#startedAt = this.#now();
    this.#arm();
  }

  get currentCount(): number {
    if (this.#initialCount === 0 || this.#mode === TIMER_MODE.tscDeadline) return 0;
    const elapsed = Math.floor((this.#now() - this.#startedAt) / this.#divisor);
    if (this.#mode === TIMER_MODE.periodic) return this.#initialCount - (elapsed % this.#initialCount);
    return Math.max(0, this.#initialCount - elapsed);
  }

  /** IA32_TSC_DEADLINE: 0 when disarmed or in another mode. */
  get deadlineLow(): number {
    return this.#deadlineLow;
  }
  get deadlineHigh(): number {
    return this.#deadlineHigh;
  }

  /** 32-bit halves; zero disarms. Ignored in other modes. */
  setDeadline(low: number, high: number): void {
    if (this.#mode !== TIMER_MODE.tscDeadline) return;
    this.#deadlineLow = low >>> 0;
    this.#deadlineHigh = high >>> 0;
    this.#arm();
  }

  /** See `LocalApicPort.setTscOffset`. */
  setTscOffset(low: number, high: number): void {
    this.#tscLow = low >>> 0;
    this.#tscHigh = high >>> 0;
    if (this.#mode === TIMER_MODE.tscDeadline) this.#arm();
  }

  save(): ApicTimerState {
    return {
      mode: this.#mode,
      masked: this.#masked,
      divideConfiguration: this.#divideConfiguration,
      initialCount: this.#initialCount,
      startedAt: this.#startedAt,
      deadline: [this.#deadlineLow, this.#deadlineHigh],
      tscOffset: [this.#tscLow, this.#tscHigh],
      counted: this.#counted,
      debt: this.#debt.save(),
    };
  }

  restore(state: ApicTimerState): void {
    this.#mode = state.mode;
    this.#masked = state.masked;
    this.#divideConfiguration = state.divideConfiguration;
    this.#initialCount = state.initialCount;
    this.#startedAt = state.startedAt;
    [this.#deadlineLow, this.#deadlineHigh] = state.deadline;
    [this.#tscLow, this.#tscHigh] = state.tscOffset;
    this.#counted = state.counted;
    this.#debt.restore(state.debt);
    this.#arm();
  }

  /** 1, 2, 4 ... 128. */
  get #divisor(): number {
    const value = (this.#divideConfiguration & 3) | ((this.#divideConfiguration & 8) >> 1);
    return value === 7 ? 1 : 2 << value;
  }

  #now(): number {
    return this.#parts.timers.now();
  }

  #stop(): void {
    this.#initialCount = 0;
    this.#counted = 0;
    this.#debt.clear();
    this.#deadlineLow = 0;
    this.#deadlineHigh = 0;
    this.#timer.disarm();
  }

  /** The count ran on in another mode or masked: expiries before now are past. */
  #rearm(): void {
    this.#debt.clear();
    this.#counted = this.#initialCount === 0 ? 0 : this.#passed();
    this.#arm();
  }

  get #periodNs(): number {
    return this.#initialCount * this.#divisor;
  }

  /** Times that the count has reached 0 since it was written. */
  #passed(): number {
    return Math.floor((this.#now() - this.#startedAt) / this.#periodNs);
  }

  #arm(): void {
    if (this.#mode === TIMER_MODE.tscDeadline) this.#armDeadline();
    else if (this.#initialCount === 0 || this.#masked) this.#timer.disarm();
    else if (this.#mode === TIMER_MODE.oneShot) {
      if (this.#counted > 0) this.#timer.disarm();
      else this.#timer.arm(guestNs(this.#startedAt + this.#periodNs), true);
    } else {
      const next = this.#startedAt + (this.#counted + 1) * this.#periodNs;
      this.#timer.arm(guestNs(this.#debt.nextNs(next, this.#periodNs)));
    }
  }

  #armDeadline(): void {
    if (this.#deadlineLow === 0 && this.#deadlineHigh === 0) {
      this.#timer.disarm();
      return;
    }
    const now = this.#now();
    const left = this.#ticksToDeadline(now);
    if (left <= FAR_NS) this.#timer.arm(guestNs(now + Math.max(0, left)), true);
    else this.#timer.disarm();
  }

  /** Exact while the two are near each other; 0 or less when the counter has reached the deadline. */
  #ticksToDeadline(now: number): number {
    const low = (now % TWO_32) + this.#tscLow;
    const high = (Math.floor(now / TWO_32) + this.#tscHigh + (low >= TWO_32 ? 1 : 0)) % TWO_32;
    return (this.#deadlineHigh - high) * TWO_32 + (this.#deadlineLow - (low % TWO_32));
  }

  #expired(): void {
    if (this.#mode === TIMER_MODE.periodic) {
      this.#expiredPeriodic();
      return;
    }
    if (this.#mode === TIMER_MODE.tscDeadline) {
      this.#deadlineLow = 0;
      this.#deadlineHigh = 0;
    } else this.#counted = 1;
    this.#parts.onExpired();
  }

  #expiredPeriodic(): void {
    const passed = this.#passed();
    const ticks = passed - this.#counted;
    this.#counted = passed;
    if (this.#debt.take(ticks, this.#periodNs, this.#now(), this.#parts.isWaiting())) this.#parts.onExpired();
    this.#arm();
  }
}
