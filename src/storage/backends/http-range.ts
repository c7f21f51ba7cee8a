/**
 * An image on a web server, of which only the parts that are used come over the network.
 *
 * A read wants chunks. Those in no cache are queued; queued neighbours become one request, whoever asked for them.
 * Reads that follow one another make the store read ahead, further each time. See `http-fetch.ts` for what happens
 * when the network fails.
 *
 * Source: RFC 9110 section 14 (range requests).
 * Not modelled: more than one range per request, a cache that outlives the page.
 */
import type { CodedError } from '#base/errors.ts';
import { KIB, MIB, SECTOR_BYTES } from '#base/units.ts';
import {
  type BlockStore,
  checkRequest,
  closedError,
  readOnlyError,
  type StorageErrorCode,
  sectorsFor,
} from '../block/block-store.ts';
import { ChunkCache } from '../block/chunk-cache.ts';
import { type FetchPolicy, fetchRange } from './http-fetch.ts';
import { type Fetch, type HttpImage, isCrossOrigin, probeImage } from './http-probe.ts';
import { ReadAhead } from './read-ahead.ts';

export const CHUNK_BYTES: number = 64 * KIB;

export interface HttpRangeOptions {
  readonly fetch?: Fetch;
  readonly sleep?: (ms: number) => Promise<void>;
  /** RAM for parts already read, default 64 MiB. */
  readonly cacheBytes?: number;
  /** Furthest read-ahead, default 1 MiB; 0 turns it off. */
  readonly readAheadBytes?: number;
  /** Default 200, 500, 1000, 2000, 4000, 8000: a server may be away for a quarter of a minute. */
  readonly retryDelaysMs?: readonly number[];
  /** Milliseconds without a byte after which a connection counts as broken; default 15 000. */
  readonly stallMs?: number;
  /** Requests under way at once, default 4: browsers allow 6 to a host. */
  readonly connections?: number;
  /** Address of the page, for relative addresses and to explain CORS; default where this runs. */
  readonly pageUrl?: string;
  /** The server stopped answering as it should; reads are being tried again. */
  readonly onTrouble?: (error: CodedError<StorageErrorCode>) => void;
  /** The server answers again. */
  readonly onRecovered?: () => void;
}

/** A chunk that is queued or on its way. */
interface Coming {
  readonly bytes: Promise<Uint8Array>;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

export class HttpRangeStore implements BlockStore {
  readonly description: string;
  readonly identity: string;
  readonly sectorCount: number;
  readonly writable: boolean = false;
  readonly #image: HttpImage;
  readonly #policy: FetchPolicy;
  readonly #cache: ChunkCache;
  readonly #ahead: ReadAhead;
  readonly #connections: number;
  readonly #options: HttpRangeOptions;
  readonly #closing = new AbortController();
  readonly #coming = new Map<number, Coming>();
  /** Chunks to ask for: those a read waits for, and those only expected to be wanted. */
  readonly #wanted = new Set<number>();
  readonly #expected = new Set<number>();
  #active = 0;
  #pumpDue = false;
  #troubled = false;
  /** Set once the image can never be read again. */
  #broken: CodedError<StorageErrorCode> | undefined;

  private constructor(image: HttpImage, policy: Omit<FetchPolicy, 'onTrouble'>, options: HttpRangeOptions) {
    this.#image = image;
    this.#options = options;
    this.#policy = { ...policy, onTrouble: (error) => this.#noteTrouble(error) };
    this.#cache = new ChunkCache(options.cacheBytes ?? 64 * MIB);
    this.#ahead = new ReadAhead(Math.floor((options.readAheadBytes ?? MIB) / CHUNK_BYTES));
    this.#connections = options.connections ?? 4;
    this.description = image.url;
    this.identity = image.identity;
    this.sectorCount = sectorsFor(image.sizeBytes);
    const first = new Uint8Array(this.#chunkBytes(0));
    if (image.head.length < Math.min(CHUNK_BYTES, image.sizeBytes)) return;
    first.set(image.head.subarray(0, first.length));
    this.#cache.set(0, first);
  }

  /** @throws CodedError as `probeImage` does */
  static async open(url: string, options: HttpRangeOptions = {}): Promise<HttpRangeStore> {
    const fetch: Fetch = options.fetch ?? ((target, init) => globalThis.fetch(target, init));
    const pageUrl = options.pageUrl ?? (typeof location === 'undefined' ? undefined : location.href);
    const address = URL.canParse(url, pageUrl) ? new URL(url, pageUrl).href : url;
    const stallMs = options.stallMs ?? 15_000;
    const image = await probeImage(address, fetch, pageUrl, AbortSignal.timeout(stallMs));
    const policy = {
      fetch,
      sleep: options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))),
      retryDelaysMs: options.retryDelaysMs ?? [200, 500, 1000, 2000, 4000, 8000],
      stallMs,
      ifRange: !isCrossOrigin(address, pageUrl),
    };
    return new HttpRangeStore(image, policy, options);
  }

  /** Exact size of the file. */
  get sizeBytes(): number {
    return this.#image.sizeBytes;
  }

  /** Bytes of the image held in RAM. */
  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    if (this.#closing.signal.aborted) throw closedError(this.description);
    checkRequest(this.sectorCount, sector, into.length);
    if (into.length === 0) return;
    if (this.#broken) throw this.#broken;
    const at = sector * SECTOR_BYTES;
    const first = Math.floor(at / CHUNK_BYTES);
    const last = Math.floor((at + into.length - 1) / CHUNK_BYTES);
    const waits: Promise<void>[] = [];
    for (let chunk = first; chunk <= last; chunk++) {
      const cached = this.#cache.get(chunk);
      if (cached) copyChunk(chunk, cached, at, into);
      else waits.push(this.#want(chunk).then((bytes) => copyChunk(chunk, bytes, at, into)));
    }
    this.#expectMore(first, last);
    await Promise.all(waits);
  }

  async write(): Promise<void> {
    throw readOnlyError(this.description);
  }

  async flush(): Promise<void> {
    if (this.#closing.signal.aborted) throw closedError(this.description);
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#wanted.clear();
    this.#expected.clear();
    for (const chunk of [...this.#coming.keys()]) this.#fail(chunk, closedError(this.description));
    this.#cache.clear();
  }

  #want(chunk: number): Promise<Uint8Array> {
    const coming = this.#coming.get(chunk);
    if (coming) {
      if (this.#expected.delete(chunk)) this.#wanted.add(chunk);
      return coming.bytes;
    }
    this.#wanted.add(chunk);
    return this.#enqueue(chunk);
  }

  #expectMore(first: number, last: number): void {
    const chunkCount = Math.ceil(this.#image.sizeBytes / CHUNK_BYTES);
    const here = (chunk: number): boolean => this.#cache.has(chunk) || this.#coming.has(chunk);
    for (const chunk of this.#ahead.after(first, last, chunkCount, here)) {
      this.#expected.add(chunk);
      void this.#enqueue(chunk);
    }
  }

  #enqueue(chunk: number): Promise<Uint8Array> {
    const { promise: bytes, resolve, reject } = deferred();
    // A chunk only expected has nobody waiting; its failure shows when somebody wants it.
    bytes.catch(() => {});
    this.#coming.set(chunk, { bytes, resolve, reject });
    if (!this.#pumpDue) {
      this.#pumpDue = true;
      // Reads made in the same turn are seen together, so that neighbours become one request.
      queueMicrotask(() => {
        this.#pumpDue = false;
        this.#pump();
      });
    }
    return bytes;
  }

  #pump(): void {
    while (this.#active < this.#connections) {
      const [seed] = this.#wanted.size > 0 ? this.#wanted : this.#expected;
      if (seed === undefined) return;
      let first = seed;
      while (this.#wanted.has(first - 1)) first--;
      let end = first;
      while (this.#wanted.delete(end) || this.#expected.delete(end)) end++;
      this.#active++;
      void this.#fetchRun(first, end).finally(() => {
        this.#active--;
        this.#pump();
      });
    }
  }

  /** Fetches chunks `first` to `end - 1` in one request and hands each out as soon as it is whole. */
  async #fetchRun(first: number, end: number): Promise<void> {
    let chunk = first;
    let buffer = new Uint8Array(this.#chunkBytes(chunk));
    let filled = 0;
    const endByte = Math.min(end * CHUNK_BYTES, this.#image.sizeBytes);
    const take = (bytes: Uint8Array): void => {
      for (let from = 0; from < bytes.length; ) {
        const count = Math.min(bytes.length - from, buffer.length - filled);
        buffer.set(bytes.subarray(from, from + count), filled);
        filled += count;
        from += count;
        const whole = filled === buffer.length || chunk * CHUNK_BYTES + filled === this.#image.sizeBytes;
        if (!whole) continue;
        this.#deliver(chunk++, buffer);
        if (chunk === end) return;
        buffer = new Uint8Array(this.#chunkBytes(chunk));
        filled = 0;
      }
    };
    try {
      await fetchRange(this.#image, first * CHUNK_BYTES, endByte, take, this.#policy, this.#closing.signal);
    } catch (error) {
      this.#noteFailure(error as CodedError<StorageErrorCode>);
      for (; chunk < end; chunk++) this.#fail(chunk, error);
    }
  }

  #deliver(chunk: number, bytes: Uint8Array): void {
    if (this.#closing.signal.aborted) return;
    this.#noteSuccess();
    this.#cache.set(chunk, bytes);
    this.#coming.get(chunk)?.resolve(bytes);
    this.#coming.delete(chunk);
  }

  #fail(chunk: number, error: unknown): void {
    this.#coming.get(chunk)?.reject(error);
    this.#coming.delete(chunk);
  }

  /** Bytes of a chunk in RAM: whole sectors, so the last one may be longer than what the server has. */
  #chunkBytes(chunk: number): number {
    return Math.min(CHUNK_BYTES, this.sectorCount * SECTOR_BYTES - chunk * CHUNK_BYTES);
  }

  #noteTrouble(error: CodedError<StorageErrorCode>): void {
    if (this.#troubled) return;
    this.#troubled = true;
    this.#options.onTrouble?.(error);
  }

  #noteSuccess(): void {
    if (!this.#troubled) return;
    this.#troubled = false;
    this.#options.onRecovered?.();
  }

  #noteFailure(error: CodedError<StorageErrorCode>): void {
    if (error.code === 'closed') return;
    this.#noteTrouble(error);
    if (error.code !== 'changed') return;
    // Half old, half new would be a corrupt disk: not one byte more, cached ones included.
    this.#broken = error;
    this.#cache.clear();
  }
}

function copyChunk(chunk: number, bytes: Uint8Array, at: number, into: Uint8Array): void {
  const chunkAt = chunk * CHUNK_BYTES;
  const from = Math.max(0, at - chunkAt);
  const to = Math.min(bytes.length, at + into.length - chunkAt);
  into.set(bytes.subarray(from, to), chunkAt + from - at);
}

function deferred(): { promise: Promise<Uint8Array>; resolve(bytes: Uint8Array): void; reject(error: unknown): void } {
  let resolve: (bytes: Uint8Array) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<Uint8Array>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
