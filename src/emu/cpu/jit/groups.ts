/**
 * Grouped TLB checks: accesses at known distances from one unknown, or from one sum of two, in a stretch of code share one
 * look-up.
 *
 * The generator runs each block's semantics twice. The first run collects accesses by unknown; the second asks here. The
 * first access of a group finds the page of the whole range in the TLB and keeps the host address of the range's start, or
 * 0 when the range is not in one page of the TLB: then each access goes its own way.
 */
import { type IntType, movedOrigin, type Origin } from '../wasm/expr.ts';
import type { Var } from '../wasm/function.ts';

/** Farthest distance between the ends of a group. */
const MAX_SPAN = 512;

/** Accesses of one kind to a range around an unknown. */
export interface Group {
  readonly symbol: number;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly write: boolean;
}

/** A group whose check has been emitted on every way here. */
export interface OpenGroup extends Group {
  /** Host address of `from`, or 0. */
  readonly host: Var<'i32'>;
}

interface Access {
  readonly offset: number;
  readonly bytes: number;
  readonly write: boolean;
  readonly block: number;
}

/** In 64-bit code; elsewhere the upper half is not used. */
export const GENERAL_REGISTERS = 16;

/** All registers are unknowns of their own. */
export const freshOrigins = (firstSymbol: number): Origin[] =>
  Array.from({ length: GENERAL_REGISTERS }, (_, n) => ({ symbol: firstSymbol + n, offset: 0 }));

export class MemoryPlan {
  readonly #accesses = new Map<number, Access[]>();
  #groups = new Map<number, Group[]>();
  /** Unknowns that are sums, below 0 so that they are nobody else's. */
  readonly #sums = new Map<string, number>();

  /** Where a base plus an index shifted left is, the same for the same registers in both runs. `base` may be absent. */
  sum(type: IntType, base: Origin | undefined, index: Origin, scale: number): Origin | undefined {
    const key = `${base?.symbol} ${index.symbol} ${scale}`;
    const symbol = this.#sums.get(key) ?? -1 - this.#sums.size;
    this.#sums.set(key, symbol);
    const scaled = movedOrigin(type, { symbol, offset: 0 }, index.offset * 2 ** scale);
    return scaled && movedOrigin(type, scaled, base?.offset ?? 0);
  }

  /** First run: an access at a known distance. */
  record(origin: Origin, bytes: number, write: boolean, block: number): void {
    const list = this.#accesses.get(origin.symbol);
    const access = { offset: origin.offset, bytes, write, block };
    if (list) list.push(access);
    else this.#accesses.set(origin.symbol, [access]);
  }

  /** Between the runs. */
  arrange(): void {
    this.#groups = new Map();
    for (const [symbol, accesses] of this.#accesses) this.#groups.set(symbol, groupsOf(symbol, accesses));
  }

  /** The group that an access belongs to; undefined: it is alone. */
  find(origin: Origin, bytes: number, write: boolean): Group | undefined {
    return this.#groups
      .get(origin.symbol)
      ?.find((g) => g.from <= origin.offset && origin.offset + bytes <= g.to && (g.write || !write));
  }
}

function groupsOf(symbol: number, accesses: readonly Access[]): Group[] {
  // Reads share the check of writes where a block does both; elsewhere a page that is only read would never match.
  const writing = new Set(accesses.filter((a) => a.write).map((a) => a.block));
  const groups: Group[] = [];
  for (const write of [true, false]) {
    const mine = accesses.filter((a) => (write ? writing.has(a.block) : !writing.has(a.block)));
    mine.sort((a, b) => a.offset - b.offset);
    for (let i = 0; i < mine.length; ) {
      const from = mine[i].offset;
      let to = from + mine[i].bytes;
      let n = 1;
      while (i + n < mine.length && Math.max(to, mine[i + n].offset + mine[i + n].bytes) - from <= MAX_SPAN) {
        to = Math.max(to, mine[i + n].offset + mine[i + n].bytes);
        n++;
      }
      if (n > 1) groups.push({ symbol, from, to, write });
      i += n;
    }
  }
  return groups;
}
