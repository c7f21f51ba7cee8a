/**
 * A 10/100 Mbit/s PHY and its link partner, a switch.
 * Source: IEEE 802.3 clauses 22 and 28; Am79C973 data sheet, "Physical layer" (identifiers).
 * Not modelled: the time that negotiation takes, vendor registers (they hold what is written).
 */
import type { Saveable } from '#emu/bus/wires.ts';
import type { MiiRegisters } from './mii-pins.ts';

const PHY = { control: 0, status: 1, id1: 2, id2: 3, advertisement: 4, partner: 5, expansion: 6 } as const;
const CONTROL = {
  reset: 0x8000,
  autoNegotiation: 0x1000,
  powerDown: 0x0800,
  isolate: 0x0400,
  restart: 0x0200,
} as const;
const CONTROL_INITIAL = 0x3100;
const ADVERTISEMENT_INITIAL = 0x01e1;
const STATUS_FIXED = 0x7849;
const STATUS_LINK = 0x0004;
const STATUS_NEGOTIATED = 0x0020;
const PARTNER_ABILITY = 0x41e1;

export interface FastPhyParts {
  readonly id1: number;
  readonly id2: number;
  readonly cableUp: () => boolean;
}

export class FastPhy implements MiiRegisters, Saveable<Uint16Array> {
  readonly #parts: FastPhyParts;
  readonly #registers: Uint16Array = new Uint16Array(32);

  constructor(parts: FastPhyParts) {
    this.#parts = parts;
    this.reset();
  }

  get linkUp(): boolean {
    return (this.#registers[PHY.control] & CONTROL.powerDown) === 0 && this.#parts.cableUp();
  }

  reset(): void {
    this.#registers.fill(0);
    this.#registers[PHY.control] = CONTROL_INITIAL;
    this.#registers[PHY.advertisement] = ADVERTISEMENT_INITIAL;
  }

  read(register: number): number {
    const negotiates = (this.#registers[PHY.control] & CONTROL.autoNegotiation) !== 0;
    switch (register) {
      case PHY.status:
        return STATUS_FIXED | (this.linkUp ? STATUS_LINK | (negotiates ? STATUS_NEGOTIATED : 0) : 0);
      case PHY.id1:
        return this.#parts.id1;
      case PHY.id2:
        return this.#parts.id2;
      case PHY.partner:
        return this.linkUp && negotiates ? PARTNER_ABILITY : 0;
      case PHY.expansion:
        return this.linkUp && negotiates ? 1 : 0;
      default:
        return this.#registers[register];
    }
  }

  write(register: number, value: number): void {
    if (register === PHY.control) {
      if ((value & CONTROL.reset) !== 0) this.reset();
      else this.#registers[register] = value & ~CONTROL.restart;
    } else if (register === PHY.advertisement || register > PHY.expansion) this.#registers[register] = value;
  }

  save(): Uint16Array {
    return this.#registers.slice();
  }

  restore(state: Uint16Array): void {
    this.#registers.set(state);
  }
}
