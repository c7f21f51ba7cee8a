/**
 * Message-signalled interrupts of a function: the MSI capability, with masks for each vector.
 * Source: PCI Local Bus Specification 3.0, sections 6.8.1 (capability), 6.8.1.8 and 6.8.1.9 (mask and pending bits).
 */
import type { MessageInterrupts } from '#emu/bus/wires.ts';
import type { PciConfigSpace } from './pci-function.ts';

export interface MsiParts {
  readonly config: PciConfigSpace;
  /** Where the 24 bytes go: 40h or above, a multiple of 4. */
  readonly offset: number;
  /** Messages that the function can tell apart. */
  readonly vectors: 1 | 2 | 4 | 8 | 16 | 32;
  readonly messages: MessageInterrupts;
  /** Messages were switched on or off: the pin is not driven while they are on. */
  readonly onEnabled?: (enabled: boolean) => void;
}

export const MSI_CAPABILITY = 0x05;
const BYTES = 24;
/** Offsets in the capability, for 64-bit addresses. */
const AT = { control: 2, addressLow: 4, addressHigh: 8, data: 12, mask: 16, pending: 20 } as const;
const CONTROL = {
  enable: 1 << 0,
  capableShift: 1,
  multipleShift: 4,
  multiple: 7 << 4,
  address64: 1 << 7,
  masking: 1 << 8,
} as const;

export class MsiCapability {
  readonly #parts: MsiParts;
  #enabled = false;

  constructor(parts: MsiParts) {
    this.#parts = parts;
    const { config, offset, vectors } = parts;
    const capable = Math.log2(vectors);
    const all = 2 ** vectors - 1;
    config.addCapability(MSI_CAPABILITY, offset);
    const fixed = (capable << CONTROL.capableShift) | CONTROL.address64 | CONTROL.masking;
    config.define(offset + AT.control, 2, fixed, CONTROL.enable | CONTROL.multiple);
    config.define(offset + AT.addressLow, 4, 0, 0xffff_fffc);
    config.define(offset + AT.addressHigh, 4, 0, 0xffff_ffff);
    config.define(offset + AT.data, 2, 0, 0xffff);
    config.define(offset + AT.mask, 4, 0, all);
    config.define(offset + AT.pending, 4, 0);
    config.watch(offset, BYTES, () => this.#written());
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /**
   * Sends message `n` when the function may: now, or once its mask is lifted. Without enough messages granted by software
   * the higher ones take the last one's place. Ignored while messages are off.
   */
  send(n: number): void {
    const { config, offset } = this.#parts;
    if (!this.#enabled) return;
    const granted = 2 ** this.#grantedBits;
    const vector = Math.min(n, granted - 1);
    if (config.readConfig(offset + AT.mask, 4) & (1 << vector)) {
      config.poke(offset + AT.pending, 4, config.readConfig(offset + AT.pending, 4) | (1 << vector));
      return;
    }
    this.#emit(vector);
  }

  get #grantedBits(): number {
    const { config, offset, vectors } = this.#parts;
    const asked = (config.readConfig(offset + AT.control, 2) & CONTROL.multiple) >> CONTROL.multipleShift;
    return Math.min(asked, Math.log2(vectors));
  }

  #emit(vector: number): void {
    const { config, offset, messages } = this.#parts;
    if (!config.busMaster) return;
    // Memory ends at 4 GB here.
    if (config.readConfig(offset + AT.addressHigh, 4) !== 0) return;
    const data = config.readConfig(offset + AT.data, 2);
    const own = 2 ** this.#grantedBits - 1;
    messages.message(config.readConfig(offset + AT.addressLow, 4), (data & ~own) | vector);
  }

  #written(): void {
    const { config, offset, onEnabled, vectors } = this.#parts;
    const enabled = (config.readConfig(offset + AT.control, 2) & CONTROL.enable) !== 0;
    if (enabled !== this.#enabled) {
      this.#enabled = enabled;
      onEnabled?.(enabled);
    }
    if (!enabled) return;
    const pending = config.readConfig(offset + AT.pending, 4);
    const ready = pending & ~config.readConfig(offset + AT.mask, 4);
    if (ready === 0) return;
    config.poke(offset + AT.pending, 4, pending & ~ready);
    for (let vector = 0; vector < vectors; vector++) if (ready & (1 << vector)) this.#emit(vector);
  }
}
