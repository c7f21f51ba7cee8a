import { beforeEach, describe, expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { asciiZ, FW_CFG_KEY, FwCfg, littleEndian } from './fw-cfg.ts';

const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;
let memory: PhysicalMemory;
let ports: IoBus;
let device: FwCfg;

beforeEach(() => {
  memory = new PhysicalMemory({
    buffer: new SharedArrayBuffer(RAM_AT + 0x1_0000),
    pageMapAt: 0,
    dirtyMapAt: PAGE_MAP_BYTES,
  });
  memory.mapBacked(0, 0x1_0000, RAM_AT, 'ram');
  device = new FwCfg({ memory });
  ports = new IoBus();
  ports.map(0x510, 2, device.registers, { maxWidth: 2 });
  ports.map(0x514, 8, device.dma, { maxWidth: 4 });
});

function readPort(key: number, byteCount: number): Uint8Array {
  ports.write(0x510, 2, key);
  return Uint8Array.from({ length: byteCount }, () => ports.read(0x511, 1));
}

/** Puts a descriptor at 100h, starts it and returns the control word left behind. */
function dma(control: number, length: number, address: number): number {
  const descriptor = new Uint8Array(16);
  const view = new DataView(descriptor.buffer);
  view.setUint32(0, control >>> 0);
  view.setUint32(4, length);
  view.setUint32(12, address);
  memory.write(0x100, descriptor);
  ports.write(0x514, 4, 0);
  ports.write(0x518, 4, 0x0001_0000); // Big-endian 100h.
  const after = new Uint8Array(4);
  memory.read(0x100, after);
  return new DataView(after.buffer).getUint32(0);
}

function keyOf(name: string): number {
  const directory = new DataView(readPort(FW_CFG_KEY.fileDirectory, 4 + 64 * 16).buffer);
  for (let i = 0; i < directory.getUint32(0); i++) {
    const at = 4 + i * 64;
    let found = '';
    for (let c = at + 8; directory.getUint8(c) !== 0; c++) found += String.fromCharCode(directory.getUint8(c));
    if (found === name) return directory.getUint16(at + 4);
  }
  throw new Error(`no file ${name}`);
}

describe('port interface', () => {
  it('shows its signature and that it has DMA', () => {
    expect(Buffer.from(readPort(FW_CFG_KEY.signature, 4)).toString()).toBe('QEMU');
    expect(readPort(FW_CFG_KEY.id, 4)[0]).toBe(3);
  });

  it('reads items byte by byte, zeros past the end and from missing items', () => {
    device.setItem(FW_CFG_KEY.cpuCount, littleEndian(0x1234, 2));
    expect([...readPort(FW_CFG_KEY.cpuCount, 4)]).toEqual([0x34, 0x12, 0, 0]);
    expect([...readPort(0x7777, 2)]).toEqual([0, 0]);
  });

  it('lists files in name order', () => {
    device.setFile('etc/e820', new Uint8Array(20));
    device.setFile('bootorder', asciiZ('/x\n'));
    expect(keyOf('bootorder')).toBe(0x20);
    expect(keyOf('etc/e820')).toBe(0x21);
    const size = new DataView(readPort(FW_CFG_KEY.fileDirectory, 72).buffer).getUint32(68);
    expect(size).toBe(20);
    expect([...readPort(0x20, 5)]).toEqual([0x2f, 0x78, 0x0a, 0, 0]);
  });

  it('refuses names that do not fit', () => {
    expect(() => device.setFile('x'.repeat(56), new Uint8Array())).toThrow(
      expect.objectContaining({ code: 'bad-name' }),
    );
  });
});

describe('DMA interface', () => {
  it('shows its signature', () => {
    expect(ports.read(0x514, 4)).toBe(0x554d_4551);
    expect(ports.read(0x518, 4)).toBe(0x4746_4320);
  });

  it('selects and reads in one command, going on where it stopped', () => {
    device.setFile('data', Uint8Array.of(1, 2, 3, 4, 5));
    const key = keyOf('data');
    expect(dma((key << 16) | 8 | 2, 2, 0x200)).toBe(0);
    expect(dma(4, 1, 0)).toBe(0);
    expect(dma(2, 4, 0x300)).toBe(0);
    expect(memory.readU16(0x200)).toBe(0x0201);
    expect(memory.readU32(0x300)).toBe(0x0000_0504);
  });

  it('writes writable files only, and only inside them', () => {
    device.setFile('ro', new Uint8Array(4));
    device.setFile('rw', new Uint8Array(4), { writable: true });
    memory.write(0x200, Uint8Array.of(9, 8, 7, 6));
    expect(dma((keyOf('ro') << 16) | 8 | 16, 4, 0x200)).toBe(1);
    expect(dma((keyOf('rw') << 16) | 8 | 16, 5, 0x200)).toBe(1);
    expect(dma((keyOf('rw') << 16) | 8 | 16, 4, 0x200)).toBe(0);
    expect([...(device.file('rw') ?? [])]).toEqual([9, 8, 7, 6]);
    expect([...(device.file('ro') ?? [])]).toEqual([0, 0, 0, 0]);
  });

  it('survives nonsense: addresses above memory and huge lengths', () => {
    expect(dma((FW_CFG_KEY.id << 16) | 8 | 2, 0xffff, 0xfff0)).toBe(0);
    expect(dma(0, 0xffff_ffff, 0xffff_ffff)).toBe(0);
  });
});

it('restores the selection and what the guest wrote', () => {
  device.setFile('rw', new Uint8Array(2), { writable: true });
  memory.write(0x200, Uint8Array.of(9, 8));
  dma((keyOf('rw') << 16) | 8 | 16, 2, 0x200);
  readPort(FW_CFG_KEY.signature, 1);
  const state = structuredClone(device.save());
  const other = new FwCfg({ memory });
  other.setFile('rw', new Uint8Array(2), { writable: true });
  other.restore(state);
  expect([...(other.file('rw') ?? [])]).toEqual([9, 8]);
  expect(String.fromCharCode(other.registers.read(1, 1))).toBe('E');
});
