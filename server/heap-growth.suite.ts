/**
 * What is left on the heap by something that is done again and again, for tests that say that it leaves nothing.
 *
 * What the program has is looked up in snapshots: its objects one by one, and the bytes of all that is its own. The heap as
 * a whole would not say: V8's code, and its lists of what that depends on, go on growing for ten thousands of rounds, by 20
 * bytes each, and memory of buffers is let go later than they are.
 */
import { getHeapSnapshot, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';

/** What V8's snapshots are made of. Source: V8, src/profiler/heap-snapshot-generator.cc (HeapSnapshotJSONSerializer). */
interface Snapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: string[]; readonly node_types: [string[], ...unknown[]] };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

interface Kept {
  /** Objects and functions, by the name of their constructor. */
  readonly counts: ReadonlyMap<string, number>;
  /** Of these, of texts, buffers, and what tables are made of. */
  readonly bytes: number;
}

export interface HeapMark {
  /** How often it was done until then. */
  readonly rounds: number;
  /** Of the heap with V8's share, and of buffers. */
  readonly heapBytes: number;
  /** The program's; undefined: nobody has looked. */
  readonly kept: Kept | undefined;
}

/** What the second half may leave: lazily made objects and code of ways that are seldom gone. */
const FEW_OBJECTS = 100;
const OBJECTS_A_ROUND = 0.01;
const FEW_BYTES = 100_000;
const BYTES_A_ROUND = 2;
const QUARTERS = 4;
/** Kinds of nodes that are V8's: what is compiled, and what that depends on; shapes of objects; roots. */
const OF_V8 = ['code', 'hidden', 'object shape', 'synthetic'];

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function lookUp(): Promise<Kept> {
  let text = '';
  for await (const part of getHeapSnapshot()) text += part;
  const { snapshot, nodes, strings } = JSON.parse(text) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field));
  const counts = new Map<string, number>();
  let bytes = 0;
  for (let i = 0; i < nodes.length; i += fields.length) {
    const kind = types[0][nodes[i + type]];
    if (OF_V8.includes(kind)) continue;
    bytes += nodes[i + size];
    if (kind !== 'object' && kind !== 'closure') continue;
    const key = kind === 'object' ? strings[nodes[i + name]] : 'Function';
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return { counts, bytes };
}

async function mark(rounds: number, isLookedUp: boolean): Promise<HeapMark> {
  // Timers and promises of the last round have to be over.
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  const kept = isLookedUp ? await lookUp() : undefined;
  // Buffers are let go beside the program; each collection waits for what the one before has begun.
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { rounds, heapBytes: heapUsed + arrayBuffers, kept };
}

export interface Repeated {
  /** It goes on for so long, and for so many rounds at least. */
  readonly seconds: number;
  readonly leastRounds: number;
  /** @returns how many rounds it was */
  readonly round: () => Promise<number>;
  /** Waits for what the last round has left to be over, by `until`; default: nothing. */
  readonly settle?: () => Promise<void>;
}

const LONGEST_WAIT_MS = 15_000;

/** As `expect.poll`, which keeps something of each call. @throws Error when it takes too long */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + LONGEST_WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** @returns a mark after each quarter */
export async function repeat({ seconds, leastRounds, round, settle }: Repeated): Promise<HeapMark[]> {
  const began = performance.now();
  const marks: HeapMark[] = [];
  for (let rounds = 0, quarter = 1; quarter <= QUARTERS; quarter++) {
    const part = quarter / QUARTERS;
    while (rounds < leastRounds * part || performance.now() - began < seconds * 1000 * part) rounds += await round();
    await settle?.();
    // A snapshot takes a second, and the two that are compared are enough.
    marks.push(await mark(rounds, quarter % 2 === 0));
  }
  return marks;
}

/** In words, for who looks on. */
export const growthText = (marks: readonly HeapMark[]): string =>
  marks
    .map(({ rounds, heapBytes, kept }) => {
      const own = kept ? ` (${sum(kept.counts)} objects, ${kept.bytes} bytes of the program)` : '';
      return `after ${rounds} ${(heapBytes / 1e6).toFixed(2)} MB${own}`;
    })
    .join('; ');

/** The first half fills caches and tables; the second one leaves nothing behind. */
export function expectFlat(marks: readonly HeapMark[], why: string): void {
  const [half, end] = [marks[QUARTERS / 2 - 1], marks[QUARTERS - 1]];
  if (!half.kept || !end.kept) throw new Error('these marks have nothing to be compared');
  const [before, after] = [half.kept, end.kept];
  const rounds = end.rounds - half.rounds;
  const more = [...after.counts]
    .map(([name, count]) => [name, count - (before.counts.get(name) ?? 0)] as const)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 6);
  const all = `${why}; ${growthText(marks)}; more of ${more.map(([name, count]) => `${name} ${count}`).join(', ')}`;
  expect(sum(after.counts) - sum(before.counts), all).toBeLessThan(FEW_OBJECTS + rounds * OBJECTS_A_ROUND);
  expect(after.bytes - before.bytes, all).toBeLessThan(FEW_BYTES + rounds * BYTES_A_ROUND);
}

const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((all, one) => all + one, 0);
