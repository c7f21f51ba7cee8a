/**
 * PCI configuration space of one function (type 0 header).
 * Source: PCI Local Bus Specification 3.0, sections 6.1 to 6.2.5.
 * Not modelled: BIST, cache-line effects, 64-bit BARs.
 */
import { unreachable } from '#base/errors.ts';
import type { Width } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';

/** What the bus asks of a function. Offsets are 0..255, naturally aligned for `width`; values are unsigned. */
export interface PciFunction {
  readConfig(offset: number, width: Width): number;
  writeConfig(offset: number, width: Width, value: number): void;
  /** RST#: back to power-on values, decodes off. */
  reset(): void;
}

/** Offsets in a type 0 header. */
export const PCI_CONFIG = {
  vendorId: 0x00,
  deviceId: 0x02,
  command: 0x04,
  status: 0x06,
  revisionId: 0x08,
  /** Three bytes: programming interface, subclass, base class. */
  classCode: 0x09,
  cacheLineSize: 0x0c,
  latencyTimer: 0x0d,
  headerType: 0x0e,
  bar0: 0x10,
  subsystemVendorId: 0x2c,
  subsystemId: 0x2e,
  expansionRom: 0x30,
  capabilitiesPointer: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
} as const;

/** Bits of the command register. */
export const PCI_COMMAND = {
  ioSpace: 1 << 0,
  memorySpace: 1 << 1,
  busMaster: 1 << 2,
  parityErrorResponse: 1 << 6,
  serrEnable: 1 << 8,
  interruptDisable: 1 << 10,
} as const;

/** Bits of the status register. */
export const PCI_STATUS = {
  interruptStatus: 1 << 3,
  capabilitiesList: 1 << 4,
  fastBackToBack: 1 << 7,
  devselMedium: 1 << 9,
  receivedMasterAbort: 1 << 13,
} as const;

/** Which pin a function drives. */
export const PCI_PIN = { none: 0, inta: 1, intb: 2, intc: 3, intd: 4 } as const;
export type PciPin = (typeof PCI_PIN)[keyof typeof PCI_PIN];

export interface PciIdentity {
  /** 16 bits. */
  readonly vendorId: number;
  /** 16 bits. */
  readonly deviceId: number;
  /** 24 bits, as the specification writes it: base class, subclass, programming interface (0x010180). */
  readonly classCode: number;
  /** 8 bits, default 0. */
  readonly revisionId?: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  readonly interruptPin?: PciPin;
  /** Header type bit 7: the device has more functions than function 0. */
  readonly multiFunction?: boolean;
}

export interface PciBar {
  /** 0..5, or 'rom' for the expansion ROM BAR. */
  readonly index: number | 'rom';
  readonly space: 'io' | 'memory';
  /** Power of two: I/O 4..256, memory 16 or more, ROM 2048 or more. */
  readonly byteCount: number;
  readonly prefetchable?: boolean;
  /** Base the range answers at after this configuration change, or undefined when it is not decoded. Only on change. */
  readonly onMoved: (base: number | undefined) => void;
}

/** Guest-visible state: the 256 bytes. Writable masks and identity come from construction. */
export interface PciConfigState {
  readonly bytes: Uint8Array;
}

export interface PciConfigParts {
  readonly identity: PciIdentity;
  readonly bars?: readonly PciBar[];
  /** Wire of the interrupt pin at the bus. Left out when the function has no pin. */
  readonly interrupt?: IrqLine;
}

interface DecodedBar {
  readonly bar: PciBar;
  readonly offset: number;
  readonly addressMask: number;
  base: number | undefined;
}

const COMMAND_WRITABLE =
  PCI_COMMAND.ioSpace |
  PCI_COMMAND.memorySpace |
  PCI_COMMAND.busMaster |
  PCI_COMMAND.parityErrorResponse |
  PCI_COMMAND.serrEnable |
  PCI_COMMAND.interruptDisable;
/** Error bits 8 and 11..15 of the status register are cleared by writing one. */
const STATUS_WRITE_ONE_CLEARS = 0xf900;
const ROM_ENABLE = 1;

/**
 * A 256-byte configuration space with a write mask for each bit, base address registers and an interrupt pin.
 *
 * Use it as the function itself, or wrap it when registers of the function have effects.
 *
 * @example
 *   const config = new PciConfigSpace({
 *     identity: { vendorId: 0x8086, deviceId: 0x7010, classCode: 0x010180 },
 *     bars: [{ index: 4, space: 'io', byteCount: 16, onMoved: (base) => mapping.move(base) }],
 *   });
 */
export class PciConfigSpace implements PciFunction, Saveable<PciConfigState> {
  readonly #bytes: Uint8Array = new Uint8Array(256);
  /** Value of each byte after reset. */
  readonly #initial: Uint8Array = new Uint8Array(256);
  /** Bits a write stores. */
  readonly #writable: Uint8Array = new Uint8Array(256);
  /** Bits a write of one clears. */
  readonly #oneClears: Uint8Array = new Uint8Array(256);
  readonly #bars: DecodedBar[] = [];
  readonly #interrupt: IrqLine | undefined;
  readonly #watches: { readonly first: number; readonly end: number; readonly onWritten: () => void }[] = [];

  constructor(parts: PciConfigParts) {
    const id = parts.identity;
    this.#interrupt = parts.interrupt;
    this.define(PCI_CONFIG.vendorId, 2, id.vendorId);
    this.define(PCI_CONFIG.deviceId, 2, id.deviceId);
    this.define(PCI_CONFIG.command, 2, 0, COMMAND_WRITABLE);
    this.define(PCI_CONFIG.status, 2, PCI_STATUS.devselMedium, 0, STATUS_WRITE_ONE_CLEARS);
    this.define(PCI_CONFIG.revisionId, 4, ((id.classCode << 8) | (id.revisionId ?? 0)) >>> 0);
    this.define(PCI_CONFIG.cacheLineSize, 1, 0, 0xff);
    this.define(PCI_CONFIG.latencyTimer, 1, 0, 0xff);
    this.define(PCI_CONFIG.headerType, 1, id.multiFunction ? 0x80 : 0);
    this.define(PCI_CONFIG.subsystemVendorId, 2, id.subsystemVendorId ?? 0);
    this.define(PCI_CONFIG.subsystemId, 2, id.subsystemId ?? 0);
    this.define(PCI_CONFIG.interruptPin, 1, id.interruptPin ?? PCI_PIN.none);
    if (id.interruptPin) this.define(PCI_CONFIG.interruptLine, 1, 0, 0xff);
    for (const bar of parts.bars ?? []) this.#addBar(bar);
  }

  /**
   * Gives a register of this function its reset value and its writable bits; earlier definitions are replaced.
   * Called while the function is built, never by the guest.
   * @param writable bits that a write stores
   * @param oneClears bits that a write of one clears
   */
  define(offset: number, width: Width, initial: number, writable = 0, oneClears = 0): void {
    for (let i = 0; i < width; i++) {
      this.#initial[offset + i] = initial >>> (i * 8);
      this.#bytes[offset + i] = initial >>> (i * 8);
      this.#writable[offset + i] = writable >>> (i * 8);
      this.#oneClears[offset + i] = oneClears >>> (i * 8);
    }
  }

  /**
   * Begins a capability at the head of the list; its registers are defined by whoever has it.
   * Called while the function is built. @param offset 40h or above, a multiple of 4
   */
  addCapability(id: number, offset: number): void {
    this.define(offset, 1, id);
    this.define(offset + 1, 1, this.#initial[PCI_CONFIG.capabilitiesPointer]);
    this.define(PCI_CONFIG.capabilitiesPointer, 1, offset);
    const status = this.#initial[PCI_CONFIG.status] | PCI_STATUS.capabilitiesList;
    this.#initial[PCI_CONFIG.status] = status;
    this.#bytes[PCI_CONFIG.status] = status;
  }

  /** Calls back after these bytes may have changed: a write of the guest, a reset, a restored state. */
  watch(offset: number, byteCount: number, onWritten: () => void): void {
    this.#watches.push({ first: offset, end: offset + byteCount, onWritten });
  }

  readConfig(offset: number, width: Width): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | this.#bytes[(offset + i) & 0xff];
    return value >>> 0;
  }

  writeConfig(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) {
      const at = (offset + i) & 0xff;
      const byte = (value >>> (i * 8)) & 0xff;
      const stored = (this.#bytes[at] & ~this.#writable[at]) | (byte & this.#writable[at]);
      this.#bytes[at] = stored & ~(byte & this.#oneClears[at]);
    }
    if (offset < 0x34 && offset + width > PCI_CONFIG.command) this.#decodeBars();
    if (offset < 0x08) this.#driveInterrupt();
    for (const { first, end, onWritten } of this.#watches) if (offset < end && offset + width > first) onWritten();
  }

  /** Stores device-driven bits (status, read-only fields) without the guest's masks. */
  poke(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.#bytes[offset + i] = value >>> (i * 8);
    if (offset < 0x34 && offset + width > PCI_CONFIG.command) this.#decodeBars();
  }

  reset(): void {
    this.#bytes.set(this.#initial);
    this.#decodeBars();
    this.#driveInterrupt();
    for (const { onWritten } of this.#watches) onWritten();
  }

  /** Drives the function's interrupt pin: status bit 3, and the wire unless the command register disables it. */
  setInterrupt(asserted: boolean): void {
    const status = this.#bytes[PCI_CONFIG.status];
    this.#bytes[PCI_CONFIG.status] = asserted
      ? status | PCI_STATUS.interruptStatus
      : status & ~PCI_STATUS.interruptStatus;
    this.#driveInterrupt();
  }

  get command(): number {
    return this.readConfig(PCI_CONFIG.command, 2);
  }

  /** True while the guest lets this function master the bus. */
  get busMaster(): boolean {
    return (this.command & PCI_COMMAND.busMaster) !== 0;
  }

  /** Base at which the BAR is decoded now, or undefined. */
  barBase(index: PciBar['index']): number | undefined {
    return this.#bars.find((d) => d.bar.index === index)?.base;
  }

  save(): PciConfigState {
    return { bytes: this.#bytes.slice() };
  }

  restore(state: PciConfigState): void {
    this.#bytes.set(state.bytes);
    this.#decodeBars();
    this.#driveInterrupt();
    for (const { onWritten } of this.#watches) onWritten();
  }

  #addBar(bar: PciBar): void {
    const { index, byteCount } = bar;
    const smallest = index === 'rom' ? 2048 : bar.space === 'io' ? 4 : 16;
    if (byteCount < smallest || byteCount > 2 ** 31 || 2 ** Math.round(Math.log2(byteCount)) !== byteCount) {
      unreachable(`BAR of ${byteCount} bytes`);
    }
    const offset = index === 'rom' ? PCI_CONFIG.expansionRom : PCI_CONFIG.bar0 + index * 4;
    const addressMask = -byteCount >>> 0;
    const fixed = index === 'rom' ? 0 : bar.space === 'io' ? 1 : bar.prefetchable ? 8 : 0;
    this.define(offset, 4, fixed, index === 'rom' ? (addressMask | ROM_ENABLE) >>> 0 : addressMask);
    this.#bars.push({ bar, offset, addressMask, base: undefined });
  }

  /** Tells each BAR that changed; those that leave go first, so that ranges may swap in one write. */
  #decodeBars(): void {
    for (const decoded of this.#bars) {
      const base = this.#decodedBase(decoded);
      if (decoded.base !== undefined && decoded.base !== base) {
        decoded.base = undefined;
        decoded.bar.onMoved(undefined);
      }
    }
    for (const decoded of this.#bars) {
      const base = this.#decodedBase(decoded);
      if (base !== undefined && decoded.base !== base) {
        decoded.base = base;
        decoded.bar.onMoved(base);
      }
    }
  }

  #decodedBase({ bar, offset, addressMask }: DecodedBar): number | undefined {
    const command = this.#bytes[PCI_CONFIG.command];
    const enabled = command & (bar.space === 'io' ? PCI_COMMAND.ioSpace : PCI_COMMAND.memorySpace);
    const value = this.readConfig(offset, 4);
    if (!enabled || (bar.index === 'rom' && !(value & ROM_ENABLE))) return undefined;
    const base = (value & addressMask) >>> 0;
    // Sizing writes all ones; a range at zero is the unassigned state that firmware leaves behind.
    if (base === 0 || base === addressMask) return undefined;
    // Processors of this class address 64 KB of ports.
    if (bar.space === 'io' && base + bar.byteCount > 0x1_0000) return undefined;
    return base;
  }

  #driveInterrupt(): void {
    const asserted =
      (this.#bytes[PCI_CONFIG.status] & PCI_STATUS.interruptStatus) !== 0 &&
      (this.command & PCI_COMMAND.interruptDisable) === 0;
    this.#interrupt?.set(asserted);
  }
}
