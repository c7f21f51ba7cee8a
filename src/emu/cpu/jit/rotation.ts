/**
 * Loops whose first instructions are emitted in front of the loop and again at its ends, instead of inside it.
 *
 * Where ways meet flags are words, and to make words of a comparison takes half a dozen operations an iteration. Mostly
 * nobody looks at them: the head's first access might fault, and the flags are overwritten behind it. So what comes first,
 * up to the instruction that overwrites all flags, is emitted once for each way: what the flags come from is known there.
 */
import type { Effects } from './effects.ts';
import { FLOW, type Region } from './instruction.ts';
import type { FlagLiveness } from './liveness.ts';
import type { Structure } from './structure.ts';

/** Most instructions that are emitted again. */
const MOST_REPEATED = 6;
/** Most ways back to a head for which they are. */
const MOST_WAYS = 3;

/** By block: how many of its instructions come before the loop that it heads. 0: none. */
export function rotatedHeads(
  region: Region,
  effects: readonly (readonly Effects[])[],
  structure: Structure,
  live: FlagLiveness,
  isBack: (from: number, to: number) => boolean,
): number[] {
  const { blocks } = region;
  const ways = blocks.map(() => 0);
  blocks.forEach((b, from) => {
    const targets = new Set<number>();
    if (b.flow === FLOW.jump || b.flow === FLOW.branch) targets.add(b.taken);
    if (b.flow === FLOW.next || b.flow === FLOW.branch) targets.add(b.next);
    for (const to of targets) if (to >= 0 && isBack(from, to)) ways[to]++;
  });
  return blocks.map((b, n) => {
    if (!structure.isLoop[n] || !live.atStart[n] || ways[n] === 0 || ways[n] > MOST_WAYS) return 0;
    const most = b.flow === FLOW.next ? b.instructions.length : b.instructions.length - 1;
    const killer = effects[n].findIndex((e) => !isPlain(e) || e.flagsWritten === 2);
    if (killer < 0 || killer >= Math.min(most, MOST_REPEATED) || !isPlain(effects[n][killer])) return 0;
    const repeated = b.instructions.slice(0, killer + 1);
    return repeated.some(({ row }) => row.options.shadow || row.options.unmasks) ? 0 : killer + 1;
  });
}

/** Nothing but registers, memory and flags that it does not read. */
const isPlain = (e: Effects): boolean =>
  !e.flagsRead && !e.vectorsInMemory && !e.x87Short && !e.x87Waits && !e.x87InMemory && e.kernels.size === 0;
