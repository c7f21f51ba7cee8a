import 'fake-indexeddb/auto';
import { openDB } from 'idb';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { patternImage } from '../block/block-store.suite.ts';
import { describeChangedBlocks, SUITE_CLUSTER_BYTES } from './changed-blocks.suite.ts';
import { MemoryChangedBlocks } from './changed-blocks.ts';
import type { Locks } from './exclusive.ts';
import { IndexedDbChangedBlocks, type IndexedDbOptions } from './indexeddb-changed-blocks.ts';

let disks = 0;
const BASE = { identity: 'zero:1000000', sectorCount: 1_000_000 };

const open = (diskId: string, options: IndexedDbOptions = {}): Promise<IndexedDbChangedBlocks> =>
  IndexedDbChangedBlocks.open(diskId, BASE, { clusterBytes: SUITE_CLUSTER_BYTES, ...options });

describeChangedBlocks('MemoryChangedBlocks', async () => ({
  changes: new MemoryChangedBlocks({ clusterBytes: SUITE_CLUSTER_BYTES }),
}));

describeChangedBlocks('IndexedDbChangedBlocks', async () => {
  const diskId = `suite-${disks++}`;
  return { changes: await open(diskId), reopen: () => open(diskId) };
});

const cluster = (seed: number): Uint8Array<ArrayBuffer> => patternImage(SUITE_CLUSTER_BYTES, seed);
afterEach(() => vi.restoreAllMocks());

describe('MemoryChangedBlocks', () => {
  it('is full at its limit, and stores nothing of what does not fit', async () => {
    const changes = new MemoryChangedBlocks({ clusterBytes: 512, limitBytes: 1024 });
    const bytes = new Uint8Array(512);
    await changes.commit(new Map([[0, bytes]]));
    await expect(
      changes.commit(
        new Map([
          [1, bytes],
          [2, bytes],
        ]),
      ),
    ).rejects.toMatchObject({ code: 'full' });
    expect(changes.has(1)).toBe(false);
    await changes.commit(new Map([[1, bytes]]));
    await changes.commit(
      new Map([
        [0, bytes],
        [1, bytes],
      ]),
    );
  });
});

describe('IndexedDbChangedBlocks', () => {
  it('commits in one strict transaction', async () => {
    const changes = await open('strict');
    const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction');
    await changes.commit(
      new Map([
        [1, cluster(1)],
        [2, cluster(2)],
        [90_000, cluster(3)],
      ]),
    );
    expect(transaction.mock.calls).toEqual([[['clusters', 'index'], 'readwrite', { durability: 'strict' }]]);
    await changes.close();
  });

  it.each([0, 1, 2, 3, 4])('stores nothing when the browser runs out of room at put %i', async (at) => {
    const diskId = `quota-${at}`;
    const changes = await open(diskId);
    await changes.commit(new Map([[1, cluster(1)]]));
    const { put } = IDBObjectStore.prototype;
    let puts = 0;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value, key) {
      if (puts++ === at) throw new DOMException('no room', 'QuotaExceededError');
      return put.call(this, value, key);
    });
    const batch = new Map([
      [1, cluster(10)],
      [2, cluster(20)],
      [9000, cluster(30)],
    ]);
    await expect(changes.commit(batch)).rejects.toMatchObject({ code: 'full', message: expect.stringMatching(/room/) });
    vi.restoreAllMocks();
    for (const c of [changes, await open(diskId)]) {
      expect(c.clusterCount).toBe(1);
      expect([1, 2, 9000].map((n) => c.has(n))).toEqual([true, false, false]);
      expect(Buffer.compare(await c.load(1), cluster(1))).toBe(0);
    }
    await changes.commit(batch);
    expect(changes.clusterCount).toBe(3);
    await changes.close();
  });

  it('reports a transaction the browser aborted for lack of room', async () => {
    const changes = await open('abort');
    const { put } = IDBObjectStore.prototype;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value, key) {
      const request = put.call(this, value, key);
      // The way the engine itself aborts: the requests fail with AbortError, the transaction with the reason.
      const engine = this.transaction as unknown as { _abort(reason: string): void };
      if (this.name === 'index') engine._abort('QuotaExceededError');
      return request;
    });
    await expect(changes.commit(new Map([[1, cluster(1)]]))).rejects.toMatchObject({ code: 'full' });
    vi.restoreAllMocks();
    expect(changes.has(1)).toBe(false);
    await changes.close();
  });

  it('is not opened at all when there is no room even for its header', async () => {
    const { put } = IDBObjectStore.prototype;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value, key) {
      const request = put.call(this, value, key);
      (this.transaction as unknown as { _abort(reason: string): void })._abort('QuotaExceededError');
      return request;
    });
    await expect(open('no-header')).rejects.toMatchObject({ code: 'full' });
    vi.restoreAllMocks();
    expect(await IndexedDbChangedBlocks.exists('no-header')).toBe(false);
    await (await open('no-header')).close();
  });

  it('is never opened over another base', async () => {
    const changes = await open('base');
    await changes.commit(new Map([[1, cluster(1)]]));
    await changes.close();
    for (const other of [
      { ...BASE, identity: 'zero:1' },
      { ...BASE, sectorCount: 999 },
    ]) {
      await expect(IndexedDbChangedBlocks.open('base', other)).rejects.toMatchObject({ code: 'wrong-base' });
    }
    expect((await open('base')).clusterCount).toBe(1);
  });

  it('says that the browser threw the changes away instead of starting afresh', async () => {
    await expect(open('evicted', { expectExisting: true })).rejects.toMatchObject({
      code: 'evicted',
      message: expect.stringMatching(/threw the changes.*away/),
    });
    expect(await IndexedDbChangedBlocks.exists('evicted')).toBe(false);
    await (await open('evicted')).close();
    expect(await IndexedDbChangedBlocks.exists('evicted')).toBe(true);
    await (await open('evicted', { expectExisting: true })).close();
  });

  it('keeps the cluster size it was made with', async () => {
    await (await open('size')).close();
    expect((await open('size', { clusterBytes: 512 })).clusterBytes).toBe(SUITE_CLUSTER_BYTES);
  });

  it('refuses what a newer version wrote', async () => {
    (await openDB('tabbox-disk-newer', 99)).close();
    await expect(open('newer')).rejects.toMatchObject({ code: 'newer-version' });
  });

  it('is gone after discard', async () => {
    const changes = await open('discard');
    await changes.commit(new Map([[1, cluster(1)]]));
    await changes.close();
    await IndexedDbChangedBlocks.discard('discard');
    expect((await open('discard')).clusterCount).toBe(0);
  });
});

/** Web Locks within one process. */
class FakeLocks implements Locks {
  readonly #held = new Set<string>();

  async request(
    name: string,
    _options: { readonly ifAvailable: true },
    granted: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown> {
    if (this.#held.has(name)) return granted(null);
    this.#held.add(name);
    await granted({ name });
    this.#held.delete(name);
    return undefined;
  }
}

describe('two tabs', () => {
  it('cannot open, or discard, one disk at the same time', async () => {
    const locks = new FakeLocks();
    const first = await open('tabs', { locks });
    await expect(open('tabs', { locks })).rejects.toMatchObject({ code: 'in-use' });
    await expect(IndexedDbChangedBlocks.discard('tabs', locks)).rejects.toMatchObject({ code: 'in-use' });
    await (await open('other', { locks })).close();
    await first.close();
    await (await open('tabs', { locks })).close();
  });

  it('give the disk free again when opening fails', async () => {
    const locks = new FakeLocks();
    await expect(open('tabs-evicted', { locks, expectExisting: true })).rejects.toMatchObject({ code: 'evicted' });
    await (await open('tabs-evicted', { locks })).close();
    await IndexedDbChangedBlocks.discard('tabs-evicted', locks);
  });
});
