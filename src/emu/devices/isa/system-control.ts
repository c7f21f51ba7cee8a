/**
 * System control ports A (92h) and B (61h) of a PC, and the A20 gate they share with the keyboard controller.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "System control port A" and "B";
 * 82371AB (PIIX4) data sheet, section 4.2.6 (NMISC) and 4.2.7 (port 92h).
 * Not modelled: parity and IOCHK# errors (their enables are kept and no error is ever reported), the hard disk
 * activity light and the password lock of port 92h.
 */
import type { Clock } from '#base/clock.ts';
import type { IoDevice } from '../../bus/io-bus.ts';
import type { Saveable } from '../../bus/wires.ts';
import type { Pit8254 } from './pit8254.ts';
import type { Speaker } from './speaker.ts';

const B = { gate2: 1 << 0, speaker: 1 << 1, writable: 0x0f, refresh: 1 << 4, output2: 1 << 5 } as const;
const A = { fastInit: 1 << 0, fastA20: 1 << 1 } as const;

/** Counter 1 of the PIT asks for a refresh every 18 ticks, and the refresh bit toggles with it. */
const REFRESH_NS = (18 * 17_600) / 21;

export interface SystemControlParts {
  readonly clock: Clock;
  readonly pit: Pit8254;
  readonly speaker: Speaker;
  /** Address line 20 is let through (true) or held at 0. */
  readonly onA20: (enabled: boolean) => void;
  /** INIT pulse from bit 0 of port 92h. */
  readonly onReset: () => void;
}

export interface SystemControlState {
  portB: number;
  portA: number;
  keyboardA20: boolean;
}

export class SystemControl implements Saveable<SystemControlState> {
  /** Port 61h. */
  readonly portB: IoDevice;
  /** Port 92h. */
  readonly portA: IoDevice;
  readonly #parts: SystemControlParts;
  /** A20 is open at power-on: the reset vector lies at the top of memory. */
  #s: SystemControlState = { portB: 0, portA: A.fastA20, keyboardA20: false };
  #a20 = true;

  constructor(parts: SystemControlParts) {
    this.#parts = parts;
    this.portB = {
      read: (): number => this.#readB(),
      write: (_offset: number, _width: number, value: number): void => this.#writeB(value),
    };
    this.portA = {
      read: (): number => this.#s.portA,
      write: (_offset: number, _width: number, value: number): void => this.#writeA(value),
    };
  }

  /** True while address line 20 is let through. Either gate opens it. */
  get a20(): boolean {
    return this.#a20;
  }

  /** A20GATE of the keyboard controller. */
  setKeyboardA20(open: boolean): void {
    this.#s.keyboardA20 = open;
    this.#driveA20();
  }

  /** Port 92h and 61h as after RESET; the keyboard controller drives its own gate. */
  reset(): void {
    this.#s.portA = A.fastA20;
    this.#writeB(0);
    this.#driveA20();
  }

  save(): SystemControlState {
    return { ...this.#s };
  }

  restore(state: SystemControlState): void {
    this.#s = { ...state };
    this.#a20 = this.#gatesOpen;
    this.#parts.onA20(this.#a20);
    this.#parts.speaker.setEnabled((state.portB & B.speaker) !== 0);
  }

  #readB(): number {
    const refresh = Math.floor(this.#parts.clock.now() / REFRESH_NS) & 1 ? B.refresh : 0;
    return this.#s.portB | refresh | (this.#parts.pit.output2 ? B.output2 : 0);
  }

  #writeB(value: number): void {
    this.#s.portB = value & B.writable;
    this.#parts.pit.setGate2((value & B.gate2) !== 0);
    this.#parts.speaker.setEnabled((value & B.speaker) !== 0);
  }

  #writeA(value: number): void {
    const rises = (value & ~this.#s.portA & A.fastInit) !== 0;
    this.#s.portA = value & (A.fastInit | A.fastA20);
    this.#driveA20();
    if (rises) this.#parts.onReset();
  }

  get #gatesOpen(): boolean {
    return this.#s.keyboardA20 || (this.#s.portA & A.fastA20) !== 0;
  }

  #driveA20(): void {
    const open = this.#gatesOpen;
    if (open === this.#a20) return;
    this.#a20 = open;
    this.#parts.onA20(open);
  }
}
