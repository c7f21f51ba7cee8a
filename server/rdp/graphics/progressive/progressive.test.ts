import { describe, expect, it } from 'vitest';
import type { Picture } from '#display/raster/thumbnail.ts';
import { decodeRlgr1 } from '../remotefx/rlgr-decoder.suite.ts';
import { TILE_PIXELS, TILE_SIZE } from '../remotefx/tile-module.ts';
import { CoarsePasses } from './coarse-passes.ts';
import { FIRST_PASS, FULL, ProgressiveTileEncoder, type UpgradedPlane } from './progressive-tile.ts';

/** [MS-RDPEGFX] 2.2.4.2.1.5: the subbands' sizes, HL1 first. */
const SIZES = [1023, 1023, 961, 272, 272, 256, 72, 72, 64, 81];

/** A client's tile: quantized coefficients of one plane. */
class Plane {
  readonly values: Int16Array;
  readonly #signs: Int16Array;

  constructor(code: Uint8Array) {
    this.#signs = decodeRlgr1(code, TILE_PIXELS);
    this.values = this.#signs.slice();
    for (let at = TILE_PIXELS - 80; at < TILE_PIXELS; at++) this.values[at] += this.values[at - 1];
    this.#scale((band) => FULL[band] - 1 + FIRST_PASS[band]);
  }

  /** 3.2.8.1.5 the other way. */
  upgrade({ srl, raw }: UpgradedPlane): void {
    const readRaw = bitsOf(raw);
    const readSrl = bitsOf(srl);
    let kp = 8;
    let zeros = 0;
    let isValueNext = false;
    const next = (bits: number): number => {
      if (zeros > 0) {
        zeros--;
        return 0;
      }
      if (!isValueNext) {
        if (readSrl(1) === 0) {
          zeros = (1 << (kp >> 3)) - 1;
          kp = Math.min(80, kp + 4);
          return 0;
        }
        zeros = readSrl(kp >> 3);
        isValueNext = true;
        if (zeros > 0) {
          zeros--;
          return 0;
        }
      }
      isValueNext = false;
      const sign = readSrl(1) ? -1 : 1;
      kp = Math.max(0, kp - 6);
      let magnitude = 1;
      while (magnitude < (1 << bits) - 1 && readSrl(1) === 0) magnitude++;
      return sign * magnitude;
    };
    let at = 0;
    SIZES.slice(0, 9).forEach((size, band) => {
      for (const end = at + size; at < end; at++) {
        const sign = Math.sign(this.#signs[at]);
        const more = sign === 0 ? next(FIRST_PASS[band]) : sign * readRaw(FIRST_PASS[band]);
        this.values[at] += more << (FULL[band] - 1);
      }
    });
    expect([Math.ceil(readRaw.at() / 8), Math.ceil(readSrl.at() / 8)]).toEqual([raw.length, srl.length]);
  }

  #scale(shift: (band: number) => number): void {
    let at = 0;
    SIZES.forEach((size, band) => {
      for (const end = at + size; at < end; at++) this.values[at] <<= shift(band);
    });
  }

  /** Samples with 5 bits behind the point. */
  samples(): Float64Array {
    const plane = Float64Array.from(this.values);
    for (const [at, low, high] of [
      [3807, 9, 8],
      [3007, 17, 16],
      [0, 33, 31],
    ]) {
      const size = Math.min(64, low + high);
      const rows = new Float64Array(size * size);
      const bands = [at, at + low * high, at + 2 * low * high, at + 2 * low * high + high * high];
      for (let y = 0; y < size; y++) {
        const isLow = y < low;
        const row = isLow ? y : y - low;
        const [lows, highs] = isLow
          ? [bands[3] + row * low, bands[0] + row * high]
          : [bands[1] + row * low, bands[2] + row * high];
        const line = joined(plane.subarray(lows, lows + low), plane.subarray(highs, highs + high), size);
        rows.set(line, y * size);
      }
      for (let x = 0; x < size; x++) {
        const column = Float64Array.from({ length: size }, (_, y) => rows[y * size + x]);
        joined(column.subarray(0, low), column.subarray(low), size).forEach((value, y) => {
          plane[at + y * size + x] = value;
        });
      }
    }
    return plane;
  }
}

function bitsOf(bytes: Uint8Array): { (count: number): number; at(): number } {
  let at = 0;
  const read = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++, at++) value = value * 2 + (((bytes[at >> 3] ?? 0) >> (7 - (at & 7))) & 1);
    return value;
  };
  return Object.assign(read, { at: () => at });
}

/** Low and high halves to a line; of 64 samples the last low one lies past the end. */
function joined(low: Float64Array, high: Float64Array, size: number): Float64Array {
  const line = new Float64Array(size + 1);
  const highAt = (i: number): number => high[i] ?? 0;
  for (let i = 0; i < low.length; i++) {
    const before = i === 0 ? highAt(0) : highAt(i - 1);
    const after = i < high.length || size === 64 ? highAt(i) : highAt(i - 1);
    line[i * 2] = i * 2 < 64 ? low[i] - (before + after) / 2 : low[i];
  }
  for (let i = 0; i * 2 + 1 < size; i++) line[i * 2 + 1] = (line[i * 2] + line[i * 2 + 2]) / 2 + 2 * highAt(i);
  return line.subarray(0, size);
}

const picture = (of: (x: number, y: number) => number): Picture => ({
  ...{ width: TILE_SIZE, height: TILE_SIZE },
  pixels: Uint32Array.from({ length: TILE_PIXELS }, (_, i) => {
    const level = Math.round(of(i % TILE_SIZE, Math.floor(i / TILE_SIZE)));
    return (0xff000000 | (level * 0x10101)) >>> 0;
  }),
});

const PICTURES: readonly (readonly [string, (x: number, y: number) => number])[] = [
  ['soft waves', (x, y) => 128 + 14 * Math.sin(x * 2.3 + y * 2.6)],
  ['strong waves', (x, y) => 128 + 100 * Math.sin(x * 1.1 + y * 0.3)],
  ['a slope and an edge', (x, y) => (x > y ? x * 3 : 250 - y * 2)],
  ['noise', (x, y) => (Math.imul(x * 64 + y + 1, 0x9e3779b1) >>> 24) & 255],
];

describe('progressive RemoteFX', () => {
  it.each(PICTURES)('an upgrade brings what the first pass has left out: %s', (_, of) => {
    const screen = picture(of);
    const encoder = new ProgressiveTileEncoder();
    const [luma] = encoder.first(screen, 0, 0).map((code) => new Plane(code));
    const meanError = (): number => {
      const samples = luma.samples();
      let sum = 0;
      screen.pixels.forEach((pixel, i) => {
        sum += Math.abs(samples[i] / 32 + 128 - (pixel & 255));
      });
      return sum / TILE_PIXELS;
    };
    const coarse = meanError();
    luma.upgrade(encoder.upgrade(screen, 0, 0)[0]);
    const fine = meanError();
    expect(fine).toBeLessThan(3);
    expect(fine).toBeLessThan(coarse * 0.7);
  });
});

describe('coarse passes', () => {
  const screen = picture((x, y) => 128 + 14 * Math.sin(x * 2.3 + y * 2.6));
  const rect = { x: 3, y: 4, width: 20, height: 30 };

  it('are upgraded once they have been shown, and only if nothing was drawn over them', () => {
    const passes = new CoarsePasses();
    expect(passes.first(screen, [rect, { x: 40, y: 40, width: 5, height: 5 }], 7)).toHaveLength(1);
    expect([passes.hasAny, passes.touches({ x: 22, y: 33, width: 9, height: 9 })]).toEqual([true, true]);
    expect(passes.take(screen, 6).upgrades).toEqual([]);
    const { upgrades, rects, anew } = passes.take(screen, 7);
    expect([upgrades.length, rects, anew]).toEqual([1, [{ x: 3, y: 4, width: 42, height: 41 }], []]);
    expect(passes.hasAny).toBe(false);
    passes.first(screen, [rect], 8);
    const over = { x: 63, y: 63, width: 1, height: 1 };
    passes.drawnOver(over);
    expect(passes.take(screen, 8)).toEqual({ upgrades: [], rects: [], anew: [rect], over: [over] });
  });
});
