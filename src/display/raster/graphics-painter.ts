/**
 * Graphics modes: draws the lines whose pages changed.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; Bochs VBE Display API.
 */
import { PAGE_BYTES } from '#base/units.ts';
import { FRAME } from '#emu/host/frame.ts';
import type { RectList } from './rects.ts';
import { type PixelFormat, type RowSource, rowSource } from './row-painters.ts';
import { lineAddress } from './screen-lines.ts';

/** Longest line in bytes: 2560 pixels of 4 bytes, and the dword before them. */
const LINE_BYTES = 0x4000;

export interface Surface {
  readonly pixels: Int32Array;
  readonly width: number;
  readonly height: number;
}

export class GraphicsPainter {
  readonly #vram: RowSource;
  readonly #wrapped: RowSource = rowSource(new ArrayBuffer(LINE_BYTES), 0, LINE_BYTES);
  readonly #pageGeneration: Uint32Array;
  readonly #palette: Int32Array = new Int32Array(256);

  constructor(vram: RowSource, pageGeneration: Uint32Array) {
    this.#vram = vram;
    this.#pageGeneration = pageGeneration;
  }

  /** @param since generation up to which the surface is current; -1 draws everything */
  paint(record: Uint32Array, format: PixelFormat, surface: Surface, since: number, changed: RectList): void {
    if (format.palette === 'attribute')
      this.#palette.set(record.subarray(FRAME.attributePalette, FRAME.attributePalette + 16));
    if (format.palette === 'dac') this.#palette.set(record.subarray(FRAME.palette, FRAME.palette + 256));
    const { height } = surface;
    for (let y = 0; y < height; y++) {
      const panning = y < record[FRAME.splitLine] ? record[FRAME.panning] : record[FRAME.lowerPanning];
      const at = lineAddress(record, y);
      if (format.pixelBytes === 0) this.#planarLine(record, format, surface, y, at, panning, since, changed);
      else this.#packedLine(record, format, surface, y, at + panning * format.pixelBytes, since, changed);
    }
  }

  #planarLine(
    record: Uint32Array,
    format: PixelFormat,
    { pixels, width }: Surface,
    y: number,
    at: number,
    panning: number,
    since: number,
    changed: RectList,
  ): void {
    const byteCount = Math.ceil((width + panning) / 8) * 4;
    const mask = record[FRAME.addressMask];
    if (since >= 0 && this.#firstDirty(at, byteCount, mask, since) < 0) return;
    const from = this.#contiguous(at, byteCount, mask);
    format.paint(from, from === this.#vram ? at : 0, pixels, y * width, width, this.#palette, panning);
    changed.add(0, width, y, y + 1);
  }

  #packedLine(
    record: Uint32Array,
    { paint, pixelBytes }: PixelFormat,
    { pixels, width }: Surface,
    y: number,
    at: number,
    since: number,
    changed: RectList,
  ): void {
    const byteCount = width * pixelBytes;
    const mask = record[FRAME.addressMask];
    let left = 0;
    let right = width;
    if (since >= 0) {
      const first = this.#firstDirty(at, byteCount, mask, since);
      if (first < 0) return;
      left = Math.floor(first / pixelBytes);
      right = Math.min(width, Math.ceil(this.#dirtyEnd(at, byteCount, mask, since) / pixelBytes));
    }
    const from = this.#contiguous(at, byteCount, mask);
    const start = (from === this.#vram ? at : 0) + left * pixelBytes;
    paint(from, start, pixels, y * width + left, right - left, this.#palette, 0);
    changed.add(left, right, y, y + 1);
  }

  /** Offset from `at` of the first byte on a page stamped after `since`, or -1. */
  #firstDirty(at: number, byteCount: number, mask: number, since: number): number {
    for (let done = 0; done < byteCount; done += PAGE_BYTES - ((at + done) % PAGE_BYTES)) {
      if (this.#pageGeneration[((at + done) & mask) >>> 12] > since) return done;
    }
    return -1;
  }

  /** Offset from `at` behind the last byte on a page stamped after `since`. */
  #dirtyEnd(at: number, byteCount: number, mask: number, since: number): number {
    let end = byteCount;
    while (end > 0 && this.#pageGeneration[((at + end - 1) & mask) >>> 12] <= since) {
      end -= ((at + end - 1) % PAGE_BYTES) + 1;
    }
    return end;
  }

  /** Video memory, or a copy of the line at 0 when it runs over the end of the address space. */
  #contiguous(at: number, byteCount: number, mask: number): RowSource {
    if (at + byteCount <= mask + 1) return this.#vram;
    const { bytes } = this.#wrapped;
    const count = Math.min(byteCount, LINE_BYTES);
    for (let i = 0; i < count; i++) bytes[i] = this.#vram.bytes[(at + i) & mask];
    return this.#wrapped;
  }
}
