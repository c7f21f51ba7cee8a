/** The guest's pointer as a page's cursor. Not scaled with the picture. */
import type { SharedFrame } from '#emu/host/frame.ts';

export class GuestCursor {
  readonly #frame: SharedFrame;
  #serial = 0;
  #css = '';

  constructor(frame: SharedFrame) {
    this.#frame = frame;
  }

  /** Value of the CSS property; empty: the page's own. */
  get css(): string {
    const serial = this.#frame.pointerSerial;
    if (serial !== this.#serial) {
      this.#serial = serial;
      this.#css = this.#draw();
    }
    return this.#css;
  }

  #draw(): string {
    const { visible, hotX, hotY, width, height, pixels } = this.#frame.readPointer();
    if (!visible) return 'none';
    if (width === 0) return '';
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const bytes = new Uint8ClampedArray(pixels.slice().buffer);
    canvas.getContext('2d')?.putImageData(new ImageData(bytes, width, height), 0, 0);
    return `url(${canvas.toDataURL()}) ${hotX} ${hotY}, default`;
  }
}
