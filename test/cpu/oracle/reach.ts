/** Which addresses cases may touch without harm to the native program. */
import type { Segment } from './layout.ts';

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
