import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '#emu/bus/io-bus.ts';
import type { DmaChannel } from '#emu/bus/wires.ts';
import type { BlockPort, BlockRequest, BlockStatus } from '#emu/host/block.ts';
import { Fdc82077 } from './fdc82077.ts';
import { FloppyDrive } from './floppy-drive.ts';
import type { FloppyDriveType } from './floppy-geometry.ts';

/** DMA channel 2 with its page of memory, as a driver programs it. */
class Channel implements DmaChannel {
  memory = new Uint8Array(65536);
  at = 0;
  remainingBytes = 0;
  terminalCount = false;
  program(byteCount: number): void {
    this.at = 0;
    this.remainingBytes = byteCount;
    this.terminalCount = false;
  }
  writeToMemory(bytes: Uint8Array): number {
    const n = this.#take(bytes.length);
    this.memory.set(bytes.subarray(0, n), this.at - n);
    return n;
  }
  readFromMemory(into: Uint8Array): number {
    const n = this.#take(into.length);
    into.set(this.memory.subarray(this.at - n, this.at));
    return n;
  }
  #take(byteCount: number): number {
    const n = Math.min(byteCount, this.remainingBytes);
    this.at += n;
    this.remainingBytes -= n;
    if (n > 0 && this.remainingBytes === 0) this.terminalCount = true;
    return n;
  }
}

const PATTERN = new Uint8Array(5760 * 512);
for (let i = 0; i < PATTERN.length; i++) PATTERN[i] = i * 3 + (i >> 9);

class Diskette implements BlockPort {
  readonly image: Uint8Array;
  readonly sectorCount: number;
  writable = true;
  immediate = true;
  readonly waiting: BlockRequest[] = [];
  readonly log: string[] = [];
  readonly bad = new Map<number, BlockStatus>();
  constructor(sectors = 2880) {
    this.sectorCount = sectors;
    this.image = PATTERN.slice(0, sectors * 512);
  }
  submit(request: BlockRequest): void {
    this.log.push(`${request.kind} ${request.sector}+${request.bytes.length / 512}`);
    if (this.immediate) this.#serve(request);
    else this.waiting.push(request);
  }
  complete(): void {
    const request = this.waiting.shift();
    if (request) this.#serve(request);
  }
  #serve({ kind, sector, bytes, done }: BlockRequest): void {
    for (let s = sector; s < sector + bytes.length / 512; s++) {
      const status = this.bad.get(s);
      if (status) {
        done(status);
        return;
      }
    }
    if (kind === 'read') bytes.set(this.image.subarray(sector * 512, sector * 512 + bytes.length));
    if (kind === 'write') this.image.set(bytes, sector * 512);
    done('ok');
  }
  sectors(lba: number, count: number): Uint8Array {
    return this.image.slice(lba * 512, (lba + count) * 512);
  }
}

class Machine {
  readonly clock = new ManualClock();
  readonly timers = new TimerQueue(this.clock);
  readonly bus = new IoBus();
  readonly dma = new Channel();
  readonly drive: FloppyDrive;
  readonly fdc: Fdc82077;
  irq = false;
  readonly lights: string[] = [];

  constructor(medium: Diskette | undefined = new Diskette(), type: FloppyDriveType = '1.44M') {
    this.drive = new FloppyDrive({
      type,
      ...(medium ? { medium } : {}),
      activity: (kind) => this.lights.push(kind),
    });
    this.fdc = new Fdc82077({
      irq: {
        set: (asserted) => {
          this.irq = asserted;
        },
      },
      dma: this.dma,
      timers: this.timers,
      drives: [this.drive],
    });
    this.bus.map(0x3f0, 6, this.fdc.registers);
    this.bus.map(0x3f7, 1, this.fdc.inputBlock);
  }
  wait(ms: number): void {
    this.clock.advance(ms * 1_000_000);
    this.timers.runExpired();
  }
  get msr(): number {
    return this.bus.read(0x3f4, 1);
  }
  get changed(): boolean {
    return (this.bus.read(0x3f7, 1) & 0x80) !== 0;
  }
  send(...bytes: number[]): void {
    for (const byte of bytes) {
      expect(this.msr & 0xc0).toBe(0x80);
      this.bus.write(0x3f5, 1, byte);
    }
  }
  results(): number[] {
    const bytes: number[] = [];
    while ((this.msr & 0xd0) === 0xd0) bytes.push(this.bus.read(0x3f5, 1));
    return bytes;
  }
  command(...bytes: number[]): number[] {
    this.send(...bytes);
    return this.results();
  }
  /** What a driver does first. */
  start({ rate = 0, nonDma = false } = {}): this {
    this.bus.write(0x3f2, 1, 0x08);
    this.bus.write(0x3f2, 1, 0x1c);
    this.wait(1);
    for (let i = 0; i < 4; i++) this.command(0x08);
    this.bus.write(0x3f7, 1, rate);
    this.command(0x03, 0xd0, nonDma ? 3 : 2);
    return this;
  }
  seek(cylinder: number, head = 0): number[] {
    this.command(0x0f, head << 2, cylinder);
    this.wait(1000);
    return this.command(0x08);
  }
  /** READ or WRITE: first byte, then CHRN and EOT. */
  move(first: number, [c, h, r, n]: readonly number[], eot: number, unit = 0): number[] {
    return this.command(first, (h << 2) | unit, c, h, r, n, eot, 0x1b, 0xff);
  }
}

const READ = 0xe6;
const WRITE = 0xc5;

describe('Fdc82077 command protocol', () => {
  it('comes out of reset with an interrupt and four ready changes', () => {
    const m = new Machine();
    expect([m.msr, m.irq]).toEqual([0, false]);
    m.bus.write(0x3f2, 1, 0x0c);
    expect(m.irq).toBe(false);
    m.wait(1);
    expect([m.irq, m.msr]).toEqual([true, 0x80]);
    expect(m.command(0x08)).toEqual([0xc0, 0]);
    expect(m.irq).toBe(false);
    expect([m.command(0x08), m.command(0x08), m.command(0x08)]).toEqual([
      [0xc1, 0],
      [0xc2, 0],
      [0xc3, 0],
    ]);
    expect(m.command(0x08), 'nothing left: invalid').toEqual([0x80]);
  });

  it('shows phases in the main status register', () => {
    const m = new Machine().start();
    m.send(0x04);
    expect(m.msr).toBe(0x90);
    m.send(0x00);
    expect(m.msr).toBe(0xd0);
    expect(m.results()).toEqual([0x38]);
    expect(m.msr).toBe(0x80);
  });

  it('identifies as an 82077AA and rejects what it has not', () => {
    const m = new Machine().start();
    expect(m.command(0x10)).toEqual([0x90]);
    expect(m.command(0x18), 'PART ID').toEqual([0x80]);
    expect(m.command(0x1f)).toEqual([0x80]);
    expect(m.command(0x11), 'SCAN EQUAL').toEqual([0x80]);
  });

  it('keeps SPECIFY, CONFIGURE, LOCK and PERPENDICULAR as DUMPREG shows them', () => {
    const m = new Machine().start();
    m.seek(5);
    m.command(0x13, 0, 0x57, 0x11);
    m.command(0x12, 0x80 | 0x05);
    expect(m.command(0x0e)).toEqual([5, 0, 0, 0, 0xd0, 0x02, 0, 0x05, 0x57, 0x11]);
    expect(m.command(0x94)).toEqual([0x10]);
    m.bus.write(0x3f4, 1, 0x80);
    expect(m.command(0x0e)).toEqual([0, 0, 0, 0, 0xd0, 0x02, 0, 0x84, 0x57, 0x11]);
    expect(m.irq, 'polling was off').toBe(false);
    expect(m.command(0x14)).toEqual([0]);
    m.bus.write(0x3f4, 1, 0x80);
    expect(m.command(0x0e).slice(8)).toEqual([0x70, 0]);
  });

  it('holds the interrupt back while the gate of DOR is closed', () => {
    const m = new Machine().start();
    m.bus.write(0x3f2, 1, 0x14);
    m.command(0x07, 0);
    m.wait(1000);
    expect(m.irq).toBe(false);
    m.bus.write(0x3f2, 1, 0x1c);
    expect(m.irq).toBe(true);
    m.command(0x08);
    m.bus.write(0x3f2, 1, 0x14);
    m.seek(0);
    m.dma.program(512);
    expect(m.move(READ, [0, 0, 1, 2], 18).slice(0, 3), 'no DREQ either').toEqual([0x40, 0x10, 0]);
  });
});

describe('Fdc82077 seeks', () => {
  it('takes step time, with the drive busy meanwhile', () => {
    const m = new Machine().start();
    m.send(0x0f, 0, 10);
    expect([m.msr, m.irq]).toEqual([0x81, false]);
    m.wait(29);
    expect(m.irq).toBe(false);
    m.wait(1);
    expect([m.msr, m.irq]).toEqual([0x80, true]);
    expect(m.command(0x08)).toEqual([0x20, 10]);
    expect(m.irq).toBe(false);
    m.command(0x07, 0);
    m.wait(30);
    expect(m.command(0x08)).toEqual([0x20, 0]);
    expect(m.command(0x04, 0)).toEqual([0x38]);
  });

  it('reports an equipment check where no track 0 is found', () => {
    const m = new Machine().start();
    m.command(0x07, 1);
    m.wait(1000);
    expect(m.command(0x08)).toEqual([0x71, 0]);
    m.seek(4);
    m.command(0x8f, 0, 6);
    m.wait(1000);
    expect(m.command(0x08)).toEqual([0x70, 0]);
    m.command(0xcf, 0, 7);
    m.wait(1000);
    expect(m.command(0x08)).toEqual([0x20, 7]);
  });

  it('seeks by itself when CONFIGURE says so', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start();
    m.dma.program(512);
    expect(m.move(READ, [3, 0, 1, 2], 18)).toEqual([0x40, 0x04, 0x10, 3, 0, 1, 2]);
    m.command(0x13, 0, 0x60, 0);
    expect(m.move(READ, [3, 0, 1, 2], 18)).toEqual([0, 0, 0, 3, 0, 2, 2]);
    expect(m.dma.memory.slice(0, 512)).toEqual(disk.sectors(3 * 36, 1));
  });
});

describe('Fdc82077 transfers', () => {
  it('reads by DMA across both sides and stops at terminal count', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start();
    m.seek(2);
    m.dma.program(20 * 512);
    m.send(READ, 0, 2, 0, 10, 2, 18, 0x1b, 0xff);
    expect(m.irq).toBe(true);
    expect(m.msr).toBe(0xd0);
    expect(m.results()).toEqual([0x04, 0, 0, 2, 1, 12, 2]);
    expect(m.irq).toBe(false);
    expect(m.dma.memory.slice(0, 20 * 512)).toEqual(disk.sectors(2 * 36 + 9, 20));
    expect(disk.log).toEqual(['read 81+9', 'read 90+11']);
    expect(m.lights).toEqual(['read', 'read']);
  });

  it.each([
    [READ, [1, 0, 18, 2], 1, [0, 0, 0, 1, 1, 1, 2]],
    [READ, [1, 1, 18, 2], 1, [4, 0, 0, 2, 0, 1, 2]],
    [0x46, [1, 1, 18, 2], 1, [4, 0, 0, 2, 1, 1, 2]],
    [0x46, [1, 0, 17, 2], 1, [0, 0, 0, 1, 0, 18, 2]],
    [0x46, [1, 0, 17, 2], 3, [0x40, 0x80, 0, 2, 0, 1, 2]],
  ])('leaves the next sector in the result: command %i at %j, %i sectors', (first, chrn, count, result) => {
    const m = new Machine().start();
    m.seek(1);
    m.dma.program(count * 512);
    expect(m.move(first, chrn, 18)).toEqual(result);
  });

  it('writes by DMA; a count that ends inside a sector fills it with zeros', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start();
    m.seek(0);
    m.dma.memory.fill(0xa5);
    m.dma.program(1100);
    expect(m.move(WRITE, [0, 0, 3, 2], 18)).toEqual([0, 0, 0, 0, 0, 6, 2]);
    const after = disk.sectors(2, 3);
    expect([after[0], after[1099], after[1100], after[1535]]).toEqual([0xa5, 0xa5, 0, 0]);
    expect(m.lights).toEqual(['write']);
  });

  it('reads and writes through the FIFO without DMA, the line up while bytes wait', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start({ nonDma: true });
    m.seek(0);
    m.send(0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
    const bytes: number[] = [];
    while ((m.msr & 0xe0) === 0xe0) {
      expect(m.irq).toBe(true);
      bytes.push(m.bus.read(0x3f5, 1));
    }
    expect(Uint8Array.from(bytes)).toEqual(disk.sectors(16, 2));
    expect(m.results(), 'no terminal count without DMA').toEqual([0x40, 0x80, 0, 1, 0, 1, 2]);
    m.send(0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
    for (let i = 0; i < 512; i++) {
      expect(m.msr).toBe(0xb0);
      m.bus.write(0x3f5, 1, i);
    }
    expect(m.results()[1]).toBe(0x80);
    expect([...disk.sectors(17, 1)]).toEqual(Array.from({ length: 512 }, (_, i) => i & 255));
  });

  it('waits for the medium, and a reset meanwhile drops the answer', () => {
    const disk = new Diskette();
    disk.immediate = false;
    const m = new Machine(disk).start();
    m.seek(0);
    m.dma.program(512);
    m.send(READ, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    expect([m.msr, m.irq, m.fdc.idle]).toEqual([0x10, false, false]);
    expect(() => m.fdc.save()).toThrow(/outstanding/);
    m.start();
    m.dma.program(512);
    m.send(READ, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
    expect(disk.waiting.length).toBe(1);
    disk.complete();
    expect([m.msr, disk.waiting.length]).toEqual([0x10, 1]);
    disk.complete();
    expect(m.results()).toEqual([0, 0, 0, 0, 0, 3, 2]);
    expect(m.dma.memory.slice(0, 512)).toEqual(disk.sectors(1, 1));
  });

  it('names the failing sector after delivering those before it', () => {
    const disk = new Diskette();
    disk.bad.set(4, 'io');
    const m = new Machine(disk).start();
    m.seek(0);
    m.dma.program(18 * 512);
    expect(m.move(READ, [0, 0, 1, 2], 18)).toEqual([0x40, 0x20, 0x20, 0, 0, 5, 2]);
    expect(m.dma.at).toBe(4 * 512);
    m.dma.program(18 * 512);
    expect(m.move(WRITE, [0, 0, 1, 2], 18)).toEqual([0x40, 0x20, 0x20, 0, 0, 5, 2]);
    disk.bad.set(4, 'read-only');
    m.dma.program(18 * 512);
    expect(m.move(WRITE, [0, 0, 1, 2], 18)[1]).toBe(0x02);
  });

  it('finds no sector that the diskette has not', () => {
    const m = new Machine().start();
    m.seek(0);
    const status = (chrn: number[], eot = 18, first = READ): number[] => {
      m.dma.program(512);
      return m.move(first, chrn, eot).slice(0, 3);
    };
    expect(status([0, 0, 19, 2], 36)).toEqual([0x40, 0x04, 0]);
    expect(status([0, 0, 0, 2])).toEqual([0x40, 0x04, 0]);
    expect(status([0, 0, 1, 3])).toEqual([0x40, 0x04, 0]);
    expect(status([7, 0, 1, 2])).toEqual([0x40, 0x04, 0x10]);
    expect(status([0xff, 0, 1, 2])).toEqual([0x40, 0x04, 0x12]);
    expect(status([0, 0, 1, 2], 18, 0xa6), 'FM').toEqual([0x40, 0x01, 0]);
    m.dma.program(0);
    expect(m.move(READ, [0, 0, 1, 2], 18).slice(0, 3), 'DMA not programmed').toEqual([0x40, 0x10, 0]);
    m.bus.write(0x3f7, 1, 2);
    expect(status([0, 0, 1, 2]), 'wrong data rate').toEqual([0x40, 0x01, 0]);
    m.drive.eject();
    m.bus.write(0x3f7, 1, 0);
    expect(status([0, 0, 1, 2]), 'empty').toEqual([0x40, 0x01, 0]);
    expect(m.move(READ, [0, 0, 1, 2], 18, 2).slice(0, 3), 'absent drive').toEqual([0x42, 0x01, 0]);
  });

  it('refuses to write a protected diskette', () => {
    const disk = new Diskette();
    disk.writable = false;
    const m = new Machine(disk).start();
    m.seek(0);
    m.dma.program(512);
    expect(m.move(WRITE, [0, 0, 1, 2], 18).slice(0, 3)).toEqual([0x40, 0x02, 0]);
    expect(m.command(0x4d, 0, 2, 18, 0x54, 0xf6).slice(0, 3)).toEqual([0x40, 0x02, 0]);
    expect(m.command(0x04, 0)).toEqual([0x78]);
  });

  it('reads ids one after the other as the diskette turns', () => {
    const m = new Machine().start();
    m.seek(3, 1);
    const ids = Array.from({ length: 19 }, () => m.command(0x4a, 4));
    expect(ids[0]).toEqual([4, 0, 0, 3, 1, 1, 2]);
    expect(ids.map((id) => id[5])).toEqual([...Array.from({ length: 18 }, (_, i) => i + 1), 1]);
    expect(m.irq).toBe(false);
    m.bus.write(0x3f7, 1, 3);
    expect(m.command(0x4a, 0).slice(0, 3)).toEqual([0x40, 1, 0]);
  });

  it('formats a track of the image and nothing else', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start();
    m.seek(4, 1);
    const ids = (count: number, c = 4): void => {
      for (let i = 0; i < count; i++) m.dma.memory.set([c, 1, ((i * 7) % count) + 1, 2], i * 4);
      m.dma.program(count * 4);
    };
    const before = disk.sectors(4 * 36 + 17, 1);
    ids(18);
    m.dma.memory.set([4, 1, 1, 2], 0);
    expect(m.command(0x4d, 4, 2, 18, 0x54, 0xf6).slice(0, 3)).toEqual([4, 0, 0]);
    expect(new Set(disk.sectors(4 * 36 + 18, 18))).toEqual(new Set([0xf6]));
    expect(disk.sectors(4 * 36 + 17, 1)).toEqual(before);
    ids(15);
    expect(m.command(0x4d, 4, 2, 15, 0x54, 0xf6).slice(0, 2)).toEqual([0x44, 0x01]);
    ids(18, 5);
    expect(m.command(0x4d, 4, 2, 18, 0x54, 0xf6).slice(0, 2)).toEqual([0x44, 0x01]);
  });

  it('reads a whole track, verifies, and treats deleted marks as absent', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start();
    m.seek(0);
    m.dma.program(36 * 512);
    expect(m.move(0x42, [0, 0, 9, 2], 18).slice(0, 3)).toEqual([0, 0, 0]);
    expect(m.dma.memory.slice(0, 18 * 512)).toEqual(disk.sectors(0, 18));
    const read = m.dma.at;
    expect(m.command(0xd6, 0x80, 0, 0, 1, 2, 18, 0x1b, 20)).toEqual([4, 0, 0, 0, 1, 3, 2]);
    expect(m.dma.at).toBe(read);
    m.dma.program(36 * 512);
    expect(m.move(0x4c, [0, 0, 2, 2], 18)).toEqual([0, 0, 0x40, 0, 0, 3, 2]);
    expect(m.dma.at).toBe(512);
    expect(m.move(0x6c, [0, 0, 2, 2], 18).slice(0, 3)).toEqual([0x40, 0x80, 0x40]);
    m.dma.program(512);
    expect(m.move(0x49, [0, 0, 2, 2], 18).slice(0, 3)).toEqual([0, 0, 0]);
    m.dma.program(512);
    expect(m.move(0x46, [0, 0, 2, 2], 18).slice(0, 3)).toEqual([0, 0, 0]);
  });
});

describe('FloppyDrive', () => {
  it('latches the disk change line until a step with a diskette in the drive', () => {
    const m = new Machine().start();
    expect(m.changed).toBe(true);
    m.seek(1);
    expect(m.changed).toBe(false);
    m.drive.eject();
    m.seek(0);
    expect(m.changed).toBe(true);
    const next = new Diskette();
    m.drive.insert(next);
    expect(m.changed).toBe(true);
    m.seek(0);
    expect(m.changed, 'no pulse, no clear').toBe(true);
    m.seek(1);
    m.seek(0);
    expect(m.changed).toBe(false);
    m.dma.program(512);
    expect(m.move(READ, [0, 0, 1, 2], 18)[0]).toBe(0);
    m.bus.write(0x3f2, 1, 0x1d);
    expect(m.changed, 'no drive 1').toBe(false);
  });

  it.each([
    [320, '1.44M', 2, 8, 1],
    [360, '360K', 2, 9, 1],
    [640, '360K', 2, 8, 2],
    [720, '1.2M', 1, 9, 2],
    [1280, '720K', 2, 8, 2],
    [1440, '1.44M', 2, 9, 2],
    [2400, '1.2M', 0, 15, 2],
    [2880, '1.44M', 0, 18, 2],
    [3360, '1.44M', 0, 21, 2],
    [3444, '1.44M', 0, 21, 2],
    [5760, '2.88M', 3, 36, 2],
  ] as const)('reads %i sectors in a %s drive', (sectors, type, rate, perTrack, heads) => {
    const disk = new Diskette(sectors);
    const m = new Machine(disk, type).start({ rate });
    // The 1.2M drive has twice the tracks of a 40-track diskette: software steps twice.
    m.seek(type === '1.2M' && sectors <= 720 ? 4 : 2);
    const head = heads - 1;
    m.dma.program(512);
    expect(m.move(READ, [2, head, perTrack, 2], perTrack)[0] & 0xc0).toBe(0);
    expect(m.dma.memory.slice(0, 512)).toEqual(disk.sectors((2 * heads + head + 1) * perTrack - 1, 1));
    m.dma.program(512);
    expect(m.move(READ, [2, 1, 1, 2], perTrack)[1]).toBe(heads === 2 ? 0 : 1);
  });

  it('names what it cannot take, and keeps the diskette it has', () => {
    const m = new Machine(new Diskette(1440), '720K');
    expect(() => m.drive.insert(new Diskette(1000))).toThrow(/160, 180, 320, 360/);
    expect(() => m.drive.insert(new Diskette(2880))).toThrow(/720K drive cannot read/);
    expect(m.drive.medium?.sectorCount).toBe(1440);
  });
});

describe('Fdc82077 state', () => {
  it('continues a FIFO read and a seek after save and restore', () => {
    const disk = new Diskette();
    const m = new Machine(disk).start({ nonDma: true });
    m.seek(0);
    m.send(0x46, 0, 0, 0, 1, 2, 2, 0x1b, 0xff);
    for (let i = 0; i < 600; i++) m.bus.read(0x3f5, 1);
    const copy = new Machine(disk);
    copy.fdc.restore(structuredClone(m.fdc.save()));
    expect(copy.irq).toBe(true);
    const rest: number[] = [];
    while ((copy.msr & 0xe0) === 0xe0) rest.push(copy.bus.read(0x3f5, 1));
    expect(Uint8Array.from(rest)).toEqual(disk.sectors(0, 2).slice(600));
    expect(copy.results()[1]).toBe(0x80);
    copy.send(0x0f, 0, 20);
    const third = new Machine(disk);
    third.fdc.restore(structuredClone(copy.fdc.save()));
    expect(third.msr).toBe(0x81);
    third.wait(5000);
    expect(third.command(0x08)).toEqual([0x20, 20]);
  });

  it('survives any register traffic', () => {
    const byte = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0xe6, 0xc5, 0x4d, 0x4a, 0x0f, 0x07, 0x08, 0x42, 0x16, 0x4c, 0x2c, 0, 1, 2, 18),
    );
    const access = fc.record({
      port: fc.constantFrom(0x3f5, 0x3f5, 0x3f5, 0x3f5, 0x3f5, 0x3f2, 0x3f4, 0x3f7, 0x3f0),
      byte,
      write: fc.constantFrom(true, true, false),
      dma: fc.constantFrom(-1, -1, 512, 700, 40000),
      repeat: fc.constantFrom(1, 1, 1, 600),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 80 }), fc.boolean(), (list, nonDma) => {
        const m = new Machine().start({ nonDma });
        for (const a of list) {
          if (a.dma >= 0) m.dma.program(a.dma);
          for (let i = 0; i < a.repeat; i++) {
            if (a.write) m.bus.write(a.port, 1, a.byte);
            else expect(m.bus.read(a.port, 1)).toBeLessThan(256);
          }
          m.wait(7);
        }
        const copy = new Machine();
        copy.fdc.restore(structuredClone(m.fdc.save()));
        expect([copy.msr, copy.irq, copy.changed]).toEqual([m.msr, m.irq, m.changed]);
        m.start();
        expect(m.seek(0)).toEqual([0x20, 0]);
        m.dma.program(512);
        expect(m.move(READ, [0, 0, 1, 2], 18).length).toBe(7);
      }),
      { numRuns: 200 },
    );
  });
});
