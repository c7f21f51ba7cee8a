/**
 * PCI bus 0 with configuration mechanism #1 and INTx routing.
 * Source: PCI Local Bus Specification 3.0, section 3.2.2.3.2 (CONFIG_ADDRESS at CF8h, CONFIG_DATA at CFCh);
 * 82371SB (PIIX3) data sheet, PIRQ[A:D]#; 82441FX data sheet, section 3.1.
 * Not modelled: bridges (other bus numbers read as absent), special cycles, configuration mechanism #2.
 */
import { CodedError } from '#base/errors.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { PciFunction, PciPin } from './pci-function.ts';
import { PCI_CONFIG, PCI_PIN } from './pci-function.ts';
import { WiredOr } from './wired-or.ts';

export interface PciBusParts {
  /** PIRQA# to PIRQD#, level, asserted = true. */
  readonly pirqs: readonly [IrqLine, IrqLine, IrqLine, IrqLine];
  /**
   * What answers byte and word accesses at CF8h-CFBh, offset 0 = CF8h: the chipset's reset control register is at CF9h.
   * Without it such reads float.
   */
  readonly registersBesideAddress?: IoDevice;
}

export interface PciBusState {
  /** CONFIG_ADDRESS. */
  readonly address: number;
}

/** A function and where it sits. */
export interface PciSlot {
  /** 0..31. */
  readonly device: number;
  /** 0..7. */
  readonly fn: number;
  readonly pciFunction: PciFunction;
}

const ENABLE = 0x8000_0000;
const ADDRESS_WRITABLE = 0x80ff_fffc;

const allOnes = (width: Width): number => (width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff);

/** Index of the PIRQ wire (0 = PIRQA#) that a pin of a device on bus 0 reaches. */
export function pirqOf(device: number, pin: PciPin): number {
  return (device + pin - 2) & 3;
}

export class PciBus implements Saveable<PciBusState> {
  readonly #functions: (PciFunction | undefined)[] = new Array<PciFunction | undefined>(256).fill(undefined);
  readonly #pirqs: readonly WiredOr[];
  readonly #beside: IoDevice | undefined;
  #address = 0;

  /** CF8h, 4 ports, map with `maxWidth` 4. Only dword accesses reach CONFIG_ADDRESS. */
  readonly configAddress: IoDevice;
  /** CFCh, 4 ports, map with `maxWidth` 4. */
  readonly configData: IoDevice;

  constructor(parts: PciBusParts) {
    this.#pirqs = parts.pirqs.map((line) => new WiredOr(line));
    this.#beside = parts.registersBesideAddress;
    this.configAddress = {
      read: (offset, width) => (width === 4 ? this.#address : this.#readBeside(offset, width)),
      write: (offset, width, value) => {
        if (width === 4) this.#address = (value & ADDRESS_WRITABLE) >>> 0;
        else this.#writeBeside(offset, width, value);
      },
    };
    this.configData = {
      read: (offset, width) => {
        const target = this.#addressed();
        return target ? this.#readFunction(target, this.#register(offset), width) : allOnes(width);
      },
      write: (offset, width, value) => {
        const target = this.#addressed();
        if (target) this.#writeFunction(target, this.#register(offset), width, value);
      },
    };
  }

  /**
   * Puts a function on the bus.
   * @param device 0..31
   * @param fn 0..7; a device with other functions needs function 0 with `multiFunction`
   * @throws CodedError<'slot-taken'> when the place has a function; CodedError<'bad-slot'> outside the ranges
   */
  attach(device: number, fn: number, pciFunction: PciFunction): void {
    if (!(device >= 0 && device < 32 && fn >= 0 && fn < 8)) {
      throw new CodedError('bad-slot', 'a PCI device number is 0 to 31 and a function number 0 to 7', { device, fn });
    }
    const at = device * 8 + fn;
    if (this.#functions[at]) {
      throw new CodedError('slot-taken', 'two devices have the same PCI slot; move one of them', { device, fn });
    }
    this.#functions[at] = pciFunction;
  }

  /** A wire for one function's interrupt pin; pins that share a PIRQ are ORed. */
  interruptLine(device: number, pin: PciPin): IrqLine {
    return pin === PCI_PIN.none ? { set: () => {} } : this.#pirqs[pirqOf(device, pin)].input();
  }

  /** Every function, by device then function number. */
  slots(): PciSlot[] {
    const found: PciSlot[] = [];
    for (let at = 0; at < 256; at++) {
      const pciFunction = this.#functions[at];
      if (pciFunction) found.push({ device: at >> 3, fn: at & 7, pciFunction });
    }
    return found;
  }

  /** First device number without functions at or above `from`, or undefined. */
  freeDevice(from = 0): number | undefined {
    for (let device = from; device < 32; device++) {
      if (this.#functions.slice(device * 8, device * 8 + 8).every((f) => f === undefined)) return device;
    }
    return undefined;
  }

  /** RST#: CONFIG_ADDRESS and every function. */
  reset(): void {
    this.#address = 0;
    for (const pciFunction of this.#functions) pciFunction?.reset();
  }

  save(): PciBusState {
    return { address: this.#address };
  }

  restore(state: PciBusState): void {
    this.#address = (state.address & ADDRESS_WRITABLE) >>> 0;
  }

  #addressed(): PciFunction | undefined {
    const address = this.#address;
    if (!(address & ENABLE) || (address & 0x00ff_0000) !== 0) return undefined;
    return this.#functions[(address >>> 8) & 0xff];
  }

  #register(offset: number): number {
    return (this.#address & 0xfc) | offset;
  }

  /** A word at offset 3 never arrives (the bus splits it), a word at offset 1 does: two byte enables of one dword. */
  #readFunction(target: PciFunction, register: number, width: Width): number {
    if (register % width === 0) return target.readConfig(register, width);
    return target.readConfig(register, 1) | (target.readConfig((register + 1) & 0xff, 1) << 8);
  }

  #writeFunction(target: PciFunction, register: number, width: Width, value: number): void {
    if (register % width === 0) {
      target.writeConfig(register, width, value);
      return;
    }
    target.writeConfig(register, 1, value & 0xff);
    target.writeConfig((register + 1) & 0xff, 1, value >>> 8);
  }

  #readBeside(offset: number, width: Width): number {
    if (!this.#beside) return allOnes(width);
    return width === 1
      ? this.#beside.read(offset, 1)
      : this.#beside.read(offset, 1) | (this.#beside.read(offset + 1, 1) << 8);
  }

  #writeBeside(offset: number, width: Width, value: number): void {
    this.#beside?.write(offset, 1, value & 0xff);
    if (width === 2) this.#beside?.write(offset + 1, 1, value >>> 8);
  }
}

/** Reads 24 bits: base class, subclass, programming interface. */
export function classCodeOf(pciFunction: PciFunction): number {
  return pciFunction.readConfig(PCI_CONFIG.revisionId, 4) >>> 8;
}
