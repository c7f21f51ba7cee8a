import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { PduError } from '../pdu/bytes.ts';
import { decodeTouch } from '../pdu/touch.ts';
import { TouchInput } from './touch.ts';

const [DOWN, UPDATE, UP, CANCELED] = [0x19, 0x1a, 0x04, 0x24];
/** [MS-RDPEI] 2.2.3.3: one moment with these fingers; numbers of up to 13 bits in two bytes each. */
function touch(...contacts: readonly (readonly [id: number, x: number, y: number, flags: number])[]): Uint8Array {
  const signed = (value: number): number[] => [
    0x40 | (value < 0 ? 0x20 : 0) | (Math.abs(value) >> 8),
    Math.abs(value) & 255,
  ];
  const body = contacts.flatMap(([id, x, y, flags]) => [id, 0, ...signed(x), ...signed(y), 0x40, flags]);
  const all = [0, 1, contacts.length, 0, ...body];
  return Uint8Array.of(3, 0, 6 + all.length, 0, 0, 0, ...all);
}

function opened() {
  const desktop = new PaintedDesktop(640, 480);
  const seat = desktop.seat();
  const sent: number[][] = [];
  const input = new TouchInput(() => seat);
  input.opened((message) => sent.push([...message]));
  const seen = () => desktop.mouse.splice(0);
  /** Where the pointer was taken, as movements; buttons; notches. */
  const done = () => seen().map(({ dx, dy, dz, buttons }) => [dx, dy, dz, buttons]);
  const turned = () => seen().map(({ dz, dw }) => [dz, dw]);
  return { input, sent, done, turned };
}

/** [MS-RDPEI] 2.2.2: integers of every length, and fields that may be there. */
it('reads numbers of every length', () => {
  const contact = [
    ...[9, 0x07],
    // x: 0x123456 in three bytes, y: -5 in one; flags in one.
    ...[0x92, 0x34, 0x56, 0x25, 0x18],
    // A rectangle in one and two bytes, orientation in two, pressure in four.
    ...[0x01, 0x41, 0x81, 0x02, 0x02, 0x40, 0x59, 0xc0, 0, 4, 0],
  ];
  const bytes = [0xc1, 2, 3, 4, 0x80, 1, 1, 0xe1, 2, 3, 4, 5, 6, 7, 8, ...contact];
  expect(decodeTouch(Uint8Array.of(3, 0, 6 + bytes.length, 0, 0, 0, ...bytes))).toEqual([
    [{ id: 9, x: 0x123456, y: -5, isDown: true, isCanceled: false }],
  ]);
  expect(decodeTouch(Uint8Array.of(2, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 10, 0))).toEqual([]);
});

it('one finger moves the pointer, drags and taps', () => {
  const { input, sent, done } = opened();
  expect(sent).toEqual([[1, 0, 10, 0, 0, 0, 0, 0, 1, 0]]);
  input.received(touch([4, 100, 50, DOWN]));
  input.received(touch([4, 102, 51, UPDATE]));
  expect(done()).toEqual([]);
  input.received(touch([4, 110, 45, UPDATE]));
  expect(done()).toEqual([
    [0, 0, 0, 1],
    [10, -5, 0, 1],
  ]);
  input.received(touch([5, 10, 10, DOWN]));
  input.received(touch([4, 110, 45, UP]));
  input.received(touch([5, 10, 10, UP]));
  expect(done()).toEqual([[0, 0, 0, 0]]);
  input.received(touch([4, 90, 45, DOWN]));
  input.received(touch([4, 90, 45, UP]));
  expect(done()).toEqual([
    [-20, 0, 0, 0],
    [0, 0, 0, 1],
    [0, 0, 0, 0],
  ]);
  input.received(touch([4, 90, 45, DOWN]));
  input.received(touch([4, 90, 45, CANCELED]));
  expect(done()).toEqual([]);
});

it('a second finger turns the wheel, or taps for the right button, and nothing else is pressed', () => {
  const { input, done } = opened();
  input.received(touch([1, 100, 100, DOWN]));
  input.received(touch([2, 150, 100, DOWN]));
  input.received(touch([1, 100, 80, UPDATE], [2, 150, 70, UPDATE]));
  input.received(touch([2, 150, 20, UPDATE]));
  input.received(touch([2, 150, 20, UP]));
  input.received(touch([1, 100, 20, UPDATE]));
  input.received(touch([1, 100, 20, UP]));
  expect(done().slice(0, 2)).toEqual([
    [0, 0, 1, 0],
    [0, 0, 2, 0],
  ]);
  for (const end of [UP, CANCELED]) {
    input.received(touch([5, 10, 10, DOWN]));
    input.received(touch([6, 20, 10, DOWN]));
    done();
    input.received(touch([6, 20, 10, end]));
    input.received(touch([5, 10, 10, UP]));
    const rights = done().map(([, , , buttons]) => buttons);
    expect(rights).toEqual(end === UP ? [2, 0] : []);
  }
});

it('a second finger that moves sideways turns the horizontal wheel, and what it strays up or down is none of the other', () => {
  const { input, turned } = opened();
  input.received(touch([1, 100, 100, DOWN]));
  input.received(touch([2, 150, 100, DOWN]));
  turned();
  // What lies under the finger goes to the right, so what is to the left comes into view.
  input.received(touch([2, 200, 120, UPDATE]));
  input.received(touch([2, 220, 140, UPDATE]));
  input.received(touch([2, 130, 150, UPDATE]));
  input.received(touch([2, 130, 100, UPDATE]));
  expect(turned()).toEqual([
    [0, 2],
    [0, -2],
    [2, 0],
  ]);
});

it('lets go when the client is gone', () => {
  const { input, done } = opened();
  input.received(touch([1, 100, 100, DOWN]));
  input.received(touch([1, 200, 100, UPDATE]));
  done();
  input.closed();
  expect(done()).toEqual([[0, 0, 0, 0]]);
});

it('takes any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (rest) => {
      const { input } = opened();
      try {
        input.received(Uint8Array.of(3, 0, 0, 0, 0, 0, ...rest));
      } catch (cause) {
        if (!(cause instanceof PduError)) throw cause;
      }
    }),
  );
});
