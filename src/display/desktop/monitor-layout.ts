/** Where a guest has put its monitors, for pointing at them. */
import { FRAME, FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';
import type { MonitorPlace } from '../raster/all-monitors.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

export class MonitorLayout {
  readonly #frame: SharedFrame;
  readonly #record: Uint32Array = new Uint32Array(FRAME_WORDS);

  constructor(frame: SharedFrame) {
    this.#frame = frame;
  }

  /** Size of the box around all monitors. @param only that of a machine with one */
  size(only: Size): Size {
    if (this.#frame.monitorCount === 1) return only;
    const { left, top, right, bottom } = this.#box();
    return { width: right - left, height: bottom - top };
  }

  /** @param place of the picture that x and y are pixels of. @returns the pixel of the box around all monitors */
  onDesktop(place: MonitorPlace, x: number, y: number): { readonly x: number; readonly y: number } {
    if (this.#frame.monitorCount === 1) return { x, y };
    const { left, top } = this.#box();
    const record = this.#record;
    this.#frame.read(record, place.monitor);
    const inside = (at: number, size: number): number => Math.max(0, Math.min(size - 1, at));
    return {
      x: (record[FRAME.originX] | 0) - left + inside(x - place.x, place.width),
      y: (record[FRAME.originY] | 0) - top + inside(y - place.y, place.height),
    };
  }

  #box(): { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number } {
    const box = { left: Number.MAX_SAFE_INTEGER, top: Number.MAX_SAFE_INTEGER, right: 0, bottom: 0 };
    const record = this.#record;
    for (let monitor = 0; monitor < this.#frame.monitorCount; monitor++) {
      this.#frame.read(record, monitor);
      if (monitor > 0 && record[FRAME.attached] === 0) continue;
      const [x, y] = [record[FRAME.originX] | 0, record[FRAME.originY] | 0];
      box.left = Math.min(box.left, x);
      box.top = Math.min(box.top, y);
      box.right = Math.max(box.right, x + record[FRAME.width]);
      box.bottom = Math.max(box.bottom, y + record[FRAME.height]);
    }
    return box;
  }
}
