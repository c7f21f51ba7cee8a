/**
 * Shows a screen to a client by the graphics pipeline: one surface as large as the screen. What has been drawn (text,
 * windows) goes without loss, what has been photographed by RemoteFX.
 * Source: [MS-RDPEGFX] 1.3, 3.2.
 */
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import type { DynamicChannel } from '../channels/dynamic-channels.ts';
import {
  chooseCapabilities,
  decodePipelineMessages,
  PIPELINE_CODEC,
  type PipelineMessage,
  PipelineWriter,
} from '../pdu/graphics-pipeline.ts';
import type { ScreenOutput } from './bitmap-output.ts';
import { copyTopDown } from './pixels.ts';
import { encodePlanar } from './planar.ts';
import { encodeFrame, encodeHeaders } from './remotefx/message.ts';
import type { ScreenTiles } from './remotefx/screen-tiles.ts';
import { TILE_SIZE } from './remotefx/tile-module.ts';

/** Frames that a client may have before it says that it has shown one. */
const FRAMES_IN_FLIGHT = 2;
/** Share of the pixels that are as the one before, from which on a picture has been drawn rather than photographed. */
const DRAWN_SHARE = 0.5;

export interface PipelineParts {
  /** The client can be shown something from now on. */
  readonly onReady: () => void;
  /** The client cannot do it, or does no longer. */
  readonly onRefused: () => void;
  /** One more frame may go out. */
  readonly onAcknowledged: () => void;
}

export class PipelineOutput implements ScreenOutput, DynamicChannel {
  readonly name = 'Microsoft::Windows::RDS::Graphics';
  readonly #parts: PipelineParts;
  readonly #tiles: ScreenTiles;
  readonly #pixels = new Uint32Array(TILE_SIZE * TILE_SIZE);
  #send: ((message: Uint8Array) => void) | undefined;
  #isConfirmed = false;
  #surface = 0;
  #width = 0;
  #height = 0;
  #frame = 0;
  #acknowledged = 0;
  #acknowledges = true;
  #hasHeaders = false;

  constructor(parts: PipelineParts, tiles: ScreenTiles) {
    this.#tiles = tiles;
    this.#parts = parts;
  }

  opened(send: (message: Uint8Array) => void): void {
    this.#send = send;
  }

  closed(): void {
    this.#send = undefined;
    this.#isConfirmed = false;
    this.#parts.onRefused();
  }

  received(message: Uint8Array): void {
    for (const one of decodePipelineMessages(message)) this.#take(one);
  }

  begin(): void {}

  onFrameAcknowledged(): void {}

  get isReady(): boolean {
    return this.#isConfirmed && (!this.#acknowledges || this.#frame - this.#acknowledged < FRAMES_IN_FLIGHT);
  }

  /** The size of the surface follows the screen. */
  readonly followsSize = true;

  get canRefine(): boolean {
    return this.#tiles.hasCoarse;
  }

  show(screen: Picture, rects: readonly Rect[]): void {
    this.#tiles.drawn(rects);
    this.#put(screen, rects);
  }

  refine(screen: Picture): void {
    this.#put(screen, this.#tiles.takeStopped());
  }

  #put(screen: Picture, rects: readonly Rect[]): void {
    if (!this.#isConfirmed || rects.length === 0) return;
    const w = new PipelineWriter(16 * 1024);
    if (screen.width !== this.#width || screen.height !== this.#height) this.#resize(screen, w);
    w.startFrame(++this.#frame);
    const photos: Rect[] = [];
    for (const rect of rects) {
      const drawn = this.#encodeDrawn(screen, rect);
      if (drawn) w.bitmap(this.#surface, PIPELINE_CODEC.planar, rect, drawn);
      else photos.push(rect);
    }
    if (photos.length > 0) this.#encodePhotos(screen, photos, w);
    this.#send?.(w.endFrame(this.#frame).done());
  }

  #take(message: PipelineMessage): void {
    if (message.kind === 'capabilities') {
      const chosen = chooseCapabilities(message.sets);
      if (!chosen) {
        this.#parts.onRefused();
        return;
      }
      this.#send?.(new PipelineWriter().confirm(chosen).done());
      // A client that says it again has lost what it had.
      this.#width = 0;
      this.#isConfirmed = true;
      this.#parts.onReady();
      return;
    }
    this.#acknowledges = !message.isSuspended;
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(message.frame, this.#frame));
    this.#parts.onAcknowledged();
  }

  #resize({ width, height }: Picture, w: PipelineWriter): void {
    if (this.#surface !== 0) w.deleteSurface(this.#surface);
    this.#surface++;
    w.reset(width, height).createSurface(this.#surface, width, height).mapToOutput(this.#surface);
    this.#width = width;
    this.#height = height;
    this.#hasHeaders = false;
    this.#tiles.reset();
  }

  /** @returns undefined when the rectangle looks like a photograph */
  #encodeDrawn(screen: Picture, rect: Rect): Uint8Array | undefined {
    const count = rect.width * rect.height;
    const pixels = this.#pixels.subarray(0, count);
    copyTopDown(screen, rect, pixels);
    let same = 0;
    for (let i = 1; i < count; i++) if (pixels[i] === pixels[i - 1]) same++;
    if (same < (count - 1) * DRAWN_SHARE) return undefined;
    return encodePlanar(pixels, rect, false, count * 3);
  }

  #encodePhotos(screen: Picture, rects: readonly Rect[], w: PipelineWriter): void {
    const { width, height } = screen;
    const tiles = rects.map((rect) => this.#tiles.encode(screen, rect));
    const { quantizations } = this.#tiles;
    const frame = encodeFrame({ index: this.#frame, rects, tiles, quantizations });
    const headers = this.#hasHeaders ? new Uint8Array(0) : encodeHeaders(width, height);
    this.#hasHeaders = true;
    const data = new Uint8Array(headers.length + frame.length);
    data.set(headers);
    data.set(frame, headers.length);
    w.bitmap(this.#surface, PIPELINE_CODEC.remoteFx, { x: 0, y: 0, width, height }, data);
  }
}
