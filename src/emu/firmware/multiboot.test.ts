import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { directBootMemoryMap } from './memory-map.ts';
import { type MultibootBoot, prepareMultiboot } from './multiboot.ts';
import { isMultiboot } from './multiboot-image.ts';
import { bytesAt, ram, textAt } from './ram.suite.ts';

const MAGIC = 0x1bad_b002;
const RAM = 4 * 1024 * 1024;

function putHeader(image: Uint8Array, at: number, flags: number, fields: readonly number[] = []): Uint8Array {
  const view = new DataView(image.buffer);
  view.setUint32(at, MAGIC, true);
  view.setUint32(at + 4, flags, true);
  view.setUint32(at + 8, -(MAGIC + flags), true);
  fields.forEach((field, i) => {
    view.setUint32(at + 12 + i * 4, field, true);
  });
  return image;
}

/** An ELF with one segment: 4096 file bytes at 100000h, 8192 in memory, linked at C0100000h. */
function elf(flags = 3, change: (view: DataView) => void = () => {}): Uint8Array {
  const image = new Uint8Array(0x2000);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, 0xc010_0020, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  for (const [i, v] of [1, 0x1000, 0xc010_0000, 0x10_0000, 0x1000, 0x2000, 7, 0x1000].entries()) {
    view.setUint32(52 + i * 4, v, true);
  }
  image.fill(0xcc, 0x1000, 0x2000);
  putHeader(image, 0x1000, flags);
  change(view);
  return image;
}

const boot = (kernel: Uint8Array, over: Partial<MultibootBoot> = {}): MultibootBoot => ({
  kernel,
  modules: [],
  commandLine: 'kernel debug',
  memoryMap: directBootMemoryMap(RAM),
  ...over,
});

describe('an ELF kernel with modules', () => {
  const memory = ram(RAM);
  memory.writeSized(0x10_1800, 4, 0xffff_ffff);
  const modules = [
    { bytes: new Uint8Array(5000).fill(1), commandLine: 'first a=1' },
    { bytes: Uint8Array.of(2, 2), commandLine: 'second' },
  ];
  const entry = prepareMultiboot(memory, boot(elf(), { modules }));
  const info = entry.registers.ebx;
  const u32 = (at: number) => memory.readU32(at);

  it('starts at the physical entry with the loader magic', () => {
    expect(entry).toMatchObject({ eip: 0x10_0020, registers: { eax: 0x2bad_b002 }, cr0: 0x11 });
    expect(memory.readSized(0x10_0100, 1)).toBe(0xcc);
    expect(u32(0x10_1800)).toBe(0);
  });

  it('describes memory and names in the information structure', () => {
    expect(u32(info)).toBe(0x24d);
    expect([u32(info + 4), u32(info + 8)]).toEqual([639, 3 * 1024]);
    expect(textAt(memory, u32(info + 16))).toBe('kernel debug');
    expect(textAt(memory, u32(info + 64))).toBe('TabBox');
  });

  it('puts modules on pages behind the kernel', () => {
    expect(u32(info + 20)).toBe(2);
    const list = u32(info + 24);
    const found = [0, 1].map((i) => [
      u32(list + 16 * i),
      u32(list + 16 * i + 4),
      textAt(memory, u32(list + 16 * i + 8)),
    ]);
    expect(found).toEqual([
      [0x10_2000, 0x10_2000 + 5000, 'first a=1'],
      [0x10_4000, 0x10_4002, 'second'],
    ]);
    expect([...bytesAt(memory, 0x10_4000, 2)]).toEqual([2, 2]);
  });

  it('walks the memory map by entry sizes', () => {
    const start = u32(info + 48);
    const end = start + u32(info + 44);
    const map: number[][] = [];
    for (let at = start; at < end; at += u32(at) + 4) map.push([u32(at + 4), u32(at + 12), u32(at + 20)]);
    expect(map).toEqual([
      [0, 0x9_fc00, 1],
      [0x9_fc00, 0x400, 2],
      [0xe_0000, 0x2_0000, 2],
      [0x10_0000, RAM - 0x10_0000, 1],
    ]);
  });

  it('keeps its blocks apart', () => {
    expect(entry.gdt.base).toBeGreaterThanOrEqual(0x10_4002);
    expect(info).toBeGreaterThanOrEqual(entry.gdt.base + 32);
    expect(bytesAt(memory, entry.gdt.base + 16, 8)).toEqual(Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0));
  });
});

describe('address fields', () => {
  it('loads a flat file where its header says', () => {
    const image = putHeader(
      new Uint8Array(0x400),
      0x40,
      0x1_0003,
      [0x20_0040, 0x20_0000, 0x20_0300, 0x20_0800, 0x20_0123],
    );
    image.fill(9, 0x100, 0x400);
    const memory = ram(RAM);
    memory.writeSized(0x20_0400, 1, 0xff);
    const entry = prepareMultiboot(memory, boot(image));
    expect(entry.eip).toBe(0x20_0123);
    expect([0x20_0100, 0x20_02ff, 0x20_0300, 0x20_0400].map((at) => memory.readSized(at, 1))).toEqual([9, 9, 0, 0]);
  });

  it('loads to the end of the file when no end is given', () => {
    const image = putHeader(new Uint8Array(0x100), 0, 0x1_0000, [0x10_0000, 0x10_0000, 0, 0, 0x10_0000]);
    image[0xff] = 0x77;
    const memory = ram(RAM);
    prepareMultiboot(memory, boot(image));
    expect(memory.readSized(0x10_00ff, 1)).toBe(0x77);
  });
});

describe('refusals', () => {
  const graphics = () =>
    putHeader(new Uint8Array(0x100), 0, 0x1_0004, [0x10_0000, 0x10_0000, 0, 0, 0x10_0000, 0, 1024, 768, 32]);
  const outside = putHeader(new Uint8Array(0x100), 0, 0x1_0000, [0x10_0000, 0x10_0000, 0x20_0000, 0, 0]);
  const late = putHeader(new Uint8Array(0x4000), 8192, 0);
  it.each([
    ['not-multiboot', boot(new Uint8Array(0))],
    ['not-multiboot', boot(new Uint8Array(20_000))],
    ['not-multiboot', boot(late)],
    ['multiboot-feature', boot(graphics())],
    ['multiboot-feature', boot(elf(0x8))],
    ['multiboot-image', boot(outside)],
    ['multiboot-image', boot(elf(3, (view) => view.setUint8(4, 2)))],
    ['multiboot-image', boot(elf(3, (view) => view.setUint32(52 + 16, 0x9000, true)))],
    ['multiboot-image', boot(putHeader(new Uint8Array(0x100), 0, 0))],
    ['kernel-outside-ram', boot(elf(3, (view) => view.setUint32(52 + 12, 0x9_f000, true)))],
    ['kernel-outside-ram', boot(elf(3, (view) => view.setUint32(52 + 20, RAM, true)))],
    ['modules-too-big', boot(elf(), { modules: [{ bytes: new Uint8Array(RAM), commandLine: '' }] })],
  ])('%s', (expected, request) => {
    const memory = ram(RAM);
    expect(() => prepareMultiboot(memory, request)).toThrow(expect.objectContaining({ code: expected }));
    expect(memory.readU16(0x413)).toBe(0);
  });

  it('survives random damage with a coded error or a boot', () => {
    const memory = ram(RAM);
    const damage = fc.array(fc.tuple(fc.integer({ min: 0, max: 0x5f }), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(damage, fc.boolean(), (changes, flat) => {
        const kernel = flat ? putHeader(new Uint8Array(0x100), 0, 0x1_0000, [0x10_0000, 0x10_0000, 0, 0, 0]) : elf();
        for (const [at, value] of changes) kernel[at] = value;
        try {
          prepareMultiboot(memory, boot(kernel));
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
    );
  });
});

it('recognises Multiboot files', () => {
  expect(isMultiboot(elf())).toBe(true);
  expect(isMultiboot(new Uint8Array(8))).toBe(false);
});
