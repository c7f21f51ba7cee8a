/** From the screen's pixels to the ones of a session's colour depth. */
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';

/** Bits a pixel of a session. */
export type ColorDepth = 8 | 15 | 16 | 24 | 32;
export const bytesPerPixel = (depth: ColorDepth): number => Math.ceil(depth / 8);

/** A word whose bytes are R, G, B, 255 to the number a bitmap's pixel has, little-endian. */
const CONVERT: Readonly<Record<ColorDepth, (word: number) => number>> = {
  8: (word) => (word & 0xe0) | (((word >>> 8) & 0xe0) >>> 3) | ((word >>> 22) & 3),
  15: (word) => ((word & 0xf8) << 7) | ((word >>> 6) & 0x3e0) | ((word >>> 19) & 0x1f),
  16: (word) => ((word & 0xf8) << 8) | ((word >>> 5) & 0x7e0) | ((word >>> 19) & 0x1f),
  24: (word) => ((word & 0xff) << 16) | (word & 0xff00) | ((word >>> 16) & 0xff),
  32: (word) => ((word & 0xff) << 16) | (word & 0xff00) | ((word >>> 16) & 0xff),
};

/** The palette that 8-bit sessions are told: three bits of red, three of green, two of blue; as 0xrrggbb. */
export const PALETTE_332: readonly number[] = Array.from({ length: 256 }, (_, i) => {
  const red = Math.round(((i >>> 5) * 255) / 7);
  const green = Math.round((((i >>> 2) & 7) * 255) / 7);
  return (red << 16) | (green << 8) | ((i & 3) * 85);
});

/** Width of a bitmap that shows `width` pixels: clients want multiples of 4. */
export const paddedWidth = (width: number): number => (width + 3) & ~3;

/**
 * Copies a rectangle of the screen, bottom row first.
 * @param into `paddedWidth(rect.width) * rect.height` pixels; the padding repeats the last pixel
 */
export function copyBottomUp(screen: Picture, rect: Rect, depth: ColorDepth, into: Uint32Array): void {
  const convert = CONVERT[depth];
  const { x, y, width, height } = rect;
  const padded = paddedWidth(width);
  let to = 0;
  for (let row = y + height - 1; row >= y; row--) {
    const from = row * screen.width + x;
    for (let i = 0; i < width; i++) into[to + i] = convert(screen.pixels[from + i]);
    for (let i = width; i < padded; i++) into[to + i] = into[to + width - 1];
    to += padded;
  }
}

/** Copies a rectangle of the screen, top row first, as 0xrrggbb. @param into `rect.width * rect.height` pixels */
export function copyTopDown(screen: Picture, rect: Rect, into: Uint32Array): void {
  const { x, y, width, height } = rect;
  const { pixels } = screen;
  for (let row = 0, to = 0; row < height; row++) {
    const from = (y + row) * screen.width + x;
    for (let i = 0; i < width; i++, to++) {
      const word = pixels[from + i];
      into[to] = ((word & 0xff) << 16) | (word & 0xff00) | ((word >>> 16) & 0xff);
    }
  }
}

/** Pixels as they lie in a bitmap that is not compressed. */
export function rawBytes(pixels: Uint32Array, count: number, depth: ColorDepth): Uint8Array {
  const size = bytesPerPixel(depth);
  const bytes = new Uint8Array(count * size);
  for (let i = 0, to = 0; i < count; i++) {
    let pixel = pixels[i];
    for (let b = 0; b < size; b++, pixel >>>= 8) bytes[to++] = pixel;
  }
  return bytes;
}
