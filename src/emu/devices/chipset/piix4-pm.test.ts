import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '#emu/bus/io-bus.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { BarWindows } from '../pci/bar-windows.ts';
import { Piix4Pm, pmTicks } from './piix4-pm.ts';

const PM = 0x600;
let clock: ManualClock;
let timers: TimerQueue;
let ports: IoBus;
let pm: Piix4Pm;
let sci: boolean;
let powerOffs: number;

function build() {
  const buffer = new SharedArrayBuffer(PAGE_MAP_BYTES + DIRTY_MAP_BYTES);
  const memory = new PhysicalMemory({ buffer, pageMapAt: 0, dirtyMapAt: PAGE_MAP_BYTES });
  ports = new IoBus();
  const windows = new BarWindows({ ports, memory });
  pm = new Piix4Pm({
    timers,
    sci: { set: (asserted) => void (sci = asserted) },
    pmMoved: (device, count) => windows.io(count, device),
    smbusMoved: (device, count) => windows.io(count, device, 1),
    onPowerOff: () => void powerOffs++,
  });
  ports.map(0xafe0, 4, pm.gpe0);
  ports.map(0xb2, 2, pm.apm);
}

function firmwareSetup() {
  pm.writeConfig(0x40, 4, PM | 1);
  pm.writeConfig(0x80, 1, 1);
  pm.writeConfig(0x90, 4, 0x701);
  pm.writeConfig(0xd2, 1, 9);
}

beforeEach(() => {
  clock = new ManualClock();
  timers = new TimerQueue(clock);
  sci = false;
  powerOffs = 0;
  build();
  firmwareSetup();
});

const run = (ns: number) => {
  clock.advance(ns);
  timers.runExpired();
};

describe('decoding', () => {
  it('answers only where firmware put it and while enabled', () => {
    expect(ports.read(PM + 4, 2)).toBe(0);
    pm.writeConfig(0x40, 4, 0xb000);
    expect(ports.read(PM + 4, 2)).toBe(0xffff);
    expect(ports.read(0xb004, 2)).toBe(0);
    expect(pm.readConfig(0x40, 4)).toBe(0xb001);
    pm.writeConfig(0x80, 1, 0);
    expect(ports.read(0xb004, 2)).toBe(0xffff);
  });

  it('tells firmware that SMM is set up already', () => {
    expect(pm.readConfig(0x58, 4) & (1 << 25)).not.toBe(0);
  });
});

describe('PM timer', () => {
  it('counts 3.579545 MHz in 24 bits', () => {
    run(1_000_000_000);
    expect(ports.read(PM + 8, 4)).toBe(3_579_545);
    run(4_000_000_000);
    expect(ports.read(PM + 8, 4)).toBe((5 * 3_579_545) % 2 ** 24);
  });

  it('stays exact after a hundred days', () => {
    expect(pmTicks(8_640_000 * 1e9)).toBe(8_640_000 * 3_579_545);
  });

  it('sets its status when bit 23 changes and interrupts when enabled', () => {
    ports.write(0xb2, 1, 0xf1);
    ports.write(PM + 2, 2, 1);
    expect(timers.nextDeadline).toBe(Math.ceil((2 ** 23 * 1e9) / 3_579_545));
    run(2_343_000_000);
    expect(sci).toBe(false);
    run(1_000_000);
    expect(sci).toBe(true);
    expect(ports.read(PM, 2)).toBe(1);
    ports.write(PM, 2, 1);
    expect(sci).toBe(false);
    expect(ports.read(PM, 2)).toBe(0);
    run(2_344_000_000);
    expect(sci).toBe(true);
  });

  it('never runs backwards, whatever time a read takes', () => {
    const now = clock.now.bind(clock);
    clock.now = () => {
      clock.advance(97);
      return now();
    };
    let last = 0;
    for (let i = 0; i < 20_000; i++) {
      const value = ports.read(PM + 8, 4);
      expect(value).toBeGreaterThanOrEqual(last);
      last = value;
    }
    expect(last).toBeGreaterThan(0x1000);
  });

  it('keeps no timer armed for guests that do not enable it', () => {
    expect(timers.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('events', () => {
  it('turns the power button into an SCI once the guest took ACPI over', () => {
    pm.pressPowerButton();
    expect(sci).toBe(false);
    expect(pm.powerButtonHeard).toBe(false);
    ports.write(0xb2, 1, 0xf1);
    expect(ports.read(PM + 4, 2)).toBe(1);
    ports.write(PM + 2, 2, 0x0100);
    expect(sci).toBe(true);
    expect(pm.powerButtonHeard).toBe(true);
    expect(ports.read(PM, 2)).toBe(0x100);
    ports.write(PM, 2, 0x100);
    expect(sci).toBe(false);
    ports.write(0xb2, 1, 0xf0);
    expect(ports.read(PM + 4, 2)).toBe(0);
  });

  it('raises general-purpose events', () => {
    ports.write(0xb2, 1, 0xf1);
    pm.raiseGpe(1 << 9);
    expect(ports.read(0xafe0, 2)).toBe(1 << 9);
    expect(sci).toBe(false);
    ports.write(0xafe2, 2, 1 << 9);
    expect(sci).toBe(true);
    ports.write(0xafe0, 2, 1 << 9);
    expect(sci).toBe(false);
  });

  it('takes byte writes to the word registers', () => {
    ports.write(PM + 3, 1, 0x01);
    ports.write(PM + 2, 1, 0x21);
    expect(ports.read(PM + 2, 2)).toBe(0x0121);
  });
});

describe('sleep', () => {
  it('powers off on SLP_EN with the S5 type only', () => {
    ports.write(PM + 4, 2, (1 << 13) | (1 << 10));
    expect(powerOffs).toBe(0);
    ports.write(PM + 4, 2, 1 << 13);
    expect(powerOffs).toBe(1);
    expect(ports.read(PM + 4, 2) & (1 << 13)).toBe(0);
  });
});

describe('SMBus', () => {
  it('ends every transaction with no acknowledge, so that drivers move on', () => {
    ports.write(0x704, 1, 0xa1);
    ports.write(0x702, 1, 0x48);
    expect(ports.read(0x700, 1)).toBe(0x06);
    expect(ports.read(0x702, 1)).toBe(0x08);
    ports.write(0x700, 1, 0x06);
    expect(ports.read(0x700, 1)).toBe(0);
  });
});

it('restores registers, decoding and the interrupt level', () => {
  ports.write(0xb2, 1, 0xf1);
  ports.write(PM + 2, 2, 0x0100);
  pm.pressPowerButton();
  const state = structuredClone(pm.save());
  sci = false;
  build();
  pm.restore(state);
  expect(sci).toBe(true);
  expect(ports.read(PM + 2, 2)).toBe(0x100);
  expect(pm.save()).toEqual(state);
  pm.reset();
  expect(sci).toBe(false);
  expect(ports.read(PM + 2, 2)).toBe(0xffff);
});
