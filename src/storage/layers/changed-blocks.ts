import { KIB } from '#base/units.ts';
import { storageError } from '../block/block-store.ts';

/**
 * Where an overlay keeps the clusters that differ from its base. Clusters are whole: `clusterBytes` each, the last
 * one of a disk padded.
 *
 * INVARIANT (durable-commit): `commit` is all or nothing, and what it stored survives a crash once it has resolved.
 */
export interface ChangedBlocks {
  readonly clusterBytes: number;
  /** Clusters stored. */
  readonly clusterCount: number;
  has(cluster: number): boolean;
  /** A stored cluster, in a fresh buffer. @throws CodedError<'io'> also when it is not stored */
  load(cluster: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Stores clusters, over older ones. Copies `clusters` before it returns its promise, so that the caller may go on
   * writing into them.
   * @throws CodedError<'full' | 'io'> and has stored nothing
   */
  commit(clusters: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void>;
  close(): Promise<void>;
}

/** What changes belong to: they are never applied to anything else. */
export interface OverlayBase {
  readonly identity: string;
  readonly sectorCount: number;
}

/**
 * Large enough that a browser keeps each in a file of its own, outside the sorted tables that slow down as they grow:
 * 256 KiB records filled 1 GB at 89 MB/s where 32 KiB records fell to 10 MB/s.
 */
export const CLUSTER_BYTES: number = 256 * KIB;

export interface MemoryChangedBlocksOptions {
  readonly clusterBytes?: number;
  /** RAM that changes may take, default unlimited. */
  readonly limitBytes?: number;
}

/** Changes that last as long as the page: for a machine that forgets, and for tests. */
export class MemoryChangedBlocks implements ChangedBlocks {
  readonly clusterBytes: number;
  readonly #limitBytes: number;
  readonly #clusters = new Map<number, Uint8Array<ArrayBuffer>>();

  constructor(options: MemoryChangedBlocksOptions = {}) {
    this.clusterBytes = options.clusterBytes ?? CLUSTER_BYTES;
    this.#limitBytes = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  get clusterCount(): number {
    return this.#clusters.size;
  }

  has(cluster: number): boolean {
    return this.#clusters.has(cluster);
  }

  async load(cluster: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.#clusters.get(cluster);
    if (!bytes) throw storageError('io', 'a changed cluster is not stored', { cluster });
    return bytes.slice();
  }

  async commit(clusters: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    const added = [...clusters.keys()].filter((cluster) => !this.#clusters.has(cluster)).length;
    const bytes = (this.#clusters.size + added) * this.clusterBytes;
    if (added > 0 && bytes > this.#limitBytes) {
      throw storageError('full', 'no more memory is set aside for changed blocks', { limitBytes: this.#limitBytes });
    }
    for (const [cluster, content] of clusters) this.#clusters.set(cluster, content.slice());
  }

  async close(): Promise<void> {
    this.#clusters.clear();
  }
}
