import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Picture } from '#display/raster/thumbnail.ts';
import { ClearEncoder, Palette } from './clear-codec.ts';
import { ScreenTiles } from './remotefx/screen-tiles.ts';
import { SurfaceEncoder } from './surface-encoder.ts';

const [WIDTH, HEIGHT] = [200, 170];

/** CLEARCODEC_BITMAP_STREAM with a subcodec layer of one RLEX, as [MS-RDPEGFX] 2.2.4.1 has it. */
function decodeClear(data: Uint8Array, width: number, height: number): Uint32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const u16 = (at: number): number => view.getUint16(at, true);
  const u32 = (at: number): number => view.getUint32(at, true);
  expect([data[0], u32(2), u32(6), u32(10)]).toEqual([0, 0, 0, data.length - 14]);
  expect([u16(14), u16(16), u16(18), u16(20), u32(22), data[26]]).toEqual([0, 0, width, height, data.length - 27, 2]);
  const colours = data[27];
  expect(colours).toBeGreaterThan(0);
  expect(colours).toBeLessThanOrEqual(127);
  const palette = Array.from({ length: colours }, (_, i) => u32(28 + i * 3 - 1) >>> 8);
  const indexBits = Math.max(1, Math.ceil(Math.log2(colours)));
  const out: number[] = [];
  for (let at = 28 + colours * 3; at < data.length; ) {
    const stop = data[at] & ((1 << indexBits) - 1);
    const start = stop - (data[at] >> indexBits);
    expect([start >= 0, stop < colours]).toEqual([true, true]);
    let run = data[at + 1];
    at += 2;
    if (run === 0xff) {
      run = u16(at);
      at += 2;
    }
    for (; run > 0; run--) out.push(palette[start]);
    for (let index = start; index <= stop; index++) out.push(palette[index]);
  }
  expect(out.length).toBe(width * height);
  return Uint32Array.from(out);
}

/** What a client has on its surface. */
class Surface {
  readonly pixels = new Uint32Array(WIDTH * HEIGHT);
  /** Commands, as they came. */
  readonly commands: number[] = [];

  take(pdus: Uint8Array): void {
    const view = new DataView(pdus.buffer, pdus.byteOffset, pdus.length);
    const u16 = (at: number): number => view.getUint16(at, true);
    const rect = (at: number) => ({ x: u16(at), y: u16(at + 2), right: u16(at + 4), bottom: u16(at + 6) });
    for (let at = 0; at < pdus.length; at += view.getUint32(at + 4, true)) {
      const command = u16(at);
      this.commands.push(command);
      if (command === 0x04) {
        const colour = view.getUint32(at + 10, true);
        for (let i = 0; i < u16(at + 14); i++) {
          const { x, y, right, bottom } = rect(at + 16 + i * 8);
          for (let row = y; row < bottom; row++) this.pixels.fill(colour, row * WIDTH + x, row * WIDTH + right);
        }
      } else if (command === 0x05) {
        const { x, y, right, bottom } = rect(at + 12);
        const [count, toX, toY] = [u16(at + 20), u16(at + 22), u16(at + 24)];
        expect(count).toBe(1);
        const before = this.pixels.slice();
        for (let row = y; row < bottom; row++) {
          const to = (toY + row - y) * WIDTH + toX;
          this.pixels.set(before.subarray(row * WIDTH + x, row * WIDTH + right), to);
        }
      } else if (command === 0x01) {
        expect(u16(at + 10)).toBe(0x8);
        const { x, y, right, bottom } = rect(at + 13);
        const data = pdus.subarray(at + 25, at + 25 + view.getUint32(at + 21, true));
        const bitmap = decodeClear(data, right - x, bottom - y);
        for (let row = y; row < bottom; row++) {
          this.pixels.set(bitmap.subarray((row - y) * (right - x), (row - y + 1) * (right - x)), row * WIDTH + x);
        }
      } else throw new Error(`command ${command}`);
    }
  }
}

const swapped = (word: number): number => ((word & 0xff) << 16) | (word & 0xff00) | ((word >>> 16) & 0xff);

describe('what is drawn', () => {
  /** Something that happens to a rectangle of the screen. */
  const event = fc.record({
    kind: fc.constantFrom('fill', 'text', 'scroll', 'nothing'),
    x: fc.nat(WIDTH - 2),
    y: fc.nat(HEIGHT - 2),
    width: fc.integer({ min: 1, max: WIDTH }),
    height: fc.integer({ min: 1, max: HEIGHT }),
    value: fc.integer({ min: -90, max: 90 }),
  });

  it('comes out as it is, moved, filled or coded', () => {
    fc.assert(
      fc.property(fc.array(fc.array(event, { minLength: 1, maxLength: 3 }), { maxLength: 12 }), (updates) => {
        const screen: Picture = { width: WIDTH, height: HEIGHT, pixels: new Uint32Array(WIDTH * HEIGHT) };
        const encoder = new SurfaceEncoder(new ScreenTiles(75, () => 0));
        const surface = new Surface();
        encoder.begin(1, screen);
        updates.forEach((events, frame) => {
          const rects = events.flatMap(({ kind, x, y, width, height, value }) => {
            const rect = { x, y, width: Math.min(width, WIDTH - x), height: Math.min(height, HEIGHT - y) };
            change(screen, rect, kind, value);
            return [rect];
          });
          const drawing = encoder.show(screen, rects, frame);
          if (drawing) {
            expect(drawing.dense.length).toBe(0);
            surface.take(drawing.sparse.done());
          }
          expect(screen.pixels.findIndex((pixel, i) => swapped(pixel) !== surface.pixels[i])).toBe(-1);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('is moved when it scrolls, and only what comes in is coded', () => {
    const screen: Picture = { width: WIDTH, height: HEIGHT, pixels: new Uint32Array(WIDTH * HEIGHT) };
    const encoder = new SurfaceEncoder(new ScreenTiles(75, () => 0));
    const surface = new Surface();
    encoder.begin(1, screen);
    const all = { x: 0, y: 0, width: WIDTH, height: HEIGHT };
    change(screen, all, 'text', 7);
    const first = encoder.show(screen, [all], 1)!.sparse.done();
    surface.take(first);
    for (const by of [-16, -16, 20, -3]) {
      change(screen, all, 'scroll', by);
      const pdus = encoder.show(screen, [all], 2)!.sparse.done();
      surface.commands.length = 0;
      surface.take(pdus);
      expect(surface.commands[0]).toBe(0x05);
      expect(pdus.length).toBeLessThan(first.length / 4);
      expect(surface.pixels).toEqual(screen.pixels.map(swapped));
    }
    expect(encoder.show(screen, [all], 3)).toBeUndefined();
  });
});

/** 0xffrrggbb of text: two colours that depend on the place. */
function change(
  { width, pixels }: Picture,
  rect: { x: number; y: number; width: number; height: number },
  kind: string,
  value: number,
): void {
  const before = pixels.slice();
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    for (let x = rect.x; x < rect.x + rect.width; x++) {
      const at = y * width + x;
      if (kind === 'fill') pixels[at] = 0xff000000 | ((value & 0xff) * 0x10305);
      else if (kind === 'text') {
        const bits = Math.imul((x >> 3) + 57 * (y >> 4) + value, 0x9e3779b1) ^ Math.imul(y & 15, 0x85ebca6b);
        pixels[at] = (bits >>> (x & 7)) & 1 ? 0xffc0c0c0 : 0xff200010;
      } else if (kind === 'scroll') {
        const from = y - value;
        if (from >= rect.y && from < rect.y + rect.height) pixels[at] = before[from * width + x];
        else pixels[at] = (x ^ y) & 4 ? 0xff00ff00 : 0xff000000;
      }
    }
  }
}

describe('ClearCodec', () => {
  it('gives pixels back, up to 127 colours; a palette tells when there are more', () => {
    const bitmap = fc.record({
      width: fc.integer({ min: 1, max: 64 }),
      height: fc.integer({ min: 1, max: 64 }),
      colours: fc.integer({ min: 1, max: 140 }),
      runs: fc.array(fc.tuple(fc.nat(139), fc.integer({ min: 1, max: 600 })), { minLength: 1, maxLength: 80 }),
    });
    const encoder = new ClearEncoder();
    let sequence = 0;
    fc.assert(
      fc.property(bitmap, ({ width, height, colours, runs }) => {
        const pixels = new Uint32Array(width * height);
        for (let at = 0, i = 0; at < pixels.length; i++) {
          const [colour, run] = runs[i % runs.length];
          pixels.fill(((colour % colours) + 1 + i * (colours > 100 ? 1 : 0)) * 0x10203, at, at + run);
          at += run;
        }
        const wanted = pixels.map((pixel) => pixel & 0xffffff);
        const screen = { width, height, pixels: wanted.map((c) => (c << 16) | (c & 0xff00) | (c >>> 16)) };
        const palette = new Palette();
        const isFew = palette.collect(screen, { x: 0, y: 0, width, height }, pixels);
        expect(isFew).toBe(new Set(wanted).size <= 127);
        if (!isFew) return;
        expect(pixels).toEqual(wanted);
        const data = encoder.encode(pixels, width, height, palette);
        expect(data[1]).toBe(sequence++ & 0xff);
        expect(decodeClear(data, width, height)).toEqual(wanted);
      }),
    );
  });
});
