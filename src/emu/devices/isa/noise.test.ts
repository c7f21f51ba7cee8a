import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { MIB } from '#base/units.ts';
import { IoBus } from '../../bus/io-bus.ts';
import type { DmaMemory } from '../../bus/wires.ts';
import { cmosForPc } from './cmos-for-pc.ts';
import { PostCode } from './debug-ports.ts';
import { Dma8237 } from './dma8237.ts';
import { Pic8259Pair } from './pic8259.ts';
import { Pit8254 } from './pit8254.ts';
import { RtcCmos } from './rtc-cmos.ts';
import { Speaker } from './speaker.ts';
import { SystemControl } from './system-control.ts';

const noMemory: DmaMemory = {
  read: (_at, into) => into.fill(0xff),
  write: () => {},
  readU16: () => 0xffff,
  readU32: () => 0xffff_ffff,
};

/** The board as a machine wires it. */
function board() {
  const clock = new ManualClock();
  const timers = new TimerQueue(clock);
  const bus = new IoBus();
  const pic = new Pic8259Pair({ onOutput: () => {} });
  const speaker = new Speaker({
    clock,
    onTone: (hz) => {
      if (!(hz >= 0 && hz < 2e6)) throw new Error(`no such tone: ${hz}`);
    },
  });
  const pit = new Pit8254({
    timers,
    irq0: pic.irq(0),
    tickWaiting: () => pic.isWaiting(0),
    onTone: (hz) => speaker.setFrequency(hz),
  });
  const rtc = new RtcCmos({
    timers,
    irq8: pic.irq(8),
    startUnixMs: Date.UTC(2026, 0, 1),
    cmos: cmosForPc({
      lowRamBytes: 64 * MIB,
      highRamBytes: 0,
      floppies: ['none', 'none'],
      bootOrder: ['disk'],
      cpuCount: 1,
    }),
  });
  const dma = new Dma8237({ memory: noMemory });
  const control = new SystemControl({ clock, pit, speaker, onA20: () => {}, onReset: () => {} });
  const post = new PostCode();
  bus.map(0x00, 16, dma.first);
  bus.map(0x20, 2, pic.master);
  bus.map(0x40, 4, pit);
  bus.map(0x61, 1, control.portB);
  bus.map(0x70, 2, rtc);
  bus.map(0x80, 1, post);
  bus.map(0x81, 15, dma.pages);
  bus.map(0x92, 1, control.portA);
  bus.map(0xa0, 2, pic.slave);
  bus.map(0xc0, 32, dma.second);
  bus.map(0x4d0, 2, pic.elcr);
  return { clock, timers, bus, pic, saveables: [pic, pit, rtc, dma, control, post] as const, dma };
}

const port = fc.oneof(
  fc.integer({ min: 0x00, max: 0x0f }),
  fc.constantFrom(0x20, 0x21, 0xa0, 0xa1, 0x61, 0x92, 0x4d0, 0x4d1, 0x80),
  fc.integer({ min: 0x40, max: 0x43 }),
  fc.constantFrom(0x70, 0x71),
  fc.integer({ min: 0x81, max: 0x8f }),
  fc.integer({ min: 0xc0, max: 0xdf }),
);
const byte = fc.integer({ min: 0, max: 255 });
const step = fc.oneof(
  fc.record({ write: port, value: byte }),
  fc.record({ read: port }),
  fc.record({ waitNs: fc.oneof(fc.integer({ min: 0, max: 3_000_000 }), fc.integer({ min: 0, max: 2_000_000_000 })) }),
  fc.record({ acknowledge: fc.constant(true) }),
  fc.record({ transfer: fc.integer({ min: 0, max: 7 }) }),
);

it('survives anything a guest writes, reads bytes, and its state restores to itself', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const b = board();
      for (const s of steps) {
        if ('write' in s) b.bus.write(s.write, 1, s.value);
        else if ('read' in s) {
          const value = b.bus.read(s.read, 1);
          expect(Number.isInteger(value) && value >= 0 && value <= 255).toBe(true);
        } else if ('waitNs' in s) {
          b.clock.advance(s.waitNs);
          b.timers.runExpired();
          expect(b.timers.nextDeadline).toBeGreaterThan(b.clock.now());
        } else if ('acknowledge' in s) expect(b.pic.acknowledge()).toBeLessThan(256);
        else b.dma.channel(s.transfer).writeToMemory(new Uint8Array(700));
      }
      const saved = b.saveables.map((part) => structuredClone(part.save()));
      const [pic, pit, rtc, dma, control, post] = b.saveables;
      pit.restore(pit.save());
      rtc.restore(rtc.save());
      dma.restore(dma.save());
      control.restore(control.save());
      post.restore(post.save());
      pic.restore(pic.save());
      expect(b.saveables.map((part) => part.save())).toEqual(saved);
    }),
    { numRuns: 300 },
  );
});
