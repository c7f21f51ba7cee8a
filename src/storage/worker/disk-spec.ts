import type { ImageDescription } from '../formats/describe-image.ts';

/** Where a disk's first content comes from. Plain data: it travels to the storage worker. */
export type DiskSource =
  /** A new, empty disk. */
  | { readonly kind: 'blank'; readonly sectorCount: number }
  /** An image on a web server; relative addresses count from the storage worker's script. */
  | { readonly kind: 'url'; readonly url: string }
  /** A file the person picked. */
  | { readonly kind: 'file'; readonly file: Blob }
  /** A small image made by the program itself. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly name: string };

/**
 * What becomes of what the guest writes: `keep` it in the browser, `forget` it when the disk is closed, or `none`:
 * the medium is read-only.
 */
export type DiskChanges = 'keep' | 'forget' | 'none';

export interface DiskSpec {
  /** Names the disk and its stored changes; letters, digits and hyphens. */
  readonly id: string;
  readonly source: DiskSource;
  readonly changes: DiskChanges;
  /** True when changes were kept before: if the browser lost them, opening fails with `evicted`. */
  readonly expectChanges?: boolean;
}

export interface OpenedDisk {
  /** For `RingBlockPort` on the machine's thread. */
  readonly ring: SharedArrayBuffer;
  readonly sectorCount: number;
  readonly writable: boolean;
  readonly description: string;
  /** What the image is; undefined for an empty disk. */
  readonly image: ImageDescription | undefined;
}

export interface DiskStatus {
  readonly id: string;
  readonly description: string;
  readonly sectorCount: number;
  readonly writable: boolean;
  /** Bytes of clusters that differ from the image. */
  readonly changedBytes: number;
  /** Bytes of those that only RAM holds so far. */
  readonly unsavedBytes: number;
  /** There is no room for changes. */
  readonly full: boolean;
}

/**
 * Something a person should see.
 * `full`: no room for changes, `room`: there is again; `trouble`: the image's server fails and is asked again,
 * `recovered`: it answers; `error`: the guest got an error, told once per kind until things are well again;
 * `lost`: the browser closed the storage under a running machine.
 */
export interface DiskEvent {
  readonly kind: 'full' | 'room' | 'trouble' | 'recovered' | 'error' | 'lost';
  readonly diskId: string;
  readonly code: string;
  readonly message: string;
}
