/** The discrete wavelet transform of a tile, three levels of 5/3. Source: [MS-RDPRFX] 3.1.8.1.4; subbands in its order. */

export const TILE_SIZE = 64;
export const TILE_PIXELS: number = TILE_SIZE * TILE_SIZE;

const scratch = new Int16Array(TILE_PIXELS);

/** In place: HL1, LH1, HH1, HL2, LH2, HH2, HL3, LH3, HH3, LL3. @param tile TILE_PIXELS coefficients, row by row */
export function transform(tile: Int16Array): void {
  level(tile, 0, 32);
  level(tile, 3072, 16);
  level(tile, 3840, 8);
}

/** @param half edge of the subbands */
function level(tile: Int16Array, at: number, half: number): void {
  const width = half * 2;
  const high = half * width;
  // Down the columns: low half above, high half below.
  for (let n = 0; n < half; n++) {
    const from = at + n * 2 * width;
    const next = n < half - 1 ? from + 2 * width : from;
    const low = n * width;
    for (let x = 0; x < width; x++) {
      const h = (tile[from + width + x] - ((tile[from + x] + tile[next + x]) >> 1)) >> 1;
      scratch[high + low + x] = h;
      const before = n === 0 ? h : scratch[high + low - width + x];
      scratch[low + x] = tile[from + x] + ((before + h) >> 1);
    }
  }
  // Along the rows, into the four subbands.
  const size = half * half;
  for (let y = 0; y < half; y++) {
    row(tile, y * width, at + size * 3 + y * half, at + y * half, half);
    row(tile, high + y * width, at + size + y * half, at + size * 2 + y * half, half);
  }
}

function row(into: Int16Array, from: number, low: number, high: number, half: number): void {
  let before = 0;
  let even = scratch[from];
  for (let n = 0, x = from; n < half; n++, x += 2) {
    const next = n < half - 1 ? scratch[x + 2] : even;
    const h = (scratch[x + 1] - ((even + next) >> 1)) >> 1;
    if (n === 0) before = h;
    into[high + n] = h;
    into[low + n] = even + ((before + h) >> 1);
    before = h;
    even = next;
  }
}
