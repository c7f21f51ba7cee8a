/** Screenshots as PNG. Source: PNG specification (third edition), through fast-png. */
import { encode } from 'fast-png';
import type { Picture } from './raster/thumbnail.ts';

/** Encodes a picture as 8-bit RGB; the alpha bytes, which are always 255 on a screen, are left out. */
export function toPng(picture: Picture): Uint8Array {
  const { width, height, pixels } = picture;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, to = 0; i < width * height; i++, to += 3) {
    const p = pixels[i];
    data[to] = p & 0xff;
    data[to + 1] = (p >>> 8) & 0xff;
    data[to + 2] = (p >>> 16) & 0xff;
  }
  return encode({ width, height, data, channels: 3, depth: 8 });
}
