/**
 * Lossless coding of one tile of a screen, at most 64 x 64 pixels in rows from the top.
 *
 * A byte says how: 1 to 16 is the number of colours (R, G, B each) that follow, then, unless it is one, runs: colour in
 * bits 0-3, length less one in bits 4-7, where 15 means that 16 or more follow as a variable-length number (7 bits a
 * byte, low first, bit 7 on all but the last). 0 is the chunks of QOI (The Quite OK Image Format, specification 1.0,
 * qoiformat.org) without header, alpha and end marker, for tiles of more colours.
 */
import { refuse } from './fields.ts';

/** Pixels across and down; tiles at the right and bottom of a screen are smaller. */
export const TILE = 64;
/** Most colours of a tile that is coded in runs. */
const PALETTE = 16;
/** Bytes of the longest coded tile: four a pixel. */
export const MAX_TILE_BYTES: number = 1 + TILE * TILE * 4;

const LONG_RUN = 15;
const QOI_RUN = 62;
const FEW = 16;
const QOI_RGB = 0xfe;
const OPAQUE = 0xff00_0000;

/** Part of a picture whose pixels are words of R, G, B, 255 in memory order. */
export interface TileArea {
  readonly pixels: Uint32Array;
  /** Pixels from a row to the next. */
  readonly stride: number;
  readonly x: number;
  readonly y: number;
  /** 1 to 64. */
  readonly width: number;
  readonly height: number;
}

const colours = new Uint32Array(PALETTE);
const runs = new Uint8Array(MAX_TILE_BYTES);
const seen = new Uint32Array(64);

/**
 * Codes a tile into `out` from `at`.
 * @param out with room for MAX_TILE_BYTES
 * @returns where it ends
 */
export function encodeTile(area: TileArea, out: Uint8Array, at: number): number {
  const count = collectRuns(area);
  if (count < 0) return encodeTrueColour(area, out, at);
  let to = at;
  out[to++] = paletteSize;
  for (let i = 0; i < paletteSize; i++) {
    const colour = colours[i];
    out[to++] = colour & 0xff;
    out[to++] = (colour >> 8) & 0xff;
    out[to++] = (colour >> 16) & 0xff;
  }
  if (paletteSize === 1) return to;
  out.set(runs.subarray(0, count), to);
  return to + count;
}

let paletteSize = 0;

/** Fills `colours` and `runs`. Returns the bytes in `runs`, -1 when there are too many colours. */
function collectRuns({ pixels, stride, x, y, width, height }: TileArea): number {
  paletteSize = 0;
  let to = 0;
  let index = -1;
  let last = 0;
  let run = 0;
  for (let row = 0; row < height; row++) {
    let from = (y + row) * stride + x;
    for (const end = from + width; from < end; from++) {
      const pixel = pixels[from];
      if (pixel === last && index >= 0) {
        run++;
        continue;
      }
      if (index >= 0) to = putRun(index, run, to);
      last = pixel;
      run = 1;
      index = 0;
      while (index < paletteSize && colours[index] !== pixel) index++;
      if (index < paletteSize) continue;
      if (paletteSize === PALETTE) return -1;
      colours[paletteSize++] = pixel;
    }
  }
  return putRun(index, run, to);
}

function putRun(index: number, run: number, at: number): number {
  let to = at;
  if (run <= LONG_RUN) {
    runs[to++] = index | ((run - 1) << 4);
    return to;
  }
  runs[to++] = index | (LONG_RUN << 4);
  let rest = run - LONG_RUN - 1;
  while (rest > 0x7f) {
    runs[to++] = (rest & 0x7f) | 0x80;
    rest >>= 7;
  }
  runs[to++] = rest;
  return to;
}

const hashOf = (red: number, green: number, blue: number): number => (red * 3 + green * 5 + blue * 7 + 255 * 11) & 63;

function encodeTrueColour({ pixels, stride, x, y, width, height }: TileArea, out: Uint8Array, at: number): number {
  let to = at;
  out[to++] = 0;
  seen.fill(0);
  let last = OPAQUE >>> 0;
  let run = 0;
  for (let row = 0; row < height; row++) {
    let from = (y + row) * stride + x;
    for (const end = from + width; from < end; from++) {
      const pixel = pixels[from];
      if (pixel === last) {
        if (++run === QOI_RUN) {
          out[to++] = 0xc0 | (run - 1);
          run = 0;
        }
        continue;
      }
      if (run > 0) out[to++] = 0xc0 | (run - 1);
      run = 0;
      to = putPixel(pixel, last, out, to);
      last = pixel;
    }
  }
  if (run > 0) out[to++] = 0xc0 | (run - 1);
  return to;
}

function putPixel(pixel: number, last: number, out: Uint8Array, at: number): number {
  let to = at;
  const red = pixel & 0xff;
  const green = (pixel >> 8) & 0xff;
  const blue = (pixel >> 16) & 0xff;
  const hash = hashOf(red, green, blue);
  if (seen[hash] === pixel) {
    out[to++] = hash;
    return to;
  }
  seen[hash] = pixel;
  const dr = ((red - (last & 0xff)) << 24) >> 24;
  const dg = ((green - ((last >> 8) & 0xff)) << 24) >> 24;
  const db = ((blue - ((last >> 16) & 0xff)) << 24) >> 24;
  if (-2 <= dr && dr <= 1 && -2 <= dg && dg <= 1 && -2 <= db && db <= 1) {
    out[to++] = 0x40 | ((dr + 2) << 4) | ((dg + 2) << 2) | (db + 2);
  } else if (-32 <= dg && dg <= 31 && -8 <= dr - dg && dr - dg <= 7 && -8 <= db - dg && db - dg <= 7) {
    out[to++] = 0x80 | (dg + 32);
    out[to++] = ((dr - dg + 8) << 4) | (db - dg + 8);
  } else {
    out[to++] = QOI_RGB;
    out[to++] = red;
    out[to++] = green;
    out[to++] = blue;
  }
  return to;
}

/**
 * Draws a coded tile.
 * @returns where in `bytes` it ends
 * @throws CodedError<'bad-stream'> when it does not fill the tile exactly; what was decoded before stays drawn
 */
export function decodeTile(bytes: Uint8Array, at: number, area: TileArea): number {
  const count = bytes[at];
  if (count === undefined) refuse('the tiles end too early');
  if (count === 0) return decodeTrueColour(bytes, at + 1, area);
  if (count > PALETTE) refuse(`a tile of ${count} colours is coded as one of at most ${PALETTE}`);
  const from = at + 1 + count * 3;
  if (from > bytes.length) refuse('the tiles end too early');
  for (let i = 0, to = at + 1; i < count; i++, to += 3) {
    colours[i] = (bytes[to] | (bytes[to + 1] << 8) | (bytes[to + 2] << 16) | OPAQUE) >>> 0;
  }
  if (count > 1) return decodeRuns(bytes, from, area, count);
  for (let row = 0; row < area.height; row++) {
    const start = (area.y + row) * area.stride + area.x;
    area.pixels.fill(colours[0], start, start + area.width);
  }
  return from;
}

function decodeRuns(bytes: Uint8Array, at: number, area: TileArea, count: number): number {
  const { pixels, stride, width } = area;
  let from = at;
  let left = area.height * width;
  let to = area.y * stride + area.x;
  let rowLeft = width;
  while (left > 0) {
    const byte = bytes[from++];
    if (byte === undefined) refuse('the tiles end too early');
    if ((byte & 15) >= count) refuse('a run has no such colour');
    let run = (byte >> 4) + 1;
    if (run > LONG_RUN) {
      let shift = 0;
      let more: number;
      do {
        more = bytes[from++];
        if (more === undefined || shift > 14) refuse('the length of a run does not end');
        run += (more & 0x7f) << shift;
        shift += 7;
      } while (more & 0x80);
    }
    if (run > left) refuse('a run goes on beyond its tile');
    left -= run;
    const colour = colours[byte & 15];
    while (run > 0) {
      const part = Math.min(run, rowLeft);
      // A call costs more than a few stores.
      if (part > FEW) pixels.fill(colour, to, to + part);
      else for (let i = 0; i < part; i++) pixels[to + i] = colour;
      run -= part;
      rowLeft -= part;
      to += part;
      if (rowLeft > 0) continue;
      rowLeft = width;
      to += stride - width;
    }
  }
  return from;
}

function decodeTrueColour(bytes: Uint8Array, at: number, area: TileArea): number {
  const { pixels, stride, width } = area;
  seen.fill(0);
  let from = at;
  let run = 0;
  let red = 0;
  let green = 0;
  let blue = 0;
  let pixel = OPAQUE >>> 0;
  for (let row = 0; row < area.height; row++) {
    const start = (area.y + row) * stride + area.x;
    for (let to = start; to < start + width; to++) {
      if (run > 0) {
        run--;
        pixels[to] = pixel;
        continue;
      }
      const byte = bytes[from++];
      if (byte === undefined) refuse('the tiles end too early');
      if (byte >= 0xc0 && byte < QOI_RGB) run = byte & 0x3f;
      else if (byte < 0x40) {
        // A place nothing has been put into yet is black, as QOI's table starts.
        pixel = (seen[byte] | OPAQUE) >>> 0;
        red = pixel & 0xff;
        green = (pixel >> 8) & 0xff;
        blue = (pixel >> 16) & 0xff;
      } else {
        if (byte === QOI_RGB) {
          if (from + 3 > bytes.length) refuse('the tiles end too early');
          red = bytes[from++];
          green = bytes[from++];
          blue = bytes[from++];
        } else if (byte < 0x80) {
          red = (red + ((byte >> 4) & 3) - 2) & 0xff;
          green = (green + ((byte >> 2) & 3) - 2) & 0xff;
          blue = (blue + (byte & 3) - 2) & 0xff;
        } else if (byte < 0xc0) {
          const more = bytes[from++];
          if (more === undefined) refuse('the tiles end too early');
          const dg = (byte & 0x3f) - 32;
          red = (red + dg - 8 + (more >> 4)) & 0xff;
          green = (green + dg) & 0xff;
          blue = (blue + dg - 8 + (more & 15)) & 0xff;
        } else refuse('a tile has no alpha');
        pixel = (red | (green << 8) | (blue << 16) | OPAQUE) >>> 0;
        seen[hashOf(red, green, blue)] = pixel;
      }
      pixels[to] = pixel;
    }
  }
  if (run > 0) refuse('a run goes on beyond its tile');
  return from;
}
