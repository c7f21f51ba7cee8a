import { beforeEach, describe, expect, it } from 'vitest';
import { MsiCapability } from './msi.ts';
import { MsixCapability } from './msix.ts';
import { PciConfigSpace } from './pci-function.ts';
import { PciInterrupt } from './pci-interrupt.ts';

let sent: [number, number][];
let pin: boolean[];
let config: PciConfigSpace;
const messages = { message: (address: number, data: number): boolean => sent.push([address, data]) > 0 };

beforeEach(() => {
  sent = [];
  pin = [false];
  config = new PciConfigSpace({
    identity: { vendorId: 0x8086, deviceId: 0x10d3, classCode: 0x020000, interruptPin: 1 },
    interrupt: { set: (asserted) => void (pin.at(-1) !== asserted && pin.push(asserted)) },
  });
});

/** Follows the list as a driver does. */
const find = (id: number): number => {
  let at = config.readConfig(0x34, 1);
  while (at !== 0 && config.readConfig(at, 1) !== id) at = config.readConfig(at + 1, 1);
  return at;
};

describe('MSI', () => {
  const enable = (at: number, control: number): void => {
    config.writeConfig(4, 2, 4);
    config.writeConfig(at + 4, 4, 0xfee0_1003);
    config.writeConfig(at + 12, 2, 0x40a7);
    config.writeConfig(at + 2, 2, control);
  };

  it('stands in the list of capabilities', () => {
    new MsiCapability({ config, offset: 0xd0, vectors: 4, messages });
    expect(config.readConfig(6, 2) & 0x10).toBe(0x10);
    const at = find(5);
    expect(at).toBe(0xd0);
    expect(config.readConfig(at + 2, 2)).toBe(0x0184);
    config.writeConfig(at + 2, 2, 0xffff);
    expect(config.readConfig(at + 2, 2)).toBe(0x01f5);
    config.reset();
    expect([config.readConfig(at + 2, 2), find(5)]).toEqual([0x0184, 0xd0]);
  });

  it('sends as many messages as software grants', () => {
    const msi = new MsiCapability({ config, offset: 0xd0, vectors: 4, messages });
    msi.send(0);
    expect(sent).toEqual([]);
    enable(0xd0, 0x0001);
    for (const n of [0, 3]) msi.send(n);
    config.writeConfig(0xd2, 2, 0x0021);
    for (const n of [0, 2, 3]) msi.send(n);
    expect(sent).toEqual([
      [0xfee0_1000, 0x40a7],
      [0xfee0_1000, 0x40a7],
      [0xfee0_1000, 0x40a4],
      [0xfee0_1000, 0x40a6],
      [0xfee0_1000, 0x40a7],
    ]);
    sent.length = 0;
    config.writeConfig(4, 2, 0);
    msi.send(0);
    config.writeConfig(4, 2, 4);
    config.writeConfig(0xd8, 4, 1);
    msi.send(0);
    expect(sent).toEqual([]);
  });

  it('holds masked messages back as pending', () => {
    const msi = new MsiCapability({ config, offset: 0xd0, vectors: 2, messages });
    enable(0xd0, 0x0011);
    config.writeConfig(0xe0, 4, 0xffff_ffff);
    expect(config.readConfig(0xe0, 4)).toBe(3);
    msi.send(1);
    msi.send(1);
    expect([sent, config.readConfig(0xe4, 4)]).toEqual([[], 2]);
    config.writeConfig(0xe0, 4, 1);
    expect([sent, config.readConfig(0xe4, 4)]).toEqual([[[0xfee0_1000, 0x40a7]], 0]);
    const saved = structuredClone(config.save());
    config.reset();
    expect(msi.enabled).toBe(false);
    config.restore(saved);
    expect(msi.enabled).toBe(true);
  });
});

describe('MSI-X', () => {
  const build = (vectors: number): MsixCapability =>
    new MsixCapability({ config, offset: 0xa0, vectors, bar: 3, tableOffset: 0, pendingOffset: 0x800, messages });

  it('tells where its table is', () => {
    build(33);
    const at = find(0x11);
    expect([config.readConfig(at + 2, 2), config.readConfig(at + 4, 4), config.readConfig(at + 8, 4)]).toEqual([
      32, 3, 0x803,
    ]);
    config.writeConfig(at + 2, 2, 0xffff);
    expect(config.readConfig(at + 2, 2)).toBe(0xc020);
  });

  it('sends what the table says, once both masks are lifted', () => {
    const msix = build(33);
    config.writeConfig(4, 2, 4);
    msix.table.write(32 * 16, 4, 0xfee0_2007);
    msix.table.write(32 * 16 + 8, 4, 0x4071);
    expect([0, 4, 8, 12].map((at) => msix.table.read(32 * 16 + at, 4))).toEqual([0xfee0_2004, 0, 0x4071, 1]);
    msix.send(32);
    config.writeConfig(0xa2, 2, 0xc000);
    msix.send(32);
    expect([sent, msix.pendingBits.read(4, 4), msix.pendingBits.read(0, 4)]).toEqual([[], 1, 0]);
    config.writeConfig(0xa2, 2, 0x8000);
    expect(sent).toEqual([]);
    const saved = structuredClone(msix.save());
    msix.reset();
    expect(msix.pendingBits.read(4, 4)).toBe(0);
    msix.restore(saved);
    msix.table.write(32 * 16 + 12, 4, 0);
    expect(sent).toEqual([[0xfee0_2004, 0x4071]]);
    msix.send(32);
    msix.send(33);
    expect(sent).toHaveLength(2);
    msix.table.write(32 * 16 + 4, 4, 1);
    msix.send(32);
    expect(sent).toHaveLength(2);
  });
});

it('an interrupt condition is the pin or a message', () => {
  const holder: { interrupt?: PciInterrupt } = {};
  const onEnabled = (): void => holder.interrupt?.update();
  const msi = new MsiCapability({ config, offset: 0xd0, vectors: 1, messages, onEnabled });
  const interrupt = new PciInterrupt({ config, msi });
  holder.interrupt = interrupt;
  config.writeConfig(4, 2, 4);
  interrupt.set(true);
  expect([pin, sent]).toEqual([[false, true], []]);
  config.writeConfig(0xd4, 4, 0xfee0_0000);
  config.writeConfig(0xdc, 2, 0x33);
  config.writeConfig(0xd2, 2, 1);
  expect([pin, sent]).toEqual([[false, true, false], []]);
  interrupt.set(false);
  interrupt.set(true);
  interrupt.set(true);
  expect([pin, sent]).toEqual([[false, true, false], [[0xfee0_0000, 0x33]]]);
  config.writeConfig(0xd2, 2, 0);
  expect(pin).toEqual([false, true, false, true]);
});
