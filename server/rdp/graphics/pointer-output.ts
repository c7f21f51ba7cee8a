/**
 * Shows the guest's pointer as the client's own.
 * Source: [MS-RDPBCGR] 2.2.7.1.5 (cache), 2.2.7.2.7 (large pointers), 3.3.5.9.4 (pointer updates).
 * Not modelled: 384 x 384 pixels, monochrome clients.
 */
import type { PointerShape } from '#emu/host/frame.ts';
import type { ClientCapabilities } from '../pdu/capabilities.ts';
import { FAST_UPDATE } from '../pdu/fast-path.ts';
import {
  encodeCachedPointer,
  encodePointerBitmap,
  encodePointerMessage,
  encodeSystemPointer,
  POINTER_MESSAGE,
  type PointerBitmap,
  SYSTEM_POINTER,
} from '../pdu/pointer.ts';
import { SHARE_DATA } from '../pdu/share.ts';
import type { Link } from '../sequence/link.ts';

/** Sides of a pointer for clients that have said nothing of large ones. */
const USUAL_SIDE = 32;
const LARGE_SIDE = 96;
/** What the server offers to keep. */
const MOST_CACHED = 25;
/** From there on a pixel of a client without alpha is opaque. */
const OPAQUE_FROM = 128;

export class PointerOutput {
  readonly #link: Link;
  readonly #capabilities: ClientCapabilities;
  /** What the client keeps, by content: the index. The one that was shown longest ago comes first. */
  readonly #cached = new Map<string, number>();

  constructor(link: Link, capabilities: ClientCapabilities) {
    this.#link = link;
    this.#capabilities = capabilities;
  }

  show(shape: PointerShape): void {
    if (!shape.visible) this.#system(SYSTEM_POINTER.hidden);
    else if (shape.width === 0) this.#system(SYSTEM_POINTER.default);
    else this.#shape(shape);
  }

  #shape(shape: PointerShape): void {
    const { largePointers, newPointerCache, colorPointerCache } = this.#capabilities;
    const most = largePointers ? LARGE_SIDE : USUAL_SIDE;
    const [, , width, height] = inkOf(shape);
    const isNew = newPointerCache > 0;
    const slots = Math.min(MOST_CACHED, isNew ? newPointerCache : colorPointerCache);
    if (width === 0) this.#system(SYSTEM_POINTER.hidden);
    else if (width > most || height > most || slots === 0) this.#system(SYSTEM_POINTER.default);
    else this.#bitmap(isNew ? alphaBitmap(shape) : colourBitmap(shape), slots);
  }

  #bitmap(bitmap: PointerBitmap, slots: number): void {
    const { hotX, hotY, width, height, colours, mask } = bitmap;
    const key = [hotX, hotY, width, height, Buffer.from(colours).toString('latin1'), mask.join()].join(' ');
    const kept = this.#cached.get(key);
    this.#cached.delete(key);
    if (kept !== undefined) {
      this.#cached.set(key, kept);
      this.#send(FAST_UPDATE.pointerCached, POINTER_MESSAGE.cached, encodeCachedPointer(kept));
      return;
    }
    let index = this.#cached.size;
    if (index >= slots) {
      const [oldest] = this.#cached.keys();
      index = this.#cached.get(oldest) ?? 0;
      this.#cached.delete(oldest);
    }
    this.#cached.set(key, index);
    const isNew = bitmap.bitsPerPixel === 32;
    const [code, message] = isNew
      ? [FAST_UPDATE.pointerNew, POINTER_MESSAGE.new]
      : [FAST_UPDATE.pointerColor, POINTER_MESSAGE.color];
    this.#send(code, message, encodePointerBitmap(bitmap, index));
  }

  #system(type: number): void {
    const code = type === SYSTEM_POINTER.hidden ? FAST_UPDATE.pointerHidden : FAST_UPDATE.pointerDefault;
    if (this.#capabilities.fastPathOutput) this.#link.sendFastPath(code, new Uint8Array(0));
    else {
      const body = encodePointerMessage(POINTER_MESSAGE.system, encodeSystemPointer(type));
      this.#link.sendShareData(SHARE_DATA.pointer, body);
    }
  }

  #send(code: number, message: number, body: Uint8Array): void {
    if (this.#capabilities.fastPathOutput) this.#link.sendFastPath(code, body);
    else this.#link.sendShareData(SHARE_DATA.pointer, encodePointerMessage(message, body));
  }
}

/** The part of a shape in which anything is seen, with its hot spot: x, y, width, height; width 0: nothing is. */
function inkOf({ width, height, pixels, hotX, hotY }: PointerShape): readonly [number, number, number, number] {
  let [left, top, right, bottom] = [hotX, hotY, hotX + 1, hotY + 1];
  let isSeen = false;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (pixels[y * width + x] >>> 24 === 0) continue;
      isSeen = true;
      left = Math.min(left, x);
      top = Math.min(top, y);
      right = Math.max(right, x + 1);
      bottom = Math.max(bottom, y + 1);
    }
  }
  return [left, top, isSeen ? right - left : 0, bottom - top];
}

const alphaBitmap = (shape: PointerShape): PointerBitmap => bitmapOf(shape, 32, 1);
const colourBitmap = (shape: PointerShape): PointerBitmap => bitmapOf(shape, 24, OPAQUE_FROM);

/** @param seenFrom least alpha of a pixel that covers what is below */
function bitmapOf(shape: PointerShape, bitsPerPixel: 24 | 32, seenFrom: number): PointerBitmap {
  const [left, top, width, height] = inkOf(shape);
  const bytes = bitsPerPixel / 8;
  const row = (width * bytes + 1) & ~1;
  const maskRow = ((width + 15) >> 4) * 2;
  const colours = new Uint8Array(row * height);
  const mask = new Uint8Array(maskRow * height);
  for (let y = 0; y < height; y++) {
    const line = height - 1 - y;
    for (let x = 0; x < width; x++) {
      const pixel = shape.pixels[(top + y) * shape.width + left + x];
      const alpha = pixel >>> 24;
      if (alpha < seenFrom) {
        mask[line * maskRow + (x >> 3)] |= 0x80 >> (x & 7);
        continue;
      }
      const at = line * row + x * bytes;
      colours[at] = pixel >>> 16;
      colours[at + 1] = pixel >>> 8;
      colours[at + 2] = pixel;
      if (bytes === 4) colours[at + 3] = alpha;
    }
  }
  return { hotX: shape.hotX - left, hotY: shape.hotY - top, width, height, bitsPerPixel, colours, mask };
}
