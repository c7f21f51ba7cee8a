/**
 * The x87's error line on a PC/AT: FERR# raises IRQ 13 until software writes port F0h, which also asserts IGNNE#.
 * Source: 82371SB (PIIX3) data sheet, "Coprocessor error register" (F0h); SDM Vol. 1, appendix D.2 (MS-DOS compatibility).
 * Not modelled: FERR# going inactive, which ends IGNNE# on hardware; here one waiting instruction ends it.
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';

export interface FloatErrorState {
  readonly asserted: boolean;
  readonly ignore: boolean;
}

export class FloatError implements Saveable<FloatErrorState> {
  /** Port F0h. */
  readonly port: IoDevice;
  readonly #irq13: IrqLine;
  #asserted = false;
  #ignore = false;

  constructor(parts: { readonly irq13: IrqLine }) {
    this.#irq13 = parts.irq13;
    this.port = {
      read: () => 0xff,
      write: () => {
        this.#ignore = this.#asserted;
        this.#drive(false);
      },
    };
  }

  /** A waiting x87 instruction meets an unmasked exception. @returns true when it runs all the same */
  raise(): boolean {
    if (this.#ignore) {
      this.#ignore = false;
      return true;
    }
    this.#drive(true);
    return false;
  }

  reset(): void {
    this.#ignore = false;
    this.#drive(false);
  }

  save(): FloatErrorState {
    return { asserted: this.#asserted, ignore: this.#ignore };
  }

  restore(state: FloatErrorState): void {
    this.#ignore = state.ignore;
    this.#drive(state.asserted);
  }

  #drive(asserted: boolean): void {
    this.#asserted = asserted;
    this.#irq13.set(asserted);
  }
}
