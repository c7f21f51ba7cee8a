import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '../../bus/io-bus.ts';
import { I8042 } from './i8042.ts';
import { KNOWN_KEYS, keyScancodes } from './keystrokes.ts';
import { Ps2Keyboard } from './ps2-keyboard.ts';
import { Ps2Mouse } from './ps2-mouse.ts';

const OBF = 0x01;
const AUX = 0x20;

describe('I8042 with its devices', () => {
  let clock: ManualClock;
  let timers: TimerQueue;
  let bus: IoBus;
  let kbc: I8042;
  let keyboard: Ps2Keyboard;
  let mouse: Ps2Mouse;
  let irq1: boolean;
  let irq12: boolean;
  let edges1: number;
  let edges12: number;
  let resets: number;
  let a20: boolean[];
  let leds: number[];

  beforeEach(() => {
    clock = new ManualClock();
    timers = new TimerQueue(clock);
    bus = new IoBus();
    irq1 = irq12 = false;
    edges1 = edges12 = resets = 0;
    a20 = [];
    leds = [];
    keyboard = new Ps2Keyboard({ onLeds: (l) => leds.push(l) });
    mouse = new Ps2Mouse({ timers });
    kbc = new I8042({
      timers,
      irq1: {
        set(on) {
          if (on && !irq1) edges1++;
          irq1 = on;
        },
      },
      irq12: {
        set(on) {
          if (on && !irq12) edges12++;
          irq12 = on;
        },
      },
      keyboard,
      mouse,
      onReset: () => resets++,
      onA20: (open) => a20.push(open),
    });
    bus.map(0x60, 1, kbc.data);
    bus.map(0x64, 1, kbc.command);
  });

  const status = (): number => bus.read(0x64, 1);
  const command = (value: number, ...data: number[]): void => {
    bus.write(0x64, 1, value);
    for (const byte of data) bus.write(0x60, 1, byte);
  };
  const advance = (ns: number): void => {
    const end = clock.now() + ns;
    while (timers.nextDeadline <= end) {
      clock.advance(Math.max(0, timers.nextDeadline - clock.now()));
      timers.runExpired();
    }
    clock.advance(end - clock.now());
  };
  /** Polls like a driver, waiting up to 20 ms for a byte. */
  const receive = (): number => {
    for (let i = 0; i < 200 && !(status() & OBF); i++) advance(100_000);
    return status() & OBF ? bus.read(0x60, 1) : -1;
  };
  const drain = (): number[] => {
    const bytes = [];
    for (let byte = receive(); byte >= 0; byte = receive()) bytes.push(byte);
    return bytes;
  };
  const toMouse = (...bytes: number[]): number[] =>
    bytes.flatMap((byte) => {
      command(0xd4, byte);
      return drain();
    });
  const toKeyboard = (...bytes: number[]): number[] =>
    bytes.flatMap((byte) => {
      bus.write(0x60, 1, byte);
      return drain();
    });

  describe('controller', () => {
    it('passes its tests and shows the system flag after them', () => {
      expect(status() & 0x04).toBe(0);
      command(0xaa);
      expect(receive()).toBe(0x55);
      expect(status() & 0x04).toBe(0x04);
      for (const [test, result] of [
        [0xab, 0x00],
        [0xa9, 0x00],
        [0xa4, 0xf1],
        [0xc0, 0xa0],
        [0xe0, 0x00],
      ]) {
        command(test);
        expect(receive()).toBe(result);
      }
    });

    it('keeps the command byte and RAM, and shows interface disables in it', () => {
      command(0x60, 0x47);
      command(0x61, 0x99);
      command(0x20);
      expect(receive()).toBe(0x47);
      command(0x21);
      expect(receive()).toBe(0x99);
      command(0xa7);
      command(0xad);
      command(0x20);
      expect(receive()).toBe(0x77);
      command(0xa8);
      command(0xae);
      command(0x20);
      expect(receive()).toBe(0x47);
    });

    it('passes the auxiliary loop test drivers make', () => {
      command(0x60, 0x43);
      command(0xd3, 0x5a);
      expect([status() & (OBF | AUX), irq12, irq1]).toEqual([OBF | AUX, true, false]);
      expect(bus.read(0x60, 1)).toBe(0x5a);
      expect(irq12).toBe(false);
      command(0xd2, 0x1c);
      expect([status() & (OBF | AUX), irq1, bus.read(0x60, 1)]).toEqual([OBF, true, 0x1c]);
    });

    it('gates A20 and resets the CPU', () => {
      command(0xd1, 0xdf);
      command(0xd0);
      expect(receive() & 3).toBe(3);
      command(0xd1, 0xdd);
      command(0xdf);
      command(0xdd);
      expect(a20).toEqual([true, false, true, false]);
      command(0xff);
      expect(resets).toBe(0);
      command(0xfe);
      command(0xf0);
      command(0xd1, 0xde);
      expect(resets).toBe(3);
    });

    it('marks who wrote last', () => {
      command(0xad);
      expect(status() & 8).toBe(8);
      bus.write(0x60, 1, 0xee);
      expect(status() & 8).toBe(0);
    });

    it('answers for devices that are not there', () => {
      const bare = new I8042({
        timers,
        irq1: { set: () => {} },
        irq12: { set: () => {} },
        onReset: () => {},
        onA20: () => {},
      });
      bare.command.write(0, 1, 0xd4);
      bare.data.write(0, 1, 0xf4);
      expect(bare.command.read(0, 1) & (OBF | AUX | 0x40)).toBe(OBF | AUX | 0x40);
      expect(bare.data.read(0, 1)).toBe(0xfe);
    });
  });

  describe('keyboard', () => {
    it('gives every key as its set 1 codes through the translation', () => {
      for (const code of KNOWN_KEYS) {
        const codes = [...keyScancodes(code, true), ...keyScancodes(code, false)];
        keyboard.putScancodes(codes);
        expect([code, drain()]).toEqual([code, codes]);
      }
    });

    it('gives an edge for each byte and the same byte twice to two readers', () => {
      command(0x60, 0x41);
      keyboard.putScancodes([0x1e, 0x9e]);
      expect([irq1, bus.read(0x60, 1), irq1, bus.read(0x60, 1)]).toEqual([true, 0x1e, false, 0x1e]);
      expect(status() & OBF).toBe(0);
      advance(1e6);
      expect([edges1, irq1, bus.read(0x60, 1)]).toEqual([2, true, 0x9e]);
    });

    it('holds keys back while its interface is disabled', () => {
      command(0xad);
      keyboard.putScancodes([0x1e]);
      expect(status() & OBF).toBe(0);
      command(0x20);
      expect(receive() & 0x10).toBe(0x10);
      command(0xae);
      expect(receive()).toBe(0x1e);
    });

    it('interrupts when interrupts are enabled with a byte waiting', () => {
      keyboard.putScancodes([0x1e]);
      expect(irq1).toBe(false);
      command(0x60, 0x41);
      expect(irq1).toBe(true);
    });

    it('goes through the sequence of Linux atkbd', () => {
      expect(toKeyboard(0xff)).toEqual([0xfa, 0xaa]);
      expect(toKeyboard(0xf2)).toEqual([0xfa, 0xab, 0x41]); // 83h, translated.
      expect(toKeyboard(0xed, 0x02)).toEqual([0xfa, 0xfa]);
      expect([leds.at(-1), keyboard.leds]).toEqual([2, 2]);
      expect(toKeyboard(0xf3, 0x00)).toEqual([0xfa, 0xfa]);
      expect(toKeyboard(0xf4)).toEqual([0xfa]);
      expect(toKeyboard(0xee)).toEqual([0xee]);
      expect(toKeyboard(0x01)).toEqual([0xfe]);
      expect(toKeyboard(0xf2, 0xfe)).toEqual([0xfa, 0xab, 0x41, 0x41]);
      expect(toKeyboard(0xed, 0xf4)).toEqual([0xfa, 0xfa]); // A command instead of the parameter.
      expect(keyboard.leds).toBe(2);
    });

    it('sends sets 2, 1 and 3 untranslated', () => {
      command(0x60, 0x00);
      keyboard.putScancodes([0x1e, 0x9e, 0xe0, 0x4d, 0xe0, 0xcd]);
      expect(drain()).toEqual([0x1c, 0xf0, 0x1c, 0xe0, 0x74, 0xe0, 0xf0, 0x74]);
      keyboard.putScancodes(keyScancodes('Pause', true));
      expect(drain()).toEqual([0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77]);
      expect(toKeyboard(0xf0, 0x00)).toEqual([0xfa, 0xfa, 0x02]);
      expect(toKeyboard(0xf0, 0x01)).toEqual([0xfa, 0xfa]);
      keyboard.putScancodes([0xe0, 0x4d, 0xe0, 0xcd]);
      expect(drain()).toEqual([0xe0, 0x4d, 0xe0, 0xcd]);
      expect(toKeyboard(0xf0, 0x03)).toEqual([0xfa, 0xfa]);
      keyboard.putScancodes([0x1e, 0x9e, 0x2a, 0xaa, 0xe0, 0x1d, ...keyScancodes('PrintScreen', true)]);
      expect(drain()).toEqual([0x1c, 0x12, 0xf0, 0x12, 0x58, 0x57]);
      expect(toKeyboard(0xf8)).toEqual([0xfa]);
      keyboard.putScancodes([0x1e, 0x9e, 0xe0, 0xd3, ...keyScancodes('Pause', true)]);
      expect(drain()).toEqual([0x1c, 0xf0, 0x1c, 0xf0, 0x64, 0x62, 0xf0, 0x62]);
      expect(toKeyboard(0xfd, 0x1c)).toEqual([0xfa, 0xfa]);
      keyboard.putScancodes([0x1e, 0x9e, 0x9f]);
      expect(drain()).toEqual([0x1c, 0xf0, 0x1b]);
      expect(toKeyboard(0xf0, 0x04)).toEqual([0xfa, 0xfe]);
      expect(toKeyboard(0xf6)).toEqual([0xfa]);
      expect(toKeyboard(0xf0, 0x00)).toEqual([0xfa, 0xfa, 0x02]);
    });

    it('loses keys, not half keys, when nobody reads, and lets held keys go', () => {
      command(0xad);
      keyboard.putScancodes([0x1d]);
      for (let i = 0; i < 400; i++) keyboard.putScancodes([0xe0, 0x48]);
      expect(keyboard.queuedBytes).toBeLessThanOrEqual(257);
      keyboard.putScancodes([0x9d]);
      command(0xae);
      const bytes = drain();
      expect(bytes[0]).toBe(0x1d);
      expect(bytes.at(-1)).toBe(0x9d);
      expect(bytes.at(-2)).toBe(0xff); // The overrun code, translated.
      const arrows = bytes.slice(1, -2);
      expect(arrows.length).toBeGreaterThan(200);
      expect(arrows.every((byte, i) => byte === (i % 2 ? 0x48 : 0xe0))).toBe(true);
      keyboard.putScancodes([0x1e]);
      expect(receive()).toBe(0x1e);
    });

    it('is silent while disabled', () => {
      expect(toKeyboard(0xf5)).toEqual([0xfa]);
      keyboard.putScancodes([0x1e]);
      expect(drain()).toEqual([]);
      toKeyboard(0xf4);
      keyboard.putScancodes([0x1f]);
      expect(drain()).toEqual([0x1f]);
    });
  });

  describe('mouse', () => {
    const knock = (...rates: number[]): void => {
      for (const rate of rates) expect(toMouse(0xf3, rate)).toEqual([0xfa, 0xfa]);
    };

    it('resets, identifies and reports status', () => {
      expect(toMouse(0xff)).toEqual([0xfa, 0xaa, 0x00]);
      expect(toMouse(0xf2)).toEqual([0xfa, 0x00]);
      expect(toMouse(0xe8, 3, 0xe7, 0xf3, 40, 0xf4)).toEqual([0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa]);
      mouse.move(0, 0, 0, 5);
      drain();
      expect(toMouse(0xe9)).toEqual([0xfa, 0x36, 0x03, 40]);
      expect(toMouse(0xf6, 0xe9)).toEqual([0xfa, 0xfa, 0x06, 0x02, 100]);
      expect(toMouse(0xe8, 9)).toEqual([0xfa, 0xfe]);
      expect(toMouse(2, 0xe1)).toEqual([0xfa, 0xfe]);
    });

    it('interrupts on IRQ 12 with reports in screen directions turned to mouse ones', () => {
      command(0x60, 0x43);
      toMouse(0xf4);
      edges12 = 0;
      mouse.move(5, 3, 0, 1);
      expect([irq12, irq1, status() & AUX]).toEqual([true, false, AUX]);
      expect(drain()).toEqual([0x29, 0x05, 0xfd]);
      expect(edges12).toBe(3);
      mouse.move(-5, -3, 0, 2);
      expect(drain()).toEqual([0x1a, 0xfb, 0x03]);
    });

    it('splits large movements and loses nothing', () => {
      toMouse(0xf4);
      mouse.move(600, -256, 0, 0);
      const bytes = drain();
      expect(bytes.length).toBe(9);
      let x = 0;
      let y = 0;
      for (let i = 0; i < bytes.length; i += 3) {
        expect(bytes[i] & 0xc8).toBe(0x08);
        x += bytes[i + 1] - (bytes[i] & 0x10 ? 256 : 0);
        y += bytes[i + 2] - (bytes[i] & 0x20 ? 256 : 0);
      }
      expect([x, y]).toEqual([600, 256]);
    });

    it('accumulates while the guest is busy but keeps every click', () => {
      toMouse(0xf4);
      mouse.move(1, 0, 0, 0);
      for (let i = 0; i < 50; i++) mouse.move(1, 0, 0, 0);
      mouse.move(0, 0, 0, 1);
      mouse.move(0, 0, 0, 0);
      mouse.move(2, 0, 0, 0);
      expect(drain()).toEqual([0x08, 1, 0, 0x08, 50, 0, 0x09, 0, 0, 0x08, 2, 0]);
    });

    it('reports no faster than the sample rate', () => {
      toMouse(0xf3, 20, 0xf4);
      mouse.move(1, 0, 0, 0);
      expect(drain()).toEqual([0x08, 1, 0]);
      const start = clock.now();
      let reports = 0;
      while (clock.now() < start + 1e9) {
        mouse.move(1, 0, 0, 0);
        advance(1e6);
        if (status() & OBF) {
          bus.read(0x60, 1);
          reports += 1 / 3;
        }
      }
      expect(Math.round(reports)).toBeGreaterThanOrEqual(19);
      expect(Math.round(reports)).toBeLessThanOrEqual(21);
    });

    it('becomes an IntelliMouse', () => {
      mouse.move(0, 0, 1, 0);
      knock(200, 100, 80);
      expect(toMouse(0xf2)).toEqual([0xfa, 0x03]);
      toMouse(0xf3, 100, 0xf4);
      mouse.move(0, 0, -1, 4);
      expect(drain()).toEqual([0x0c, 0, 0, 0xff]);
      mouse.move(0, 0, 9, 4);
      expect(drain()).toEqual([0x0c, 0, 0, 7, 0x0c, 0, 0, 2]);
      expect(toMouse(0xff, 0xf2)).toEqual([0xfa, 0xaa, 0x00, 0xfa, 0x00]);
    });

    it('becomes an Explorer', () => {
      knock(200, 100, 80, 200, 200, 80);
      expect(toMouse(0xf2)).toEqual([0xfa, 0x04]);
      toMouse(0xf4);
      mouse.move(0, 0, -2, 0b11001);
      expect(drain()).toEqual([0x09, 0, 0, 0x3e]);
    });

    describe('as an Explorer whose horizontal wheel was asked for', () => {
      /** Linux's order, psmouse-base.c: im_explorer_detect. */
      const asLinux = (): void => {
        knock(200, 100, 80, 200, 200, 80);
        expect(toMouse(0xf2)).toEqual([0xfa, 0x04]);
        knock(200, 80, 40);
        expect(toMouse(0xf2)).toEqual([0xfa, 0x04]);
        toMouse(0xf3, 100, 0xf4);
      };

      it('reports it in six bits, to the left positive, and the other wheel as ever', () => {
        asLinux();
        mouse.move(0, 0, 0, 0, 1);
        expect(drain()).toEqual([0x08, 0, 0, 0x41]);
        mouse.move(0, 0, 0, 0, -1);
        expect(drain()).toEqual([0x08, 0, 0, 0x7f]);
        mouse.move(0, 0, -2, 0b11001);
        expect(drain()).toEqual([0x09, 0, 0, 0x3e]);
        mouse.move(3, 1, 0, 0b11101, 70);
        expect(drain()).toEqual([0x2d, 3, 0xff, 0x5f, 0x0d, 0, 0, 0x5f, 0x0d, 0, 0, 0x48]);
      });

      it('tells of both wheels in turn, and of the side buttons before it', () => {
        asLinux();
        mouse.move(0, 0, 2, 0, -2);
        expect(drain()).toEqual([0x08, 0, 0, 0x7e, 0x08, 0, 0, 0x02]);
        mouse.move(0, 0, -9, 0, 1);
        expect(drain()).toEqual([0x08, 0, 0, 0x09, 0x08, 0, 0, 0x0e, 0x08, 0, 0, 0x41]);
        mouse.move(1, 0, 0, 8, 1);
        expect(drain()).toEqual([0x08, 1, 0, 0x10, 0x08, 0, 0, 0x41]);
      });

      it('reports both in remote mode', () => {
        asLinux();
        toMouse(0xf0);
        mouse.move(1, 0, 1, 0, 1);
        expect(toMouse(0xeb, 0xeb, 0xeb)).toEqual([0xfa, 8, 1, 0, 0x41, 0xfa, 8, 0, 0, 1, 0xfa, 8, 0, 0, 0]);
      });

      it('forgets it with a reset, and had none before', () => {
        knock(200, 80, 40, 200, 200, 80);
        toMouse(0xf4);
        mouse.move(0, 0, 0, 0, 3);
        expect(drain()).toEqual([0x08, 0, 0, 0]);
        knock(200, 80, 40);
        toMouse(0xff);
        knock(200, 200, 80);
        toMouse(0xf4);
        mouse.move(2, 0, 0, 0, 3);
        expect(drain()).toEqual([0x08, 2, 0, 0]);
      });

      it('is still there after its state was restored, and a state from before it has none', () => {
        asLinux();
        mouse.move(0, 0, 0, 1, -5);
        mouse.move(0, 0, 0, 0, 4);
        receive();
        const saved = mouse.save();
        mouse.reset();
        mouse.restore(saved);
        expect(mouse.save()).toEqual(saved);
        expect(saved.pending.map(({ dw }) => dw)).toEqual([4]);
        const { hasSideways, pending, ...rest } = saved;
        const older = pending.map(({ dw, ...one }) => ({ ...one, dz: 1 }));
        mouse.restore({ ...rest, report: [], pending: older } as unknown as typeof saved);
        kbc.reset();
        mouse.move(0, 0, 0, 0, 9);
        advance(20e6);
        expect(drain()).toEqual([0x08, 0, 0, 1]);
      });
    });

    it('reports in remote mode only when asked', () => {
      toMouse(0xf0);
      mouse.move(4, 0, 0, 1);
      expect(drain()).toEqual([]);
      expect(toMouse(0xeb, 0xeb)).toEqual([0xfa, 0x09, 4, 0, 0xfa, 0x09, 0, 0]);
      expect(toMouse(0xe9)[1] & 0x40).toBe(0x40);
      expect(toMouse(0xea, 0xf4)).toEqual([0xfa, 0xfa]);
      mouse.move(1, 0, 0, 1);
      expect(drain()).toEqual([0x09, 1, 0]);
    });

    it('scales 2:1 in stream mode', () => {
      toMouse(0xe7, 0xf4);
      for (const [counts, scaled] of [
        [1, 1],
        [2, 1],
        [3, 3],
        [4, 6],
        [5, 9],
        [6, 12],
      ]) {
        mouse.move(counts, 0, 0, 0);
        expect(drain()).toEqual([0x08, scaled, 0]);
      }
      mouse.move(-200, 0, 0, 0);
      expect(drain()).toEqual([0x18, (-254 + 256) & 0xff, 0, 0x18, -146 & 0xff, 0]);
    });

    it('echoes in wrap mode', () => {
      expect(toMouse(0xee, 0xf4, 0x55, 0xec, 0xf2)).toEqual([0xfa, 0xf4, 0x55, 0xfa, 0xfa, 0x00]);
    });

    it('ends a report when a command comes', () => {
      toMouse(0xf4);
      mouse.move(1, 1, 0, 0);
      expect(receive()).toBe(0x28);
      expect(toMouse(0xf5)).toEqual([0xfa]);
    });
  });

  it('resumes from its saved state, mid-key and mid-report', () => {
    command(0x60, 0x43);
    command(0xd1, 0xdf);
    toMouse(0xf4);
    mouse.move(3, 0, 0, 0);
    receive();
    keyboard.putScancodes([0xe0, 0x48, 0xe0]);
    const saved = structuredClone({ kbc: kbc.save(), keyboard: keyboard.save(), mouse: mouse.save() });
    toMouse(0xff);
    keyboard.reset();
    mouse.reset();
    kbc.reset();
    expect(a20.at(-1)).toBe(false);
    keyboard.restore(saved.keyboard);
    mouse.restore(saved.mouse);
    kbc.restore(saved.kbc);
    expect(a20.at(-1)).toBe(true);
    keyboard.putScancodes([0xc8]);
    const bytes = drain();
    expect(bytes.filter((b) => b === 0xe0 || b === 0x48 || b === 0xc8)).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
    expect(bytes.filter((b) => b === 3 || b === 0)).toEqual([3, 0]);
    mouse.move(1, 0, 0, 0);
    expect(drain()).toEqual([0x08, 1, 0]);
  });
});
