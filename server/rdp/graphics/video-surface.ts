/**
 * A video that comes coded, on a surface of its own that nobody sees: its pictures are copied to where it shows.
 * Source: [MS-RDPEGFX] 2.2.4.4 (RFX_AVC420_BITMAP_STREAM), 3.3.8.3.1 (what of a picture is shown).
 */
import type { VideoPicture } from '#display/desktop/desktop.ts';
import type { Rect } from '#display/raster/rects.ts';
import { PictureGate } from '../channels/picture-gate.ts';
import type { PipelineWriter } from '../pdu/graphics-pipeline.ts';

/** Not the number of a screen's surface: those count from 1. */
const SURFACE = 0x7000;

export class VideoSurface {
  readonly gate: PictureGate;
  #area: Rect | undefined;

  /** @param wantKey a picture is needed that builds upon no other */
  constructor(wantKey: () => void) {
    this.gate = new PictureGate(wantKey);
  }

  /** Where a video shows. */
  get area(): Rect | undefined {
    return this.#area;
  }

  /** @param onto the screen's surface */
  show({ area, data }: VideoPicture, onto: number, w: PipelineWriter): void {
    const { width, height } = area;
    if (width !== this.#area?.width || height !== this.#area.height) {
      this.end(w);
      w.createSurface(SURFACE, width, height);
    }
    this.#area = area;
    w.avc420(SURFACE, { x: 0, y: 0, width, height }, data);
    this.copy(onto, w);
  }

  /** Shows the last picture again, over what was drawn there. */
  copy(onto: number, w: PipelineWriter): void {
    if (!this.#area) return;
    const { x, y, width, height } = this.#area;
    w.copy(SURFACE, { x: 0, y: 0, width, height }, onto, x, y);
  }

  /** The video is over. */
  end(w: PipelineWriter): void {
    if (this.#area) w.deleteSurface(SURFACE);
    this.#area = undefined;
  }

  /** The client has lost what it had. */
  reset(): void {
    this.#area = undefined;
    this.gate.reset();
  }
}
