// The guest images under /guests/: whole or in ranges, straight from the cache directory, which may fill while we run.
// Source: RFC 9110, 13 (conditional requests) and 14 (range requests).

import { createReadStream, type Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { parseByteRange } from './byte-range.ts';

/** One file of `GET /guests/`. */
export interface GuestFile {
  readonly name: string;
  readonly bytes: number;
}

/** Guest images lie flat in one directory; a name with a separator, or a hidden one, is none of them. */
const GUEST_NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;

async function list(directory: string): Promise<GuestFile[]> {
  const names = await readdir(directory).catch(() => []);
  const files: GuestFile[] = [];
  for (const name of names.filter((n) => GUEST_NAME.test(n)).sort()) {
    const found = await stat(join(directory, name)).catch(() => undefined);
    if (found?.isFile()) files.push({ name, bytes: found.size });
  }
  return files;
}

const entityTag = (file: Stats): string => `"${file.size.toString(16)}-${Math.floor(file.mtimeMs).toString(16)}"`;

function end(response: ServerResponse, status: number, text = ''): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(text);
}

function send(request: IncomingMessage, response: ServerResponse, path: string, file: Stats): void {
  const tag = entityTag(file);
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('ETag', tag);
  response.setHeader('Cache-Control', 'no-cache');
  response.setHeader('Last-Modified', file.mtime.toUTCString());
  response.setHeader('Content-Type', 'application/octet-stream');
  if (request.headers['if-none-match'] === tag) {
    response.statusCode = 304;
    response.end();
    return;
  }
  const condition = request.headers['if-range'];
  const range =
    condition === undefined || condition === tag ? parseByteRange(request.headers.range, file.size) : undefined;
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${file.size}`);
    end(response, 416, 'the file has no such bytes\n');
    return;
  }
  const { first, last } = range ?? { first: 0, last: file.size - 1 };
  response.statusCode = range ? 206 : 200;
  if (range) response.setHeader('Content-Range', `bytes ${first}-${last}/${file.size}`);
  response.setHeader('Content-Length', last - first + 1);
  if (request.method === 'HEAD' || last < first) {
    response.end();
    return;
  }
  // A reader that goes away, or a file that shrinks, ends the connection; there is nobody left to tell.
  pipeline(createReadStream(path, { start: first, end: last }), response, () => {});
}

/**
 * Answers one request for `name` under /guests/; the empty name lists the directory as JSON (`GuestFile[]`).
 * @param name decoded path after /guests/
 */
export async function serveGuestFile(
  request: IncomingMessage,
  response: ServerResponse,
  directory: string,
  name: string,
): Promise<void> {
  if (name === '') {
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('Cache-Control', 'no-store');
    response.end(JSON.stringify(await list(directory)));
    return;
  }
  const path = join(directory, name);
  const file = GUEST_NAME.test(name) ? await stat(path).catch(() => undefined) : undefined;
  if (file?.isFile()) send(request, response, path, file);
  else end(response, 404, 'no such guest file; `npm run guests -- all` makes them\n');
}
