/**
 * Colour look-up table and digital-to-analogue converter behind ports 3C6h to 3C9h.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Digital-to-Analog Converter; VBE 3.0, function 08h
 * (8-bit mode).
 * Not modelled: snow while the table is written.
 */
import type { Saveable } from '#emu/bus/wires.ts';

export interface DacState {
  /** 256 entries of red, green, blue as written: 6 bits each, or 8 in 8-bit mode. */
  colours: Uint8Array;
  pixelMask: number;
  readIndex: number;
  writeIndex: number;
  /** Component to be read or written next: 0 red, 1 green, 2 blue. */
  component: number;
  /** Red and green wait until blue arrives. */
  pending: number[];
  reading: boolean;
  eightBit: boolean;
}

const powerOn = (): DacState => ({
  colours: new Uint8Array(768),
  pixelMask: 0xff,
  readIndex: 0,
  writeIndex: 0,
  component: 0,
  pending: [0, 0],
  reading: false,
  eightBit: false,
});

export class Dac implements Saveable<DacState> {
  #state: DacState = powerOn();

  reset(): void {
    this.#state = powerOn();
  }

  get pixelMask(): number {
    return this.#state.pixelMask;
  }

  set pixelMask(mask: number) {
    this.#state.pixelMask = mask & 0xff;
  }

  /** Components take and give 8 bits instead of 6. What the table holds is kept as it is. */
  set eightBit(on: boolean) {
    this.#state.eightBit = on;
  }

  /** Port 3C7h, write: the entry to read next. */
  setReadIndex(index: number): void {
    const s = this.#state;
    s.readIndex = index & 0xff;
    s.component = 0;
    s.reading = true;
  }

  /** Port 3C8h, write: the entry to write next. */
  setWriteIndex(index: number): void {
    const s = this.#state;
    s.writeIndex = index & 0xff;
    s.component = 0;
    s.reading = false;
  }

  get writeIndex(): number {
    return this.#state.writeIndex;
  }

  /** Port 3C7h, read: 3 after a read index was set, 0 after a write index. */
  get accessState(): number {
    return this.#state.reading ? 3 : 0;
  }

  readData(): number {
    const s = this.#state;
    const value = s.colours[s.readIndex * 3 + s.component];
    s.component += 1;
    if (s.component === 3) {
      s.component = 0;
      s.readIndex = (s.readIndex + 1) & 0xff;
    }
    return value;
  }

  /** Returns true when an entry was completed. */
  writeData(value: number): boolean {
    const s = this.#state;
    const component = s.eightBit ? value & 0xff : value & 0x3f;
    if (s.component < 2) {
      s.pending[s.component] = component;
      s.component += 1;
      return false;
    }
    const at = s.writeIndex * 3;
    s.colours[at] = s.pending[0];
    s.colours[at + 1] = s.pending[1];
    s.colours[at + 2] = component;
    s.component = 0;
    s.writeIndex = (s.writeIndex + 1) & 0xff;
    return true;
  }

  /** The colour of a pixel value after the pixel mask, as bytes R, G, B, 255 in memory order. */
  colour(value: number): number {
    const s = this.#state;
    const at = (value & s.pixelMask) * 3;
    const r = this.#component(s.colours[at]);
    const g = this.#component(s.colours[at + 1]);
    const b = this.#component(s.colours[at + 2]);
    return (0xff00_0000 | (b << 16) | (g << 8) | r) >>> 0;
  }

  save(): DacState {
    return structuredClone(this.#state);
  }

  restore(state: DacState): void {
    this.#state = structuredClone(state);
  }

  #component(value: number): number {
    if (this.#state.eightBit) return value;
    // Six bits fill eight by repeating their highest two, so that 3Fh is full intensity.
    return ((value << 2) | (value >> 4)) & 0xff;
  }
}
