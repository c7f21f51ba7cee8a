import { MIB, SECTOR_BYTES } from '#base/units.ts';
import { BlobStore } from '../backends/blob.ts';
import { type HttpRangeOptions, HttpRangeStore } from '../backends/http-range.ts';
import { MemoryStore } from '../backends/memory.ts';
import { ZeroStore } from '../backends/zero.ts';
import { type BlockStore, storageError } from '../block/block-store.ts';
import { describeImage, HEAD_BYTES, type ImageDescription, TAIL_BYTES } from '../formats/describe-image.ts';
import type { DiskSource } from './disk-spec.ts';

export interface OpenSource {
  readonly store: BlockStore;
  /** Undefined for an empty disk. */
  readonly image: ImageDescription | undefined;
}

/** Largest disk a blank source may ask for: 2 TiB, as far as 32-bit sector numbers reach. */
const MOST_SECTORS = 0x1_0000_0000;

/**
 * Opens the read-only base of a disk and looks at what it is.
 * @throws CodedError as the backends do
 */
export async function openSource(source: DiskSource, http: HttpRangeOptions): Promise<OpenSource> {
  switch (source.kind) {
    case 'blank':
      return { store: openBlank(source.sectorCount), image: undefined };
    case 'url': {
      const store = await HttpRangeStore.open(source.url, http);
      return described(store, store.sizeBytes, nameOfUrl(source.url));
    }
    case 'file':
      return described(await BlobStore.open(source.file), source.file.size, nameOfFile(source.file));
    case 'bytes': {
      const { bytes, name } = source;
      if (bytes.length === 0) throw storageError('bad-image', `${name} is empty (0 bytes)`);
      return described(new MemoryStore(bytes, { writable: false, description: name }), bytes.length, name);
    }
  }
}

function openBlank(sectorCount: number): BlockStore {
  if (Number.isInteger(sectorCount) && 1 <= sectorCount && sectorCount <= MOST_SECTORS)
    return new ZeroStore(sectorCount);
  throw storageError('bad-image', `an empty disk must have 1 to ${(MOST_SECTORS * SECTOR_BYTES) / MIB} MB`, {
    sectorCount,
  });
}

async function described(store: BlockStore, sizeBytes: number, name: string): Promise<OpenSource> {
  try {
    const head = new Uint8Array(Math.min(HEAD_BYTES / SECTOR_BYTES, store.sectorCount) * SECTOR_BYTES);
    await store.read(0, head);
    // Formats with a footer are whole sectors long, so that the last sector is the footer.
    const tail = new Uint8Array(TAIL_BYTES);
    if (sizeBytes % SECTOR_BYTES === 0) await store.read(store.sectorCount - 1, tail);
    return { store, image: describeImage(head, sizeBytes, name, tail) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function nameOfUrl(url: string): string {
  return url.split(/[?#]/, 1)[0]?.split('/').pop() || url;
}

function nameOfFile(file: Blob): string {
  return typeof File === 'function' && file instanceof File ? file.name : 'the image';
}
