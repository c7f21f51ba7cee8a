import { describe, expect, it } from 'vitest';
import { RAM_AT, ram } from './ram.suite.ts';
import { optionRomBarBytes, parseOptionRom, placeOptionRom, placeSystemRom } from './roms.ts';

function bios(byteCount: number): Uint8Array {
  const image = new Uint8Array(byteCount).map((_, i) => (i >> 12) & 0xff);
  image[byteCount - 16] = 0xea;
  return image;
}

function optionRom(blocks: number, vendorId = 0x1234, deviceId = 0x1111): Uint8Array {
  const image = new Uint8Array(blocks * 512);
  image.set([0x55, 0xaa, blocks]);
  image[0x18] = 0x40;
  image.set([0x50, 0x43, 0x49, 0x52, vendorId & 0xff, vendorId >> 8, deviceId & 0xff, deviceId >> 8], 0x40);
  image[image.length - 1] = -image.reduce((sum, b) => sum + b, 0) & 0xff;
  return image;
}

describe('system ROM', () => {
  it('ends at 4 GB and offers its last 128 KB to the first megabyte', () => {
    const memory = ram(0x10_0000, 0x4_0000);
    const image = bios(0x4_0000);
    const placed = placeSystemRom(memory, image, RAM_AT + 0x10_0000);
    expect(memory.readSized(0xffff_fff0, 1)).toBe(0xea);
    expect(memory.readSized(0xfffc_1000, 1)).toBe(1);
    memory.writeSized(0xffff_fff0, 1, 0);
    expect(memory.readSized(0xffff_fff0, 1)).toBe(0xea);
    expect(placed.legacy).toEqual({ base: 0xe_0000, byteCount: 0x2_0000, offset: RAM_AT + 0x10_0000 + 0x2_0000 });
  });

  it('puts a 64 KB image into the F segment only', () => {
    const placed = placeSystemRom(ram(0x10_0000, 0x1_0000), bios(0x1_0000), RAM_AT + 0x10_0000);
    expect(placed.legacy).toMatchObject({ base: 0xf_0000, byteCount: 0x1_0000 });
  });

  it.each([
    ['odd size', new Uint8Array(100_000)],
    ['too small', bios(0x8000)],
    ['too big', new Uint8Array(0x200_0000)],
    ['no reset vector', new Uint8Array(0x1_0000)],
  ])('refuses an image: %s', (_why, image) => {
    expect(() => placeSystemRom(ram(0x10_0000), image, RAM_AT)).toThrow(
      expect.objectContaining({ code: 'bad-system-rom' }),
    );
  });
});

describe('expansion ROM', () => {
  it('reads the header and the PCI data structure', () => {
    expect(parseOptionRom(optionRom(78))).toEqual({ byteCount: 78 * 512, vendorId: 0x1234, deviceId: 0x1111 });
    expect(optionRomBarBytes(optionRom(78))).toBe(0x1_0000);
  });

  it('fills the rest of its BAR with ones', () => {
    const memory = ram(0x10_0000, 0x1_0000);
    const at = RAM_AT + 0x10_0000;
    const placed = placeOptionRom(memory, optionRom(9), at, { vendorId: 0x1234, deviceId: 0x1111 });
    expect(placed).toEqual({ byteCount: 8192, offset: at });
    expect(memory.bytes[at + 1]).toBe(0xaa);
    expect(memory.bytes[at + 9 * 512]).toBe(0xff);
  });

  it.each([
    ['signature', Uint8Array.of(1, 2, 3)],
    ['cut off', optionRom(9).subarray(0, 1024)],
    ['checksum', optionRom(9).fill(1, 100, 101)],
  ])('refuses a bad image: %s', (_why, image) => {
    expect(() => parseOptionRom(image)).toThrow(expect.objectContaining({ code: 'bad-option-rom' }));
  });

  it('refuses the ROM of another device', () => {
    const wanted = { vendorId: 0x8086, deviceId: 0x100e };
    expect(() => placeOptionRom(ram(0x10_0000), optionRom(9), RAM_AT, wanted)).toThrow(
      expect.objectContaining({ code: 'bad-option-rom', details: expect.objectContaining({ deviceId: 0x1111 }) }),
    );
  });
});
