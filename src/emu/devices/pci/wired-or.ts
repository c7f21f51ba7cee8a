/**
 * Several level-triggered sources on one wire: the wire is asserted while any source asserts it.
 * Source: PCI Local Bus Specification 3.0, section 2.2.6 (interrupt pins are open drain and may be shared).
 */
import type { IrqLine } from '#emu/bus/wires.ts';

export class WiredOr {
  readonly #output: IrqLine;
  #asserted = 0;

  constructor(output: IrqLine) {
    this.#output = output;
  }

  /** One more source. Each source has its own wire, so that setting it twice counts once. */
  input(): IrqLine {
    let mine = false;
    return {
      set: (asserted) => {
        if (asserted === mine) return;
        mine = asserted;
        this.#asserted += asserted ? 1 : -1;
        if (this.#asserted === (asserted ? 1 : 0)) this.#output.set(asserted);
      },
    };
  }
}
