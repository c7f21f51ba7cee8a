/** From a shared frame and video memory to RGBA pixels; keeps what is drawn and tells which rectangles changed. */
import { FRAME, FRAME_KIND, FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';
import { GraphicsPainter, type Surface } from './graphics-painter.ts';
import { type Rect, RectList } from './rects.ts';
import { PIXEL_FORMATS, type PixelFormat, rowSource } from './row-painters.ts';
import { TextPainter } from './text-painter.ts';

const NOTHING: readonly Rect[] = [];
/** Shown before the guest has set a mode: the size of a text screen. */
const UNSET_WIDTH = 720;
const UNSET_HEIGHT = 400;
const SMALLEST_MODE = 64;

/** Words whose change asks for a whole new picture in every mode. */
const GEOMETRY: readonly number[] = [
  FRAME.kind,
  FRAME.width,
  FRAME.height,
  FRAME.splitLine,
  FRAME.panning,
  FRAME.lowerPanning,
  FRAME.linesPerRow,
  FRAME.presetRow,
];
const GRAPHICS_GEOMETRY: readonly number[] = [
  FRAME.pitch,
  FRAME.startAddress,
  FRAME.addressMask,
  FRAME.rowBit0,
  FRAME.rowBit1,
];
const TEXT_STYLE: readonly number[] = [FRAME.cellWidth, FRAME.lineGraphics, FRAME.underlineLine, FRAME.blinkEnabled];

/**
 * Draws frames. Any number may read the same frame, each at its own pace.
 *
 * @example
 *   const rects = rasteriser.render();
 *   for (const rect of rects) send(rasteriser.pixels, rasteriser.width, rect);
 */
export class Rasteriser {
  /** The picture, `width` * `height` words whose bytes are R, G, B, 255. Another array after a change of size. */
  pixels: Uint32Array<ArrayBuffer> = new Uint32Array(UNSET_WIDTH * UNSET_HEIGHT);
  /** The same picture as bytes, for ImageData and encoders. */
  bytes: Uint8ClampedArray<ArrayBuffer> = new Uint8ClampedArray(this.pixels.buffer);
  /** Picture size in pixels. */
  width: number = UNSET_WIDTH;
  height: number = UNSET_HEIGHT;

  readonly #frame: SharedFrame;
  readonly #monitor: number;
  readonly #text: TextPainter;
  readonly #graphics: GraphicsPainter;
  readonly #record: Uint32Array = new Uint32Array(FRAME_WORDS);
  readonly #drawn: Uint32Array = new Uint32Array(FRAME_WORDS);
  #surface: Surface = { pixels: new Int32Array(this.pixels.buffer), width: this.width, height: this.height };
  /** Generation that `pixels` shows; -1 before the first picture. */
  #generation = -1;

  /**
   * @param vram video memory as the machine sees it, 4-byte aligned in its buffer
   * @param monitor 0 to MAX_MONITORS - 1
   */
  constructor(vram: Uint8Array, frame: SharedFrame, monitor = 0) {
    this.#frame = frame;
    this.#monitor = monitor;
    const source = rowSource(vram.buffer, vram.byteOffset, vram.length);
    this.#text = new TextPainter(source, frame.pageGeneration);
    this.#graphics = new GraphicsPainter(source, frame.pageGeneration);
  }

  /** True when the picture is to fill a 4:3 screen; false when its pixels are square. */
  get fourByThree(): boolean {
    return this.#drawn[FRAME.fourByThree] !== 0;
  }

  /** The guest uses the monitor. */
  get isAttached(): boolean {
    return this.#drawn[FRAME.attached] !== 0;
  }

  /** Where the guest has put the monitor: pixels right of and below the first one's corner. */
  get originX(): number {
    return this.#drawn[FRAME.originX] | 0;
  }

  get originY(): number {
    return this.#drawn[FRAME.originY] | 0;
  }

  /** Brings the picture up to date. Returns what changed, from top to bottom; nothing at once when no frame came. */
  render(): readonly Rect[] {
    if (this.#frame.generation === this.#generation) return NOTHING;
    const record = this.#record;
    const generation = this.#frame.read(record, this.#monitor);
    const since = this.#looksDifferent() ? -1 : this.#generation;
    this.#drawn.set(record);
    const resized = this.#resize(record);
    const changed = new RectList();
    const format = PIXEL_FORMATS[record[FRAME.kind]];
    if (record[FRAME.kind] === FRAME_KIND.text) this.#text.paint(record, this.#surface, since, changed);
    else if (format) this.#graphics.paint(record, format, this.#surface, since, changed);
    else if (since < 0 || resized) {
      this.pixels.fill(record[FRAME.overscan]);
      changed.add(0, this.width, 0, this.height);
    }
    this.#generation = generation;
    return changed.take();
  }

  /** Makes the next `render` draw and report everything. */
  invalidate(): void {
    this.#generation = -1;
  }

  #looksDifferent(): boolean {
    if (this.#generation < 0 || this.#anyDiffers(GEOMETRY)) return true;
    const kind = this.#record[FRAME.kind];
    if (kind === FRAME_KIND.blank) return this.#record[FRAME.overscan] !== this.#drawn[FRAME.overscan];
    if (kind === FRAME_KIND.text) return this.#anyDiffers(TEXT_STYLE) || this.#rangeDiffers(FRAME.attributePalette, 16);
    return this.#anyDiffers(GRAPHICS_GEOMETRY) || this.#paletteDiffers(PIXEL_FORMATS[kind]);
  }

  #paletteDiffers(format: PixelFormat | undefined): boolean {
    if (format?.palette === 'attribute') return this.#rangeDiffers(FRAME.attributePalette, 16);
    return format?.palette === 'dac' && this.#rangeDiffers(FRAME.palette, 256);
  }

  #anyDiffers(words: readonly number[]): boolean {
    return words.some((word) => this.#record[word] !== this.#drawn[word]);
  }

  #rangeDiffers(first: number, count: number): boolean {
    for (let i = first; i < first + count; i++) if (this.#record[i] !== this.#drawn[i]) return true;
    return false;
  }

  #resize(record: Uint32Array): boolean {
    const unset = record[FRAME.width] < SMALLEST_MODE || record[FRAME.height] < SMALLEST_MODE;
    // Half-programmed modes come and go while a guest sets registers; they are not worth a window size.
    const blank = unset && record[FRAME.kind] === FRAME_KIND.blank;
    const width = blank ? UNSET_WIDTH : record[FRAME.width];
    const height = blank ? UNSET_HEIGHT : record[FRAME.height];
    if (width === this.width && height === this.height) return false;
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height);
    this.bytes = new Uint8ClampedArray(this.pixels.buffer);
    this.#surface = { pixels: new Int32Array(this.pixels.buffer), width, height };
    return true;
  }
}
