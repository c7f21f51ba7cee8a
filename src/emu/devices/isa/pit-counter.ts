/**
 * One counter of an 8254, computed from the tick it is asked about instead of being counted down.
 * Source: Intel 8254 data sheet (231164), "Mode definitions" and "Operation common to all modes".
 * Not modelled: the undefined contents of a counter that was never loaded (read as 0); a count of 1 in modes 2 and 3,
 * which the data sheet calls illegal, gives a period of one tick.
 *
 * Ticks are CLK pulses since power-on. A count written in tick t is loaded by the CLK pulse t + 1.
 */

/** The guest-visible state of one counter; plain data. */
export interface PitCounterState {
  mode: number;
  bcd: boolean;
  /** Control word RW field: 1 low byte, 2 high byte, 3 low then high. */
  access: number;
  /** Level of the GATE input. */
  gate: boolean;
  /** Count register, 1..65536 (1..10000 in BCD); 0 before the first count after a control word. */
  count: number;
  /** Count that replaces `count` at tick `switchAt` (modes 1, 2, 3, 5), 0 when none. */
  nextCount: number;
  /** Tick at which `nextCount` takes over (modes 2 and 3; modes 1 and 5 wait for a trigger). */
  switchAt: number;
  /** Tick of the CLK pulse that loaded the counting element; -1 when it does not count. */
  loadedAt: number;
  /** Ticks counted before GATE stopped a mode 0 or 4 count, -1 while it runs. */
  heldAfter: number;
  /** What the counting element shows while it does not count. */
  stoppedValue: number;
  /** Latched count, -1 when none. */
  latchedCount: number;
  /** Latched status byte, -1 when none. */
  latchedStatus: number;
  /** The next read or write of a two-byte count is the high byte. */
  readHigh: boolean;
  writeHigh: boolean;
  /** First byte of a two-byte count. */
  writeLow: number;
}

const powerOn = (gate: boolean): PitCounterState => ({
  mode: 0,
  bcd: false,
  access: 3,
  gate,
  count: 0,
  nextCount: 0,
  switchAt: 0,
  loadedAt: -1,
  heldAfter: -1,
  stoppedValue: 0,
  latchedCount: -1,
  latchedStatus: -1,
  readHigh: false,
  writeHigh: false,
  writeLow: 0,
});

const ACCESS = { low: 1, high: 2, both: 3 } as const;
const NEVER = Number.POSITIVE_INFINITY;

export class PitCounter {
  state: PitCounterState;

  constructor(gate: boolean) {
    this.state = powerOn(gate);
  }

  reset(): void {
    this.state = powerOn(this.state.gate);
  }

  /** Modes 2 and 3 repeat; 6 and 7 are their aliases and never stored. */
  get periodic(): boolean {
    return this.state.mode === 2 || this.state.mode === 3;
  }

  /** Ticks between two rising edges of OUT when it oscillates, else 0. */
  get period(): number {
    const s = this.state;
    return this.periodic && s.loadedAt >= 0 ? s.count : 0;
  }

  /** The period once a count that waits for the end of the cycle has taken over. */
  get comingPeriod(): number {
    return this.period > 0 && this.state.nextCount > 0 ? this.state.nextCount : this.period;
  }

  control(word: number, tick: number): void {
    const s = powerOn(this.state.gate);
    s.stoppedValue = this.#element(tick);
    s.access = (word >> 4) & 3;
    const mode = (word >> 1) & 7;
    s.mode = mode > 5 ? mode & 3 : mode;
    s.bcd = (word & 1) !== 0;
    this.state = s;
  }

  /** A byte of the count. @returns true when the count is complete */
  writeCount(byte: number, tick: number): boolean {
    const s = this.state;
    this.advance(tick);
    if (s.access === ACCESS.both && !s.writeHigh) {
      s.writeLow = byte;
      s.writeHigh = true;
      // Mode 0: the first byte stops the count and drops OUT at once.
      if (s.mode === 0) this.#stop(tick);
      return false;
    }
    const raw = s.access === ACCESS.low ? byte : (byte << 8) | (s.access === ACCESS.both ? s.writeLow : 0);
    s.writeHigh = false;
    this.#setCount(this.#decode(raw), tick);
    return true;
  }

  setGate(gate: boolean, tick: number): void {
    const s = this.state;
    this.advance(tick);
    if (gate === s.gate) return;
    s.gate = gate;
    switch (s.mode) {
      case 0:
      case 4:
        this.#pause(!gate, tick);
        break;
      case 2:
      case 3:
        if (!gate) this.#stop(tick);
        else if (s.count > 0) this.#load(tick + 1);
        break;
      default:
        if (gate && s.count > 0) this.#trigger(tick + 1);
    }
  }

  /** Level of OUT in tick `tick`. */
  out(tick: number): boolean {
    this.advance(tick);
    const s = this.state;
    if (s.loadedAt < 0 || tick < s.loadedAt) return s.mode !== 0;
    const elapsed = s.heldAfter >= 0 ? s.heldAfter : tick - s.loadedAt;
    switch (s.mode) {
      case 0:
      case 1:
        return elapsed >= s.count;
      case 2:
        return elapsed % s.count !== s.count - 1 || s.count === 1;
      case 3:
        return elapsed % s.count < Math.ceil(s.count / 2);
      default:
        return elapsed !== s.count;
    }
  }

  /** First tick after `tick` in which OUT has risen, or Infinity. */
  nextRise(tick: number): number {
    this.advance(tick);
    const s = this.state;
    if (s.loadedAt < 0 || s.heldAfter >= 0) return NEVER;
    const elapsed = tick - s.loadedAt;
    switch (s.mode) {
      case 0:
      case 1:
        return elapsed < s.count ? s.loadedAt + s.count : NEVER;
      case 2:
      case 3: {
        const rise = s.loadedAt + (Math.max(0, Math.floor(elapsed / s.count)) + 1) * s.count;
        // A count that takes over at a half cycle moves the edge after it.
        if (s.nextCount > 0 && s.switchAt < rise) return s.switchAt + Math.floor(s.nextCount / 2);
        return rise;
      }
      default:
        return elapsed <= s.count ? s.loadedAt + s.count + 1 : NEVER;
    }
  }

  latchCount(tick: number): void {
    const s = this.state;
    if (s.latchedCount >= 0) return;
    s.latchedCount = this.#element(tick);
    s.readHigh = false;
  }

  latchStatus(tick: number): void {
    const s = this.state;
    if (s.latchedStatus >= 0) return;
    const out = this.out(tick) ? 0x80 : 0;
    // NULL COUNT: the count register has not reached the counting element.
    const unloaded = s.count === 0 || (s.loadedAt < 0 && !this.periodic);
    const nullCount = unloaded || s.nextCount > 0 || tick < s.loadedAt ? 0x40 : 0;
    s.latchedStatus = out | nullCount | (s.access << 4) | (s.mode << 1) | (s.bcd ? 1 : 0);
  }

  read(tick: number): number {
    const s = this.state;
    if (s.latchedStatus >= 0) {
      const status = s.latchedStatus;
      s.latchedStatus = -1;
      return status;
    }
    const value = s.latchedCount >= 0 ? s.latchedCount : this.#element(tick);
    const high = s.access === ACCESS.high || (s.access === ACCESS.both && s.readHigh);
    if (s.access === ACCESS.both) s.readHigh = !s.readHigh;
    if (s.access !== ACCESS.both || high) s.latchedCount = -1;
    return high ? (value >> 8) & 0xff : value & 0xff;
  }

  /** Lets a waiting count take over if its tick has come. */
  advance(tick: number): void {
    const s = this.state;
    if (s.nextCount === 0 || !this.periodic || tick < s.switchAt) return;
    const midCycle = s.mode === 3 && (s.switchAt - s.loadedAt) % s.count !== 0;
    s.count = s.nextCount;
    s.nextCount = 0;
    // A takeover in the middle of a mode 3 cycle begins the low half of the new one.
    s.loadedAt = s.switchAt - (midCycle ? Math.ceil(s.count / 2) : 0);
  }

  #setCount(count: number, tick: number): void {
    const s = this.state;
    const first = s.count === 0;
    switch (s.mode) {
      case 0:
      case 4:
        s.count = count;
        this.#load(tick + 1);
        if (!s.gate) s.heldAfter = 0;
        break;
      case 2:
      case 3:
        if (first || s.loadedAt < 0 || tick < s.loadedAt) {
          s.count = count;
          if (s.gate) this.#load(tick + 1);
        } else {
          s.nextCount = count;
          s.switchAt = this.#cycleEnd(tick);
        }
        break;
      default:
        // Modes 1 and 5 wait for the next trigger; a one-shot under way keeps its count.
        if (s.loadedAt < 0) s.count = count;
        else s.nextCount = count;
    }
  }

  /** End of the current cycle (mode 2) or half cycle (mode 3). */
  #cycleEnd(tick: number): number {
    const s = this.state;
    const phase = (tick - s.loadedAt) % s.count;
    const start = tick - phase;
    const half = Math.ceil(s.count / 2);
    return s.mode === 3 && phase < half && s.count > 1 ? start + half : start + s.count;
  }

  #load(at: number): void {
    const s = this.state;
    s.loadedAt = at;
    s.heldAfter = -1;
    s.nextCount = 0;
  }

  #trigger(at: number): void {
    const s = this.state;
    if (s.nextCount > 0) s.count = s.nextCount;
    this.#load(at);
  }

  #stop(tick: number): void {
    const s = this.state;
    s.stoppedValue = this.#element(tick);
    if (s.nextCount > 0) s.count = s.nextCount;
    s.nextCount = 0;
    s.loadedAt = -1;
    s.heldAfter = -1;
  }

  #pause(hold: boolean, tick: number): void {
    const s = this.state;
    if (s.loadedAt < 0) return;
    if (hold) s.heldAfter = Math.max(0, tick - s.loadedAt);
    else {
      s.loadedAt = Math.max(tick - s.heldAfter, tick < s.loadedAt ? s.loadedAt : 0);
      s.heldAfter = -1;
    }
  }

  /** The counting element as the CPU reads it: 16 bits, binary or four BCD digits. */
  #element(tick: number): number {
    this.advance(tick);
    const s = this.state;
    if (s.loadedAt < 0 || tick < s.loadedAt) return s.stoppedValue;
    const elapsed = s.heldAfter >= 0 ? s.heldAfter : tick - s.loadedAt;
    const modulus = s.bcd ? 10_000 : 0x1_0000;
    let value: number;
    if (s.mode === 2) value = s.count - (elapsed % s.count);
    else if (s.mode === 3) value = this.#squareWaveElement(elapsed % s.count);
    else value = (s.count - (elapsed % modulus) + modulus) % modulus;
    return this.#encode(value % modulus);
  }

  /** Mode 3 counts by two, twice a cycle; an odd count is loaded less one and stays a tick longer in the high half. */
  #squareWaveElement(phase: number): number {
    const { count } = this.state;
    const high = Math.ceil(count / 2);
    const even = count - (count & 1);
    return phase < high ? even - 2 * phase : even - 2 * (phase - high);
  }

  #decode(raw: number): number {
    if (!this.state.bcd) return raw === 0 ? 0x1_0000 : raw;
    const value = (raw >> 12) * 1000 + ((raw >> 8) & 15) * 100 + ((raw >> 4) & 15) * 10 + (raw & 15);
    return value === 0 ? 10_000 : value;
  }

  #encode(value: number): number {
    if (!this.state.bcd) return value;
    const digit = (unit: number): number => Math.floor(value / unit) % 10;
    return (digit(1000) << 12) | (digit(100) << 8) | (digit(10) << 4) | digit(1);
  }
}
