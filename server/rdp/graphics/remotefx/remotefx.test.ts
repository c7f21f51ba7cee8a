import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRlgr1 } from './rlgr-decoder.suite.ts';
import { FINE, quantizationBytes, TileEncoder } from './tile-encoder.ts';
import { TILE_PIXELS, TILE_SIZE, TileModule } from './tile-module.ts';

/** 3.1.8.1.4 undone: a lifting step has an exact opposite, but for the bit that halving the high band drops. */
function inverse(tile: Int16Array): void {
  for (const [at, half] of [
    [3840, 8],
    [3072, 16],
    [0, 32],
  ] as const) {
    const width = half * 2;
    const size = half * half;
    const rows = new Int16Array(width * width);
    const line = (low: number, high: number, into: number): void => {
      for (let n = 0; n < half; n++) {
        const before = tile[high + Math.max(n - 1, 0)];
        rows[into + n * 2] = tile[low + n] - ((before + tile[high + n]) >> 1);
      }
      for (let n = 0; n < half; n++) {
        const next = rows[into + Math.min(n + 1, half - 1) * 2];
        rows[into + n * 2 + 1] = (tile[high + n] << 1) + ((rows[into + n * 2] + next) >> 1);
      }
    };
    for (let y = 0; y < half; y++) {
      line(at + size * 3 + y * half, at + y * half, y * width);
      line(at + size + y * half, at + size * 2 + y * half, (half + y) * width);
    }
    for (let x = 0; x < width; x++) {
      for (let n = 0; n < half; n++) {
        const before = rows[(half + Math.max(n - 1, 0)) * width + x];
        tile[at + n * 2 * width + x] = rows[n * width + x] - ((before + rows[(half + n) * width + x]) >> 1);
      }
      for (let n = 0; n < half; n++) {
        const here = tile[at + n * 2 * width + x];
        const next = tile[at + Math.min(n + 1, half - 1) * 2 * width + x];
        tile[at + (n * 2 + 1) * width + x] = (rows[(half + n) * width + x] << 1) + ((here + next) >> 1);
      }
    }
  }
}

describe('RemoteFX', () => {
  it('RLGR1 gives coefficients back, with runs and without', { timeout: 60_000 }, () => {
    const values = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.integer({ min: 1, max: 600 }).map((n) => new Array<number>(n).fill(0)) },
        fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 60 }),
        fc.array(fc.integer({ min: -4000, max: 4000 }), { maxLength: 8 }),
      ),
      { maxLength: 20 },
    );
    const module = new TileModule();
    fc.assert(
      fc.property(values, (parts) => {
        const coefficients = new Int16Array(TILE_PIXELS);
        coefficients.set(parts.flat().slice(0, TILE_PIXELS));
        module.planes[2].set(coefficients);
        expect(decodeRlgr1(module.encode(2), TILE_PIXELS)).toEqual(coefficients);
      }),
      { numRuns: 200 },
    );
  });

  it('wavelets can be undone', () => {
    const tile = Int16Array.from({ length: TILE_PIXELS }, (_, i) => ((Math.imul(i, 2654435761) >>> 20) & 4095) - 2048);
    const module = new TileModule();
    module.planes[1].set(tile);
    module.transform(1);
    const before = tile.slice();
    tile.set(module.planes[1]);
    inverse(tile);
    let worst = 0;
    tile.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - before[i]));
    });
    // Three levels, a dropped bit each way.
    expect(worst).toBeLessThan(12);
  });

  it('a plain tile is a few bytes, and its colour is what comes out', () => {
    const pixels = new Uint32Array(TILE_PIXELS).fill(0xff40c000);
    const { y, cb, cr } = new TileEncoder().encode({ width: TILE_SIZE, height: TILE_SIZE, pixels }, 0, 0);
    expect(y.length + cb.length + cr.length).toBeLessThan(60);
    expect(quantizationBytes(FINE)).toEqual([0x66, 0x66, 0x77, 0x88, 0x98]);
    const plane = decodeRlgr1(y, TILE_PIXELS);
    for (let i = 4033; i < TILE_PIXELS; i++) plane[i] += plane[i - 1];
    for (let i = 4032; i < TILE_PIXELS; i++) plane[i] <<= 5;
    inverse(plane);
    // R 0, G 192, B 64.
    const luma = 0.587 * 192 + 0.114 * 64;
    for (const value of plane) expect(Math.abs(value / 32 + 128 - luma)).toBeLessThan(1.5);
  });
});
