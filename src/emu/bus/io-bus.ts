import { CodedError } from '#base/errors.ts';

/** Access size in bytes. */
export type Width = 1 | 2 | 4;

/**
 * A block of device registers, in port or memory space.
 *
 * A device never learns where it is mapped: `offset` is relative to its base, in bytes.
 * Values are unsigned: 0 <= value < 2^(8 * width).
 * It never throws on guest input: a guest can do nothing that is our error.
 */
export interface IoDevice {
  read(offset: number, width: Width): number;
  write(offset: number, width: Width, value: number): void;
}

interface Mapping {
  readonly base: number;
  readonly ports: number;
  readonly device: IoDevice;
  /** Widest access the device takes; wider ones are split by the bus, low address first. */
  readonly maxWidth: Width;
}

export interface PortMapOptions {
  /** Widest access the device decodes, default 1 (ISA 8-bit device). Wider accesses become several narrower ones. */
  readonly maxWidth?: Width;
}

const PORTS = 0x1_0000;

/** Routes port accesses (16-bit space) to devices; unmapped reads float to all ones. */
export class IoBus {
  readonly #slots: (Mapping | undefined)[] = new Array<Mapping | undefined>(PORTS).fill(undefined);

  /** @throws CodedError<'overlap'> when the range meets an existing one. */
  map(base: number, ports: number, device: IoDevice, options: PortMapOptions = {}): void {
    for (let p = base; p < base + ports; p++) {
      if (this.#slots[p]) {
        throw new CodedError('overlap', 'port ranges overlap', { base, ports, port: p });
      }
    }
    const mapping: Mapping = { base, ports, device, maxWidth: options.maxWidth ?? 1 };
    this.#slots.fill(mapping, base, base + ports);
  }

  /** Removes a range mapped before, for PCI BARs that move. */
  unmap(base: number, ports: number): void {
    this.#slots.fill(undefined, base, base + ports);
  }

  /** True when no port of the range has a device. */
  isFree(base: number, ports: number): boolean {
    for (let p = base; p < base + ports; p++) if (this.#slots[p & 0xffff]) return false;
    return true;
  }

  read(port: number, width: Width): number {
    const m = this.#slots[port];
    if (m && width <= m.maxWidth && port + width <= m.base + m.ports) return m.device.read(port - m.base, width);
    if (width === 1) return 0xff;
    const half = (width >> 1) as Width;
    const low = this.read(port, half);
    const high = this.read((port + half) & 0xffff, half);
    return half === 1 ? low | (high << 8) : (low | (high << 16)) >>> 0;
  }

  write(port: number, width: Width, value: number): void {
    const m = this.#slots[port];
    if (m && width <= m.maxWidth && port + width <= m.base + m.ports) {
      m.device.write(port - m.base, width, value);
      return;
    }
    if (width === 1) return;
    const half = (width >> 1) as Width;
    const bits = half * 8;
    const mask = half === 1 ? 0xff : 0xffff;
    this.write(port, half, value & mask);
    this.write((port + half) & 0xffff, half, (value >>> bits) & mask);
  }
}
