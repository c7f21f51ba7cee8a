import { describe, expect, it } from 'vitest';
import { ataDrive, BUS_MASTER, IdeTestMachine, SlowPort } from './ide-driver.suite.ts';

const machine = (port: SlowPort = new SlowPort(2000, { immediate: true })): [IdeTestMachine, SlowPort] => [
  new IdeTestMachine([ataDrive(port)]),
  port,
];
const image = (port: SlowPort, lba: number, count: number): Uint8Array =>
  port.memory.image.slice(lba * 512, (lba + count) * 512);

describe('BusMaster', () => {
  it('shows the PCI identity of a PIIX3 IDE function', () => {
    const [m] = machine();
    expect(m.piix.readConfig(0, 4)).toBe(0x7010_8086);
    expect(m.piix.readConfig(8, 4) >>> 8).toBe(0x010180);
    m.piix.writeConfig(0x20, 4, 0xffff_ffff);
    expect(m.piix.readConfig(0x20, 4)).toBe(0xffff_fff1);
    m.piix.writeConfig(0x40, 4, 0xa307_e377);
    expect(m.piix.readConfig(0x40, 4)).toBe(0xa307_e377);
  });

  it('scatters a read over regions of any even size: Interrupt without Active', () => {
    const [m, port] = machine();
    m.prepareDma(true, [
      [0x8000, 2],
      [0x9001, 1022],
      [0xa000, 512],
    ]);
    m.command28(0xc8, 17, 3);
    expect([m.dmaStatus(), m.irqs[0].level]).toEqual([0, false]);
    m.startDma();
    expect([m.dmaStatus(), m.irqs[0].level, m.in(7)]).toEqual([4, true, 0x50]);
    const want = image(port, 17, 3);
    expect(m.memory.bytes.slice(0x8000, 0x8002)).toEqual(want.slice(0, 2));
    expect(m.memory.bytes.slice(0x9000, 0x9000 + 1022)).toEqual(want.slice(2, 1024));
    expect(m.memory.bytes.slice(0xa000, 0xa200)).toEqual(want.slice(1024));
  });

  it('gathers a write that spans chunks, a region of zero being 64 KB', () => {
    const [m, port] = machine();
    const data = m.memory.bytes.subarray(0x10000, 0x10000 + 300 * 512);
    for (let i = 0; i < data.length; i++) data[i] = i * 11 + (i >> 8);
    m.prepareDma(false, [
      [0x10000, 0],
      [0x20000, 0],
      [0x30000, 300 * 512 - 0x20000],
    ]);
    m.startDma();
    expect(m.dmaStatus()).toBe(1);
    m.command48(0x35, 1000, 300);
    expect([m.dmaStatus(), m.in(7)]).toEqual([4, 0x50]);
    expect(image(port, 1000, 300)).toEqual(data.slice());
    expect(port.log).toEqual(['write 1000+256', 'write 1256+44']);
  });

  it('says Active and Interrupt when the table has room left', () => {
    const [m] = machine();
    m.prepareDma(true, [[0x8000, 4096]]);
    m.command28(0xc8, 0, 1);
    m.startDma();
    expect(m.dmaStatus()).toBe(5);
    m.bus.write(BUS_MASTER, 1, 0x08);
    expect(m.dmaStatus()).toBe(4);
    m.bus.write(BUS_MASTER + 2, 1, 4);
    expect(m.dmaStatus()).toBe(0);
  });

  it('says neither when the table is too short; the drive waits and a new table finishes', () => {
    const [m, port] = machine();
    m.prepareDma(true, [[0x8000, 512]]);
    m.command28(0xc8, 40, 2);
    m.startDma();
    expect([m.dmaStatus(), m.irqs[0].level, m.altStatus]).toEqual([0, false, 0x58]);
    m.prepareDma(true, [[0x9000, 512]]);
    m.startDma();
    expect([m.dmaStatus(), m.irqs[0].level]).toEqual([4, true]);
    expect(m.memory.bytes.slice(0x9000, 0x9200)).toEqual(image(port, 41, 1));
  });

  it('waits for the medium, for bus mastering and for the right direction', () => {
    const [m, port] = machine(new SlowPort(100));
    m.prepareDma(true, [[0x8000, 512]]);
    m.command28(0xc8, 7, 1);
    m.startDma();
    expect([m.dmaStatus(), m.altStatus]).toEqual([1, 0x80]);
    m.piix.writeConfig(4, 2, 1);
    port.complete();
    expect(m.dmaStatus()).toBe(1);
    m.piix.writeConfig(4, 2, 5);
    expect(m.dmaStatus()).toBe(4);
    m.prepareDma(false, [[0x8000, 512]]);
    m.command28(0xc8, 7, 1);
    port.complete();
    m.startDma();
    expect([m.dmaStatus(), m.altStatus]).toEqual([1, 0x58]);
  });

  it('stops when Start is cleared; the drive waits until it is reset', () => {
    const [m, port] = machine(new SlowPort(100));
    m.prepareDma(true, [[0x8000, 512]]);
    m.command28(0xc8, 7, 1);
    m.startDma();
    m.bus.write(BUS_MASTER, 1, 0);
    port.complete();
    expect([m.dmaStatus(), m.altStatus]).toEqual([0, 0x58]);
    m.bus.write(0x3f6, 1, 4);
    m.bus.write(0x3f6, 1, 0);
    expect(m.altStatus).toBe(0x50);
  });

  it('ends with Error when a region runs past 4 GB, and clears it on request', () => {
    const [m] = machine();
    m.prepareDma(true, [[0xffff_ff00, 512]]);
    m.command28(0xc8, 7, 1);
    m.startDma();
    expect([m.dmaStatus(), m.irqs[0].level]).toEqual([2, false]);
    m.bus.write(BUS_MASTER + 2, 1, 0x62);
    expect(m.bus.read(BUS_MASTER + 2, 1)).toBe(0x60);
  });

  it('reports a bad sector after the sectors before it, with its address', () => {
    const [m, port] = machine();
    port.badSectors.set(33, 'io');
    m.prepareDma(true, [[0x8000, 2048]]);
    m.command28(0xc8, 32, 4);
    m.startDma();
    expect([m.dmaStatus(), m.in(7), m.in(1), m.in(3)]).toEqual([5, 0x51, 0x40, 33]);
    expect(m.memory.bytes.slice(0x8000, 0x8200)).toEqual(image(port, 32, 1));
  });

  it('sets Interrupt for PIO commands too, and keeps the channels apart', () => {
    const port = new SlowPort(100, { immediate: true });
    const m = new IdeTestMachine([undefined, undefined, ataDrive(port)]);
    m.base = 0x170;
    m.command28(0xec, 0, 0);
    expect([m.irqs[0].level, m.irqs[1].level]).toEqual([false, true]);
    expect([m.dmaStatus(), m.dmaStatus(BUS_MASTER + 8)]).toEqual([0, 4]);
    m.readWords(512);
    m.prepareDma(true, [[0x4000, 1024]], 0x1000, BUS_MASTER + 8);
    m.command28(0xc8, 3, 2);
    m.startDma(BUS_MASTER + 8);
    expect(m.memory.bytes.slice(0x4000, 0x4400)).toEqual(image(port, 3, 2));
  });

  it('resumes a transfer that was saved between table and drive', () => {
    const [m, port] = machine();
    m.prepareDma(true, [[0x8000, 512]]);
    m.command28(0xc8, 40, 2);
    m.startDma();
    const copy = new IdeTestMachine([ataDrive(port)]);
    copy.piix.restore(m.save() as ReturnType<typeof copy.piix.save>);
    copy.prepareDma(true, [[0x9000, 512]]);
    copy.startDma();
    expect(copy.memory.bytes.slice(0x9000, 0x9200)).toEqual(image(port, 41, 1));
    expect([copy.dmaStatus(), copy.irqs[0].level]).toEqual([4, true]);
  });
});
