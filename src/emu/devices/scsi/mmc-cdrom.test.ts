import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import type { BlockPort, BlockRequest } from '#emu/host/block.ts';
import { MmcCdrom } from './mmc-cdrom.ts';

/** A disc of `blocks` blocks, each filled with a pattern of its number. */
class Disc implements BlockPort {
  readonly sectorCount: number;
  readonly writable = false;
  readonly bad = new Set<number>();
  readonly seed: number;
  constructor(blocks: number, seed = 0) {
    this.sectorCount = blocks * 4;
    this.seed = seed;
  }
  submit({ sector, bytes, done }: BlockRequest): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.byteOf(sector * 512 + i);
    const blocks = Array.from({ length: bytes.length / 2048 }, (_, i) => sector / 4 + i);
    done(blocks.some((b) => this.bad.has(b)) ? 'io' : 'ok');
  }
  byteOf(at: number): number {
    return (at + (at >> 11) * 31 + this.seed) & 0xff;
  }
  block(lba: number): number[] {
    return Array.from({ length: 2048 }, (_, i) => this.byteOf(lba * 2048 + i));
  }
}

interface Result {
  data: number[];
  /** key, asc, ascq of a CHECK CONDITION, or 'good'. */
  result: string;
}

class Host {
  readonly clock = new ManualClock();
  readonly timers = new TimerQueue(this.clock);
  readonly unit: MmcCdrom;
  ejections = 0;
  constructor(disc?: BlockPort) {
    this.unit = new MmcCdrom({
      timers: this.timers,
      identity: { vendor: 'TABBOX', product: 'DVD-ROM', revision: '1.0', serial: 'S1' },
      ...(disc ? { medium: disc } : {}),
      onEjected: () => {
        this.ejections++;
      },
    });
  }
  run(cdb: readonly number[], out: readonly number[] = []): Result {
    const { unit } = this;
    const data: number[] = [];
    unit.start(Uint8Array.from(cdb));
    while (unit.phase === 'data-in' || unit.phase === 'data-out') {
      const { window } = unit;
      if (unit.phase === 'data-in') data.push(...window);
      else window.set(out.slice(0, window.length));
      unit.moved(window.length);
    }
    expect(unit.phase).toBe('status');
    const { key, asc, ascq } = unit.sense;
    const result = unit.status === 0 ? 'good' : [key, asc, ascq].map((n) => n.toString(16)).join('/');
    unit.statusTaken();
    return { data, result };
  }
  result(cdb: readonly number[]): string {
    return this.run(cdb).result;
  }
  data(cdb: readonly number[]): number[] {
    const { data, result } = this.run(cdb);
    expect(result).toBe('good');
    return data;
  }
  wait(ms: number): void {
    this.clock.advance(ms * 1_000_000);
    this.timers.runExpired();
  }
  settle(): this {
    this.result(TUR);
    return this;
  }
  /** Event code and media status bits of GET EVENT STATUS NOTIFICATION. */
  event(): [number, number] {
    const data = this.data([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]);
    return [data[4], data[5]];
  }
}

const TUR = [0x00, 0, 0, 0, 0, 0];
const EJECT = [0x1b, 0, 0, 0, 2, 0];
const LOAD = [0x1b, 0, 0, 0, 3, 0];
const LOCK = [0x1e, 0, 0, 0, 1, 0];
const UNLOCK = [0x1e, 0, 0, 0, 0, 0];
const read10 = (lba: number, count: number): number[] => [
  0x28,
  0,
  0,
  lba >> 16,
  lba >> 8,
  lba,
  0,
  count >> 8,
  count,
  0,
];

describe('MmcCdrom data', () => {
  it('reads blocks with READ 10 and READ 12, in chunks', () => {
    const disc = new Disc(100);
    const h = new Host(disc).settle();
    expect(h.data(read10(2, 1))).toEqual(disc.block(2));
    const many = h.data([0xa8, 0, 0, 0, 0, 10, 0, 0, 0, 70, 0, 0]);
    expect(many).toEqual(Array.from({ length: 70 }, (_, i) => disc.block(10 + i)).flat());
    expect(h.data(read10(99, 0))).toEqual([]);
    expect(h.data([0x25])).toEqual([0, 0, 0, 99, 0, 0, 8, 0]);
  });

  it('refuses blocks outside the disc', () => {
    const h = new Host(new Disc(100)).settle();
    for (const cdb of [
      read10(100, 1),
      read10(99, 2),
      [0x2b, 0, 0, 0, 0, 100],
      [0xa8, 0, 255, 255, 255, 255, 0, 0, 0, 1],
    ]) {
      expect(h.result(cdb)).toBe('5/21/0');
    }
  });

  it('gives the blocks before a bad one and its address in the sense data', () => {
    const disc = new Disc(100);
    disc.bad.add(43);
    const h = new Host(disc).settle();
    const { data, result } = h.run(read10(40, 10));
    expect([data.length, result]).toEqual([3 * 2048, '3/11/0']);
    const sense = h.data([0x03, 0, 0, 0, 252]);
    expect(sense).toEqual([0xf0, 0, 3, 0, 0, 0, 43, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0]);
    expect(h.data([0x03, 0, 0, 0, 18])[2], 'reported once').toBe(0);
  });

  it('builds raw sectors for READ CD and READ CD MSF', () => {
    const disc = new Disc(100);
    const h = new Host(disc).settle();
    const raw = h.data([0xbe, 0, 0, 0, 0, 4, 0, 0, 2, 0xf8, 0, 0]);
    expect(raw.length).toBe(2 * 2352);
    expect(raw.slice(0, 16)).toEqual([0, ...new Array(10).fill(255), 0, 0x00, 0x02, 0x04, 1]);
    expect(raw.slice(16, 16 + 2048)).toEqual(disc.block(4));
    expect(raw.slice(2352 + 12, 2352 + 16)).toEqual([0, 2, 5, 1]);
    expect(h.data([0xb9, 0, 0, 0, 2, 4, 0, 2, 6, 0xf8, 0, 0])).toEqual(raw);
    expect(h.data([0xbe, 0, 0, 0, 0, 4, 0, 0, 1, 0x10, 0, 0])).toEqual(disc.block(4));
    expect(h.data([0xbe, 0, 0, 0, 0, 4, 0, 0, 1, 0x20, 0, 0])).toEqual([0, 2, 4, 1]);
    expect(h.data([0xbe, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0])).toEqual([]);
    expect(h.result([0xbe, 4, 0, 0, 0, 4, 0, 0, 1, 0x10])).toBe('5/64/0');
    expect(h.result([0xbe, 0, 0, 0, 0, 4, 0, 0, 1, 0x90])).toBe('5/24/0');
    expect(h.result([0xbe, 0, 0, 0, 0, 4, 0, 0, 1, 0x10, 1])).toBe('5/24/0');
  });
});

describe('MmcCdrom descriptions', () => {
  it('answers INQUIRY and its vital product data', () => {
    const h = new Host();
    const data = h.data([0x12, 0, 0, 0, 96]);
    expect(data.slice(0, 5)).toEqual([5, 0x80, 0, 0x21, 31]);
    expect(String.fromCharCode(...data.slice(8))).toBe('TABBOX  DVD-ROM         1.0 ');
    expect(h.data([0x12, 1, 0, 0, 96])).toEqual([5, 0, 0, 3, 0, 0x80, 0x83]);
    expect(String.fromCharCode(...h.data([0x12, 1, 0x80, 0, 96]).slice(4)).trim()).toBe('S1');
    expect(h.data([0x12, 1, 0x83, 0, 96]).length).toBe(52);
    expect(h.result([0x12, 1, 0x99, 0, 96])).toBe('5/24/0');
    expect(h.result([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16])).toBe('6/29/0');
    expect(h.result([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16])).toBe('5/20/0');
  });

  it('describes its one track in all three TOC formats', () => {
    const h = new Host(new Disc(4500)).settle();
    const lba = h.data([0x43, 0, 0, 0, 0, 0, 0, 0, 100, 0]);
    expect(lba).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 4500 >> 8, 4500 & 255]);
    const time = h.data([0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100, 0]);
    expect(time).toEqual([0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 1, 2, 0]);
    expect(h.data([0x43, 0, 1, 0, 0, 0, 0, 0, 100, 0])).toEqual([0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
    expect(h.data([0x43, 0, 0, 0, 0, 0, 0, 0, 100, 0x40]), 'format in the control byte').toHaveLength(12);
    const raw = h.data([0x43, 2, 2, 0, 0, 0, 0, 0, 100, 0]);
    expect([raw.length, raw[1]]).toEqual([48, 46]);
    expect([raw.slice(26, 37)]).toEqual([[1, 0x14, 0, 0xa2, 0, 0, 0, 0, 1, 2, 0]]);
    expect(h.result([0x43, 0, 0, 0, 0, 0, 5, 0, 100, 0])).toBe('5/24/0');
    expect(h.result([0x43, 0, 5, 0, 0, 0, 0, 0, 100, 0])).toBe('5/24/0');
    expect(h.data([0x43, 0, 0, 0, 0, 0, 0, 0, 4, 0])).toEqual([0, 18, 1, 1]);
  });

  it('knows CD from DVD by size', () => {
    const profile = (blocks: number): number[] => {
      const h = new Host(new Disc(blocks)).settle();
      return h.data([0x46, 0, 0, 0, 0, 0, 0, 4, 0]).slice(0, 20);
    };
    expect(profile(1000)[7]).toBe(0x08);
    expect(profile(2_000_000)[7]).toBe(0x10);
    expect(profile(1000).slice(8, 20)).toEqual([0, 0, 3, 8, 0, 0x10, 0, 0, 0, 0x08, 1, 0]);
    const dvd = new Host(new Disc(2_000_000)).settle();
    expect(dvd.data([0xad, 0, 0, 0, 0, 0, 0, 0, 16, 0]).slice(8, 16)).toEqual([0, 3, 0, 0, 0, 0x21, 0x84, 0x7f]);
    const cd = new Host(new Disc(1000)).settle();
    expect(cd.result([0xad, 0, 0, 0, 0, 0, 0, 0, 16, 0])).toBe('5/24/0');
    const one = cd.data([0x46, 2, 0, 3, 0, 0, 0, 4, 0]);
    expect(one).toEqual([0, 0, 0, 12, 0, 0, 0, 8, 0, 3, 3, 4, 0x29, 0, 0, 0]);
  });

  it('answers disc, track, position and mechanism questions', () => {
    const h = new Host(new Disc(1000)).settle();
    expect(h.data([0x51, 0, 0, 0, 0, 0, 0, 0, 34]).slice(0, 8)).toEqual([0, 32, 0x0e, 1, 1, 1, 1, 0x20]);
    expect(h.data([0x52, 1, 0, 0, 0, 1, 0, 0, 36]).slice(24, 28)).toEqual([0, 0, 1000 >> 8, 1000 & 255]);
    expect(h.result([0x52, 1, 0, 0, 0, 2, 0, 0, 36])).toBe('5/24/0');
    h.data(read10(500, 3));
    expect(h.data([0x42, 0, 0x40, 1, 0, 0, 0, 0, 16]).slice(8, 12)).toEqual([0, 0, 502 >> 8, 502 & 255]);
    expect(h.data([0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]).slice(0, 6)).toEqual([0, 0, 0, 502 >> 8, 502 & 255, 1]);
    expect(h.data([0x42, 0, 0, 0, 0, 0, 0, 0, 4])).toEqual([0, 0, 0, 0]);
  });

  it('senses and selects mode pages within their changeable bits', () => {
    const h = new Host(new Disc(10)).settle();
    const sense = (page: number): number[] => h.data([0x5a, 0, page, 0, 0, 0, 0, 1, 0]);
    expect(sense(0x2a).slice(0, 10)).toEqual([0, 26, 0x01, 0, 0, 0, 0, 0, 0x2a, 18]);
    expect(sense(0x3f)[1]).toBe(6 + 12 + 8 + 16 + 12 + 20);
    expect(h.result([0x5a, 0, 0xc1, 0, 0, 0, 0, 1, 0])).toBe('5/39/0');
    expect(h.result([0x5a, 0, 0x05, 0, 0, 0, 0, 1, 0])).toBe('5/24/0');
    const list = [0, 0, 0, 0, 0x0d, 6, 0xff, 0xff, 9, 9, 9, 9];
    expect(h.run([0x15, 0x10, 0, 0, list.length], list).result).toBe('good');
    expect(h.data([0x1a, 0, 0x0d, 0, 64]).slice(4)).toEqual([0x0d, 6, 0, 0x0f, 0, 60, 0, 75]);
    expect(h.data([0x1a, 0, 0x8d, 0, 64]).slice(4)).toEqual([0x0d, 6, 0, 0x0d, 0, 60, 0, 75]);
    expect(h.run([0x15, 0x10, 0, 0, 6], [0, 0, 0, 0, 0x33, 0]).result).toBe('5/26/0');
    expect(h.run([0x15, 0x10, 0, 0, 7], list).result).toBe('5/1a/0');
    expect(h.result([0x15, 0, 0, 0, 4])).toBe('5/24/0');
  });
});

describe('MmcCdrom medium changes', () => {
  it('reports an inserted disc as becoming ready, then attention once, then ready', () => {
    const h = new Host().settle();
    expect(h.result(TUR)).toBe('2/3a/1');
    const disc = new Disc(50);
    expect(h.unit.insert(disc)).toBe(true);
    expect(h.result(TUR)).toBe('2/4/1');
    expect(h.event()).toEqual([0, 0]);
    h.wait(500);
    expect(h.event()).toEqual([2, 2]);
    expect(h.event()).toEqual([0, 2]);
    expect(h.result(read10(0, 1))).toBe('6/28/0');
    expect(h.data(read10(0, 1))).toEqual(disc.block(0));
  });

  it('lets the guest see the old disc gone before the new one', () => {
    const h = new Host(new Disc(50)).settle();
    h.unit.insert(new Disc(60, 1));
    expect(h.result(TUR)).toBe('2/3a/1');
    expect(h.event()).toEqual([3, 0]);
    h.wait(500);
    expect(h.result(TUR)).toBe('2/4/1');
    h.wait(500);
    expect(h.event()).toEqual([2, 2]);
    expect(h.data([0x03, 0, 0, 0, 18]).slice(12, 14), 'REQUEST SENSE takes the attention').toEqual([0x28, 0]);
    expect(h.data([0x25]).slice(0, 4)).toEqual([0, 0, 0, 59]);
  });

  it('opens and closes its tray for the guest and tells the host', () => {
    const h = new Host(new Disc(50)).settle();
    expect(h.result(LOCK)).toBe('good');
    expect(h.data([0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0])[14] & 2, 'lock state').toBe(2);
    expect(h.result(EJECT)).toBe('5/53/2');
    h.result(UNLOCK);
    expect(h.result(EJECT)).toBe('good');
    expect([h.ejections, h.unit.trayOpen, h.result(TUR)]).toEqual([1, true, '2/3a/2']);
    expect(h.event()).toEqual([3, 1]);
    expect(h.result(LOAD)).toBe('good');
    h.wait(500);
    expect([h.result(TUR), h.result(TUR)]).toEqual(['6/28/0', 'good']);
    h.result(EJECT);
    expect(h.unit.insert(undefined)).toBe(true);
    h.result(LOAD);
    h.wait(500);
    expect(h.result(TUR)).toBe('2/3a/1');
  });

  it('keeps a locked door shut for the host unless forced', () => {
    const h = new Host(new Disc(50)).settle();
    h.result(LOCK);
    expect([h.unit.eject(false), h.unit.insert(new Disc(9)), h.unit.insert(undefined)]).toEqual([false, false, false]);
    expect(h.event()).toEqual([1, 2]);
    expect(h.result(TUR)).toBe('good');
    expect(h.unit.eject(true)).toBe(true);
    expect([h.result(TUR), h.unit.trayOpen, h.unit.locked]).toEqual(['2/3a/2', true, false]);
    h.unit.insert(new Disc(9));
    expect(h.unit.trayOpen).toBe(false);
  });

  it('cuts a transfer short when the disc leaves', () => {
    const h = new Host(new Disc(100)).settle();
    h.unit.start(Uint8Array.from(read10(0, 60)));
    h.unit.eject(true);
    h.unit.moved(h.unit.window.length);
    expect([h.unit.phase, h.unit.status, h.unit.sense]).toEqual(['status', 2, { key: 2, asc: 0x3a, ascq: 2 }]);
  });

  it('keeps a change in progress across save and restore', () => {
    const h = new Host(new Disc(50)).settle();
    const next = new Disc(60);
    h.unit.insert(next);
    h.wait(100);
    const copy = new Host(next);
    copy.wait(100);
    copy.unit.restore(structuredClone(h.unit.save()));
    expect(copy.result(TUR)).toBe('2/3a/1');
    copy.wait(400);
    expect(copy.result(TUR)).toBe('2/4/1');
    copy.wait(500);
    expect([copy.result(TUR), copy.result(TUR)]).toEqual(['6/28/0', 'good']);
  });

  it('refuses an image smaller than one block', () => {
    expect(() => new Host(new Disc(0.5))).toThrow(/at least one block/);
    expect(() => new Host().unit.insert(new Disc(0))).toThrow(/at least one block/);
  });
});

it('MmcCdrom ends every command and never throws', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 6, maxLength: 12 }), { maxLength: 20 }), (commands) => {
      const h = new Host(new Disc(300));
      for (const cdb of commands) {
        h.run([...cdb], new Array(65536).fill(0));
        h.run(
          [[0x12, 0x28, 0x43, 0x5a, 0x55, 0xbe, 0x46, 0x1b][cdb[0] & 7], ...cdb.slice(1)],
          new Array(65536).fill(1),
        );
      }
    }),
    { numRuns: 200 },
  );
});
