import fc from 'fast-check';
import { expect, it } from 'vitest';
import { outside, type Rect } from './rects.ts';

const SIDE = 12;
const rectangle = fc
  .tuple(fc.nat(SIDE - 1), fc.nat(SIDE - 1), fc.integer({ min: 1, max: SIDE }), fc.integer({ min: 1, max: SIDE }))
  .map(
    ([x, y, width, height]): Rect => ({ x, y, width: Math.min(width, SIDE - x), height: Math.min(height, SIDE - y) }),
  );

const covers = ({ x, y, width, height }: Rect, column: number, row: number): boolean =>
  x <= column && column < x + width && y <= row && row < y + height;

it('what of a rectangle is outside of another has each of its pixels once', () => {
  fc.assert(
    fc.property(rectangle, rectangle, (rect, hole) => {
      const parts = outside(rect, hole);
      expect(parts.length).toBeLessThanOrEqual(4);
      for (let row = 0; row < SIDE; row++) {
        for (let column = 0; column < SIDE; column++) {
          const times = parts.filter((part) => covers(part, column, row)).length;
          expect(times).toBe(covers(rect, column, row) && !covers(hole, column, row) ? 1 : 0);
        }
      }
    }),
  );
});
