/** The pointer of a guest that takes positions, by VirtualBox's VMM device; movements become positions for it. */
import type { VboxVga } from '#emu/devices/video/vbox-vga.ts';
import type { VmmDev } from '#emu/devices/vmmdev/vmmdev.ts';
import type { SharedFrame } from '#emu/host/frame.ts';

const FULL_SCALE = 0xffff;

export class AbsolutePointing {
  readonly #device: VmmDev;
  readonly #adapter: VboxVga;

  constructor(device: VmmDev, adapter: VboxVga) {
    this.#device = device;
    this.#adapter = adapter;
  }

  get isTaken(): boolean {
    return this.#device.takesPositions;
  }

  /** @param x, y 0 to 65535 of the whole desktop */
  point(x: number, y: number): void {
    this.#device.point(x, y);
  }

  /** @param dx, dy in pixels */
  moveBy(dx: number, dy: number): void {
    const { x, y } = this.#device.position;
    const { width, height } = this.#adapter.desktop;
    this.#device.point(moved(x, dx, width), moved(y, dy, height));
  }

  /** @returns true when readers of the frame are to hear of it */
  publish(frame: SharedFrame): boolean {
    const isNews = frame.takesPositions !== this.isTaken;
    frame.takesPositions = this.isTaken;
    if (!this.isTaken) return isNews;
    const { x, y } = this.#device.position;
    const { x: left, y: top, width, height } = this.#adapter.desktop;
    return frame.movePointer(left + pixelAt(x, width), top + pixelAt(y, height)) || isNews;
  }
}

/** @param at 0 to 65535. @returns 0 to `size` - 1 */
const pixelAt = (at: number, size: number): number => Math.min(size - 1, Math.floor((at / FULL_SCALE) * size));

/** The middle of a pixel, so that it is this one however the guest rounds. */
function moved(at: number, by: number, size: number): number {
  const pixel = Math.max(0, Math.min(size - 1, pixelAt(at, size) + by));
  return ((pixel + 0.5) * FULL_SCALE) / size;
}
