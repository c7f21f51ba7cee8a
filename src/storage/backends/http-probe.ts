/**
 * Finds out what a web server can do for a disk image: is it there, how large, does it send parts, which version.
 * Source: RFC 9110 sections 8.8 (validators), 13.1.5 (If-Range), 14 (range requests), 15.3.7 (206), 15.5.17 (416);
 * WHATWG Fetch 3.2 (CORS; Content-Range and ETag are invisible across origins unless exposed), W3C Mixed Content 4.
 */
import type { CodedError } from '#base/errors.ts';
import { type StorageErrorCode, storageError } from '../block/block-store.ts';
import { fingerprint } from '../block/content.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One version of one image on one server. */
export interface HttpImage {
  readonly url: string;
  readonly sizeBytes: number;
  /** As sent, weak ones (`W/`) included; undefined when the server sends none or hides it from this origin. */
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  readonly identity: string;
  /** The first bytes, read by the probe. */
  readonly head: Uint8Array;
}

export const PROBE_BYTES = 65_536;

/** Status codes that a server in trouble sends and that may go away. Source: RFC 9110 15.6, RFC 6585 4. */
export function isPassing(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}

/**
 * @param pageUrl the page's own address, to explain mixed content and CORS; undefined outside a page
 * @throws CodedError<'not-found' | 'denied' | 'cors' | 'mixed-content' | 'range-unsupported' | 'bad-image' | 'io'>
 */
export async function probeImage(
  url: string,
  fetch: Fetch,
  pageUrl: string | undefined,
  signal: AbortSignal,
): Promise<HttpImage> {
  if (isMixedContent(url, pageUrl)) {
    throw storageError('mixed-content', `this page came over https and may not read ${url}: serve it over https`, {
      url,
    });
  }
  let response: Response;
  try {
    response = await fetch(url, { headers: { Range: `bytes=0-${PROBE_BYTES - 1}` }, cache: 'no-store', signal });
  } catch (cause) {
    throw await explainNoAnswer(url, fetch, pageUrl, cause);
  }
  if (response.status !== 206) {
    await response.body?.cancel();
    throw explainStatus(url, response);
  }
  const sizeBytes = totalOf(response) ?? (await sizeByHead(url, fetch, signal));
  if (sizeBytes === undefined) {
    await response.body?.cancel();
    throw storageError(
      'cors',
      `${serverName(url, response)} hides the size of ${url} from this page: let it send Access-Control-Expose-Headers: Content-Range, Content-Length, ETag`,
      { url },
    );
  }
  const head = new Uint8Array(await response.arrayBuffer());
  const etag = response.headers.get('etag') ?? undefined;
  const lastModified = response.headers.get('last-modified') ?? undefined;
  // The server's word for a version, and a look of our own for servers that have none or reuse it.
  const identity = `http:${sizeBytes}:${etag ?? lastModified ?? ''}:${fingerprint(head)}`;
  return { url, sizeBytes, etag, lastModified, identity, head };
}

/** What an answer other than 206 to a Range request means. */
export function explainStatus(url: string, response: Response): CodedError<StorageErrorCode> {
  const { status } = response;
  const server = serverName(url, response);
  const details = { url, status, server };
  if (status === 416 || (status === 200 && response.headers.get('content-length') === '0')) {
    return storageError('bad-image', `${url} is empty (0 bytes), so there is no disk in it`, details);
  }
  if (status === 200) {
    return storageError(
      'range-unsupported',
      `${server} ignores range requests: it answers with the whole of ${url}; use a server that can send parts of a file`,
      details,
    );
  }
  if (status === 404 || status === 410) {
    return storageError('not-found', `${server} has no ${url} (${status}); check the address`, details);
  }
  if (status === 401 || status === 403) {
    return storageError('denied', `${server} does not give out ${url} (${status})`, details);
  }
  if (status === 412) return changedError(url, server);
  return storageError('io', `${server} answered ${status} for ${url}`, details);
}

export function changedError(url: string, server: string): CodedError<StorageErrorCode> {
  return storageError(
    'changed',
    `${url} on ${server} is no longer the file this machine started with; stop the machine and start it again`,
    { url },
  );
}

/** Host and, when it says, software of the answering server. */
export function serverName(url: string, response?: Response): string {
  const software = response?.headers.get('server');
  const host = hostOf(url);
  return software ? `${host} (${software})` : host;
}

/** The first byte's position and the total size out of `Content-Range: bytes 0-99/1234`. */
export function contentRange(response: Response): { readonly first: number; readonly total: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match ? { first: Number(match[1]), total: Number(match[2]) } : undefined;
}

export function isCrossOrigin(url: string, pageUrl: string | undefined): boolean {
  return pageUrl !== undefined && new URL(url, pageUrl).origin !== new URL(pageUrl).origin;
}

function totalOf(response: Response): number | undefined {
  return contentRange(response)?.total;
}

async function sizeByHead(url: string, fetch: Fetch, signal: AbortSignal): Promise<number | undefined> {
  try {
    const response = await fetch(url, { method: 'HEAD', cache: 'no-store', signal });
    const length = response.headers.get('content-length');
    return response.ok && length !== null ? Number(length) : undefined;
  } catch {
    return undefined;
  }
}

/** A page is told nothing but "failed"; a second, answerless request tells a silent server from a forbidding one. */
async function explainNoAnswer(
  url: string,
  fetch: Fetch,
  pageUrl: string | undefined,
  cause: unknown,
): Promise<CodedError<StorageErrorCode>> {
  const host = hostOf(url);
  if (isCrossOrigin(url, pageUrl) && (await reachable(url, fetch))) {
    return storageError(
      'cors',
      `${host} does not let this page read ${url}: it must send Access-Control-Allow-Origin (and expose Content-Range and ETag)`,
      { url },
      cause,
    );
  }
  return storageError('io', `${host} does not answer`, { url }, cause);
}

async function reachable(url: string, fetch: Fetch): Promise<boolean> {
  try {
    await fetch(url, { method: 'HEAD', mode: 'no-cors', cache: 'no-store' });
    return true;
  } catch {
    return false;
  }
}

function isMixedContent(url: string, pageUrl: string | undefined): boolean {
  if (!pageUrl?.startsWith('https:')) return false;
  const target = new URL(url, pageUrl);
  // Loopback counts as trustworthy. Source: W3C Secure Contexts 3.1.
  const loopback = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(target.hostname);
  return target.protocol === 'http:' && !loopback;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'this site';
}
