/**
 * Shows a screen to a client by the graphics pipeline: versions, surfaces, frames and their acknowledgement.
 * Source: [MS-RDPEGFX] 1.3, 3.2.
 */
import type { VideoPicture } from '#display/desktop/desktop.ts';
import { overlap, type Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import type { DynamicChannel } from '../channels/dynamic-channels.ts';
import {
  chooseCapabilities,
  decodePipelineMessages,
  hasAvc420,
  type PipelineMessage,
  PipelineWriter,
} from '../pdu/graphics-pipeline.ts';
import type { MonitorBox } from '../pdu/share.ts';
import type { ScreenOutput } from './bitmap-output.ts';
import { BulkCompressor } from './bulk-compressor.ts';
import type { ScreenTiles } from './remotefx/screen-tiles.ts';
import { type Drawing, SurfaceEncoder } from './surface-encoder.ts';
import { VideoSurface } from './video-surface.ts';

export interface PipelineParts {
  /** Frames that the client may have before it says that it has shown one. */
  readonly framesInFlight: () => number;
  /** Where monitors lie in the picture, if it shows several. */
  readonly monitors: () => readonly MonitorBox[];
  /** The client can be shown something from now on. */
  readonly onReady: () => void;
  /** The client cannot do it, or does no longer. */
  readonly onRefused: () => void;
  /** One more frame may go out. */
  readonly onAcknowledged: () => void;
  /** A picture of the video that builds upon no other is needed. */
  readonly wantVideoKey: () => void;
}

export class PipelineOutput implements ScreenOutput, DynamicChannel {
  readonly name = 'Microsoft::Windows::RDS::Graphics';
  readonly form = 'h264';
  readonly #parts: PipelineParts;
  readonly #encoder: SurfaceEncoder;
  /** While the channel is open. */
  #sendPdus: ((pdus: Uint8Array, isDense?: boolean) => void) | undefined;
  #isConfirmed = false;
  #surface = 0;
  #width = 0;
  #height = 0;
  #layout = '';
  #frame = 0;
  #acknowledged = 0;
  #acknowledges = true;
  #hasAvc = false;
  readonly #video: VideoSurface;

  constructor(parts: PipelineParts, tiles: ScreenTiles) {
    this.#encoder = new SurfaceEncoder(tiles);
    this.#parts = parts;
    this.#video = new VideoSurface(parts.wantVideoKey);
  }

  /** The client can be shown H.264 as it comes. */
  get hasAvc(): boolean {
    return this.#hasAvc;
  }

  opened(send: (message: Uint8Array) => void): void {
    const bulk = new BulkCompressor();
    this.#sendPdus = (pdus, isDense) => send(bulk.encode(pdus, isDense));
  }

  closed(): void {
    this.#sendPdus = undefined;
    this.#encoder.forget();
    this.#isConfirmed = false;
    this.#parts.onRefused();
  }

  received(message: Uint8Array): void {
    for (const one of decodePipelineMessages(message)) this.#take(one);
  }

  begin(): void {}

  onFrameAcknowledged(): void {}

  get isReady(): boolean {
    const inFlight = this.#frame - this.#acknowledged;
    return this.#isConfirmed && (!this.#acknowledges || inFlight < this.#parts.framesInFlight());
  }

  get waitMs(): number {
    return this.#encoder.waitMs;
  }

  /** The size of the surface follows the screen. */
  readonly followsSize = true;

  get canRefine(): boolean {
    return this.#encoder.canRefine;
  }

  forget(): void {
    this.#encoder.forget();
  }

  show(screen: Picture, rects: readonly Rect[]): void {
    if (!this.#isConfirmed || rects.length === 0) return;
    const setUp = this.#resized(screen);
    const drawing = this.#encoder.show(screen, rects, this.#frame + 1);
    if (!drawing) return;
    const { area } = this.#video;
    if (area && rects.some((rect) => overlap(rect, area))) this.#video.copy(this.#surface, drawing.dense);
    this.#sendFrame(drawing, setUp);
  }

  /**
   * Shows a picture of a video that somebody else has coded, if the client keeps up.
   * @param hasRoom what was sent before is not in its way
   */
  showVideo(picture: VideoPicture, hasRoom: boolean): void {
    const { x, y, width, height } = picture.area;
    const isOnScreen = x + width <= this.#width && y + height <= this.#height;
    if (!this.#isConfirmed || !isOnScreen) return;
    if (!this.#video.gate.accepts(picture, hasRoom && this.isReady)) return;
    const dense = new PipelineWriter(picture.data.length + 256);
    this.#video.show(picture, this.#surface, dense);
    this.#sendFrame({ sparse: new PipelineWriter(16), dense }, new PipelineWriter(64));
  }

  /** The screen has that part again. */
  endVideo(): void {
    const { area } = this.#video;
    if (!area) return;
    const w = new PipelineWriter(64);
    this.#video.end(w);
    this.#video.reset();
    this.#sendPdus?.(w.done());
    this.#encoder.overwritten(area);
  }

  overwritten(area: Rect): void {
    this.#encoder.overwritten(area);
  }

  refine(_: Picture, covered?: Rect): void {
    if (!this.#isConfirmed) return;
    const shown = this.#acknowledges ? this.#acknowledged : this.#frame;
    const drawing = this.#encoder.refine(shown, this.#frame + 1, covered);
    if (drawing) this.#sendFrame(drawing, new PipelineWriter());
  }

  /** @param setUp what goes before the frame */
  #sendFrame({ sparse, dense }: Drawing, setUp: PipelineWriter): void {
    this.#frame++;
    const front = setUp.startFrame(this.#frame).append(sparse);
    if (dense.length === 0) front.endFrame(this.#frame);
    this.#sendPdus?.(front.done());
    if (dense.length > 0) this.#sendPdus?.(dense.endFrame(this.#frame).done(), true);
  }

  #take(message: PipelineMessage): void {
    if (message.kind === 'capabilities') {
      const chosen = chooseCapabilities(message.sets);
      if (!chosen) {
        this.#parts.onRefused();
        return;
      }
      this.#sendPdus?.(new PipelineWriter().confirm(chosen).done());
      // A client that says it again has lost what it had.
      this.#width = 0;
      this.#hasAvc = hasAvc420(chosen);
      this.#isConfirmed = true;
      this.#parts.onReady();
      return;
    }
    this.#acknowledges = !message.isSuspended;
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(message.frame, this.#frame));
    this.#parts.onAcknowledged();
  }

  /** A surface of the size of the screen, if there is none. */
  #resized(screen: Picture): PipelineWriter {
    const w = new PipelineWriter(16 * 1024);
    const { width, height } = screen;
    const monitors = this.#parts.monitors();
    const layout = monitors.map((one) => `${one.x} ${one.y} ${one.width} ${one.height}`).join();
    if (width === this.#width && height === this.#height && layout === this.#layout) return w;
    this.#video.end(w);
    this.#video.reset();
    if (this.#surface !== 0) w.deleteSurface(this.#surface);
    this.#surface++;
    w.reset(width, height, monitors).createSurface(this.#surface, width, height).mapToOutput(this.#surface);
    this.#layout = layout;
    this.#width = width;
    this.#height = height;
    this.#encoder.begin(this.#surface, screen);
    return w;
  }
}
