import { CodedError } from '#base/errors.ts';
import { SECTOR_BYTES } from '#base/units.ts';

/**
 * A disk image as the storage side sees it: numbered 512-byte sectors behind promises.
 *
 * Every call may run while others are under way. Two calls that touch the same sector are ordered only if the second
 * is made after the first has settled. A buffer belongs to the store until its promise settles; it may lie in a
 * `SharedArrayBuffer`.
 *
 * Rejections are `CodedError<StorageErrorCode>`.
 */
export interface BlockStore {
  /** For a person: what this is and where it comes from. */
  readonly description: string;
  /**
   * Names the content: differs when the content differs, stays while it is the same.
   * A layer of changes is only ever applied over the identity it was made for.
   */
  readonly identity: string;
  /** Size in 512-byte sectors, at least 1. A last partial sector of the image counts and reads zero-padded. */
  readonly sectorCount: number;
  readonly writable: boolean;
  /**
   * Fills `into` from consecutive sectors.
   * @param sector first sector; `into` is a whole number of sectors and ends inside the store
   */
  read(sector: number, into: Uint8Array): Promise<void>;
  /** Stores `from`; later reads see it at once, a crash may undo it until `flush` has resolved. */
  write(sector: number, from: Uint8Array): Promise<void>;
  /** Resolves once every write that resolved before this call is durable. */
  flush(): Promise<void>;
  /** Gives up the medium; does not flush. Every later call rejects with `closed`. Closing twice is no error. */
  close(): Promise<void>;
}

/**
 * What can go wrong between a machine and its disk.
 *
 * - `io` the medium failed; the same request may work later
 * - `full` no room left for changed blocks; nothing written before is lost
 * - `read-only` this medium takes no writes
 * - `out-of-range` the request leaves the disk or is not a whole number of sectors
 * - `closed` the store was closed
 * - `range-unsupported` the web server cannot send parts of a file
 * - `cors` the web server does not let this page read its file
 * - `mixed-content` an https page may not read from http
 * - `not-found`, `denied` the image is not there, or we may not read it
 * - `changed` the image is no longer the one that was opened
 * - `in-use` somebody else has the disk open
 * - `wrong-base` stored changes belong to another image
 * - `evicted` the browser threw stored changes away
 * - `bad-image` not a disk image this program can use
 * - `newer-version` written by a newer release
 * - `bad-settings` a settings record is malformed
 */
export type StorageErrorCode =
  | 'io'
  | 'full'
  | 'read-only'
  | 'out-of-range'
  | 'closed'
  | 'range-unsupported'
  | 'cors'
  | 'mixed-content'
  | 'not-found'
  | 'denied'
  | 'changed'
  | 'in-use'
  | 'wrong-base'
  | 'evicted'
  | 'bad-image'
  | 'newer-version'
  | 'bad-settings';

/** A `CodedError` whose code is one of ours. */
export function storageError(
  code: StorageErrorCode,
  message: string,
  details: Readonly<Record<string, string | number>> = {},
  cause?: unknown,
): CodedError<StorageErrorCode> {
  return new CodedError<StorageErrorCode>(code, message, details, cause);
}

/** True for errors made here: a `CodedError` is only ever thrown with a code of the layer that made it. */
export function isStorageError(thrown: unknown): thrown is CodedError<StorageErrorCode> {
  return thrown instanceof CodedError;
}

/** Sectors needed to hold `bytes`, a last partial one included. */
export function sectorsFor(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES);
}

/** @throws CodedError<'out-of-range'> unless the request is whole sectors inside `sectorCount`. */
export function checkRequest(sectorCount: number, sector: number, byteLength: number): void {
  const sectors = byteLength / SECTOR_BYTES;
  if (Number.isInteger(sector) && 0 <= sector && Number.isInteger(sectors) && sector + sectors <= sectorCount) return;
  throw storageError('out-of-range', 'a request must be whole sectors inside the disk', {
    sector,
    bytes: byteLength,
    sectorCount,
  });
}

export function closedError(description: string): CodedError<StorageErrorCode> {
  return storageError('closed', `${description} was closed`);
}

export function readOnlyError(description: string): CodedError<StorageErrorCode> {
  return storageError('read-only', `${description} takes no writes`);
}
