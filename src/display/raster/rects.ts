/** Rectangles of a screen that were drawn again, collected line by line from top to bottom. */
export interface Rect {
  /** Pixels from the left and top. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
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
