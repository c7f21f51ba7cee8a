/**
 * High precision event timer: a 64-bit counter at 100 MHz and three comparators.
 * Source: IA-PC HPET Specification 1.0a, sections 2.3 (registers), 2.4 (timer operation).
 * Not modelled: a count that changes within a read of its two halves (each half is of its own moment).
 * Periodic ticks that are late are made up for: see `TickDebt`.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { IrqLine, MessageInterrupts, Saveable } from '#emu/bus/wires.ts';
import { TickDebt, type TickDebtState } from './tick-debt.ts';

export const HPET_TIMERS = 3;
/** The block's ID: vendor 8086h, legacy replacement, 64 bits, the number of the last comparator, revision 1. */
export const HPET_ID: number = 0x8086_a001 + ((HPET_TIMERS - 1) << 8);
/** Femtoseconds a tick. */
const PERIOD_FS = 10_000_000;
const TICK_NS = 10;
const TWO_32 = 0x1_0000_0000;

/** Inputs of the I/O APIC that comparators may drive: 2, 8 and 16 to 23. */
export const HPET_ROUTES = 0x00ff_0104;

export interface HpetParts {
  readonly timers: Timers;
  /** Sources of IRQ 0 and IRQ 8 while the block replaces the timer and the clock there. */
  readonly irq0: IrqLine;
  readonly irq8: IrqLine;
  /** A source of an I/O APIC input of `HPET_ROUTES`. */
  readonly input: (n: number) => IrqLine;
  readonly messages: MessageInterrupts;
  /** IRQ 0 and 8 belong to the block (true), or to timer and clock. */
  readonly onLegacyReplacement: (on: boolean) => void;
  /** An interrupt of IRQ 0 is requested and not taken. */
  readonly tickWaiting: () => boolean;
}

export interface HpetComparatorState {
  readonly config: number;
  readonly value: readonly [low: number, high: number];
  readonly period: readonly [low: number, high: number];
  readonly message: readonly [data: number, address: number];
  readonly debt: TickDebtState;
  readonly line: boolean;
}

export interface HpetState {
  readonly config: number;
  readonly status: number;
  /** The count when the counter last started or stood. */
  readonly count: readonly [low: number, high: number];
  readonly startedAt: number;
  readonly comparators: readonly HpetComparatorState[];
}

const REG = { capabilities: 0x000, config: 0x010, status: 0x020, counter: 0x0f0, timers: 0x100 } as const;
const CONFIG = { enable: 1, legacy: 2 } as const;
const TIMER = {
  level: 1 << 1,
  enable: 1 << 2,
  periodic: 1 << 3,
  setValue: 1 << 6,
  mode32: 1 << 8,
  routeShift: 9,
  message: 1 << 14,
  writable: 0x7f4e,
  /** Periodic mode, 64 bits, messages. */
  capabilities: (1 << 4) | (1 << 5) | (1 << 15),
} as const;

class Comparator {
  config: number = TIMER.capabilities;
  valueLow = 0xffff_ffff;
  valueHigh = 0xffff_ffff;
  periodLow = 0xffff_ffff;
  periodHigh = 0xffff_ffff;
  messageData = 0;
  messageAddress = 0;
  line = false;
  /** A low half was written with VAL_SET: the high half that follows belongs to it. */
  highFollows = false;
  readonly debt = new TickDebt();
  readonly timer: Timer;

  constructor(timer: Timer) {
    this.timer = timer;
  }

  get is32(): boolean {
    return (this.config & TIMER.mode32) !== 0;
  }

  get periodic(): boolean {
    return (this.config & TIMER.periodic) !== 0;
  }

  get period(): number {
    return this.is32 ? this.periodLow : this.periodHigh * TWO_32 + this.periodLow;
  }

  /** Adds `ticks` to the value that is compared. */
  advance(ticks: number): void {
    const low = this.valueLow + (ticks % TWO_32);
    this.valueLow = low % TWO_32;
    if (!this.is32) this.valueHigh = (this.valueHigh + Math.floor(ticks / TWO_32) + (low >= TWO_32 ? 1 : 0)) % TWO_32;
  }
}

export class Hpet implements IoDevice, Saveable<HpetState> {
  readonly #parts: HpetParts;
  readonly #comparators: readonly Comparator[];
  readonly #inputs = new Map<number, IrqLine>();
  #config = 0;
  #status = 0;
  #countLow = 0;
  #countHigh = 0;
  #startedAt = 0;
  /** The line each comparator drove last. */
  readonly #driven: (IrqLine | undefined)[] = [];

  constructor(parts: HpetParts) {
    this.#parts = parts;
    this.#comparators = Array.from(
      { length: HPET_TIMERS },
      (_, n) => new Comparator(parts.timers.create(() => this.#expired(n))),
    );
    for (let n = 0; n < 24; n++) if (HPET_ROUTES & (1 << n)) this.#inputs.set(n, parts.input(n));
  }

  /** One page; map with `maxWidth` 4. */
  read(offset: number, width: Width): number {
    const dword = this.#readRegister(offset & 0x3fc);
    const shifted = dword >>> ((offset & 3) * 8);
    return width === 4 ? shifted : width === 2 ? shifted & 0xffff : shifted & 0xff;
  }

  /** Only dwords are decoded (2.3.1). */
  write(offset: number, width: Width, value: number): void {
    if (width !== 4 || offset & 3) return;
    if (offset >= REG.timers) this.#writeTimer(offset, value);
    else if (offset === REG.config) this.#writeConfig(value);
    else if (offset === REG.status) this.#clearStatus(value);
    else if ((offset & ~4) === REG.counter) this.#writeCounter(offset & 4, value);
  }

  reset(): void {
    this.#setLegacy(false);
    this.#config = 0;
    this.#status = 0;
    this.#countLow = 0;
    this.#countHigh = 0;
    this.#startedAt = 0;
    this.#comparators.forEach((comparator, n) => {
      comparator.config = TIMER.capabilities;
      comparator.valueLow = 0xffff_ffff;
      comparator.valueHigh = 0xffff_ffff;
      comparator.periodLow = 0xffff_ffff;
      comparator.periodHigh = 0xffff_ffff;
      comparator.messageData = 0;
      comparator.messageAddress = 0;
      comparator.debt.clear();
      comparator.timer.disarm();
      this.#drive(n, false);
    });
  }

  save(): HpetState {
    return {
      config: this.#config,
      status: this.#status,
      count: [this.#countLow, this.#countHigh],
      startedAt: this.#startedAt,
      comparators: this.#comparators.map((c) => ({
        config: c.config,
        value: [c.valueLow, c.valueHigh],
        period: [c.periodLow, c.periodHigh],
        message: [c.messageData, c.messageAddress],
        debt: c.debt.save(),
        line: c.line,
      })),
    };
  }

  restore(state: HpetState): void {
    this.#setLegacy((state.config & CONFIG.legacy) !== 0);
    this.#config = state.config;
    this.#status = state.status;
    [this.#countLow, this.#countHigh] = state.count;
    this.#startedAt = state.startedAt;
    state.comparators.forEach((saved, n) => {
      const comparator = this.#comparators[n];
      if (!comparator) return;
      comparator.config = saved.config;
      [comparator.valueLow, comparator.valueHigh] = saved.value;
      [comparator.periodLow, comparator.periodHigh] = saved.period;
      [comparator.messageData, comparator.messageAddress] = saved.message;
      comparator.debt.restore(saved.debt);
      this.#drive(n, saved.line);
      this.#arm(n);
    });
  }

  get #running(): boolean {
    return (this.#config & CONFIG.enable) !== 0;
  }

  get #elapsed(): number {
    return this.#running ? Math.floor((this.#parts.timers.now() - this.#startedAt) / TICK_NS) : 0;
  }

  get #counterLow(): number {
    return (this.#countLow + (this.#elapsed % TWO_32)) % TWO_32;
  }

  get #counterHigh(): number {
    const elapsed = this.#elapsed;
    const carry = this.#countLow + (elapsed % TWO_32) >= TWO_32 ? 1 : 0;
    return (this.#countHigh + Math.floor(elapsed / TWO_32) + carry) % TWO_32;
  }

  #readRegister(offset: number): number {
    if (offset >= REG.timers) return this.#readTimer(offset);
    switch (offset) {
      case REG.capabilities:
        return HPET_ID;
      case REG.capabilities + 4:
        return PERIOD_FS;
      case REG.config:
        return this.#config;
      case REG.status:
        return this.#status;
      case REG.counter:
        return this.#counterLow;
      case REG.counter + 4:
        return this.#counterHigh;
      default:
        return 0;
    }
  }

  #readTimer(offset: number): number {
    const c = this.#comparators[(offset - REG.timers) >> 5];
    if (!c) return 0;
    switch (offset & 0x1c) {
      case 0x00:
        return c.config;
      case 0x04:
        return HPET_ROUTES;
      case 0x08:
        return c.valueLow;
      case 0x0c:
        return c.is32 ? 0 : c.valueHigh;
      case 0x10:
        return c.messageData;
      case 0x14:
        return c.messageAddress;
      default:
        return 0;
    }
  }

  #writeConfig(value: number): void {
    const starts = (value & CONFIG.enable) !== 0;
    if (starts && !this.#running) this.#startedAt = this.#parts.timers.now();
    else if (!starts && this.#running) {
      const [low, high] = [this.#counterLow, this.#counterHigh];
      this.#countLow = low;
      this.#countHigh = high;
    }
    this.#setLegacy((value & CONFIG.legacy) !== 0);
    this.#config = value & (CONFIG.enable | CONFIG.legacy);
    for (let n = 0; n < HPET_TIMERS; n++) this.#arm(n);
  }

  /** The lines of both sides are low while they change hands. */
  #setLegacy(on: boolean): void {
    if (on === ((this.#config & CONFIG.legacy) !== 0)) return;
    for (const n of [0, 1]) this.#drive(n, false);
    this.#config ^= CONFIG.legacy;
    this.#parts.onLegacyReplacement(on);
  }

  #clearStatus(value: number): void {
    const cleared = this.#status & value;
    this.#status &= ~value;
    for (let n = 0; n < HPET_TIMERS; n++) if (cleared & (1 << n)) this.#drive(n, false);
  }

  /** @param half 0 or 4 */
  #writeCounter(half: number, value: number): void {
    // The counter is to stand still while it is written (2.3.7); a running one goes on from there.
    const low = half === 0 ? value >>> 0 : this.#counterLow;
    const high = half === 0 ? this.#counterHigh : value >>> 0;
    this.#countLow = low;
    this.#countHigh = high;
    this.#startedAt = this.#parts.timers.now();
    for (let n = 0; n < HPET_TIMERS; n++) this.#arm(n);
  }

  #writeTimer(offset: number, value: number): void {
    const n = (offset - REG.timers) >> 5;
    const c = this.#comparators[n];
    if (!c) return;
    switch (offset & 0x1c) {
      case 0x00:
        this.#configure(n, c, value);
        break;
      case 0x08:
        this.#writeComparator(c, 0, value >>> 0);
        break;
      case 0x0c:
        if (!c.is32) this.#writeComparator(c, 4, value >>> 0);
        break;
      case 0x10:
        c.messageData = value >>> 0;
        break;
      case 0x14:
        c.messageAddress = value >>> 0;
        break;
    }
    this.#arm(n);
  }

  #configure(n: number, c: Comparator, value: number): void {
    const before = c.config;
    c.config = (value & TIMER.writable) | TIMER.capabilities;
    if (c.is32) {
      c.valueHigh = 0;
      c.periodHigh = 0;
    }
    const level = (c.config & TIMER.level) !== 0;
    // Only a level interrupt that still waits keeps its line, at its new place.
    if (before !== c.config) this.#drive(n, level && (this.#status & (1 << n)) !== 0);
  }

  /**
   * One-shot: the value. Periodic: the period; with VAL_SET the value too, and the bit clears (2.3.9.2.2).
   * @param half 0 or 4
   */
  #writeComparator(c: Comparator, half: number, value: number): void {
    const setsValue = !c.periodic || (c.config & TIMER.setValue) !== 0 || (half === 4 && c.highFollows);
    c.highFollows = half === 0 && setsValue;
    if (setsValue && half === 0) c.valueLow = value;
    else if (setsValue) c.valueHigh = value;
    if (c.periodic) {
      if (half === 0) c.periodLow = value;
      else c.periodHigh = value;
      c.debt.clear();
    }
    c.config &= ~TIMER.setValue;
  }

  /** Ticks until the counter equals the comparator: 1 and more, at most its modulus. */
  #ticksToMatch(c: Comparator): number {
    const low = c.valueLow - this.#counterLow;
    if (c.is32) return low > 0 ? low : low + TWO_32;
    const difference = (c.valueHigh - this.#counterHigh) * TWO_32 + low;
    return difference > 0 ? difference : difference + TWO_32 * TWO_32;
  }

  #arm(n: number): void {
    const c = this.#comparators[n];
    if (!c) return;
    if (!this.#running || !(c.config & TIMER.enable)) {
      c.timer.disarm();
      return;
    }
    const now = this.#parts.timers.now();
    const phase = (now - this.#startedAt) % TICK_NS;
    const match = now - phase + this.#ticksToMatch(c) * TICK_NS;
    const at = c.periodic ? c.debt.nextNs(match, c.period * TICK_NS) : match;
    if (at < Number.MAX_SAFE_INTEGER) c.timer.arm(guestNs(at), !c.periodic);
    else c.timer.disarm();
  }

  #expired(n: number): void {
    const c = this.#comparators[n];
    if (!c) return;
    if (!c.periodic || c.period === 0) this.#fire(n, c);
    else this.#expiredPeriodic(n, c);
    this.#arm(n);
  }

  #expiredPeriodic(n: number, c: Comparator): void {
    // Matches since the value was set: the timer may be late by several, or early because ticks are owed.
    const { period } = c;
    const past = c.is32
      ? (this.#counterLow - c.valueLow) | 0
      : (this.#counterHigh - c.valueHigh) * TWO_32 + (this.#counterLow - c.valueLow);
    const ticks = past < 0 ? 0 : Math.floor(past / period) + 1;
    c.advance(ticks * period);
    const waiting = n === 0 && (this.#config & CONFIG.legacy) !== 0 && this.#parts.tickWaiting();
    if (c.debt.take(ticks, period * TICK_NS, this.#parts.timers.now(), waiting)) this.#fire(n, c);
  }

  #fire(n: number, c: Comparator): void {
    if (c.config & TIMER.message) {
      this.#parts.messages.message(c.messageAddress, c.messageData);
    } else if (c.config & TIMER.level) {
      this.#status |= 1 << n;
      this.#drive(n, true);
    } else {
      // As the 8254's output: it falls just before it rises, so that the edge waits for the processor.
      this.#drive(n, false);
      this.#drive(n, true);
    }
  }

  #lineOf(n: number): IrqLine | undefined {
    if (this.#config & CONFIG.legacy && n === 0) return this.#parts.irq0;
    if (this.#config & CONFIG.legacy && n === 1) return this.#parts.irq8;
    return this.#inputs.get((this.#comparators[n].config >> TIMER.routeShift) & 0x1f);
  }

  #drive(n: number, level: boolean): void {
    const line = this.#lineOf(n);
    const before = this.#driven[n];
    if (before !== line) before?.set(false);
    this.#driven[n] = line;
    this.#comparators[n].line = level;
    line?.set(level);
  }
}
