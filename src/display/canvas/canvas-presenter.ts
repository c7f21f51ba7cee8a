/** Shows a machine's screen on a page's canvas. Input is captured elsewhere. */
import type { Rect } from '../raster/rects.ts';
import { type Picture, scaleDown, thumbnailSize } from '../raster/thumbnail.ts';
import { type FitOptions, fitScreen } from './fit-screen.ts';

/** A picture that changes: a `Rasteriser`, or one that comes over a wire. */
export interface PictureSource extends Picture {
  readonly pixels: Uint32Array<ArrayBuffer>;
  /** The same pixels as bytes. Another array after a change of size. */
  readonly bytes: Uint8ClampedArray<ArrayBuffer>;
  readonly fourByThree: boolean;
  /** Brings the picture up to date and returns what changed. */
  render(): readonly Rect[];
  /** Makes the next `render` report everything. */
  invalidate(): void;
}

export interface CanvasPresenterParts {
  readonly canvas: HTMLCanvasElement;
  /** The box the canvas is fitted into; its size is observed. */
  readonly container: HTMLElement;
  readonly source: PictureSource;
  readonly options?: Partial<FitOptions>;
  /** The guest's screen has another size, in guest pixels. */
  readonly onScreenSize?: (width: number, height: number) => void;
}

const DEFAULTS: FitOptions = { aspectCorrection: true, integerScaling: false };

/**
 * Draws on animation frames, and only when there is something new, only what changed.
 *
 * @example
 *   const presenter = new CanvasPresenter({ canvas, container, source: new Rasteriser(vram, frame) });
 *   presenter.start();
 *   // ...
 *   presenter.stop();
 */
export class CanvasPresenter {
  readonly #canvas: HTMLCanvasElement;
  readonly #container: HTMLElement;
  readonly #context: CanvasRenderingContext2D | null;
  readonly #source: PictureSource;
  readonly #onScreenSize: ((width: number, height: number) => void) | undefined;
  readonly #resizeObserver: ResizeObserver;
  #options: FitOptions;
  #image: ImageData | undefined;
  #bytes: Uint8ClampedArray | undefined;
  #request: number | undefined;
  #shape = '';

  constructor(parts: CanvasPresenterParts) {
    this.#canvas = parts.canvas;
    this.#container = parts.container;
    this.#onScreenSize = parts.onScreenSize;
    this.#options = { ...DEFAULTS, ...parts.options };
    // Opaque: the compositor need not blend. Null when the page has taken another context; then nothing is drawn.
    this.#context = parts.canvas.getContext('2d', { alpha: false });
    this.#source = parts.source;
    this.#resizeObserver = new ResizeObserver(() => this.#fit());
  }

  /** Starts drawing. The browser stops animation frames by itself while the page is hidden. */
  start(): void {
    if (this.#request !== undefined) return;
    this.#resizeObserver.observe(this.#container);
    this.#source.invalidate();
    const tick = (): void => {
      this.#request = requestAnimationFrame(tick);
      this.draw();
    };
    this.#request = requestAnimationFrame(tick);
  }

  stop(): void {
    if (this.#request !== undefined) cancelAnimationFrame(this.#request);
    this.#request = undefined;
    this.#resizeObserver.disconnect();
  }

  /** Draws what changed, now. Returns false when there was nothing to draw. */
  draw(): boolean {
    const rects = this.#source.render();
    if (rects.length === 0) return false;
    const image = this.#currentImage();
    for (const { x, y, width, height } of rects) this.#context?.putImageData(image, 0, 0, x, y, width, height);
    return true;
  }

  get options(): FitOptions {
    return this.#options;
  }

  set options(options: Partial<FitOptions>) {
    this.#options = { ...this.#options, ...options };
    this.#fit();
  }

  /** Guest pixels. */
  get screenSize(): { readonly width: number; readonly height: number } {
    return { width: this.#source.width, height: this.#source.height };
  }

  /** Guest pixel under a point of the page, for absolute pointing devices; undefined outside the screen. */
  guestPoint(clientX: number, clientY: number): { x: number; y: number } | undefined {
    const box = this.#canvas.getBoundingClientRect();
    const x = Math.floor(((clientX - box.left) / box.width) * this.#source.width);
    const y = Math.floor(((clientY - box.top) / box.height) * this.#source.height);
    const inside = x >= 0 && y >= 0 && x < this.#source.width && y < this.#source.height;
    return inside ? { x, y } : undefined;
  }

  /** The whole screen as it is now, in guest pixels; valid until the next `draw`. */
  picture(): Picture {
    this.draw();
    return this.#source;
  }

  /** The screen as it is now, at most `widest` pixels wide, with its aspect corrected. */
  toThumbnail(widest = 240): Picture {
    const picture = this.picture();
    const { width, height } = thumbnailSize(this.#source, widest);
    return scaleDown(picture, width, height);
  }

  /** The image over the source's pixels; a change of size or shape is followed up first. */
  #currentImage(): ImageData {
    const { width, height, bytes, fourByThree } = this.#source;
    if (!this.#image || this.#bytes !== bytes) {
      this.#bytes = bytes;
      this.#image = new ImageData(bytes, width, height);
      // Assigning a size clears a canvas, so only when it differs.
      if (this.#canvas.width !== width || this.#canvas.height !== height) {
        this.#canvas.width = width;
        this.#canvas.height = height;
        this.#onScreenSize?.(width, height);
      }
    }
    const shape = `${width}x${height} ${fourByThree}`;
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#fit();
    }
    return this.#image;
  }

  #fit(): void {
    const { clientWidth, clientHeight } = this.#container;
    if (clientWidth === 0 || clientHeight === 0) return;
    const fitted = fitScreen(this.#source, clientWidth, clientHeight, globalThis.devicePixelRatio, this.#options);
    const { style } = this.#canvas;
    style.width = `${fitted.width}px`;
    style.height = `${fitted.height}px`;
    style.imageRendering = fitted.crisp ? 'pixelated' : 'auto';
  }
}
