/** The interrupt controllers as the board wires them; the test is firmware and driver. */
import { beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_PLATFORM } from './config.ts';
import { type Bench, bench } from './fake-cpu.suite.ts';

const LOCAL = 0xfee0_0000;
const IO = 0xfec0_0000;
const HPET = 0xfed0_0000;
const LINT0 = 0x350;
const LINT1 = 0x360;

let b: Bench;
const local = (register: number, value: number): void => b.pc.memory.writeSized(LOCAL + register, 4, value);
const route = (pin: number, low: number): void => {
  b.pc.memory.writeSized(IO, 4, 0x10 + pin * 2);
  b.pc.memory.writeSized(IO + 0x10, 4, low);
};
const take = (): number | undefined => (b.cpu.interrupt ? b.cpu.parts.interrupts.acknowledge() : undefined);
/** Firmware's part: the 8259 pair at vector 8, everything but IRQ 4 masked. */
const initialisePic = (): void => {
  for (const [port, value] of [
    [0x20, 0x11],
    [0x21, 0x08],
    [0x21, 0x04],
    [0x21, 0x01],
    [0x21, 0xef],
  ]) {
    b.out(port, value);
  }
};
/** COM1 asks for its transmitter interrupt, IRQ 4. */
const ring = (): void => {
  b.out(0x3fc, 0x08);
  b.out(0x3f9, 0x00);
  b.out(0x3f9, 0x02);
};
/** Lets guest time pass in steps of a tenth of a millisecond. */
const pass = (ms: number, each: () => void = () => {}): void => {
  for (let i = 0; i < ms * 10; i++) {
    b.nowMs += 0.1;
    b.pc.advance(0);
    each();
  }
};

beforeEach(() => {
  b = bench({ platform: { ...DEFAULT_PLATFORM, hpet: true } });
  b.pc.powerOn();
  b.pc.advance(0);
});

describe('interrupt controllers', () => {
  it('let the 8259 pair through in virtual wire mode', () => {
    initialisePic();
    ring();
    expect(take()).toBeUndefined();
    local(0xf0, 0x1ff);
    local(LINT0, 0x700);
    expect(take()).toBe(0x0c);
    expect(take()).toBeUndefined();
    expect(b.pc.board.interrupts.pic.isWaiting(4)).toBe(false);
  });

  it('bring ISA interrupts to the I/O APIC, the timer on input 2', () => {
    local(0xf0, 0x1ff);
    route(4, 0x54);
    ring();
    expect(take()).toBe(0x54);
    local(0xb0, 0);
    route(2, 0x52);
    b.out(0x43, 0x34);
    b.out(0x40, 0xa9);
    b.out(0x40, 0x04);
    // The output rises with the control word.
    expect(take()).toBe(0x52);
    local(0xb0, 0);
    let ticks = 0;
    pass(10, () => {
      if (take() === 0x52) ticks++;
      local(0xb0, 0);
    });
    expect(ticks).toBeGreaterThanOrEqual(9);
    expect(ticks).toBeLessThanOrEqual(10);
  });

  it('owe the timer ticks that the I/O APIC has not got rid of', () => {
    local(0xf0, 0x1ff);
    route(2, 0x52);
    b.out(0x43, 0x34);
    b.out(0x40, 0xa9);
    b.out(0x40, 0x04);
    pass(20);
    let ticks = 0;
    pass(30, () => {
      if (take() === 0x52) ticks++;
      local(0xb0, 0);
    });
    expect(ticks).toBeGreaterThanOrEqual(45);
  });

  it('bring NMIs through LINT1 once it is open, unless port 70h masks them', () => {
    expect(b.pc.raiseNmi()).toBe(false);
    local(0xf0, 0x1ff);
    local(LINT1, 0x400);
    expect(b.pc.raiseNmi()).toBe(true);
    expect(b.cpu.nmis).toBe(1);
    b.out(0x70, 0x80);
    expect(b.pc.raiseNmi()).toBe(false);
    expect(b.cpu.nmis).toBe(1);
  });

  it('hand the CPU its registers, and move or hide the page', () => {
    const answer = new Int32Array(2);
    const { localApic } = b.cpu.parts;
    expect(localApic?.readMsr(0x1b, answer)).toBe(true);
    expect(answer[0] >>> 0).toBe(0xfee0_0900);
    expect(b.pc.memory.readSized(LOCAL + 0x30, 4)).toBe(0x0005_0014);
    localApic?.writeMsr(0x1b, 0xfed1_0900, 0);
    expect(b.pc.memory.readSized(LOCAL + 0x30, 4)).toBe(0xffff_ffff);
    expect(b.pc.memory.readSized(0xfed1_0030, 4)).toBe(0x0005_0014);
    // RAM stays RAM.
    localApic?.writeMsr(0x1b, 0x0010_0900, 0);
    b.pc.memory.writeSized(0x10_0030, 4, 77);
    expect(b.pc.memory.readSized(0x10_0030, 4)).toBe(77);
    b.pc.reset();
    b.pc.advance(0);
    expect(b.pc.memory.readSized(LOCAL + 0x30, 4)).toBe(0x0005_0014);
  });

  it('send messages of devices to the local APIC, and others to memory', () => {
    local(0xf0, 0x1ff);
    const { interrupts } = b.pc.board;
    interrupts.message(LOCAL, 0x4061);
    expect(take()).toBe(0x61);
    interrupts.message(0x2000, 0x1234_5678);
    expect(b.pc.memory.readSized(0x2000, 4)).toBe(0x1234_5678);
  });

  it('give IRQ 0 to the HPET and take it back', () => {
    local(0xf0, 0x1ff);
    route(2, 0x52);
    const hpet = (register: number, value: number): void => b.pc.memory.writeSized(HPET + register, 4, value);
    b.out(0x43, 0x34);
    b.out(0x40, 0xa9);
    b.out(0x40, 0x04);
    // Every five milliseconds.
    hpet(0x100, 0x14c);
    hpet(0x108, 500_000);
    hpet(0x108, 500_000);
    hpet(0x10, 3);
    expect(take()).toBe(0x52);
    local(0xb0, 0);
    let ticks = 0;
    const count = (): void => {
      if (take() === 0x52) ticks++;
      local(0xb0, 0);
    };
    pass(21, count);
    expect(ticks).toBe(4);
    hpet(0x10, 0);
    ticks = 0;
    pass(21, count);
    expect(ticks).toBeGreaterThanOrEqual(20);
  });

  it('come back from a saved machine', () => {
    local(0xf0, 0x1ff);
    route(4, 0x54);
    ring();
    local(0x320, 0x2_0040);
    local(0x3e0, 0xb);
    local(0x380, 1_000_000);
    const record = structuredClone(b.pc.save());
    const { ram } = b.pc;
    b = bench({ platform: { ...DEFAULT_PLATFORM, hpet: true } });
    b.pc.restore(record, (into) => into.set(ram));
    expect(b.cpu.interrupt).toBe(true);
    expect(take()).toBe(0x54);
    local(0xb0, 0);
    b.pc.resume();
    pass(1.1);
    expect(take()).toBe(0x40);
  });

  it('are left out one by one', () => {
    b = bench({ platform: { apic: false, x2apic: false, ioApic: false, hpet: false, acpi: false } });
    for (const at of [LOCAL, IO, HPET]) expect(b.pc.memory.readSized(at, 4)).toBe(0xffff_ffff);
    expect(b.cpu.parts.localApic).toBeUndefined();
    expect(b.pci(1, 3, 0)).toBe(0xffff_ffff);
    expect(b.pc.board.fwCfg.file('etc/acpi/tables')).toBeUndefined();
    expect(b.pc.raiseNmi()).toBe(true);
    expect(() => bench({ platform: { ...DEFAULT_PLATFORM, apic: false } })).toThrow(
      expect.objectContaining({ code: 'bad-config' }),
    );
  });

  it('stand in the tables', () => {
    const tables = Buffer.from(b.pc.board.fwCfg.file('etc/acpi/tables') ?? []).toString('latin1');
    for (const signature of ['APIC', 'HPET', 'FACP']) expect(tables).toContain(signature);
    const plain = Buffer.from(
      bench({ platform: { ...DEFAULT_PLATFORM, ioApic: false } }).pc.board.fwCfg.file('etc/acpi/tables') ?? [],
    ).toString('latin1');
    for (const signature of ['APIC', 'HPET']) expect(plain).not.toContain(`${signature}\0`);
    expect(plain).toContain('FACP');
  });
});
