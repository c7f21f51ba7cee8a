/** Which parts of a screen changed: for each square of TILE pixels the box around its changes, so that memory is bounded. */
import type { Rect } from '../raster/rects.ts';
import { TILE } from './desktop.ts';

export class TileDamage {
  readonly #width: number;
  readonly #height: number;
  readonly #columns: number;
  /** Left, top, right, bottom of each square's box, the last two exclusive; empty while right is 0. */
  readonly #boxes: Uint16Array;
  #dirty = 0;

  /** @param width, height of the screen, 1 to 65535 */
  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#columns = Math.ceil(width / TILE);
    this.#boxes = new Uint16Array(this.#columns * Math.ceil(height / TILE) * 4);
  }

  get isEmpty(): boolean {
    return this.#dirty === 0;
  }

  /** Adds a rectangle; what is outside the screen does not count. */
  add(rect: Rect): void {
    const right = Math.min(rect.x + rect.width, this.#width);
    const bottom = Math.min(rect.y + rect.height, this.#height);
    for (let top = Math.max(rect.y, 0); top < bottom; top = nextEdge(top)) {
      const low = Math.min(bottom, nextEdge(top));
      for (let left = Math.max(rect.x, 0); left < right; left = nextEdge(left)) {
        this.#grow(left, top, Math.min(right, nextEdge(left)), low);
      }
    }
  }

  addAll(): void {
    this.add({ x: 0, y: 0, width: this.#width, height: this.#height });
  }

  /** Everything added since the last call, from top to bottom. */
  take(): Rect[] {
    const rects: Rect[] = [];
    const boxes = this.#boxes;
    for (let at = 0; at < boxes.length && this.#dirty > 0; at += 4) {
      if (boxes[at + 2] === 0) continue;
      const [x, y, right, bottom] = boxes.subarray(at, at + 4);
      rects.push({ x, y, width: right - x, height: bottom - y });
      boxes[at + 2] = 0;
      this.#dirty--;
    }
    return rects;
  }

  /** A box inside one square. */
  #grow(left: number, top: number, right: number, bottom: number): void {
    const at = (Math.floor(top / TILE) * this.#columns + Math.floor(left / TILE)) * 4;
    const boxes = this.#boxes;
    if (boxes[at + 2] === 0) {
      this.#dirty++;
      boxes[at] = left;
      boxes[at + 1] = top;
      boxes[at + 2] = right;
      boxes[at + 3] = bottom;
      return;
    }
    boxes[at] = Math.min(boxes[at], left);
    boxes[at + 1] = Math.min(boxes[at + 1], top);
    boxes[at + 2] = Math.max(boxes[at + 2], right);
    boxes[at + 3] = Math.max(boxes[at + 3], bottom);
  }
}

const nextEdge = (at: number): number => (Math.floor(at / TILE) + 1) * TILE;
