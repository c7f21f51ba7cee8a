/**
 * MSI-X: message-signalled interrupts whose addresses and data are in a table in one of the function's BARs.
 * Source: PCI Local Bus Specification 3.0, section 6.8.2.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { MessageInterrupts, Saveable } from '#emu/bus/wires.ts';
import type { PciConfigSpace } from './pci-function.ts';

export interface MsixParts {
  readonly config: PciConfigSpace;
  /** Where the 12 bytes go: 40h or above, a multiple of 4. */
  readonly offset: number;
  /** 1 to 2048. */
  readonly vectors: number;
  /** The memory BAR that holds table and pending bits, and where in it; multiples of 8. */
  readonly bar: number;
  readonly tableOffset: number;
  readonly pendingOffset: number;
  readonly messages: MessageInterrupts;
  /** See `MsiParts.onEnabled`. */
  readonly onEnabled?: (enabled: boolean) => void;
}

/** The table; what configuration space holds is saved with it. */
export interface MsixState {
  /** Four words a vector. */
  readonly table: Uint32Array;
  readonly pending: Uint32Array;
}

export const MSIX_CAPABILITY = 0x11;
const BYTES = 12;
const AT = { control: 2, table: 4, pending: 8 } as const;
const CONTROL = { functionMask: 1 << 14, enable: 1 << 15 } as const;
const ENTRY_BYTES = 16;
/** Words of an entry. */
const ENTRY = { addressLow: 0, addressHigh: 1, data: 2, control: 3 } as const;
const MASKED = 1;

export class MsixCapability implements Saveable<MsixState> {
  /** `vectors` * 16 bytes at `tableOffset` of the BAR; dwords. */
  readonly table: IoDevice;
  /** The pending bits at `pendingOffset`, read-only. */
  readonly pendingBits: IoDevice;
  readonly #parts: MsixParts;
  readonly #table: Uint32Array;
  readonly #pending: Uint32Array;
  #enabled = false;
  #functionMask = false;

  constructor(parts: MsixParts) {
    this.#parts = parts;
    const { config, offset, vectors, bar } = parts;
    this.#table = new Uint32Array(vectors * 4);
    this.#pending = new Uint32Array(Math.ceil(vectors / 32));
    config.addCapability(MSIX_CAPABILITY, offset);
    config.define(offset + AT.control, 2, vectors - 1, CONTROL.functionMask | CONTROL.enable);
    config.define(offset + AT.table, 4, parts.tableOffset | bar);
    config.define(offset + AT.pending, 4, parts.pendingOffset | bar);
    config.watch(offset, BYTES, () => this.#written());
    this.table = {
      read: (at, width) => narrowed(this.#table[at >> 2] ?? 0, at, width),
      write: (at, width, value) => {
        // Only dwords are defined (6.8.2).
        if (width === 4 && at < vectors * ENTRY_BYTES) this.#writeTable(at >> 2, value);
      },
    };
    this.pendingBits = {
      read: (at, width) => narrowed(this.#pending[at >> 2] ?? 0, at, width),
      write: () => {},
    };
    this.reset();
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** Sends message `n`, now or once its masks are lifted. Ignored while MSI-X is off. */
  send(n: number): void {
    if (!this.#enabled || n >= this.#parts.vectors) return;
    if (this.#functionMask || this.#table[n * 4 + ENTRY.control] & MASKED) this.#pending[n >> 5] |= 1 << (n & 31);
    else this.#emit(n);
  }

  /** RST#, together with that of the configuration space. */
  reset(): void {
    this.#table.fill(0);
    for (let n = 0; n < this.#parts.vectors; n++) this.#table[n * 4 + ENTRY.control] = MASKED;
    this.#pending.fill(0);
  }

  save(): MsixState {
    return { table: this.#table.slice(), pending: this.#pending.slice() };
  }

  restore(state: MsixState): void {
    this.#table.set(state.table);
    this.#pending.set(state.pending);
  }

  #writeTable(word: number, value: number): void {
    this.#table[word] = (word & 3) === ENTRY.control ? value & MASKED : (word & 3) === 0 ? value & ~3 : value;
    this.#sendPending(word >> 2);
  }

  #written(): void {
    const { config, offset, onEnabled, vectors } = this.#parts;
    const control = config.readConfig(offset + AT.control, 2);
    const enabled = (control & CONTROL.enable) !== 0;
    this.#functionMask = (control & CONTROL.functionMask) !== 0;
    if (enabled !== this.#enabled) {
      this.#enabled = enabled;
      onEnabled?.(enabled);
    }
    for (let n = 0; n < vectors; n++) this.#sendPending(n);
  }

  #sendPending(n: number): void {
    const bit = 1 << (n & 31);
    if (!this.#enabled || this.#functionMask || !(this.#pending[n >> 5] & bit)) return;
    if (this.#table[n * 4 + ENTRY.control] & MASKED) return;
    this.#pending[n >> 5] &= ~bit;
    this.#emit(n);
  }

  #emit(n: number): void {
    const { config, messages } = this.#parts;
    const entry = n * 4;
    // Memory ends at 4 GB here.
    if (!config.busMaster || this.#table[entry + ENTRY.addressHigh] !== 0) return;
    messages.message(this.#table[entry + ENTRY.addressLow], this.#table[entry + ENTRY.data]);
  }
}

function narrowed(word: number, at: number, width: Width): number {
  const shifted = word >>> ((at & 3) * 8);
  return width === 4 ? shifted : width === 2 ? shifted & 0xffff : shifted & 0xff;
}
