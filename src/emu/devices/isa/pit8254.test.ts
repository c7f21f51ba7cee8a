import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '../../bus/io-bus.ts';
import { Pic8259Pair } from './pic8259.ts';
import { PIT_HZ, Pit8254, pitTickNs, pitTicks } from './pit8254.ts';

describe('Pit8254', () => {
  let clock: ManualClock;
  let timers: TimerQueue;
  let bus: IoBus;
  let pit: Pit8254;
  let rises: number[];
  let tones: number[];

  beforeEach(() => {
    clock = new ManualClock();
    timers = new TimerQueue(clock);
    bus = new IoBus();
    rises = [];
    tones = [];
    let level = false;
    pit = new Pit8254({
      timers,
      irq0: {
        set(on) {
          if (on && !level) rises.push(pitTicks(clock.now()));
          level = on;
        },
      },
      onTone: (hz) => tones.push(hz),
    });
    bus.map(0x40, 4, pit);
  });

  /** Moves to a tick, running the timers on time as a host that keeps up does. */
  const runTo = (tick: number): void => {
    const end = pitTickNs(tick);
    while (timers.nextDeadline <= end) {
      clock.advance(Math.max(0, timers.nextDeadline - clock.now()));
      timers.runExpired();
    }
    clock.advance(end - clock.now());
  };
  const program = (counter: number, mode: number, count: number): void => {
    bus.write(0x43, 1, (counter << 6) | 0x30 | (mode << 1));
    bus.write(0x40 + counter, 1, count & 0xff);
    bus.write(0x40 + counter, 1, count >> 8);
  };
  const readCount = (counter: number): number => {
    bus.write(0x43, 1, counter << 6);
    const low = bus.read(0x40 + counter, 1);
    return low | (bus.read(0x40 + counter, 1) << 8);
  };
  const status = (counter: number): number => {
    bus.write(0x43, 1, 0xe0 | (2 << counter));
    return bus.read(0x40 + counter, 1);
  };

  it('converts between ticks and nanoseconds without drift', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 43 }), (tick) => {
        const ns = pitTickNs(tick);
        return pitTicks(ns) === tick && (tick === 0 || pitTicks(ns - 1) === tick - 1);
      }),
    );
    expect(pitTicks(88e9 * 3)).toBe(105e6 * 3);
  });

  it('mode 0 interrupts once, count + 1 ticks after the write, and keeps counting', () => {
    program(0, 0, 1000);
    expect(readCount(0)).toBe(0);
    runTo(1000);
    expect(rises).toEqual([]);
    expect(status(0) & 0xc0).toBe(0);
    runTo(1001);
    expect(rises).toEqual([1001]);
    expect(status(0)).toBe(0x80 | 0x30);
    runTo(1003);
    expect(readCount(0)).toBe(0xfffe);
    runTo(200_000);
    expect(rises).toEqual([1001]);
  });

  it('mode 2 interrupts once a period and counts from N to 1', () => {
    program(0, 2, 100);
    rises.length = 0;
    runTo(1);
    expect(readCount(0)).toBe(100);
    runTo(100);
    expect(readCount(0)).toBe(1);
    expect(pit.output0).toBe(false);
    runTo(101);
    expect(pit.output0).toBe(true);
    runTo(501);
    expect(rises).toEqual([101, 201, 301, 401, 501]);
  });

  it('mode 3 halves the period, odd counts are high one tick longer', () => {
    program(0, 3, 5);
    const levels = [];
    for (let tick = 1; tick <= 10; tick++) {
      runTo(tick);
      levels.push([pit.output0, readCount(0)]);
    }
    const cycle = [
      [true, 4],
      [true, 2],
      [true, 0],
      [false, 4],
      [false, 2],
    ];
    expect(levels).toEqual([...cycle, ...cycle]);
  });

  it('a count of zero is 65536, the 18.2 Hz of a PC', () => {
    program(0, 3, 0);
    rises.length = 0;
    runTo(65_536 * 18 + 1);
    expect(rises.length).toBe(18);
    expect(rises[17]).toBe(65_536 * 18 + 1);
  });

  it('a new count of mode 2 takes over at the end of the cycle, of mode 3 at the end of the half cycle', () => {
    program(0, 2, 1000);
    runTo(500);
    bus.write(0x40, 1, 0xf4);
    bus.write(0x40, 1, 0x01); // 500
    rises.length = 0;
    runTo(2001);
    expect(rises).toEqual([1001, 1501, 2001]);

    runTo(5000);
    program(0, 3, 1000);
    runTo(5400);
    bus.write(0x40, 1, 100);
    bus.write(0x40, 1, 0);
    expect(status(0) & 0x40).toBe(0x40);
    rises.length = 0;
    runTo(5700);
    expect(rises).toEqual([5551, 5651]);
    expect(status(0) & 0x40).toBe(0);
  });

  it('mode 4 strobes once for each count, as a one-shot clock event wants', () => {
    program(0, 4, 300);
    rises.length = 0;
    runTo(301);
    expect(pit.output0).toBe(false);
    runTo(302);
    expect(rises).toEqual([302]);
    bus.write(0x40, 1, 50);
    bus.write(0x40, 1, 0);
    runTo(2000);
    expect(rises).toEqual([302, 302 + 52]);
  });

  it('modes 1 and 5 of counter 2 are triggered by the gate', () => {
    program(2, 1, 100);
    expect(pit.output2).toBe(true);
    runTo(10);
    pit.setGate2(true);
    runTo(11);
    expect(pit.output2).toBe(false);
    runTo(110);
    expect(pit.output2).toBe(false);
    runTo(111);
    expect(pit.output2).toBe(true);
    pit.setGate2(false);
    program(2, 5, 20);
    runTo(200);
    pit.setGate2(true);
    runTo(221);
    expect(pit.output2).toBe(false);
    runTo(222);
    expect(pit.output2).toBe(true);
  });

  it('a low gate holds mode 0 and ends the square wave', () => {
    program(2, 0, 100);
    runTo(50);
    expect(readCount(2)).toBe(100);
    pit.setGate2(true);
    runTo(90);
    expect(readCount(2)).toBe(60);
    pit.setGate2(false);
    runTo(500);
    expect(readCount(2)).toBe(60);
    pit.setGate2(true);
    runTo(559);
    expect(pit.output2).toBe(false);
    runTo(560);
    expect(pit.output2).toBe(true);
  });

  it('tells the speaker frequency', () => {
    program(2, 3, 1193);
    expect(tones).toEqual([]);
    pit.setGate2(true);
    expect(tones).toEqual([PIT_HZ / 1193]);
    bus.write(0x42, 1, 0x52);
    bus.write(0x42, 1, 0x09);
    expect(tones.at(-1)).toBeCloseTo(PIT_HZ / 0x952);
    pit.setGate2(false);
    expect(tones.at(-1)).toBe(0);
  });

  it('latches count and status once, status first', () => {
    program(2, 0, 0x1234);
    pit.setGate2(true);
    runTo(1);
    bus.write(0x43, 1, 0xc8); // Read-back: count and status of counter 2.
    runTo(100);
    bus.write(0x43, 1, 0x80); // A second latch is ignored.
    expect(bus.read(0x42, 1)).toBe(0x30);
    expect(bus.read(0x42, 1)).toBe(0x34);
    expect(bus.read(0x42, 1)).toBe(0x12);
    expect(bus.read(0x42, 1)).toBe((0x1234 - 99) & 0xff);
  });

  it('counts in BCD and reads single bytes', () => {
    bus.write(0x43, 1, 0x80 | 0x10 | 1); // Counter 2, low byte, mode 0, BCD.
    bus.write(0x42, 1, 0x25);
    pit.setGate2(true);
    runTo(1);
    expect(bus.read(0x42, 1)).toBe(0x25);
    runTo(7);
    expect(bus.read(0x42, 1)).toBe(0x19);
    expect(bus.read(0x42, 1)).toBe(0x19);
    runTo(27);
    expect(bus.read(0x42, 1)).toBe(0x99);
    bus.write(0x43, 1, 0x80 | 0x20); // High byte, binary.
    bus.write(0x42, 1, 0x80);
    runTo(28);
    expect(bus.read(0x42, 1)).toBe(0x80);
  });

  it('catches up late periodic ticks at twice the rate and then keeps the phase', () => {
    program(0, 2, 1193); // 1 kHz
    rises.length = 0;
    clock.advance(100e6);
    timers.runExpired();
    expect(rises.length).toBe(1);
    runTo(pitTicks(300e6));
    const periodTicks = 1193;
    expect(rises.length).toBe(Math.floor((pitTicks(300e6) - 1) / periodTicks));
    for (let i = 1; i < rises.length; i++) {
      expect(rises[i] - rises[i - 1]).toBeGreaterThanOrEqual(Math.floor(periodTicks / 2) - 1);
    }
    expect((rises.at(-1)! - 1) % periodTicks).toBeLessThan(2);
  });

  it('keeps ticks that find the guest with interrupts disabled', () => {
    const pic = new Pic8259Pair({ onOutput: () => {} });
    const waiting = new Pit8254({ timers, irq0: pic.irq(0), tickWaiting: () => pic.isWaiting(0) });
    waiting.write(3, 1, 0x34);
    waiting.write(0, 1, 1193 & 0xff);
    waiting.write(0, 1, 1193 >> 8);
    let taken = 0;
    const serve = (ns: number): void => {
      const end = clock.now() + ns;
      while (clock.now() < end) {
        runTo(pitTicks(clock.now()) + 120);
        if (!pic.output) continue;
        pic.acknowledge();
        pic.master.write(0, 1, 0x20);
        taken++;
      }
    };
    serve(10e6);
    runTo(pitTicks(110e6)); // 100 ms without an acknowledge.
    expect(taken).toBeLessThanOrEqual(11);
    serve(200e6);
    expect(Math.abs(taken - 310)).toBeLessThanOrEqual(2);
    // A masked tick is nobody's loss.
    pic.master.write(1, 1, 0x01);
    runTo(pitTicks(clock.now()) + 1193 * 500);
    pic.master.write(1, 1, 0x00);
    taken = 0;
    serve(100e6);
    expect(Math.abs(taken - 100)).toBeLessThanOrEqual(2);
  });

  it('bounds what a long stall owes', () => {
    program(0, 2, 1193);
    rises.length = 0;
    clock.advance(3600e9);
    timers.runExpired();
    runTo(pitTicks(3610e9));
    const onTime = 10_000;
    expect(rises.length).toBeGreaterThan(onTime + 1990);
    expect(rises.length).toBeLessThan(onTime + 2010);
  });

  it('a one-shot that is late fires once, and a reprogrammed timer owes nothing', () => {
    program(0, 4, 100);
    rises.length = 0;
    clock.advance(1e9);
    timers.runExpired();
    expect(rises.length).toBe(1);
    program(0, 2, 1193);
    clock.advance(1e9);
    timers.runExpired();
    program(0, 2, 11_932);
    rises.length = 0;
    runTo(pitTicks(clock.now()) + 119_330);
    expect(rises.length).toBe(10);
  });

  it('does not flood the host when programmed to the shortest period', () => {
    program(0, 2, 2);
    rises.length = 0;
    runTo(pitTicks(10e6));
    expect(rises.length).toBeGreaterThan(400);
    expect(rises.length).toBeLessThanOrEqual(501);
  });

  it('resumes from its saved state', () => {
    program(0, 3, 1000);
    program(2, 3, 100);
    pit.setGate2(true);
    runTo(1300);
    const saved = structuredClone(pit.save());
    program(0, 0, 0);
    pit.setGate2(false);
    pit.reset();
    pit.restore(saved);
    expect(tones.at(-1)).toBeCloseTo(PIT_HZ / 100);
    expect(readCount(0)).toBe(1000 - 2 * 299);
    rises.length = 0;
    runTo(3001);
    expect(rises).toEqual([2001, 3001]);
    expect(pit.save().counters[0]).toEqual(saved.counters[0]);
  });
});
