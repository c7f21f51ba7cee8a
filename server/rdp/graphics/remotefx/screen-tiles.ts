/**
 * Tiles of a screen: as they are where it is still, coarser where a video plays, and as they are once that has stopped.
 * A video at full quality would cost twice the bytes and the time, for details that nobody sees while they move.
 */

import { joinTouching, VideoDetector } from '#display/desktop/video-detector.ts';
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import type { PlacedTile } from './message.ts';
import { FINE, type Quantization, TileEncoder } from './tile-encoder.ts';
import { TILE_SIZE } from './tile-module.ts';

/** Least qualities, in percent, and the bits that are dropped from each subband. */
const STEPS: readonly (readonly [number, Quantization])[] = [
  [95, FINE],
  [70, [6, 6, 6, 6, 7, 7, 8, 9, 9, 10]],
  [40, [7, 7, 7, 7, 8, 8, 9, 10, 10, 11]],
  [0, [7, 7, 7, 7, 9, 9, 10, 11, 11, 12]],
];

export class ScreenTiles {
  /** Of tiles that are not `isCoarse`, and of those that are. */
  readonly quantizations: readonly [Quantization, Quantization];
  readonly #encoder = new TileEncoder();
  readonly #detector = new VideoDetector();
  readonly #nowMs: () => number;
  readonly #isOn: boolean;
  /** By place: what is shown coarser than it is. */
  readonly #coarse = new Map<number, Rect>();
  #videos: readonly Rect[] = [];

  /**
   * @param quality of videos, percent; undefined: they are like everything else
   * @param nowMs milliseconds of any clock that does not go back
   */
  constructor(quality: number | undefined, nowMs: () => number) {
    const coarse = STEPS.find(([least]) => (quality ?? 100) >= least)?.[1] ?? FINE;
    this.quantizations = [FINE, coarse];
    this.#isOn = coarse !== FINE;
    this.#nowMs = nowMs;
  }

  /** Something is to be shown finer when it has stopped moving. */
  get hasCoarse(): boolean {
    return this.#coarse.size > 0;
  }

  /** The client shows nothing of what it had. */
  reset(): void {
    this.#coarse.clear();
  }

  /** What has changed at once. */
  drawn(rects: readonly Rect[]): void {
    if (!this.#isOn) return;
    const now = this.#nowMs();
    this.#detector.see(joinTouching(rects), now);
    this.#videos = this.#detector.videos(now);
  }

  /** @param rect inside one tile */
  encode(screen: Picture, rect: Rect): PlacedTile {
    const [column, row] = [Math.floor(rect.x / TILE_SIZE), Math.floor(rect.y / TILE_SIZE)];
    const isCoarse = this.#videos.some((video) => contains(video, rect));
    if (isCoarse) {
      const [x, y] = [column * TILE_SIZE, row * TILE_SIZE];
      const [width, height] = [Math.min(TILE_SIZE, screen.width - x), Math.min(TILE_SIZE, screen.height - y)];
      this.#coarse.set(row * 0x1_0000 + column, { x, y, width, height });
    }
    const data = this.#encoder.encode(screen, column, row, this.quantizations[isCoarse ? 1 : 0]);
    return { column, row, isCoarse, data };
  }

  /** What has stopped moving; `encode` makes it fine. */
  takeStopped(): Rect[] {
    this.#videos = this.#detector.videos(this.#nowMs());
    const stopped: Rect[] = [];
    for (const [key, rect] of this.#coarse) {
      if (this.#videos.some((video) => overlaps(video, rect))) continue;
      this.#coarse.delete(key);
      stopped.push(rect);
    }
    return stopped;
  }
}

const contains = (outer: Rect, { x, y, width, height }: Rect): boolean =>
  outer.x <= x && outer.y <= y && x + width <= outer.x + outer.width && y + height <= outer.y + outer.height;

const overlaps = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
