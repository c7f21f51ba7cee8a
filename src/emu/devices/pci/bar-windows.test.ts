import { beforeEach, describe, expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { BarWindows } from './bar-windows.ts';

const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;
let memory: PhysicalMemory;
let ports: IoBus;
let windows: BarWindows;

const device = (value: number) => ({ read: (offset: number) => value + offset, write: () => {} });

beforeEach(() => {
  const buffer = new SharedArrayBuffer(RAM_AT + 0x20_0000);
  memory = new PhysicalMemory({ buffer, pageMapAt: 0, dirtyMapAt: PAGE_MAP_BYTES });
  memory.mapBacked(0, 0x20_0000, RAM_AT, 'ram');
  ports = new IoBus();
  windows = new BarWindows({ ports, memory });
});

describe('BarWindows', () => {
  it('moves a port range', () => {
    const moved = windows.io(16, device(0));
    moved(0xc000);
    expect(ports.read(0xc005, 1)).toBe(5);
    moved(0xc100);
    expect(ports.read(0xc005, 1)).toBe(0xff);
    expect(ports.read(0xc105, 1)).toBe(5);
    moved(undefined);
    expect(ports.isFree(0xc100, 16)).toBe(true);
  });

  it('leaves out a range that meets another and maps it once the other leaves', () => {
    const first = windows.io(16, device(0));
    const second = windows.io(16, device(0x40));
    first(0xc000);
    second(0xc000);
    expect(ports.read(0xc001, 1)).toBe(1);
    first(undefined);
    expect(ports.read(0xc001, 1)).toBe(0x41);
  });

  it('does not take away a neighbour when a refused range moves', () => {
    ports.map(0x3f8, 8, device(0x10));
    const moved = windows.io(16, device(0));
    moved(0x3f0);
    moved(undefined);
    expect(ports.read(0x3f8, 1)).toBe(0x10);
  });

  it('maps registers and backed pages, never over RAM', () => {
    const registers = windows.memory(0x1000, { kind: 'mmio', device: device(7) });
    registers(0x1000);
    memory.writeSized(0x1000, 1, 0x55);
    expect(memory.readSized(0x1000, 1)).toBe(0x55);
    registers(0xf000_0000);
    expect(memory.readSized(0xf000_0003, 1)).toBe(10);
    const rom = windows.memory(0x1000, { kind: 'rom', offset: RAM_AT + 0x1000 });
    rom(0xf100_0000);
    expect(memory.readSized(0xf100_0000, 1)).toBe(0x55);
    registers(0xf100_0000);
    expect(memory.readSized(0xf100_0000, 1)).toBe(0x55);
    rom(undefined);
    expect(memory.readSized(0xf100_0000, 1)).toBe(7);
  });

  it('keeps out of the first megabyte and above 4 GB', () => {
    memory.unmap(0xc_0000, 0x1000);
    const moved = windows.memory(0x1000, { kind: 'mmio', device: device(7) });
    moved(0xc_0000);
    expect(memory.readSized(0xc_0000, 1)).toBe(0xff);
    moved(0xffff_f000);
    expect(memory.readSized(0xffff_f000, 1)).toBe(7);
  });
});
