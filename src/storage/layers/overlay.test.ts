import 'fake-indexeddb/auto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { MemoryStore } from '../backends/memory.ts';
import { ZeroStore } from '../backends/zero.ts';
import { describeBlockStore, patternImage, readSectors, readWhole } from '../block/block-store.suite.ts';
import type { BlockStore } from '../block/block-store.ts';
import { type ChangedBlocks, MemoryChangedBlocks } from './changed-blocks.ts';
import { IndexedDbChangedBlocks } from './indexeddb-changed-blocks.ts';
import { type OverlayOptions, OverlayStore } from './overlay.ts';

let disks = 0;

describeBlockStore('OverlayStore over memory', async (image) => ({
  store: new OverlayStore(new MemoryStore(image, { writable: false }), new MemoryChangedBlocks()),
}));

describeBlockStore('OverlayStore with little RAM', async (image) => ({
  store: new OverlayStore(
    new MemoryStore(image, { writable: false }),
    new MemoryChangedBlocks({ clusterBytes: 16 * 1024 }),
    { maxDirtyBytes: 48 * 1024, cleanBytes: 32 * 1024 },
  ),
}));

describeBlockStore('OverlayStore in IndexedDB', async (image) => {
  const diskId = `overlay-${disks++}`;
  const open = async (): Promise<BlockStore> => {
    const base = new MemoryStore(image, { writable: false });
    return new OverlayStore(base, await IndexedDbChangedBlocks.open(diskId, base), { maxDirtyBytes: 1 << 20 });
  };
  return { store: await open(), reopen: open };
});

const CLUSTER = 4096;
const SECTORS = 8; // per cluster

/** Counts what is asked of it and can be made to fail. */
class WatchedStore extends MemoryStore {
  readonly reads: string[] = [];
  failWith: CodedError | undefined;
  override async read(sector: number, into: Uint8Array): Promise<void> {
    this.reads.push(`${sector}+${into.length / 512}`);
    if (this.failWith) throw this.failWith;
    return super.read(sector, into);
  }
}

/** Watches commits and can be made to fail them, or to be slow. */
class WatchedChanges extends MemoryChangedBlocks {
  readonly commits: number[][] = [];
  failWith: CodedError | undefined;
  before: () => Promise<void> = async () => {};
  afterLoad: () => Promise<void> = async () => {};
  override async load(cluster: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await super.load(cluster);
    await this.afterLoad();
    return bytes;
  }
  override async commit(clusters: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    const copy = new Map([...clusters].map(([n, bytes]) => [n, bytes.slice()]));
    await this.before();
    if (this.failWith) throw this.failWith;
    this.commits.push([...clusters.keys()]);
    return super.commit(copy);
  }
}

function rig(options: OverlayOptions = {}): { base: WatchedStore; changes: WatchedChanges; store: OverlayStore } {
  const base = new WatchedStore(patternImage(64 * CLUSTER), { writable: false });
  const changes = new WatchedChanges({ clusterBytes: CLUSTER });
  return { base, changes, store: new OverlayStore(base, changes, options) };
}

const FULL = new CodedError('full', 'no room');
const bytesOf = (sectors: number, fill: number): Uint8Array => new Uint8Array(sectors * 512).fill(fill);

describe('OverlayStore', () => {
  it('never writes to its base', async () => {
    const { base, store } = rig();
    await store.write(3, bytesOf(20, 7));
    await store.flush();
    expect(Buffer.compare(await readWhole(base), patternImage(64 * CLUSTER))).toBe(0);
  });

  it('stores every dirty cluster in one commit per flush, and none when nothing changed', async () => {
    const { changes, store } = rig();
    await store.flush();
    await store.write(0, bytesOf(1, 1));
    await store.write(5 * SECTORS + 7, bytesOf(2, 2));
    await store.flush();
    await store.flush();
    expect(changes.commits).toEqual([[0, 5, 6]]);
    expect(store.changedBytes).toBe(3 * CLUSTER);
    expect(store.dirtyBytes).toBe(0);
  });

  it('reads the rest of a cluster from its base only when storing it, and not if all of it was written', async () => {
    const { base, store } = rig();
    await store.write(2 * SECTORS, bytesOf(SECTORS, 5));
    await store.write(9 * SECTORS + 1, bytesOf(3, 6));
    expect(base.reads).toEqual([]);
    await store.flush();
    expect(base.reads).toEqual([`${9 * SECTORS}+${SECTORS}`]);
    await store.write(9 * SECTORS + 5, bytesOf(1, 7));
    await store.flush();
    expect(base.reads.length).toBe(1);
    const expected = patternImage(64 * CLUSTER).slice(9 * CLUSTER, 10 * CLUSTER);
    expected.fill(6, 512, 4 * 512).fill(7, 5 * 512, 6 * 512);
    expect(await readSectors(store, 9 * SECTORS, SECTORS)).toEqual(expected);
  });

  it('completes a flush only when the commit has completed', async () => {
    const { changes, store } = rig();
    let release: () => void = () => {};
    changes.before = () => new Promise((resolve) => (release = resolve));
    await store.write(0, bytesOf(1, 1));
    let flushed = false;
    const flush = store.flush().then(() => (flushed = true));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(flushed).toBe(false);
    release();
    await flush;
    expect(changes.commits).toEqual([[0]]);
  });

  it('keeps what is written while a commit is under way for the next one', async () => {
    const { changes, store } = rig();
    let release: () => void = () => {};
    changes.before = () => new Promise((resolve) => (release = resolve));
    await store.write(0, bytesOf(SECTORS, 1));
    const flush = store.flush();
    await new Promise((resolve) => setTimeout(resolve, 1));
    await store.write(1, bytesOf(1, 2));
    release();
    await flush;
    expect(store.dirtyBytes).toBe(CLUSTER);
    expect((await changes.load(0))[512]).toBe(1);
    changes.before = async () => {};
    await store.flush();
    expect((await changes.load(0))[512]).toBe(2);
    expect(store.dirtyBytes).toBe(0);
  });

  it('does not keep what a slow read found before a write', async () => {
    const { changes, store } = rig({ cleanBytes: CLUSTER });
    await store.write(0, bytesOf(2 * SECTORS, 1));
    await store.flush();
    let release: () => void = () => {};
    changes.afterLoad = () => new Promise((resolve) => (release = resolve));
    const slow = readSectors(store, 0, 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    changes.afterLoad = async () => {};
    await store.write(0, bytesOf(SECTORS, 2));
    await store.flush();
    release();
    await slow;
    expect((await readSectors(store, 0, 1))[0]).toBe(2);
  });

  it('holds no more dirty clusters than allowed, whatever the guest writes without a flush', async () => {
    const { changes, store } = rig({ maxDirtyBytes: 8 * CLUSTER });
    let most = 0;
    for (let i = 0; i < 64; i++) {
      await store.write(i * SECTORS, bytesOf(SECTORS, i + 1));
      most = Math.max(most, store.dirtyBytes);
    }
    expect(most).toBeLessThanOrEqual(8 * CLUSTER);
    expect(changes.commits.length).toBeGreaterThan(0);
    for (let i = 0; i < 64; i++) expect((await readSectors(store, i * SECTORS, 1))[0]).toBe(i + 1);
  });

  it('runs out of room without losing anything, says so once, and goes on when there is room', async () => {
    const events: string[] = [];
    const { changes, store } = rig({
      maxDirtyBytes: 4 * CLUSTER,
      onFull: (error) => events.push(error.code),
      onRoom: () => events.push('room'),
    });
    changes.failWith = FULL;
    for (let i = 0; i < 4; i++) await store.write(i * SECTORS, bytesOf(SECTORS, i + 1));
    await expect(store.flush()).rejects.toMatchObject({ code: 'full' });
    await expect(store.write(10 * SECTORS, bytesOf(1, 1))).rejects.toMatchObject({ code: 'full' });
    expect(store.full).toBe(true);
    // A cluster that is dirty already still takes writes.
    await store.write(2 * SECTORS, bytesOf(1, 99));
    await expect(store.flush()).rejects.toMatchObject({ code: 'full' });
    expect(events).toEqual(['full']);
    changes.failWith = undefined;
    await store.flush();
    expect(events).toEqual(['full', 'room']);
    expect(store.full).toBe(false);
    for (const [i, value] of [1, 2, 99, 4].entries()) expect((await changes.load(i))[0]).toBe(value);
    await store.write(10 * SECTORS, bytesOf(1, 1));
  });

  it('passes on that its base failed, and stores the cluster once the base is back', async () => {
    const { base, changes, store } = rig();
    await store.write(1, bytesOf(1, 1));
    base.failWith = new CodedError('io', 'server away');
    await expect(store.flush()).rejects.toMatchObject({ code: 'io' });
    await expect(readSectors(store, 100, 1)).rejects.toMatchObject({ code: 'io' });
    expect((await readSectors(store, 1, 1))[0]).toBe(1);
    base.failWith = undefined;
    await store.flush();
    expect(changes.commits).toEqual([[0]]);
  });

  it('agrees with a plain array under requests, flushes and spills that overlap in time', async () => {
    const step = fc.record({
      kind: fc.constantFrom('write', 'write', 'write', 'flush', 'read'),
      sector: fc.nat(64 * SECTORS - 1),
      sectors: fc.integer({ min: 1, max: 3 * SECTORS }),
      fill: fc.integer({ min: 1, max: 255 }),
      wait: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { changes, store } = rig({ maxDirtyBytes: 6 * CLUSTER, cleanBytes: 3 * CLUSTER });
        changes.before = () => new Promise((resolve) => setTimeout(resolve, 0));
        const model = patternImage(64 * CLUSTER);
        const flushes: Promise<void>[] = [];
        for (const s of steps) {
          const sectors = Math.min(s.sectors, 64 * SECTORS - s.sector);
          const [from, to] = [s.sector * 512, (s.sector + sectors) * 512];
          if (s.kind === 'flush') flushes.push(store.flush());
          if (s.kind === 'write') {
            await store.write(s.sector, bytesOf(sectors, s.fill));
            model.fill(s.fill, from, to);
          }
          if (s.kind === 'read') {
            expect(Buffer.compare(await readSectors(store, s.sector, sectors), model.subarray(from, to))).toBe(0);
          }
          if (s.wait) await new Promise((resolve) => setTimeout(resolve, 0));
        }
        await Promise.all(flushes);
        expect(Buffer.compare(await readWhole(store), model)).toBe(0);
        await store.flush();
        expect(store.dirtyBytes).toBe(0);
        expect(Buffer.compare(await readWhole(store), model)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

/** Stands for a process that is killed: from one commit on, nothing happens any more. */
class DyingChanges implements ChangedBlocks {
  readonly #to: ChangedBlocks;
  readonly #commitsLeft: { before: number; after: number };
  readonly clusterBytes: number;
  readonly died: Promise<boolean>;
  #die: () => void = () => {};

  /** @param deathAt half steps: 2n dies before commit n reaches the disk, 2n + 1 after it did but before anyone knew */
  constructor(to: ChangedBlocks, deathAt: number) {
    this.#to = to;
    this.clusterBytes = to.clusterBytes;
    this.died = new Promise((resolve) => {
      this.#die = () => resolve(false);
    });
    this.#commitsLeft = { before: Math.ceil(deathAt / 2), after: Math.floor(deathAt / 2) };
  }

  get clusterCount(): number {
    return this.#to.clusterCount;
  }

  has(cluster: number): boolean {
    return this.#to.has(cluster);
  }

  load(cluster: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#to.load(cluster);
  }

  async commit(clusters: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    if (this.#commitsLeft.before-- <= 0) return this.#dead();
    await this.#to.commit(clusters);
    if (this.#commitsLeft.after-- <= 0) return this.#dead();
  }

  close(): Promise<void> {
    return this.#to.close();
  }

  #dead(): Promise<void> {
    this.#die();
    return new Promise(() => {});
  }
}

describe('a crash', () => {
  const DISK = 24 * SECTORS;

  /** Writes to random places with a flush now and then; returns per sector the values it may hold afterwards. */
  async function writeUntilDeath(store: BlockStore, died: Promise<boolean>): Promise<Set<number>[]> {
    const possible = Array.from({ length: DISK }, () => new Set([0]));
    const latest = new Array<number>(DISK).fill(0);
    let x = 12345;
    const random = (below: number): number => ((x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0) >>> 8) % below;
    const alive = (work: Promise<void>): Promise<boolean> => Promise.race([died, work.then(() => true)]);
    for (let value = 1; value <= 120; value++) {
      const sector = random(DISK - 12);
      const sectors = 1 + random(12);
      for (let s = sector; s < sector + sectors; s++) {
        possible[s]?.add(value);
        latest[s] = value;
      }
      if (!(await alive(store.write(sector, bytesOf(sectors, value))))) return possible;
      if (value % 6 !== 0) continue;
      if (!(await alive(store.flush()))) return possible;
      // Acknowledged: from now on only these values, or ones written later.
      for (const [s, v] of latest.entries()) possible[s] = new Set([v]);
    }
    return possible;
  }

  it('at any point between transactions leaves everything that was flushed', async () => {
    let deaths = 0;
    let unreached = false;
    for (let deathAt = 0; !unreached; deathAt++) {
      const diskId = `crash-${deathAt}`;
      const base = new ZeroStore(DISK);
      const disk = await IndexedDbChangedBlocks.open(diskId, base, { clusterBytes: CLUSTER });
      const dying = new DyingChanges(disk, deathAt);
      const store = new OverlayStore(base, dying, { maxDirtyBytes: 10 * CLUSTER });
      const possible = await writeUntilDeath(store, dying.died);
      unreached = possible.every((values) => values.size === 1);

      const again = new OverlayStore(base, await IndexedDbChangedBlocks.open(diskId, base, { expectExisting: true }));
      const found = await readWhole(again);
      for (let s = 0; s < DISK; s++) {
        const sector = found.subarray(s * 512, (s + 1) * 512);
        const value = sector[0] ?? -1;
        expect(possible[s]?.has(value), `death ${deathAt}: sector ${s} holds ${value}`).toBe(true);
        expect(sector.every((b) => b === value)).toBe(true);
      }
      deaths++;
    }
    // Flushes alone are 20 commits: before and after each, and whatever spilled in between.
    expect(deaths).toBeGreaterThan(40);
  });
});
