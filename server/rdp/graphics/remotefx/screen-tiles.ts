/**
 * Tiles of a screen: as they are where it is still, coarser where a video plays, and as they are once that has stopped.
 * A video at full quality would cost twice the bytes and the time, for details that nobody sees while they move.
 */

import { joinTouching, VideoDetector } from '#display/desktop/video-detector.ts';
import { around, contains, overlap, type Rect } from '#display/raster/rects.ts';
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
/** By step: of tiles that are not coarse, of those that are, and of their colours, since eyes see less of colours that move. */
const QUANTIZATIONS: readonly (readonly [Quantization, Quantization, Quantization])[] = STEPS.map(
  ([, coarse], step) => [FINE, coarse, step > 0 ? STEPS[Math.min(step + 1, STEPS.length - 1)][1] : coarse],
);

/** What videos may take of a connection; headers come to it. A picture of 640 x 360 takes 55 KB, so that is 31 a second. */
const VIDEO_BYTES_A_MS = 13.5e6 / 8 / 1000;
/** Pictures may be late by so much without any being lost for it. */
const MOST_CREDIT_MS = 50;
/** A picture of a video that takes a connection longer makes the next ones coarser; one that takes less, finer again. */
const SLOW_PICTURE_MS = 100;
const QUICK_PICTURE_MS = 30;

export class ScreenTiles {
  readonly #encoder = new TileEncoder();
  readonly #detector = new VideoDetector();
  readonly #nowMs: () => number;
  readonly #bytesAMs: () => number | undefined;
  /** The finest step that a video is shown at. */
  readonly #finest: number;
  #step: number;
  readonly #isOn: boolean;
  /** By place: what is shown coarser than it is. */
  readonly #coarse = new Map<number, Rect>();
  #videos: readonly Rect[] = [];
  /** When the next picture of a video may go out. */
  #nextMs = 0;

  /**
   * @param quality of videos, percent; undefined: they are like everything else
   * @param nowMs milliseconds of any clock that does not go back
   * @param bytesAMs that the connection carries; undefined: nobody knows
   */
  constructor(quality: number | undefined, nowMs: () => number, bytesAMs: () => number | undefined = () => undefined) {
    this.#finest = STEPS.findIndex(([least]) => (quality ?? 100) >= least);
    this.#step = this.#finest;
    this.#isOn = this.#finest > 0;
    this.#nowMs = nowMs;
    this.#bytesAMs = bytesAMs;
  }

  /** Of tiles that are not `isCoarse`, of those that are, and of the colours of these. */
  get quantizations(): readonly [Quantization, Quantization, Quantization] {
    return QUANTIZATIONS[this.#step];
  }

  /** Something is to be shown finer when it has stopped moving. */
  get hasCoarse(): boolean {
    return this.#coarse.size > 0;
  }

  /** The client shows nothing of what it had. */
  reset(): void {
    this.#coarse.clear();
  }

  /** Milliseconds until more should be sent, since a video has had its share; not above 0: now. */
  get waitMs(): number {
    return this.#nextMs - this.#nowMs();
  }

  /** @param bytes of what was sent at once, a video's picture in it */
  sentVideo(bytes: number): void {
    this.#nextMs = Math.max(this.#nextMs, this.#nowMs() - MOST_CREDIT_MS) + bytes / VIDEO_BYTES_A_MS;
    const tookMs = bytes / (this.#bytesAMs() ?? Number.POSITIVE_INFINITY);
    if (tookMs > SLOW_PICTURE_MS) this.#step = Math.min(this.#step + 1, STEPS.length - 1);
    else if (tookMs < QUICK_PICTURE_MS) this.#step = Math.max(this.#step - 1, this.#finest);
  }

  /** What has changed at once. */
  drawn(rects: readonly Rect[]): void {
    if (!this.#isOn) return;
    const now = this.#nowMs();
    this.#detector.see(joinTouching(rects), now);
    this.#videos = this.#detector.videos(now);
  }

  /** A video plays there. */
  showsVideo(rect: Rect): boolean {
    return this.#videos.some((video) => contains(video, rect));
  }

  /** Something there is shown coarser than it is. */
  isCoarse(rect: Rect): boolean {
    for (const coarse of this.#coarse.values()) if (overlap(coarse, rect)) return true;
    return false;
  }

  /** @param rect inside one tile */
  encode(screen: Picture, rect: Rect): PlacedTile {
    const [column, row] = [Math.floor(rect.x / TILE_SIZE), Math.floor(rect.y / TILE_SIZE)];
    const isCoarse = this.showsVideo(rect);
    if (isCoarse) {
      const key = row * 0x1_0000 + column;
      const before = this.#coarse.get(key);
      // What is not in the last picture may have been in an earlier one.
      this.#coarse.set(key, before ? around(before, rect) : rect);
    }
    const [fine, coarse, chroma] = this.quantizations;
    const data = isCoarse
      ? this.#encoder.encode(screen, column, row, coarse, chroma)
      : this.#encoder.encode(screen, column, row, fine);
    return { column, row, isCoarse, data };
  }

  /** What has stopped moving; `encode` makes it fine. @param covered what is there waits */
  takeStopped(covered?: Rect): Rect[] {
    this.#videos = this.#detector.videos(this.#nowMs());
    const stopped: Rect[] = [];
    for (const [key, rect] of this.#coarse) {
      if (covered && overlap(covered, rect)) continue;
      if (this.#videos.some((video) => overlap(video, rect))) continue;
      this.#coarse.delete(key);
      stopped.push(rect);
    }
    return stopped;
  }
}
