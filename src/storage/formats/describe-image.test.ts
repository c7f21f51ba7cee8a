import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeImage, HEAD_BYTES, type ImageDescription, requireUsable } from './describe-image.ts';

/** A file put together from pieces at offsets. */
function file(size: number, pieces: Readonly<Record<number, string | readonly number[]>>): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const [at, piece] of Object.entries(pieces)) {
    bytes.set(typeof piece === 'string' ? [...piece].map((c) => c.charCodeAt(0)) : piece, Number(at));
  }
  return bytes;
}

const u32 = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
const u64 = (value: number): number[] => [...u32(value), ...u32(Math.floor(value / 2 ** 32))];
const SIGNATURE = { 510: [0x55, 0xaa] };
const mbrEntry = (status: number, type: number, first: number, count: number): number[] => [
  ...[status, 0, 0, 0, type, 0, 0, 0],
  ...u32(first),
  ...u32(count),
];

/** As the page calls it: with a head and a tail of the whole. */
function describeWhole(bytes: Uint8Array, name = 'a.img', size = bytes.length): ImageDescription {
  return describeImage(bytes.subarray(0, HEAD_BYTES), size, name, bytes.subarray(-512));
}

describe('what cannot be used', () => {
  it.each([
    ['gzip', { 0: [0x1f, 0x8b, 8] }, /gunzip/],
    ['xz', { 0: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] }, /unxz/],
    ['zip', { 0: 'PK\x03\x04' }, /unzip/],
    ['tar', { 257: 'ustar' }, /OVA/],
    ['vdi', { 0: '<<< Oracle VM VirtualBox Disk Image >>>\n', 64: [0x7f, 0x10, 0xda, 0xbe] }, /VDI.*raw/],
    ['vmdk', { 0: 'KDMV' }, /VMDK.*raw/],
    ['vmdk', { 0: '# Disk DescriptorFile\nversion=1' }, /without its data/],
    ['vhd', { 0: 'conectix' }, /VHD.*raw/],
    ['vhdx', { 0: 'vhdxfile' }, /VHDX.*raw/],
    ['qcow', { 0: [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1] }, /QCOW\)/],
    ['qcow2', { 0: [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3] }, /QCOW2.*qemu-img convert -f qcow2 -O raw/],
    ['bin-cue', { 0: [0, ...new Array(10).fill(0xff), 0] }, /2352/],
    ['html', { 0: '\n<!DOCTYPE html><title>404</title>' }, /web page/],
  ])('%s is named, with what to do', (format, pieces, message) => {
    const description = describeWhole(file(1 << 20, pieces), 'disk.bin');
    expect(description).toMatchObject({ format, medium: 'none', refusal: { code: 'bad-image' } });
    expect(description.refusal?.message).toMatch(message);
    expect(description.refusal?.message).toContain('disk.bin');
    expect(() => requireUsable(description)).toThrowError(message);
  });

  it.each([
    ['conectix', 'vhd'],
    ['koly', 'dmg'],
  ])('a footer %s is found at the end', (footer, format) => {
    const bytes = file((1 << 20) + 512, { ...SIGNATURE, [1 << 20]: footer });
    expect(describeWhole(bytes).format).toBe(format);
    expect(describeImage(bytes.subarray(0, HEAD_BYTES), bytes.length, 'a.vhd').format).toBe('raw');
  });

  it('an empty file', () => {
    expect(describeWhole(new Uint8Array(0)).refusal?.message).toMatch(/0 bytes/);
  });

  it('an ELF for another processor', () => {
    const arm = file(1000, { 0: '\x7fELF', 4: [1, 1], 18: [40, 0] });
    expect(describeWhole(arm).refusal?.message).toMatch(/another processor/);
  });
});

describe('optical media', () => {
  const volume = (sectors: number): Record<number, string | number[]> => ({
    32768: '\x01CD001\x01',
    [0x8000 + 40]: 'MY CD'.padEnd(32),
    [0x8000 + 80]: u32(sectors),
    34816: '\x00CD001\x01EL TORITO SPECIFICATION',
    36864: '\xffCD001\x01',
  });

  it('an ISO 9660 image with its label and whether it boots', () => {
    const size = 100 * 2048;
    expect(describeWhole(file(size, volume(100)), 'x.iso')).toMatchObject({
      medium: 'optical',
      format: 'iso9660',
      label: 'MY CD',
      bootable: true,
      sectorCount: 400,
      advice: [],
      summary: 'CD or DVD image, "MY CD", 200 KB, bootable',
      refusal: undefined,
    });
    const { 0x8800: _boot, ...noBoot } = volume(100);
    expect(describeWhole(file(size, noBoot)).bootable).toBe(false);
  });

  it('a hybrid that also is a disk', () => {
    const hybrid = { ...volume(100), ...SIGNATURE, 446: mbrEntry(0x80, 0x17, 64, 300) };
    const description = describeWhole(file(100 * 2048, hybrid));
    expect(description.medium).toBe('optical');
    expect(description.advice.join()).toMatch(/hybrid/);
  });

  it('one whose download broke off', () => {
    expect(describeWhole(file(100 * 2048, volume(5000))).advice.join()).toMatch(/did not finish/);
  });

  it('UDF without ISO 9660', () => {
    const udf = file(100 * 2048, { 32768: '\x00BEA01', 34816: '\x00NSR02', 36864: '\x00TEA01' });
    expect(describeWhole(udf)).toMatchObject({ medium: 'optical', format: 'udf' });
  });

  it('a file that only is called .iso', () => {
    expect(describeWhole(new Uint8Array(1 << 20), 'x.ISO').advice.join()).toMatch(/in spite of its name/);
  });
});

describe('kernels', () => {
  const setup = { ...SIGNATURE, 514: 'HdrS', 518: [0x0d, 0x02], 526: [0x00, 0x30] };

  it('Linux, with its version', () => {
    const image = file(1 << 20, { ...setup, 529: [1], 566: [1, 0], 12800: '6.1.0-9-amd64 (debian) #1\0' });
    expect(describeWhole(image, 'vmlinuz')).toMatchObject({
      medium: 'kernel',
      format: 'bzimage',
      kernel: { version: '6.1.0-9-amd64', bits: 64 },
      summary: 'Linux kernel 6.1.0-9-amd64, 64-bit, 1.0 MB',
    });
    expect(describeWhole(file(1 << 20, setup))).toMatchObject({ format: 'zimage', kernel: { bits: 32 } });
  });

  it.each([
    [1, 0x1000, [...u32(0x1badb002), ...u32(3), ...u32(-(0x1badb002 + 3))]],
    [2, 0x3000, [...u32(0xe85250d6), ...u32(0), ...u32(24), ...u32(-(0xe85250d6 + 24))]],
    [0, 0x1000, [...u32(0x1badb002), ...u32(3), ...u32(5)]],
    [0, 0x2004, [...u32(0x1badb002), ...u32(3), ...u32(-(0x1badb002 + 3))]],
  ])('ELF with Multiboot %i', (multiboot, at, header) => {
    const image = file(40_000, { 0: '\x7fELF', 4: [1, 1], 18: [3, 0], [at]: header });
    expect(describeWhole(image)).toMatchObject({ medium: 'kernel', format: 'elf', kernel: { multiboot, bits: 32 } });
  });
});

describe('disks', () => {
  it('an MBR with its partitions', () => {
    const image = file(1 << 20, {
      ...SIGNATURE,
      446: mbrEntry(0x80, 0x83, 63, 1000),
      462: mbrEntry(0, 0x82, 1063, 900),
    });
    expect(describeWhole(image)).toMatchObject({
      medium: 'hard-disk',
      format: 'raw',
      bootable: true,
      partitions: [
        { number: 1, firstSector: 63, sectorCount: 1000, type: '83', active: true },
        { number: 2, firstSector: 1063, sectorCount: 900, type: '82', active: false },
      ],
      summary: 'raw hard disk image, MBR with 2 partitions, 1.0 MB',
      advice: [],
    });
  });

  it('one that is cut off', () => {
    const image = file(1 << 20, { ...SIGNATURE, 446: mbrEntry(0x80, 0x83, 63, 100_000) });
    expect(describeWhole(image).advice.join()).toMatch(/cut off/);
  });

  it('boot code that is no partition table', () => {
    const image = file(1 << 20, { ...SIGNATURE, 446: mbrEntry(0x33, 0x83, 63, 1000) });
    expect(describeWhole(image)).toMatchObject({ partitions: [], bootable: true, medium: 'hard-disk' });
  });

  it('a GPT with type, place and name', () => {
    const efi = [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
    const image = file(1 << 20, {
      ...SIGNATURE,
      446: mbrEntry(0, 0xee, 1, 0xffffffff),
      512: 'EFI PART',
      [512 + 72]: u64(2),
      [512 + 80]: u32(128),
      [512 + 84]: u32(128),
      1024: efi,
      [1024 + 32]: u64(34),
      [1024 + 40]: u64(133),
      [1024 + 56]: [...'EFI'].flatMap((c) => [c.charCodeAt(0), 0]),
    });
    expect(describeWhole(image)).toMatchObject({
      summary: 'raw hard disk image, GPT with 1 partition, 1.0 MB',
      partitions: [
        { number: 1, firstSector: 34, sectorCount: 100, name: 'EFI', type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' },
      ],
      advice: [],
    });
    const large = file(1 << 20, { 4096: 'EFI PART' });
    expect(describeWhole(large).advice.join()).toMatch(/4096-byte/);
  });

  it('a bare file system', () => {
    const ext = describeWhole(file(1 << 20, { 1080: [0x53, 0xef] }));
    expect(ext.summary).toMatch(/ext2\/3\/4 file system/);
    expect(ext.advice.join()).toMatch(/root=/);
  });

  it.each([
    [1_474_560, 80, 2, 18],
    [737_280, 80, 2, 9],
    [1_228_800, 80, 2, 15],
    [2_949_120, 80, 2, 36],
    [368_640, 40, 2, 9],
    [163_840, 40, 1, 8],
  ])('a floppy of %i bytes', (size, cylinders, heads, sectorsPerTrack) => {
    const fat = { 0: [0xeb, 0x3c, 0x90], 11: [0, 2, 1], 16: [2], 21: [0xf0], ...SIGNATURE };
    expect(describeWhole(file(size, fat))).toMatchObject({
      medium: 'floppy',
      floppy: { cylinders, heads, sectorsPerTrack },
      bootable: true,
    });
    expect(describeWhole(file(size + 512, fat)).medium).toBe('hard-disk');
  });

  it('an odd size, padded up to a sector', () => {
    expect(describeWhole(new Uint8Array(1000))).toMatchObject({ sectorCount: 2, padBytes: 24, refusal: undefined });
    expect(describeWhole(new Uint8Array(1000)).advice.join()).toMatch(/24 zero bytes/);
  });
});

it('says something about any bytes whatever', () => {
  const signatures = [
    [0x55, 0xaa],
    [...'EFI PART'].map((c) => c.charCodeAt(0)),
    [...'CD001'].map((c) => c.charCodeAt(0)),
    [...'\x7fELF'].map((c) => c.charCodeAt(0)),
    [...'HdrS'].map((c) => c.charCodeAt(0)),
  ];
  const places = [0, 0x1fe, 0x202, 512, 0x8001, 4096];
  const planted = fc.array(fc.tuple(fc.constantFrom(...places), fc.constantFrom(...signatures)), { maxLength: 5 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), planted, fc.nat(), fc.string(), (noise, pieces, size, name) => {
      const head = new Uint8Array(40_000);
      for (let at = 0; at < head.length; at += Math.max(1, noise.length))
        head.set(noise.subarray(0, head.length - at), at);
      for (const [at, bytes] of pieces) head.set(bytes, at);
      const description = describeImage(head.subarray(0, size), size, name, head.subarray(-512));
      expect(description.sectorCount * 512).toBe(size + description.padBytes);
      expect(description.summary).not.toBe('');
      expect(structuredClone(description)).toEqual(description);
    }),
  );
});
