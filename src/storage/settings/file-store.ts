/** Whole files a machine keeps in the browser's IndexedDB (library idb-keyval): kernels, saved states. */
import { createStore, del, delMany, get, keys, set, type UseStore } from 'idb-keyval';
import { storageError } from '../block/block-store.ts';

/** Keys are paths such as `MACHINE/kernel`, so that a machine's files go together. */
export class FileStore {
  readonly #store: UseStore;

  constructor(databaseName = 'tabbox-files') {
    this.#store = createStore(databaseName, 'files');
  }

  /** @throws CodedError<'full' | 'io'> and the earlier file of this key stays */
  async put(key: string, file: Blob): Promise<void> {
    try {
      await set(key, file, this.#store);
    } catch (cause) {
      const full = cause instanceof DOMException && cause.name === 'QuotaExceededError';
      const megabytes = Math.ceil(file.size / 1_048_576);
      throw full
        ? storageError('full', `the browser has no room for ${megabytes} MB: free some, or delete a machine`, {}, cause)
        : storageError('io', 'the browser could not store a file', { key }, cause);
    }
  }

  get(key: string): Promise<Blob | undefined> {
    return get<Blob>(key, this.#store);
  }

  async keys(): Promise<readonly string[]> {
    return keys<string>(this.#store);
  }

  async remove(key: string): Promise<void> {
    await del(key, this.#store);
  }

  /** Removes every file whose key starts with `prefix`. */
  async removeAll(prefix: string): Promise<void> {
    const all = await keys<string>(this.#store);
    await delMany(
      all.filter((key) => key.startsWith(prefix)),
      this.#store,
    );
  }
}
