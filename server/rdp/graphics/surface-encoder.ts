/**
 * A screen as drawings on one surface of the graphics pipeline: what has moved is moved, what is plain is filled, what
 * has been drawn (text, windows) goes without loss, what has been photographed by progressive RemoteFX, videos by
 * RemoteFX. Remembers what was sent, so that nothing is sent twice.
 */

import { isDrawn } from '#display/desktop/drawn.ts';
import { ShownPicture } from '#display/desktop/shown-picture.ts';
import { joinTouching } from '#display/desktop/video-detector.ts';
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { PIPELINE_CODEC, PipelineWriter } from '../pdu/graphics-pipeline.ts';
import { ClearEncoder, Palette } from './clear-codec.ts';
import { copyTopDown } from './pixels.ts';
import { encodePlanar } from './planar.ts';
import { CoarsePasses } from './progressive/coarse-passes.ts';
import { encodeProgressive, type ProgressiveTile } from './progressive/message.ts';
import { encodeFrame, encodeHeaders } from './remotefx/message.ts';
import type { ScreenTiles } from './remotefx/screen-tiles.ts';
import { TILE_SIZE } from './remotefx/tile-module.ts';
import { findScroll } from './scroll-finder.ts';

/** Smaller changes are sent rather than looked through for what has moved. */
const LEAST_SCROLLED = 128 * 128;
/** Where nothing had moved, so many updates at most pass before it is looked for again. */
const LONGEST_REST = 16;

/** What the PDUs of a frame are to be made of. */
export interface Drawing {
  /** Compressible. */
  readonly sparse: PipelineWriter;
  /** Compressed already. */
  readonly dense: PipelineWriter;
}

export class SurfaceEncoder {
  readonly #tiles: ScreenTiles;
  readonly #passes = new CoarsePasses();
  readonly #clear = new ClearEncoder();
  readonly #palette = new Palette();
  readonly #pixels = new Uint32Array(TILE_SIZE * TILE_SIZE);
  #sent: ShownPicture | undefined;
  #surface = 0;
  #width = 0;
  #height = 0;
  #hasHeaders = false;
  #rest = 0;
  #lastRest = 0;

  constructor(tiles: ScreenTiles) {
    this.#tiles = tiles;
  }

  /** Something could be shown better than it was. */
  get canRefine(): boolean {
    return this.#tiles.hasCoarse || this.#passes.hasAny;
  }

  /** Milliseconds until more should be shown. */
  get waitMs(): number {
    return this.#tiles.waitMs;
  }

  /** The client shows a new, empty surface. */
  begin(surface: number, { width, height }: Picture): void {
    this.#surface = surface;
    this.#width = width;
    this.#height = height;
    this.#hasHeaders = false;
    this.forget();
  }

  /** The client has lost what it showed, but not the surface. */
  forget(): void {
    this.#sent = undefined;
    this.#tiles.reset();
    this.#passes.reset();
  }

  /** Something else was shown there. */
  overwritten({ x, y, width, height }: Rect): void {
    const pixels = this.#sent?.pixels;
    // No pixel of a screen is transparent.
    for (let row = y; pixels && row < y + height; row++) {
      pixels.fill(0, row * this.#width + x, row * this.#width + x + width);
    }
  }

  /** @returns undefined when the client shows it already */
  show(screen: Picture, rects: readonly Rect[], frame: number): Drawing | undefined {
    const drawing = { sparse: new PipelineWriter(16 * 1024), dense: new PipelineWriter() };
    const changed = this.#changed(screen, rects, drawing.sparse);
    this.#tiles.drawn(changed);
    this.#draw(screen, changed, frame, drawing);
    return drawing.sparse.length + drawing.dense.length > 0 ? drawing : undefined;
  }

  /**
   * @param acknowledged frame up to which the client has shown everything
   * @param covered where something else is shown, and nothing is to be drawn
   */
  refine(acknowledged: number, frame: number, covered?: Rect): Drawing | undefined {
    if (!this.#sent) return undefined;
    // As it was sent: what has changed since then is sent when it is looked at.
    const sent = { width: this.#width, height: this.#height, pixels: this.#sent.pixels };
    const drawing = { sparse: new PipelineWriter(1024), dense: new PipelineWriter(16 * 1024) };
    const { upgrades, rects, anew, over } = this.#passes.take(sent, acknowledged, covered);
    if (upgrades.length > 0) drawing.dense.progressive(this.#surface, encodeProgressive(frame, rects, upgrades));
    const again = [...anew, ...this.#tiles.takeStopped(covered)];
    const photos = again.filter((rect) => !this.#drawExactly(sent, rect, undefined, drawing.sparse));
    if (photos.length > 0) this.#drawVideo(sent, photos, frame, drawing.dense);
    for (const rect of over) this.#drawExactly(sent, rect, undefined, drawing.dense);
    return drawing.sparse.length + drawing.dense.length > 0 ? drawing : undefined;
  }

  #changed(screen: Picture, rects: readonly Rect[], w: PipelineWriter): readonly Rect[] {
    const sent = this.#sent;
    if (!sent) {
      this.#sent = new ShownPicture(screen);
      return [...wholeTiles(screen)];
    }
    const changed: Rect[] = [];
    const moved = this.#move(screen, rects, sent, w);
    for (const rect of moved ? [...rects, moved] : rects) sent.update(screen, rect, (box) => changed.push(box));
    return changed;
  }

  /** Moves what has been scrolled. @returns where to */
  #move(screen: Picture, rects: readonly Rect[], sent: ShownPicture, w: PipelineWriter): Rect | undefined {
    for (const area of joinTouching(rects)) {
      if (area.width * area.height < LEAST_SCROLLED) continue;
      // What is to get better has to stay where it is, videos among it.
      if (this.#tiles.isCoarse(area) || this.#passes.touches(area)) continue;
      if (this.#rest > 0) {
        this.#rest--;
        continue;
      }
      const scroll = findScroll(sent.pixels, screen.pixels, screen.width, area);
      this.#lastRest = scroll ? 0 : Math.min(LONGEST_REST, Math.max(1, this.#lastRest * 2));
      this.#rest = this.#lastRest;
      if (!scroll) continue;
      const { from, by } = scroll;
      const to = { ...from, y: from.y + by };
      w.copy(this.#surface, from, this.#surface, to.x, to.y);
      moveRows(sent.pixels, screen.width, from, by);
      return to;
    }
    return undefined;
  }

  #draw(screen: Picture, rects: readonly Rect[], frame: number, { sparse, dense }: Drawing): void {
    const plain = new Map<number, Rect[]>();
    const videos: Rect[] = [];
    const photos: Rect[] = [];
    for (const rect of rects) {
      if (this.#drawExactly(screen, rect, plain, sparse)) this.#passes.drawnOver(rect);
      else if (this.#tiles.showsVideo(rect)) {
        this.#passes.drawnOver(rect);
        videos.push(rect);
      } else photos.push(rect);
    }
    for (const [colour, areas] of plain) sparse.fill(this.#surface, colour, areas);
    if (videos.length > 0) {
      this.#drawVideo(screen, videos, frame, dense);
      this.#tiles.sentVideo(sparse.length + dense.length);
    }
    if (photos.length > 0) {
      const tiles: ProgressiveTile[] = this.#passes.first(screen, photos, frame);
      dense.progressive(this.#surface, encodeProgressive(frame, photos, tiles));
    }
  }

  /**
   * @param plain gets what is of one colour; undefined: it is drawn like all
   * @returns false: it looks like a photograph, and nothing was done
   */
  #drawExactly(screen: Picture, rect: Rect, plain: Map<number, Rect[]> | undefined, w: PipelineWriter): boolean {
    const count = rect.width * rect.height;
    const pixels = this.#pixels.subarray(0, count);
    if (this.#palette.collect(screen, rect, pixels)) {
      const [colour] = this.#palette.colours;
      if (this.#palette.size > 1) {
        const data = this.#clear.encode(pixels, rect.width, rect.height, this.#palette);
        w.bitmap(this.#surface, PIPELINE_CODEC.clear, rect, data);
      } else if (!plain) w.fill(this.#surface, colour, [rect]);
      else if (plain.get(colour)?.push(rect) === undefined) plain.set(colour, [rect]);
      return true;
    }
    if (!isDrawn(screen, rect)) return false;
    copyTopDown(screen, rect, pixels);
    const data = encodePlanar(pixels, rect, false, count * 3);
    if (!data) return false;
    w.bitmap(this.#surface, PIPELINE_CODEC.planar, rect, data);
    return true;
  }

  #drawVideo(screen: Picture, rects: readonly Rect[], frame: number, w: PipelineWriter): void {
    const { width, height } = screen;
    const tiles = rects.map((rect) => this.#tiles.encode(screen, rect));
    const body = encodeFrame({ index: frame, rects, tiles, quantizations: this.#tiles.quantizations });
    const headers = this.#hasHeaders ? new Uint8Array(0) : encodeHeaders(width, height);
    this.#hasHeaders = true;
    const data = new Uint8Array(headers.length + body.length);
    data.set(headers);
    data.set(body, headers.length);
    w.bitmap(this.#surface, PIPELINE_CODEC.remoteFx, { x: 0, y: 0, width, height }, data);
  }
}

function* wholeTiles({ width, height }: Picture): Generator<Rect> {
  for (let y = 0; y < height; y += TILE_SIZE) {
    for (let x = 0; x < width; x += TILE_SIZE) {
      yield { x, y, width: Math.min(TILE_SIZE, width - x), height: Math.min(TILE_SIZE, height - y) };
    }
  }
}

function moveRows(pixels: Uint32Array, stride: number, { x, y, width, height }: Rect, by: number): void {
  for (let i = 0; i < height; i++) {
    const row = by > 0 ? y + height - 1 - i : y + i;
    pixels.copyWithin((row + by) * stride + x, row * stride + x, row * stride + x + width);
  }
}
