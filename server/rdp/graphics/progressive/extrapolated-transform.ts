/**
 * The wavelets of progressive RemoteFX: 5/3 with the reduce-extrapolate method, whose halves of 64 samples are 33 and 31.
 * Source: [MS-RDPEGFX] 3.2.8.1.2.2 (transform), 2.2.4.2.1.5 (order of the subbands).
 */
import { TILE_PIXELS, TILE_SIZE } from '../remotefx/tile-module.ts';

/** Of each level: where its subbands begin, samples of the low and of the high half. */
const LEVELS = [
  [0, 33, 31],
  [3007, 17, 16],
  [3807, 9, 8],
] as const;
/** In the order of a tile: HL1, LH1, HH1, HL2, LH2, HH2, HL3, LH3, HH3, LL3. */
export const SUBBAND_STARTS: readonly number[] = [
  ...LEVELS.flatMap(([at, low, high]) => [at, at + low * high, at + 2 * low * high]),
  4015,
];
export const SUBBAND_COUNT = 10;
export const LOWEST = SUBBAND_COUNT - 1;
/** @returns where a subband ends, and the next begins */
export const subbandEnd = (band: number): number => SUBBAND_STARTS[band + 1] ?? TILE_PIXELS;

const MOST = 32_767;
const clamp = (value: number): number => Math.max(-MOST, Math.min(MOST, value));

export class ExtrapolatedTransform {
  readonly #source = new Int32Array(TILE_PIXELS);
  readonly #rows = new Int32Array(TILE_PIXELS + TILE_SIZE);

  /** In place. @param plane 64 rows of 64; afterwards the subbands one behind the other */
  forward(plane: Int16Array): void {
    for (const [at, low, high] of LEVELS) {
      const size = low + high === 64 ? 64 : low + high;
      this.#source.set(plane.subarray(at, at + size * size));
      for (let x = 0; x < size; x++) {
        split(this.#source, x, size, size, this.#rows, x, size, low * size + x, size);
      }
      const [hl, lh, hh, ll] = [at, at + low * high, at + 2 * low * high, at + 2 * low * high + high * high];
      for (let y = 0; y < low; y++) split(this.#rows, y * size, 1, size, plane, ll + y * low, 1, hl + y * high, 1);
      for (let y = 0; y < high; y++) {
        split(this.#rows, (low + y) * size, 1, size, plane, lh + y * low, 1, hh + y * high, 1);
      }
    }
  }
}

/** One line of `count` samples into its low and its high half. */
function split(
  from: Int32Array,
  start: number,
  step: number,
  count: number,
  to: Int32Array | Int16Array,
  lowAt: number,
  lowStep: number,
  highAt: number,
  highStep: number,
): void {
  const isExtended = (count & 1) === 0;
  const highs = isExtended ? count / 2 - 1 : (count - 1) / 2;
  let before = 0;
  let at = start;
  for (let i = 0; i < highs; i++, at += 2 * step) {
    const even = from[at];
    const high = clamp((from[at + step] - ((even + from[at + 2 * step]) >> 1)) >> 1);
    to[highAt + i * highStep] = high;
    to[lowAt + i * lowStep] = clamp(even + (i === 0 ? high : Math.trunc((before + high) / 2)));
    before = high;
  }
  if (!isExtended) {
    to[lowAt + highs * lowStep] = clamp(from[at] + before);
    return;
  }
  // Past the end the line goes on straight, so that the last odd sample has no high part.
  to[lowAt + highs * lowStep] = clamp(from[at] + Math.trunc(before / 2));
  to[lowAt + (highs + 1) * lowStep] = clamp(2 * from[at + step] - from[at]);
}
