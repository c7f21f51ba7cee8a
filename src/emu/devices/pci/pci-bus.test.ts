import { describe, expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { PciBus } from './pci-bus.ts';
import { PCI_PIN, PciConfigSpace } from './pci-function.ts';

function machine() {
  const levels = [false, false, false, false];
  const line = (n: number) => ({ set: (asserted: boolean) => void (levels[n] = asserted) });
  const besides: [number, number][] = [];
  const bus = new PciBus({
    pirqs: [line(0), line(1), line(2), line(3)],
    registersBesideAddress: {
      read: (offset) => 0x40 + offset,
      write: (offset, _w, v) => void besides.push([offset, v]),
    },
  });
  const ports = new IoBus();
  ports.map(0xcf8, 4, bus.configAddress, { maxWidth: 4 });
  ports.map(0xcfc, 4, bus.configData, { maxWidth: 4 });
  const select = (device: number, fn: number, register: number, busNumber = 0) =>
    ports.write(0xcf8, 4, (0x8000_0000 | (busNumber << 16) | (device << 11) | (fn << 8) | (register & 0xfc)) >>> 0);
  return { bus, ports, select, levels, besides };
}

const nic = () =>
  new PciConfigSpace({ identity: { vendorId: 0x8086, deviceId: 0x100e, classCode: 0x020000, interruptPin: 1 } });

describe('configuration mechanism #1', () => {
  it('reads a function with byte, word and dword accesses', () => {
    const { bus, ports, select } = machine();
    bus.attach(3, 0, nic());
    select(3, 0, 0);
    expect(ports.read(0xcfc, 4)).toBe(0x100e_8086);
    expect(ports.read(0xcfe, 2)).toBe(0x100e);
    expect(ports.read(0xcff, 1)).toBe(0x10);
    expect(ports.read(0xcfd, 2)).toBe(0x0e80);
    select(3, 0, 8);
    expect(ports.read(0xcfc, 4)).toBe(0x0200_0000);
  });

  it('floats where nothing is: empty slot, other bus, enable bit clear', () => {
    const { bus, ports, select } = machine();
    bus.attach(3, 0, nic());
    select(4, 0, 0);
    expect(ports.read(0xcfc, 4)).toBe(0xffff_ffff);
    select(3, 0, 0, 1);
    expect(ports.read(0xcfc, 2)).toBe(0xffff);
    ports.write(0xcf8, 4, 3 << 11);
    expect(ports.read(0xcfc, 1)).toBe(0xff);
  });

  it('keeps the address register dword-only and passes narrower accesses on', () => {
    const { ports, select, besides } = machine();
    select(1, 2, 0x40);
    ports.write(0xcf9, 1, 6);
    expect(besides).toEqual([[1, 6]]);
    expect(ports.read(0xcf9, 1)).toBe(0x41);
    expect(ports.read(0xcf8, 4)).toBe((0x8000_0000 | (1 << 11) | (2 << 8) | 0x40) >>> 0);
  });

  it('writes bytes of a register without touching its neighbours', () => {
    const { bus, ports, select } = machine();
    const f = nic();
    bus.attach(3, 0, f);
    select(3, 0, 0x3c);
    ports.write(0xcfc, 1, 11);
    ports.write(0xcfd, 1, 0xff);
    expect(f.readConfig(0x3c, 2)).toBe(0x010b);
  });

  it('refuses two functions in one place', () => {
    const { bus } = machine();
    bus.attach(3, 0, nic());
    expect(() => bus.attach(3, 0, nic())).toThrow(expect.objectContaining({ code: 'slot-taken' }));
    expect(() => bus.attach(32, 0, nic())).toThrow(expect.objectContaining({ code: 'bad-slot' }));
    expect(bus.freeDevice(3)).toBe(4);
  });

  it('resets the address and every function', () => {
    const { bus, ports, select } = machine();
    const f = nic();
    bus.attach(3, 0, f);
    f.writeConfig(4, 2, 7);
    select(3, 0, 4);
    bus.reset();
    expect(f.command).toBe(0);
    expect(ports.read(0xcf8, 4)).toBe(0);
  });

  it('saves the selected address', () => {
    const a = machine();
    a.select(3, 0, 0);
    const b = machine();
    b.bus.attach(3, 0, nic());
    b.bus.restore(structuredClone(a.bus.save()));
    expect(b.ports.read(0xcfc, 2)).toBe(0x8086);
  });
});

describe('INTx routing', () => {
  it('swizzles pins over the PIRQs: (device + pin - 1) mod 4 from device 1', () => {
    const { bus, levels } = machine();
    const asserted = (device: number, pin: 1 | 2 | 3 | 4) => {
      const line = bus.interruptLine(device, pin);
      line.set(true);
      const seen = levels.indexOf(true);
      line.set(false);
      return seen;
    };
    expect(asserted(1, PCI_PIN.inta)).toBe(0);
    expect(asserted(1, PCI_PIN.intd)).toBe(3);
    expect(asserted(2, PCI_PIN.inta)).toBe(1);
    expect(asserted(3, PCI_PIN.intc)).toBe(0);
    expect(asserted(0, PCI_PIN.inta)).toBe(3);
  });

  it('keeps a shared PIRQ asserted until the last source lets go', () => {
    const { bus, levels } = machine();
    const a = bus.interruptLine(3, PCI_PIN.inta);
    const b = bus.interruptLine(7, PCI_PIN.inta);
    a.set(true);
    a.set(true);
    b.set(true);
    a.set(false);
    expect(levels).toEqual([false, false, true, false]);
    b.set(false);
    expect(levels[2]).toBe(false);
  });
});
