import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rect } from '../raster/rects.ts';
import { joinTouching, VideoDetector } from './video-detector.ts';

const rect = (x: number, y: number, width: number, height: number): Rect => ({ x, y, width, height });
const FILM = rect(100, 50, 320, 180);

/** Draws a rectangle so many times, `everyMs` apart, from 0 on. @returns the time of the last */
function play(detector: VideoDetector, film: Rect, times: number, everyMs: number, from = 0): number {
  for (let i = 0; i < times; i++) detector.see([film], from + i * everyMs);
  return from + (times - 1) * everyMs;
}

describe('a video', () => {
  it.each([15, 33, 300])('is a rectangle drawn ten times, %i ms apart', (everyMs) => {
    const detector = new VideoDetector();
    const ninth = play(detector, FILM, 9, everyMs);
    expect(detector.videos(ninth)).toEqual([]);
    detector.see([FILM], ninth + everyMs);
    expect(detector.videos(ninth + everyMs)).toEqual([FILM]);
  });

  it.each([
    ['too slow', FILM, 301],
    ['too quick', FILM, 1],
    ['too low', rect(0, 0, 128, 63), 33],
    ['too narrow', rect(0, 0, 63, 100), 33],
    ['too tall', rect(0, 0, 100, 201), 33],
    ['too wide', rect(0, 0, 301, 100), 33],
  ])('is not what is %s', (_, film, everyMs) => {
    const detector = new VideoDetector();
    expect(detector.videos(play(detector, film, 14, everyMs))).toEqual([]);
  });

  it.each([rect(0, 0, 64, 64), rect(0, 0, 64, 128), rect(0, 0, 300, 100)])('may have the shape %o', (film) => {
    const detector = new VideoDetector();
    expect(detector.videos(play(detector, film, 10, 33))).toEqual([film]);
  });

  it('ends 300 ms after its last picture', () => {
    const detector = new VideoDetector();
    const last = play(detector, FILM, 12, 40);
    expect(detector.videos(last + 300)).toEqual([FILM]);
    expect(detector.videos(last + 301)).toEqual([]);
    detector.see([FILM], last + 302);
    expect(detector.videos(last + 302)).toEqual([]);
  });

  it('ends when something else is drawn over a part of it, not beside it', () => {
    const detector = new VideoDetector();
    const last = play(detector, FILM, 12, 40);
    detector.see([rect(420, 50, 10, 10), rect(100, 230, 320, 5)], last + 1);
    expect(detector.videos(last + 1)).toEqual([FILM]);
    detector.see([rect(419, 229, 10, 10)], last + 2);
    expect(detector.videos(last + 2)).toEqual([]);
  });

  it('goes on while parts of it are drawn, but no longer without whole pictures', () => {
    const detector = new VideoDetector();
    const part = rect(120, 60, 64, 64);
    const last = play(detector, FILM, 12, 40);
    const lastPart = play(detector, part, 10, 30, last + 20);
    expect(detector.videos(lastPart)).toEqual([FILM]);
    expect(detector.videos(last + 301)).toEqual([]);
    // From then on the part counts for itself.
    const ninth = play(detector, part, 9, 30, last + 310);
    expect(detector.videos(ninth)).toEqual([]);
    detector.see([part], ninth + 30);
    expect(detector.videos(ninth + 30)).toEqual([part]);
  });

  it('is none yet when a part of it is drawn before', () => {
    const detector = new VideoDetector();
    const ninth = play(detector, FILM, 9, 40);
    detector.see([rect(120, 60, 64, 64)], ninth + 20);
    detector.see([FILM], ninth + 40);
    expect(detector.videos(ninth + 40)).toEqual([]);
  });

  it('may play beside another', () => {
    const detector = new VideoDetector();
    const other = rect(500, 300, 100, 100);
    for (let i = 0; i < 10; i++) detector.see([FILM, other], i * 40);
    expect(detector.videos(360)).toEqual([FILM, other]);
  });

  it('is never two that overlap, whatever is drawn', () => {
    const any = fc.record({
      x: fc.constantFrom(0, 40, 100),
      y: fc.constantFrom(0, 30),
      width: fc.constantFrom(10, 64, 100),
      height: fc.constantFrom(10, 64, 100),
    });
    const step = fc.record({ rects: fc.array(any, { maxLength: 3 }), ms: fc.nat(60), again: fc.nat(12) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const detector = new VideoDetector();
        let now = 0;
        for (const { rects, ms, again } of steps) {
          for (let i = 0; i <= again; i++) {
            now += ms;
            detector.see(rects, now);
          }
          const videos = detector.videos(now);
          for (const a of videos) {
            expect(Math.min(a.width, a.height)).toBeGreaterThanOrEqual(64);
            const others = videos.filter((b) => b !== a && joinTouching([a, b]).length === 1);
            for (const b of others) {
              const isApart =
                a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
              expect(isApart).toBe(true);
            }
          }
        }
      }),
    );
  });
});

describe('pieces drawn at once', () => {
  it('make the box around those that touch', () => {
    const squares = [rect(100, 50, 28, 14), rect(128, 50, 64, 14), rect(100, 64, 28, 64), rect(128, 64, 64, 64)];
    expect(joinTouching([...squares, rect(400, 400, 8, 16)])).toEqual([rect(100, 50, 92, 78), rect(400, 400, 8, 16)]);
  });

  it('touch nothing else afterwards, and lose nothing', () => {
    const any = fc.record({
      x: fc.nat(300),
      y: fc.nat(300),
      width: fc.integer({ min: 1, max: 64 }),
      height: fc.integer({ min: 1, max: 64 }),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 20 }), (rects) => {
        const boxes = joinTouching(rects);
        expect(joinTouching(boxes)).toHaveLength(boxes.length);
        for (const r of rects) {
          const holds = (b: Rect) =>
            b.x <= r.x && b.y <= r.y && r.x + r.width <= b.x + b.width && r.y + r.height <= b.y + b.height;
          expect(boxes.some(holds)).toBe(true);
        }
      }),
    );
  });
});
