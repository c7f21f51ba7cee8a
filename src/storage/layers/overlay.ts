/**
 * Copy-on-write: a read-only base plus the clusters that were written.
 *
 * ```
 *            first write              flush, or spill when RAM runs short
 *   in base ------------->  dirty  ---------------------------------------->  stored (+ in RAM while there is room)
 *                             ^---------------------- write ---------------------'
 * ```
 *
 * A dirty cluster lives in RAM and knows which of its sectors are its own; the others are read from underneath when
 * it is stored. A commit stores whole clusters in one transaction, so a crash leaves everything flushed before, and
 * perhaps later writes too, as a disk with a write cache would.
 *
 * INVARIANT (nothing lost): a cluster leaves the dirty set only when a commit that held its latest write has resolved.
 *
 * Not modelled: trim, snapshots, resizing.
 */
import type { CodedError } from '#base/errors.ts';
import { MIB, SECTOR_BYTES } from '#base/units.ts';
import {
  type BlockStore,
  checkRequest,
  closedError,
  isStorageError,
  type StorageErrorCode,
} from '../block/block-store.ts';
import { ChunkCache } from '../block/chunk-cache.ts';
import type { ChangedBlocks } from './changed-blocks.ts';

export interface OverlayOptions {
  /** RAM for clusters not yet stored, default 64 MiB; from half of it on they are stored in the background. */
  readonly maxDirtyBytes?: number;
  /** RAM for stored clusters, to spare reading them again; default 16 MiB. */
  readonly cleanBytes?: number;
  /** There is no room for changes: writes and flushes fail with `full` from now on, and nothing is lost. */
  readonly onFull?: (error: CodedError<StorageErrorCode>) => void;
  /** Changes fit again. */
  readonly onRoom?: () => void;
}

interface DirtyCluster {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Per sector: 1 when `bytes` holds it; undefined once it holds all. */
  own: Uint8Array | undefined;
  /** Goes up with every write, so that a commit can tell whether it stored the latest. */
  version: number;
}

/** The part of a request inside one cluster; `at` and `length` in bytes, `offset` within the request's buffer. */
interface Part {
  readonly cluster: number;
  readonly at: number;
  readonly length: number;
  readonly offset: number;
}

/** Clusters completed from underneath at once, bounding the RAM it takes. */
const FILLS_AT_ONCE = 8;
const SPILL_CLUSTERS = 32;

export class OverlayStore implements BlockStore {
  readonly description: string;
  readonly identity: string;
  readonly sectorCount: number;
  readonly writable: boolean = true;
  readonly #base: BlockStore;
  readonly #changes: ChangedBlocks;
  readonly #options: OverlayOptions;
  readonly #maxDirty: number;
  /** Latest written last. */
  readonly #dirty = new Map<number, DirtyCluster>();
  readonly #clean: ChunkCache<ArrayBuffer>;
  readonly #loading = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  /** Commits run one after the other. */
  #commits: Promise<void> = Promise.resolve();
  #spilling = false;
  #full = false;
  #closed = false;

  /** @param changes opened for this base's identity */
  constructor(base: BlockStore, changes: ChangedBlocks, options: OverlayOptions = {}) {
    this.#base = base;
    this.#changes = changes;
    this.#options = options;
    this.#maxDirty = Math.max(1, Math.floor((options.maxDirtyBytes ?? 64 * MIB) / changes.clusterBytes));
    this.#clean = new ChunkCache(options.cleanBytes ?? 16 * MIB);
    this.description = `${base.description} with changes`;
    this.identity = `overlay:${base.identity}`;
    this.sectorCount = base.sectorCount;
  }

  /** Bytes of changed clusters that only RAM holds. */
  get dirtyBytes(): number {
    return this.#dirty.size * this.#changes.clusterBytes;
  }

  /** Bytes of changed clusters, stored or not. */
  get changedBytes(): number {
    let clusters = this.#changes.clusterCount;
    for (const cluster of this.#dirty.keys()) if (!this.#changes.has(cluster)) clusters++;
    return clusters * this.#changes.clusterBytes;
  }

  /** True from the first commit that found no room to the next that did. */
  get full(): boolean {
    return this.#full;
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    this.#checkOpen();
    checkRequest(this.sectorCount, sector, into.length);
    await Promise.all(
      this.#parts(sector, into.length).map((part) =>
        this.#readPart(part, into.subarray(part.offset, part.offset + part.length)),
      ),
    );
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    this.#checkOpen();
    checkRequest(this.sectorCount, sector, from.length);
    for (const part of this.#parts(sector, from.length)) {
      while (!this.#dirty.has(part.cluster) && this.#dirty.size >= this.#maxDirty) await this.#makeRoom();
      this.#writePart(part, from.subarray(part.offset, part.offset + part.length));
    }
    if (this.#dirty.size * 2 > this.#maxDirty && !this.#full) this.#spillInBackground();
  }

  async flush(): Promise<void> {
    this.#checkOpen();
    await this.#commit(() => [...this.#dirty.keys()]);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#commits;
    this.#dirty.clear();
    this.#clean.clear();
    await this.#changes.close();
    await this.#base.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError(this.description);
  }

  #parts(sector: number, length: number): Part[] {
    const { clusterBytes } = this.#changes;
    const parts: Part[] = [];
    for (let offset = 0; offset < length; ) {
      const position = sector * SECTOR_BYTES + offset;
      const at = position % clusterBytes;
      const part = {
        cluster: (position - at) / clusterBytes,
        at,
        length: Math.min(clusterBytes - at, length - offset),
        offset,
      };
      parts.push(part);
      offset += part.length;
    }
    return parts;
  }

  async #readPart(part: Part, into: Uint8Array): Promise<void> {
    const dirty = this.#dirty.get(part.cluster);
    if (!dirty) return this.#readUnder(part.cluster, part.at, into);
    if (!ownsAll(dirty, part)) await this.#readUnder(part.cluster, part.at, into);
    for (let done = 0; done < part.length; done += SECTOR_BYTES) {
      const at = part.at + done;
      if (owns(dirty, at)) into.set(dirty.bytes.subarray(at, at + SECTOR_BYTES), done);
    }
  }

  #writePart(part: Part, from: Uint8Array): void {
    const { cluster } = part;
    const dirty = this.#dirty.get(cluster) ?? this.#newDirty(cluster);
    // To the end of the map: the longest unwritten is stored first when RAM runs short.
    this.#dirty.delete(cluster);
    this.#dirty.set(cluster, dirty);
    dirty.bytes.set(from, part.at);
    dirty.own?.fill(1, part.at / SECTOR_BYTES, (part.at + part.length) / SECTOR_BYTES);
    dirty.version++;
  }

  #newDirty(cluster: number): DirtyCluster {
    const clean = this.#clean.get(cluster);
    this.#clean.delete(cluster);
    // What is being loaded now is about to be old, and must not enter the cache.
    this.#loading.delete(cluster);
    if (clean) return { bytes: clean, own: undefined, version: 0 };
    const { clusterBytes } = this.#changes;
    return { bytes: new Uint8Array(clusterBytes), own: new Uint8Array(clusterBytes / SECTOR_BYTES), version: 0 };
  }

  /** Reads what lies below the dirty clusters: a stored cluster, or the base. */
  async #readUnder(cluster: number, at: number, into: Uint8Array): Promise<void> {
    if (this.#changes.has(cluster)) {
      const bytes = this.#clean.get(cluster) ?? (await this.#load(cluster));
      into.set(bytes.subarray(at, at + into.length));
      return;
    }
    await this.#base.read((cluster * this.#changes.clusterBytes + at) / SECTOR_BYTES, into);
  }

  #load(cluster: number): Promise<Uint8Array<ArrayBuffer>> {
    const already = this.#loading.get(cluster);
    if (already) return already;
    const loading = this.#changes.load(cluster).then(
      (bytes) => {
        if (this.#loading.get(cluster) === loading) {
          this.#loading.delete(cluster);
          this.#clean.set(cluster, bytes);
        }
        return bytes;
      },
      (error: unknown) => {
        if (this.#loading.get(cluster) === loading) this.#loading.delete(cluster);
        throw error;
      },
    );
    this.#loading.set(cluster, loading);
    return loading;
  }

  /** Stores the picked dirty clusters in one transaction, after the commits before. */
  #commit(pick: () => number[]): Promise<void> {
    const commit = this.#commits.then(async () => {
      const clusters = pick();
      if (clusters.length > 0) await this.#store(clusters);
    });
    this.#commits = commit.catch(() => {});
    return commit;
  }

  async #store(clusters: readonly number[]): Promise<void> {
    for (let i = 0; i < clusters.length; i += FILLS_AT_ONCE) {
      await Promise.all(clusters.slice(i, i + FILLS_AT_ONCE).map((cluster) => this.#complete(cluster)));
    }
    const batch = new Map<number, Uint8Array<ArrayBuffer>>();
    const versions = new Map<number, number>();
    for (const cluster of clusters) {
      const dirty = this.#dirty.get(cluster);
      if (!dirty) continue;
      batch.set(cluster, dirty.bytes);
      versions.set(cluster, dirty.version);
    }
    try {
      await this.#changes.commit(batch);
    } catch (error) {
      this.#noteFull(error);
      throw error;
    }
    for (const [cluster, version] of versions) {
      const dirty = this.#dirty.get(cluster);
      if (dirty?.version !== version) continue;
      this.#dirty.delete(cluster);
      this.#loading.delete(cluster);
      this.#clean.set(cluster, dirty.bytes);
    }
    if (!this.#full) return;
    this.#full = false;
    this.#options.onRoom?.();
  }

  /** Reads the sectors a dirty cluster does not own from underneath. */
  async #complete(cluster: number): Promise<void> {
    const dirty = this.#dirty.get(cluster);
    if (!dirty?.own) return;
    const { clusterBytes } = this.#changes;
    const diskBytes = this.sectorCount * SECTOR_BYTES - cluster * clusterBytes;
    const length = Math.min(clusterBytes, diskBytes);
    const whole = { cluster, at: 0, length, offset: 0 };
    if (!ownsAll(dirty, whole)) {
      const under = new Uint8Array(length);
      await this.#readUnder(cluster, 0, under);
      // Checked sector by sector only now: the machine may have written more meanwhile.
      for (let at = 0; at < length; at += SECTOR_BYTES) {
        if (!owns(dirty, at)) dirty.bytes.set(under.subarray(at, at + SECTOR_BYTES), at);
      }
    }
    dirty.own = undefined;
  }

  /** @throws CodedError when not one cluster can be stored */
  async #makeRoom(): Promise<void> {
    this.#checkOpen();
    await this.#commit(() => {
      // An earlier commit in the queue may have made room already.
      if (this.#dirty.size < this.#maxDirty) return [];
      return [...this.#dirty.keys()].slice(0, this.#full ? 1 : SPILL_CLUSTERS);
    });
  }

  #spillInBackground(): void {
    if (this.#spilling) return;
    this.#spilling = true;
    const oldest = (): number[] => [...this.#dirty.keys()].slice(0, Math.min(SPILL_CLUSTERS, this.#dirty.size - 1));
    // A failure shows at the next flush, which tries again; `onFull` has told the person.
    this.#commit(oldest)
      .catch(() => {})
      .finally(() => {
        this.#spilling = false;
      });
  }

  #noteFull(error: unknown): void {
    if (this.#full || !isStorageError(error) || error.code !== 'full') return;
    this.#full = true;
    this.#options.onFull?.(error);
  }
}

function owns(dirty: DirtyCluster, at: number): boolean {
  return dirty.own === undefined || dirty.own[at / SECTOR_BYTES] !== 0;
}

function ownsAll(dirty: DirtyCluster, part: Part): boolean {
  if (dirty.own === undefined) return true;
  const end = (part.at + part.length) / SECTOR_BYTES;
  for (let s = part.at / SECTOR_BYTES; s < end; s++) if (dirty.own[s] === 0) return false;
  return true;
}
