import { describe, expect, it } from 'vitest';
import { patternImage } from '../block/block-store.suite.ts';
import type { ChangedBlocks } from './changed-blocks.ts';

export interface ChangesUnderTest {
  readonly changes: ChangedBlocks;
  /** Opens what is stored once more; absent when nothing outlives the object. */
  readonly reopen?: () => Promise<ChangedBlocks>;
}

export const SUITE_CLUSTER_BYTES = 4096;

/** The promises of `ChangedBlocks`, checked against any implementation with clusters of `SUITE_CLUSTER_BYTES`. */
export function describeChangedBlocks(name: string, make: () => Promise<ChangesUnderTest>): void {
  const cluster = (seed: number): Uint8Array<ArrayBuffer> => patternImage(SUITE_CLUSTER_BYTES, seed);

  describe(`${name} as changed blocks`, () => {
    it('starts with nothing', async () => {
      const { changes } = await make();
      expect(changes.clusterBytes).toBe(SUITE_CLUSTER_BYTES);
      expect(changes.clusterCount).toBe(0);
      expect(changes.has(0)).toBe(false);
      await expect(changes.load(0)).rejects.toMatchObject({ code: 'io' });
      await changes.close();
    });

    it('returns the latest of what was committed, far apart numbers too', async () => {
      const { changes, reopen } = await make();
      await changes.commit(
        new Map([
          [0, cluster(1)],
          [8191, cluster(2)],
          [8192, cluster(3)],
          [1_000_000, cluster(4)],
        ]),
      );
      await changes.commit(new Map([[8192, cluster(5)]]));
      const check = async (c: ChangedBlocks): Promise<void> => {
        expect(c.clusterCount).toBe(4);
        expect([1, 8190, 8193, 999_999].some((n) => c.has(n))).toBe(false);
        for (const [number, seed] of [
          [0, 1],
          [8191, 2],
          [8192, 5],
          [1_000_000, 4],
        ] as const) {
          expect(c.has(number)).toBe(true);
          expect(Buffer.compare(await c.load(number), cluster(seed))).toBe(0);
        }
        await c.close();
      };
      if (!reopen) return check(changes);
      await changes.close();
      await check(await reopen());
    });

    it('takes its copy before commit returns, and hands out copies', async () => {
      const { changes } = await make();
      const bytes = cluster(1);
      const committed = changes.commit(new Map([[3, bytes]]));
      bytes.fill(0);
      await committed;
      const loaded = await changes.load(3);
      expect(Buffer.compare(loaded, cluster(1))).toBe(0);
      loaded.fill(0);
      expect(Buffer.compare(await changes.load(3), cluster(1))).toBe(0);
      await changes.close();
    });

    it('has a cluster only once its commit has resolved', async () => {
      const { changes } = await make();
      const committed = changes.commit(new Map([[3, cluster(1)]]));
      await committed;
      expect(changes.has(3)).toBe(true);
      await changes.commit(new Map());
      expect(changes.clusterCount).toBe(1);
      await changes.close();
    });
  });
}
