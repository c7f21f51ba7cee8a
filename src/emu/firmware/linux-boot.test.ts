import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { type LinuxBoot, parseLinuxHeader, prepareLinuxBoot } from './linux-boot.ts';
import { directBootMemoryMap, E820 } from './memory-map.ts';
import { bytesAt, ram, textAt } from './ram.suite.ts';

interface KernelShape {
  version?: number;
  codeBytes?: number;
  xloadflags?: number;
  initBytes?: number;
  preferred?: number;
  initrdMax?: number;
  loadFlags?: number;
}

/** A bzImage with a header and code bytes that count up. */
function bzImage(shape: KernelShape = {}): Uint8Array {
  const codeBytes = shape.codeBytes ?? 0x1000;
  const setupSectors = 4;
  const image = new Uint8Array((setupSectors + 1) * 512 + codeBytes);
  const view = new DataView(image.buffer);
  image[0x1f1] = setupSectors;
  view.setUint32(0x1f4, codeBytes / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint16(0x200, 0x66eb, true);
  image.set([0x48, 0x64, 0x72, 0x53], 0x202);
  view.setUint16(0x206, shape.version ?? 0x20f, true);
  image[0x211] = shape.loadFlags ?? 1;
  view.setUint32(0x214, 0x10_0000, true);
  view.setUint32(0x22c, shape.initrdMax ?? 0x7fff_ffff, true);
  view.setUint16(0x236, shape.xloadflags ?? 0, true);
  view.setUint32(0x238, 2047, true);
  view.setUint32(0x258, shape.preferred ?? 0x10_0000, true);
  view.setUint32(0x260, shape.initBytes ?? 0x2_0000, true);
  for (let i = 0; i < codeBytes; i++) image[2560 + i] = i * 7;
  return image;
}

const RAM = 8 * 1024 * 1024;
const boot = (over: Partial<LinuxBoot> = {}): LinuxBoot => ({
  kernel: bzImage(),
  commandLine: 'console=ttyS0',
  memoryMap: directBootMemoryMap(RAM),
  cpuHasLongMode: false,
  ...over,
});
const code = (over: Partial<LinuxBoot>) => {
  const memory = ram(RAM);
  try {
    prepareLinuxBoot(memory, boot(over));
  } catch (error) {
    expect(bytesAt(memory, 0x1_0000, 16).every((b) => b === 0)).toBe(true);
    return error instanceof CodedError ? error.code : error;
  }
  return 'booted';
};

describe('what the kernel finds', () => {
  const memory = ram(RAM);
  const initrd = new Uint8Array(5000).fill(0x5a);
  const entry = prepareLinuxBoot(memory, boot({ initrd, rsdpAddress: 0xf_0010 }));
  const params = entry.registers.esi;
  const u32 = (at: number) => memory.readU32(at);

  it('starts in flat protected mode at the protected-mode code', () => {
    expect(entry).toMatchObject({
      eip: 0x10_0000,
      cr0: 0x11,
      eflags: 2,
      cs: { selector: 0x10, base: 0, limit: 0xffff_ffff },
      data: { selector: 0x18, base: 0, limit: 0xffff_ffff },
      registers: { ebp: 0, edi: 0, ebx: 0 },
    });
    expect([...bytesAt(memory, 0x10_0000, 4)]).toEqual([0, 7, 14, 21]);
    const gdt = bytesAt(memory, entry.gdt.base, 32);
    expect([...gdt.subarray(16)]).toEqual([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]);
  });

  it('keeps the setup header and says where things are', () => {
    expect(u32(params + 0x202)).toBe(0x5372_6448);
    expect(memory.readU16(params + 0x206)).toBe(0x20f);
    expect(memory.readSized(params + 0x210, 1)).toBe(0xff);
    expect(textAt(memory, u32(params + 0x228))).toBe('console=ttyS0');
    expect(u32(params + 0x070)).toBe(0xf_0010);
    expect(memory.readSized(params + 0x1ef, 1)).toBe(0);
  });

  it('has its RAM disk on the last pages of memory', () => {
    const at = u32(params + 0x218);
    expect(at).toBe(RAM - 8192);
    expect(u32(params + 0x21c)).toBe(5000);
    expect(bytesAt(memory, at, 5000)).toEqual(initrd);
  });

  it('has the memory map and the screen', () => {
    const count = memory.readSized(params + 0x1e8, 1);
    const map = Array.from({ length: count }, (_, i) => {
      const at = params + 0x2d0 + i * 20;
      return [u32(at), u32(at + 8), u32(at + 16)];
    });
    expect(map).toEqual([
      [0, 0x9_fc00, 1],
      [0x9_fc00, 0x400, 2],
      [0xe_0000, 0x2_0000, 2],
      [0x10_0000, RAM - 0x10_0000, 1],
    ]);
    expect([6, 7, 0xe, 0xf, 0x10].map((o) => memory.readSized(params + o, 1))).toEqual([3, 80, 25, 1, 16]);
    expect(u32(params + 0x1e0)).toBe(7 * 1024);
    expect(memory.readU16(0x413)).toBe(639);
  });
});

describe('limits', () => {
  it('keeps the RAM disk below the kernel limit and below reserved memory', () => {
    const memory = ram(RAM);
    const initrd = new Uint8Array(4096);
    prepareLinuxBoot(memory, boot({ initrd, kernel: bzImage({ initrdMax: 0x3f_ffff }) }));
    expect(memory.readU32(0x1_0218)).toBe(0x3f_f000);
    const reserved = [{ base: RAM - 0x1_0000, byteCount: 0x1_0000, type: E820.reserved }];
    prepareLinuxBoot(memory, boot({ initrd, memoryMap: directBootMemoryMap(RAM, reserved) }));
    expect(memory.readU32(0x1_0218)).toBe(RAM - 0x1_1000);
  });

  it('takes old protocols with their defaults', () => {
    const header = parseLinuxHeader(bzImage({ version: 0x202 }));
    expect(header).toMatchObject({
      initrdMax: 0x37ff_ffff,
      commandLineMax: 255,
      is64Bit: false,
      runtimeEnd: 0x10_1000,
    });
  });

  it.each([
    ['not-a-linux-kernel', { kernel: new Uint8Array(100) }],
    ['not-a-linux-kernel', { kernel: new Uint8Array(100_000) }],
    ['kernel-too-old', { kernel: bzImage({ version: 0x201 }) }],
    ['kernel-too-old', { kernel: bzImage({ loadFlags: 0 }) }],
    ['kernel-truncated', { kernel: bzImage().subarray(0, 4000) }],
    ['kernel-64-bit', { kernel: bzImage({ xloadflags: 3 }) }],
    ['booted', { kernel: bzImage({ xloadflags: 3 }), cpuHasLongMode: true }],
    ['kernel-too-big', { kernel: bzImage({ initBytes: RAM }) }],
    ['kernel-too-big', { kernel: bzImage({ preferred: 0x100_0000 }) }],
    ['initrd-too-big', { initrd: new Uint8Array(RAM - 0x12_0000 + 1) }],
    ['booted', { initrd: new Uint8Array(RAM - 0x12_0000) }],
    ['bad-command-line', { commandLine: 'x'.repeat(2048) }],
    ['bad-command-line', { commandLine: 'a\u0000b' }],
    ['bad-command-line', { commandLine: 'grüße' }],
  ] as const)('%s', (expected, over) => {
    expect(code(over)).toBe(expected);
  });

  it('answers random files and random damage with a coded error or a boot, never anything else', () => {
    const good = bzImage({ codeBytes: 64 });
    const damage = fc.array(fc.tuple(fc.integer({ min: 0x1f1, max: 0x268 }), fc.nat(255)), { maxLength: 12 });
    const memory = ram(RAM);
    fc.assert(
      fc.property(damage, fc.nat(good.length), (changes, length) => {
        const kernel = good.slice(0, length < 0x300 ? good.length : length);
        for (const [at, value] of changes) if (at < kernel.length) kernel[at] = value;
        try {
          const entry = prepareLinuxBoot(memory, boot({ kernel, initrd: new Uint8Array(10) }));
          expect(entry.eip).toBe(0x10_0000);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
    );
  });
});
