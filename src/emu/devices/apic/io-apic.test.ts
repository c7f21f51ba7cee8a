import { describe, expect, it } from 'vitest';
import { ioBench } from './apic.suite.ts';

const LEVEL = 0x8000;
const MASKED = 0x1_0000;

describe('I/O APIC', () => {
  it('shows its registers through the window', () => {
    const { io, entry } = ioBench();
    const register = (n: number): number => {
      io.registers.write(0, 4, n);
      return io.registers.read(0x10, 4);
    };
    expect(register(0)).toBe(0x0100_0000);
    expect(register(1)).toBe(0x0017_0011);
    expect(entry(23)).toBe(MASKED);
    expect(register(0x40)).toBe(0);
    io.registers.write(0, 4, 0);
    io.registers.write(0x10, 4, 0xff00_0000);
    expect([register(0), register(2)]).toEqual([0x0f00_0000, 0x0f00_0000]);
  });

  it('stores entries but for their read-only bits', () => {
    const b = ioBench();
    b.route(5, 0xffff_ffff, 0xa5);
    expect(b.entry(5)).toBe(0x1_afff);
    b.io.registers.write(0, 4, 0x1b);
    expect(b.io.registers.read(0x10, 4)).toBe(0xa500_0000);
    expect(b.io.registers.read(0x13, 1)).toBe(0xa5);
  });

  it('delivers one edge once, and none that came while masked', () => {
    const b = ioBench();
    b.io.pin(4).set(true);
    b.route(4, 0x41);
    expect(b.take()).toBeUndefined();
    b.io.pin(4).set(true);
    b.io.pin(4).set(false);
    b.io.pin(4).set(true);
    expect(b.io.isWaiting(4)).toBe(true);
    expect(b.take()).toBe(0x41);
    expect(b.io.isWaiting(4)).toBe(false);
    b.write(0xb0, 0);
    expect(b.take()).toBeUndefined();
  });

  it('repeats a level after its EOI until the device lets go', () => {
    const b = ioBench();
    b.route(11, LEVEL | 0x59);
    b.io.pin(11).set(true);
    expect(b.entry(11)).toBe(LEVEL | 0x4059);
    expect(b.take()).toBe(0x59);
    b.write(0xb0, 0);
    expect(b.take()).toBe(0x59);
    b.io.pin(11).set(false);
    b.write(0xb0, 0);
    expect(b.take()).toBeUndefined();
    expect(b.entry(11)).toBe(LEVEL | 0x59);
  });

  it('takes a level that stands when the entry is opened, and lets go of it by a change to edge', () => {
    const b = ioBench();
    b.io.pin(10).set(true);
    b.route(10, LEVEL | MASKED | 0x5a);
    expect(b.take()).toBeUndefined();
    b.route(10, LEVEL | 0x5a);
    expect(b.take()).toBe(0x5a);
    b.route(10, MASKED | 0x5a);
    expect(b.entry(10)).toBe(MASKED | 0x5a);
    b.route(10, LEVEL | 0x5a);
    expect(b.entry(10)).toBe(LEVEL | 0x405a);
  });

  it('two inputs on one vector both hear its EOI', () => {
    const b = ioBench();
    for (const n of [5, 9]) {
      b.route(n, LEVEL | 0x66);
      b.io.pin(n).set(true);
    }
    b.take();
    b.io.pin(5).set(false);
    b.io.pin(9).set(false);
    b.write(0xb0, 0);
    expect([b.entry(5), b.entry(9)]).toEqual([LEVEL | 0x66, LEVEL | 0x66]);
  });

  it('sends to logical, foreign and NMI destinations, and ExtINTs', () => {
    const b = ioBench();
    b.write(0xd0, 0x0800_0000);
    b.route(1, 0x0842, 0x0c);
    b.io.pin(1).set(true);
    expect(b.take()).toBe(0x42);
    b.route(3, 0x43, 7);
    b.io.pin(3).set(true);
    expect(b.take()).toBeUndefined();
    b.route(6, 0x0400, 0xff);
    b.io.pin(6).set(true);
    expect(b.seen.at(-1)).toBe('nmi');
    b.route(0, 0x0700);
    b.io.pin(0).set(true);
    b.write(0x80, 0xff);
    expect(b.take()).toBe(0x30);
    expect(b.apic.output).toBe(false);
  });

  it('comes back from a saved machine, and from RESET# with its levels', () => {
    const a = ioBench();
    a.route(11, LEVEL | 0x59, 2);
    a.io.pin(11).set(true);
    a.io.pin(7).set(true);
    const b = ioBench();
    b.io.restore(structuredClone(a.io.save()));
    expect(b.entry(11)).toBe(LEVEL | 0x4059);
    expect(b.io.save()).toEqual(a.io.save());
    b.io.reset();
    expect(b.entry(11)).toBe(MASKED);
    b.route(7, LEVEL | 0x44);
    expect(b.take()).toBe(0x44);
  });
});
