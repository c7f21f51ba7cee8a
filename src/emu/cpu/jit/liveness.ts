/** Which flags matter: at each block's start, and after each instruction. */
import type { Effects } from './effects.ts';
import { FLOW, type Region } from './instruction.ts';

export interface FlagLiveness {
  /** By block: does anything look at the flags it starts with? Leaving the region counts as looking. */
  readonly atStart: readonly boolean[];
  /** By block, after each of its instructions. */
  readonly after: readonly (readonly boolean[])[];
}

/** @param polled may code leave on the edge between two blocks? */
export function flagLiveness(
  region: Region,
  effects: readonly (readonly Effects[])[],
  polled: (from: number, to: number) => boolean,
): FlagLiveness {
  const { blocks } = region;
  const atStart = blocks.map(() => false);
  const along = (from: number, to: number): boolean => to < 0 || polled(from, to) || atStart[to];
  const atEnd = (n: number): boolean => {
    const b = blocks[n];
    switch (b.flow) {
      case FLOW.next:
        return along(n, b.next);
      case FLOW.jump:
        return along(n, b.taken);
      case FLOW.branch:
        return along(n, b.taken) || along(n, b.next);
      default:
        // Through the dispatcher: polls, and targets outside.
        return true;
    }
  };
  const walk = (n: number, after?: boolean[]): boolean => {
    let live = atEnd(n);
    for (let i = effects[n].length - 1; i >= 0; i--) {
      if (after) after[i] = live;
      const e = effects[n][i];
      if (e.flagsWritten === 2) live = false;
      if (e.flagsRead || e.mayLeave) live = true;
    }
    return live;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = blocks.length - 1; n >= 0; n--) {
      const live = walk(n);
      if (live !== atStart[n]) {
        atStart[n] = live;
        changed = true;
      }
    }
  }
  const after = blocks.map((_, n) => {
    const list: boolean[] = [];
    walk(n, list);
    return list;
  });
  return { atStart, after };
}
