/** One of several monitors out of a picture that shows them all. */
import type { PictureSource } from '../canvas/canvas-presenter.ts';
import type { Rect } from '../raster/rects.ts';

const NOTHING: readonly Rect[] = [];

/**
 * @example
 *   const second = new MonitorPicture(viewer, () => viewer.monitors.peek().find(({ monitor }) => monitor === 1));
 */
export class MonitorPicture implements PictureSource {
  readonly #whole: PictureSource;
  readonly #place: () => Rect | undefined;
  #shown: Rect = { x: 0, y: 0, width: 1, height: 1 };
  #bytes: Uint8ClampedArray<ArrayBuffer> = new Uint8ClampedArray(4);
  #pixels: Uint32Array<ArrayBuffer> = new Uint32Array(this.#bytes.buffer);

  /** @param place of the monitor in the picture; undefined, or not all inside of it: all is shown */
  constructor(whole: PictureSource, place: () => Rect | undefined) {
    this.#whole = whole;
    this.#place = place;
  }

  get width(): number {
    return this.#shown.width;
  }

  get height(): number {
    return this.#shown.height;
  }

  get fourByThree(): boolean {
    const { width, height } = this.#whole;
    return this.#whole.fourByThree && this.#shown.width === width && this.#shown.height === height;
  }

  get pixels(): Uint32Array<ArrayBuffer> {
    return this.#pixels;
  }

  get bytes(): Uint8ClampedArray<ArrayBuffer> {
    return this.#bytes;
  }

  invalidate(): void {
    this.#whole.invalidate();
  }

  render(): readonly Rect[] {
    const rects = this.#whole.render();
    const { width, height } = this.#whole;
    const asked = this.#place();
    const isInside = asked && asked.width > 0 && asked.height > 0 && asked.x + asked.width <= width;
    const place = isInside && asked.y + asked.height <= height ? asked : { x: 0, y: 0, width, height };
    const before = this.#shown;
    const isElsewhere = place.x !== before.x || place.y !== before.y;
    if (place.width !== before.width || place.height !== before.height) {
      this.#bytes = new Uint8ClampedArray(place.width * place.height * 4);
      this.#pixels = new Uint32Array(this.#bytes.buffer);
    } else if (!isElsewhere) {
      if (rects.length === 0) return NOTHING;
      return rects.flatMap((rect) => this.#copy(rect) ?? NOTHING);
    }
    this.#shown = { x: place.x, y: place.y, width: place.width, height: place.height };
    const all = this.#copy(this.#shown);
    return all ? [all] : NOTHING;
  }

  /** @returns where in this picture it is; undefined: nowhere */
  #copy(rect: Rect): Rect | undefined {
    const { x, y, width, height } = this.#shown;
    const [left, top] = [Math.max(rect.x, x), Math.max(rect.y, y)];
    const right = Math.min(rect.x + rect.width, x + width);
    const bottom = Math.min(rect.y + rect.height, y + height);
    if (left >= right || top >= bottom) return undefined;
    const stride = this.#whole.width;
    const { pixels } = this.#whole;
    for (let row = top; row < bottom; row++) {
      const from = row * stride;
      this.#pixels.set(pixels.subarray(from + left, from + right), (row - y) * width + left - x);
    }
    return { x: left - x, y: top - y, width: right - left, height: bottom - top };
  }
}
