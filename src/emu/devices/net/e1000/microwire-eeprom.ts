/**
 * A 93C46 EEPROM of 64 words of 16 bits behind four pins.
 * Source: Microchip 93C46B data sheet (instruction set for x16); 8254x SDM, section 5.4 and the EECD register.
 * Not modelled: programming times (a write is done when its last bit is in).
 */
import type { Saveable } from '#emu/bus/wires.ts';

export const EEPROM_WORDS = 64;
const ADDRESS_BITS = 6;
/** Start bit, two bits of opcode, address. */
const COMMAND_BITS = 3 + ADDRESS_BITS;
const OPCODE = { extended: 0, write: 1, read: 2, erase: 3 } as const;
/** The two high address bits of extended opcodes. */
const EXTENDED = { writeDisable: 0, writeAll: 1, eraseAll: 2, writeEnable: 3 } as const;

export interface MicrowireEepromState {
  readonly words: Uint16Array;
  readonly select: boolean;
  readonly clock: boolean;
  /** Bits clocked in since the start bit, and how many. */
  readonly shifted: number;
  readonly count: number;
  /** Data bits of a write. */
  readonly data: number;
  readonly writable: boolean;
  readonly output: boolean;
}

export class MicrowireEeprom implements Saveable<MicrowireEepromState> {
  readonly words: Uint16Array = new Uint16Array(EEPROM_WORDS);
  #select = false;
  #clock = false;
  #shifted = 0;
  #count = 0;
  #data = 0;
  #writable = false;
  #output = true;

  /** The DO pin; high while nothing drives it. */
  get output(): boolean {
    return this.#output;
  }

  /** The pins as they are driven now. */
  drive(select: boolean, clock: boolean, dataIn: boolean): void {
    const rose = clock && !this.#clock;
    this.#clock = clock;
    if (select !== this.#select) {
      this.#select = select;
      this.#count = 0;
      this.#shifted = 0;
      // Ready: programming takes no time.
      this.#output = true;
    } else if (select && rose) this.#shift(dataIn);
  }

  save(): MicrowireEepromState {
    return {
      words: this.words.slice(),
      select: this.#select,
      clock: this.#clock,
      shifted: this.#shifted,
      count: this.#count,
      data: this.#data,
      writable: this.#writable,
      output: this.#output,
    };
  }

  restore(state: MicrowireEepromState): void {
    this.words.set(state.words);
    this.#select = state.select;
    this.#clock = state.clock;
    this.#shifted = state.shifted;
    this.#count = state.count;
    this.#data = state.data;
    this.#writable = state.writable;
    this.#output = state.output;
  }

  #shift(bit: boolean): void {
    // Zeros before the start bit mean nothing.
    if (this.#count === 0 && !bit) return;
    const count = ++this.#count;
    if (count <= COMMAND_BITS) {
      this.#shifted = (this.#shifted << 1) | (bit ? 1 : 0);
      if (count === COMMAND_BITS) this.#command();
      return;
    }
    const opcode = (this.#shifted >> ADDRESS_BITS) & 3;
    if (opcode === OPCODE.read) this.#output = this.#bitOut(count - COMMAND_BITS - 1);
    else if (count <= COMMAND_BITS + 16) this.#dataIn(bit, count - COMMAND_BITS);
  }

  #command(): void {
    const opcode = (this.#shifted >> ADDRESS_BITS) & 3;
    const address = this.#shifted & (EEPROM_WORDS - 1);
    // A dummy zero comes before the data.
    if (opcode === OPCODE.read) this.#output = false;
    else if (opcode === OPCODE.erase && this.#writable) this.words[address] = 0xffff;
    else if (opcode === OPCODE.extended) {
      const what = address >> (ADDRESS_BITS - 2);
      if (what === EXTENDED.writeEnable) this.#writable = true;
      else if (what === EXTENDED.writeDisable) this.#writable = false;
      else if (what === EXTENDED.eraseAll && this.#writable) this.words.fill(0xffff);
    }
  }

  /** The word addressed, then the following ones. */
  #bitOut(bit: number): boolean {
    const address = ((this.#shifted & (EEPROM_WORDS - 1)) + (bit >> 4)) & (EEPROM_WORDS - 1);
    return ((this.words[address] >> (15 - (bit & 15))) & 1) !== 0;
  }

  #dataIn(bit: boolean, count: number): void {
    this.#data = ((this.#data << 1) | (bit ? 1 : 0)) & 0xffff;
    if (count < 16 || !this.#writable) return;
    const opcode = (this.#shifted >> ADDRESS_BITS) & 3;
    const address = this.#shifted & (EEPROM_WORDS - 1);
    if (opcode === OPCODE.write) this.words[address] = this.#data;
    else if (opcode === OPCODE.extended && address >> (ADDRESS_BITS - 2) === EXTENDED.writeAll) {
      this.words.fill(this.#data);
    }
  }
}
