/** Tells what has been drawn from what has been photographed. */
import type { Rect } from '../raster/rects.ts';
import type { Picture } from '../raster/thumbnail.ts';

/** Share of the pixels that are as the one before, from which on a picture has been drawn. */
const DRAWN_SHARE = 0.5;
/** Rows of a larger rectangle that are looked at: one of so many, an odd number, since drawings repeat at even ones. */
const [EVERY_ROW, SAMPLED_ROWS] = [1, 3];
const LEAST_SAMPLED = 32;

/** Text and windows rather than a photograph. */
export function isDrawn({ width: stride, pixels }: Picture, { x, y, width, height }: Rect): boolean {
  const step = height < LEAST_SAMPLED ? EVERY_ROW : SAMPLED_ROWS;
  let same = 0;
  for (let row = y; row < y + height; row += step) {
    const from = row * stride + x;
    for (let at = from + 1; at < from + width; at++) if (pixels[at] === pixels[at - 1]) same++;
  }
  return same >= (width - 1) * Math.ceil(height / step) * DRAWN_SHARE;
}
