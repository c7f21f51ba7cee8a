/**
 * Videos that somebody has coded already, on their way to one client: by the graphics pipeline where the client shows H.264 in
 * it, which keeps them in step with the rest of the screen, else by channels of their own, else not, and the screen has them.
 */
import type { VideoPicture, VideoSource } from '#display/desktop/desktop.ts';

/** A way to show coded videos to a client. */
export interface VideoOutput {
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

export class ClientVideo {
  readonly #source: VideoSource;
  readonly #outlet: Outlet;
  #pipeline: VideoOutput | undefined;
  #redirection: VideoOutput | undefined;
  #output: VideoOutput | undefined;
  #watch: ReturnType<VideoSource['watch']> | undefined;

  constructor(source: VideoSource, outlet: Outlet) {
    this.#source = source;
    this.#outlet = outlet;
  }

  setPipeline(output: VideoOutput | undefined): void {
    this.#pipeline = output;
    this.#choose();
  }

  setRedirection(output: VideoOutput | undefined): void {
    this.#redirection = output;
    this.#choose();
  }

  wantKey(): void {
    this.#watch?.wantKey();
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#output = undefined;
  }

  #choose(): void {
    const output = this.#pipeline ?? this.#redirection;
    if (output === this.#output) return;
    this.#output?.endVideo();
    this.#output = output;
    if (!output) this.close();
    else {
      this.#watch ??= this.#source.watch({
        picture: (picture) => {
          const { width, height } = picture.area;
          this.#outlet(width * height, (hasRoom) => this.#output?.showVideo(picture, hasRoom));
        },
        end: () => this.#output?.endVideo(),
      });
    }
  }
}
