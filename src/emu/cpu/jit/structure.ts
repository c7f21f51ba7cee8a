/**
 * Turns a control-flow graph into nested WebAssembly constructs.
 *
 * Source: N. Ramsey, "Beyond Relooper" (ICFP 2022): the dominator tree gives the nesting. Entries (blocks that are reached
 * from outside, through calls, returns or irreducible edges) hang below a root that dispatches to them by number, so every
 * graph becomes reducible: an edge to an entry goes through the root, unless it is the back edge of a loop that the entry heads.
 */

/** How an edge of the graph is to be taken. */
export const EDGE = {
  /** The target follows here and nowhere else. */
  inline: 0,
  /** Forward to a block that several edges reach. */
  forward: 1,
  /** To the head of a loop that surrounds the source. */
  back: 2,
  /** Through the root. */
  dispatch: 3,
} as const;
export type Edge = (typeof EDGE)[keyof typeof EDGE];

export interface Structure {
  /** Blocks the root dispatches to; the position is the number to dispatch by. */
  readonly entries: readonly number[];
  /** By block: position in `entries`, or -1. */
  readonly entryOf: readonly number[];
  readonly isLoop: readonly boolean[];
  /** By block: its children in the dominator tree that need a label, in the order in which they are placed. */
  readonly placed: readonly (readonly number[])[];
  /** The same for the root. */
  readonly rootPlaced: readonly number[];
  /** Blocks that can be reached, in reverse postorder. */
  readonly order: readonly number[];
  edge(from: number, to: number): Edge;
  /** Several edges meet at the block: nothing is known there of how it was reached. */
  isJoin(block: number): boolean;
}

/**
 * @param successors by block, the edges inside the region; edges that must go through the root are not among them
 * @param entries blocks that must be entries
 */
export function structureOf(successors: readonly (readonly number[])[], entries: Iterable<number>): Structure {
  const entrySet = new Set(entries);
  for (;;) {
    const tree = dominators(successors, entrySet);
    const bad = irreducibleTargets(successors, entrySet, tree);
    if (bad.length === 0) return arrange(successors, entrySet, tree);
    for (const block of bad) entrySet.add(block);
  }
}

interface Tree {
  /** Reverse postorder without the root. */
  readonly order: readonly number[];
  /** Position in `order`, or -1 for a block that cannot be reached. */
  readonly position: Int32Array;
  /** Immediate dominator, -1 = the root. */
  readonly idom: Int32Array;
}

function dominators(successors: readonly (readonly number[])[], entries: ReadonlySet<number>): Tree {
  const count = successors.length;
  const position = new Int32Array(count).fill(-1);
  const postorder: number[] = [];
  const seen = new Uint8Array(count);
  const stack: { block: number; next: number }[] = [];
  for (const entry of [...entries].reverse()) {
    if (seen[entry]) continue;
    seen[entry] = 1;
    stack.push({ block: entry, next: 0 });
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const to = successors[top.block][top.next++];
      if (to === undefined) {
        postorder.push(top.block);
        stack.pop();
      } else if (!seen[to] && !entries.has(to)) {
        seen[to] = 1;
        stack.push({ block: to, next: 0 });
      }
    }
  }
  const order = postorder.reverse();
  order.forEach((block, i) => {
    position[block] = i;
  });
  const predecessors: number[][] = successors.map(() => []);
  for (const from of order) for (const to of successors[from]) if (!entries.has(to)) predecessors[to].push(from);

  const UNKNOWN = -2;
  const idom = new Int32Array(count).fill(UNKNOWN);
  for (const entry of entries) idom[entry] = -1;
  const meet = (a: number, b: number): number => {
    let x = a;
    let y = b;
    while (x !== y) {
      if (x < 0 || y < 0) return -1;
      if (position[x] > position[y]) x = idom[x];
      else y = idom[y];
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order) {
      if (entries.has(block)) continue;
      let found = UNKNOWN;
      for (const from of predecessors[block]) {
        if (idom[from] === UNKNOWN) continue;
        found = found === UNKNOWN ? from : meet(found, from);
      }
      if (found !== idom[block]) {
        idom[block] = found;
        changed = true;
      }
    }
  }
  return { order, position, idom };
}

const dominates = (tree: Tree, a: number, b: number): boolean => {
  let x = b;
  while (x >= 0 && tree.position[x] > tree.position[a]) x = tree.idom[x];
  return x === a;
};

/** Blocks that edges enter against the order without being the head of a loop. */
function irreducibleTargets(
  successors: readonly (readonly number[])[],
  entries: ReadonlySet<number>,
  tree: Tree,
): number[] {
  const found: number[] = [];
  for (const from of tree.order) {
    for (const to of successors[from]) {
      if (entries.has(to)) continue;
      if (tree.position[to] <= tree.position[from] && !dominates(tree, to, from)) found.push(to);
    }
  }
  return found;
}

function arrange(successors: readonly (readonly number[])[], entrySet: ReadonlySet<number>, tree: Tree): Structure {
  const count = successors.length;
  const entries = [...entrySet].filter((e) => tree.position[e] >= 0);
  const entryOf = new Array<number>(count).fill(-1);
  entries.forEach((block, i) => {
    entryOf[block] = i;
  });
  const isLoop = new Array<boolean>(count).fill(false);
  const forwardEdges = new Int32Array(count);
  const edge = (from: number, to: number): Edge => {
    if (entryOf[to] >= 0) return dominates(tree, to, from) ? EDGE.back : EDGE.dispatch;
    if (tree.position[to] <= tree.position[from]) return EDGE.back;
    return forwardEdges[to] > 1 ? EDGE.forward : EDGE.inline;
  };
  for (const from of tree.order) {
    for (const to of successors[from]) {
      if (entryOf[to] >= 0) {
        if (dominates(tree, to, from)) isLoop[to] = true;
      } else if (tree.position[to] <= tree.position[from]) isLoop[to] = true;
      else forwardEdges[to]++;
    }
  }
  const placed: number[][] = successors.map(() => []);
  const rootPlaced: number[] = [];
  for (const block of tree.order) {
    const parent = tree.idom[block];
    if (parent < 0) rootPlaced.push(block);
    else if (forwardEdges[block] > 1) placed[parent].push(block);
  }
  return {
    entries,
    entryOf,
    isLoop,
    placed,
    rootPlaced,
    order: tree.order,
    edge,
    isJoin: (block) => entryOf[block] >= 0 || isLoop[block] || forwardEdges[block] > 1,
  };
}
