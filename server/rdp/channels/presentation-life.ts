/**
 * The one video that a client shows over its screen, whatever channels it comes by: it stays for a moment when it has ended,
 * what it covers is drawn again when it goes, and a client that refuses one is shown no more.
 */
import type { Rect } from '#display/raster/rects.ts';

/** A video that has ended stays so long: what comes next may go on in its place, and the screen is drawn only then. */
const LINGER_MS = 50;

/** A video that a client shows, or is asked to. */
export interface Presented {
  /** Where it is shown. */
  readonly area: Rect;
  /** Pictures that were sent. */
  readonly samples: number;
  /** Calls off waiting for the client's answer. */
  readonly stopWaiting: () => void;
}

/** What a way to show videos over the screen needs. */
export interface PresentationHost {
  /** @returns a function that calls it off */
  readonly later: (ms: number, what: () => void) => () => void;
  /** Size of the screen. */
  readonly screen: () => { readonly width: number; readonly height: number };
  /** Once: the client shows no videos any more. */
  readonly onRefused: () => void;
  /** The screen has to be drawn there again. */
  readonly onUncovered: (area: Rect) => void;
}

export class PresentationLife<T extends Presented> {
  readonly #host: PresentationHost;
  readonly #tellEnd: (presented: T) => void;
  #presented: T | undefined;
  #callOffEnd: (() => void) | undefined;
  #isRefused = false;

  /** @param tellEnd tells the client that it is over */
  constructor(host: PresentationHost, tellEnd: (presented: T) => void) {
    this.#host = host;
    this.#tellEnd = tellEnd;
  }

  get presented(): T | undefined {
    return this.#presented;
  }

  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Where the client shows a video over the screen. */
  get covered(): Rect | undefined {
    return this.#presented && this.#presented.samples > 0 ? this.#presented.area : undefined;
  }

  isOnScreen({ x, y, width, height }: Rect): boolean {
    const screen = this.#host.screen();
    return x + width <= screen.width && y + height <= screen.height;
  }

  /** Ends what there was. @param start asks the client to show the next one */
  begin(start: () => T): void {
    this.stop();
    this.#presented = start();
  }

  /** It has not ended after all. */
  goOn(): void {
    this.#callOffEnd?.();
    this.#callOffEnd = undefined;
  }

  /** The video is over. */
  end(): void {
    if (!this.#presented || this.#callOffEnd) return;
    this.#callOffEnd = this.#host.later(LINGER_MS, () => {
      this.#callOffEnd = undefined;
      this.stop();
    });
  }

  stop(): void {
    const presented = this.#presented;
    if (!presented) return;
    const { covered } = this;
    this.#presented = undefined;
    presented.stopWaiting();
    this.#tellEnd(presented);
    if (covered) this.#host.onUncovered(covered);
  }

  /** There will be no more videos for this client. */
  refuse(): void {
    this.goOn();
    this.stop();
    if (this.#isRefused) return;
    this.#isRefused = true;
    this.#host.onRefused();
  }

  /** The client has gone: nobody is told anything. */
  close(): void {
    this.#callOffEnd?.();
    this.#presented?.stopWaiting();
    this.#presented = undefined;
  }
}
