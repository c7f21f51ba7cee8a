/**
 * 8254 programmable interval timer of a PC: counter 0 on IRQ 0, counter 1 (memory refresh), counter 2 on the speaker.
 * Source: Intel 8254 data sheet (231164); IBM PC/AT Technical Reference, "System timers".
 * Not modelled: jitter; the low phase of OUT 0. IRQ 0 falls only just before it rises again, because a fall in the
 * middle of a mode 3 cycle would withdraw an edge the host was late with.
 *
 * Counters are computed from guest time when asked. Only counter 0 needs a timer: one expiry a rising edge.
 *
 * Late ticks. When the host comes back after several rising edges of mode 2 or 3, one is delivered at once and the
 * others are owed. So is a tick that finds the one before it still waiting for the CPU. Owed ticks go out at twice the programmed rate, never closer than `MIN_SPACING_NS`, so a guest that
 * counts ticks catches up without a storm. At most `BACKLOG_NS` worth of ticks is owed; older ones are dropped, as
 * they are when the guest reprograms counter 0. Single-shot modes owe nothing.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice } from '../../bus/io-bus.ts';
import type { IrqLine, Saveable } from '../../bus/wires.ts';
import { PitCounter, type PitCounterState } from './pit-counter.ts';

/** CLK: 105/88 MHz, that is 21 ticks in 17600 ns exactly. */
export const PIT_HZ: number = 105e6 / 88;
const TICKS_PER_SPAN = 21;
const SPAN_NS = 17_600;

const MIN_SPACING_NS = 20_000;
const BACKLOG_NS = 2e9;

/** Ticks since power-on at guest time `ns`; exact for every safe integer. */
export function pitTicks(ns: number): number {
  const spans = Math.floor(ns / SPAN_NS);
  return spans * TICKS_PER_SPAN + Math.floor(((ns - spans * SPAN_NS) * TICKS_PER_SPAN) / SPAN_NS);
}

/** First guest nanosecond of tick `tick`. */
export function pitTickNs(tick: number): number {
  const spans = Math.floor(tick / TICKS_PER_SPAN);
  return spans * SPAN_NS + Math.ceil(((tick - spans * TICKS_PER_SPAN) * SPAN_NS) / TICKS_PER_SPAN);
}

export interface Pit8254Parts {
  readonly timers: Timers;
  /** Sees one rising edge a tick of counter 0. */
  readonly irq0: IrqLine;
  /**
   * True while an earlier tick is requested, unmasked and not acknowledged by the CPU: another edge would be lost.
   * Without it every tick is taken to have arrived. For the PIC: `() => pic.isWaiting(0)`.
   */
  readonly tickWaiting?: () => boolean;
  /**
   * The square wave of OUT 2 changed.
   * @param frequencyHz of modes 2 and 3 while GATE 2 is high, else 0
   */
  readonly onTone?: (frequencyHz: number) => void;
}

/** Plain data; ticks are absolute, so it is valid with the guest time it was saved at. */
export interface Pit8254State {
  counters: PitCounterState[];
  irq0: boolean;
  /** Tick of the next rising edge of OUT 0 that has not been counted; -1 when none will come. */
  nextEdge: number;
  /** Rising edges that have passed and were not delivered. */
  owed: number;
  /** Guest nanosecond of the last edge delivered or put off. */
  deliveredAt: number;
  toneHz: number;
}

const NO_EDGE = -1;
/** Long enough before power-on to hold nothing back. */
const NOT_YET = -1e12;

/** Ports 40h..43h. */
export class Pit8254 implements IoDevice, Saveable<Pit8254State> {
  readonly #timers: Timers;
  readonly #irq0: IrqLine;
  readonly #tickWaiting: () => boolean;
  readonly #onTone: (frequencyHz: number) => void;
  readonly #timer: Timer;
  /** GATE 0 and 1 are tied high; GATE 2 is bit 0 of port 61h. */
  readonly #counters: readonly PitCounter[] = [new PitCounter(true), new PitCounter(true), new PitCounter(false)];
  #line = false;
  #nextEdge = NO_EDGE;
  #owed = 0;
  /** Guest time at which the timer last delivered an edge or found one waiting, in ns. */
  #deliveredAt = NOT_YET;
  #toneHz = 0;

  constructor(parts: Pit8254Parts) {
    this.#timers = parts.timers;
    this.#irq0 = parts.irq0;
    this.#tickWaiting = parts.tickWaiting ?? ((): boolean => false);
    this.#onTone = parts.onTone ?? ((): void => {});
    this.#timer = parts.timers.create(() => this.#onEdge());
  }

  read(offset: number): number {
    return offset === 3 ? 0xff : this.#counters[offset].read(this.#tick());
  }

  write(offset: number, _width: number, value: number): void {
    if (offset === 3) this.#control(value);
    else this.#writeCount(offset, value);
  }

  /** Level of OUT 2, bit 5 of port 61h. */
  get output2(): boolean {
    return this.#counters[2].out(this.#tick());
  }

  /** Level of OUT 0, as a read-back of its status shows it. */
  get output0(): boolean {
    return this.#counters[0].out(this.#tick());
  }

  /** Frequency of OUT 2 in Hz while it oscillates, else 0. */
  get tone2(): number {
    const period = this.#counters[2].comingPeriod;
    return period > 0 ? PIT_HZ / period : 0;
  }

  setGate2(high: boolean): void {
    this.#counters[2].setGate(high, this.#tick());
    this.#updateTone();
  }

  reset(): void {
    for (const counter of this.#counters) counter.reset();
    this.#owed = 0;
    this.#deliveredAt = NOT_YET;
    this.#nextEdge = NO_EDGE;
    this.#timer.disarm();
    this.#drive(false);
    this.#updateTone();
  }

  save(): Pit8254State {
    return {
      counters: this.#counters.map((c) => ({ ...c.state })),
      irq0: this.#line,
      nextEdge: this.#nextEdge,
      owed: this.#owed,
      deliveredAt: this.#deliveredAt,
      toneHz: this.#toneHz,
    };
  }

  restore(state: Pit8254State): void {
    for (const [i, counter] of this.#counters.entries()) counter.state = { ...state.counters[i] };
    this.#line = state.irq0;
    this.#irq0.set(this.#line);
    this.#nextEdge = state.nextEdge;
    this.#owed = state.owed;
    this.#deliveredAt = state.deliveredAt;
    this.#toneHz = state.toneHz;
    this.#onTone(this.#toneHz);
    this.#arm();
  }

  #tick(): number {
    return pitTicks(this.#timers.now());
  }

  #control(word: number): void {
    const tick = this.#tick();
    const select = word >> 6;
    if (select === 3) {
      this.#readBack(word, tick);
      return;
    }
    const counter = this.#counters[select];
    if ((word & 0x30) === 0) {
      counter.latchCount(tick);
      return;
    }
    counter.control(word, tick);
    if (select === 0) this.#reschedule(tick);
    else if (select === 2) this.#updateTone();
  }

  #readBack(word: number, tick: number): void {
    for (let i = 0; i < 3; i++) {
      if ((word & (2 << i)) === 0) continue;
      if ((word & 0x20) === 0) this.#counters[i].latchCount(tick);
      if ((word & 0x10) === 0) this.#counters[i].latchStatus(tick);
    }
  }

  #writeCount(index: number, byte: number): void {
    const tick = this.#tick();
    const complete = this.#counters[index].writeCount(byte, tick);
    if (index === 0 && (complete || this.#counters[0].state.mode === 0)) this.#reschedule(tick);
    else if (index === 2 && complete) this.#updateTone();
  }

  /** Counter 0 was programmed: OUT 0 may have moved and its next edge is another. */
  #reschedule(tick: number): void {
    const counter = this.#counters[0];
    this.#owed = 0;
    this.#deliveredAt = NOT_YET;
    // Only mode 0 starts low; in the other modes a level that is already high stays so until the next edge.
    this.#drive(counter.state.mode !== 0);
    const rise = counter.nextRise(tick);
    this.#nextEdge = Number.isFinite(rise) ? rise : NO_EDGE;
    this.#arm();
  }

  #onEdge(): void {
    const tick = this.#tick();
    const counter = this.#counters[0];
    if (this.#nextEdge !== NO_EDGE && tick >= this.#nextEdge) {
      const { period } = counter;
      this.#owed += period > 0 ? Math.floor((tick - this.#nextEdge) / period) + 1 : 1;
      const rise = counter.nextRise(tick);
      this.#nextEdge = Number.isFinite(rise) ? rise : NO_EDGE;
      this.#owed = Math.min(this.#owed, period > 0 ? Math.max(1, Math.floor(BACKLOG_NS / pitTickNs(period))) : 1);
    }
    if (this.#owed > 0) {
      this.#deliveredAt = this.#timers.now();
      if (!counter.periodic || !this.#tickWaiting()) {
        this.#owed--;
        this.#drive(false);
        this.#drive(true);
      }
    }
    this.#arm();
  }

  /** The timer's next deadline: the next edge, or a catch-up tick half a period from now. */
  #arm(): void {
    const halfPeriodNs = Math.floor(pitTickNs(this.#counters[0].period) / 2);
    const soonest = this.#deliveredAt + Math.max(MIN_SPACING_NS, halfPeriodNs);
    if (this.#owed > 0) this.#timer.arm(guestNs(soonest));
    else if (this.#nextEdge !== NO_EDGE) {
      this.#timer.arm(guestNs(Math.max(pitTickNs(this.#nextEdge), soonest)), !this.#counters[0].periodic);
    } else this.#timer.disarm();
  }

  #drive(level: boolean): void {
    if (level === this.#line) return;
    this.#line = level;
    this.#irq0.set(level);
  }

  #updateTone(): void {
    const hz = this.tone2;
    if (hz === this.#toneHz) return;
    this.#toneHz = hz;
    this.#onTone(hz);
  }
}
