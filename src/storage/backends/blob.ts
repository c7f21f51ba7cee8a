/**
 * An image the person picked from their computer. Source: W3C File API, sections 3 (Blob), 4 (File) and 8.1
 * (error conditions: NotReadableError is also what a read of a file modified after its selection gives).
 * Not modelled: writing back to the file (File System Access).
 */
import { SECTOR_BYTES } from '#base/units.ts';
import {
  type BlockStore,
  checkRequest,
  closedError,
  readOnlyError,
  sectorsFor,
  storageError,
} from '../block/block-store.ts';
import { fingerprint } from '../block/content.ts';

/** Bytes sampled at the front, in the middle and at the end for the identity. */
const SAMPLE_BYTES = 4096;

export class BlobStore implements BlockStore {
  readonly description: string;
  readonly identity: string;
  readonly sectorCount: number;
  readonly writable: boolean = false;
  readonly #blob: Blob;
  #closed = false;

  private constructor(blob: Blob, identity: string) {
    this.#blob = blob;
    this.description = describe(blob);
    this.identity = identity;
    this.sectorCount = sectorsFor(blob.size);
  }

  /**
   * @throws CodedError<'bad-image'> when empty; `changed` or `not-found` when the file behind it is not as selected
   */
  static async open(blob: Blob): Promise<BlobStore> {
    if (blob.size === 0) {
      throw storageError('bad-image', `${describe(blob)} is empty (0 bytes), so there is no disk in it`, { size: 0 });
    }
    const middle = Math.floor(blob.size / 2);
    const samples = [0, middle, Math.max(0, blob.size - SAMPLE_BYTES)].map((at) => blob.slice(at, at + SAMPLE_BYTES));
    const bytes = await bytesOf(new Blob(samples), blob);
    const modified = fileOf(blob)?.lastModified ?? 0;
    return new BlobStore(blob, `file:${blob.size}:${modified}:${fingerprint(bytes)}`);
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    if (this.#closed) throw closedError(this.description);
    checkRequest(this.sectorCount, sector, into.length);
    const at = sector * SECTOR_BYTES;
    const bytes = await bytesOf(this.#blob.slice(at, at + into.length), this.#blob);
    into.set(bytes);
    into.fill(0, bytes.length);
  }

  async write(): Promise<void> {
    throw readOnlyError(this.description);
  }

  async flush(): Promise<void> {
    if (this.#closed) throw closedError(this.description);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

function fileOf(blob: Blob): File | undefined {
  return typeof File === 'function' && blob instanceof File ? blob : undefined;
}

function describe(blob: Blob): string {
  const file = fileOf(blob);
  return file ? `file ${file.name}` : `data of ${blob.size} bytes`;
}

async function bytesOf(slice: Blob, whole: Blob): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await slice.arrayBuffer());
  } catch (cause) {
    const name = cause instanceof Error ? cause.name : '';
    const what = describe(whole);
    if (name === 'NotReadableError') {
      throw storageError(
        'changed',
        `${what} changed on disk after it was chosen, or may no longer be read; choose it again`,
        { size: whole.size },
        cause,
      );
    }
    if (name === 'NotFoundError') {
      throw storageError('not-found', `${what} was moved or deleted after it was chosen; choose it again`, {}, cause);
    }
    throw storageError('io', `${what} could not be read`, { size: whole.size }, cause);
  }
}
