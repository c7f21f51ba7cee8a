import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '#emu/bus/io-bus.ts';
import { I440fx } from '#emu/devices/chipset/i440fx.ts';
import { Piix3 } from '#emu/devices/chipset/piix3.ts';
import { Piix4Pm } from '#emu/devices/chipset/piix4-pm.ts';
import { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { PciBus } from '#emu/devices/pci/pci-bus.ts';
import { PCI_PIN, PciConfigSpace } from '#emu/devices/pci/pci-function.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { initialiseChipsetForDirectBoot, PIRQ_IRQS } from './direct-boot-chipset.ts';
import { RAM_AT, ram } from './ram.suite.ts';

const board = {
  pciHole: { first: 0xe000_0000, last: 0xfebf_ffff },
  pmBase: 0x600,
  smbusBase: 0x700,
  sciIrq: 9,
  pirqIrqs: PIRQ_IRQS,
  localApicBase: undefined,
};
const echo = { read: (offset: number) => offset & 0xff, write: () => {} };
let memory: PhysicalMemory;
let ports: IoBus;
let bus: PciBus;
let vga: PciConfigSpace;
let nic: PciConfigSpace;
let ide: PciConfigSpace;
let irqs: number[];
let written: [number, number][];

beforeEach(() => {
  memory = ram(0x20_0000);
  ports = new IoBus();
  irqs = [];
  written = [];
  const windows = new BarWindows({ ports, memory });
  const record = (base: number) => ({
    read: () => 0,
    write: (o: number, _w: number, v: number) => void written.push([base + o, v]),
  });
  for (const [base, count] of [
    [0x40, 4],
    [0x60, 1],
    [0x64, 1],
    [0xd4, 3],
    [0x4d0, 2],
  ] as const)
    ports.map(base, count, record(base));
  const line = (irq: number) => ({
    set: (on: boolean) => void (on ? irqs.push(irq) : irqs.splice(irqs.indexOf(irq), 1)),
  });
  const bridge = new Piix3({ irqs: Array.from({ length: 16 }, (_, irq) => line(irq)), onReset: () => {} });
  bus = new PciBus({ pirqs: bridge.pirqs, registersBesideAddress: bridge.resetControl });
  bus.attach(0, 0, new I440fx({ memory, ramAt: RAM_AT, roms: [], mapVideo: () => {} }));
  bus.attach(1, 0, bridge);
  ide = new PciConfigSpace({
    identity: { vendorId: 0x8086, deviceId: 0x7010, classCode: 0x010180 },
    bars: [{ index: 4, space: 'io', byteCount: 16, onMoved: windows.io(16, echo) }],
  });
  ide.define(0x40, 4, 0, 0xffff_ffff);
  bus.attach(1, 1, ide);
  const pm = new Piix4Pm({
    timers: new TimerQueue(new ManualClock()),
    sci: line(9),
    pmMoved: (device, count) => windows.io(count, device),
    smbusMoved: (device, count) => windows.io(count, device),
    onPowerOff: () => {},
  });
  bus.attach(1, 3, pm);
  vga = new PciConfigSpace({
    identity: { vendorId: 0x1234, deviceId: 0x1111, classCode: 0x030000 },
    bars: [
      {
        index: 0,
        space: 'memory',
        byteCount: 0x100_0000,
        prefetchable: true,
        onMoved: windows.memory(0x100_0000, { kind: 'mmio', device: echo }),
      },
      { index: 2, space: 'memory', byteCount: 0x1000, onMoved: windows.memory(0x1000, { kind: 'mmio', device: echo }) },
    ],
  });
  bus.attach(2, 0, vga);
  nic = new PciConfigSpace({
    identity: { vendorId: 0x8086, deviceId: 0x100e, classCode: 0x020000, interruptPin: PCI_PIN.inta },
    bars: [
      {
        index: 0,
        space: 'memory',
        byteCount: 0x2_0000,
        onMoved: windows.memory(0x2_0000, { kind: 'mmio', device: echo }),
      },
      { index: 1, space: 'io', byteCount: 64, onMoved: windows.io(64, echo) },
    ],
    interrupt: bus.interruptLine(3, PCI_PIN.inta),
  });
  bus.attach(3, 0, nic);
});

describe('the board after initialisation', () => {
  it('gives every BAR its own aligned range inside the windows', () => {
    const bars = initialiseChipsetForDirectBoot({ bus, ports, memory }, board);
    expect(bars.map((b) => `${b.device}.${b.fn}:${b.index}`).sort()).toEqual([
      '1.1:4',
      '2.0:0',
      '2.0:2',
      '3.0:0',
      '3.0:1',
    ]);
    for (const bar of bars) {
      expect(bar.base % bar.byteCount).toBe(0);
      const others = bars.filter((o) => o !== bar && o.space === bar.space);
      for (const o of others) expect(bar.base + bar.byteCount <= o.base || o.base + o.byteCount <= bar.base).toBe(true);
      if (bar.space === 'memory')
        expect(bar.base >= board.pciHole.first && bar.base + bar.byteCount - 1 <= board.pciHole.last).toBe(true);
    }
  });

  it('packs the largest first, so that alignment wastes no ports', () => {
    const io = initialiseChipsetForDirectBoot({ bus, ports, memory }, board).filter((b) => b.space === 'io');
    expect(io.map((b) => [b.base, b.byteCount])).toEqual([
      [0xc000, 64],
      [0xc040, 16],
    ]);
  });

  it('makes the devices answer there', () => {
    initialiseChipsetForDirectBoot({ bus, ports, memory }, board);
    expect(memory.readSized((vga.barBase(0) ?? 0) + 5, 1)).toBe(5);
    expect(ports.read((nic.barBase(1) ?? 0) + 7, 1)).toBe(7);
    expect(ports.read(0x604, 2)).toBe(0);
    expect(ports.read(0x700, 1)).toBe(0);
  });

  it('opens the local APIC to the 8259 pair and to NMI', () => {
    const registers: [number, number, number][] = [];
    memory.mapMmio(0xfee0_0000, 0x1000, {
      read: () => 0,
      write: (offset, width, value) => void registers.push([offset, width, value]),
    });
    initialiseChipsetForDirectBoot({ bus, ports, memory }, { ...board, localApicBase: 0xfee0_0000 });
    expect(registers).toEqual([
      [0xf0, 4, 0x1ff],
      [0x350, 4, 0x700],
      [0x360, 4, 0x400],
    ]);
  });

  it('routes interrupts and writes them into the functions', () => {
    initialiseChipsetForDirectBoot({ bus, ports, memory }, board);
    expect(nic.readConfig(0x3c, 1)).toBe(11);
    expect(vga.readConfig(0x3c, 1)).toBe(0);
    nic.setInterrupt(true);
    expect(irqs).toEqual([11]);
    expect(written).toContainEqual([0x4d0, 0]);
    expect(written).toContainEqual([0x4d1, 0x0e]);
  });

  it('turns on RAM under the ROM area, IDE decoding and the timer', () => {
    initialiseChipsetForDirectBoot({ bus, ports, memory }, board);
    memory.writeSized(0xf_0000, 4, 0x1234);
    memory.writeSized(0xc_8000, 1, 0x56);
    expect([memory.readSized(0xf_0000, 4), memory.readSized(0xc_8000, 1)]).toEqual([0x1234, 0x56]);
    expect(ide.readConfig(0x40, 4)).toBe(0x8000_8000);
    expect(ide.busMaster).toBe(true);
    expect(nic.busMaster).toBe(false);
    expect(written.filter(([port]) => port < 0x44)).toEqual([
      [0x43, 0x34],
      [0x40, 0],
      [0x40, 0],
    ]);
  });

  it('says so when the devices need more space than there is', () => {
    const small = { ...board, pciHole: { first: 0xfe80_0000, last: 0xfebf_ffff } };
    expect(() => initialiseChipsetForDirectBoot({ bus, ports, memory }, small)).toThrow(
      expect.objectContaining({ code: 'no-room' }),
    );
  });
});
