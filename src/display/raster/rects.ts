/** Rectangles of a screen that were drawn again, collected line by line from top to bottom. */
export interface Rect {
  /** Pixels from the left and top. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const overlap = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

export const contains = (outer: Rect, { x, y, width, height }: Rect): boolean =>
  outer.x <= x && outer.y <= y && x + width <= outer.x + outer.width && y + height <= outer.y + outer.height;

/** The smallest that has both in it. */
export function around(a: Rect, b: Rect): Rect {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  const right = Math.max(a.x + a.width, b.x + b.width);
  const bottom = Math.max(a.y + a.height, b.y + b.height);
  return { x, y, width: right - x, height: bottom - y };
}

/** What of a rectangle lies outside of another one, as at most four rectangles that do not overlap. */
export function outside(rect: Rect, hole: Rect): readonly Rect[] {
  if (!overlap(rect, hole)) return [rect];
  const { x, y, width, height } = rect;
  const [right, bottom] = [x + width, y + height];
  const [left, top] = [Math.max(x, hole.x), Math.max(y, hole.y)];
  const [innerRight, innerBottom] = [Math.min(right, hole.x + hole.width), Math.min(bottom, hole.y + hole.height)];
  const inner = innerBottom - top;
  return [
    { x, y, width, height: top - y },
    { x, y: top, width: left - x, height: inner },
    { x: innerRight, y: top, width: right - innerRight, height: inner },
    { x, y: innerBottom, width, height: bottom - innerBottom },
  ].filter((part) => part.width > 0 && part.height > 0);
}

/** Lines that touch become one rectangle, as wide as the widest of them. */
export class RectList {
  readonly #rects: Rect[] = [];
  #left = 0;
  #right = 0;
  #top = 0;
  #bottom = -1;

  /** Adds x in [left, right) of the lines [top, bottom). Calls come in order of `top`. */
  add(left: number, right: number, top: number, bottom: number): void {
    if (top <= this.#bottom) {
      this.#left = Math.min(this.#left, left);
      this.#right = Math.max(this.#right, right);
      this.#bottom = Math.max(this.#bottom, bottom);
      return;
    }
    this.#flush();
    this.#left = left;
    this.#right = right;
    this.#top = top;
    this.#bottom = bottom;
  }

  /** Everything added; the list is finished with it. */
  take(): readonly Rect[] {
    this.#flush();
    return this.#rects;
  }

  #flush(): void {
    if (this.#bottom < 0) return;
    this.#rects.push({
      x: this.#left,
      y: this.#top,
      width: this.#right - this.#left,
      height: this.#bottom - this.#top,
    });
  }
}
