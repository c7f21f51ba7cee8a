import { expect, it } from 'vitest';
import { PictureGate } from './picture-gate.ts';

const picture = (isKey: boolean, layer = 0) => ({
  form: 'h264' as const,
  area: { x: 30, y: 40, width: 64, height: 48 },
  data: Uint8Array.of(0, 0, 1),
  isKey,
  layer,
});

it('begins with a key picture, and asks for one when it has lost what others build upon', () => {
  let asked = 0;
  const gate = new PictureGate(() => asked++);
  expect([gate.accepts(picture(false), true), asked]).toEqual([false, 1]);
  expect([gate.accepts(picture(true), true), gate.accepts(picture(false), true), asked]).toEqual([true, true, 1]);
  // Without room: pictures of the higher layer may go.
  expect([gate.accepts(picture(false, 1), false), gate.accepts(picture(false, 0), true)]).toEqual([false, true]);
  expect([gate.accepts(picture(false, 0), false), gate.accepts(picture(false, 1), true), asked]).toEqual([
    false,
    false,
    2,
  ]);
  expect(gate.accepts(picture(true), true)).toBe(true);
  gate.reset();
  expect([gate.accepts(picture(false), true), asked]).toEqual([false, 3]);
});
