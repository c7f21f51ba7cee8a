/**
 * I/O APIC 82093AA: 24 inputs, each with a redirection entry.
 * Source: Intel 82093AA data sheet (290566), sections 3.1 (memory registers) and 3.2 (internal registers).
 * Not modelled: the APIC bus with its arbitration (the ID registers keep what is written), polarity (an input is asserted
 * or not, whatever level that is on the wire), delivery status (messages arrive at once).
 *
 * A change to edge clears Remote IRR, as system software expects (Linux and Windows end a lost level interrupt so).
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';
import { type ApicBus, DELIVERY, type EoiListener } from './apic-bus.ts';

export const IO_APIC_PINS = 24;

export interface IoApicParts {
  readonly bus: ApicBus;
  /** 4 bits, as firmware's tables give it. */
  readonly id: number;
}

export interface IoApicState {
  readonly select: number;
  readonly id: number;
  /** Low and high half of each redirection entry. */
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** Levels of the inputs, bit n for input n. */
  readonly levels: number;
}

const REGISTER = { id: 0, version: 1, arbitration: 2, redirection: 0x10 } as const;
/** Offsets in memory. */
const MEMORY = { select: 0x00, window: 0x10 } as const;
const VERSION = 0x11 | ((IO_APIC_PINS - 1) << 16);
const ENTRY = {
  modeShift: 8,
  logical: 1 << 11,
  remoteIrr: 1 << 14,
  level: 1 << 15,
  masked: 1 << 16,
  writable: 0x1_afff,
  destinationShift: 24,
} as const;

export class IoApic implements EoiListener, Saveable<IoApicState> {
  /** One page, for `mapMmio` with `maxWidth` 4. */
  readonly registers: IoDevice;
  readonly #bus: ApicBus;
  readonly #initialId: number;
  readonly #low = new Uint32Array(IO_APIC_PINS).fill(ENTRY.masked);
  readonly #high = new Uint32Array(IO_APIC_PINS);
  readonly #lines: readonly IrqLine[];
  #select = 0;
  #id: number;
  #levels = 0;

  constructor(parts: IoApicParts) {
    this.#bus = parts.bus;
    this.#initialId = parts.id;
    this.#id = parts.id;
    this.#lines = Array.from({ length: IO_APIC_PINS }, (_, n) => ({
      set: (asserted: boolean): void => this.#setLevel(n, asserted),
    }));
    this.registers = {
      read: (offset, width) => {
        const value = this.#read(offset & ~3);
        const shifted = value >>> ((offset & 3) * 8);
        return width === 4 ? shifted : width === 2 ? shifted & 0xffff : shifted & 0xff;
      },
      write: (offset, width, value) => this.#write(offset, width, value),
    };
    parts.bus.addIoApic(this);
  }

  /** @param n input, 0..23 */
  pin(n: number): IrqLine {
    return this.#lines[n];
  }

  /** An interrupt of this input was sent and no processor has taken it yet: another edge would be lost. */
  isWaiting(n: number): boolean {
    const low = this.#low[n];
    if (low & ENTRY.masked) return false;
    return this.#bus.isRequested(low & 0xff, this.#high[n] >>> ENTRY.destinationShift, (low & ENTRY.logical) !== 0);
  }

  endOfInterrupt(vector: number): void {
    for (let n = 0; n < IO_APIC_PINS; n++) {
      if (!(this.#low[n] & ENTRY.remoteIrr) || (this.#low[n] & 0xff) !== vector) continue;
      this.#low[n] &= ~ENTRY.remoteIrr;
      this.#serviceLevel(n);
    }
  }

  /** RESET#. Inputs keep their levels. */
  reset(): void {
    this.#select = 0;
    this.#id = this.#initialId;
    this.#low.fill(ENTRY.masked);
    this.#high.fill(0);
  }

  save(): IoApicState {
    return {
      select: this.#select,
      id: this.#id,
      low: [...this.#low],
      high: [...this.#high],
      levels: this.#levels,
    };
  }

  restore(state: IoApicState): void {
    this.#select = state.select;
    this.#id = state.id;
    this.#low.set(state.low);
    this.#high.set(state.high);
    this.#levels = state.levels;
  }

  #read(offset: number): number {
    if (offset === MEMORY.select) return this.#select;
    if (offset !== MEMORY.window) return 0;
    const register = this.#select;
    switch (register) {
      case REGISTER.id:
      case REGISTER.arbitration:
        return this.#id << 24;
      case REGISTER.version:
        return VERSION;
      default: {
        const n = (register - REGISTER.redirection) >> 1;
        if (n < 0 || n >= IO_APIC_PINS) return 0;
        return register & 1 ? this.#high[n] : this.#low[n];
      }
    }
  }

  #write(offset: number, width: number, value: number): void {
    if (offset === MEMORY.select) this.#select = value & 0xff;
    else if (offset === MEMORY.window && width === 4) this.#writeWindow(value);
  }

  #writeWindow(value: number): void {
    const register = this.#select;
    if (register === REGISTER.id) {
      this.#id = (value >>> 24) & 0xf;
      return;
    }
    const n = (register - REGISTER.redirection) >> 1;
    if (n < 0 || n >= IO_APIC_PINS) return;
    if (register & 1) {
      this.#high[n] = (value & 0xff00_0000) >>> 0;
      return;
    }
    const keep = value & ENTRY.level ? this.#low[n] & ENTRY.remoteIrr : 0;
    this.#low[n] = (value & ENTRY.writable) | keep;
    this.#serviceLevel(n);
  }

  #setLevel(n: number, asserted: boolean): void {
    const bit = 1 << n;
    if (((this.#levels & bit) !== 0) === asserted) return;
    this.#levels ^= bit;
    if (!asserted) return;
    if (this.#low[n] & ENTRY.level) this.#serviceLevel(n);
    // An edge on a masked input is ignored, neither delivered nor held (3.2.4, bit 16).
    else if (!(this.#low[n] & ENTRY.masked)) this.#send(n);
  }

  #serviceLevel(n: number): void {
    const low = this.#low[n];
    if (!(low & ENTRY.level) || low & (ENTRY.masked | ENTRY.remoteIrr) || !(this.#levels & (1 << n))) return;
    const mode = (low >> ENTRY.modeShift) & 7;
    // Only fixed and lowest-priority interrupts are ended by a processor.
    if (mode === DELIVERY.fixed || mode === DELIVERY.lowestPriority) this.#low[n] |= ENTRY.remoteIrr;
    this.#send(n);
  }

  #send(n: number): void {
    const low = this.#low[n];
    this.#bus.sendFromDevice(
      (low >> ENTRY.modeShift) & 7,
      low & 0xff,
      (low & ENTRY.level) !== 0,
      this.#high[n] >>> ENTRY.destinationShift,
      (low & ENTRY.logical) !== 0,
    );
  }
}
