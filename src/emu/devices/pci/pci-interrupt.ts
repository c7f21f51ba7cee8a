/** One interrupt condition of a function: its pin, or a message when software has chosen messages. */
import type { MsiCapability } from './msi.ts';
import type { MsixCapability } from './msix.ts';
import type { PciConfigSpace } from './pci-function.ts';

export interface PciInterruptParts {
  readonly config: PciConfigSpace;
  readonly msi?: MsiCapability;
  readonly msix?: MsixCapability;
}

/**
 * For devices with one condition. `set` takes its level; a message goes out when it rises.
 * The capabilities' `onEnabled` calls `update`.
 */
export class PciInterrupt {
  readonly #parts: PciInterruptParts;
  #asserted = false;

  constructor(parts: PciInterruptParts) {
    this.#parts = parts;
  }

  set(asserted: boolean): void {
    const rises = asserted && !this.#asserted;
    this.#asserted = asserted;
    this.update();
    if (!rises) return;
    const { msi, msix } = this.#parts;
    if (msix?.enabled) msix.send(0);
    else if (msi?.enabled) msi.send(0);
  }

  /** The pin is released while messages are on, and driven again afterwards. */
  update(): void {
    const { config, msi, msix } = this.#parts;
    config.setInterrupt(this.#asserted && !msi?.enabled && !msix?.enabled);
  }
}
