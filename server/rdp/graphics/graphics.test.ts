import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitmapEncoder } from './bitmap-encoder.ts';
import { encodeInterleaved } from './interleaved-rle.ts';
import { bytesPerPixel, type ColorDepth } from './pixels.ts';
import { encodePlanar } from './planar.ts';

/** [MS-RDPBCGR] 3.1.9, as its pseudo-code has it, for the orders that exist. */
function decodeInterleaved(data: Uint8Array, width: number, height: number, depth: ColorDepth): Uint32Array {
  const size = bytesPerPixel(depth);
  const out = new Uint32Array(width * height);
  const white = depth === 8 ? 0xff : 2 ** (depth === 15 ? 15 : depth) - 1;
  let foreground = white;
  let at = 0;
  let to = 0;
  let isFirstLine = true;
  let insertForeground = false;
  const pixel = (): number => {
    let value = 0;
    for (let b = 0; b < size; b++) value |= data[at++] << (8 * b);
    return value >>> 0;
  };
  while (at < data.length) {
    if (isFirstLine && to >= width) {
      isFirstLine = false;
      insertForeground = false;
    }
    const header = data[at++];
    let order = header;
    let count: number;
    if (header >= 0xf0 && header <= 0xf8) {
      count = data[at] | (data[at + 1] << 8);
      at += 2;
    } else {
      order = header & 0xe0;
      count = header & 0x1f;
      if (count === 0) count = data[at++] + 32;
    }
    const above = (): number => (isFirstLine ? 0 : out[to - width]);
    if (order === 0x00 || order === 0xf0) {
      if (insertForeground) {
        out[to] = (above() ^ foreground) >>> 0;
        to++;
        count--;
      }
      for (; count > 0; count--, to++) out[to] = above();
      insertForeground = true;
      continue;
    }
    insertForeground = false;
    if (order === 0x60 || order === 0xf3) {
      const colour = pixel();
      for (; count > 0; count--) out[to++] = colour;
    } else if (order === 0x80 || order === 0xf4) for (; count > 0; count--) out[to++] = pixel();
    else if (order === 0x20 || order === 0xf1) for (; count > 0; count--, to++) out[to] = (above() ^ foreground) >>> 0;
    else throw new Error(`unknown order ${header}`);
    if (to > out.length) throw new Error('too many pixels');
    foreground = white;
  }
  expect(to).toBe(out.length);
  return out;
}

/** [MS-RDPEGDI] 3.1.9.2. */
function decodePlanar(data: Uint8Array, width: number, height: number): Uint32Array {
  const out = new Uint32Array(width * height);
  expect(data[0] & 0x1f).toBe(0x10);
  let at = 1;
  const shifts = data[0] & 0x20 ? [16, 8, 0] : [24, 16, 8, 0];
  for (const shift of shifts) {
    let previous = new Uint8Array(width);
    for (let y = 0; y < height; y++) {
      const line = new Uint8Array(width);
      let x = 0;
      let value = 0;
      const put = (): void => {
        if (x >= width) throw new Error('a line is too long');
        line[x] = y === 0 ? value : previous[x] + (value & 1 ? -((value >> 1) + 1) : value >> 1);
        x++;
      };
      while (x < width) {
        const control = data[at++];
        let run = control & 15;
        let raw = control >> 4;
        if (run === 1 || run === 2) {
          run = run * 16 + raw;
          raw = 0;
        }
        for (; raw > 0; raw--) {
          value = data[at++];
          put();
        }
        for (; run > 0; run--) put();
      }
      line.forEach((byte, i) => {
        out[y * width + i] = (out[y * width + i] | (byte << shift)) >>> 0;
      });
      previous = line;
    }
  }
  expect(at).toBe(data.length);
  return out;
}

/** Pictures with runs, repeated lines and noise. */
const picture = fc
  .record({
    width: fc.integer({ min: 1, max: 24 }).map((n) => n * 4),
    height: fc.integer({ min: 1, max: 40 }),
    parts: fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 700 }), fc.nat(0xffffff)), {
      minLength: 1,
      maxLength: 30,
    }),
  })
  .map(({ width, height, parts }) => {
    const pixels = new Uint32Array(width * height);
    let at = 0;
    let noise = 1;
    for (let i = 0; at < pixels.length; i = (i + 1) % parts.length) {
      const [kind, count, colour] = parts[i];
      for (let n = 0; n < count && at < pixels.length; n++, at++) {
        noise = (Math.imul(noise, 1103515245) + 12345) >>> 0;
        if (kind === 0) pixels[at] = colour;
        else if (kind === 1) pixels[at] = at >= width ? pixels[at - width] : 0;
        else if (kind === 2) pixels[at] = noise >>> 8;
        else pixels[at] = (colour + n * 0x010101) & 0xffffff;
      }
    }
    return { width, height, pixels };
  });

describe('lossless encoders', () => {
  it.each([8, 15, 16, 24] as const)('interleaved: %i bits come back as they were', (depth) => {
    fc.assert(
      fc.property(picture, ({ width, height, pixels }) => {
        const mask = 2 ** depth - 1;
        const inDepth = pixels.map((pixel) => pixel & mask);
        const data = encodeInterleaved(inDepth, { width, height }, depth, 100_000);
        expect(data).toBeDefined();
        expect(decodeInterleaved(data!, width, height, depth)).toEqual(inDepth);
      }),
      { numRuns: 60 },
    );
  });

  it.each([false, true])('planar: they come back as they were, alpha plane: %s', (withAlpha) => {
    fc.assert(
      fc.property(picture, ({ width, height, pixels }) => {
        const data = encodePlanar(pixels, { width, height }, withAlpha, 100_000);
        const alpha = withAlpha ? 0xff000000 : 0;
        expect(decodePlanar(data!, width, height)).toEqual(pixels.map((pixel) => (pixel | alpha) >>> 0));
      }),
      { numRuns: 60 },
    );
  });

  it('give up when it does not pay', () => {
    const noise = Uint32Array.from({ length: 4096 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 8);
    expect(encodeInterleaved(noise, { width: 64, height: 64 }, 24, 4096)).toBeUndefined();
    expect(encodePlanar(noise, { width: 64, height: 64 }, false, 4096)).toBeUndefined();
  });

  it('make a plain square small', () => {
    const plain = new Uint32Array(4096).fill(0x123456);
    expect(encodeInterleaved(plain, { width: 64, height: 64 }, 24, 4096)!.length).toBeLessThan(16);
    expect(encodePlanar(plain, { width: 64, height: 64 }, false, 4096)!.length).toBeLessThan(64 * 3 * 2 + 20);
  });
});

describe('bitmaps', () => {
  it('cover their rectangle in parts that fit a packet', () => {
    const screen = {
      width: 64,
      height: 64,
      pixels: Uint32Array.from({ length: 4096 }, (_, i) => Math.imul(i, 0x9e3779b1)),
    };
    for (const depth of [8, 15, 16, 24, 32] as const) {
      const bitmaps = new BitmapEncoder(depth, false).encode(screen, { x: 1, y: 0, width: 61, height: 63 });
      let y = 0;
      for (const one of bitmaps) {
        expect([one.x, one.y, one.width, one.bitmapWidth]).toEqual([1, y, 61, 64]);
        expect(one.data.length).toBeLessThanOrEqual(12_000);
        y += one.height;
      }
      expect(y).toBe(63);
    }
  });
});
