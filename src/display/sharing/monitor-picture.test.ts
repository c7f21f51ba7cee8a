import { expect, it } from 'vitest';
import type { PictureSource } from '../canvas/canvas-presenter.ts';
import type { Rect } from '../raster/rects.ts';
import { MonitorPicture } from './monitor-picture.ts';

/** Each pixel says where it is: its column, 100 times its row. */
function source(width: number, height: number): PictureSource & { readonly changed: Rect[] } {
  const bytes = new Uint8ClampedArray(width * height * 4);
  const pixels = new Uint32Array(bytes.buffer).map((_, i) => (i % width) + 100 * Math.floor(i / width));
  const changed: Rect[] = [];
  const invalidate = (): void => void changed.push({ x: 0, y: 0, width, height });
  return {
    ...{ width, height, pixels: pixels as Uint32Array<ArrayBuffer>, bytes, fourByThree: true, changed, invalidate },
    render: () => changed.splice(0),
  };
}

it('shows one monitor of a picture, and of what changes what lies on it', () => {
  const whole = source(8, 6);
  let place: Rect | undefined = { x: 4, y: 3, width: 4, height: 3 };
  const one = new MonitorPicture(whole, () => place);
  expect(one.render()).toEqual([{ x: 0, y: 0, width: 4, height: 3 }]);
  expect([one.width, one.height, one.fourByThree]).toEqual([4, 3, false]);
  expect([...one.pixels]).toEqual([304, 305, 306, 307, 404, 405, 406, 407, 504, 505, 506, 507]);
  expect(one.render()).toEqual([]);
  whole.pixels[5 * 8 + 4] = 9999;
  whole.changed.push({ x: 0, y: 4, width: 6, height: 2 }, { x: 0, y: 0, width: 8, height: 3 });
  expect(one.render()).toEqual([{ x: 0, y: 1, width: 2, height: 2 }]);
  expect(one.pixels[8]).toBe(9999);
  // Moved in the picture of all.
  place = { x: 0, y: 0, width: 4, height: 3 };
  expect(one.render()).toEqual([place]);
  expect([...one.pixels.subarray(0, 5)]).toEqual([0, 1, 2, 3, 100]);
  // A picture that is not yet as large as its monitors are said to be.
  place = { x: 4, y: 3, width: 9, height: 3 };
  expect(one.render()).toEqual([{ x: 0, y: 0, width: 8, height: 6 }]);
  expect(one.pixels).toEqual(whole.pixels);
  place = undefined;
  whole.invalidate();
  expect(one.render()).toEqual([{ x: 0, y: 0, width: 8, height: 6 }]);
  expect(one.fourByThree).toBe(true);
});
