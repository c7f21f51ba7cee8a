import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { MmcCdrom } from '#emu/devices/scsi/mmc-cdrom.ts';
import { AtapiDrive } from './atapi-drive.ts';
import { ataString, IdeTestMachine, SlowPort } from './ide-driver.suite.ts';

const IDENTITY = { vendor: 'TABBOX', product: 'DVD-ROM', revision: '1.0', serial: 'CD-1' };

class CdMachine extends IdeTestMachine {
  readonly clock: ManualClock;
  readonly timers: TimerQueue;
  readonly unit: MmcCdrom;

  constructor(port?: SlowPort) {
    const clock = new ManualClock();
    const timers = new TimerQueue(clock);
    const unit = new MmcCdrom({ timers, identity: IDENTITY, ...(port ? { medium: port } : {}) });
    super([
      undefined,
      undefined,
      new AtapiDrive({ unit, identity: { model: 'TABBOX DVD-ROM', serial: 'CD-1', firmware: '1.0' } }),
    ]);
    this.base = 0x170;
    this.control = 0x376;
    this.clock = clock;
    this.timers = timers;
    this.unit = unit;
  }

  packet(cdb: readonly number[], { limit = 0xfffe, dma = false } = {}): void {
    this.out(6, 0xa0);
    this.out(1, dma ? 1 : 0);
    this.out(4, limit & 0xff);
    this.out(5, limit >> 8);
    this.out(7, 0xa0);
    expect([this.altStatus, this.in(2) & 7]).toEqual([0x48, 1]);
    this.writeWords(Uint8Array.from({ length: 12 }, (_, i) => cdb[i] ?? 0));
  }

  /** Runs a PIO data-in command as a driver does. Returns its data and the final status and error. */
  pioIn(cdb: readonly number[], limit = 0xfffe): { data: number[]; status: number; error: number; blocks: number[] } {
    this.packet(cdb, { limit });
    const data: number[] = [];
    const blocks: number[] = [];
    for (;;) {
      expect(this.irqs[1].level).toBe(true);
      const status = this.in(7);
      if (!(status & 8)) {
        expect(this.in(2) & 7).toBe(3);
        return { data, status, error: this.in(1), blocks };
      }
      expect(this.in(2) & 7).toBe(2);
      const byteCount = this.in(4) | (this.in(5) << 8);
      blocks.push(byteCount);
      data.push(...this.readWords(byteCount + (byteCount & 1)).slice(0, byteCount));
    }
  }

  /** Clears the power-on unit attention. */
  settle(): this {
    this.pioIn([0x03, 0, 0, 0, 18]);
    return this;
  }
}

const disc = (immediate = true): SlowPort => new SlowPort(400, { immediate });
const read10 = (lba: number, count: number): number[] => [0x28, 0, 0, 0, lba >> 8, lba & 0xff, 0, count >> 8, count, 0];

describe('AtapiDrive', () => {
  it('signs as a packet device and refuses disk commands with its signature', () => {
    const m = new CdMachine(disc());
    const signature = (): number[] => [2, 3, 4, 5].map((r) => m.in(r));
    expect([m.in(7), ...signature()]).toEqual([0, 1, 1, 0x14, 0xeb]);
    for (const opcode of [0xec, 0x20]) {
      m.command28(opcode, 0x010203, 9, 0xa0);
      expect([m.in(7), m.in(1), ...signature()]).toEqual([0x41, 4, 1, 1, 0x14, 0xeb]);
    }
    m.out(4, 0);
    m.out(6, 0xa0);
    m.out(7, 0x08);
    expect([m.irqs[1].level, m.in(7), ...signature()]).toEqual([false, 0, 1, 1, 0x14, 0xeb]);
  });

  it('identifies itself and takes transfer modes', () => {
    const m = new CdMachine(disc());
    m.out(1, 3);
    m.out(2, 0x22);
    m.out(7, 0xef);
    expect(m.in(7)).toBe(0x40);
    m.out(7, 0xa1);
    expect(m.in(7)).toBe(0x48);
    const id = m.readWords(512);
    expect([id[0] | (id[1] << 8), ataString(id, 54, 40)]).toEqual([0x85c0, 'TABBOX DVD-ROM']);
    expect(id[126] | (id[127] << 8)).toBe(0x0407);
    expect(m.in(7)).toBe(0x40);
  });

  it('reports the reset once, then runs commands; errors carry the sense key', () => {
    const m = new CdMachine(disc());
    expect(m.pioIn([0x00])).toMatchObject({ status: 0x41, error: 0x60 });
    const sense = m.pioIn([0x03, 0, 0, 0, 18]).data;
    expect([sense[0], sense[2], sense[12], sense[13]]).toEqual([0x70, 6, 0x29, 0]);
    expect(m.pioIn([0x00])).toMatchObject({ status: 0x40, error: 0 });
    expect(m.pioIn([0xff])).toMatchObject({ status: 0x41, error: 0x54 });
  });

  it('cuts data into blocks of the byte count limit, an odd one only at the end', () => {
    const port = disc();
    const m = new CdMachine(port).settle();
    const whole = m.pioIn(read10(3, 2), 1000);
    expect(whole.blocks).toEqual([1000, 1000, 1000, 1000, 96]);
    expect(Uint8Array.from(whole.data)).toEqual(port.memory.image.slice(3 * 2048, 5 * 2048));
    expect(m.pioIn(read10(3, 1), 2047).blocks).toEqual([2046, 2]);
    expect(m.pioIn([0x12, 0, 0, 0, 5], 36).blocks).toEqual([5]);
    expect(m.pioIn(read10(0, 60)).blocks).toEqual([27 * 2048, 27 * 2048, 6 * 2048]);
  });

  it('aborts a data command without a usable limit, and overlap', () => {
    const m = new CdMachine(disc()).settle();
    m.packet(read10(0, 1), { limit: 0 });
    expect([m.in(7), m.in(1)]).toEqual([0x41, 4]);
    expect(m.pioIn([0x00], 0).status).toBe(0x40);
    m.out(1, 2);
    m.out(7, 0xa0);
    expect([m.in(7), m.in(1)]).toEqual([0x41, 4]);
  });

  it('reads by DMA, BSY while the medium works', () => {
    const port = disc(false);
    const m = new CdMachine(port).settle();
    m.prepareDma(
      true,
      [
        [0x8000, 0x8000],
        [0x18000, 0xc000],
      ],
      0x1000,
      0xc008,
    );
    m.packet(read10(5, 40), { dma: true });
    m.startDma(0xc008);
    expect([m.altStatus, m.irqs[1].level]).toEqual([0x80, false]);
    port.complete();
    expect([m.altStatus, m.dmaStatus(0xc008)]).toEqual([0x80, 1]);
    port.complete();
    expect([m.dmaStatus(0xc008), m.irqs[1].level, m.in(7), m.in(2) & 7]).toEqual([4, true, 0x40, 3]);
    const want = port.memory.image.slice(5 * 2048, 45 * 2048);
    expect(m.memory.bytes.slice(0x8000, 0x10000)).toEqual(want.slice(0, 0x8000));
    expect(m.memory.bytes.slice(0x18000, 0x24000)).toEqual(want.slice(0x8000));
  });

  it('takes parameter lists from the host', () => {
    const m = new CdMachine(disc()).settle();
    const page = [0x01, 0x0a, 0x20, 0x07, 0, 0, 0, 0, 0, 0, 0, 0];
    m.packet([0x55, 0x10, 0, 0, 0, 0, 0, 0, 20], { limit: 20 });
    expect([m.in(7), m.in(2) & 7, m.in(4)]).toEqual([0x48, 0, 20]);
    m.writeWords(Uint8Array.from([...new Array(8).fill(0), ...page]));
    expect(m.in(7)).toBe(0x40);
    expect(m.pioIn([0x5a, 0, 0x01, 0, 0, 0, 0, 0, 40]).data.slice(8)).toEqual(page);
  });

  it('drops a command at DEVICE RESET and SRST, and runs the next one when the medium is back', () => {
    const port = disc(false);
    const m = new CdMachine(port).settle();
    for (const reset of [
      () => m.out(7, 0x08),
      () => {
        m.bus.write(0x376, 1, 4);
        m.bus.write(0x376, 1, 0);
      },
    ]) {
      m.packet(read10(1, 1));
      expect(m.altStatus).toBe(0x80);
      reset();
      expect([m.altStatus, m.in(4), m.in(5)]).toEqual([0, 0x14, 0xeb]);
      m.packet(read10(2, 1));
      expect([m.altStatus, port.waiting.length]).toEqual([0x80, 1]);
      port.complete();
      expect([m.altStatus, port.waiting.length]).toEqual([0x80, 1]);
      port.complete();
      expect(m.in(7)).toBe(0x48);
      expect(m.readWords(2048)).toEqual(port.memory.image.slice(2 * 2048, 3 * 2048));
      expect(m.in(7)).toBe(0x40);
    }
  });

  it('continues a saved PIO transfer', () => {
    const port = disc();
    const m = new CdMachine(port).settle();
    m.packet(read10(7, 2), { limit: 2048 });
    m.in(7);
    m.readWords(1024);
    const copy = new CdMachine(port);
    copy.piix.restore(m.save() as ReturnType<typeof copy.piix.save>);
    expect(copy.readWords(1024)).toEqual(port.memory.image.slice(7 * 2048 + 1024, 8 * 2048));
    expect(copy.in(7)).toBe(0x48);
    expect(copy.readWords(2048)).toEqual(port.memory.image.slice(8 * 2048, 9 * 2048));
    expect(copy.in(7)).toBe(0x40);
  });

  it('survives any register traffic and any packets while discs come and go, and answers afterwards', () => {
    const step = fc.record({
      kind: fc.constantFrom('write', 'write', 'read', 'packet', 'complete', 'insert', 'eject', 'wait', 'pci'),
      port: fc.oneof(fc.integer({ min: 0x170, max: 0x177 }), fc.constantFrom(0x376, 0xc008, 0xc00a, 0xc00c)),
      value: fc.oneof(fc.nat(255), fc.constantFrom(0xa0, 0xa1, 0x08, 0x90, 0x01, 0x09)),
      cdb: fc.uint8Array({ minLength: 12, maxLength: 12 }),
      opcode: fc.constantFrom(0x28, 0x12, 0x55, 0x5a, 0xbe, 0x43, 0x46, 0x1b, 0x1e, 0x4a, 0x03, 0x00),
      repeat: fc.constantFrom(1, 1, 40, 3000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const port = disc(false);
        const m = new CdMachine(port);
        for (const { kind, ...a } of steps) {
          if (kind === 'packet') {
            m.out(1, a.value & 1);
            m.out(7, 0xa0);
            m.writeWords(Uint8Array.from([a.opcode, ...a.cdb.slice(1)]));
          } else if (kind === 'complete') port.complete();
          else if (kind === 'insert') m.unit.insert(port, a.value > 128);
          else if (kind === 'eject') m.unit.eject(a.value > 128);
          else if (kind === 'pci') m.piix.writeConfig(0x04, 2, a.value & 5);
          else if (kind === 'wait') {
            m.clock.advance(300_000_000);
            m.timers.runExpired();
          }
          for (let i = 0; i < a.repeat; i++) {
            if (kind === 'write') m.bus.write(a.port, 1, a.value);
            if (kind === 'read') m.bus.read(a.port, a.port === 0x170 ? 2 : 1);
          }
        }
        m.setUp();
        m.bus.write(0x376, 1, 4);
        m.bus.write(0x376, 1, 0);
        while (!m.piix.idle) port.complete();
        expect(m.in(7) & 0x88).toBe(0);
        expect(m.pioIn([0x12, 0, 0, 0, 36]).data.length).toBe(36);
      }),
      { numRuns: 300 },
    );
  });
});
