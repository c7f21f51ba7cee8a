import { beforeEach, describe, expect, it } from 'vitest';
import { PciBus } from '../pci/pci-bus.ts';
import { Piix3 } from './piix3.ts';

let levels: boolean[];
let resets: string[];
let bridge: Piix3;

beforeEach(() => {
  levels = new Array<boolean>(16).fill(false);
  resets = [];
  const line = (irq: number) => ({ set: (asserted: boolean) => void (levels[irq] = asserted) });
  bridge = new Piix3({ irqs: levels.map((_, irq) => line(irq)), onReset: (kind) => void resets.push(kind) });
});

const asserted = () => levels.flatMap((level, irq) => (level ? [irq] : []));

describe('PIRQ routing', () => {
  it('drives nothing until firmware routes the PIRQ, then drives at once', () => {
    bridge.pirqs[2].set(true);
    expect(asserted()).toEqual([]);
    bridge.writeConfig(0x60, 4, 0x0b0b_0a0a);
    expect(asserted()).toEqual([11]);
    bridge.pirqs[2].set(false);
    expect(asserted()).toEqual([]);
  });

  it('ORs PIRQs that share an interrupt', () => {
    bridge.writeConfig(0x60, 4, 0x0b0b_0a0a);
    bridge.pirqs[0].set(true);
    bridge.pirqs[1].set(true);
    bridge.pirqs[0].set(false);
    expect(asserted()).toEqual([10]);
    bridge.pirqs[1].set(false);
    expect(asserted()).toEqual([]);
  });

  it('moves an asserted interrupt when the route changes', () => {
    bridge.writeConfig(0x61, 1, 5);
    bridge.pirqs[1].set(true);
    bridge.writeConfig(0x61, 1, 9);
    expect(asserted()).toEqual([9]);
    bridge.writeConfig(0x61, 1, 0x89);
    expect(asserted()).toEqual([]);
  });

  it('does not route to reserved interrupts', () => {
    for (const irq of [0, 1, 2, 8, 13]) {
      bridge.writeConfig(0x60, 1, irq);
      bridge.pirqs[0].set(true);
      expect(asserted()).toEqual([]);
    }
  });

  it('restores routes and levels into the wires', () => {
    bridge.writeConfig(0x63, 1, 11);
    bridge.pirqs[3].set(true);
    const state = structuredClone(bridge.save());
    bridge.reset();
    expect(asserted()).toEqual([]);
    levels[10] = true;
    bridge.restore(state);
    expect(asserted()).toEqual([11]);
  });
});

describe('reset control register', () => {
  it('resets on the rising edge of bit 2, behind the PCI address port', () => {
    const bus = new PciBus({ pirqs: bridge.pirqs, registersBesideAddress: bridge.resetControl });
    bus.configAddress.write(1, 1, 0x02);
    expect(resets).toEqual([]);
    bus.configAddress.write(1, 1, 0x06);
    bus.configAddress.write(1, 1, 0x06);
    expect(resets).toEqual(['hard']);
    expect(bus.configAddress.read(1, 1)).toBe(0x06);
    bus.configAddress.write(1, 1, 0x00);
    bus.configAddress.write(1, 1, 0x04);
    expect(resets).toEqual(['hard', 'soft']);
    bus.configAddress.write(0, 4, 0x8000_0600);
    expect(resets).toHaveLength(2);
  });
});

it('is a multi-function 82371SB ISA bridge', () => {
  expect(bridge.readConfig(0, 4)).toBe(0x7000_8086);
  expect(bridge.readConfig(8, 4) >>> 8).toBe(0x060100);
  expect(bridge.readConfig(0x0e, 1)).toBe(0x80);
  expect(bridge.readConfig(0x60, 4)).toBe(0x8080_8080);
});
