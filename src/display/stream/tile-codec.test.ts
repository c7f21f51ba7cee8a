import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { decodeTile, encodeTile, MAX_TILE_BYTES, TILE, type TileArea } from './tile-codec.ts';

const OPAQUE = 0xff00_0000;

/** A tile inside a larger picture, so that drawing beside it shows. */
function tileOf(width: number, height: number, colour: (i: number) => number): TileArea {
  const stride = width + 5;
  const pixels = new Uint32Array(stride * (height + 4)).fill(0x1234_5678);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      pixels[(y + 2) * stride + x + 3] = (colour(y * width + x) | OPAQUE) >>> 0;
    }
  }
  return { pixels, stride, x: 3, y: 2, width, height };
}

function roundTrip(area: TileArea): { readonly length: number; readonly pixels: Uint32Array } {
  const out = new Uint8Array(MAX_TILE_BYTES + 7).fill(0xee);
  const end = encodeTile(area, out, 4);
  expect(out.subarray(end).every((byte) => byte === 0xee)).toBe(true);
  const drawn = { ...area, pixels: new Uint32Array(area.pixels.length).fill(0x1234_5678) };
  expect(decodeTile(out, 4, drawn)).toBe(end);
  return { length: end - 4, pixels: drawn.pixels };
}

const isSame = (a: Uint32Array, b: Uint32Array): boolean =>
  Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)) === 0;

const random = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state >> 7;
  };
};

describe('a tile', () => {
  it('comes back exactly, whatever its size and colours', () => {
    const sizes = fc.record({ width: fc.integer({ min: 1, max: TILE }), height: fc.integer({ min: 1, max: TILE }) });
    const looks = fc.record({
      colours: fc.array(fc.integer({ min: 0, max: 0xff_ffff }), { minLength: 1, maxLength: 40 }),
      longest: fc.integer({ min: 1, max: 400 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(sizes, looks, ({ width, height }, { colours, longest, seed }) => {
        const next = random(seed);
        let left = 0;
        let colour = 0;
        const area = tileOf(width, height, () => {
          if (left-- <= 0) {
            left = next() % longest;
            colour = colours[next() % colours.length];
          }
          return colour;
        });
        expect(isSame(roundTrip(area).pixels, area.pixels)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('of noise and of gradients comes back exactly', () => {
    const next = random(7);
    const looks: ((i: number) => number)[] = [
      () => next() & 0xff_ffff,
      (i) => (i & 63) | ((i >> 6) << 8) | ((i & 255) << 16),
      (i) => ((i * 3) & 0xff) | (((i * 7) & 0xff) << 8),
      (i) => (i < 2000 ? 0 : next() & 0x0f_0f0f),
    ];
    for (const colour of looks) {
      const area = tileOf(TILE, TILE, colour);
      expect(isSame(roundTrip(area).pixels, area.pixels)).toBe(true);
    }
  });

  it('of one colour takes four bytes, of text a few hundred', () => {
    expect(roundTrip(tileOf(TILE, TILE, () => 0x12_3456)).length).toBe(4);
    // Strokes a few pixels wide with gaps, as glyphs have.
    expect(roundTrip(tileOf(TILE, TILE, (i) => (i % 9 < 2 ? 0xaa_aaaa : 0))).length).toBeLessThan(1000);
  });

  it('of three colours is coded as the format says', () => {
    const area = tileOf(20, 2, (i) => (i < 18 ? 0x00_00ff : i < 20 ? 0x00_ff00 : 0xff_0000));
    const out = new Uint8Array(MAX_TILE_BYTES);
    const end = encodeTile(area, out, 0);
    expect([...out.subarray(0, end)]).toEqual([3, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0xf0, 2, 0x11, 0xf2, 4]);
  });

  it('of QOI chunks decodes as the specification says', () => {
    // RGB, INDEX of it after DIFF and LUMA, RUN: expected values worked out from the specification's formulas.
    const [r, g, b] = [100, 150, 200];
    const hash = (r * 3 + g * 5 + b * 7 + 255 * 11) % 64;
    const chunks = [
      0,
      0xfe,
      r,
      g,
      b,
      0x40 | (3 << 4) | (0 << 2) | 2,
      0x80 | (32 + 10),
      ((8 + 3) << 4) | (8 - 2),
      hash,
      0xc1,
    ];
    const area = tileOf(6, 1, () => 0);
    decodeTile(Uint8Array.from(chunks), 0, area);
    const drawn = [...area.pixels.subarray(2 * area.stride + 3, 2 * area.stride + 9)].map((pixel) => [
      ...[pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255],
    ]);
    expect(drawn).toEqual([
      [100, 150, 200],
      [101, 148, 200],
      [114, 158, 208],
      [100, 150, 200],
      [100, 150, 200],
      [100, 150, 200],
    ]);
  });
});

describe('hostile tiles', () => {
  it('are refused, and nothing outside the tile is drawn', () => {
    const noise = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(
        noise,
        fc.integer({ min: 1, max: TILE }),
        fc.integer({ min: 1, max: TILE }),
        (bytes, width, height) => {
          const area = tileOf(width, height, () => 0);
          try {
            expect(decodeTile(bytes, 0, area)).toBeLessThanOrEqual(bytes.length);
          } catch (error) {
            expect(error).toBeInstanceOf(CodedError);
          }
          for (let i = 0; i < area.pixels.length; i++) {
            const x = (i % area.stride) - area.x;
            const y = Math.floor(i / area.stride) - area.y;
            const isInside = 0 <= x && x < width && 0 <= y && y < height;
            if (!isInside && area.pixels[i] !== 0x1234_5678) throw new Error(`pixel ${x}, ${y} was drawn`);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('that were valid and are cut or changed are refused or drawn, never worse', () => {
    const next = random(99);
    for (const colour of [() => next() & 3, () => next() & 0xff_ffff, () => 5]) {
      const area = tileOf(31, 17, colour);
      const out = new Uint8Array(MAX_TILE_BYTES);
      const end = encodeTile(area, out, 0);
      for (let length = 0; length < end; length++) {
        expect(() => decodeTile(out.subarray(0, length), 0, area)).toThrow(CodedError);
      }
    }
  });
});
