/**
 * The monitors that a guest uses in one picture, two in a row, or one of them; with the guest's pointer drawn in, if
 * wanted. One monitor without a pointer is the picture itself, and costs nothing.
 */
import { MAX_MONITORS, type PointerShape, type SharedFrame } from '#emu/host/frame.ts';
import { blend } from './blend.ts';
import { Rasteriser } from './rasteriser.ts';
import type { Rect } from './rects.ts';

/** Where a monitor lies in the picture, in pixels. */
export interface MonitorPlace extends Rect {
  /** 0 to MAX_MONITORS - 1. */
  readonly monitor: number;
}

export interface AllMonitorsOptions {
  /** Just this one. */
  readonly monitor?: number | undefined;
  /** The guest's pointer is part of the picture, where the guest leaves drawing it to the host. */
  readonly drawsPointer?: boolean | undefined;
}

interface Pointer {
  readonly shape: PointerShape;
  /** Where it is drawn, as far as that is in the picture. */
  readonly box: Rect;
  /** Of its upper left corner. */
  readonly x: number;
  readonly y: number;
}

const NOTHING: readonly Rect[] = [];
const COLUMNS = 2;
const BLACK = 0xff00_0000;
/** What a picture may have: as much as the largest monitor. */
const MOST_PIXELS: number = 3840 * 2160;

/** As a `Rasteriser`. */
export class AllMonitors {
  /** May change at any time. */
  drawsPointer: boolean;
  readonly #frame: SharedFrame;
  readonly #vram: Uint8Array;
  readonly #only: number | undefined;
  readonly #monitors = new Map<number, Rasteriser>();
  readonly #first: Rasteriser;
  #places: readonly MonitorPlace[] = [];
  #pixels: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  #bytes: Uint8ClampedArray<ArrayBuffer> = new Uint8ClampedArray(0);
  #width = 0;
  #height = 0;
  #generation = -1;
  #isPlain = true;
  #drewPointer = false;
  #drawn: Pointer | undefined;
  #shape: PointerShape | undefined;
  #shapeSerial = 0;

  /** @param vram video memory as the machine sees it, 4-byte aligned in its buffer */
  constructor(vram: Uint8Array, frame: SharedFrame, { monitor, drawsPointer = false }: AllMonitorsOptions = {}) {
    this.#frame = frame;
    this.#vram = vram;
    this.#only = monitor;
    this.drawsPointer = drawsPointer;
    this.#first = this.#add(monitor ?? 0);
  }

  /** The picture, `width` * `height` words whose bytes are R, G, B, 255. Another array after a change of size. */
  get pixels(): Uint32Array<ArrayBuffer> {
    return this.#isPlain ? this.#first.pixels : this.#pixels;
  }

  get bytes(): Uint8ClampedArray<ArrayBuffer> {
    return this.#isPlain ? this.#first.bytes : this.#bytes;
  }

  get width(): number {
    return this.#isPlain ? this.#first.width : this.#width;
  }

  get height(): number {
    return this.#isPlain ? this.#first.height : this.#height;
  }

  get fourByThree(): boolean {
    return this.#places.length < 2 && this.#first.fourByThree;
  }

  /** The monitors that are in the picture. */
  get places(): readonly MonitorPlace[] {
    const { width, height } = this.#first;
    return this.#places.length > 0 ? this.#places : [{ monitor: this.#only ?? 0, x: 0, y: 0, width, height }];
  }

  /** Brings the picture up to date. Returns what changed; nothing at once when no frame came. */
  render(): readonly Rect[] {
    const { generation, monitorCount } = this.#frame;
    if (generation === this.#generation && this.drawsPointer === this.#drewPointer) return NOTHING;
    this.#generation = generation;
    this.#drewPointer = this.drawsPointer;
    if (this.#only === undefined) {
      for (let n = this.#monitors.size; n < Math.min(monitorCount, MAX_MONITORS); n++) this.#add(n);
    }
    const changes = new Map([...this.#monitors].map(([monitor, rasteriser]) => [monitor, rasteriser.render()]));
    const shape = this.#visibleShape();
    const isOther = this.#arrange(shape === undefined);
    if (this.#isPlain) {
      this.#drawn = undefined;
      return isOther ? this.#everything : (changes.get(this.#only ?? 0) ?? NOTHING);
    }
    const rects: Rect[] = [];
    const before = isOther ? undefined : this.#drawn;
    if (before) this.#restore(before.box);
    for (const place of this.#places) {
      const { monitor, x, y, width, height } = place;
      const changed = isOther ? [{ x: 0, y: 0, width, height }] : (changes.get(monitor) ?? NOTHING);
      for (const rect of changed) {
        this.#copy(place, rect);
        rects.push({ ...rect, x: x + rect.x, y: y + rect.y });
      }
    }
    this.#drawn = shape && this.#place(shape);
    if (this.#drawn) this.#draw(this.#drawn);
    if (isOther) return this.#everything;
    const isSame = before?.shape === shape && before?.x === this.#drawn?.x && before?.y === this.#drawn?.y;
    if (!isSame) rects.push(...[before, this.#drawn].flatMap((one) => (one && one.box.width > 0 ? [one.box] : [])));
    return rects;
  }

  /** Makes the next `render` draw and report everything. */
  invalidate(): void {
    this.#generation = -1;
    this.#places = [];
    for (const monitor of this.#monitors.values()) monitor.invalidate();
  }

  get #everything(): readonly Rect[] {
    return [{ x: 0, y: 0, width: this.width, height: this.height }];
  }

  #add(monitor: number): Rasteriser {
    const rasteriser = new Rasteriser(this.#vram, this.#frame, monitor);
    this.#monitors.set(monitor, rasteriser);
    return rasteriser;
  }

  /** The pointer, if it is to be drawn and anybody knows where. */
  #visibleShape(): PointerShape | undefined {
    const frame = this.#frame;
    const serial = frame.pointerSerial;
    if (serial !== this.#shapeSerial) {
      this.#shapeSerial = serial;
      this.#shape = frame.readPointer();
    }
    const shape = this.#shape;
    return this.drawsPointer && frame.takesPositions && shape?.visible && shape.width > 0 ? shape : undefined;
  }

  /** @returns true when the picture is another one */
  #arrange(withoutPointer: boolean): boolean {
    const places: MonitorPlace[] = [];
    let [x, y, rowHeight, widest, area] = [0, 0, 0, 0, 0];
    for (const [monitor, { width, height, isAttached }] of this.#monitors) {
      const isUsed = isAttached || monitor === 0 || monitor === this.#only;
      if (!isUsed || area + width * height > MOST_PIXELS) continue;
      if (places.length > 0 && places.length % COLUMNS === 0) [x, y, rowHeight] = [0, y + rowHeight, 0];
      places.push({ monitor, x, y, width, height });
      x += width;
      area += width * height;
      rowHeight = Math.max(rowHeight, height);
      widest = Math.max(widest, x);
    }
    const isPlain = places.length < 2 && withoutPointer;
    if (isPlain === this.#isPlain && areSame(places, this.#places)) return false;
    // A monitor that stays the picture itself has told of its new size.
    const isOther = !isPlain || !this.#isPlain || this.#places.length === 0;
    this.#places = places;
    this.#isPlain = isPlain;
    if (isPlain) return isOther;
    this.#width = widest;
    this.#height = y + rowHeight;
    this.#pixels = new Uint32Array(this.#width * this.#height).fill(BLACK);
    this.#bytes = new Uint8ClampedArray(this.#pixels.buffer);
    return true;
  }

  #copy({ monitor, x, y }: MonitorPlace, rect: Rect): void {
    const from = this.#monitors.get(monitor);
    if (!from) return;
    for (let row = rect.y; row < rect.y + rect.height; row++) {
      const at = row * from.width + rect.x;
      this.#pixels.set(from.pixels.subarray(at, at + rect.width), (y + row) * this.#width + x + rect.x);
    }
  }

  /** Puts what the monitors show where the pointer was. */
  #restore(box: Rect): void {
    for (const place of this.#places) {
      const part = common(box, place);
      if (part) this.#copy(place, { ...part, x: part.x - place.x, y: part.y - place.y });
    }
  }

  /** Where a shape is now. */
  #place(shape: PointerShape): Pointer {
    const { pointerX, pointerY } = this.#frame;
    for (const place of this.#places) {
      const { originX = 0, originY = 0 } = this.#monitors.get(place.monitor) ?? {};
      const [x, y] = [pointerX - originX, pointerY - originY];
      if (x < 0 || y < 0 || x >= place.width || y >= place.height) continue;
      const [left, top] = [place.x + x - shape.hotX, place.y + y - shape.hotY];
      const box = common({ x: left, y: top, width: shape.width, height: shape.height }, place) ?? EMPTY;
      return { shape, box, x: left, y: top };
    }
    return { shape, box: EMPTY, x: -1, y: -1 };
  }

  #draw({ shape, box, x: left, y: top }: Pointer): void {
    for (let y = box.y; y < box.y + box.height; y++) {
      for (let x = box.x; x < box.x + box.width; x++) {
        const at = y * this.#width + x;
        this.#pixels[at] = blend(shape.pixels[(y - top) * shape.width + x - left], this.#pixels[at]);
      }
    }
  }
}

const EMPTY: Rect = { x: 0, y: 0, width: 0, height: 0 };

const areSame = (a: readonly MonitorPlace[], b: readonly MonitorPlace[]): boolean =>
  a.length === b.length &&
  a.every(({ monitor, x, y, width, height }, i) => {
    const other = b[i];
    return (
      [monitor, x, y, width, height].join() === [other.monitor, other.x, other.y, other.width, other.height].join()
    );
  });

/** What two rectangles share; undefined: nothing. */
function common(a: Rect, b: Rect): Rect | undefined {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  const width = Math.min(a.x + a.width, b.x + b.width) - x;
  const height = Math.min(a.y + a.height, b.y + b.height) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : undefined;
}
