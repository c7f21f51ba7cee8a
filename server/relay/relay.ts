/**
 * The relay at an HTTP server: finds the service of a path, checks the token, keeps limits, and tells how it is.
 *
 * An upgrade is refused with an HTTP status only when there is nothing to say to a page: no such service, too many
 * connections. A bad token is told by a close code after the handshake, because a browser shows nothing else.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { CodedError } from '#base/errors.ts';
import { closeSocket, SocketConnection, type Traffic } from './connection.ts';
import type { JoinTokens } from './join-tokens.ts';
import { formatMetrics, METRICS_TYPE, type MetricFamily, metric } from './metrics.ts';
import { isLoopback, whyNotOwnPage } from './own-page.ts';
import { CLOSE, type JoinClaims, type RelayService } from './service.ts';

export interface RelayOptions {
  readonly tokens: JoinTokens;
  readonly services: readonly RelayService[];
  /** Gives tokens to pages of this server in browsers on this computer. */
  readonly ownPageTokens: boolean;
  /** Most connections at a time, of all services. */
  readonly mostConnections?: number;
}

/** What a page offers besides its token; the server answers with it. */
export const SUBPROTOCOL = 'tabbox';
export const TOKEN_PREFIX = 'token.';
const PREFIX = '/relay/';
const TOKEN_PATH = '/relay/token';
const MOST_CONNECTIONS = 4096;
const OWN_PAGE_SECONDS = 12 * 3600;
const MOST_BODY_BYTES = 4096;
const PING_MS = 30_000;

interface Place {
  readonly service: RelayService;
  readonly sockets: WebSocketServer;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #connections = new Map<SocketConnection, string>();
  readonly #traffic: Traffic = { receivedBytes: 0, sentBytes: 0, receivedMessages: 0, sentMessages: 0, cut: 0 };
  /** Handshakes that failed, by code. */
  readonly #refused = new Map<string, number>();
  readonly #pings: NodeJS.Timeout;
  readonly #mostConnections: number;
  /** Sockets between their handshake and their service. */
  #joining = 0;
  #isClosed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#mostConnections = options.mostConnections ?? MOST_CONNECTIONS;
    this.#places = new Map(
      options.services.map((service) => [
        PREFIX + service.name,
        {
          service,
          sockets: new WebSocketServer({
            noServer: true,
            clientTracking: true,
            perMessageDeflate: false,
            maxPayload: service.mostMessageBytes,
            handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
          }),
        },
      ]),
    );
    this.#pings = setInterval(() => {
      for (const connection of this.#connections.keys()) connection.ping();
    }, PING_MS);
    this.#pings.unref();
  }

  get connections(): number {
    return this.#connections.size;
  }

  // WebSockets.

  /** For the server's `upgrade` event. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const place = this.#places.get(pathOf(request));
    if (!place) {
      this.#refuseUpgrade(socket, '404 Not Found', 'not-found');
      return;
    }
    if (this.#isClosed || this.#connections.size + this.#joining >= this.#mostConnections) {
      this.#refuseUpgrade(socket, '503 Service Unavailable', 'busy');
      return;
    }
    // Handshakes that ws itself refuses are answered by it.
    place.sockets.handleUpgrade(request, socket, head, (client) => {
      this.#joining++;
      this.#join(client, place.service, request).finally(() => {
        this.#joining--;
      });
    });
  }

  #refuseUpgrade(socket: Duplex, status: string, code: string): void {
    this.#countRefused(code);
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  }

  #countRefused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  async #join(socket: WebSocket, service: RelayService, request: IncomingMessage): Promise<void> {
    // Nothing is read before it is known who sends it.
    socket.pause();
    const refuse = (code: number, { code: name, message }: CodedError): void => {
      this.#countRefused(name);
      socket.on('error', () => {});
      socket.resume();
      closeSocket(socket, code, `${name}: ${message}`);
    };
    let claims: JoinClaims;
    try {
      claims = await this.#options.tokens.verify(tokenOf(request));
    } catch (cause) {
      if (!(cause instanceof CodedError)) throw cause;
      return refuse(CLOSE.token, cause);
    }
    if (claims.rights[service.name] === undefined) {
      return refuse(CLOSE.rights, new CodedError('no-rights', `the join token is not for ${PREFIX}${service.name}`));
    }
    if (socket.readyState !== socket.OPEN) return;
    const connection = new SocketConnection(
      socket,
      service,
      claims,
      request.socket.remoteAddress ?? 'unknown',
      this.#traffic,
    );
    this.#connections.set(connection, service.name);
    socket.once('close', () => this.#connections.delete(connection));
    connection.start();
    socket.resume();
  }

  // HTTP.

  /** @returns false: it is not for the relay */
  request(request: IncomingMessage, response: ServerResponse): boolean {
    const path = pathOf(request);
    if (path !== '/healthz' && path !== '/metrics' && path !== '/relay' && !path.startsWith(PREFIX)) return false;
    this.#answer(path, request, response).catch((cause: unknown) => {
      console.error('relay:', cause);
      answer(response, 500, { error: 'internal', message: 'the relay failed; its log says more' });
    });
    return true;
  }

  async #answer(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isGet = request.method === 'GET' || request.method === 'HEAD';
    if (path === TOKEN_PATH && request.method === 'POST') return this.#giveToken(request, response);
    if (path === TOKEN_PATH || !isGet) {
      response.setHeader('Allow', path === TOKEN_PATH ? 'POST' : 'GET, HEAD');
      return answer(response, 405, { error: 'method', message: `not with ${request.method}` });
    }
    if (path === '/healthz') {
      const status = this.#isClosed ? 'ending' : 'ok';
      return answer(response, this.#isClosed ? 503 : 200, { status, services: [...this.#places.keys()] });
    }
    if (path === '/metrics') return this.#giveMetrics(request, response);
    if (this.#places.has(path)) return answer(response, 426, { error: 'websocket', message: 'open it as a WebSocket' });
    answer(response, 404, { error: 'not-found', message: 'there is no such service' });
  }

  async #giveToken(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const why = this.#options.ownPageTokens ? whyNotOwnPage(request) : 'this relay gives tokens to no page by itself';
    if (why !== undefined) {
      this.#countRefused('own-page');
      const message = `no token for this request: ${why}; use a link with a token, as of tabbox token`;
      return answer(response, 403, { error: 'not-own-page', message });
    }
    const subject = subjectOf(await readBody(request));
    if (subject === undefined)
      return answer(response, 400, { error: 'bad-request', message: 'the body is {"subject": "1 to 200 characters"}' });
    const rights = Object.fromEntries(
      this.#options.services.flatMap((service) => {
        const own = service.ownPageRights?.(subject);
        return own === undefined ? [] : [[service.name, own]];
      }),
    );
    const token = await this.#options.tokens.issue({ subject, rights, lifeSeconds: OWN_PAGE_SECONDS });
    answer(response, 200, { token, lifeSeconds: OWN_PAGE_SECONDS });
  }

  async #giveMetrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isLoopback(request.socket.remoteAddress)) {
      const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
      const claims = await this.#options.tokens.verify(bearer).catch(() => undefined);
      if (claims?.rights['metrics'] === undefined) {
        response.setHeader('WWW-Authenticate', 'Bearer');
        return answer(response, 401, { error: 'token', message: 'figures need a token with the right metrics' });
      }
    }
    response.setHeader('Content-Type', METRICS_TYPE);
    response.end(formatMetrics(this.#metrics()));
  }

  #metrics(): MetricFamily[] {
    const { receivedBytes, sentBytes, receivedMessages, sentMessages, cut } = this.#traffic;
    const names = this.#options.services.map(({ name }) => name);
    const connected = [...this.#connections.values()];
    return [
      {
        ...{ type: 'gauge', name: 'tabbox_relay_connections', help: 'Open WebSockets.' },
        samples: names.map((name) => ({
          labels: { service: name },
          value: connected.filter((one) => one === name).length,
        })),
      },
      {
        ...{ type: 'counter', name: 'tabbox_relay_refused', help: 'Requests to join that were refused.' },
        samples: [...this.#refused].map(([code, value]) => ({ labels: { code }, value })),
      },
      metric('counter', 'tabbox_relay_cut', 'Connections that were ended for what the peer did or did not do.', cut),
      metric('counter', 'tabbox_relay_received_bytes', 'Payload of messages from peers.', receivedBytes),
      metric('counter', 'tabbox_relay_sent_bytes', 'Payload of messages to peers.', sentBytes),
      metric('counter', 'tabbox_relay_received_messages', 'Messages from peers.', receivedMessages),
      metric('counter', 'tabbox_relay_sent_messages', 'Messages to peers.', sentMessages),
      metric('gauge', 'process_resident_memory_bytes', 'Memory of the process.', process.memoryUsage.rss()),
      ...this.#options.services.flatMap((service) => service.metrics?.() ?? []),
    ];
  }

  /** Ends every connection, saying that it may come back, and then the services. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#pings);
    const clients = [...this.#places.values()].flatMap(({ sockets }) => [...sockets.clients]);
    for (const client of clients) closeSocket(client, CLOSE.goingAway, 'ending: the relay ends');
    // Those that answer are let go in order; the HTTP server ends the others.
    await new Promise<void>((resolve) => {
      let left = clients.length;
      if (left === 0) resolve();
      for (const client of clients) {
        if (client.isPaused) client.resume();
        client.once('close', () => {
          if (--left === 0) resolve();
        });
      }
    });
    for (const { service } of this.#places.values()) await service.close();
  }
}

const pathOf = (request: IncomingMessage): string => (request.url ?? '/').split('?', 1)[0];

/** Browsers can send no header with a WebSocket but the subprotocols; an address would end up in logs. */
function tokenOf(request: IncomingMessage): string | undefined {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
  return offered.find((one) => one.startsWith(TOKEN_PREFIX))?.slice(TOKEN_PREFIX.length);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Cache-Control', 'no-store');
  response.end(`${JSON.stringify(body)}\n`);
}

/** @returns undefined: too long */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += (part as Buffer).length;
    if (bytes > MOST_BODY_BYTES) return undefined;
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString('utf8');
}

function subjectOf(body: string | undefined): string | undefined {
  try {
    const { subject } = JSON.parse(body ?? '') as { readonly subject?: unknown };
    return typeof subject === 'string' && 1 <= subject.length && subject.length <= 200 ? subject : undefined;
  } catch {
    return undefined;
  }
}
