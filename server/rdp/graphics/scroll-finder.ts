/** Tells whether a part of the screen was moved up or down. */
import type { Rect } from '#display/raster/rects.ts';

/** Columns are looked at this far apart: enough to tell lines of text from one another. */
const STEP = 3;
const FEWEST_ROWS = 32;
/** Rows that are the only ones of their kind and agree on how far they were moved. */
const FEWEST_VOTES = 8;

export interface Scroll {
  /** Where it was, as wide as the area that was looked at. */
  readonly from: Rect;
  /** Rows that it has moved down, never 0; negative: up. */
  readonly by: number;
}

/**
 * @param before, now pictures whose rows are `stride` pixels apart
 * @param area where they differ
 * @returns the largest block of rows of that area that is there in both, at different heights; it may differ in some pixels
 */
export function findScroll(before: Uint32Array, now: Uint32Array, stride: number, area: Rect): Scroll | undefined {
  const { x, y, width, height } = area;
  if (height < FEWEST_ROWS * 2) return undefined;
  const was = rowHashes(before, stride, area);
  const is = rowHashes(now, stride, area);
  const by = mostVotes(was, is);
  if (by === undefined) return undefined;
  let start = 0;
  let most = 0;
  for (let row = Math.max(0, by), first = row; row < height && row - by < height; row++) {
    if (is[row] !== was[row - by]) first = row + 1;
    else if (row + 1 - first > most) {
      most = row + 1 - first;
      start = first;
    }
  }
  if (most < FEWEST_ROWS || most * 3 < height) return undefined;
  return { from: { x, y: y + start - by, width, height: most }, by };
}

function rowHashes(pixels: Uint32Array, stride: number, { x, y, width, height }: Rect): Int32Array {
  const hashes = new Int32Array(height);
  for (let row = 0; row < height; row++) {
    const start = (y + row) * stride + x;
    let hash = 0;
    for (let at = start; at < start + width; at += STEP) hash = Math.imul(hash ^ pixels[at], 0x01000193);
    hashes[row] = hash;
  }
  return hashes;
}

const SEVERAL = -1;

/** How far most of the rows have moved that are unlike all others. */
function mostVotes(was: Int32Array, is: Int32Array): number | undefined {
  const places = new Map<number, number>();
  was.forEach((hash, row) => {
    places.set(hash, places.has(hash) ? SEVERAL : row);
  });
  const votes = new Map<number, number>();
  is.forEach((hash, row) => {
    const from = places.get(hash);
    if (from !== undefined && from !== SEVERAL) votes.set(row - from, (votes.get(row - from) ?? 0) + 1);
  });
  let best: number | undefined;
  let most = FEWEST_VOTES - 1;
  for (const [by, count] of votes) {
    if (count <= most) continue;
    most = count;
    best = by;
  }
  return best === 0 ? undefined : best;
}
