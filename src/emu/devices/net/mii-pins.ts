/**
 * The management interface of a PHY as two wires, MDC and MDIO, that a driver moves itself.
 * Source: IEEE 802.3 clause 22.2.4.5 (frame structure).
 */
import type { Saveable } from '#emu/bus/wires.ts';

export interface MiiRegisters {
  /** @param register 0..31 */
  read(register: number): number;
  write(register: number, value: number): void;
}

export interface MiiPinsState {
  readonly clock: boolean;
  readonly count: number;
  readonly shifted: number;
  readonly data: number;
}

/** ST, OP, PHYAD, REGAD. */
const HEADER_BITS = 14;
const FRAME_BITS = 32;
const READ = 2;
const WRITE = 1;

export class MiiPins implements Saveable<MiiPinsState> {
  readonly #address: number;
  readonly #registers: MiiRegisters;
  #clock = false;
  /** Bits since the first zero of a frame. */
  #count = 0;
  #shifted = 0;
  /** What is being read or written. */
  #data = 0;

  /** @param address of the only PHY there is */
  constructor(address: number, registers: MiiRegisters) {
    this.#address = address;
    this.#registers = registers;
  }

  /** The pins as the station drives them. @param data true also when nobody drives it: the line is pulled up */
  drive(clock: boolean, data: boolean): void {
    const rose = clock && !this.#clock;
    this.#clock = clock;
    if (rose) this.#shift(data);
  }

  /** The level the PHY puts on MDIO. */
  get output(): boolean {
    // The turn-around's second bit is zero, then 16 bits, each valid behind the clock's rise.
    const bit = this.#count - HEADER_BITS - 2;
    if (this.#operation !== READ || bit < -1 || !this.#isMine) return true;
    return bit >= 0 && ((this.#data >> (15 - bit)) & 1) !== 0;
  }

  save(): MiiPinsState {
    return { clock: this.#clock, count: this.#count, shifted: this.#shifted, data: this.#data };
  }

  restore(state: MiiPinsState): void {
    this.#clock = state.clock;
    this.#count = state.count;
    this.#shifted = state.shifted;
    this.#data = state.data;
  }

  get #operation(): number {
    return this.#count >= HEADER_BITS ? (this.#shifted >> 10) & 3 : 0;
  }

  get #isMine(): boolean {
    return ((this.#shifted >> 5) & 31) === this.#address;
  }

  #shift(bit: boolean): void {
    // Ones are preamble until the start's zero.
    if (this.#count === 0 && bit) return;
    const count = ++this.#count;
    if (count === 2 && !bit) {
      this.#count = 1;
      return;
    }
    if (count <= HEADER_BITS) {
      this.#shifted = ((this.#shifted << 1) | (bit ? 1 : 0)) & 0x3fff;
      if (count === HEADER_BITS && this.#operation === READ && this.#isMine) {
        this.#data = this.#registers.read(this.#shifted & 31);
      }
    } else if (this.#operation === WRITE) this.#data = ((this.#data << 1) | (bit ? 1 : 0)) & 0xffff;
    if (count < FRAME_BITS) return;
    if (this.#operation === WRITE && this.#isMine) this.#registers.write(this.#shifted & 31, this.#data);
    this.#count = 0;
  }
}
