import { describe, expect, it } from 'vitest';
import { describeBlockStore, readSectors } from '../block/block-store.suite.ts';
import { MemoryStore } from './memory.ts';
import { ZeroStore } from './zero.ts';

describeBlockStore('MemoryStore', async (image) => ({ store: new MemoryStore(image) }));
describeBlockStore('MemoryStore, read-only', async (image) => ({ store: new MemoryStore(image, { writable: false }) }));

it('tells contents apart', () => {
  const one = new MemoryStore(new Uint8Array(512));
  const other = new MemoryStore(new Uint8Array(512).fill(1));
  expect(one.identity).not.toBe(other.identity);
});

describe('ZeroStore', () => {
  it('reads zeros and takes nothing', async () => {
    const store = new ZeroStore(1 << 23);
    const into = new Uint8Array(1024).fill(7);
    await store.read((1 << 23) - 2, into);
    expect(into.every((b) => b === 0)).toBe(true);
    await expect(store.write()).rejects.toMatchObject({ code: 'read-only' });
    await expect(readSectors(store, 1 << 23, 1)).rejects.toMatchObject({ code: 'out-of-range' });
    await store.close();
    await expect(readSectors(store, 0, 1)).rejects.toMatchObject({ code: 'closed' });
  });
});
