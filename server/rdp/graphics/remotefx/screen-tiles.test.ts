import { expect, it } from 'vitest';
import type { Rect } from '#display/raster/rects.ts';
import { ScreenTiles } from './screen-tiles.ts';

/** A screen of noise, and a video of four tiles in it. */
const WIDTH = 256;
const screen = {
  ...{ width: WIDTH, height: 256 },
  pixels: Uint32Array.from({ length: WIDTH * 256 }, (_, i) => Math.imul(i, 0x9e3779b1) | 0xff000000),
};
const VIDEO: readonly Rect[] = [
  { x: 64, y: 64, width: 64, height: 64 },
  { x: 128, y: 64, width: 64, height: 64 },
  { x: 64, y: 128, width: 64, height: 20 },
  { x: 128, y: 128, width: 64, height: 20 },
];
const ELSEWHERE: Rect = { x: 0, y: 0, width: 64, height: 64 };

function play(quality: number | undefined) {
  let now = 0;
  const tiles = new ScreenTiles(quality, () => now);
  const bytes: number[] = [];
  const coarse: boolean[] = [];
  for (let i = 0; i < 20; i++, now += 33) {
    tiles.drawn(VIDEO);
    const all = VIDEO.map((rect) => tiles.encode(screen, rect));
    bytes.push(all.reduce((sum, { data }) => sum + data.y.length + data.cb.length + data.cr.length, 0));
    coarse.push(all.every(({ isCoarse }) => isCoarse));
  }
  return { tiles, bytes, coarse, pass: (ms: number) => (now += ms) };
}

it('a video is coarser from its tenth picture on, and fine 300 ms after it stopped', () => {
  const { tiles, bytes, coarse, pass } = play(75);
  expect(coarse.indexOf(true)).toBe(9);
  expect(coarse.lastIndexOf(false)).toBe(8);
  expect(bytes[10]).toBeLessThan(bytes[0]);
  expect(tiles.encode(screen, ELSEWHERE).isCoarse).toBe(false);
  expect(tiles.takeStopped()).toEqual([]);
  pass(301);
  // What is under something else waits until that is gone.
  const [first, second, ...under] = VIDEO;
  expect(tiles.takeStopped({ x: 100, y: 128, width: 50, height: 50 })).toEqual([first, second]);
  expect([tiles.hasCoarse, tiles.takeStopped()]).toEqual([true, under]);
  expect(tiles.encode(screen, VIDEO[0]).isCoarse).toBe(false);
  expect([tiles.hasCoarse, tiles.takeStopped()]).toEqual([false, []]);
});

it('costs less, the lower its quality', () => {
  const bytes = [100, 75, 50, 10].map((quality) => play(quality).bytes[15]);
  for (let i = 1; i < bytes.length; i++) expect(bytes[i]).toBeLessThan(bytes[i - 1]);
  expect(play(undefined).bytes[15]).toBe(bytes[0]);
  expect(play(100).tiles.hasCoarse).toBe(false);
});

it('videos get their share of a connection, and may be a little late for it', () => {
  let now = 1000;
  const tiles = new ScreenTiles(75, () => now);
  expect(tiles.waitMs).toBeLessThanOrEqual(0);
  // 13.5 Mbit/s are 1687.5 bytes a millisecond.
  tiles.sentVideo(168_750);
  expect(tiles.waitMs).toBeCloseTo(50);
  now += 60;
  tiles.sentVideo(168_750);
  expect(tiles.waitMs).toBeCloseTo(90);
});

it('a video is coarser the less the connection carries, never finer than was asked for, and as it was when that is over', () => {
  let carries: number | undefined;
  const tiles = new ScreenTiles(
    75,
    () => 0,
    () => carries,
  );
  const [, asked, askedChroma] = tiles.quantizations;
  const seen = (bytes: number): number => {
    tiles.sentVideo(bytes);
    return tiles.quantizations[1].reduce((sum, one) => sum + one, 0);
  };
  const usual = seen(55_000);
  // 2 Mbit/s: 220 ms a picture, then 140 ms, then 90 ms, which is quick enough.
  carries = 250;
  const steps = [seen(55_000), seen(35_000), seen(22_500)];
  expect(steps[0]).toBeGreaterThan(usual);
  expect(steps[1]).toBeGreaterThan(steps[0]);
  expect(steps[2]).toBe(steps[1]);
  carries = 10_000;
  for (let i = 0; i < 5; i++) seen(30_000);
  expect(tiles.quantizations.slice(1)).toEqual([asked, askedChroma]);
  // What a client says of its connection never makes it coarse where that was not asked for.
  const exact = new ScreenTiles(
    undefined,
    () => 0,
    () => 1,
  );
  exact.sentVideo(1e6);
  expect(exact.hasCoarse).toBe(false);
});
