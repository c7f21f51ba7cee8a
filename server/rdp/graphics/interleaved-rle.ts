/**
 * Interleaved run-length encoding of bitmaps with 8 to 24 bits a pixel.
 * Source: [MS-RDPBCGR] 2.2.9.1.1.3.1.2.4 (RLE_BITMAP_STREAM), 3.1.9 (decompression).
 * Not modelled: foreground and dithered runs, which a decoder knows but an encoder need not use.
 */
import { bytesPerPixel, type ColorDepth } from './pixels.ts';

const ORDER = { background: 0x00, color: 0x60, image: 0x80 } as const;
const MEGA = { background: 0xf0, color: 0xf3, image: 0xf4 } as const;
type Order = keyof typeof ORDER;
/** Runs shorter than this are better part of an image. */
const WORTH_A_RUN = 4;

/**
 * @param pixels `width * height` pixels of the depth, bottom row first
 * @param limit bytes
 * @returns undefined when it would take more than `limit`
 */
export function encodeInterleaved(
  pixels: Uint32Array,
  size: { readonly width: number; readonly height: number },
  depth: Exclude<ColorDepth, 32>,
  limit: number,
): Uint8Array | undefined {
  const encoder = new Encoder(pixels, size.width, bytesPerPixel(depth), limit);
  // A decoder decides at the start of an order whether it is in the first row, so none crosses that border.
  encoder.encode(0, size.width);
  encoder.encode(size.width, size.width * size.height);
  return encoder.result();
}

class Encoder {
  readonly #pixels: Uint32Array;
  readonly #width: number;
  readonly #pixelBytes: number;
  readonly #limit: number;
  readonly #out: Uint8Array;
  #length = 0;
  /** Two background orders in a row mean something else. */
  #lastWasBackground = false;

  constructor(pixels: Uint32Array, width: number, pixelBytes: number, limit: number) {
    this.#pixels = pixels;
    this.#width = width;
    this.#pixelBytes = pixelBytes;
    this.#limit = limit;
    // What is written at once is at most an order's header and a pixel, or checked before.
    this.#out = new Uint8Array(limit + 8);
  }

  result(): Uint8Array | undefined {
    return this.#length > this.#limit ? undefined : this.#out.slice(0, this.#length);
  }

  encode(from: number, to: number): void {
    this.#lastWasBackground = false;
    let imageFrom = from;
    let at = from;
    while (at < to && this.#length <= this.#limit) {
      const background: number = this.#lastWasBackground && imageFrom === at ? 0 : this.#backgroundRun(at, to);
      const color: number = this.#colorRun(at, to);
      if (Math.max(background, color) < WORTH_A_RUN) {
        at++;
        continue;
      }
      this.#image(imageFrom, at);
      if (background >= color) {
        this.#header('background', background);
        at += background;
      } else {
        this.#header('color', color);
        this.#pixel(at);
        at += color;
      }
      this.#lastWasBackground = background >= color;
      imageFrom = at;
    }
    this.#image(imageFrom, to);
  }

  /** Pixels that are as the ones below them in the picture; black in the first row. */
  #backgroundRun(at: number, to: number): number {
    const pixels = this.#pixels;
    const width = this.#width;
    let end = at;
    if (at < width) while (end < to && pixels[end] === 0) end++;
    else while (end < to && pixels[end] === pixels[end - width]) end++;
    return end - at;
  }

  #colorRun(at: number, to: number): number {
    const pixels = this.#pixels;
    const color = pixels[at];
    let end = at + 1;
    while (end < to && pixels[end] === color) end++;
    return end - at;
  }

  #image(from: number, to: number): void {
    if (from >= to) return;
    if (this.#length + (to - from) * this.#pixelBytes > this.#limit) {
      this.#length = this.#limit + 1;
      return;
    }
    this.#header('image', to - from);
    for (let at = from; at < to; at++) this.#pixel(at);
    this.#lastWasBackground = false;
  }

  #header(order: Order, count: number): void {
    const out = this.#out;
    if (count < 32) out[this.#length++] = ORDER[order] | count;
    else if (count < 32 + 256) {
      out[this.#length++] = ORDER[order];
      out[this.#length++] = count - 32;
    } else {
      out[this.#length++] = MEGA[order];
      out[this.#length++] = count;
      out[this.#length++] = count >>> 8;
    }
  }

  #pixel(at: number): void {
    let pixel = this.#pixels[at];
    for (let b = 0; b < this.#pixelBytes; b++, pixel >>>= 8) this.#out[this.#length++] = pixel;
  }
}
