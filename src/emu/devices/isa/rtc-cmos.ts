/**
 * MC146818A real-time clock with 128 bytes of CMOS RAM.
 * Source: Motorola MC146818A data sheet, "Registers", "Interrupts", "Update cycle"; the NMI mask in bit 7 of port 70h is
 * from the IBM PC/AT Technical Reference; the century byte from the ACPI FADT convention (32h).
 * Not modelled: square-wave output, daylight saving, the second bank behind ports 72h and 73h, loss of battery.
 *
 * The clock is guest time plus an offset: a guest that sets the clock moves the offset. The registers are computed when
 * they are read. While the clock is halted (SET, or the divider is held in reset) they live in the RAM bytes.
 *
 * Late periodic ticks. A period that ends while PF is still set is owed, up to `BACKLOG_NS` worth. Once the guest has
 * read register C, an owed tick follows half a period later, so a guest that keeps time by IRQ 8 catches up.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice } from '../../bus/io-bus.ts';
import type { IrqLine, Saveable } from '../../bus/wires.ts';
import { nextAlarm, RTC_TIME, type RtcFormat, readTime, weekdayShiftOf, writeTime } from './rtc-time.ts';

export const CMOS_BYTES = 128;

const REG = { a: 0x0a, b: 0x0b, c: 0x0c, d: 0x0d } as const;
const A = { rate: 0x0f, divider: 0x70, dividerReset: 0x60, updateInProgress: 0x80 } as const;
const B = { hours24: 0x02, binary: 0x04, sqwe: 0x08, uie: 0x10, aie: 0x20, pie: 0x40, set: 0x80 } as const;
const C = { uf: 0x10, af: 0x20, pf: 0x40, irqf: 0x80 } as const;
const D_VALID_RAM = 0x80;
const INDEX = 0x7f;
const NMI_MASK = 0x80;

const NS_PER_SECOND = 1e9;
/** 32.768 kHz: 244 us of warning, then 1984 us of update cycle, at whose end the registers change. */
const UIP_NS = 244_000 + 1_984_000;
const TIME_BASE_HZ = 32_768;
const BACKLOG_NS = 2e9;
/** After the divider leaves reset, the first update is half a second away. */
const AFTER_RESET_NS = NS_PER_SECOND / 2;

export interface RtcCmosParts {
  readonly timers: Timers;
  /** IRQ 8, asserted until register C is read. */
  readonly irq8: IrqLine;
  /** What the clock shows at guest time 0, as Unix ms. For a clock in local time, add the zone's offset. */
  readonly startUnixMs: number;
  /** Contents at power-on, 128 bytes; registers A and B are taken from it, time registers are not. See `cmosForPc`. */
  readonly cmos: Uint8Array;
  /** Bit 7 of port 70h changed: true while NMI is masked. */
  readonly onNmiMask?: (masked: boolean) => void;
}

/** Plain data; times are guest nanoseconds, so it is valid with the guest time it was saved at. */
export interface RtcCmosState {
  ram: Uint8Array;
  index: number;
  nmiMasked: boolean;
  /** What the guest has set the clock ahead of `startUnixMs` plus guest time, in ns. */
  offsetNs: number;
  weekdayShift: number;
  flags: number;
  /** Last second of the clock whose update and alarm were looked at. */
  seenSecond: number;
  /** Guest time of the last period end that was looked at; periods are counted from it. */
  seenPeriodNs: number;
  owed: number;
  /** Guest time of the next owed tick, -1 when none is scheduled. */
  catchUpNs: number;
}

/** Ports 70h (index) and 71h (data). */
export class RtcCmos implements IoDevice, Saveable<RtcCmosState> {
  readonly #timers: Timers;
  readonly #irq8: IrqLine;
  /** What the clock shows at guest time 0: Unix seconds and the rest of the second in ns. */
  readonly #startSecond: number;
  readonly #startFractionNs: number;
  readonly #onNmiMask: (masked: boolean) => void;
  readonly #updateTimer: Timer;
  readonly #periodTimer: Timer;
  #s: RtcCmosState;

  constructor(parts: RtcCmosParts) {
    this.#timers = parts.timers;
    this.#irq8 = parts.irq8;
    this.#startSecond = Math.floor(parts.startUnixMs / 1000);
    this.#startFractionNs = Math.floor(parts.startUnixMs - this.#startSecond * 1000) * 1e6;
    this.#onNmiMask = parts.onNmiMask ?? ((): void => {});
    this.#updateTimer = parts.timers.create(() => this.#catchUp());
    this.#periodTimer = parts.timers.create(() => this.#catchUp());
    const ram = new Uint8Array(CMOS_BYTES);
    ram.set(parts.cmos.subarray(0, CMOS_BYTES));
    ram[REG.d] = D_VALID_RAM;
    ram[REG.c] = 0;
    this.#s = {
      ram,
      index: 0,
      nmiMasked: false,
      offsetNs: 0,
      weekdayShift: 0,
      flags: 0,
      seenSecond: 0,
      seenPeriodNs: 0,
      owed: 0,
      catchUpNs: -1,
    };
    this.#s.seenSecond = this.#second();
    if (this.#halted) this.#freeze();
  }

  read(offset: number): number {
    // The index port is write-only and floats.
    return offset === 0 ? 0xff : this.#readRegister(this.#s.index);
  }

  write(offset: number, _width: number, value: number): void {
    if (offset === 0) this.#writeIndex(value);
    else this.#writeRegister(this.#s.index, value);
  }

  /** A byte of CMOS as the guest reads it, without side effects on register C. */
  peek(register: number): number {
    return register === REG.c ? this.#s.flags : this.#readRegister(register & INDEX);
  }

  /** The contents to keep with the machine's settings, 128 bytes. */
  get contents(): Uint8Array {
    const bytes = this.#s.ram.slice();
    bytes[REG.c] = 0;
    return bytes;
  }

  /** The RESET pin: interrupts are disabled and forgotten, clock and RAM go on. */
  reset(): void {
    const s = this.#s;
    this.#catchUp();
    s.ram[REG.b] &= ~(B.pie | B.aie | B.uie | B.sqwe);
    s.flags = 0;
    s.owed = 0;
    s.catchUpNs = -1;
    s.index = 0;
    this.#setNmiMask(false);
    this.#drive();
    this.#arm();
  }

  save(): RtcCmosState {
    return { ...this.#s, ram: this.#s.ram.slice() };
  }

  restore(state: RtcCmosState): void {
    this.#s = { ...state, ram: state.ram.slice() };
    this.#onNmiMask(this.#s.nmiMasked);
    this.#drive();
    this.#arm();
  }

  get #format(): RtcFormat {
    const b = this.#s.ram[REG.b];
    return { binary: (b & B.binary) !== 0, hours24: (b & B.hours24) !== 0 };
  }

  get #halted(): boolean {
    const { ram } = this.#s;
    return (ram[REG.b] & B.set) !== 0 || this.#dividerInReset;
  }

  get #dividerInReset(): boolean {
    return (this.#s.ram[REG.a] & A.dividerReset) === A.dividerReset;
  }

  /** The clock's reading in Unix seconds. */
  #second(): number {
    return this.#startSecond + Math.floor(this.#fromStart() / NS_PER_SECOND);
  }

  /** Nanoseconds since the last update of the clock. */
  #sinceUpdate(): number {
    const ns = this.#fromStart();
    return ns - Math.floor(ns / NS_PER_SECOND) * NS_PER_SECOND;
  }

  /** Nanoseconds on the clock since `#startSecond`. */
  #fromStart(): number {
    return this.#timers.now() + this.#s.offsetNs + this.#startFractionNs;
  }

  #readRegister(register: number): number {
    const s = this.#s;
    switch (register) {
      case REG.a: {
        const inProgress = !this.#halted && this.#sinceUpdate() >= NS_PER_SECOND - UIP_NS;
        return s.ram[REG.a] | (inProgress ? A.updateInProgress : 0);
      }
      case REG.c:
        return this.#takeFlags();
      case RTC_TIME.second:
      case RTC_TIME.minute:
      case RTC_TIME.hour:
      case RTC_TIME.weekday:
      case RTC_TIME.day:
      case RTC_TIME.month:
      case RTC_TIME.year:
      case RTC_TIME.century:
        if (!this.#halted) this.#freeze();
    }
    return s.ram[register];
  }

  #writeIndex(value: number): void {
    this.#s.index = value & INDEX;
    this.#setNmiMask((value & NMI_MASK) !== 0);
  }

  #setNmiMask(masked: boolean): void {
    if (masked === this.#s.nmiMasked) return;
    this.#s.nmiMasked = masked;
    this.#onNmiMask(masked);
  }

  #writeRegister(register: number, value: number): void {
    const s = this.#s;
    switch (register) {
      case REG.a:
        this.#writeA(value);
        break;
      case REG.b:
        this.#writeB(value);
        break;
      case REG.c:
      case REG.d:
        break; // Read-only.
      case RTC_TIME.second:
      case RTC_TIME.minute:
      case RTC_TIME.hour:
      case RTC_TIME.weekday:
      case RTC_TIME.day:
      case RTC_TIME.month:
      case RTC_TIME.year:
      case RTC_TIME.century:
        this.#writeTimeRegister(register, value);
        break;
      case RTC_TIME.secondAlarm:
      case RTC_TIME.minuteAlarm:
      case RTC_TIME.hourAlarm:
        this.#catchUp();
        s.ram[register] = value;
        this.#arm();
        break;
      default:
        s.ram[register] = value;
    }
  }

  #writeTimeRegister(register: number, value: number): void {
    this.#catchUp();
    const { ram } = this.#s;
    const running = !this.#halted;
    if (running) this.#freeze();
    ram[register] = value;
    if (running) this.#thaw(this.#sinceUpdate());
  }

  #writeA(value: number): void {
    const s = this.#s;
    this.#catchUp();
    const wasHalted = this.#halted;
    const wasInReset = this.#dividerInReset;
    const rateChanged = ((s.ram[REG.a] ^ value) & A.rate) !== 0;
    if (!wasHalted) this.#freeze();
    s.ram[REG.a] = value & ~A.updateInProgress;
    if (rateChanged || wasInReset) this.#restartPeriods();
    // A divider that leaves reset has lost the fraction of the second.
    if (wasInReset && !this.#halted) this.#thaw(AFTER_RESET_NS);
    this.#arm();
  }

  #writeB(value: number): void {
    const s = this.#s;
    this.#catchUp();
    const wasHalted = this.#halted;
    const fraction = this.#sinceUpdate();
    if (!wasHalted) this.#freeze();
    const pieChanged = ((s.ram[REG.b] ^ value) & B.pie) !== 0;
    // SET also clears UIE.
    s.ram[REG.b] = value & B.set ? value & ~B.uie : value;
    if (wasHalted && !this.#halted) this.#thaw(fraction);
    if (pieChanged) this.#forgetPeriods();
    this.#drive();
    this.#arm();
  }

  /** Puts the current time into the registers. */
  #freeze(): void {
    const s = this.#s;
    writeTime(s.ram, this.#second() * 1000, this.#format, s.weekdayShift);
  }

  /** Lets the clock go on from the registers, `fractionNs` into their second. */
  #thaw(fractionNs: number): void {
    const s = this.#s;
    const unixMs = readTime(s.ram, this.#format);
    const target = (unixMs / 1000 - this.#startSecond) * NS_PER_SECOND + fractionNs;
    s.offsetNs += target - this.#fromStart();
    s.weekdayShift = weekdayShiftOf(s.ram, unixMs, this.#format);
    s.seenSecond = this.#second();
    this.#arm();
  }

  /** Length of a periodic interrupt's period in ns, 0 when off. */
  get #periodNs(): number {
    const rate = this.#s.ram[REG.a] & A.rate;
    if (rate === 0 || this.#dividerInReset) return 0;
    // Rates 1 and 2 repeat 8 and 9 with a 32.768 kHz time base.
    const halvings = rate <= 2 ? rate + 6 : rate - 1;
    return (2 ** halvings * NS_PER_SECOND) / TIME_BASE_HZ;
  }

  #restartPeriods(): void {
    this.#s.seenPeriodNs = this.#timers.now();
    this.#forgetPeriods();
  }

  #forgetPeriods(): void {
    this.#s.owed = 0;
    this.#s.catchUpNs = -1;
  }

  /** Sets the flags of everything that has happened up to now. */
  #catchUp(): void {
    this.#countPeriods();
    this.#countSeconds();
    this.#drive();
    this.#arm();
  }

  #countPeriods(): void {
    const s = this.#s;
    const now = this.#timers.now();
    if (s.catchUpNs >= 0 && now >= s.catchUpNs) {
      s.catchUpNs = -1;
      if ((s.flags & C.pf) === 0) s.owed--;
      s.flags |= C.pf;
    }
    const period = this.#periodNs;
    if (period === 0) return;
    const ended = Math.floor((now - s.seenPeriodNs) / period);
    if (ended <= 0) return;
    s.seenPeriodNs += ended * period;
    const late = s.flags & C.pf ? ended : ended - 1;
    s.flags |= C.pf;
    if (s.ram[REG.b] & B.pie) s.owed = Math.min(s.owed + late, Math.floor(BACKLOG_NS / period));
  }

  #countSeconds(): void {
    const s = this.#s;
    if (this.#halted) return;
    const second = this.#second();
    if (second <= s.seenSecond) return;
    s.flags |= C.uf;
    if (nextAlarm(s.ram, s.seenSecond, this.#format) <= second) s.flags |= C.af;
    s.seenSecond = second;
  }

  #takeFlags(): number {
    const s = this.#s;
    this.#catchUp();
    const flags = s.flags;
    s.flags = 0;
    if (flags & C.pf && s.owed > 0) s.catchUpNs = this.#timers.now() + this.#periodNs / 2;
    this.#drive();
    this.#arm();
    return flags;
  }

  /** IRQF is the OR of the enabled flags; the flag bits and their enables share positions. */
  #drive(): void {
    const s = this.#s;
    const asserted = (s.flags & s.ram[REG.b] & (C.pf | C.af | C.uf)) !== 0;
    s.flags = asserted ? s.flags | C.irqf : s.flags & ~C.irqf;
    this.#irq8.set(asserted);
  }

  /** Timers run only for interrupts that are enabled and not yet flagged. */
  #arm(): void {
    const s = this.#s;
    const b = s.ram[REG.b];
    const now = this.#timers.now();
    const period = this.#periodNs;
    // With PF set the next end is still counted, so that a late guest is owed its ticks when it reads register C.
    if (b & B.pie && period > 0 && (s.flags & C.pf) === 0) {
      const end = s.seenPeriodNs + period;
      this.#periodTimer.arm(guestNs(Math.ceil(s.catchUpNs >= 0 ? Math.min(end, s.catchUpNs) : end)));
    } else this.#periodTimer.disarm();

    const update = b & B.uie && (s.flags & C.uf) === 0 ? 1 : Number.POSITIVE_INFINITY;
    const alarm =
      b & B.aie && (s.flags & C.af) === 0
        ? nextAlarm(s.ram, s.seenSecond, this.#format) - s.seenSecond
        : Number.POSITIVE_INFINITY;
    const seconds = Math.min(update, alarm);
    if (this.#halted || !Number.isFinite(seconds)) {
      this.#updateTimer.disarm();
      return;
    }
    const elapsed = (this.#second() - s.seenSecond) * NS_PER_SECOND + this.#sinceUpdate();
    this.#updateTimer.arm(guestNs(Math.ceil(now + seconds * NS_PER_SECOND - elapsed)));
  }
}
