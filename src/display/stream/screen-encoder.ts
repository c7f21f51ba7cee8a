/**
 * From a picture and the rectangles that changed to updates of the display stream, made once for any number of viewers.
 *
 * Every tile is kept in its coded form with the number of the update that changed it last. So an update for somebody who
 * has seen nothing yet, or has missed some, costs no coding: the tiles with a later number are put together and deflated.
 */
import { deflateSync } from 'fflate';
import type { Rect } from '../raster/rects.ts';
import { ByteWriter } from './fields.ts';
import { type BodyOf, MAX_SCREEN_PIXELS, MAX_SCREEN_SIDE } from './messages.ts';
import { encodeTile, MAX_TILE_BYTES, TILE } from './tile-codec.ts';

/** What a `Rasteriser` shows. */
export interface ScreenPicture {
  readonly width: number;
  readonly height: number;
  /** The picture is to fill a 4:3 screen. */
  readonly fourByThree: boolean;
  /** `width` * `height` words whose bytes are R, G, B, 255. */
  readonly pixels: Uint32Array;
}

interface CodedTile {
  /** Number of the update that changed it. */
  sequence: number;
  /** Coded; the first `length` bytes. */
  bytes: Uint8Array;
  length: number;
}

/** Tiles to look at, and tiles to send whatever they show. */
const [CHANGED, LOST] = [1, 2];
/** Speed before size: the higher levels take several times as long for a fifth less. */
const DEFLATE_LEVEL = 1;

/**
 * @example
 *   if (encoder.absorb(rasteriser, rasteriser.render())) send(encodeMessage('update', encoder.updateSince(last)));
 */
export class ScreenEncoder {
  #width = 0;
  #height = 0;
  #fourByThree = false;
  #across = 0;
  #tiles: CodedTile[] = [];
  #sequence = 0;
  /** Number of the update in which the screen got its size; nothing before it is of use. */
  #sized = 0;
  #dirty: Uint8Array = new Uint8Array(0);
  readonly #scratch: Uint8Array = new Uint8Array(MAX_TILE_BYTES);

  /** Number of the newest update; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Takes in what changed; all of it when the size did.
   * @param lost where viewers may show something else: sent again, changed or not
   * @returns true when there is a new update; false when the pixels are as they were
   */
  absorb(picture: ScreenPicture, rects: readonly Rect[], lost?: Rect): boolean {
    const { height } = visibleSize(picture);
    const isResized = picture.width !== this.#width || height !== this.#height;
    const isReshaped = picture.fourByThree !== this.#fourByThree;
    if (rects.length === 0 && !lost && !isResized && !isReshaped) return false;
    const next = this.#sequence + 1;
    if (isResized) this.#resize(picture, next);
    else {
      for (const rect of rects) this.#mark(rect, CHANGED);
      if (lost) this.#mark(lost, LOST);
    }
    this.#fourByThree = picture.fourByThree;
    const isChanged = this.#codeDirty(picture, next);
    if (!isChanged && !isResized && !isReshaped) return false;
    this.#sequence = next;
    return true;
  }

  /**
   * What brings a viewer from one update to the newest.
   * @param since the number of the last one the viewer has; 0 when it has nothing
   */
  updateSince(since: number): BodyOf<'update'> {
    const base = since < this.#sized || since > this.#sequence ? 0 : since;
    const raw = new ByteWriter(4096);
    for (let index = 0; index < this.#tiles.length; index++) {
      const { sequence, bytes, length } = this.#tiles[index];
      if (sequence <= base) continue;
      raw.u16(index);
      raw.bytes(bytes.subarray(0, length));
    }
    const tiles = deflateSync(raw.take(), { level: DEFLATE_LEVEL });
    return {
      ...{ sequence: this.#sequence, base, width: this.#width, height: this.#height },
      ...{ fourByThree: this.#fourByThree, rawBytes: raw.length, tiles },
    };
  }

  #resize(picture: ScreenPicture, sequence: number): void {
    const { width, height } = visibleSize(picture);
    this.#width = width;
    this.#height = height;
    this.#sized = sequence;
    this.#across = Math.ceil(width / TILE);
    const count = this.#across * Math.ceil(height / TILE);
    this.#tiles = Array.from({ length: count }, () => ({ sequence: 0, bytes: new Uint8Array(0), length: 0 }));
    this.#dirty = new Uint8Array(count).fill(CHANGED);
  }

  #mark({ x, y, width, height }: Rect, how: number): void {
    const right = Math.min(this.#across - 1, Math.floor((x + width - 1) / TILE));
    const bottom = Math.min(Math.ceil(this.#height / TILE) - 1, Math.floor((y + height - 1) / TILE));
    for (let row = Math.floor(y / TILE); row <= bottom; row++) {
      const first = row * this.#across;
      this.#dirty.fill(how, first + Math.floor(x / TILE), first + right + 1);
    }
  }

  #codeDirty(picture: ScreenPicture, sequence: number): boolean {
    let isChanged = false;
    for (let index = 0; index < this.#dirty.length; index++) {
      const how = this.#dirty[index];
      if (how === 0) continue;
      this.#dirty[index] = 0;
      const x = (index % this.#across) * TILE;
      const y = Math.floor(index / this.#across) * TILE;
      const area = {
        ...{ pixels: picture.pixels, stride: picture.width, x, y },
        ...{ width: Math.min(TILE, this.#width - x), height: Math.min(TILE, this.#height - y) },
      };
      const length = encodeTile(area, this.#scratch, 0);
      if (keep(this.#tiles[index], this.#scratch.subarray(0, length), sequence)) isChanged = true;
      if (how === LOST) {
        this.#tiles[index].sequence = sequence;
        isChanged = true;
      }
    }
    return isChanged;
  }
}

/** A screen larger than the stream carries loses its lowest lines. */
function visibleSize({ width, height }: ScreenPicture): { readonly width: number; readonly height: number } {
  return { width, height: Math.min(height, MAX_SCREEN_SIDE, Math.floor(MAX_SCREEN_PIXELS / width)) };
}

/** A rectangle may be larger than what changed in it; the same pixels have the same code. */
function keep(tile: CodedTile, coded: Uint8Array, sequence: number): boolean {
  if (tile.length === coded.length && isEqual(tile.bytes, coded)) return false;
  if (tile.bytes.length < coded.length) tile.bytes = new Uint8Array(coded.length + (coded.length >> 2));
  tile.bytes.set(coded);
  tile.length = coded.length;
  tile.sequence = sequence;
  return true;
}

function isEqual(longer: Uint8Array, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (longer[i] !== bytes[i]) return false;
  return true;
}
