import { expect, it } from 'vitest';
import type { MemoryWindow } from './bar-windows.ts';
import { expansionRom } from './expansion-rom.ts';

const KIB = 1024;

/** A ROM of iPXE's layout: PCI data structure at 1Ch, a checksum of zero. */
function image(vendorId: number, deviceId: number): Uint8Array {
  const bytes = new Uint8Array(3 * KIB).fill(0x5a);
  const view = new DataView(bytes.buffer);
  bytes.set([0x55, 0xaa, 5]);
  view.setUint16(0x18, 0x1c, true);
  bytes.set(Buffer.from('PCIR'), 0x1c);
  view.setUint16(0x20, vendorId, true);
  view.setUint16(0x22, deviceId, true);
  bytes[6] -= sum(bytes);
  return bytes;
}

/** Of what the header counts. */
const sum = (bytes: Uint8Array): number => bytes.subarray(0, bytes[2] * 512).reduce((a, b) => a + b, 0) & 0xff;

/** What the function shows behind its BAR. */
function shown(rom: Uint8Array, byteCount: number): Uint8Array {
  let window: MemoryWindow | undefined;
  const windows = {
    memory: (_bytes: number, backing: MemoryWindow) => {
      window = backing;
      return () => {};
    },
  };
  const bar = expansionRom(rom, windows, { vendorId: 0x1af4, deviceId: 0x1000 });
  expect(bar.byteCount).toBe(byteCount);
  if (window?.kind !== 'mmio') throw new Error('not there');
  const { device } = window;
  return Uint8Array.from({ length: byteCount }, (_, at) => device.read(at, 1));
}

it('names the function that it is found at, and its checksum holds', () => {
  const bytes = shown(image(0x1af4, 0x1041), 4 * KIB);
  expect(Buffer.from(bytes.subarray(0x20, 0x24)).toString('hex')).toBe('f41a0010');
  expect(sum(bytes)).toBe(0);
  expect(bytes[3 * KIB]).toBe(0xff);
});

it("is left alone when it is that function's, and when it is no PCI ROM", () => {
  const own = image(0x1af4, 0x1000);
  expect(shown(own, 4 * KIB).subarray(0, own.length)).toEqual(own);
  const other = image(0x1af4, 0x1041).fill(0, 0x1c, 0x20);
  expect(shown(other, 4 * KIB).subarray(0, other.length)).toEqual(other);
  const cutOff = image(0x1af4, 0x1041).subarray(0, 0x18);
  expect(shown(cutOff, 4 * KIB).subarray(0, cutOff.length)).toEqual(cutOff);
});
