import { beforeEach, describe, expect, it } from 'vitest';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { I440fx } from './i440fx.ts';

const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;
const RAM_BYTES = 0x20_0000;
const ROM_AT = RAM_AT + RAM_BYTES;
let memory: PhysicalMemory;
let bridge: I440fx;
let videoMapped: number;

beforeEach(() => {
  memory = new PhysicalMemory({
    buffer: new SharedArrayBuffer(ROM_AT + 0x2_0000),
    pageMapAt: 0,
    dirtyMapAt: PAGE_MAP_BYTES,
  });
  memory.mapBacked(0, RAM_BYTES, RAM_AT, 'ram');
  memory.bytes.fill(0xbb, ROM_AT, ROM_AT + 0x2_0000);
  videoMapped = 0;
  bridge = new I440fx({
    memory,
    ramAt: RAM_AT,
    roms: [{ base: 0xe_0000, byteCount: 0x2_0000, offset: ROM_AT }],
    mapVideo: () => {
      videoMapped++;
      memory.unmap(0xa_0000, 0x2_0000);
    },
  });
});

describe('identity', () => {
  it('is a 440FX on a QEMU board', () => {
    expect(bridge.readConfig(0, 4)).toBe(0x1237_8086);
    expect(bridge.readConfig(0x2c, 4)).toBe(0x1100_1af4);
    expect(bridge.readConfig(8, 4) >>> 8).toBe(0x060000);
  });
});

describe('PAM', () => {
  it('shows ROM and ignores writes after reset', () => {
    memory.writeSized(0xf_1234, 1, 1);
    expect(memory.readSized(0xf_1234, 1)).toBe(0xbb);
    expect(memory.readSized(0xc_0000, 1)).toBe(0xff);
  });

  it('reads ROM while writes go to RAM, then shows the RAM', () => {
    bridge.writeConfig(0x59, 1, 0x20);
    memory.writeSized(0xf_0000, 4, 0x1234_5678);
    memory.writeSized(0xf_5004, 2, 0x9abc);
    memory.writeSized(0xf_ffff, 1, 0xea);
    expect(memory.readSized(0xf_0000, 4)).toBe(0xbbbb_bbbb);
    bridge.writeConfig(0x59, 1, 0x10);
    expect(memory.readSized(0xf_0000, 4)).toBe(0x1234_5678);
    expect(memory.readSized(0xf_5004, 2)).toBe(0x9abc);
    expect(memory.readSized(0xf_ffff, 1)).toBe(0xea);
    memory.writeSized(0xf_0000, 1, 0);
    expect(memory.readSized(0xf_0000, 1)).toBe(0x78);
  });

  it('lets firmware copy the ROM over itself', () => {
    bridge.writeConfig(0x59, 1, 0x20);
    const image = new Uint8Array(0x1_0000);
    memory.read(0xf_0000, image);
    memory.write(0xf_0000, image);
    bridge.writeConfig(0x59, 1, 0x30);
    expect(memory.readSized(0xf_8000, 4)).toBe(0xbbbb_bbbb);
    memory.writeSized(0xf_8000, 4, 5);
    expect(memory.readSized(0xf_8000, 4)).toBe(5);
  });

  it('controls each 16 KB segment alone, with dword writes over several registers', () => {
    bridge.writeConfig(0x58, 4, 0x0000_3000);
    bridge.writeConfig(0x5c, 4, 0x0302_0100);
    bridge.writeConfig(0x5a, 1, 0x03);
    memory.writeSized(0xc_0000, 1, 1);
    memory.writeSized(0xc_4000, 1, 1);
    expect(memory.readSized(0xc_0000, 1)).toBe(1);
    expect(memory.readSized(0xc_4000, 1)).toBe(0xff);
    expect(bridge.readConfig(0x5c, 4)).toBe(0x0302_0100);
  });

  it('reads all ones from a segment without ROM that is write-only RAM', () => {
    bridge.writeConfig(0x5a, 1, 0x02);
    memory.writeSized(0xc_0010, 2, 0xaa55);
    expect(memory.readSized(0xc_0010, 2)).toBe(0xffff);
    bridge.writeConfig(0x5a, 1, 0x01);
    expect(memory.readSized(0xc_0010, 2)).toBe(0xaa55);
  });

  it('goes back to ROM at reset and follows a restored state', () => {
    bridge.writeConfig(0x59, 1, 0x30);
    memory.writeSized(0xf_0000, 1, 0x77);
    const state = structuredClone(bridge.save());
    bridge.reset();
    expect(memory.readSized(0xf_0000, 1)).toBe(0xbb);
    bridge.restore(state);
    expect(memory.readSized(0xf_0000, 1)).toBe(0x77);
  });
});

describe('SMRAM', () => {
  it('shows RAM in place of the video range while open', () => {
    memory.unmap(0xa_0000, 0x2_0000);
    bridge.writeConfig(0x72, 1, 0x4a);
    memory.writeSized(0xa_8000, 4, 0xfeed);
    bridge.writeConfig(0x72, 1, 0x0a);
    expect(videoMapped).toBe(1);
    expect(memory.readSized(0xa_8000, 4)).toBe(0xffff_ffff);
    bridge.writeConfig(0x72, 1, 0x4a);
    expect(memory.readSized(0xa_8000, 4)).toBe(0xfeed);
  });

  it('cannot be opened again once locked, until reset', () => {
    bridge.writeConfig(0x72, 1, 0x5a);
    expect(bridge.readConfig(0x72, 1)).toBe(0x1a);
    bridge.writeConfig(0x72, 1, 0x4a);
    expect(bridge.readConfig(0x72, 1)).toBe(0x1a);
    bridge.reset();
    expect(bridge.readConfig(0x72, 1)).toBe(0x02);
  });
});
