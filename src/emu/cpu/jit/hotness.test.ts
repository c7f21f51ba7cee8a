import { expect, it } from 'vitest';
import { HEADER } from '../state/layout.ts';
import { Hotness, THRESHOLD } from './hotness.ts';

const HEADER_AT = 64;

function setUp(): { hotness: Hotness; heat: () => number; ask: (millions: number) => boolean } {
  const words = new Int32Array(64);
  const hotness = new Hotness(words);
  hotness.begin(HEADER_AT);
  const ask = (millions: number): boolean => {
    // In slices, as a CPU does.
    for (let n = 0; n < millions; n++) hotness.ran(1e6);
    return hotness.waits(HEADER_AT, 1);
  };
  return { hotness, heat: () => words[(HEADER_AT + HEADER.heat) >> 2], ask };
}

it('takes a block whose entries came soon, and over some time', () => {
  const { ask } = setUp();
  expect(ask(30)).toBe(false);
});

it('lets a loop wait until it has lasted, or gone round often', () => {
  const lasting = setUp();
  expect([1, 20].map(lasting.ask)).toEqual([true, false]);
  const short = setUp();
  expect([0, 0, 0, 0].map(short.ask)).toEqual([true, true, true, false]);
});

it('lets a block wait that was long in having them, until they come soon', () => {
  const { ask, heat } = setUp();
  expect(ask(500)).toBe(true);
  expect(heat()).toBeLessThan(THRESHOLD);
  expect(ask(400)).toBe(true);
  expect(ask(5)).toBe(false);
});

it('takes a block in the end', () => {
  const { ask } = setUp();
  const answers = Array.from({ length: 100 }, () => ask(200));
  const first = answers.indexOf(false);
  expect(first).toBeGreaterThan(4);
  expect(answers.slice(0, first)).not.toContain(false);
  // Then it counts from the start, as for a block that was decoded again.
  expect(answers[first + 1]).toBe(true);
});
