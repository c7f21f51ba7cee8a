import { beforeEach, describe, expect, it } from 'vitest';
import { IoBus } from '../../bus/io-bus.ts';
import type { DmaMemory } from '../../bus/wires.ts';
import { Dma8237 } from './dma8237.ts';

describe('Dma8237', () => {
  let ram: Uint8Array;
  let dma: Dma8237;
  let bus: IoBus;

  beforeEach(() => {
    ram = new Uint8Array(0x100_0000);
    const memory: DmaMemory = {
      read: (at, into) => into.set(ram.subarray(at, at + into.length)),
      write: (at, from) => ram.set(from, at),
      readU16: (at) => ram[at] | (ram[at + 1] << 8),
      readU32: (at) => new DataView(ram.buffer).getUint32(at, true),
    };
    dma = new Dma8237({ memory });
    bus = new IoBus();
    bus.map(0x00, 16, dma.first);
    bus.map(0xc0, 32, dma.second);
    bus.map(0x81, 15, dma.pages);
    bus.write(0xd6, 1, 0xc0); // Channel 4: cascade.
    bus.write(0xd4, 1, 0x00);
  });

  const PAGE_PORT = [0x87, 0x83, 0x81, 0x82, 0, 0x8b, 0x89, 0x8a];
  /** Programs a channel the way a driver does: mask, flip-flop, mode, address, count, page, unmask. */
  const program = (channel: number, mode: number, page: number, address: number, count: number): void => {
    const second = channel >= 4;
    const port = (register: number): number => (second ? 0xc0 + register * 2 : register);
    const n = channel & 3;
    bus.write(port(10), 1, 4 | n);
    bus.write(port(12), 1, 0);
    bus.write(port(11), 1, mode | n);
    bus.write(port(n * 2), 1, address & 0xff);
    bus.write(port(n * 2), 1, address >> 8);
    bus.write(port(n * 2 + 1), 1, count & 0xff);
    bus.write(port(n * 2 + 1), 1, count >> 8);
    bus.write(PAGE_PORT[channel], 1, page);
    bus.write(port(10), 1, n);
  };
  const read16 = (port: number): number => bus.read(port, 1) | (bus.read(port, 1) << 8);

  it('writes device bytes to memory up to the terminal count', () => {
    program(2, 0x44, 0x12, 0x3400, 511);
    const channel = dma.channel(2);
    expect(channel.remainingBytes).toBe(512);
    expect(channel.writeToMemory(new Uint8Array(300).fill(0xaa))).toBe(300);
    expect([channel.remainingBytes, channel.terminalCount]).toEqual([212, false]);
    bus.write(0x0c, 1, 0);
    expect([read16(4), read16(5)]).toEqual([0x3400 + 300, 211]);
    expect(channel.writeToMemory(new Uint8Array(300).fill(0xbb))).toBe(212);
    expect([channel.remainingBytes, channel.terminalCount]).toEqual([0, true]);
    expect([ram[0x123400], ram[0x123400 + 299], ram[0x123400 + 511], ram[0x123400 + 512]]).toEqual([
      0xaa, 0xaa, 0xbb, 0,
    ]);
    expect(bus.read(8, 1)).toBe(0x04);
    expect(bus.read(8, 1)).toBe(0x00);
    expect(bus.read(15, 1) & 0x04).toBe(0x04);
    expect(channel.writeToMemory(new Uint8Array(1))).toBe(0);
  });

  it('reads memory for the device', () => {
    ram.set([1, 2, 3, 4], 0x20000);
    program(3, 0x48, 0x02, 0x0000, 3);
    const into = new Uint8Array(8);
    expect(dma.channel(3).readFromMemory(into)).toBe(4);
    expect([...into]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
  });

  it('moves words on channels 5 to 7', () => {
    ram.set([1, 2, 3, 4, 5, 6], 0x36_0200);
    program(5, 0x48, 0x37, 0x0100, 2); // Page bit 0 is ignored, the address counts words.
    const into = new Uint8Array(7);
    expect(dma.channel(5).remainingBytes).toBe(6);
    expect(dma.channel(5).readFromMemory(into)).toBe(6);
    expect([...into]).toEqual([1, 2, 3, 4, 5, 6, 0]);
    expect(bus.read(0xd0, 1)).toBe(0x02);
  });

  it('starts again by itself when told', () => {
    program(1, 0x58, 0x01, 0x1000, 3);
    ram.set([9, 8, 7, 6], 0x11000);
    const into = new Uint8Array(6);
    const channel = dma.channel(1);
    expect(channel.readFromMemory(into)).toBe(4);
    expect([channel.remainingBytes, channel.terminalCount]).toEqual([4, true]);
    expect(channel.readFromMemory(into.subarray(4))).toBe(2);
    expect([...into]).toEqual([9, 8, 7, 6, 9, 8]);
  });

  it('counts addresses down when told', () => {
    program(2, 0x64, 0x00, 0x8003, 3);
    dma.channel(2).writeToMemory(Uint8Array.of(1, 2, 3, 4));
    expect([...ram.subarray(0x8000, 0x8004)]).toEqual([4, 3, 2, 1]);
    program(7, 0x64, 0x00, 0x4001, 1);
    dma.channel(7).writeToMemory(Uint8Array.of(1, 2, 3, 4));
    expect([...ram.subarray(0x8000, 0x8004)]).toEqual([3, 4, 1, 2]);
  });

  it('wraps inside the page', () => {
    program(2, 0x44, 0x05, 0xfffe, 3);
    dma.channel(2).writeToMemory(Uint8Array.of(1, 2, 3, 4));
    expect([ram[0x5fffe], ram[0x5ffff], ram[0x50000], ram[0x50001], ram[0x60000]]).toEqual([1, 2, 3, 4, 0]);
  });

  it('only counts in verify mode and in the wrong direction', () => {
    for (const mode of [0x40, 0x48]) {
      program(2, mode, 0x00, 0x1000, 3);
      expect(dma.channel(2).writeToMemory(Uint8Array.of(1, 2, 3, 4))).toBe(4);
      expect(dma.channel(2).terminalCount).toBe(true);
      expect(ram[0x1000]).toBe(0);
    }
  });

  it('does nothing while masked, disabled or cut off from the cascade', () => {
    program(2, 0x44, 0, 0x1000, 3);
    const ready = (): boolean => dma.channel(2).remainingBytes > 0;
    expect(ready()).toBe(true);
    bus.write(0x08, 1, 0x04);
    expect(ready()).toBe(false);
    bus.write(0x08, 1, 0x00);
    bus.write(0xd4, 1, 0x04);
    expect(ready()).toBe(false);
    bus.write(0xd4, 1, 0x00);
    bus.write(0x0f, 1, 0x04);
    expect(ready()).toBe(false);
    bus.write(0x0e, 1, 0);
    expect(ready()).toBe(true);
    bus.write(0x0d, 1, 0);
    expect(ready()).toBe(false);
    expect(bus.read(0x0f, 1)).toBe(0xff);
    expect(dma.channel(4).remainingBytes).toBe(0);
  });

  it('tells a device when its channel becomes ready', () => {
    let told = 0;
    dma.channel(1).onReady = () => told++;
    program(1, 0x48, 0, 0, 15);
    expect(told).toBe(1);
  });

  it('keeps the page registers, used or not', () => {
    for (let port = 0x81; port <= 0x8f; port++) bus.write(port, 1, port ^ 0x55);
    for (let port = 0x81; port <= 0x8f; port++) expect(bus.read(port, 1)).toBe(port ^ 0x55);
  });

  it('shows software requests until the terminal count', () => {
    program(3, 0x48, 0, 0, 0);
    bus.write(0x09, 1, 0x07);
    expect(bus.read(0x08, 1)).toBe(0x80);
    dma.channel(3).readFromMemory(new Uint8Array(1));
    expect(bus.read(0x08, 1)).toBe(0x08);
  });

  it('resumes from its saved state', () => {
    program(2, 0x44, 0x01, 0x0000, 7);
    dma.channel(2).writeToMemory(new Uint8Array(3).fill(1));
    const saved = structuredClone(dma.save());
    dma.reset();
    expect(dma.channel(2).remainingBytes).toBe(0);
    dma.restore(saved);
    expect(dma.channel(2).writeToMemory(new Uint8Array(9).fill(2))).toBe(5);
    expect([...ram.subarray(0x10000, 0x10009)]).toEqual([1, 1, 1, 2, 2, 2, 2, 2, 0]);
  });
});
