import { describe, expect, it } from 'vitest';
import { ataDrive, ataString, IdeTestMachine, SlowPort } from './ide-driver.suite.ts';

const READY = 0x50;
const DRQ = 0x58;

function machine(port: SlowPort = new SlowPort(2000, { immediate: true })): [IdeTestMachine, SlowPort] {
  return [new IdeTestMachine([ataDrive(port)]), port];
}

const sectors = (port: SlowPort, lba: number, count: number): Uint8Array =>
  port.memory.image.slice(lba * 512, (lba + count) * 512);

describe('AtaDrive registers', () => {
  it('shows the ATA signature after power-on and after SRST', () => {
    const [m] = machine();
    for (let round = 0; round < 2; round++) {
      expect([1, 2, 3, 4, 5].map((r) => m.in(r))).toEqual([1, 1, 1, 0, 0]);
      expect(m.in(7)).toBe(READY);
      m.out(2, 0x55);
      m.bus.write(0x3f6, 1, 0x04);
      expect(m.altStatus).toBe(0x80);
      m.bus.write(0x3f6, 1, 0);
    }
  });

  it('keeps two bytes a register and shows the older one with HOB', () => {
    const [m] = machine();
    for (const r of [2, 3, 4, 5]) {
      m.out(r, 0x10 + r);
      m.out(r, 0x20 + r);
    }
    expect([2, 3, 4, 5].map((r) => m.in(r))).toEqual([0x22, 0x23, 0x24, 0x25]);
    m.bus.write(0x3f6, 1, 0x80);
    expect([2, 3, 4, 5].map((r) => m.in(r))).toEqual([0x12, 0x13, 0x14, 0x15]);
    m.out(6, 0xe0);
    expect(m.in(3)).toBe(0x23);
  });

  it('identifies itself truthfully', () => {
    const [m] = machine();
    m.command28(0xec, 0, 0);
    expect(m.irqs[0].level).toBe(true);
    expect(m.in(7)).toBe(DRQ);
    expect(m.irqs[0].level).toBe(false);
    const id = m.readWords(512);
    expect(m.in(7)).toBe(READY);
    const word = (n: number): number => id[n * 2] | (id[n * 2 + 1] << 8);
    expect(ataString(id, 54, 40)).toBe('TABBOX HARDDISK');
    expect(ataString(id, 20, 20)).toBe('TB-0001');
    expect([word(1), word(3), word(6)]).toEqual([1, 16, 63]);
    expect(word(60) | (word(61) << 16)).toBe(2000);
    expect(word(100)).toBe(2000);
    expect(word(83) & 0x0400).toBe(0x0400);
    expect(id.reduce((sum, byte) => (sum + byte) & 0xff, 0)).toBe(0);
    expect(word(82) & 1, 'no SMART').toBe(0);
    m.command28(0xb0, 0, 0);
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x04]);
  });

  it('reports the selected transfer mode, multiple count and caches', () => {
    const [m] = machine();
    const feature = (features: number, count = 0): number => {
      m.out(1, features);
      m.command28(0xef, 0, count);
      return m.in(7);
    };
    expect(feature(0x03, 0x42)).toBe(READY);
    expect(feature(0x03, 0x47)).toBe(READY | 1);
    expect(feature(0x82)).toBe(READY);
    expect(feature(0x55)).toBe(READY);
    m.command28(0xc6, 0, 8);
    m.command28(0xec, 0, 0);
    const id = m.readWords(512);
    const word = (n: number): number => id[n * 2] | (id[n * 2 + 1] << 8);
    expect(word(88)).toBe(0x043f);
    expect(word(59)).toBe(0x0108);
    expect(word(85) & 0x60).toBe(0);
    m.command28(0xc6, 0, 3);
    expect(m.in(1)).toBe(0x04);
    m.command28(0xc4, 0, 1);
    expect(m.in(7) & 1, 'READ MULTIPLE without a count aborts').toBe(1);
  });

  it('answers power, diagnostic, seek, recalibrate and native size commands', () => {
    const [m] = machine();
    m.command28(0xe5, 0, 0);
    expect(m.in(2)).toBe(0xff);
    m.command28(0xe0, 0, 0);
    m.command28(0xe5, 0, 0x12);
    expect(m.in(2)).toBe(0x00);
    m.command28(0x90, 0, 0);
    expect([m.in(7), m.in(1), m.in(2)]).toEqual([READY, 1, 1]);
    m.command28(0x10, 0, 0);
    expect(m.in(7)).toBe(READY);
    m.command28(0x70, 1999, 0);
    expect(m.in(7)).toBe(READY);
    m.command28(0x70, 2000, 0);
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x10]);
    m.command28(0xf8, 0, 0);
    expect([m.in(3), m.in(4), m.in(5), m.in(6) & 15]).toEqual([1999 & 0xff, 1999 >> 8, 0, 0]);
    m.command28(0x00, 0, 0);
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x04]);
    m.command28(0x08, 0, 0);
    expect(m.in(1)).toBe(0x04);
    m.command28(0xe6, 0, 0);
    m.in(7);
    m.command28(0x20, 0, 1);
    expect(m.in(7) & 8, 'asleep').toBe(0);
    m.bus.write(0x3f6, 1, 4);
    m.bus.write(0x3f6, 1, 0);
    m.command28(0x20, 0, 1);
    expect(m.in(7)).toBe(DRQ);
  });
});

describe('AtaDrive PIO', () => {
  it.each([2, 4] as const)('reads sectors with one interrupt each, %d bytes an access', (width) => {
    const [m, port] = machine();
    m.command28(0x20, 5, 3);
    for (let i = 0; i < 3; i++) {
      expect(m.irqs[0].level).toBe(true);
      expect(m.in(7)).toBe(DRQ);
      expect(m.readWords(512, width)).toEqual(sectors(port, 5 + i, 1));
    }
    expect(m.irqs[0].level).toBe(false);
    expect(m.in(7)).toBe(READY);
    expect(m.irqs[0].edges).toBe(3);
    expect([m.in(3), m.in(2)]).toEqual([7, 0]);
  });

  it('takes a count of zero as 256 and moves more than one chunk', () => {
    const [m, port] = machine();
    m.command28(0x20, 0, 0);
    expect(m.readWords(256 * 512, 4)).toEqual(sectors(port, 0, 256));
    expect(m.in(7)).toBe(READY);
    m.command48(0x24, 100, 600);
    expect(m.readWords(600 * 512, 4)).toEqual(sectors(port, 100, 600));
    expect(m.in(7)).toBe(READY);
    expect(port.log).toEqual(['read 0+256', 'read 100+256', 'read 356+256', 'read 612+88']);
  });

  it('moves blocks of the multiple count, the last one shorter', () => {
    const [m, port] = machine();
    m.command28(0xc6, 0, 8);
    m.in(7);
    const before = m.irqs[0].edges;
    m.command28(0xc4, 30, 19);
    let at = 30;
    for (const count of [8, 8, 3]) {
      m.in(7);
      expect(m.readWords(count * 512)).toEqual(sectors(port, at, count));
      at += count;
    }
    expect(m.irqs[0].edges - before).toBe(3);
    expect(m.in(7)).toBe(READY);
    const data = Uint8Array.from({ length: 19 * 512 }, (_, i) => i * 3);
    m.command48(0x39, 500, 19);
    m.writeWords(data);
    expect(m.in(7)).toBe(READY);
    expect(sectors(port, 500, 19)).toEqual(data);
  });

  it('writes: DRQ at once without an interrupt, BSY until the medium has taken the data', () => {
    const [m, port] = machine(new SlowPort(2000));
    const data = Uint8Array.from({ length: 1024 }, (_, i) => i * 5 + 1);
    m.command28(0x30, 9, 2);
    expect([m.irqs[0].edges, m.in(7)]).toEqual([0, DRQ]);
    m.writeWords(data.subarray(0, 512));
    expect(m.irqs[0].level).toBe(true);
    expect(m.in(7)).toBe(DRQ);
    m.writeWords(data.subarray(512));
    expect([m.altStatus, m.irqs[0].level, m.piix.idle]).toEqual([0x80, false, false]);
    expect(() => m.piix.save()).toThrow(/outstanding/);
    port.complete();
    expect([m.in(7), m.irqs[0].edges, m.piix.idle]).toEqual([READY, 2, true]);
    expect(sectors(port, 9, 2)).toEqual(data);
  });

  it('translates CHS as INITIALIZE DEVICE PARAMETERS set it, and fails addresses outside', () => {
    const [m, port] = machine();
    m.out(6, 0xa0 | 3);
    m.out(2, 17);
    m.out(7, 0x91);
    expect(m.in(7)).toBe(READY);
    const chs = (c: number, h: number, s: number, opcode = 0x20): void => {
      m.out(6, 0xa0 | h);
      m.out(2, 1);
      m.out(3, s);
      m.out(4, c & 0xff);
      m.out(5, c >> 8);
      m.out(7, opcode);
    };
    chs(7, 2, 11);
    expect(m.readWords(512)).toEqual(sectors(port, (7 * 4 + 2) * 17 + 10, 1));
    expect([m.in(3), m.in(4), m.in(6) & 15]).toEqual([11, 7, 2]);
    for (const [c, h, s] of [
      [0, 0, 0],
      [0, 0, 18],
      [0, 4, 1],
      [400, 0, 1],
    ] as const) {
      chs(c, h, s);
      expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x10]);
    }
    port.badSectors.set((7 * 4 + 2) * 17 + 10, 'io');
    chs(7, 2, 11);
    expect([m.in(1), m.in(3), m.in(4), m.in(6) & 15]).toEqual([0x40, 11, 7, 2]);
  });

  it('reads and reports addresses beyond 28 bits', () => {
    const size = 0x2_0000_0010;
    const port = new SlowPort(4, { immediate: true, reportedSectors: size });
    const [m] = machine(port);
    m.command48(0x24, size - 1, 1);
    expect(m.in(7)).toBe(DRQ);
    m.readWords(512);
    port.badSectors.set(0x1_2345_6789, 'io');
    m.command48(0x24, 0x1_2345_6780, 32);
    for (let i = 0; i < 9; i++) m.readWords(512);
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x40]);
    expect([m.in(3), m.in(4), m.in(5)]).toEqual([0x89, 0x67, 0x45]);
    m.bus.write(0x3f6, 1, 0x80);
    expect([m.in(3), m.in(4), m.in(5)]).toEqual([0x23, 0x01, 0x00]);
    m.bus.write(0x3f6, 1, 0);
    m.command48(0x24, size - 1, 2);
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x10]);
    m.command48(0x27, 0, 0);
    expect([m.in(3), m.in(4), m.in(5)]).toEqual([0x0f, 0, 0]);
    m.bus.write(0x3f6, 1, 0x80);
    expect([m.in(3), m.in(4), m.in(5)]).toEqual([0, 2, 0]);
    m.command28(0xf8, 0, 0);
    m.bus.write(0x3f6, 1, 0);
    expect([m.in(3), m.in(4), m.in(5), m.in(6) & 15]).toEqual([0xfe, 0xff, 0xff, 0xf]);
  });
});

describe('AtaDrive errors', () => {
  it('delivers the sectors before a bad one and names it', () => {
    const [m, port] = machine();
    port.badSectors.set(12, 'io');
    m.command28(0x20, 10, 5);
    expect(m.readWords(512)).toEqual(sectors(port, 10, 1));
    expect(m.in(7)).toBe(DRQ);
    expect(m.readWords(512)).toEqual(sectors(port, 11, 1));
    expect(m.irqs[0].level).toBe(true);
    expect([m.in(7), m.in(1), m.in(3)]).toEqual([READY | 1, 0x40, 12]);
    m.command28(0x40, 10, 5);
    expect([m.in(7), m.in(1), m.in(3)]).toEqual([READY | 1, 0x40, 12]);
  });

  it.each([
    ['io', 0x71, 0x04],
    ['full', 0x51, 0x04],
    ['read-only', 0x51, 0x44],
  ] as const)('reports a write the medium refuses with "%s"', (status, expected, error) => {
    const [m, port] = machine();
    port.badSectors.set(21, status);
    m.command28(0x30, 20, 3);
    m.writeWords(new Uint8Array(3 * 512).fill(0xee));
    expect([m.in(7), m.in(1), m.in(3)]).toEqual([expected, error, 21]);
    expect(sectors(port, 20, 1)[0]).toBe(0xee);
  });

  it('refuses to write a read-only medium before any data moves', () => {
    const [m] = machine(new SlowPort(100, { writable: false, immediate: true }));
    m.command28(0xca, 0, 1);
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x44]);
  });

  it('completes a flush only when the medium has, and reports its failure', () => {
    const [m, port] = machine(new SlowPort(100));
    m.command28(0xe7, 0, 0);
    expect([m.altStatus, port.log]).toEqual([0x80, ['flush 0+0']]);
    port.complete();
    expect([m.irqs[0].level, m.in(7)]).toEqual([true, READY]);
    port.flushStatus = 'full';
    m.command48(0xea, 0, 0);
    port.complete();
    expect([m.in(7), m.in(1)]).toEqual([READY | 1, 0x04]);
  });

  it('makes every write durable while the write cache is off, and with FUA', () => {
    const [m, port] = machine();
    m.command28(0x30, 1, 1);
    m.writeWords(new Uint8Array(512));
    m.command48(0xce, 1, 1);
    expect(m.in(1), 'multiple mode is off').toBe(4);
    m.command28(0xc6, 0, 2);
    m.command48(0xce, 1, 1);
    m.writeWords(new Uint8Array(512));
    m.out(1, 0x82);
    m.command28(0xef, 0, 0);
    m.command28(0x30, 2, 1);
    m.writeWords(new Uint8Array(512));
    expect(port.log).toEqual(['write 1+1', 'write 1+1', 'flush 0+0', 'write 2+1', 'flush 0+0']);
    expect(m.in(7)).toBe(READY);
  });

  it('stays busy through a reset until the outstanding request is back, and drops its answer', () => {
    const [m, port] = machine(new SlowPort(100));
    m.command28(0x20, 3, 1);
    m.bus.write(0x3f6, 1, 4);
    m.bus.write(0x3f6, 1, 0);
    expect(m.altStatus).toBe(0x80);
    m.out(3, 0x77);
    port.complete();
    expect([m.altStatus, m.in(3), m.irqs[0].level]).toEqual([READY, 1, false]);
    m.command28(0x20, 3, 1);
    m.piix.reset();
    m.setUp();
    expect(m.altStatus).toBe(0x80);
    port.complete();
    expect(m.altStatus).toBe(READY);
  });

  it('tells its light which way data moves', () => {
    const seen: string[] = [];
    const port = new SlowPort(100, { immediate: true });
    const m = new IdeTestMachine([ataDrive(port, { activity: (kind) => seen.push(kind) })]);
    m.command28(0x20, 0, 1);
    m.readWords(512);
    m.command28(0x30, 0, 1);
    m.writeWords(new Uint8Array(512));
    expect(seen).toEqual(['read', 'write']);
  });

  it('refuses a medium without sectors', () => {
    expect(() => ataDrive(new SlowPort(0))).toThrow(/1 to 2\^48 sectors/);
  });
});
