import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { SECTOR_BYTES } from '#base/units.ts';
import type { BlockStore } from './block-store.ts';
import { contentOf } from './content.ts';

/** One implementation under test, holding the image it was given. */
export interface StoreUnderTest {
  readonly store: BlockStore;
  /** Opens what a crash right now would leave behind; absent when the store is not meant to outlive itself. */
  readonly reopen?: () => Promise<BlockStore>;
  readonly cleanUp?: () => Promise<void>;
}

export type MakeStore = (image: Uint8Array<ArrayBuffer>) => Promise<StoreUnderTest>;

/** Every byte tells where it came from. */
export function patternImage(bytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(bytes);
  let x = seed | 1;
  for (let i = 0; i < bytes; i++) {
    x = Math.imul(x, 1_664_525) + 1_013_904_223;
    image[i] = x >>> 24;
  }
  return image;
}

export async function readSectors(
  store: BlockStore,
  sector: number,
  sectors: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const into = new Uint8Array(sectors * SECTOR_BYTES);
  await store.read(sector, into);
  return into;
}

export async function readWhole(store: BlockStore): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(store.sectorCount * SECTOR_BYTES);
  let at = 0;
  for await (const chunk of contentOf(store)) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

const IMAGE_SECTORS = 2600; // Over 1 MiB and no multiple of any cluster or chunk in use.

/** The promises of `BlockStore`, checked against any implementation. */
export function describeBlockStore(name: string, make: MakeStore): void {
  describe(`${name} as a block store`, () => {
    const cleanUps: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const cleanUp of cleanUps.splice(0)) await cleanUp();
    });

    async function open(image: Uint8Array<ArrayBuffer>): Promise<StoreUnderTest> {
      const made = await make(image);
      cleanUps.push(async () => {
        await made.store.close();
        await made.cleanUp?.();
      });
      return made;
    }

    it('says its size, what it is and which content it has', async () => {
      const { store } = await open(patternImage(IMAGE_SECTORS * 512));
      expect(store.sectorCount).toBe(IMAGE_SECTORS);
      expect(store.description).not.toBe('');
      expect(store.identity).not.toBe('');
    });

    it('reads its image back', async () => {
      const image = patternImage(IMAGE_SECTORS * 512);
      const { store } = await open(image);
      expect(Buffer.compare(await readWhole(store), image)).toBe(0);
    });

    it('reads any range, several at once', async () => {
      const image = patternImage(IMAGE_SECTORS * 512, 7);
      const { store } = await open(image);
      const range = fc
        .tuple(fc.nat(IMAGE_SECTORS - 1), fc.nat(300))
        .map(([sector, sectors]) => ({ sector, sectors: Math.min(sectors, IMAGE_SECTORS - sector) }));
      await fc.assert(
        fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 6 }), async (ranges) => {
          const results = await Promise.all(ranges.map((r) => readSectors(store, r.sector, r.sectors)));
          ranges.forEach((r, i) => {
            const expected = image.subarray(r.sector * 512, (r.sector + r.sectors) * 512);
            expect(Buffer.compare(results[i] ?? new Uint8Array(), expected)).toBe(0);
          });
        }),
        { numRuns: 30 },
      );
    });

    it('reads into shared memory and touches nothing beside it', async () => {
      const image = patternImage(IMAGE_SECTORS * 512, 3);
      const { store } = await open(image);
      const shared = new Uint8Array(new SharedArrayBuffer(4 * 512)).fill(0xee);
      await store.read(5, shared.subarray(512, 3 * 512));
      expect([...shared.subarray(0, 512)].every((b) => b === 0xee)).toBe(true);
      expect(Buffer.compare(shared.slice(512, 3 * 512), image.subarray(5 * 512, 7 * 512))).toBe(0);
      expect([...shared.subarray(3 * 512)].every((b) => b === 0xee)).toBe(true);
    });

    it('pads a last partial sector with zeros', async () => {
      const image = patternImage(9 * 512 + 100, 5);
      const { store } = await open(image);
      expect(store.sectorCount).toBe(10);
      const last = await readSectors(store, 9, 1);
      expect(Buffer.compare(last.subarray(0, 100), image.subarray(9 * 512))).toBe(0);
      expect(last.subarray(100).every((b) => b === 0)).toBe(true);
    });

    it('takes an empty request anywhere up to its end', async () => {
      const { store } = await open(patternImage(8 * 512));
      await store.read(0, new Uint8Array(0));
      await store.read(8, new Uint8Array(0));
    });

    it.each([
      ['behind the end', 8, 512],
      ['across the end', 7, 1024],
      ['before the start', -1, 512],
      ['at a broken sector', 0.5, 512],
      ['of half a sector', 0, 256],
    ])('refuses a request %s', async (_what, sector, bytes) => {
      const { store } = await open(patternImage(8 * 512));
      await expect(store.read(sector, new Uint8Array(bytes))).rejects.toMatchObject({ code: 'out-of-range' });
      if (store.writable) {
        await expect(store.write(sector, new Uint8Array(bytes))).rejects.toMatchObject({ code: 'out-of-range' });
      }
    });

    it('is gone after close', async () => {
      const { store } = await open(patternImage(8 * 512));
      await store.close();
      await store.close();
      await expect(store.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'closed' });
      await expect(store.flush()).rejects.toMatchObject({ code: 'closed' });
    });

    it('keeps what is written, or refuses it', async () => {
      const image = patternImage(IMAGE_SECTORS * 512, 11);
      const { store, reopen } = await open(image);
      if (!store.writable) {
        await expect(store.write(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'read-only' });
        expect(Buffer.compare(await readSectors(store, 0, 1), image.subarray(0, 512))).toBe(0);
        return store.flush();
      }
      const model = image.slice();
      const step = fc.record({
        sector: fc.nat(IMAGE_SECTORS - 1),
        sectors: fc.integer({ min: 1, max: 700 }),
        fill: fc.nat(255),
        after: fc.constantFrom('nothing', 'flush', 'read', 'read'),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
          for (const s of steps) {
            const sectors = Math.min(s.sectors, IMAGE_SECTORS - s.sector);
            const from = new Uint8Array(new SharedArrayBuffer(sectors * 512));
            from.set(patternImage(sectors * 512, s.fill + 1));
            await store.write(s.sector, from);
            model.set(from, s.sector * 512);
            // The buffer is ours again: what happens to it now must not reach the disk.
            from.fill(0xdd);
            if (s.after === 'flush') await store.flush();
            if (s.after === 'read') {
              const got = await readSectors(store, s.sector, sectors);
              expect(Buffer.compare(got, model.subarray(s.sector * 512, (s.sector + sectors) * 512))).toBe(0);
            }
          }
          expect(Buffer.compare(await readWhole(store), model)).toBe(0);
        }),
        { numRuns: 8 },
      );
      await store.flush();
      if (!reopen) return;
      await store.close();
      const again = await reopen();
      expect(Buffer.compare(await readWhole(again), model)).toBe(0);
      expect(again.identity).toBe(store.identity);
      await again.close();
    });
  });
}
