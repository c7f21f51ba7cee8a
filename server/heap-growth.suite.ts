/**
 * What is left on the heap by something that is done again and again, for tests that say that it leaves nothing.
 *
 * Objects are counted one by one in a snapshot: something is kept if there are more and more of them. Bytes alone would not
 * say: V8's code, and its lists of what that depends on, go on growing for ten thousands of rounds, ever more slowly.
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

export interface HeapMark {
  /** How often it was done until then. */
  readonly rounds: number;
  /** Of the heap, and of the buffers that belong to it. */
  readonly bytes: number;
  /** Objects and functions, by the name of their constructor; undefined: nobody has counted. */
  readonly counts: ReadonlyMap<string, number> | undefined;
}

/** What the second half may leave: lazily made objects and code of ways that are seldom gone. */
const FEW_OBJECTS = 100;
const OBJECTS_A_ROUND = 0.01;
const FEW_BYTES = 500_000;
const BYTES_A_ROUND = 8;
const QUARTERS = 4;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function countObjects(): Promise<Map<string, number>> {
  let text = '';
  for await (const part of getHeapSnapshot()) text += part;
  const { snapshot, nodes, strings } = JSON.parse(text) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name] = [fields.indexOf('type'), fields.indexOf('name')];
  const counts = new Map<string, number>();
  for (let i = 0; i < nodes.length; i += fields.length) {
    const kind = types[0][nodes[i + type]];
    if (kind !== 'object' && kind !== 'closure') continue;
    const key = kind === 'object' ? strings[nodes[i + name]] : 'Function';
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

async function mark(rounds: number, isCounted: boolean): Promise<HeapMark> {
  // Timers and promises of the last round have to be over.
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  const counts = isCounted ? await countObjects() : undefined;
  // Buffers are let go beside the program; each collection waits for what the one before has begun.
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { rounds, bytes: heapUsed + arrayBuffers, counts };
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
    .map(({ rounds, bytes, counts }) => {
      const objects = counts ? `, ${sum(counts)} objects` : '';
      return `after ${rounds} ${(bytes / 1e6).toFixed(2)} MB${objects}`;
    })
    .join('; ');

/** The first half fills caches and tables; the second one leaves nothing behind. */
export function expectFlat(marks: readonly HeapMark[], why: string): void {
  const [half, end] = [marks[QUARTERS / 2 - 1], marks[QUARTERS - 1]];
  const [before, after] = [half.counts ?? new Map<string, number>(), end.counts ?? new Map<string, number>()];
  const rounds = end.rounds - half.rounds;
  const more = [...after]
    .map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 6);
  const all = `${why}; ${growthText(marks)}; more of ${more.map(([name, count]) => `${name} ${count}`).join(', ')}`;
  expect(sum(after) - sum(before), all).toBeLessThan(FEW_OBJECTS + rounds * OBJECTS_A_ROUND);
  expect(end.bytes - half.bytes, all).toBeLessThan(FEW_BYTES + rounds * BYTES_A_ROUND);
}

const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((all, one) => all + one, 0);
