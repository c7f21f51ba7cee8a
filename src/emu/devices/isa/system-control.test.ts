import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '../../bus/io-bus.ts';
import { PIT_HZ, Pit8254, pitTickNs } from './pit8254.ts';
import { Speaker } from './speaker.ts';
import { SystemControl } from './system-control.ts';

describe('SystemControl and Speaker', () => {
  let clock: ManualClock;
  let bus: IoBus;
  let control: SystemControl;
  let tones: [number, number][];
  let a20: boolean[];
  let resets: number;

  beforeEach(() => {
    clock = new ManualClock();
    const timers = new TimerQueue(clock);
    bus = new IoBus();
    tones = [];
    a20 = [];
    resets = 0;
    const speaker = new Speaker({ clock, onTone: (hz, at) => tones.push([hz, at]) });
    const pit = new Pit8254({ timers, irq0: { set: () => {} }, onTone: (hz) => speaker.setFrequency(hz) });
    control = new SystemControl({
      clock,
      pit,
      speaker,
      onA20: (on) => a20.push(on),
      onReset: () => resets++,
    });
    bus.map(0x40, 4, pit);
    bus.map(0x61, 1, control.portB);
    bus.map(0x92, 1, control.portA);
  });

  it('beeps as a BIOS does', () => {
    bus.write(0x43, 1, 0xb6);
    bus.write(0x42, 1, 0x33);
    bus.write(0x42, 1, 0x05);
    bus.write(0x61, 1, bus.read(0x61, 1) | 3);
    clock.advance(1e6);
    bus.write(0x61, 1, bus.read(0x61, 1) & ~3);
    expect(tones).toEqual([
      [PIT_HZ / 0x533, 0],
      [0, 1e6],
    ]);
  });

  it('shows the timer 2 output while a guest calibrates against it', () => {
    bus.write(0x61, 1, 1);
    bus.write(0x43, 1, 0xb0);
    bus.write(0x42, 1, 100);
    bus.write(0x42, 1, 0);
    clock.advance(pitTickNs(100));
    expect(bus.read(0x61, 1) & 0x2f).toBe(0x01);
    clock.advance(pitTickNs(1) + 1);
    expect(bus.read(0x61, 1) & 0x2f).toBe(0x21);
  });

  it('toggles the refresh bit about every 15 us', () => {
    let toggles = 0;
    let last = bus.read(0x61, 1) & 0x10;
    for (let us = 0; us < 1000; us++) {
      clock.advance(1000);
      const now = bus.read(0x61, 1) & 0x10;
      if (now !== last) toggles++;
      last = now;
    }
    expect(toggles).toBe(66);
  });

  it('opens A20 while either gate is open', () => {
    expect([control.a20, bus.read(0x92, 1)]).toEqual([true, 2]);
    bus.write(0x92, 1, 0);
    control.setKeyboardA20(true);
    bus.write(0x92, 1, 2);
    control.setKeyboardA20(false);
    bus.write(0x92, 1, 0);
    expect(a20).toEqual([false, true, false]);
  });

  it('resets once for each rise of fast INIT', () => {
    bus.write(0x92, 1, 3);
    bus.write(0x92, 1, 3);
    expect(resets).toBe(1);
    bus.write(0x92, 1, 2);
    bus.write(0x92, 1, 3);
    expect(resets).toBe(2);
  });

  it('resumes from its saved state and goes back at reset', () => {
    bus.write(0x92, 1, 0);
    bus.write(0x61, 1, 0x0e);
    const saved = structuredClone(control.save());
    control.reset();
    expect([control.a20, bus.read(0x61, 1) & 0x0f]).toEqual([true, 0]);
    control.restore(saved);
    expect([control.a20, bus.read(0x61, 1) & 0x0f, bus.read(0x92, 1)]).toEqual([false, 0x0e, 0]);
    expect(a20.at(-1)).toBe(false);
  });
});
