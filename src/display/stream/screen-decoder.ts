/** From updates of the display stream to a picture. */
import type { Rect } from '../raster/rects.ts';
import { refuse } from './fields.ts';
import { inflateExactly } from './inflate.ts';
import { type BodyOf, MAX_SCREEN_PIXELS, MAX_SCREEN_SIDE } from './messages.ts';
import { decodeTile, MAX_TILE_BYTES, TILE } from './tile-codec.ts';

const NOTHING: readonly Rect[] = [];

/** Has the same fields as a `Rasteriser`, so that whatever shows one shows the other. */
export class ScreenDecoder {
  width = 0;
  height = 0;
  fourByThree = false;
  /** `width` * `height` words whose bytes are R, G, B, 255. Another array after a change of size. */
  pixels: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  bytes: Uint8ClampedArray<ArrayBuffer> = new Uint8ClampedArray(0);
  #sequence = 0;

  /** Number of the last update drawn; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Draws an update.
   * @returns the tiles that changed; nothing when it is old news
   * @throws CodedError<'bad-stream'> the update is broken or builds upon one that is not here; then nothing counts as
   *   drawn and a picture that builds upon nothing is needed
   */
  apply(update: BodyOf<'update'>): readonly Rect[] {
    // Numbers never start again within a session, so a whole picture may be old news, too: by another way, or kept.
    if (update.sequence <= this.#sequence) return NOTHING;
    if (update.base > this.#sequence) {
      refuse(`update ${update.sequence} builds upon ${update.base}, but the last one here is ${this.#sequence}`);
    }
    this.#sequence = 0;
    this.#resize(update);
    const rects = this.#draw(update);
    this.fourByThree = update.fourByThree;
    this.#sequence = update.sequence;
    return rects;
  }

  #resize({ width, height, base }: BodyOf<'update'>): void {
    if (width === this.width && height === this.height) return;
    if (base !== 0) refuse('a screen of another size builds upon nothing before');
    const isPossible = 0 < width && width <= MAX_SCREEN_SIDE && 0 < height && height <= MAX_SCREEN_SIDE;
    if (!isPossible || width * height > MAX_SCREEN_PIXELS) refuse(`no screen is ${width} x ${height} pixels`);
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height);
    this.bytes = new Uint8ClampedArray(this.pixels.buffer);
  }

  #draw({ rawBytes, tiles }: BodyOf<'update'>): Rect[] {
    const across = Math.ceil(this.width / TILE);
    const count = across * Math.ceil(this.height / TILE);
    if (rawBytes > count * (MAX_TILE_BYTES + 2)) refuse(`${count} tiles never take ${rawBytes} bytes`);
    const raw = inflateExactly(tiles, rawBytes);
    const rects: Rect[] = [];
    let last = -1;
    for (let at = 0; at < raw.length; ) {
      const index = raw[at] | (raw[at + 1] << 8);
      if (at + 2 > raw.length || index <= last || index >= count)
        refuse('tiles are missing, repeated or off the screen');
      last = index;
      const x = (index % across) * TILE;
      const y = Math.floor(index / across) * TILE;
      const rect = { x, y, width: Math.min(TILE, this.width - x), height: Math.min(TILE, this.height - y) };
      at = decodeTile(raw, at + 2, { pixels: this.pixels, stride: this.width, ...rect });
      rects.push(rect);
    }
    return rects;
  }
}
