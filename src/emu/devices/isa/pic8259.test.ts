import { beforeEach, describe, expect, it } from 'vitest';
import { IoBus } from '../../bus/io-bus.ts';
import { Pic8259Pair } from './pic8259.ts';

describe('Pic8259Pair', () => {
  let output: boolean;
  let changes: number;
  let pic: Pic8259Pair;
  let bus: IoBus;

  beforeEach(() => {
    output = false;
    changes = 0;
    pic = new Pic8259Pair({
      onOutput: (on) => {
        output = on;
        changes++;
      },
    });
    bus = new IoBus();
    bus.map(0x20, 2, pic.master);
    bus.map(0xa0, 2, pic.slave);
    bus.map(0x4d0, 2, pic.elcr);
    initialise(0x01, 0x01);
  });

  const initialise = (masterIcw4: number, slaveIcw4: number): void => {
    for (const [port, base, icw3, icw4] of [
      [0x20, 0x30, 0x04, masterIcw4],
      [0xa0, 0x70, 0x02, slaveIcw4],
    ]) {
      bus.write(port, 1, 0x11);
      bus.write(port + 1, 1, base);
      bus.write(port + 1, 1, icw3);
      bus.write(port + 1, 1, icw4);
    }
  };
  const pulse = (n: number): void => {
    pic.irq(n).set(false);
    pic.irq(n).set(true);
  };
  const irr = (port: number): number => {
    bus.write(port, 1, 0x0a);
    return bus.read(port, 1);
  };
  const isr = (port: number): number => {
    bus.write(port, 1, 0x0b);
    return bus.read(port, 1);
  };

  it('delivers an edge once, in service until EOI', () => {
    pulse(0);
    expect(output).toBe(true);
    expect(irr(0x20)).toBe(1);
    expect(pic.acknowledge()).toBe(0x30);
    expect([output, irr(0x20), isr(0x20)]).toEqual([false, 0, 1]);
    pulse(0);
    expect(output).toBe(false);
    bus.write(0x20, 1, 0x20);
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x30);
    bus.write(0x20, 1, 0x20);
    expect(output).toBe(false);
  });

  it('tells only changes of the output', () => {
    pulse(3);
    pic.irq(3).set(true);
    pulse(4);
    expect(changes).toBe(1);
  });

  it('withdraws a request whose input falls before the acknowledge: spurious IR7', () => {
    pulse(4);
    pic.irq(4).set(false);
    expect(output).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
    expect(isr(0x20)).toBe(0);
  });

  it('follows the slave when its request comes and goes before the acknowledge', () => {
    pulse(12);
    bus.write(0xa1, 1, 0xff);
    expect(output).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
    bus.write(0xa1, 1, 0x00);
    expect(pic.acknowledge()).toBe(0x74);
    expect([isr(0x20), isr(0xa0)]).toEqual([0x04, 0x10]);
    bus.write(0xa0, 1, 0x0c); // Poll: nothing of higher priority.
    expect(bus.read(0xa0, 1)).toBe(0);
  });

  it('nests by priority and chains the slave', () => {
    pulse(12);
    pulse(8);
    expect(pic.acknowledge()).toBe(0x70);
    pulse(1);
    expect(pic.acknowledge()).toBe(0x31);
    expect(isr(0x20)).toBe(0x06);
    bus.write(0x20, 1, 0x20);
    expect(isr(0x20)).toBe(0x04);
    bus.write(0xa0, 1, 0x20);
    bus.write(0x20, 1, 0x20);
    expect(pic.acknowledge()).toBe(0x74);
    bus.write(0xa0, 1, 0x64); // Specific EOI 4.
    bus.write(0x20, 1, 0x62);
    expect([isr(0x20), isr(0xa0), output]).toEqual([0, 0, false]);
  });

  it('blocks a second slave request until the master EOI unless specially fully nested', () => {
    pulse(12);
    pic.acknowledge();
    pulse(8);
    expect(output).toBe(false);
    initialise(0x11, 0x01);
    pulse(12);
    expect(pic.acknowledge()).toBe(0x74);
    pulse(3);
    expect(output).toBe(false);
    pulse(8);
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x70);
  });

  it('follows the level where the ELCR says so', () => {
    bus.write(0x4d0, 1, 0xff);
    bus.write(0x4d1, 1, 0xff);
    expect([bus.read(0x4d0, 1), bus.read(0x4d1, 1)]).toEqual([0xf8, 0xde]);
    pic.irq(11).set(true);
    expect(pic.acknowledge()).toBe(0x73);
    bus.write(0xa0, 1, 0x20);
    bus.write(0x20, 1, 0x20);
    expect(output).toBe(true);
    pic.irq(11).set(false);
    expect(output).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
  });

  it('holds back masked requests and shows the mask', () => {
    bus.write(0x21, 1, 0xfb);
    bus.write(0xa1, 1, 0xff);
    pulse(1);
    pulse(14);
    expect(output).toBe(false);
    expect([bus.read(0x21, 1), irr(0xa0)]).toEqual([0xfb, 0x40]);
    bus.write(0xa1, 1, 0xbf);
    expect(pic.acknowledge()).toBe(0x76);
  });

  it('ends at once with AEOI and rotates when told', () => {
    initialise(0x03, 0x03);
    pulse(12);
    pulse(14);
    expect(pic.acknowledge()).toBe(0x74);
    expect([isr(0x20), isr(0xa0), output]).toEqual([0, 0, true]);
    expect(pic.acknowledge()).toBe(0x76);
    bus.write(0x20, 1, 0x80);
    pulse(3);
    expect(pic.acknowledge()).toBe(0x33);
    pulse(3);
    pulse(5);
    expect(pic.acknowledge()).toBe(0x35);
    bus.write(0x20, 1, 0x00);
    expect(pic.acknowledge()).toBe(0x33);
  });

  it('rotates priorities by OCW2', () => {
    bus.write(0x20, 1, 0xc4); // IR4 lowest, so IR5 highest.
    pulse(0);
    pulse(5);
    expect(pic.acknowledge()).toBe(0x35);
    bus.write(0x20, 1, 0xa0); // Rotate on non-specific EOI: IR5 lowest.
    pulse(5);
    pulse(6);
    expect(pic.acknowledge()).toBe(0x36);
    bus.write(0x20, 1, 0xe6); // Rotate on specific EOI 6: IR7 highest.
    pulse(7);
    expect(pic.acknowledge()).toBe(0x37);
  });

  it('lets lower levels through in special mask mode', () => {
    pulse(1);
    pic.acknowledge();
    pulse(6);
    expect(output).toBe(false);
    bus.write(0x21, 1, 0x02);
    bus.write(0x20, 1, 0x68);
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x36);
    bus.write(0x20, 1, 0x20);
    expect(isr(0x20)).toBe(0x02);
    bus.write(0x20, 1, 0x48);
    pulse(6);
    expect(output).toBe(false);
  });

  it('is polled', () => {
    pulse(5);
    bus.write(0x20, 1, 0x0c);
    expect(bus.read(0x20, 1)).toBe(0x85);
    expect(isr(0x20)).toBe(0x20);
    bus.write(0x20, 1, 0x0c);
    expect(bus.read(0x20, 1)).toBe(0);
  });

  it('needs a new edge after ICW1', () => {
    pulse(3);
    initialise(0x01, 0x01);
    expect([output, irr(0x20)]).toEqual([false, 0]);
    pulse(3);
    expect(pic.acknowledge()).toBe(0x33);
  });

  it('resumes from its saved state', () => {
    bus.write(0x4d1, 1, 0x08);
    pulse(1);
    pic.acknowledge();
    pic.irq(11).set(true);
    pulse(0);
    const saved = structuredClone(pic.save());
    pic.reset();
    expect(output).toBe(false);
    pic.restore(saved);
    expect(output).toBe(true);
    expect(pic.acknowledge()).toBe(0x30);
    bus.write(0x20, 1, 0x20);
    bus.write(0x20, 1, 0x20);
    expect(pic.acknowledge()).toBe(0x73);
  });
});
