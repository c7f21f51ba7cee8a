/** Which addresses cases may touch without harm to the native program. */
import { HIGH_WINDOW, type Segment } from './layout.ts';

/** Outside the reserved range lies the native program. */
export const harmless = (at: number, bytes: number): boolean =>
  at + bytes <= 0x1_0000 || (at >= 0x1100_0000 && at + bytes <= 0x2fff_0000);

/** An access that the segment refuses, or that harms nothing. */
export function reaches(segment: Segment, offset: number, bytes: number): boolean {
  if (segment.base === 0) return harmless(offset, bytes);
  const end = offset + bytes - 1;
  if (segment.expandDown ? offset <= segment.limit || end > 0xffff_ffff : end > segment.limit) return true;
  return harmless((offset + segment.base) % 0x1_0000_0000, bytes);
}

const CANONICAL = 2 ** 47;
/** Linux shows programs a page of its own from -10 MB on. */
const VSYSCALL = { from: -0xa0_1000, to: -0x9f_f000 } as const;

/** Likewise for 64-bit code. @param at as `addressAt` gives it */
export function isHarmless64(at: number, bytes: number): boolean {
  const end = at + bytes;
  // Neither across the edge of the canonical addresses nor from the last one to 0.
  if (at < -CANONICAL) return end <= -CANONICAL;
  if (at < 0) return end < -0x1000 && (end <= VSYSCALL.from || at >= VSYSCALL.to);
  if (at >= CANONICAL) return true;
  const { from, reserved } = HIGH_WINDOW;
  return harmless(at, bytes) || (at >= from + 0x1_0000 && end <= from + reserved - 0x1_0000);
}
