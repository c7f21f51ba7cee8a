import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { I8042 } from './i8042.ts';
import { Ps2Keyboard } from './ps2-keyboard.ts';
import { Ps2Mouse } from './ps2-mouse.ts';

const byte = fc.integer({ min: 0, max: 255 });
const counts = fc.integer({ min: -1000, max: 1000 });
const step = fc.oneof(
  fc.record({ data: byte }),
  fc.record({ command: byte }),
  fc.record({ toMouse: fc.oneof(byte, fc.constantFrom(0xf4, 0xf3, 200, 100, 80, 40, 0xea)) }),
  fc.record({ read: fc.constantFrom(0, 1) }),
  fc.record({ waitNs: fc.integer({ min: 0, max: 20_000_000 }) }),
  fc.record({ keys: fc.array(byte, { maxLength: 20 }) }),
  fc.record({ dx: counts, dy: counts, dz: counts, dw: counts, buttons: fc.integer({ min: 0, max: 31 }) }),
);

it('survives anything a guest or a person does, and its state restores to itself', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const clock = new ManualClock();
      const timers = new TimerQueue(clock);
      const keyboard = new Ps2Keyboard();
      const mouse = new Ps2Mouse({ timers });
      const line = { set: (): void => {} };
      const kbc = new I8042({
        timers,
        irq1: line,
        irq12: line,
        keyboard,
        mouse,
        onReset: () => {},
        onA20: () => {},
      });
      for (const s of steps) {
        if ('data' in s) kbc.data.write(0, 1, s.data);
        else if ('command' in s) kbc.command.write(0, 1, s.command);
        else if ('toMouse' in s) {
          kbc.command.write(0, 1, 0xd4);
          kbc.data.write(0, 1, s.toMouse);
        } else if ('read' in s) {
          const value = (s.read ? kbc.data : kbc.command).read(0, 1);
          expect(Number.isInteger(value) && value >= 0 && value <= 255).toBe(true);
        } else if ('waitNs' in s) {
          clock.advance(s.waitNs);
          timers.runExpired();
        } else if ('keys' in s) keyboard.putScancodes(s.keys);
        else mouse.move(s.dx, s.dy, s.dz, s.buttons, s.dw);
      }
      const parts = [keyboard, mouse, kbc] as const;
      const saved = structuredClone(parts.map((part) => part.save()));
      keyboard.restore(keyboard.save());
      mouse.restore(mouse.save());
      kbc.restore(kbc.save());
      expect(parts.map((part) => part.save())).toEqual(saved);
    }),
    { numRuns: 300 },
  );
});
