// The web server of `npm start`: the built page and the guest images, cross-origin isolated so that the page gets
// SharedArrayBuffer. Source: HTML Living Standard, 7.1.3 (cross-origin opener policies) and 7.1.4 (embedder policies).

import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import sirv from 'sirv';
import { CodedError } from '#base/errors.ts';
import { serveGuestFile } from './guest-files.ts';

export interface ServeOptions {
  /** Directory of the built page, read once at the start. */
  readonly pageDirectory: string;
  /** Directory of the guest images, offered under /guests/. */
  readonly guestsDirectory: string;
  /** Address to listen on; 127.0.0.1 keeps the server to this computer. */
  readonly host: string;
  /** Ports to try in this order, 0 to 65535; 0 takes any free one. */
  readonly ports: readonly number[];
  /** PEM text; without it the server speaks plain HTTP. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Asked before the files. */
  readonly extension?: HttpExtension;
}

/** What else answers at the server, as the relay does. */
export interface HttpExtension {
  /** @returns false: the request is not for it */
  request(request: IncomingMessage, response: ServerResponse): boolean;
  /** An HTTP upgrade; the socket is the extension's from now on. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}

/** Bounds for what a client may keep open or send; ranges of images are answers and may take long. */
const LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 10_000,
  maxHeaderSize: 16 * 1024,
  connectionsCheckingInterval: 5000,
};
const MOST_SOCKETS = 8192;

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Stops listening and ends open connections. */
  close(): Promise<void>;
}

export type ServeError = 'port-in-use' | 'cannot-listen' | 'bad-certificate';

/** Sent with every answer, errors included: one response without them and the browser blocks it under COEP. */
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
} as const;

const GUESTS = '/guests/';

/** @returns the decoded path, or `undefined` when it is not a well-formed one */
function pathOf(request: IncomingMessage): string | undefined {
  const raw = (request.url ?? '/').split(/[?#]/, 1)[0] ?? '/';
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(`${text}\n`);
}

/** The request handler alone, for a server of the caller's. */
export function createHandler(
  pageDirectory: string,
  guestsDirectory: string,
  extension?: HttpExtension,
): (request: IncomingMessage, response: ServerResponse) => void {
  const page = sirv(pageDirectory, {
    etag: true,
    setHeaders(response, path) {
      // Built files carry a hash in their names; the documents that name them do not.
      const named = path.startsWith('/assets/');
      response.setHeader('Cache-Control', named ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
  return (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (extension?.request(request, response)) return;
    const path = pathOf(request);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return refuse(response, 405, 'only GET and HEAD');
    }
    if (path?.[0] !== '/' || path.includes('\0')) return refuse(response, 400, 'bad path');
    if (path.startsWith(GUESTS)) {
      serveGuestFile(request, response, guestsDirectory, path.slice(GUESTS.length)).catch(() =>
        refuse(response, 500, 'cannot read the guest directory'),
      );
      return;
    }
    // The page's own files are small; only guest images are fetched in ranges.
    delete request.headers.range;
    page(request, response, () => refuse(response, 404, 'not found'));
  };
}

function createFor(options: ServeOptions): Server {
  const { tls, extension } = options;
  const handler = createHandler(options.pageDirectory, options.guestsDirectory, extension);
  try {
    const server = tls
      ? createTlsServer({ ...LIMITS, cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' }, handler)
      : createServer(LIMITS, handler);
    server.maxConnections = MOST_SOCKETS;
    if (extension) server.on('upgrade', (request, socket, head) => extension.upgrade(request, socket, head));
    return server;
  } catch (cause) {
    const message = `the certificate or its key cannot be used: ${(cause as Error).message}; both are PEM files`;
    throw new CodedError<ServeError>('bad-certificate', message, {}, cause);
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/**
 * Starts the server on the first port of the list that is free.
 * @throws CodedError<ServeError>
 */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const server = createFor(options);
  const { host, ports } = options;
  let cause: unknown;
  for (const port of ports) {
    try {
      await listen(server, host, port);
      return running(server, options);
    } catch (error) {
      cause = error;
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
        throw new CodedError<ServeError>(
          'cannot-listen',
          `cannot listen on ${host} port ${port}: ${(error as Error).message}`,
          { host, port },
          error,
        );
      }
    }
  }
  const tried = ports.length === 1 ? `port ${ports[0]} is` : `ports ${ports[0]} to ${ports.at(-1)} are`;
  throw new CodedError<ServeError>(
    'port-in-use',
    `${tried} in use on ${host}; give another with --port`,
    { host },
    cause,
  );
}

function running(server: Server, { host, tls, extension }: ServeOptions): RunningServer {
  const { port } = server.address() as AddressInfo;
  // A browser cannot open the wildcard address; 127.0.0.1 is one of those it stands for.
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return {
    url: `${tls ? 'https' : 'http'}://${name}:${port}/`,
    port,
    async close() {
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      await extension?.close();
      server.closeAllConnections();
      await ended;
    },
  };
}
