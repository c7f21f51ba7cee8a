/**
 * Brings one byte range of an image through a network that fails: resumes where a connection broke, waits longer
 * between attempts, gives up after a bounded number, and notices when the file was replaced meanwhile.
 * Source: RFC 9110 sections 13.1.5 (If-Range: strong validators only), 14.2, 15.3.7.
 * Not modelled: multipart/byteranges, Retry-After.
 */
import type { CodedError } from '#base/errors.ts';
import { isStorageError, type StorageErrorCode, storageError } from '../block/block-store.ts';
import {
  changedError,
  contentRange,
  explainStatus,
  type Fetch,
  type HttpImage,
  isPassing,
  serverName,
} from './http-probe.ts';

export interface FetchPolicy {
  readonly fetch: Fetch;
  readonly sleep: (ms: number) => Promise<void>;
  /** Milliseconds to wait before each further attempt; as many attempts as entries, and one. */
  readonly retryDelaysMs: readonly number[];
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly stallMs: number;
  /** Send If-Range; not across origins, where it costs a preflight that many servers refuse. */
  readonly ifRange: boolean;
  /** Told of the first failure of a range, before it is tried again. */
  readonly onTrouble: (error: CodedError<StorageErrorCode>) => void;
}

/** Takes the bytes as they arrive, front to back; never keeps `bytes`. */
export type Sink = (bytes: Uint8Array) => void;

/**
 * @param first position of the first byte
 * @param end position behind the last byte, at most the size of the image
 * @throws CodedError<'io'> when attempts run out; `changed`, `not-found`, `denied`, `range-unsupported` at once
 */
export async function fetchRange(
  image: HttpImage,
  first: number,
  end: number,
  sink: Sink,
  policy: FetchPolicy,
  signal: AbortSignal,
): Promise<void> {
  let at = first;
  const counted: Sink = (bytes) => {
    const wanted = bytes.length > end - at ? bytes.subarray(0, end - at) : bytes;
    at += wanted.length;
    sink(wanted);
  };
  let failures = 0;
  for (;;) {
    try {
      await attempt(image, at, end, counted, policy, signal);
      if (at < end) throw storageError('io', `${serverName(image.url)} broke off`, { url: image.url, at });
      return;
    } catch (cause) {
      const error = asPassing(image, cause, signal);
      if (failures === 0) policy.onTrouble(error);
      const delay = policy.retryDelaysMs[failures++];
      if (delay === undefined) throw givenUp(image, failures, error);
      await policy.sleep(delay);
      if (signal.aborted) throw error;
    }
  }
}

async function attempt(
  image: HttpImage,
  first: number,
  end: number,
  sink: Sink,
  policy: FetchPolicy,
  signal: AbortSignal,
): Promise<void> {
  const stalled = new AbortController();
  const stop = (): void => stalled.abort();
  signal.addEventListener('abort', stop, { once: true });
  let timer = setTimeout(stop, policy.stallMs);
  try {
    const headers: Record<string, string> = { Range: `bytes=${first}-${end - 1}` };
    const validator = strongValidator(image);
    if (policy.ifRange && validator !== undefined) headers['If-Range'] = validator;
    const response = await policy.fetch(image.url, { headers, cache: 'no-store', signal: stalled.signal });
    checkAnswer(image, first, response);
    const reader = response.body?.getReader();
    if (!reader) return;
    for (let wanted = end - first; wanted > 0; ) {
      clearTimeout(timer);
      timer = setTimeout(stop, policy.stallMs);
      const { done, value } = await reader.read();
      if (done) return;
      wanted -= value.length;
      sink(value);
    }
    // A server that sends more than asked for is not worth an error.
    await reader.cancel();
  } catch (cause) {
    stop();
    throw cause;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

function checkAnswer(image: HttpImage, first: number, response: Response): void {
  const server = serverName(image.url, response);
  const wanted = { etag: image.etag, 'last-modified': image.lastModified };
  for (const [name, before] of Object.entries(wanted)) {
    const now = response.headers.get(name);
    if (response.ok && before !== undefined && now !== null && now !== before) throw changedError(image.url, server);
  }
  if (response.status === 416) throw changedError(image.url, server);
  if (response.status !== 206) throw explainStatus(image.url, response);
  const range = contentRange(response);
  if (range && range.total !== image.sizeBytes) throw changedError(image.url, server);
  if (range && range.first !== first) {
    throw storageError('range-unsupported', `${server} sends other bytes than it is asked for`, { url: image.url });
  }
}

function strongValidator(image: HttpImage): string | undefined {
  if (image.etag === undefined) return image.lastModified;
  return image.etag.startsWith('W/') ? undefined : image.etag;
}

/** Rethrows what trying again cannot help; everything else becomes an `io` error. */
function asPassing(image: HttpImage, cause: unknown, signal: AbortSignal): CodedError<StorageErrorCode> {
  if (signal.aborted) throw storageError('closed', `reading ${image.url} was given up`, { url: image.url }, cause);
  if (isStorageError(cause)) {
    const status = cause.details['status'];
    if (cause.code !== 'io' || (typeof status === 'number' && !isPassing(status))) throw cause;
    return cause;
  }
  return storageError('io', `${serverName(image.url)} does not answer`, { url: image.url }, cause);
}

function givenUp(
  image: HttpImage,
  attempts: number,
  cause: CodedError<StorageErrorCode>,
): CodedError<StorageErrorCode> {
  return storageError(
    'io',
    `${image.url} could not be read: ${cause.message}, ${attempts} times`,
    { ...cause.details, attempts },
    cause,
  );
}
