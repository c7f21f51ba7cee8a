/**
 * An option ROM behind a function's expansion ROM BAR.
 * Source: PCI Local Bus Specification 3.0, sections 6.2.5.2 and 6.3.
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { BarWindows } from './bar-windows.ts';
import type { PciBar } from './pci-function.ts';

/** A BAR is at least a page here. */
const SMALLEST = 0x1000;

/** @param rom up to 16 MB; behind it all ones are read */
export function expansionRom(rom: Uint8Array, windows: Pick<BarWindows, 'memory'>): PciBar {
  const byteCount = 2 ** Math.ceil(Math.log2(Math.max(rom.length, SMALLEST)));
  const device: IoDevice = {
    read: (offset, width) => {
      let value = 0;
      for (let i = 0; i < width; i++) value |= (rom[offset + i] ?? 0xff) << (i * 8);
      return value >>> 0;
    },
    write: () => {},
  };
  return { index: 'rom', space: 'memory', byteCount, onMoved: windows.memory(byteCount, { kind: 'mmio', device }) };
}
