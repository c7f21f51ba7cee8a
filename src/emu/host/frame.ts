/**
 * The record by which a picture leaves the machine: what the display controller is showing and which pages of video
 * memory changed, laid out in shared memory. Consumers (a page, a Node process) read the pixels from video memory itself.
 *
 * Protocol. One writer, any readers.
 * - The writer stamps changed pages in `pageGeneration` with the coming generation, then commits: the record under a
 *   sequence lock (odd while it is being written), and last the generation.
 * - A reader that drew generation g draws again whatever pages carry a stamp greater than g. A page that changes while it
 *   is being drawn gets a later stamp, so a torn picture lasts one frame.
 * Not modelled: wrap-around of the generation (two years at 60 a second).
 */
import { PAGE_BYTES } from '#base/units.ts';

/** How video memory turns into pixels. */
export const FRAME_KIND = {
  /** Nothing is scanned out; the screen shows `overscan`. */
  blank: 0,
  /** Character cells: a dword each, plane 0 the code, plane 1 the attribute, plane 2 the fonts. */
  text: 1,
  /** Four planes of eight pixels a dword, leftmost in bit 7. */
  planar: 2,
  /** Two bits a pixel from planes 0 and 1 in turn (CGA), bits 2 and 3 from planes 2 and 3. */
  interleaved: 3,
  /** A byte a pixel through `palette`. */
  indexed8: 4,
  rgb555: 5,
  rgb565: 6,
  /** Three bytes a pixel: blue, green, red. */
  rgb888: 7,
  /** Four bytes a pixel: blue, green, red, unused. */
  xrgb8888: 8,
} as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];

/** No line of the screen. */
export const NO_LINE = 0xffff_ffff;

/**
 * Words of a frame record (`Uint32Array`). Addresses are byte offsets in video memory, where plane p of
 * planar address a lies at a * 4 + p. Colours are bytes R, G, B, 255 in memory order.
 */
export const FRAME = {
  /** FRAME_KIND. */
  kind: 0,
  /** Screen size in pixels, after double scan and row repeat are taken out. */
  width: 1,
  height: 2,
  /** Bytes from one row to the next. */
  pitch: 3,
  startAddress: 4,
  /** Display addresses wrap: address & addressMask. One less than a power of two. */
  addressMask: 5,
  /** First screen line of the lower part, which starts at address 0; NO_LINE when there is no split. */
  splitLine: 6,
  /** Pixels by which the picture moves left, in the upper and in the lower part. */
  panning: 7,
  lowerPanning: 8,
  /** Screen lines that share one row address: the height of a text cell. */
  linesPerRow: 9,
  /** First line shown of the first row. */
  presetRow: 10,
  /** Address bits replaced by bits 0 and 1 of the line inside the row; 0 when none. */
  rowBit0: 11,
  rowBit1: 12,
  /** 1 when the picture fills a 4:3 tube whatever its pixel counts; 0 when pixels are square. */
  fourByThree: 13,
  overscan: 14,
  /** Text: 8 or 9. */
  cellWidth: 15,
  /** Addresses of the fonts for cells with attribute bit 3 set (A) and clear (B); a glyph row every 4 bytes, 32 rows a glyph. */
  fontA: 16,
  fontB: 17,
  /** 1 when codes C0h-DFh repeat their eighth column in the ninth. */
  lineGraphics: 18,
  /** Line of the cell that underlined cells fill; beyond the cell in colour modes. */
  underlineLine: 19,
  /** 1 when attribute bit 7 blinks rather than brightens the background. */
  blinkEnabled: 20,
  /** 1 while blinking characters are hidden. */
  blinkHidden: 21,
  /** 1 while the cursor is lit. */
  cursorShown: 22,
  cursorAddress: 23,
  /** First and last line of the cursor in its cell. */
  cursorStart: 24,
  cursorEnd: 25,
  /** Where the monitor stands: pixels right of and below the first one's corner, signed. */
  originX: 26,
  originY: 27,
  /** 1 when the guest uses the monitor. */
  attached: 28,
  /** 16 colours of text and planar pixels. */
  attributePalette: 32,
  /** 256 colours of indexed8 pixels. */
  palette: 48,
} as const;

/** Length of a frame record in words. */
export const FRAME_WORDS = 304;

/** Monitors that one adapter has at most. All show parts of one video memory. */
export const MAX_MONITORS = 4;

/** Sides of the largest pointer, in pixels. */
export const MAX_POINTER_SIDE = 96;

/** The guest's pointer, where its driver leaves drawing it to the host. */
export interface PointerShape {
  readonly visible: boolean;
  /** The pixel that points, from the upper left corner. */
  readonly hotX: number;
  readonly hotY: number;
  /** 1 to MAX_POINTER_SIDE; 0 by 0: the guest has set no shape, and the host's own will do. */
  readonly width: number;
  readonly height: number;
  /** Bytes R, G, B, A in memory order, alpha not multiplied in; rows from top to bottom. */
  readonly pixels: Uint32Array;
}

const SEQUENCE = 0;
const GENERATION = 1;
const RECORD = 2;
/** Behind the records: how many monitors there are, 0 before the first frame. */
const MONITOR_COUNT = RECORD + MAX_MONITORS * FRAME_WORDS;
/** Counts shapes of the pointer; 0: the guest has never set one. */
const POINTER_SERIAL = MONITOR_COUNT + 1;
/** 1: the guest takes positions instead of movements. */
const TAKES_POSITIONS = POINTER_SERIAL + 1;
/** Where the pointer is then: pixels from the first monitor's corner, signed. */
const POINTER_X = TAKES_POSITIONS + 1;
const POINTER_Y = POINTER_X + 1;
const POINTER = { visible: 0, hotX: 1, hotY: 2, width: 3, height: 4, pixels: 5 } as const;
const POINTER_AT = POINTER_Y + 1;
const HEAD_WORDS = POINTER_AT + POINTER.pixels + MAX_POINTER_SIDE * MAX_POINTER_SIDE;
const LONGEST_WAIT_MS = 5000;

/** Bytes of shared memory a frame takes for `vramBytes` of video memory. */
export function sharedFrameBytes(vramBytes: number): number {
  return (HEAD_WORDS + vramBytes / PAGE_BYTES) * 4;
}

/** A frame record for each monitor and the page stamps in shared memory; the same class on both sides. */
export class SharedFrame {
  /** The generation at which each 4 KB page of video memory last changed. Written only between commits. */
  readonly pageGeneration: Uint32Array;
  readonly #head: Int32Array;
  readonly #records: readonly Uint32Array[];

  /**
   * @param byteOffset multiple of 4; `sharedFrameBytes(vramBytes)` bytes from there, zeroed before first use
   */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, vramBytes: number) {
    this.#head = new Int32Array(buffer, byteOffset, HEAD_WORDS);
    this.#records = Array.from(
      { length: MAX_MONITORS },
      (_, monitor) => new Uint32Array(buffer, byteOffset + (RECORD + monitor * FRAME_WORDS) * 4, FRAME_WORDS),
    );
    this.pageGeneration = new Uint32Array(buffer, byteOffset + HEAD_WORDS * 4, Math.floor(vramBytes / PAGE_BYTES));
  }

  /** The last committed generation; 0 before the first. */
  get generation(): number {
    return Atomics.load(this.#head, GENERATION) >>> 0;
  }

  /** Monitors of the adapter, 1 to MAX_MONITORS. */
  get monitorCount(): number {
    return Math.max(1, Atomics.load(this.#head, MONITOR_COUNT));
  }

  set monitorCount(count: number) {
    Atomics.store(this.#head, MONITOR_COUNT, count);
  }

  /** The guest takes positions of the pointer, so that its own is where the person's is. */
  get takesPositions(): boolean {
    return Atomics.load(this.#head, TAKES_POSITIONS) !== 0;
  }

  set takesPositions(takes: boolean) {
    Atomics.store(this.#head, TAKES_POSITIONS, takes ? 1 : 0);
  }

  /** Where the pointer is while the guest takes positions: pixels right of and below the first monitor's corner. */
  get pointerX(): number {
    return Atomics.load(this.#head, POINTER_X);
  }

  get pointerY(): number {
    return Atomics.load(this.#head, POINTER_Y);
  }

  /** Writer: `commit` tells the readers. @returns false when it is there already */
  movePointer(x: number, y: number): boolean {
    if (this.pointerX === x && this.pointerY === y) return false;
    Atomics.store(this.#head, POINTER_X, x);
    Atomics.store(this.#head, POINTER_Y, y);
    return true;
  }

  /** Another number for each shape that the guest sets; 0 before the first. */
  get pointerSerial(): number {
    return Atomics.load(this.#head, POINTER_SERIAL);
  }

  /** Writer: puts another shape in place; `commit` tells the readers. */
  writePointer(shape: PointerShape): void {
    const { visible, hotX, hotY, width, height, pixels } = shape;
    Atomics.add(this.#head, SEQUENCE, 1);
    this.#head.set([visible ? 1 : 0, hotX, hotY, width, height], POINTER_AT);
    this.#head.set(pixels.subarray(0, width * height), POINTER_AT + POINTER.pixels);
    Atomics.add(this.#head, POINTER_SERIAL, 1);
    Atomics.add(this.#head, SEQUENCE, 1);
  }

  /** Reader: a copy of the shape. */
  readPointer(): PointerShape {
    for (;;) {
      const before = Atomics.load(this.#head, SEQUENCE);
      const at = (word: number): number => this.#head[POINTER_AT + word];
      const [width, height] = [at(POINTER.width), at(POINTER.height)];
      const from = POINTER_AT + POINTER.pixels;
      const shape = {
        ...{ visible: at(POINTER.visible) !== 0, hotX: at(POINTER.hotX), hotY: at(POINTER.hotY), width, height },
        pixels: Uint32Array.from(this.#head.subarray(from, from + width * height)),
      };
      if ((before & 1) === 0 && Atomics.load(this.#head, SEQUENCE) === before) return shape;
    }
  }

  /** Reader: copies a monitor's record. `into` has FRAME_WORDS words. Returns the generation it belongs to (or a later one's record). */
  read(into: Uint32Array, monitor = 0): number {
    for (;;) {
      const before = Atomics.load(this.#head, SEQUENCE);
      const generation = this.generation;
      if ((before & 1) === 0) {
        into.set(this.#records[monitor]);
        if (Atomics.load(this.#head, SEQUENCE) === before) return generation;
      }
    }
  }

  /** Writer: puts a monitor's new record in place; `commit` tells the readers. */
  writeRecord(record: Uint32Array, monitor: number): void {
    Atomics.add(this.#head, SEQUENCE, 1);
    this.#records[monitor].set(record);
    Atomics.add(this.#head, SEQUENCE, 1);
  }

  /**
   * Writer: makes the next generation visible.
   * @param record the first monitor's new record, if it has one
   */
  commit(record?: Uint32Array | undefined): void {
    if (record) this.writeRecord(record, 0);
    Atomics.add(this.#head, GENERATION, 1);
    Atomics.notify(this.#head, GENERATION);
  }

  /**
   * Reader that must not block: resolves when the generation differs from `seen`, or after a while without a change.
   * @param otherwise how to wait for a moment where `Atomics.waitAsync` is missing
   */
  async changed(seen: number, otherwise: () => Promise<void>): Promise<void> {
    if (typeof Atomics.waitAsync === 'function') {
      await Atomics.waitAsync(this.#head, GENERATION, seen | 0, LONGEST_WAIT_MS).value;
    } else await otherwise();
  }

  /** Reader off the page's thread: blocks until the generation differs from `seen`; false after `timeoutMs`. */
  waitForChange(seen: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#head, GENERATION, seen | 0, timeoutMs) !== 'timed-out';
  }
}
