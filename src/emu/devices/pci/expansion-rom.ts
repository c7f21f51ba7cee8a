/**
 * An option ROM behind a function's expansion ROM BAR.
 * Source: PCI Local Bus Specification 3.0, sections 6.2.5.2 and 6.3.
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { BarWindows } from './bar-windows.ts';
import type { PciBar } from './pci-function.ts';

/** A BAR is at least a page here. */
const SMALLEST = 0x1000;

/** Of an image's header: of 512 bytes each, and where the PCI data structure is. */
const HEADER = { blocks: 2, free: 6, pciData: 0x18 } as const;
/** Of the PCI data structure. */
const PCI_DATA = { signature: 0, vendorId: 4, deviceId: 6 } as const;
const PCIR = 0x5249_4350;

/** What the ROM's function is. */
export interface RomIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
}

/**
 * The image with the function's identifiers in place of its own, for a ROM that serves several devices: firmware runs
 * only what names the function that it is found at. Byte 6, which the specification leaves to the image, evens out the
 * checksum, as iPXE means it to.
 */
function programmed(rom: Uint8Array, { vendorId, deviceId }: RomIdentity): Uint8Array {
  const image = rom.slice();
  const view = new DataView(image.buffer);
  const at = image.length > HEADER.pciData + 2 ? view.getUint16(HEADER.pciData, true) : 0;
  if (at + PCI_DATA.deviceId + 2 > image.length || view.getUint32(at, true) !== PCIR) return rom;
  view.setUint16(at + PCI_DATA.vendorId, vendorId, true);
  view.setUint16(at + PCI_DATA.deviceId, deviceId, true);
  const sum = image.subarray(0, image[HEADER.blocks] * 512).reduce((total, byte) => total + byte, 0);
  image[HEADER.free] -= sum;
  return image;
}

/** @param image up to 16 MB, for the function or one like it; behind it all ones are read */
export function expansionRom(image: Uint8Array, windows: Pick<BarWindows, 'memory'>, identity: RomIdentity): PciBar {
  const rom = programmed(image, identity);
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
