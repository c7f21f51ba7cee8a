/** Rectangles of the screen as bitmaps of a session's depth, compressed where that helps. */
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import type { BitmapData } from '../pdu/bitmap-update.ts';
import { encodeInterleaved } from './interleaved-rle.ts';
import { bytesPerPixel, type ColorDepth, copyBottomUp, paddedWidth, rawBytes } from './pixels.ts';
import { encodePlanar } from './planar.ts';

/** Bytes of a bitmap's data: one has to fit a packet that every client reads. */
const MAX_DATA = 12_000;

export class BitmapEncoder {
  readonly #depth: ColorDepth;
  readonly #withAlpha: boolean;
  #pixels = new Uint32Array(64 * 64);

  /** @param withAlpha 32-bit bitmaps need an alpha plane */
  constructor(depth: ColorDepth, withAlpha: boolean) {
    this.#depth = depth;
    this.#withAlpha = withAlpha;
  }

  /** One bitmap, or several when it does not fit one. */
  encode(screen: Picture, rect: Rect): BitmapData[] {
    const depth = this.#depth;
    const { x, y, width, height } = rect;
    const bitmapWidth = paddedWidth(width);
    const count = bitmapWidth * height;
    if (this.#pixels.length < count) this.#pixels = new Uint32Array(count);
    const pixels = this.#pixels.subarray(0, count);
    copyBottomUp(screen, rect, depth, pixels);
    const rawLength = count * bytesPerPixel(depth);
    const data = this.#compress(pixels, { width: bitmapWidth, height }, Math.min(MAX_DATA, rawLength - 1));
    const common = { x, y, width, height, bitmapWidth, bitsPerPixel: depth };
    if (data) return [{ ...common, isCompressed: true, data }];
    if (rawLength <= MAX_DATA) return [{ ...common, isCompressed: false, data: rawBytes(pixels, count, depth) }];
    const upper = height >> 1;
    return [
      ...this.encode(screen, { x, y, width, height: upper }),
      ...this.encode(screen, { x, y: y + upper, width, height: height - upper }),
    ];
  }

  #compress(pixels: Uint32Array, size: { width: number; height: number }, limit: number): Uint8Array | undefined {
    if (this.#depth === 32) return encodePlanar(pixels, size, this.#withAlpha, limit);
    return encodeInterleaved(pixels, size, this.#depth, limit);
  }
}
