import 'fake-indexeddb/auto';
import { describe, expect, it } from 'vitest';
import { FileStore } from './file-store.ts';

describe('file store', () => {
  it('keeps files under their keys and forgets a machine’s together', async () => {
    const store = new FileStore('files-test');
    const bytes = Uint8Array.of(1, 2, 3);
    await store.put('a/kernel', new Blob([bytes]));
    await store.put('a/state', new Blob(['old']));
    await store.put('a/state', new Blob(['new']));
    await store.put('ab/kernel', new Blob(['other']));
    expect((await store.keys()).toSorted()).toEqual(['a/kernel', 'a/state', 'ab/kernel']);
    expect(await store.get('a/missing')).toBeUndefined();
    await store.removeAll('a/');
    expect(await store.keys()).toEqual(['ab/kernel']);
    await store.remove('ab/kernel');
    expect(await store.keys()).toEqual([]);
  });

  it('outlives its object', async () => {
    await new FileStore('files-again').put('a/kernel', new Blob(['kernel']));
    expect(await new FileStore('files-again').keys()).toEqual(['a/kernel']);
  });
});
