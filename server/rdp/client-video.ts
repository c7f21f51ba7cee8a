/**
 * Videos that somebody has coded already, on their way to one client: by the graphics pipeline where the client shows H.264 in
 * it, which keeps them in step with the rest of the screen, else by channels of their own, as H.264, else as JPEG, else not,
 * and the screen has them.
 */
import type { CodedForm, VideoPicture, VideoSource } from '#display/desktop/desktop.ts';
import { outside, type Rect } from '#display/raster/rects.ts';

/** A way to show coded videos to a client. */
export interface VideoOutput {
  readonly form: CodedForm;
  /** Where it shows one over the screen. Left out: the screen has it. */
  readonly covered?: Rect | undefined;
  /** @param hasRoom the client can take more */
  showVideo(picture: VideoPicture, hasRoom: boolean): void;
  /** The screen has that part again. */
  endVideo(): void;
}

/**
 * Lets a picture out.
 * @param pixelCount of what it shows
 * @param put sends it; true: the client wants more, and can take it
 */
type Outlet = (pixelCount: number, put: (hasRoom: boolean) => void) => void;

/** The best first. */
const WAYS = ['pipeline', 'redirection', 'multimedia'] as const;
export type VideoWay = (typeof WAYS)[number];

export class ClientVideo {
  readonly #source: VideoSource;
  readonly #outlet: Outlet;
  readonly #outputs = new Map<VideoWay, VideoOutput>();
  #output: VideoOutput | undefined;
  /** The one before, which may still show something. */
  #before: VideoOutput | undefined;
  #watch: ReturnType<VideoSource['watch']> | undefined;

  constructor(source: VideoSource, outlet: Outlet) {
    this.#source = source;
    this.#outlet = outlet;
  }

  /** The client can be shown videos that way, or no longer. */
  set(way: VideoWay, output: VideoOutput | undefined): void {
    if (output) this.#outputs.set(way, output);
    else this.#outputs.delete(way);
    this.#choose();
  }

  wantKey(): void {
    this.#watch?.wantKey();
  }

  /** Where a video is shown over the screen. */
  get covered(): Rect | undefined {
    return this.#output?.covered ?? this.#before?.covered;
  }

  /** What of the screen is to be drawn. */
  uncovered(rects: readonly Rect[]): readonly Rect[] {
    const { covered } = this;
    return covered ? rects.flatMap((rect) => outside(rect, covered)) : rects;
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#output = undefined;
  }

  #choose(): void {
    const way = WAYS.find((one) => this.#outputs.has(one));
    const output = way && this.#outputs.get(way);
    const before = this.#output;
    if (output === before) return;
    before?.endVideo();
    this.#before = before;
    if (output?.form !== before?.form) this.close();
    this.#output = output;
    if (!output) return;
    this.#watch ??= this.#source.watch({
      form: output.form,
      picture: (picture) => {
        const { width, height } = picture.area;
        this.#outlet(width * height, (hasRoom) => this.#output?.showVideo(picture, hasRoom));
      },
      end: () => this.#output?.endVideo(),
    });
  }
}
