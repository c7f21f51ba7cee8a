/**
 * Puts the ranges that BARs decode onto the port and memory buses.
 * Source: PCI Local Bus Specification 3.0, section 6.2.5.
 *
 * A guest may program anything: a range that meets another one is left out (on hardware both would answer) and is
 * tried again whenever a range moves away.
 * Not modelled: ranges below 1 MB, which the chipset's shadow control owns.
 */
import { unreachable } from '#base/errors.ts';
import { MIB, PAGE_BYTES } from '#base/units.ts';
import type { IoBus, IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';

export interface BarWindowsParts {
  readonly ports: IoBus;
  readonly memory: PhysicalMemory;
}

/** What answers in a memory range. */
export type MemoryWindow =
  | { readonly kind: 'mmio'; readonly device: IoDevice; readonly maxWidth?: Width }
  /** Pages of linear memory from byte offset `offset`: video memory, an option ROM. */
  | { readonly kind: 'ram' | 'rom' | 'tracked'; readonly offset: number };

interface Range {
  base: number | undefined;
  mapped: boolean;
  isFree(base: number): boolean;
  map(base: number): void;
  unmap(base: number): void;
}

/** The `onMoved` callback of a `PciBar`. */
export type BarMoved = (base: number | undefined) => void;

export class BarWindows {
  readonly #ports: IoBus;
  readonly #memory: PhysicalMemory;
  readonly #ranges: Range[] = [];

  constructor(parts: BarWindowsParts) {
    this.#ports = parts.ports;
    this.#memory = parts.memory;
  }

  /** @param portCount same as the BAR's `byteCount` */
  io(portCount: number, device: IoDevice, maxWidth: Width = 4): BarMoved {
    return this.#follow({
      base: undefined,
      mapped: false,
      isFree: (base) => base + portCount <= 0x1_0000 && this.#ports.isFree(base, portCount),
      map: (base) => this.#ports.map(base, portCount, device, { maxWidth }),
      unmap: (base) => this.#ports.unmap(base, portCount),
    });
  }

  /** @param byteCount same as the BAR's; whole pages */
  memory(byteCount: number, window: MemoryWindow): BarMoved {
    if (byteCount % PAGE_BYTES !== 0) unreachable('a memory BAR is whole pages');
    return this.#follow({
      base: undefined,
      mapped: false,
      isFree: (base) => this.#isMemoryFree(base, byteCount),
      map: (base) => {
        if (window.kind === 'mmio') this.#memory.mapMmio(base, byteCount, window.device, window.maxWidth ?? 4);
        else this.#memory.mapBacked(base, byteCount, window.offset, window.kind);
      },
      unmap: (base) => this.#memory.unmap(base, byteCount),
    });
  }

  #isMemoryFree(base: number, byteCount: number): boolean {
    if (base < MIB || base + byteCount > 0x1_0000_0000) return false;
    for (let at = base; at < base + byteCount; at += PAGE_BYTES) if (this.#memory.entry(at) !== 0) return false;
    return true;
  }

  #follow(range: Range): BarMoved {
    this.#ranges.push(range);
    return (base) => {
      if (range.mapped && range.base !== undefined) range.unmap(range.base);
      range.mapped = false;
      range.base = base;
      this.#mapWaiting();
    };
  }

  #mapWaiting(): void {
    for (const range of this.#ranges) {
      if (range.mapped || range.base === undefined || !range.isFree(range.base)) continue;
      range.map(range.base);
      range.mapped = true;
    }
  }
}
