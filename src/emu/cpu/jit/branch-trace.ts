/** Where indirect jumps and calls of tier 0 went lately: a ring in linear memory that generated code writes. */
import { BRANCH_TRACE_BYTES, LINEAR } from '../state/layout.ts';

const ENTRY_WORDS = 4;
const TWO_32 = 2 ** 32;

/** @param from address of the jump or call. @returns targets, most frequent first; 32-bit addresses are unsigned */
export function tracedTargets(words: Int32Array, from: number): number[] {
  const low = from | 0;
  const high = Math.floor(from / TWO_32);
  const counts = new Map<number, number>();
  const first = LINEAR.branchTrace >> 2;
  for (let at = first; at < first + BRANCH_TRACE_BYTES / 4; at += ENTRY_WORDS) {
    if (words[at] !== low || words[at + 1] !== high) continue;
    const to = words[at + 3] * TWO_32 + (words[at + 2] >>> 0);
    counts.set(to, (counts.get(to) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).map(([to]) => to);
}
