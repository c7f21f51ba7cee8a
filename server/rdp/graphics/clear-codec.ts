/**
 * ClearCodec: bitmaps of few colours as runs of palette indices, without loss.
 * Source: [MS-RDPEGFX] 2.2.4.1 (CLEARCODEC_BITMAP_STREAM), 2.2.4.1.1.3.1.1 (CLEARCODEC_SUBCODEC_RLEX).
 * Not modelled: glyph and vertical-bar caches and the residual layer: bulk compression finds what repeats, and costs less
 * than the header of a bitmap for each glyph.
 */
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { PduWriter } from '../pdu/bytes.ts';

export const MOST_CLEAR_COLOURS = 127;
const RLEX = 2;
const RLEX_HEADER = 13;

/** Colours of a bitmap by number, in the order in which they first appear. */
export class Palette {
  readonly colours: Uint32Array = new Uint32Array(MOST_CLEAR_COLOURS);
  size = 0;
  /** By hash: number of a colour and one; 0: none. */
  readonly #slots = new Uint8Array(512);

  /**
   * @param pixels gets the rectangle, as `copyTopDown` would, as far as there are colours for it
   * @returns false: there are more than a palette has
   */
  collect(screen: Picture, { x, y, width, height }: Rect, pixels: Uint32Array): boolean {
    this.size = 0;
    this.#slots.fill(0);
    let last = -1;
    let to = 0;
    for (let row = y; row < y + height; row++) {
      const from = row * screen.width + x;
      for (let at = from; at < from + width; at++) {
        const word = screen.pixels[at];
        const pixel = ((word & 0xff) << 16) | (word & 0xff00) | ((word >>> 16) & 0xff);
        pixels[to++] = pixel;
        if (pixel === last) continue;
        last = pixel;
        if (this.#find(pixel, true) < 0) return false;
      }
    }
    return true;
  }

  /** Of one of its colours. */
  indexOf(pixel: number): number {
    return this.#find(pixel, false);
  }

  #find(pixel: number, mayAdd: boolean): number {
    let slot = Math.imul(pixel, 0x9e3779b1) >>> 23;
    for (;;) {
      const found = this.#slots[slot];
      if (found === 0) break;
      if (this.colours[found - 1] === pixel) return found - 1;
      slot = (slot + 1) & 511;
    }
    if (!mayAdd || this.size === MOST_CLEAR_COLOURS) return -1;
    this.colours[this.size++] = pixel;
    this.#slots[slot] = this.size;
    return this.size - 1;
  }
}

export class ClearEncoder {
  /** Bitmaps are numbered, for as long as the channel lives. */
  #sequence = 0;

  /**
   * @param pixels `width * height` words 0xrrggbb, top row first
   * @param palette of just these pixels
   */
  encode(pixels: Uint32Array, width: number, height: number, palette: Palette): Uint8Array<ArrayBuffer> {
    const w = new PduWriter(512).u8(0).u8(this.#sequence);
    this.#sequence = (this.#sequence + 1) & 0xff;
    const layersAt = w.length;
    w.u32(0).u32(0).u32(0);
    w.u16(0).u16(0).u16(width).u16(height);
    const sizeAt = w.length;
    w.u32(0).u8(RLEX);
    const start = w.length;
    writeRuns(pixels, palette, w);
    w.patch32(sizeAt, w.length - start);
    w.patch32(layersAt + 8, w.length - start + RLEX_HEADER);
    return w.done();
  }
}

function writeRuns(pixels: Uint32Array, palette: Palette, w: PduWriter): void {
  const { size, colours } = palette;
  w.u8(size);
  for (let i = 0; i < size; i++) {
    const colour = colours[i];
    w.u8(colour)
      .u8(colour >>> 8)
      .u8(colour >>> 16);
  }
  const indexBits = size === 1 ? 1 : 32 - Math.clz32(size - 1);
  const deepest = (1 << (8 - indexBits)) - 1;
  for (let at = 0; at < pixels.length; ) {
    const colour = pixels[at];
    const index = palette.indexOf(colour);
    let run = 1;
    while (at + run < pixels.length && pixels[at + run] === colour) run++;
    at += run;
    // A suite: the run's last pixel, and single ones of the colours that follow it in the palette.
    let depth = 0;
    while (
      depth < deepest &&
      at < pixels.length &&
      pixels[at] === colours[index + depth + 1] &&
      index + depth + 1 < size &&
      pixels[at] !== pixels[at + 1]
    ) {
      depth++;
      at++;
    }
    w.u8((depth << indexBits) | (index + depth));
    if (run - 1 < 0xff) w.u8(run - 1);
    else w.u8(0xff).u16(run - 1);
  }
}
