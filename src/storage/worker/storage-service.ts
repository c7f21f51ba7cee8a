/**
 * What a page asks of the storage worker. Control goes through here, a few calls a second; the disks' data goes
 * through the block rings it hands out.
 */
import * as Comlink from 'comlink';
import type { CodedError } from '#base/errors.ts';
import { MIB } from '#base/units.ts';
import { type BlockRingService, createBlockRing, pollingWait, serveBlockRing } from '#emu/host/block-ring.ts';
import type { HttpRangeOptions } from '../backends/http-range.ts';
import { type BlockStore, closedError, isStorageError, storageError } from '../block/block-store.ts';
import { contentOf } from '../block/content.ts';
import { type ImageDescription, requireUsable } from '../formats/describe-image.ts';
import { MemoryChangedBlocks } from '../layers/changed-blocks.ts';
import { IndexedDbChangedBlocks } from '../layers/indexeddb-changed-blocks.ts';
import { OverlayStore } from '../layers/overlay.ts';
import { askPersistence, type StorageStatus, storageStatus } from '../settings/storage-status.ts';
import type { DiskEvent, DiskSource, DiskSpec, DiskStatus, OpenedDisk } from './disk-spec.ts';
import { openSource } from './open-source.ts';

export interface StorageServiceOptions {
  readonly http?: HttpRangeOptions;
  /**
   * Milliseconds between looks for unsaved changes, default 2000: guests such as DOS never ask for a flush, and would
   * lose all their work with the tab.
   */
  readonly writeBackMs?: number;
}

interface Disk {
  readonly id: string;
  readonly store: BlockStore;
  readonly overlay: OverlayStore | undefined;
  readonly image: ImageDescription | undefined;
  /** Codes of errors told since things were last well. */
  readonly told: Set<string>;
  readonly service: BlockRingService | undefined;
  readonly writeBack: ReturnType<typeof setInterval> | undefined;
}

/** A guest that fills its disk gets an error before the tab runs out of memory. */
const FORGET_LIMIT_BYTES = 1024 * MIB;
const EXPORT_CHUNK_BYTES = 4 * MIB;
/** A failed attempt to store costs as much as a good one: when full, only every eighth look tries. */
const LOOKS_WHEN_FULL = 8;

export class StorageService {
  readonly #options: StorageServiceOptions;
  /** A disk's place is taken from the start of its opening. */
  readonly #disks = new Map<string, Disk | 'opening'>();
  readonly #listeners = new Set<(event: DiskEvent) => void>();

  constructor(options: StorageServiceOptions = {}) {
    this.#options = options;
  }

  /**
   * Opens a disk and serves it through a ring until `closeDisk`.
   * @param doorbell 4 bytes; the word is counted up and notified after every answer. All disks of a machine share it.
   * @throws CodedError<StorageErrorCode>
   */
  async openDisk(spec: DiskSpec, doorbell: SharedArrayBuffer): Promise<OpenedDisk> {
    const disk = await this.#reserve(spec.id, async () => {
      const opened = await this.#openStore(spec);
      return this.#serve(opened, new Int32Array(doorbell));
    });
    const { sectorCount, writable, description } = disk.store;
    return { ring: disk.ring, sectorCount, writable, description, image: disk.image };
  }

  /**
   * Stops serving a disk and stores what is unsaved.
   * @param evenIfUnsaved close although unsaved changes cannot be stored, and lose them
   * @throws CodedError<'full' | 'io'> and leaves the disk open for export, no longer served
   */
  async closeDisk(id: string, evenIfUnsaved = false): Promise<void> {
    const disk = this.#disk(id);
    await disk.service?.stop();
    try {
      await disk.store.flush();
    } catch (error) {
      if (!evenIfUnsaved) throw error;
    }
    clearInterval(disk.writeBack);
    this.#disks.delete(id);
    await disk.store.close();
  }

  /** Stores what is unsaved on every disk, as when the page is about to go. @throws the first error, after trying all */
  async flushAll(): Promise<void> {
    const results = await Promise.allSettled(this.#opened().map((disk) => disk.store.flush()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Says what an image is without attaching it; a refusal is part of the answer. */
  async describe(source: DiskSource): Promise<ImageDescription | undefined> {
    const { store, image } = await openSource(source, this.#options.http ?? {});
    await store.close();
    return image;
  }

  /** Throws the stored changes of a closed disk away. @throws CodedError<'in-use'> while it is open, here or elsewhere */
  async discard(id: string): Promise<void> {
    if (this.#disks.has(id)) throw inUse(id);
    await IndexedDbChangedBlocks.discard(id);
  }

  /** Whether the browser holds changes for a disk; undefined where it cannot tell. */
  async hasChanges(id: string): Promise<boolean | undefined> {
    return IndexedDbChangedBlocks.exists(id);
  }

  /**
   * Copies an image into the browser, as the stored content of a new disk: afterwards
   * `{ source: { kind: 'blank', sectorCount }, changes: 'keep' }` opens it without the image.
   * @returns size of the disk in sectors
   * @throws CodedError<'in-use'> when the disk already has content; others as `openDisk`, leaving nothing behind
   */
  async importDisk(
    id: string,
    source: DiskSource,
    onProgress?: (doneSectors: number, sectorCount: number) => void,
  ): Promise<number> {
    const from = await openSource(source, this.#options.http ?? {});
    try {
      if (from.image) requireUsable(from.image);
      const { sectorCount } = from.store;
      await this.#reserve(id, async () => {
        const to = await this.#openStore({ id, source: { kind: 'blank', sectorCount }, changes: 'keep' });
        if (to.overlay && to.overlay.changedBytes > 0) {
          await to.store.close();
          throw storageError('in-use', 'this disk already has content: discard it first', { id });
        }
        await fill(to.store, from.store, id, onProgress);
        return to;
      });
      this.#disks.delete(id);
      return sectorCount;
    } finally {
      await from.store.close();
    }
  }

  /** The whole content of a disk, changes included, as it is read; of a running machine, a mixture over time. */
  async exportStream(spec: DiskSpec): Promise<ReadableStream<Uint8Array>> {
    const stream = streamOf(await this.#openForExport(spec));
    return Comlink.transfer(stream, [stream]);
  }

  /** The same as one blob, for browsers that cannot send streams between threads. */
  async exportBlob(spec: DiskSpec): Promise<Blob> {
    const { store, done } = await this.#openForExport(spec);
    const parts: Blob[] = [];
    try {
      // A blob of blobs: the browser may keep each part on disk instead of in memory.
      for await (const chunk of contentOf(store, EXPORT_CHUNK_BYTES)) parts.push(new Blob([chunk]));
    } finally {
      await done();
    }
    return new Blob(parts, { type: 'application/octet-stream' });
  }

  /** The disks that are open, and what the browser says about room. */
  async status(): Promise<{ readonly disks: readonly DiskStatus[]; readonly browser: StorageStatus }> {
    const disks = this.#opened().map(({ id, store, overlay }) => ({
      id,
      description: store.description,
      sectorCount: store.sectorCount,
      writable: store.writable,
      changedBytes: overlay?.changedBytes ?? 0,
      unsavedBytes: overlay?.dirtyBytes ?? 0,
      full: overlay?.full ?? false,
    }));
    return { disks, browser: await storageStatus() };
  }

  /** Asks the browser never to throw this site's data away by itself. @returns whether it agreed */
  persist(): Promise<boolean> {
    return askPersistence();
  }

  /** @param listener from another thread, through `Comlink.proxy` */
  subscribe(listener: (event: DiskEvent) => void): void {
    this.#listeners.add(listener);
  }

  async #reserve<Opened extends Disk>(id: string, open: () => Promise<Opened>): Promise<Opened> {
    if (!/^[\w-]+$/.test(id)) throw storageError('bad-settings', 'a disk id is letters, digits and hyphens', { id });
    if (this.#disks.has(id)) throw inUse(id);
    this.#disks.set(id, 'opening');
    try {
      const disk = await open();
      this.#disks.set(id, disk);
      return disk;
    } catch (error) {
      this.#disks.delete(id);
      throw error;
    }
  }

  async #openStore(spec: DiskSpec): Promise<Disk> {
    const { id } = spec;
    const told = new Set<string>();
    const tell = (kind: DiskEvent['kind'], error?: CodedError): void => {
      if (kind === 'recovered' || kind === 'room') told.clear();
      this.#tell({ kind, diskId: id, code: error?.code ?? '', message: error?.message ?? '' });
    };
    const { store: base, image } = await openSource(spec.source, {
      ...this.#options.http,
      onTrouble: (error) => tell('trouble', error),
      onRecovered: () => tell('recovered'),
    });
    try {
      if (image) requireUsable(image);
      const plain = { id, image, told, service: undefined, writeBack: undefined };
      if (spec.changes === 'none') return { ...plain, store: base, overlay: undefined };
      const changes =
        spec.changes === 'forget'
          ? new MemoryChangedBlocks({ limitBytes: FORGET_LIMIT_BYTES })
          : await IndexedDbChangedBlocks.open(id, base, {
              expectExisting: spec.expectChanges ?? false,
              onLost: () => tell('lost', closedError(`the browser storage of disk ${id}`)),
            });
      const overlay = new OverlayStore(base, changes, {
        onFull: (error) => tell('full', error),
        onRoom: () => tell('room'),
      });
      return { ...plain, store: overlay, overlay };
    } catch (error) {
      await base.close();
      throw error;
    }
  }

  #serve(disk: Disk, doorbell: Int32Array): Disk & { readonly ring: SharedArrayBuffer } {
    const { id, store, overlay, told } = disk;
    const ring = createBlockRing(store);
    const onError = (error: unknown): void => {
      const code = isStorageError(error) ? error.code : 'io';
      if (told.has(code)) return;
      told.add(code);
      this.#tell({ kind: 'error', diskId: id, code, message: error instanceof Error ? error.message : String(error) });
    };
    const wait = typeof Atomics.waitAsync === 'function' ? {} : { wait: pollingWait(sleep) };
    const service = serveBlockRing(ring, store, { doorbell, onError, ...wait });
    return { ...disk, ring, service, writeBack: overlay && this.#startWriteBack(overlay) };
  }

  #startWriteBack(overlay: OverlayStore): ReturnType<typeof setInterval> {
    let looks = 0;
    let storing = false;
    return setInterval(() => {
      looks++;
      if (storing || overlay.dirtyBytes === 0 || (overlay.full && looks % LOOKS_WHEN_FULL !== 0)) return;
      storing = true;
      // What fails here stays unsaved and is tried again; the overlay's events tell the person.
      overlay
        .flush()
        .catch(() => {})
        .finally(() => {
          storing = false;
        });
    }, this.#options.writeBackMs ?? 2000);
  }

  /** The store of an open disk, or one opened for the purpose; `done` gives it back. */
  async #openForExport(spec: DiskSpec): Promise<ExportSource> {
    const open = this.#disks.get(spec.id);
    if (open === 'opening') throw inUse(spec.id);
    if (open) return { store: open.store, done: async () => {} };
    const { store } = await this.#reserve(spec.id, () => this.#openStore(spec));
    const done = async (): Promise<void> => {
      if (!this.#disks.delete(spec.id)) return;
      await store.close();
    };
    return { store, done };
  }

  #opened(): Disk[] {
    return [...this.#disks.values()].filter((disk) => disk !== 'opening');
  }

  #disk(id: string): Disk {
    const disk = this.#disks.get(id);
    if (disk === undefined || disk === 'opening') throw storageError('closed', 'this disk is not open', { id });
    return disk;
  }

  #tell(event: DiskEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

interface ExportSource {
  readonly store: BlockStore;
  readonly done: () => Promise<void>;
}

/** Pulls chunks as the reader takes them, so that a slow download does not fill the memory. */
function streamOf({ store, done }: ExportSource): ReadableStream<Uint8Array> {
  const chunks = contentOf(store, EXPORT_CHUNK_BYTES);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await chunks.next();
        if (!next.done) {
          controller.enqueue(next.value);
          return;
        }
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      await done();
    },
    cancel: done,
  });
}

/** Copies `from` into the empty `to` and closes it; on failure nothing of it stays stored. */
async function fill(
  to: BlockStore,
  from: BlockStore,
  id: string,
  onProgress: ((doneSectors: number, sectorCount: number) => void) | undefined,
): Promise<void> {
  let sector = 0;
  try {
    for await (const chunk of contentOf(from, MIB)) {
      // A sparse image stays sparse: what is zero reads as zero from the empty disk below.
      if (chunk.some((byte) => byte !== 0)) await to.write(sector, chunk);
      sector += chunk.length / 512;
      onProgress?.(sector, from.sectorCount);
    }
    await to.flush();
    await to.close();
  } catch (error) {
    await to.close();
    await IndexedDbChangedBlocks.discard(id).catch(() => {});
    throw error;
  }
}

function inUse(id: string): CodedError {
  return storageError('in-use', 'this disk is open: power the machine off first', { id });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
