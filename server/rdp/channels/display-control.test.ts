import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PduError, PduWriter } from '../pdu/bytes.ts';
import type { ScreenSize } from '../pdu/display-control.ts';
import { DisplayControl } from './display-control.ts';

interface Monitor extends ScreenSize {
  readonly flags: number;
}

/** [MS-RDPEDISP] 2.2.2.2: a layout of monitors of 40 bytes each. */
function layout(...monitors: Monitor[]): Uint8Array {
  const w = new PduWriter()
    .u32(2)
    .u32(16 + monitors.length * 40)
    .u32(40)
    .u32(monitors.length);
  for (const { flags, width, height } of monitors) w.u32(flags).zeros(8).u32(width).u32(height).zeros(20);
  return w.done();
}

function channel(count = 1) {
  const wishes: ScreenSize[] = [];
  const sent: Uint8Array[] = [];
  const one = new DisplayControl((sizes) => wishes.push(...sizes), count);
  one.opened((message) => sent.push(message));
  return { one, wishes, sent };
}

it('says what it can, and hears what the client would like for its primary screen', () => {
  const { one, wishes, sent } = channel();
  // [MS-RDPEDISP] 2.2.2.1: type 5, 20 bytes, one monitor, and two factors whose product is its area.
  expect(sent).toEqual([Uint8Array.of(5, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 10, 0, 0, 64, 6, 0, 0)]);
  one.received(layout({ flags: 1, width: 1024, height: 768 }));
  one.received(layout({ flags: 0, width: 800, height: 600 }, { flags: 1, width: 1366, height: 767 }));
  one.received(layout({ flags: 1, width: 8000, height: 8000 }));
  expect(wishes).toEqual([
    { width: 1024, height: 768 },
    { width: 1360, height: 767 },
    { width: 2560, height: 1600 },
  ]);
});

it('hears what a client with several screens would like, as many as there are', () => {
  const { one, wishes, sent } = channel(2);
  expect(sent[0][8]).toBe(2);
  const sizes = [640, 800, 1024].map((width, i) => ({ flags: i === 1 ? 1 : 0, width, height: 600 }));
  one.received(layout(...sizes));
  expect(wishes).toEqual([
    { width: 800, height: 600 },
    { width: 640, height: 600 },
  ]);
});

it('does not listen to what no monitor may be', () => {
  const { one, wishes } = channel();
  one.received(layout());
  one.received(layout({ flags: 1, width: 100, height: 768 }));
  one.received(layout({ flags: 1, width: 1024, height: 0xffff_ffff }));
  one.received(Uint8Array.of(9, 0, 0, 0, 8, 0, 0, 0));
  expect(wishes).toEqual([]);
});

it('takes any bytes', () => {
  const body = fc.uint8Array({ maxLength: 120 });
  fc.assert(
    fc.property(fc.nat(6), body, (type, rest) => {
      const { one, wishes } = channel();
      try {
        one.received(Uint8Array.of(type, 0, 0, 0, ...rest));
      } catch (cause) {
        if (!(cause instanceof PduError)) throw cause;
      }
      for (const { width, height } of wishes) expect(width >= 200 && width <= 2560 && height <= 1600).toBe(true);
    }),
  );
});
