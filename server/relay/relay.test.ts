import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { CodedError } from '#base/errors.ts';
import { type RunningServer, startServer } from '../http/serve.ts';
import { JoinTokens, loadTokenKey } from './join-tokens.ts';
import { Relay } from './relay.ts';
import { CLOSE, type RelayConnection, type RelayService } from './service.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'tabbox-relay-'));
  closers.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A service that answers with what it was told. */
class Echo implements RelayService {
  readonly name = 'echo';
  readonly mostMessageBytes = 1000;
  readonly mostBufferedBytes = 100_000;
  readonly connections: RelayConnection[] = [];
  closed = 0;
  connect(connection: RelayConnection) {
    const { most } = connection.claims.rights['echo'] as { most?: number };
    if (most === 0) throw new CodedError('no-rights', 'the token allows nothing');
    this.connections.push(connection);
    return {
      message: (message: Uint8Array | string) => {
        if (message === 'bad') throw new CodedError('bad-message', 'not a message');
        if (message === 'bug') throw new TypeError('planted');
        connection.send(message);
      },
      closed: () => {
        this.closed++;
      },
    };
  }
  ownPageRights(subject: string) {
    return { of: subject };
  }
  metrics() {
    const samples = [{ labels: { kind: 'a "b"\\\n' }, value: 7 }];
    return [{ type: 'gauge', name: 'tabbox_echo', help: 'Planted.', samples }] as const;
  }
  close() {}
}

async function start(options: { ownPageTokens?: boolean; mostConnections?: number } = {}) {
  const tokens = new JoinTokens(loadTokenKey(folder()));
  const echo = new Echo();
  const relay = new Relay({ tokens, services: [echo], ownPageTokens: true, ...options });
  const page = folder();
  writeFileSync(join(page, 'index.html'), '<!doctype html>');
  const server = await startServer({
    ...{ pageDirectory: page, guestsDirectory: page, host: '127.0.0.1', ports: [0] },
    extension: relay,
  });
  closers.push(() => server.close());
  const token = await tokens.issue({ subject: 'm1', rights: { echo: {} }, lifeSeconds: 60 });
  return { server, relay, tokens, echo, token };
}

interface Client {
  readonly socket: WebSocket;
  readonly messages: (string | Buffer)[];
  readonly ended: Promise<{ readonly code: number; readonly reason: string }>;
  next(): Promise<string | Buffer>;
}

function joinRelay(server: RunningServer, token: string | undefined, path = '/relay/echo'): Client {
  const protocols = token === undefined ? ['tabbox'] : ['tabbox', `token.${token}`];
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, protocols);
  const messages: (string | Buffer)[] = [];
  const waiting: ((message: string | Buffer) => void)[] = [];
  socket.on('error', () => {});
  socket.on('message', (data: Buffer, isBinary) => {
    const message = isBinary ? data : data.toString();
    messages.push(message);
    waiting.shift()?.(message);
  });
  closers.push(() => socket.terminate());
  const ended = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  return { socket, messages, ended, next: () => new Promise((resolve) => waiting.push(resolve)) };
}

const opened = ({ socket, ended }: Client): Promise<unknown> =>
  Promise.race([new Promise((resolve) => socket.once('open', resolve)), ended]);

const post = (server: RunningServer, body: string, headers: Record<string, string>) =>
  new Promise<{ status: number; body: string }>((resolve, reject) => {
    const { port } = server;
    const request = httpRequest(
      { host: '127.0.0.1', port, path: '/relay/token', method: 'POST', headers },
      (response) => {
        let text = '';
        response.on('data', (part: Buffer) => {
          text += part.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    request.on('error', reject);
    request.end(body);
  });

describe('joining', () => {
  it('connects a token to its service, both ways, text and bytes', async () => {
    const { server, token, echo } = await start();
    const client = joinRelay(server, token);
    await opened(client);
    expect(client.socket.protocol).toBe('tabbox');
    expect(client.socket.extensions).toBe('');
    client.socket.send('hello');
    expect(await client.next()).toBe('hello');
    client.socket.send(Buffer.of(1, 2, 255));
    expect(await client.next()).toEqual(Buffer.of(1, 2, 255));
    expect(echo.connections[0].claims).toMatchObject({ subject: 'm1', rights: { echo: {} } });
    client.socket.close();
    await client.ended;
    await expect.poll(() => echo.closed).toBe(1);
  });

  it('says what is wrong with a token', async () => {
    const { server, tokens, token, echo } = await start();
    const [head, body, signature] = token.split('.');
    const expired = await new SignJWT({ rights: { echo: {} } })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('tabbox')
      .setAudience('tabbox-relay')
      .setSubject('m1')
      .setJti('1')
      .setExpirationTime(1_700_000_000)
      .sign(loadTokenKey(folder()));
    const other = new JoinTokens(loadTokenKey(folder()));
    const request = { subject: 'm1', rights: { echo: {} }, lifeSeconds: 60 };
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
    const reasons = await Promise.all(
      [
        undefined,
        'x',
        expired,
        `${head}.${body}.${signature.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))}`,
        unsigned,
        await other.issue(request),
        'a'.repeat(6000),
        await tokens.issue({ ...request, rights: { session: {} } }),
        await tokens.issue({ ...request, rights: { echo: { most: 0 } } }),
      ].map((one) => joinRelay(server, one).ended),
    );
    expect(reasons.map(({ code }) => code)).toEqual([
      ...new Array(7).fill(CLOSE.token),
      ...[CLOSE.rights, CLOSE.rights],
    ]);
    const names = reasons.map(({ reason }) => reason.split(':', 1)[0]);
    const invalid = 'token-invalid';
    expect(names).toEqual(['token-missing', ...new Array(6).fill(invalid), 'no-rights', 'no-rights']);
    expect(echo.connections).toHaveLength(0);
  });

  it('tells an expired token from a forged one', async () => {
    const key = loadTokenKey(folder());
    const token = await new SignJWT({ rights: {} })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('tabbox')
      .setAudience('tabbox-relay')
      .setSubject('m1')
      .setJti('1')
      .setExpirationTime(1_700_000_000)
      .sign(key);
    await expect(new JoinTokens(key).verify(token)).rejects.toMatchObject({
      code: 'token-expired',
      message: 'the join token expired at 2023-11-14T22:13:20.000Z; get a new one',
    });
  });

  it('refuses what is no service, and more connections than it keeps', async () => {
    const { server, token, relay } = await start({ mostConnections: 2 });
    const status = (client: Client): Promise<number> =>
      new Promise((resolve) =>
        client.socket.once('unexpected-response', (_, { statusCode }) => resolve(statusCode ?? 0)),
      );
    expect(await status(joinRelay(server, token, '/relay/nothing'))).toBe(404);
    const two = [joinRelay(server, token), joinRelay(server, token)];
    await Promise.all(two.map(opened));
    await expect.poll(() => relay.connections).toBe(2);
    expect(await status(joinRelay(server, token))).toBe(503);
    two[0].socket.close();
    await expect.poll(() => relay.connections).toBe(1);
    const third = joinRelay(server, token);
    await opened(third);
    expect(third.socket.readyState).toBe(WebSocket.OPEN);
  });
});

describe('peers that misbehave', () => {
  it('end alone', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    closers.push(() => log.mockRestore());
    const { server, token } = await start();
    const good = joinRelay(server, token);
    await opened(good);
    const codes: number[] = [];
    for (const message of ['bad', 'bug', 'x'.repeat(2000)]) {
      const client = joinRelay(server, token);
      await opened(client);
      client.socket.send(message);
      codes.push((await client.ended).code);
    }
    expect(codes).toEqual([CLOSE.protocol, CLOSE.internal, 1009]);
    expect(log).toHaveBeenCalledTimes(1);
    good.socket.send('still here');
    expect(await good.next()).toBe('still here');
  });

  it('that never read are cut off before much has piled up', async () => {
    const { server, token, echo } = await start();
    const client = joinRelay(server, token);
    await opened(client);
    await expect.poll(() => echo.connections.length).toBe(1);
    client.socket.pause();
    const [connection] = echo.connections;
    const block = new Uint8Array(50_000);
    let most = 0;
    // What the kernel's buffers take comes first.
    for (let n = 0; n < 2000 && echo.closed === 0; n++) {
      connection.send(block);
      most = Math.max(most, connection.bufferedBytes);
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(echo.closed).toBe(1);
    expect(most).toBeLessThan(echo.mostBufferedBytes + 2 * block.length);
  });

  it('that send half a request and wait do not stop others', async () => {
    const { server, token } = await start();
    const socket = connect(server.port, '127.0.0.1');
    closers.push(() => socket.destroy());
    socket.write('GET /relay/echo HTTP/1.1\r\nUpgrade: websocket\r\n');
    const raw = connect(server.port, '127.0.0.1');
    closers.push(() => raw.destroy());
    raw.write('GET /relay/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const answer = await new Promise<string>((resolve) => raw.once('data', (data: Buffer) => resolve(String(data))));
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    const client = joinRelay(server, token);
    await opened(client);
    client.socket.send('hello');
    expect(await client.next()).toBe('hello');
  });
});

describe('tokens for pages of this server', () => {
  it('are given to a page of its own, and work', async () => {
    const { server } = await start();
    const origin = `http://127.0.0.1:${server.port}`;
    const { status, body } = await post(server, '{"subject":"m2"}', { origin });
    expect(status).toBe(200);
    const client = joinRelay(server, (JSON.parse(body) as { token: string }).token);
    await opened(client);
    client.socket.send('hello');
    expect(await client.next()).toBe('hello');
  });

  it('are not given to anybody else', async () => {
    const { server } = await start();
    const host = `127.0.0.1:${server.port}`;
    const origin = `http://${host}`;
    const rebound = `attacker.example:${server.port}`;
    const strangers: Record<string, string>[] = [
      {},
      { origin: 'null' },
      { origin: 'http://attacker.example' },
      { origin: `https://${host}` },
      { origin: `http://${rebound}`, host: rebound },
      { origin, 'sec-fetch-site': 'cross-site' },
      { origin, 'x-forwarded-for': '192.0.2.1' },
      { origin, forwarded: 'for=192.0.2.1' },
    ];
    for (const headers of strangers) {
      expect(await post(server, '{"subject":"m"}', headers), JSON.stringify(headers)).toMatchObject({ status: 403 });
    }
    for (const body of ['', 'x', '{}', '{"subject":""}', `{"subject":"${'x'.repeat(5000)}"}`]) {
      expect(await post(server, body, { origin })).toMatchObject({ status: 400 });
    }
  });

  it('are not given at all when the server says so', async () => {
    const { server } = await start({ ownPageTokens: false });
    const answer = await post(server, '{"subject":"m"}', { origin: `http://127.0.0.1:${server.port}` });
    expect(answer).toMatchObject({ status: 403, body: expect.stringContaining('tabbox token') });
  });
});

describe('how it is', () => {
  it('is told in OpenMetrics and as health', async () => {
    const { server, token } = await start();
    const client = joinRelay(server, token);
    await opened(client);
    client.socket.send('12345');
    await client.next();
    await joinRelay(server, 'x').ended;
    expect(await (await fetch(`${server.url}healthz`)).json()).toEqual({ status: 'ok', services: ['/relay/echo'] });
    const response = await fetch(`${server.url}metrics`);
    expect(response.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    const text = await response.text();
    expect(text).toContain('# TYPE tabbox_relay_connections gauge\n');
    expect(text).toContain('tabbox_relay_connections{service="echo"} 1\n');
    expect(text).toContain('tabbox_relay_received_bytes_total 5\n');
    expect(text).toContain('tabbox_relay_refused_total{code="token-invalid"} 1\n');
    expect(text).toContain('tabbox_echo{kind="a \\"b\\"\\\\\\n"} 7\n');
    expect(text.endsWith('\n# EOF\n')).toBe(true);
    expect((await fetch(`${server.url}relay/echo`)).status).toBe(426);
    expect((await fetch(`${server.url}relay/none`)).status).toBe(404);
    expect((await fetch(server.url)).status).toBe(200);
  });

  it('ends in order: clients hear that it may come back', async () => {
    const { server, token, echo } = await start();
    const client = joinRelay(server, token);
    await opened(client);
    await expect.poll(() => echo.connections.length).toBe(1);
    await server.close();
    expect((await client.ended).code).toBe(CLOSE.goingAway);
    expect(echo.closed).toBe(1);
  });
});

describe('the key', () => {
  it('is made once, for its owner only, and found again', () => {
    const directory = join(folder(), 'deep', 'state');
    const key = loadTokenKey(directory);
    expect(key).toHaveLength(32);
    expect(loadTokenKey(directory)).toEqual(key);
    expect(statSync(join(directory, 'relay-key')).mode & 0o777).toBe(0o600);
  });

  it('is not taken from a file that holds something else', () => {
    const directory = folder();
    writeFileSync(join(directory, 'relay-key'), 'short\n');
    expect(() => loadTokenKey(directory)).toThrow(/relay-key holds no key of the relay; delete it/);
    expect(readFileSync(join(directory, 'relay-key'), 'utf8')).toBe('short\n');
    expect(() => loadTokenKey(join(directory, 'relay-key', 'below'))).toThrow(
      /the relay's key cannot be kept in .*below/,
    );
  });
});
