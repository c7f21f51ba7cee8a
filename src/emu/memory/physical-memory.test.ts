import { describe, expect, test } from 'vitest';
import type { IoDevice } from '../bus/io-bus.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from './physical-memory.ts';

const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;
const make = (): PhysicalMemory => {
  const memory = new PhysicalMemory({
    buffer: new SharedArrayBuffer(RAM_AT + 0x10_0000),
    pageMapAt: 0,
    dirtyMapAt: PAGE_MAP_BYTES,
  });
  memory.mapBacked(0, 0x4000, RAM_AT, 'ram');
  return memory;
};

/** A device whose registers are bytes, and which remembers how it was asked. */
class Registers implements IoDevice {
  readonly bytes = new Uint8Array(0x2000);
  readonly log: string[] = [];
  read(offset: number, width: number): number {
    this.log.push(`r${width}@${offset}`);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value * 256 + this.bytes[offset + i]) >>> 0;
    return value;
  }
  write(offset: number, width: number, value: number): void {
    this.log.push(`w${width}@${offset}`);
    for (let i = 0; i < width; i++) this.bytes[offset + i] = value >>> (i * 8);
  }
}

describe('physical memory', () => {
  test('RAM keeps what is written, holes float', () => {
    const memory = make();
    memory.writeSized(0x123, 4, 0xdeadbeef);
    expect(memory.readSized(0x123, 4)).toBe(0xdeadbeef);
    expect(memory.readU16(0xfff)).toBe(0);
    expect(memory.readSized(0x9000, 4)).toBe(0xffff_ffff);
    memory.writeSized(0x9000, 4, 1);
    expect(memory.readU32(0x9000)).toBe(0xffff_ffff);
  });

  test('ROM ignores writes unless a device wants them', () => {
    const memory = make();
    memory.mapBacked(0x8000, 0x1000, RAM_AT + 0x8000, 'rom');
    memory.writeSized(0x8000, 1, 7);
    expect(memory.readSized(0x8000, 1)).toBe(0);
    const flash = new Registers();
    memory.mapRomWrites(0x8000, 0x1000, flash);
    memory.writeSized(0x8004, 1, 9);
    expect(flash.bytes[4]).toBe(9);
    expect(memory.readSized(0x8004, 1)).toBe(0);
  });

  test('wide accesses of a narrow device are split, low address first', () => {
    const memory = make();
    const device = new Registers();
    memory.mapMmio(0x8000, 0x1000, device, 1);
    memory.writeSized(0x8010, 4, 0x04030201);
    expect(memory.readSized(0x8010, 4)).toBe(0x04030201);
    expect(device.log.slice(0, 4)).toEqual(['w1@16', 'w1@17', 'w1@18', 'w1@19']);
  });

  test('block copies cross pages, RAM to device to hole', () => {
    const memory = make();
    const device = new Registers();
    memory.mapMmio(0x4000, 0x1000, device);
    memory.write(0x3ffe, Uint8Array.of(1, 2, 3, 4));
    expect([...device.bytes.subarray(0, 2)]).toEqual([3, 4]);
    const back = new Uint8Array(4);
    memory.read(0x3ffe, back);
    expect([...back]).toEqual([1, 2, 3, 4]);
    memory.read(0x4fff, back);
    expect([...back.subarray(1)]).toEqual([255, 255, 255]);
  });

  test('tells of stores to code and of mappings that replace code', () => {
    const memory = make();
    const stores: string[] = [];
    memory.onCodeWrite = (at, byteCount) => stores.push(`${at.toString(16)}+${byteCount}`);
    memory.markCode(0x1000);
    memory.write(0xffe, Uint8Array.of(1, 2, 3, 4));
    memory.writeSized(0x1008, 2, 1);
    memory.writeSized(0x2000, 2, 1);
    memory.unmap(0x1000, 0x1000);
    expect(stores).toEqual(['1000+2', '1008+2', '1000+4096']);
  });

  test('tracked pages tell that they were written, by page of linear memory', () => {
    const memory = make();
    memory.mapBacked(0x1_0000, 0x2000, RAM_AT + 0x1_0000, 'tracked');
    memory.writeSized(0x1_1004, 1, 1);
    const first = (RAM_AT + 0x1_0000) / 4096;
    expect([memory.dirtyMap[first], memory.dirtyMap[first + 1]]).toEqual([0, 1]);
  });

  test('a window that moves for ever keeps answering where it is, and only there', () => {
    const memory = make();
    const device = new Registers();
    device.bytes[8] = 0x5a;
    const other = new Registers();
    memory.mapMmio(0xf000_0000, 0x1000, other);
    for (let n = 0; n < 1_100_000; n++) {
      // Few bases, so that both reuse of a region and a new base are seen.
      const base = 0x8000_0000 + (n % 1000) * 0x1000;
      memory.mapMmio(base, 0x1000, device);
      if (n % 100_000 === 0) expect(memory.readSized(base + 8, 1)).toBe(0x5a);
      memory.unmap(base, 0x1000);
      if (n % 100_000 === 0) expect(memory.readSized(base + 8, 1)).toBe(0xff);
    }
    other.bytes[0] = 3;
    expect(memory.readSized(0xf000_0000, 1)).toBe(3);
  });

  test('refuses ranges that are not whole pages below 4 GB', () => {
    const memory = make();
    for (const [base, byteCount] of [
      [0x800, 0x1000],
      [0, 0x800],
      [0xffff_f000, 0x2000],
    ]) {
      expect(() => memory.unmap(base, byteCount)).toThrow(/whole pages/);
    }
  });
});
