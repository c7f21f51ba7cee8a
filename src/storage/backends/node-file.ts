/**
 * Images in files, for machines without a browser. Writes go straight to the file; a guest's FLUSH is an fsync.
 * Source: POSIX.1-2024 pread, pwrite, fsync, ftruncate by way of Node's fs.
 * Not modelled: whole block devices (their size does not show in stat), file locks.
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, type Stats, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { CodedError } from '#base/errors.ts';
import { SECTOR_BYTES } from '#base/units.ts';
import type { BlockPort, BlockRequest, BlockStatus } from '#emu/host/block.ts';
import {
  type BlockStore,
  checkRequest,
  closedError,
  isStorageError,
  readOnlyError,
  type StorageErrorCode,
  sectorsFor,
  storageError,
} from '../block/block-store.ts';

export interface NodeFileOptions {
  /** Default true. */
  readonly writable?: boolean;
}

/**
 * What a person should know about a file of this size before it becomes a disk; undefined when nothing.
 * @param bytes size of the file
 */
export function sizeAdvice(bytes: number): string | undefined {
  if (bytes === 0) return 'the file is empty (0 bytes): give it a size first, for example with truncate -s 4G';
  const over = bytes % SECTOR_BYTES;
  if (over === 0) return undefined;
  return `the size is not a multiple of 512 bytes (${over} bytes over): the last sector reads zero-padded, and a write to it makes the file longer`;
}

export class NodeFileStore implements BlockStore {
  readonly description: string;
  readonly identity: string;
  readonly sectorCount: number;
  readonly writable: boolean;
  /** Something odd but usable about the file, see `sizeAdvice`. */
  readonly advice: string | undefined;
  readonly #path: string;
  #file: FileHandle | undefined;

  private constructor(path: string, file: FileHandle, stats: Stats, writable: boolean) {
    this.#path = path;
    this.#file = file;
    this.description = `file ${path}`;
    // A file we write ourselves keeps its identity; only its size and place tell it apart.
    this.identity = writable
      ? `node-file:${path}:${stats.size}`
      : `node-file:${path}:${stats.size}:${Math.floor(stats.mtimeMs)}`;
    this.sectorCount = sectorsFor(stats.size);
    this.writable = writable;
    this.advice = sizeAdvice(stats.size);
  }

  /** @throws CodedError<'not-found' | 'denied' | 'bad-image' | 'io'> */
  static async open(path: string, options: NodeFileOptions = {}): Promise<NodeFileStore> {
    const writable = options.writable ?? true;
    let file: FileHandle | undefined;
    try {
      file = await open(path, writable ? 'r+' : 'r');
      const stats = await file.stat();
      refuseUnusable(path, stats);
      return new NodeFileStore(path, file, stats, writable);
    } catch (cause) {
      await file?.close();
      throw fileError(path, cause);
    }
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    const file = this.#open();
    checkRequest(this.sectorCount, sector, into.length);
    try {
      let done = 0;
      while (done < into.length) {
        const { bytesRead } = await file.read(into, done, into.length - done, sector * SECTOR_BYTES + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      into.fill(0, done);
    } catch (cause) {
      throw fileError(this.#path, cause);
    }
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    const file = this.#open();
    if (!this.writable) throw readOnlyError(this.description);
    checkRequest(this.sectorCount, sector, from.length);
    try {
      let done = 0;
      while (done < from.length) {
        const { bytesWritten } = await file.write(from, done, from.length - done, sector * SECTOR_BYTES + done);
        done += bytesWritten;
      }
    } catch (cause) {
      throw fileError(this.#path, cause);
    }
  }

  async flush(): Promise<void> {
    const file = this.#open();
    if (!this.writable) return;
    try {
      await file.sync();
    } catch (cause) {
      throw fileError(this.#path, cause);
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #open(): FileHandle {
    if (!this.#file) throw closedError(this.description);
    return this.#file;
  }
}

/**
 * A file as the machine's own thread reaches it: every request completes before `submit` returns.
 * For the headless machine, whose thread may block; a page uses a block ring instead.
 */
export class NodeFileBlockPort implements BlockPort {
  readonly sectorCount: number;
  readonly writable: boolean;
  readonly description: string;
  readonly advice: string | undefined;
  /** The last error behind a status other than `ok`, for the log. */
  lastError: CodedError<StorageErrorCode> | undefined;
  readonly #path: string;
  #descriptor: number | undefined;

  /** @throws CodedError<'not-found' | 'denied' | 'bad-image' | 'io'> */
  constructor(path: string, options: NodeFileOptions = {}) {
    this.#path = path;
    this.description = `file ${path}`;
    this.writable = options.writable ?? true;
    let descriptor: number | undefined;
    try {
      descriptor = openSync(path, this.writable ? 'r+' : 'r');
      const stats = fstatSync(descriptor);
      refuseUnusable(path, stats);
      this.sectorCount = sectorsFor(stats.size);
      this.advice = sizeAdvice(stats.size);
    } catch (cause) {
      if (descriptor !== undefined) closeSync(descriptor);
      throw fileError(path, cause);
    }
    this.#descriptor = descriptor;
  }

  submit(request: BlockRequest): void {
    request.done(this.#carryOut(request));
  }

  /** Closes the file; later requests complete with `io`. Does not flush. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #carryOut(request: BlockRequest): BlockStatus {
    const descriptor = this.#descriptor;
    try {
      if (descriptor === undefined) throw closedError(this.description);
      if (request.kind === 'flush') {
        if (this.writable) fsyncSync(descriptor);
        return 'ok';
      }
      checkRequest(this.sectorCount, request.sector, request.bytes.length);
      if (request.kind === 'read') readFully(descriptor, request.sector * SECTOR_BYTES, request.bytes);
      else if (this.writable) writeFully(descriptor, request.sector * SECTOR_BYTES, request.bytes);
      else return 'read-only';
      return 'ok';
    } catch (cause) {
      this.lastError = fileError(this.#path, cause);
      return this.lastError.code === 'full' ? 'full' : 'io';
    }
  }
}

function readFully(descriptor: number, at: number, into: Uint8Array): void {
  let done = 0;
  while (done < into.length) {
    const count = readSync(descriptor, into, done, into.length - done, at + done);
    if (count === 0) break;
    done += count;
  }
  into.fill(0, done);
}

function writeFully(descriptor: number, at: number, from: Uint8Array): void {
  let done = 0;
  while (done < from.length) done += writeSync(descriptor, from, done, from.length - done, at + done);
}

function refuseUnusable(path: string, stats: Stats): void {
  if (!stats.isFile()) throw storageError('bad-image', `${path} is not a regular file`);
  if (stats.size === 0) throw storageError('bad-image', `${path} cannot be a disk: ${sizeAdvice(0)}`, { size: 0 });
}

const ERRNO: Readonly<Record<string, { readonly code: StorageErrorCode; readonly why: string }>> = {
  ENOENT: { code: 'not-found', why: 'does not exist' },
  ENOTDIR: { code: 'not-found', why: 'does not exist: a part of its path is no folder' },
  EISDIR: { code: 'bad-image', why: 'is a folder' },
  EACCES: { code: 'denied', why: 'may not be opened; check its permissions, or attach it read-only' },
  EPERM: { code: 'denied', why: 'may not be opened; check its permissions, or attach it read-only' },
  EROFS: { code: 'denied', why: 'is on a read-only file system; attach it read-only' },
  ENOSPC: { code: 'full', why: 'could not grow: its file system is full' },
  EDQUOT: { code: 'full', why: 'could not grow: the disk quota is used up' },
};

function fileError(path: string, cause: unknown): CodedError<StorageErrorCode> {
  if (isStorageError(cause)) return cause;
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const known = ERRNO[errno];
  if (known) return storageError(known.code, `${path} ${known.why}`, { errno }, cause);
  return storageError('io', `${path} could not be read or written`, { errno }, cause);
}
