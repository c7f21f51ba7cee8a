/** Remembers the picture that was shown, to tell what of a redrawn rectangle really differs. */
import type { Rect } from '../raster/rects.ts';
import type { Picture } from '../raster/thumbnail.ts';
import { TILE } from './desktop.ts';

/**
 * A guest's store makes whole lines of the screen be drawn again (a page of video memory is about a line), so drawn
 * rectangles are compared with what was there; the rest of the screen is never looked at.
 */
export class ShownPicture {
  readonly #pixels: Uint32Array;
  readonly #width: number;

  constructor(picture: Picture) {
    this.#pixels = picture.pixels.slice();
    this.#width = picture.width;
  }

  /** What was shown; whoever moves some of it on the other side does it here as well. */
  get pixels(): Uint32Array {
    return this.#pixels;
  }

  /**
   * Takes over a redrawn rectangle of a picture of the same size.
   * @param report gets the box around the differences in each TILE x TILE square of the screen
   */
  update(picture: Picture, drawn: Rect, report: (box: Rect) => void): void {
    const bottom = drawn.y + drawn.height;
    const right = drawn.x + drawn.width;
    for (let top = drawn.y; top < bottom; ) {
      const low = Math.min(bottom, (Math.floor(top / TILE) + 1) * TILE);
      for (let left = drawn.x; left < right; ) {
        const far = Math.min(right, (Math.floor(left / TILE) + 1) * TILE);
        this.#updateSquare(picture.pixels, { x: left, y: top, width: far - left, height: low - top }, report);
        left = far;
      }
      top = low;
    }
  }

  #updateSquare(now: Uint32Array, square: Rect, report: (box: Rect) => void): void {
    const before = this.#pixels;
    const { x, y, width, height } = square;
    let left = width;
    let right = -1;
    let top = -1;
    let bottom = -1;
    for (let row = 0; row < height; row++) {
      const at = (y + row) * this.#width + x;
      let first = 0;
      while (first < width && now[at + first] === before[at + first]) first++;
      if (first === width) continue;
      let last = width - 1;
      while (now[at + last] === before[at + last]) last--;
      if (top < 0) top = row;
      bottom = row;
      if (first < left) left = first;
      if (last > right) right = last;
      for (let i = first; i <= last; i++) before[at + i] = now[at + i];
    }
    if (top >= 0) report({ x: x + left, y: y + top, width: right - left + 1, height: bottom - top + 1 });
  }
}
