/**
 * The gigabit PHY of the family, a Marvell 88E1000 or 88E1011, and its link partner: a switch that can do everything.
 * Source: IEEE 802.3 clauses 22, 28 and 40 (registers 0 to 15); 8254x SDM, section 13.4 (PHY registers).
 * Not modelled: the PHY's own interrupt line, cable diagnosis, pages of registers 29 and 30 (they hold what is written).
 */
import type { Timer, Timers } from '#base/clock.ts';
import { type GuestNs, guestNs } from '#base/units.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import type { MiiRegisters } from '../mii-pins.ts';

const PHY = {
  control: 0,
  status: 1,
  id1: 2,
  id2: 3,
  advertisement: 4,
  partner: 5,
  expansion: 6,
  nextPage: 7,
  gigabitControl: 9,
  gigabitStatus: 10,
  extendedStatus: 15,
  specificControl: 16,
  specificStatus: 17,
  interruptStatus: 19,
  extendedControl: 20,
} as const;

const CONTROL = {
  reset: 0x8000,
  loopback: 0x4000,
  speedLow: 0x2000,
  autoNegotiation: 0x1000,
  powerDown: 0x0800,
  restart: 0x0200,
  duplex: 0x0100,
  speedHigh: 0x0040,
} as const;
const CONTROL_WRITABLE = 0x7dc0;
const STATUS_FIXED = 0x7949;
const STATUS_LINK = 0x0004;
const STATUS_NEGOTIATED = 0x0020;
const GIGABIT_FULL = 0x0200;
const ID1 = 0x0141;
/** Acknowledge, next page, every mode of 10 and 100 Mbit/s. */
const PARTNER_ABILITY = 0xc1e1;
/** Both receivers are fine and the partner does gigabit, full and half duplex. */
const GIGABIT_PARTNER = 0x3c00;
/** IEEE 802.3 takes about a second; long enough here for a driver to have finished setting up. */
const NEGOTIATION_NS = 5_000_000;

const INITIAL: readonly (readonly [register: number, value: number])[] = [
  [PHY.control, CONTROL.autoNegotiation | CONTROL.duplex | CONTROL.speedHigh],
  [PHY.advertisement, 0x01e1],
  [PHY.nextPage, 0x2001],
  [PHY.gigabitControl, 0x0300],
  [PHY.specificControl, 0x0068],
  [PHY.extendedControl, 0x0d60],
];
/** Registers that hold what is written. */
const PLAIN: readonly number[] = [
  PHY.advertisement,
  PHY.nextPage,
  PHY.gigabitControl,
  PHY.specificControl,
  18,
  PHY.extendedControl,
  ...[22, 24, 25, 29, 30],
];

export interface M88PhyParts {
  readonly timers: Timers;
  readonly id2: number;
  readonly cableUp: () => boolean;
  /** `linkUp` or the speed may have changed. */
  readonly onChange: () => void;
}

export interface M88PhyState {
  readonly registers: Uint16Array;
  readonly negotiated: boolean;
  readonly negotiationEnds: number | undefined;
}

export class M88Phy implements MiiRegisters, Saveable<M88PhyState> {
  readonly #parts: M88PhyParts;
  readonly #registers: Uint16Array = new Uint16Array(32);
  readonly #timer: Timer;
  #negotiated = false;
  #negotiationEnds: GuestNs | undefined;

  constructor(parts: M88PhyParts) {
    this.#parts = parts;
    this.#timer = parts.timers.create(() => this.#finishNegotiation());
    this.#setInitial();
  }

  get linkUp(): boolean {
    const control = this.#registers[PHY.control];
    if ((control & CONTROL.powerDown) !== 0 || !this.#parts.cableUp()) return false;
    return (control & CONTROL.autoNegotiation) === 0 || this.#negotiated;
  }

  get loopback(): boolean {
    return (this.#registers[PHY.control] & CONTROL.loopback) !== 0;
  }

  /** 0: 10, 1: 100, 2: 1000 Mbit/s. */
  get speed(): number {
    const control = this.#registers[PHY.control];
    if ((control & CONTROL.autoNegotiation) === 0) {
      return ((control & CONTROL.speedHigh) !== 0 ? 2 : 0) | ((control & CONTROL.speedLow) !== 0 ? 1 : 0);
    }
    if ((this.#registers[PHY.gigabitControl] & 0x0300) !== 0) return 2;
    return (this.#registers[PHY.advertisement] & 0x0180) !== 0 ? 1 : 0;
  }

  get fullDuplex(): boolean {
    const control = this.#registers[PHY.control];
    if ((control & CONTROL.autoNegotiation) === 0) return (control & CONTROL.duplex) !== 0;
    if (this.speed === 2) return (this.#registers[PHY.gigabitControl] & GIGABIT_FULL) !== 0;
    return (this.#registers[PHY.advertisement] & (this.speed === 1 ? 0x0100 : 0x0040)) !== 0;
  }

  /** The cable was plugged in or out. */
  cableChanged(): void {
    this.#negotiated = false;
    this.#startNegotiation();
    this.#parts.onChange();
  }

  /** The PHY's reset pin. */
  reset(): void {
    this.#setInitial();
    this.#startNegotiation();
    this.#parts.onChange();
  }

  read(register: number): number {
    const linkUp = this.linkUp;
    switch (register) {
      case PHY.status:
        return STATUS_FIXED | (linkUp ? STATUS_LINK : 0) | (this.#negotiated ? STATUS_NEGOTIATED : 0);
      case PHY.id1:
        return ID1;
      case PHY.id2:
        return this.#parts.id2;
      case PHY.partner:
        return this.#negotiated ? PARTNER_ABILITY : 0;
      case PHY.expansion:
        return this.#negotiated ? 0x000f : 0x0004;
      case PHY.gigabitStatus:
        return this.#negotiated && linkUp ? GIGABIT_PARTNER : 0;
      case PHY.extendedStatus:
        return 0x3000;
      case PHY.specificStatus:
        return linkUp ? (this.speed << 14) | (this.fullDuplex ? 0x2000 : 0) | 0x0c80 : 0;
      default:
        return this.#registers[register];
    }
  }

  write(register: number, value: number): void {
    if (register === PHY.control) this.#writeControl(value);
    else if (PLAIN.includes(register)) this.#registers[register] = value;
  }

  save(): M88PhyState {
    return {
      registers: this.#registers.slice(),
      negotiated: this.#negotiated,
      negotiationEnds: this.#negotiationEnds,
    };
  }

  restore(state: M88PhyState): void {
    this.#registers.set(state.registers);
    this.#negotiated = state.negotiated;
    this.#timer.disarm();
    this.#negotiationEnds = undefined;
    if (state.negotiationEnds !== undefined) this.#arm(guestNs(state.negotiationEnds));
  }

  #writeControl(value: number): void {
    if ((value & CONTROL.reset) !== 0) {
      const held = this.#registers[PHY.specificControl];
      this.#registers[PHY.control] = value & CONTROL_WRITABLE;
      this.#registers[PHY.specificControl] = held;
      this.#negotiated = false;
      this.#startNegotiation();
    } else {
      const before = this.#registers[PHY.control];
      this.#registers[PHY.control] = value & CONTROL_WRITABLE;
      const switchedOn = ~before & value & CONTROL.autoNegotiation;
      if ((value & CONTROL.restart) !== 0 || switchedOn !== 0) {
        this.#negotiated = false;
        this.#startNegotiation();
      }
    }
    this.#parts.onChange();
  }

  #setInitial(): void {
    this.#registers.fill(0);
    for (const [register, value] of INITIAL) this.#registers[register] = value;
    this.#negotiated = false;
  }

  #startNegotiation(): void {
    this.#timer.disarm();
    this.#negotiationEnds = undefined;
    const wanted = (this.#registers[PHY.control] & CONTROL.autoNegotiation) !== 0;
    if (wanted && this.#parts.cableUp()) this.#arm(guestNs(this.#parts.timers.now() + NEGOTIATION_NS));
  }

  #arm(deadline: GuestNs): void {
    this.#negotiationEnds = deadline;
    this.#timer.arm(deadline);
  }

  #finishNegotiation(): void {
    this.#negotiationEnds = undefined;
    this.#negotiated = true;
    this.#parts.onChange();
  }
}
