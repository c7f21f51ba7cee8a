import { describe, expect, it } from 'vitest';
import { describeBlockStore, patternImage, readSectors } from '../block/block-store.suite.ts';
import { BlobStore } from './blob.ts';

describeBlockStore('BlobStore', async (image) => ({ store: await BlobStore.open(new Blob([image])) }));

/** A blob whose file behaves as a browser's does after something happened to it. */
class FailingBlob extends Blob {
  failure: DOMException | undefined;
  override slice(start?: number, end?: number): Blob {
    const part = super.slice(start, end);
    const { failure } = this;
    if (failure) part.arrayBuffer = () => Promise.reject(failure);
    return part;
  }
}

describe('BlobStore', () => {
  it.each([
    ['NotReadableError', 'changed', /choose it again/],
    ['NotFoundError', 'not-found', /choose it again/],
    ['SecurityError', 'io', /could not be read/],
  ])('explains %s', async (name, code, message) => {
    const blob = new FailingBlob([patternImage(64 * 512)]);
    const store = await BlobStore.open(blob);
    blob.failure = new DOMException('no', name);
    await expect(readSectors(store, 1, 1)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    blob.failure = undefined;
    expect(await readSectors(store, 1, 1)).toEqual(patternImage(64 * 512).slice(512, 1024));
  });

  it('refuses an empty file', async () => {
    await expect(BlobStore.open(new Blob([]))).rejects.toMatchObject({ code: 'bad-image', details: { size: 0 } });
  });

  it('has one identity per content', async () => {
    const image = patternImage(100 * 512);
    const first = await BlobStore.open(new Blob([image]));
    const same = await BlobStore.open(new Blob([image.slice()]));
    image[50 * 512] ^= 1;
    const other = await BlobStore.open(new Blob([image]));
    expect(same.identity).toBe(first.identity);
    expect(other.identity).not.toBe(first.identity);
  });

  it('notices a file saved again', async () => {
    const image = patternImage(100 * 512);
    const identities = await Promise.all(
      [1, 2].map(async (lastModified) => (await BlobStore.open(new File([image], 'a.img', { lastModified }))).identity),
    );
    expect(identities[0]).not.toBe(identities[1]);
  });
});
