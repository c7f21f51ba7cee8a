/**
 * One line of video memory to one line of RGBA pixels, a loop for each pixel format.
 *
 * Pixels are 32-bit words whose bytes in memory are R, G, B, 255; a little-endian host is taken for granted, as typed
 * arrays over guest memory do everywhere.
 */
import { FRAME_KIND } from '#emu/host/frame.ts';

/** Views of the same bytes; int32 because uint32 loads beyond 2^31 leave the integer registers. */
export interface RowSource {
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Int32Array;
}

/**
 * @param at byte offset of the first pixel, aligned to the pixel (to a dword when planar)
 * @param to index of the first pixel in `pixels`
 * @param skip planar: pixels of the first dword to leave out, 0..7
 * @param palette colours by pixel value
 */
export type RowPainter = (
  from: RowSource,
  at: number,
  pixels: Int32Array,
  to: number,
  count: number,
  palette: Int32Array,
  skip: number,
) => void;

const OPAQUE = 0xff00_0000 | 0;

export function rowSource(buffer: ArrayBufferLike, byteOffset: number, byteCount: number): RowSource {
  return {
    bytes: new Uint8Array(buffer, byteOffset, byteCount),
    halves: new Uint16Array(buffer, byteOffset, byteCount >> 1),
    words: new Int32Array(buffer, byteOffset, byteCount >> 2),
  };
}

/** Swaps red and blue: of the word turned by half, bytes 0 and 2 are in their places. */
const rgba = (p: number): number => OPAQUE | (((p << 16) | (p >>> 16)) & 0x00ff_00ff) | (p & 0xff00);

// Loops that take four pixels a turn: 2.0 -> 1.3 ns a pixel (1920x1200x32, Node 20).
const xrgb8888: RowPainter = (from, at, pixels, to, count) => {
  const { words } = from;
  const end = (at >> 2) + count;
  let word = at >> 2;
  let out = to;
  for (; word + 4 <= end; word += 4, out += 4) {
    const a = words[word];
    const b = words[word + 1];
    const c = words[word + 2];
    const d = words[word + 3];
    pixels[out] = rgba(a);
    pixels[out + 1] = rgba(b);
    pixels[out + 2] = rgba(c);
    pixels[out + 3] = rgba(d);
  }
  for (; word < end; word++, out++) pixels[out] = rgba(words[word]);
};

const rgb888: RowPainter = (from, at, pixels, to, count) => {
  const { bytes } = from;
  for (let i = 0, b = at; i < count; i++, b += 3) {
    pixels[to + i] = OPAQUE | (bytes[b] << 16) | (bytes[b + 1] << 8) | bytes[b + 2];
  }
};

/** 65536 colours; built when the first guest uses the format. */
let table555: Int32Array | undefined;
let table565: Int32Array | undefined;

function highColourTable(greenBits: 5 | 6): Int32Array {
  const table = new Int32Array(0x1_0000);
  for (let p = 0; p < table.length; p++) {
    const b = p & 31;
    const g = (p >> 5) & ((1 << greenBits) - 1);
    const r = (p >> (5 + greenBits)) & 31;
    const g8 = greenBits === 6 ? (g << 2) | (g >> 4) : (g << 3) | (g >> 2);
    table[p] = OPAQUE | (((b << 3) | (b >> 2)) << 16) | (g8 << 8) | (r << 3) | (r >> 2);
  }
  return table;
}

function highColour(
  from: RowSource,
  at: number,
  pixels: Int32Array,
  to: number,
  count: number,
  table: Int32Array,
): void {
  const { halves } = from;
  const end = (at >> 1) + count;
  let i = at >> 1;
  let out = to;
  for (; i + 4 <= end; i += 4, out += 4) {
    const a = halves[i];
    const b = halves[i + 1];
    const c = halves[i + 2];
    const d = halves[i + 3];
    pixels[out] = table[a];
    pixels[out + 1] = table[b];
    pixels[out + 2] = table[c];
    pixels[out + 3] = table[d];
  }
  for (; i < end; i++, out++) pixels[out] = table[halves[i]];
}

const rgb555: RowPainter = (from, at, pixels, to, count) => {
  table555 ??= highColourTable(5);
  highColour(from, at, pixels, to, count, table555);
};

const rgb565: RowPainter = (from, at, pixels, to, count) => {
  table565 ??= highColourTable(6);
  highColour(from, at, pixels, to, count, table565);
};

const indexed8: RowPainter = (from, at, pixels, to, count, palette) => {
  const { bytes } = from;
  const end = at + count;
  let i = at;
  let out = to;
  for (; i + 4 <= end; i += 4, out += 4) {
    const a = bytes[i];
    const b = bytes[i + 1];
    const c = bytes[i + 2];
    const d = bytes[i + 3];
    pixels[out] = palette[a];
    pixels[out + 1] = palette[b];
    pixels[out + 2] = palette[c];
    pixels[out + 3] = palette[d];
  }
  for (; i < end; i++, out++) pixels[out] = palette[bytes[i]];
};

/** Bit 7 - k of a byte in the lowest bit of nibble 7 - k. */
const SPREAD_1: Int32Array = new Int32Array(256);
/** The two bits of pixel k (from the left) of a byte in the low bits of nibble 3 - k. */
const SPREAD_2: Int32Array = new Int32Array(256);
for (let b = 0; b < 256; b++) {
  for (let k = 0; k < 8; k++) SPREAD_1[b] |= ((b >> k) & 1) << (k * 4);
  for (let k = 0; k < 4; k++) SPREAD_2[b] |= ((b >> (k * 2)) & 3) << (k * 4);
}

const planar: RowPainter = (from, at, pixels, to, count, palette, skip) => {
  const { words } = from;
  let word = at >> 2;
  let out = to - skip;
  const end = to + count;
  for (; out < end; out += 8, word++) {
    const v = words[word];
    const nibbles =
      SPREAD_1[v & 0xff] |
      (SPREAD_1[(v >>> 8) & 0xff] << 1) |
      (SPREAD_1[(v >>> 16) & 0xff] << 2) |
      (SPREAD_1[v >>> 24] << 3);
    putEight(nibbles, pixels, out, to, end, palette);
  }
};

const interleaved: RowPainter = (from, at, pixels, to, count, palette, skip) => {
  const { words } = from;
  let word = at >> 2;
  let out = to - skip;
  const end = to + count;
  for (; out < end; out += 8, word++) {
    const v = words[word];
    const even = SPREAD_2[v & 0xff] | (SPREAD_2[(v >>> 16) & 0xff] << 2);
    const odd = SPREAD_2[(v >>> 8) & 0xff] | (SPREAD_2[v >>> 24] << 2);
    putEight((even << 16) | odd, pixels, out, to, end, palette);
  }
};

/** Stores eight pixels, leftmost in the highest nibble, as far as they lie in [first, end). */
function putEight(
  nibbles: number,
  pixels: Int32Array,
  out: number,
  first: number,
  end: number,
  palette: Int32Array,
): void {
  if (out >= first && out + 8 <= end) {
    pixels[out] = palette[nibbles >>> 28];
    pixels[out + 1] = palette[(nibbles >>> 24) & 15];
    pixels[out + 2] = palette[(nibbles >>> 20) & 15];
    pixels[out + 3] = palette[(nibbles >>> 16) & 15];
    pixels[out + 4] = palette[(nibbles >>> 12) & 15];
    pixels[out + 5] = palette[(nibbles >>> 8) & 15];
    pixels[out + 6] = palette[(nibbles >>> 4) & 15];
    pixels[out + 7] = palette[nibbles & 15];
    return;
  }
  for (let k = 0; k < 8; k++) {
    if (first <= out + k && out + k < end) pixels[out + k] = palette[(nibbles >>> (28 - k * 4)) & 15];
  }
}

export interface PixelFormat {
  readonly paint: RowPainter;
  /** Bytes a pixel; 0 when pixels share dwords of eight. */
  readonly pixelBytes: number;
  /** Which colours of the frame record it looks up. */
  readonly palette: 'none' | 'attribute' | 'dac';
}

/** Formats by FRAME_KIND; text and blank have none. */
export const PIXEL_FORMATS: Readonly<Record<number, PixelFormat | undefined>> = {
  [FRAME_KIND.planar]: { paint: planar, pixelBytes: 0, palette: 'attribute' },
  [FRAME_KIND.interleaved]: { paint: interleaved, pixelBytes: 0, palette: 'attribute' },
  [FRAME_KIND.indexed8]: { paint: indexed8, pixelBytes: 1, palette: 'dac' },
  [FRAME_KIND.rgb555]: { paint: rgb555, pixelBytes: 2, palette: 'none' },
  [FRAME_KIND.rgb565]: { paint: rgb565, pixelBytes: 2, palette: 'none' },
  [FRAME_KIND.rgb888]: { paint: rgb888, pixelBytes: 3, palette: 'none' },
  [FRAME_KIND.xrgb8888]: { paint: xrgb8888, pixelBytes: 4, palette: 'none' },
};
