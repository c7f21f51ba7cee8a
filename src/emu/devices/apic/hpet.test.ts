import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { Hpet } from './hpet.ts';

const ENABLE = 1;
const LEGACY = 2;
/** Comparator configuration. */
const INT = 1 << 2;
const PERIODIC = 1 << 3;
const SET_VALUE = 1 << 6;
const MODE32 = 1 << 8;
const route = (n: number): number => n << 9;

let clock: ManualClock;
let timers: TimerQueue;
let hpet: Hpet;
let edges: string[];
let messages: [number, number][];
let legacy: boolean[];
let waiting: boolean;

function build(): Hpet {
  const line = (name: string) => ({
    set: (asserted: boolean): void => {
      if (asserted !== (levels.get(name) ?? false)) edges.push(`${name}${asserted ? '+' : '-'}`);
      levels.set(name, asserted);
    },
  });
  const levels = new Map<string, boolean>();
  return new Hpet({
    timers,
    irq0: line('irq0'),
    irq8: line('irq8'),
    input: (n) => line(`pin${n}`),
    messages: { message: (address, data) => messages.push([address, data]) > 0 },
    onLegacyReplacement: (on) => void legacy.push(on),
    tickWaiting: () => waiting,
  });
}

beforeEach(() => {
  clock = new ManualClock();
  timers = new TimerQueue(clock);
  edges = [];
  messages = [];
  legacy = [];
  waiting = false;
  hpet = build();
});

const read = (offset: number): number => hpet.read(offset, 4);
const write = (offset: number, value: number): void => hpet.write(offset, 4, value >>> 0);
const pass = (ns: number): void => {
  clock.advance(ns);
  timers.runExpired();
};
const rises = (): string[] => edges.filter((e) => e.endsWith('+'));

describe('HPET', () => {
  it('says what it is', () => {
    expect(read(0)).toBe(0x8086_a201);
    // 100 MHz.
    expect(read(4)).toBe(10_000_000);
    for (const n of [0, 1, 2]) {
      expect(read(0x100 + 0x20 * n)).toBe(0x8030);
      expect(read(0x104 + 0x20 * n)).toBe(0x00ff_0104);
      expect([read(0x108 + 0x20 * n), read(0x10c + 0x20 * n)]).toEqual([0xffff_ffff, 0xffff_ffff]);
    }
    expect([read(0x160), read(0xf8), hpet.read(2, 2), hpet.read(1, 1)]).toEqual([0, 0, 0x8086, 0xa2]);
  });

  it('counts 64 bits while enabled, from what was written', () => {
    pass(1000);
    expect(read(0xf0)).toBe(0);
    write(0xf0, 0xffff_fff0);
    write(0xf4, 7);
    write(0x10, ENABLE);
    pass(155);
    expect([read(0xf0), read(0xf4)]).toEqual([0xffff_ffff, 7]);
    pass(5);
    expect([read(0xf0), read(0xf4)]).toEqual([0, 8]);
    write(0x10, 0);
    pass(1e9);
    expect([read(0xf0), read(0xf4)]).toEqual([0, 8]);
    write(0x10, ENABLE);
    pass(40);
    expect(read(0xf0)).toBe(4);
    hpet.write(0xf0, 1, 9);
    expect(read(0xf0)).toBe(4);
  });

  it('fires once when the counter meets the comparator', () => {
    write(0x10, ENABLE);
    write(0x148, 100);
    write(0x14c, 0);
    write(0x140, INT | route(20));
    pass(999);
    expect(edges).toEqual([]);
    pass(1);
    expect(edges).toEqual(['pin20+']);
    pass(1e7);
    expect(rises()).toHaveLength(1);
  });

  it('wraps a 32-bit comparator', () => {
    write(0xf0, 0xffff_ff00);
    write(0x140, INT | MODE32 | route(16));
    write(0x148, 0x10);
    write(0x10, ENABLE);
    pass(0x110 * 10 - 1);
    expect(edges).toEqual([]);
    pass(1);
    expect(edges).toEqual(['pin16+']);
    // Once more after a whole turn.
    clock.advance(2 ** 32 * 10 - 10);
    timers.runExpired();
    expect(rises()).toHaveLength(1);
    pass(10);
    expect(rises()).toHaveLength(2);
  });

  it('takes the places of timer and clock', () => {
    write(0x100, INT | PERIODIC | SET_VALUE | MODE32);
    write(0x108, 10_000);
    write(0x108, 10_000);
    write(0x128, 5000);
    write(0x12c, 0);
    write(0x120, INT);
    write(0x10, ENABLE | LEGACY);
    expect(legacy).toEqual([true]);
    for (let i = 0; i < 40; i++) pass(10_000);
    expect(rises()).toEqual(['irq8+', 'irq0+', 'irq0+', 'irq0+', 'irq0+']);
    write(0x10, 0);
    expect(legacy).toEqual([true, false]);
    expect(edges.slice(-2).sort()).toEqual(['irq0-', 'irq8-']);
  });

  it('sets value and period apart, in both widths', () => {
    for (const mode of [0, MODE32]) {
      edges.length = 0;
      hpet.reset();
      write(0x100, INT | PERIODIC | SET_VALUE | mode | route(18));
      write(0x108, 300);
      if (!mode) write(0x10c, 0);
      expect(read(0x100) & SET_VALUE).toBe(0);
      write(0x108, 10_000);
      if (!mode) write(0x10c, 0);
      write(0x10, ENABLE);
      pass(2999);
      expect(rises()).toHaveLength(0);
      pass(1);
      expect(rises()).toHaveLength(1);
      expect(read(0x108)).toBe(10_300);
      pass(99_999);
      expect(rises()).toHaveLength(1);
      pass(1);
      expect(rises()).toHaveLength(2);
      expect(read(0x108)).toBe(20_300);
    }
  });

  it('makes up for late ticks, and for those that find one waiting', () => {
    write(0x100, INT | PERIODIC | SET_VALUE | MODE32);
    write(0x108, 100_000);
    write(0x108, 100_000);
    write(0x10, ENABLE | LEGACY);
    clock.advance(5e6);
    for (let i = 0; i < 100; i++) pass(100_000);
    expect(rises()).toHaveLength(15);
    edges.length = 0;
    waiting = true;
    for (let i = 0; i < 30; i++) pass(100_000);
    expect(rises()).toHaveLength(0);
    waiting = false;
    for (let i = 0; i < 70; i++) pass(100_000);
    expect(rises()).toHaveLength(10);
  });

  it('holds a level until its status is cleared', () => {
    write(0x140, INT | 2 | route(19));
    write(0x148, 10);
    write(0x14c, 0);
    write(0x10, ENABLE);
    pass(100);
    expect([read(0x20), edges]).toEqual([4, ['pin19+']]);
    write(0x20, 3);
    expect(edges).toHaveLength(1);
    write(0x20, 4);
    expect([read(0x20), edges]).toEqual([0, ['pin19+', 'pin19-']]);
  });

  it('sends messages instead', () => {
    write(0x150, 0x4052);
    write(0x154, 0xfee0_0000);
    write(0x148, 10);
    write(0x14c, 0);
    write(0x140, INT | (1 << 14));
    write(0x10, ENABLE);
    pass(100);
    expect([messages, edges]).toEqual([[[0xfee0_0000, 0x4052]], []]);
    expect(read(0x140)).toBe(0xc034);
  });

  it('comes back from a saved machine', () => {
    write(0x100, INT | PERIODIC | SET_VALUE | MODE32);
    write(0x108, 10_000);
    write(0x108, 10_000);
    write(0x10, ENABLE | LEGACY);
    pass(150_000);
    const saved = structuredClone(hpet.save());
    hpet.reset();
    expect(timers.nextDeadline).toBe(Number.POSITIVE_INFINITY);
    expect([read(0x10), read(0x100), read(0x108)]).toEqual([0, 0x8030, 0xffff_ffff]);
    hpet = build();
    hpet.restore(saved);
    expect(hpet.save()).toEqual(saved);
    expect(read(0xf0)).toBe(15_000);
    edges.length = 0;
    pass(50_000);
    expect(rises()).toEqual(['irq0+']);
  });
});
