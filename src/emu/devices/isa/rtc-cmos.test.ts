import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { MIB } from '#base/units.ts';
import { IoBus } from '../../bus/io-bus.ts';
import { cmosForPc } from './cmos-for-pc.ts';
import { RtcCmos } from './rtc-cmos.ts';
import { decodeHour, decodeNumber, encodeHour, encodeNumber, nextAlarm } from './rtc-time.ts';

const START = Date.UTC(2024, 1, 28, 23, 59, 58, 250); // A Wednesday before a leap day.
const CONFIG = {
  lowRamBytes: 512 * MIB,
  highRamBytes: 0,
  floppies: ['1.44M', 'none'],
  bootOrder: ['cdrom', 'disk', 'floppy'],
  cpuCount: 2,
} as const;

describe('RtcCmos', () => {
  let clock: ManualClock;
  let timers: TimerQueue;
  let bus: IoBus;
  let rtc: RtcCmos;
  let irq: boolean;
  let nmi: boolean[];

  beforeEach(() => {
    clock = new ManualClock();
    timers = new TimerQueue(clock);
    bus = new IoBus();
    irq = false;
    nmi = [];
    rtc = new RtcCmos({
      timers,
      irq8: {
        set: (on) => {
          irq = on;
        },
      },
      startUnixMs: START,
      cmos: cmosForPc(CONFIG),
      onNmiMask: (masked) => nmi.push(masked),
    });
    bus.map(0x70, 2, rtc);
  });

  const get = (register: number): number => {
    bus.write(0x70, 1, register);
    return bus.read(0x71, 1);
  };
  const set = (register: number, value: number): void => {
    bus.write(0x70, 1, register);
    bus.write(0x71, 1, value);
  };
  const time = (): number[] => [0x32, 9, 8, 7, 6, 4, 2, 0].map(get);
  const advance = (ns: number): void => {
    const end = clock.now() + ns;
    while (timers.nextDeadline <= end) {
      clock.advance(Math.max(0, timers.nextDeadline - clock.now()));
      timers.runExpired();
    }
    clock.advance(end - clock.now());
  };

  it('shows the time it was started with, in BCD, and counts over a leap day', () => {
    expect(time()).toEqual([0x20, 0x24, 0x02, 0x28, 0x04, 0x23, 0x59, 0x58]);
    advance(2e9);
    expect(time()).toEqual([0x20, 0x24, 0x02, 0x29, 0x05, 0x00, 0x00, 0x00]);
  });

  it('shows binary and 12-hour formats', () => {
    set(0x0b, 0x06);
    expect(time()).toEqual([20, 24, 2, 28, 4, 23, 59, 58]);
    set(0x0b, 0x00);
    expect(get(4)).toBe(0x91);
    advance(2e9);
    expect(get(4)).toBe(0x12);
  });

  it('warns of the update with UIP and changes at its end', () => {
    advance(0.7e9);
    expect(get(0x0a)).toBe(0x26);
    advance(0.049e9);
    expect(get(0x0a)).toBe(0xa6);
    expect(get(0)).toBe(0x58);
    advance(0.001e9);
    expect(get(0x0a)).toBe(0x26);
    expect(get(0)).toBe(0x59);
  });

  it('is set the way Linux does it and goes on half a second later', () => {
    const b = get(0x0b);
    set(0x0b, b | 0x80);
    const a = get(0x0a);
    set(0x0a, a | 0x70);
    for (const [register, value] of [
      [9, 0x99],
      [8, 0x12],
      [7, 0x31],
      [6, 0x06],
      [4, 0x23],
      [2, 0x59],
      [0, 0x59],
      [0x32, 0x19],
    ]) {
      set(register, value);
    }
    advance(5e9);
    expect(get(0)).toBe(0x59);
    set(0x0b, b);
    set(0x0a, a);
    advance(0.499e9);
    expect(time()).toEqual([0x19, 0x99, 0x12, 0x31, 0x06, 0x23, 0x59, 0x59]);
    advance(0.001e9);
    expect(time()).toEqual([0x20, 0x00, 0x01, 0x01, 0x07, 0x00, 0x00, 0x00]);
  });

  it('can be set a register at a time while it runs', () => {
    set(4, 0x08);
    set(2, 0x15);
    expect([get(4), get(2)]).toEqual([0x08, 0x15]);
    advance(2e9);
    expect([get(4), get(2), get(0)]).toEqual([0x08, 0x16, 0x00]);
  });

  it('interrupts at every update until register C is read', () => {
    set(0x0b, 0x12);
    advance(0.75e9);
    expect(irq).toBe(true);
    expect(get(0x0c) & 0x90).toBe(0x90);
    expect(irq).toBe(false);
    expect(get(0x0c) & 0x90).toBe(0);
    advance(1e9);
    expect(irq).toBe(true);
  });

  it('interrupts at the alarm, with wildcards', () => {
    set(5, 0x00);
    set(3, 0x00);
    set(1, 0x30);
    set(0x0b, 0x22);
    advance(31e9);
    expect(irq).toBe(false);
    advance(1e9);
    expect(irq).toBe(true);
    expect(get(0x0c) & 0xa0).toBe(0xa0);
    set(5, 0xc0);
    set(3, 0xff);
    advance(59e9);
    expect(irq).toBe(false);
    advance(1e9);
    expect(irq).toBe(true);
    expect(timers.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('flags alarms for a guest that polls', () => {
    get(0x0c);
    set(5, 0xff);
    set(3, 0xff);
    set(1, 0xff);
    advance(3e9);
    expect(get(0x0c) & 0xb0).toBe(0x30);
    expect(irq).toBe(false);
  });

  it('interrupts periodically at the programmed rate', () => {
    const interruptsIn = (ns: number): number => {
      let n = 0;
      const end = clock.now() + ns;
      while (irq || timers.nextDeadline <= end) {
        if (!irq) advance(timers.nextDeadline - clock.now());
        if (!irq) continue;
        n++;
        get(0x0c);
      }
      advance(end - clock.now());
      return n;
    };
    set(0x0b, 0x42);
    get(0x0c);
    expect(interruptsIn(1e9)).toBe(1024);
    set(0x0a, 0x21);
    expect(interruptsIn(1e9)).toBe(256);
    set(0x0a, 0x2f);
    expect(interruptsIn(10e9)).toBe(20);
    set(0x0a, 0x20);
    expect(interruptsIn(10e9)).toBe(0);
    // A stall is caught up, but not without bound.
    set(0x0a, 0x26);
    clock.advance(0.5e9);
    timers.runExpired();
    expect(interruptsIn(1e9)).toBe(1024 + 512);
    clock.advance(100e9);
    timers.runExpired();
    expect(interruptsIn(10e9)).toBeLessThanOrEqual(10_240 + 2048 + 1);
  });

  it('keeps RAM over a reset, which disables interrupts', () => {
    set(0x20, 0xa5);
    set(0x0b, 0x72);
    advance(2e9);
    expect(irq).toBe(true);
    rtc.reset();
    expect([irq, get(0x0b), get(0x20), get(0x0d)]).toEqual([false, 0x02, 0xa5, 0x80]);
    expect(rtc.contents[0x20]).toBe(0xa5);
  });

  it('masks NMI by bit 7 of the index port', () => {
    bus.write(0x70, 1, 0x8d);
    bus.write(0x70, 1, 0x8e);
    bus.write(0x70, 1, 0x0e);
    expect(nmi).toEqual([true, false]);
    expect(bus.read(0x70, 1)).toBe(0xff);
  });

  it('resumes from its saved state', () => {
    set(9, 0x30);
    set(0x0b, 0x52);
    advance(3e9);
    const saved = structuredClone(rtc.save());
    set(9, 0x50);
    rtc.reset();
    rtc.restore(saved);
    expect(irq).toBe(true);
    expect([get(9), get(0x0b)]).toEqual([0x30, 0x52]);
    expect(get(0x0c)).toBe(0xf0); // Midnight has passed: the alarm registers are still 0.
    advance(1e9);
    expect(irq).toBe(true);
  });
});

describe('register formats', () => {
  it('round-trip', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99 }), fc.boolean(), fc.boolean(), (value, binary, hours24) => {
        const format = { binary, hours24 };
        expect(decodeNumber(encodeNumber(value, format), format)).toBe(value);
        expect(decodeHour(encodeHour(value % 24, format), format)).toBe(value % 24);
      }),
    );
  });

  it('the next alarm is the first second whose registers match', () => {
    const format = { binary: true, hours24: true };
    const registers = new Uint8Array(128);
    const field = (max: number): fc.Arbitrary<number> => fc.oneof(fc.integer({ min: 0, max }), fc.constant(0xff));
    fc.assert(
      fc.property(
        field(23),
        field(59),
        field(59),
        fc.integer({ min: 0, max: 86_400 }),
        (hour, minute, second, from) => {
          registers[5] = hour;
          registers[3] = minute;
          registers[1] = second;
          const matches = (at: number): boolean =>
            (hour > 23 || Math.floor(at / 3600) % 24 === hour) &&
            (minute > 59 || Math.floor(at / 60) % 60 === minute) &&
            (second > 59 || at % 60 === second);
          let expected = from + 1;
          while (!matches(expected)) expected++;
          expect(nextAlarm(registers, from, format)).toBe(expected);
        },
      ),
    );
    registers[5] = 24;
    expect(nextAlarm(registers, 0, format)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('cmosForPc', () => {
  const word = (cmos: Uint8Array, at: number): number => cmos[at] | (cmos[at + 1] << 8);

  it('describes memory in the units of each field', () => {
    const cmos = cmosForPc({ ...CONFIG, lowRamBytes: 3072 * MIB, highRamBytes: 5 * 1024 * MIB });
    expect(word(cmos, 0x15)).toBe(640);
    expect([word(cmos, 0x17), word(cmos, 0x30)]).toEqual([0xffff, 0xffff]);
    expect(word(cmos, 0x34) * 65_536 + 16 * MIB).toBe(3072 * MIB);
    expect((word(cmos, 0x5b) | (cmos[0x5d] << 16)) * 65_536).toBe(5 * 1024 * MIB);
    const small = cmosForPc({ ...CONFIG, lowRamBytes: 8 * MIB });
    expect([word(small, 0x30), word(small, 0x34)]).toEqual([7 * 1024, 0]);
  });

  it('describes floppies, boot order and processors, with a checksum', () => {
    const cmos = cmosForPc(CONFIG);
    expect([cmos[0x10], cmos[0x14], cmos[0x3d], cmos[0x38], cmos[0x5f]]).toEqual([0x40, 0x07, 0x23, 0x11, 1]);
    expect(cmosForPc({ ...CONFIG, floppies: ['1.2M', '2.88M'] }).slice(0x10, 0x15)).toEqual(
      Uint8Array.of(0x25, 0, 0, 0, 0x47),
    );
    const sum = cmos.slice(0x10, 0x2e).reduce((a, b) => a + b, 0);
    expect((cmos[0x2e] << 8) | cmos[0x2f]).toBe(sum);
  });
});
