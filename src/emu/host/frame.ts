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
  /** 16 colours of text and planar pixels. */
  attributePalette: 32,
  /** 256 colours of indexed8 pixels. */
  palette: 48,
} as const;

/** Length of a frame record in words. */
export const FRAME_WORDS = 304;

const SEQUENCE = 0;
const GENERATION = 1;
const RECORD = 2;
const LONGEST_WAIT_MS = 5000;

/** Bytes of shared memory a frame takes for `vramBytes` of video memory. */
export function sharedFrameBytes(vramBytes: number): number {
  return (RECORD + FRAME_WORDS + vramBytes / PAGE_BYTES) * 4;
}

/** A frame record and the page stamps in shared memory; the same class on both sides. */
export class SharedFrame {
  /** The generation at which each 4 KB page of video memory last changed. Written only between commits. */
  readonly pageGeneration: Uint32Array;
  readonly #head: Int32Array;
  readonly #record: Uint32Array;

  /**
   * @param byteOffset multiple of 4; `sharedFrameBytes(vramBytes)` bytes from there, zeroed before first use
   */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, vramBytes: number) {
    this.#head = new Int32Array(buffer, byteOffset, RECORD);
    this.#record = new Uint32Array(buffer, byteOffset + RECORD * 4, FRAME_WORDS);
    this.pageGeneration = new Uint32Array(
      buffer,
      byteOffset + (RECORD + FRAME_WORDS) * 4,
      Math.floor(vramBytes / PAGE_BYTES),
    );
  }

  /** The last committed generation; 0 before the first. */
  get generation(): number {
    return Atomics.load(this.#head, GENERATION) >>> 0;
  }

  /** Reader: copies the record. `into` has FRAME_WORDS words. Returns the generation it belongs to (or a later one's record). */
  read(into: Uint32Array): number {
    for (;;) {
      const before = Atomics.load(this.#head, SEQUENCE);
      const generation = this.generation;
      if ((before & 1) === 0) {
        into.set(this.#record);
        if (Atomics.load(this.#head, SEQUENCE) === before) return generation;
      }
    }
  }

  /**
   * Writer: makes the next generation visible.
   * @param record the new record, or undefined when only pages changed
   */
  commit(record: Uint32Array | undefined): void {
    if (record) {
      Atomics.add(this.#head, SEQUENCE, 1);
      this.#record.set(record);
      Atomics.add(this.#head, SEQUENCE, 1);
    }
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
