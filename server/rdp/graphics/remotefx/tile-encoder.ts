/**
 * One tile of the screen as RemoteFX has it: colour conversion, wavelets, quantization, entropy coding.
 * Source: [MS-RDPRFX] 3.1.8.1 (encoding).
 */
import { unreachable } from '#base/errors.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { Rlgr1Encoder } from './rlgr1.ts';
import { TILE_PIXELS, TILE_SIZE, transform } from './wavelet.ts';

/** LL3, LH3, HL3, HH3, LH2, HL2, HH2, LH1, HL1, HH1: the bits that are dropped from each, 6 to 15, and 1. */
export type Quantization = readonly number[];
/** What is hardly seen. */
export const FINE: Quantization = [6, 6, 6, 6, 7, 7, 8, 8, 8, 9];
/** As TS_RFX_CODEC_QUANT has them, two a byte. */
export const quantizationBytes = (values: Quantization): number[] =>
  Array.from({ length: 5 }, (_, i) => values[i * 2] | (values[i * 2 + 1] << 4));
/** Start of each subband in a transformed tile, and which value of a quantization is its own. */
const SUBBANDS = [
  [0, 8],
  [1024, 7],
  [2048, 9],
  [3072, 5],
  [3328, 4],
  [3584, 6],
  [3840, 2],
  [3904, 1],
  [3968, 3],
  [4032, 0],
] as const;
const LL3_AT = 4032;
const LONGEST_CODE = TILE_PIXELS * 6;

export interface EncodedTile {
  readonly y: Uint8Array;
  readonly cb: Uint8Array;
  readonly cr: Uint8Array;
}

export class TileEncoder {
  readonly #y = new Int16Array(TILE_PIXELS);
  readonly #cb = new Int16Array(TILE_PIXELS);
  readonly #cr = new Int16Array(TILE_PIXELS);
  readonly #rlgr = new Rlgr1Encoder(LONGEST_CODE);

  /** @param column, row of the tile; beyond the edges of the screen its last pixels go on */
  encode(screen: Picture, column: number, row: number, values: Quantization = FINE): EncodedTile {
    this.#convert(screen, column * TILE_SIZE, row * TILE_SIZE);
    return { y: this.#code(this.#y, values), cb: this.#code(this.#cb, values), cr: this.#code(this.#cr, values) };
  }

  /** RGB to YCbCr by the irreversible transform, in fixed point with 5 bits behind it. */
  #convert(screen: Picture, left: number, top: number): void {
    const { width, height, pixels } = screen;
    // Signed words stay small integers; unsigned ones do not.
    const words = new Int32Array(pixels.buffer, pixels.byteOffset, pixels.length);
    const [luma, blue, red] = [this.#y, this.#cb, this.#cr];
    const last = Math.min(TILE_SIZE, width - left) - 1;
    let to = 0;
    for (let line = 0; line < TILE_SIZE; line++) {
      const from = Math.min(top + line, height - 1) * width + left;
      for (let i = 0; i < TILE_SIZE; i++, to++) {
        const pixel = words[from + Math.min(i, last)];
        const r = pixel & 255;
        const g = (pixel >>> 8) & 255;
        const b = (pixel >>> 16) & 255;
        // 3.1.8.1.3, the matrix times 2^15.
        luma[to] = ((9798 * r + 19235 * g + 3735 * b) >> 10) - 4096;
        blue[to] = (-5535 * r - 10868 * g + 16403 * b) >> 10;
        red[to] = (16378 * r - 13714 * g - 2664 * b) >> 10;
      }
    }
  }

  #code(plane: Int16Array, values: Quantization): Uint8Array {
    transform(plane);
    for (let i = 0; i < SUBBANDS.length; i++) {
      const [start, index] = SUBBANDS[i];
      const end = i + 1 < SUBBANDS.length ? SUBBANDS[i + 1][0] : TILE_PIXELS;
      quantize(plane, start, end, values[index] - 1);
    }
    for (let at = TILE_PIXELS - 1; at > LL3_AT; at--) plane[at] -= plane[at - 1];
    return this.#rlgr.encode(plane)?.slice() ?? unreachable('a tile takes more than any tile can');
  }
}

function quantize(plane: Int16Array, start: number, end: number, shift: number): void {
  const half = 1 << (shift - 1);
  for (let at = start; at < end; at++) plane[at] = (plane[at] + half) >> shift;
}
