/**
 * One tile of the screen as RemoteFX has it: colour conversion, wavelets, quantization, entropy coding.
 * Source: [MS-RDPRFX] 3.1.8.1 (encoding).
 */
import type { Picture } from '#display/raster/thumbnail.ts';
import { TILE_PIXELS, TILE_SIZE, TileModule } from './tile-module.ts';

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

export interface EncodedTile {
  readonly y: Uint8Array;
  readonly cb: Uint8Array;
  readonly cr: Uint8Array;
}

export class TileEncoder {
  readonly #module = new TileModule();

  /**
   * @param column, row of the tile; beyond the edges of the screen its last pixels go on
   * @param chroma of Cb and Cr
   */
  encode(
    screen: Picture,
    column: number,
    row: number,
    values: Quantization = FINE,
    chroma: Quantization = values,
  ): EncodedTile {
    takeTile(this.#module.pixels, screen, column, row);
    this.#module.convert();
    return { y: this.#code(0, values), cb: this.#code(1, chroma), cr: this.#code(2, chroma) };
  }

  #code(plane: number, values: Quantization): Uint8Array {
    const module = this.#module;
    module.transform(plane);
    for (let i = 0; i < SUBBANDS.length; i++) {
      const [start, index] = SUBBANDS[i];
      const end = i + 1 < SUBBANDS.length ? SUBBANDS[i + 1][0] : TILE_PIXELS;
      module.quantize(plane, start, end, values[index] - 1);
    }
    const coefficients = module.planes[plane];
    for (let at = TILE_PIXELS - 1; at > LL3_AT; at--) coefficients[at] -= coefficients[at - 1];
    return module.encode(plane);
  }
}

/** Copies a tile of the screen; beyond the edges its last pixels go on. @param into TILE_PIXELS words */
export function takeTile(into: Uint32Array, { width, height, pixels }: Picture, column: number, row: number): void {
  const [left, top] = [column * TILE_SIZE, row * TILE_SIZE];
  const columns = Math.min(TILE_SIZE, width - left);
  for (let line = 0; line < TILE_SIZE; line++) {
    const from = Math.min(top + line, height - 1) * width + left;
    const to = line * TILE_SIZE;
    // A loop costs half of what a view of each row would.
    for (let i = 0; i < columns; i++) into[to + i] = pixels[from + i];
    if (columns < TILE_SIZE) into.fill(pixels[from + columns - 1], to + columns, to + TILE_SIZE);
  }
}
