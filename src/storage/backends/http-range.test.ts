import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { CodedError } from '#base/errors.ts';
import { describeBlockStore, patternImage, readSectors, readWhole } from '../block/block-store.suite.ts';
import { CHUNK_BYTES, type HttpRangeOptions, HttpRangeStore } from './http-range.ts';

/** A web server on the loopback interface that can be told to misbehave. */
class RangeServer {
  image: Uint8Array;
  etag: string | undefined = '"v1"';
  lastModified: string | undefined;
  honoursRange = true;
  honoursIfRange = true;
  status = 0;
  /** Each answer's body breaks off after this many bytes. */
  cutAfter: number | undefined;
  /** Asked and answered: `first-last` of each GET. */
  readonly ranges: string[] = [];
  readonly methods: string[] = [];
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  port = 0;

  constructor(image: Uint8Array) {
    this.image = image;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/disk.img`;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async die(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.methods.push(request.method ?? '');
    response.setHeader('server', 'rangeless/1.0');
    if (this.etag) response.setHeader('etag', this.etag);
    if (this.lastModified) response.setHeader('last-modified', this.lastModified);
    if (this.status) return void response.writeHead(this.status).end();
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const ifRange = request.headers['if-range'];
    const stale = this.honoursIfRange && ifRange !== undefined && ifRange !== (this.etag ?? this.lastModified);
    if (!match || !this.honoursRange || stale) {
      response.writeHead(200, { 'content-length': this.image.length });
      return void response.end(request.method === 'HEAD' ? undefined : this.image);
    }
    const first = Number(match[1]);
    const end = Math.min(Number(match[2]) + 1, this.image.length);
    if (first >= this.image.length) return void response.writeHead(416).end();
    this.ranges.push(`${first}-${end - 1}`);
    const body = this.image.subarray(first, end);
    response.writeHead(206, {
      'content-range': `bytes ${first}-${end - 1}/${this.image.length}`,
      'content-length': body.length,
    });
    if (this.cutAfter === undefined || body.length <= this.cutAfter) return void response.end(body);
    response.write(body.subarray(0, this.cutAfter), () => response.destroy());
  }
}

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

async function serve(image: Uint8Array): Promise<RangeServer> {
  const server = new RangeServer(image);
  await server.start();
  cleanUps.push(() => server.die());
  return server;
}

const QUICK: HttpRangeOptions = { retryDelaysMs: [1, 1, 1, 1], readAheadBytes: 0 };

async function open(server: RangeServer, options: HttpRangeOptions = {}): Promise<HttpRangeStore> {
  const store = await HttpRangeStore.open(server.url, { ...QUICK, ...options });
  cleanUps.push(() => store.close());
  server.ranges.length = 0;
  return store;
}

for (const readAheadBytes of [0, 1 << 20]) {
  describeBlockStore(`HttpRangeStore reading ahead ${readAheadBytes} bytes`, async (image) => {
    const server = new RangeServer(image);
    await server.start();
    const store = await HttpRangeStore.open(server.url, { ...QUICK, readAheadBytes });
    return { store, cleanUp: () => server.die() };
  });
}

describeBlockStore('HttpRangeStore whose connections keep breaking', async (image) => {
  const server = new RangeServer(image);
  await server.start();
  const store = await HttpRangeStore.open(server.url, { ...QUICK, retryDelaysMs: new Array(200).fill(0) });
  server.cutAfter = 50_000;
  return { store, cleanUp: () => server.die() };
});

describe('opening an image on a web server', () => {
  it('finds out and names a server that ignores Range', async () => {
    const server = await serve(patternImage(300_000));
    server.honoursRange = false;
    await expect(open(server)).rejects.toMatchObject({
      code: 'range-unsupported',
      message: expect.stringMatching(/127\.0\.0\.1:\d+ \(rangeless\/1\.0\) ignores range requests/),
      details: { server: expect.stringContaining('rangeless') },
    });
  });

  it.each([
    [404, 'not-found', /check the address/],
    [410, 'not-found', /410/],
    [403, 'denied', /403/],
    [500, 'io', /500/],
  ])('explains %i', async (status, code, message) => {
    const server = await serve(patternImage(1000));
    server.status = status;
    await expect(open(server)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('explains an empty file', async () => {
    const server = await serve(new Uint8Array(0));
    await expect(open(server)).rejects.toMatchObject({ code: 'bad-image', message: expect.stringMatching(/0 bytes/) });
  });

  it('explains a server that is not there', async () => {
    const server = await serve(patternImage(1000));
    await server.die();
    await expect(open(server)).rejects.toMatchObject({ code: 'io', message: expect.stringMatching(/does not answer/) });
  });

  /** What a page gets to see: the browser rejects with nothing but a TypeError. */
  const forbidden = async (_url: string, init: RequestInit): Promise<Response> => {
    if (init.mode === 'no-cors') return new Response();
    throw new TypeError('Failed to fetch');
  };
  const silent = async (): Promise<Response> => {
    throw new TypeError('Failed to fetch');
  };

  it.each([
    [
      'a server that forbids this page to read',
      'https://other.example/a.img',
      forbidden,
      'cors',
      /Access-Control-Allow/,
    ],
    ['a server elsewhere that is silent', 'https://other.example/a.img', silent, 'io', /does not answer/],
    ['our own server being silent', '/a.img', silent, 'io', /does not answer/],
    ['http from an https page', 'http://other.example/a.img', silent, 'mixed-content', /over https/],
    ['http from an https page, but on loopback', 'http://localhost:8080/a.img', forbidden, 'cors', /Access-Control/],
  ])('tells apart %s', async (_what, url, fetch, code, message) => {
    await expect(HttpRangeStore.open(url, { fetch, pageUrl: 'https://page.example/index.html' })).rejects.toMatchObject(
      { code, message: expect.stringMatching(message) },
    );
  });

  it('asks with HEAD when Content-Range is hidden from the page, and explains when that is too', async () => {
    const server = await serve(patternImage(100_000));
    const hiding =
      (...names: string[]) =>
      async (url: string, init: RequestInit): Promise<Response> => {
        const response = await fetch(url, init);
        const headers = new Headers(response.headers);
        for (const name of names) headers.delete(name);
        return new Response(response.body, { status: response.status, headers });
      };
    const store = await open(server, { fetch: hiding('content-range', 'etag') });
    expect(server.methods).toContain('HEAD');
    expect(store.sectorCount).toBe(Math.ceil(100_000 / 512));
    await expect(open(server, { fetch: hiding('content-range', 'content-length') })).rejects.toMatchObject({
      code: 'cors',
      message: expect.stringMatching(/Access-Control-Expose-Headers/),
    });
  });

  it('gives another version of the file another identity', async () => {
    const image = patternImage(200_000);
    const server = await serve(image);
    const identities = [(await open(server)).identity];
    server.etag = '"v2"';
    identities.push((await open(server)).identity);
    server.etag = undefined;
    identities.push((await open(server)).identity);
    image[100] ^= 1;
    identities.push((await open(server)).identity);
    expect(new Set(identities).size).toBe(4);
  });
});

describe('a file replaced while the machine runs', () => {
  it.each([
    ['by its ETag', { honoursIfRange: false }],
    ['by the answer to If-Range', { honoursIfRange: true }],
  ])('is noticed %s and never mixed with the old one', async (_how, behaviour) => {
    const server = await serve(patternImage(1_000_000));
    const store = await open(server);
    await readSectors(store, 0, 8);
    Object.assign(server, behaviour);
    server.etag = '"v2"';
    server.image = patternImage(1_000_000, 99);
    await expect(readSectors(store, 1000, 1)).rejects.toMatchObject({ code: 'changed' });
    await expect(readSectors(store, 0, 1)).rejects.toMatchObject({ code: 'changed' });
  });

  it('is noticed by Last-Modified or its size where there is no ETag', async () => {
    const server = await serve(patternImage(1_000_000));
    server.etag = undefined;
    server.lastModified = 'Sat, 21 Nov 2026 05:00:00 GMT';
    const store = await open(server);
    await readSectors(store, 400, 1);
    server.lastModified = 'Sat, 21 Nov 2026 05:01:00 GMT';
    await expect(readSectors(store, 1000, 1)).rejects.toMatchObject({ code: 'changed' });

    server.lastModified = undefined;
    const other = await open(server);
    server.image = patternImage(900_000);
    await expect(readSectors(other, 1000, 1)).rejects.toMatchObject({ code: 'changed' });
  });
});

describe('a server in trouble', () => {
  it('that dies in the middle of an answer and comes back costs only time', async () => {
    const image = patternImage(2_000_000);
    const server = await serve(image);
    const events: string[] = [];
    let outages = 0;
    const store = await open(server, {
      retryDelaysMs: [1, 1, 1],
      sleep: async () => {
        outages++;
        if (outages === 1) await server.die();
        if (outages !== 2) return;
        server.cutAfter = undefined;
        await server.start();
      },
      onTrouble: (error) => events.push(error.code),
      onRecovered: () => events.push('recovered'),
    });
    server.cutAfter = 70_000;
    const got = await readSectors(store, 256, 400);
    expect(Buffer.compare(got, image.subarray(256 * 512, 656 * 512))).toBe(0);
    expect(outages).toBe(2);
    expect(events).toEqual(['io', 'recovered']);
    // It went on where it broke off instead of starting again.
    const [first, second] = server.ranges;
    expect(first?.split('-')[0]).toBe(String(256 * 512));
    expect(Number(second?.split('-')[0])).toBeGreaterThan(256 * 512 + 60_000);
  });

  it('is given up after a bounded number of attempts, and asked again at the next read', async () => {
    const server = await serve(patternImage(1_000_000));
    const waits: number[] = [];
    const events: string[] = [];
    const store = await open(server, {
      retryDelaysMs: [10, 20, 40],
      sleep: async (ms) => void waits.push(ms),
      onTrouble: () => events.push('trouble'),
      onRecovered: () => events.push('recovered'),
    });
    await server.die();
    await expect(readSectors(store, 1000, 1)).rejects.toMatchObject({ code: 'io', details: { attempts: 4 } });
    expect(waits).toEqual([10, 20, 40]);
    await server.start();
    expect(await readSectors(store, 1000, 1)).toEqual(server.image.slice(1000 * 512, 1001 * 512));
    expect(events).toEqual(['trouble', 'recovered']);
  });

  it.each([503, 429])('with status %i is asked again', async (status) => {
    const server = await serve(patternImage(1_000_000));
    const store = await open(server, {
      retryDelaysMs: [1, 1],
      sleep: async () => {
        server.status = 0;
      },
    });
    server.status = status;
    expect(await readSectors(store, 1000, 1)).toEqual(server.image.slice(1000 * 512, 1001 * 512));
  });

  it('with status 404 is not asked again', async () => {
    const server = await serve(patternImage(1_000_000));
    let waits = 0;
    const store = await open(server, { sleep: async () => void waits++ });
    server.status = 404;
    await expect(readSectors(store, 1000, 1)).rejects.toMatchObject({ code: 'not-found' });
    expect(waits).toBe(0);
  });

  it('that accepts but never answers counts as broken', async () => {
    const server = await serve(patternImage(1_000_000));
    let stuck = 1;
    const store = await open(server, {
      stallMs: 30,
      fetch: (url, init) => {
        const first = (init.headers as Record<string, string>)['Range'] === 'bytes=0-65535';
        if (first || stuck-- <= 0) return fetch(url, init);
        return new Promise((_resolve, reject) =>
          init.signal?.addEventListener('abort', () => reject(new DOMException('stalled', 'AbortError'))),
        );
      },
    });
    expect(await readSectors(store, 1000, 1)).toEqual(server.image.slice(1000 * 512, 1001 * 512));
  });

  it('does not hold up closing', async () => {
    const server = await serve(patternImage(1_000_000));
    const store = await open(server, { retryDelaysMs: [1e6], sleep: () => new Promise(() => {}) });
    await server.die();
    const read = readSectors(store, 1000, 1).catch((error: CodedError) => error.code);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await store.close();
    expect(await read).toBe('closed');
  });
});

describe('what goes over the network', () => {
  const chunk = (first: number, count: number): string => `${first * CHUNK_BYTES}-${(first + count) * CHUNK_BYTES - 1}`;
  const sectors = CHUNK_BYTES / 512;

  it('is fetched once, however many reads want it', async () => {
    const server = await serve(patternImage(40 * CHUNK_BYTES));
    const store = await open(server);
    await Promise.all([1, 2, 3, 4].map((n) => readSectors(store, 5 * sectors + n, 2)));
    await readSectors(store, 5 * sectors, sectors);
    expect(server.ranges).toEqual([chunk(5, 1)]);
  });

  it('joins neighbours that are wanted at the same time', async () => {
    const server = await serve(patternImage(40 * CHUNK_BYTES));
    const store = await open(server);
    await Promise.all([7, 5, 6, 20].map((c) => readSectors(store, c * sectors, sectors)));
    expect(server.ranges.toSorted()).toEqual([chunk(5, 3), chunk(20, 1)].toSorted());
  });

  it('does not fetch the probed head again', async () => {
    const server = await serve(patternImage(40 * CHUNK_BYTES));
    await readSectors(await open(server), 0, sectors);
    expect(server.ranges).toEqual([]);
  });

  it('comes in ever larger pieces when read in order, and in small ones otherwise', async () => {
    const image = patternImage(256 * CHUNK_BYTES);
    const server = await serve(image);
    const store = await open(server, { readAheadBytes: 1 << 20 });
    const whole = await readWholeBy(store, 32);
    expect(Buffer.compare(whole, image)).toBe(0);
    const sizes = server.ranges.map((r) => {
      const [first, last] = r.split('-').map(Number);
      return ((last ?? 0) + 1 - (first ?? 0)) / CHUNK_BYTES;
    });
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(255);
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(8);
    expect(sizes.length).toBeLessThan(60);

    const random = await open(server, { readAheadBytes: 1 << 20 });
    for (const c of [100, 30, 200, 60]) await readSectors(random, c * sectors, 8);
    expect(server.ranges).toEqual([100, 30, 200, 60].map((c) => chunk(c, 1)));
  });

  it('stays in RAM up to the limit, the least recently used going first', async () => {
    const server = await serve(patternImage(40 * CHUNK_BYTES));
    const store = await open(server, { cacheBytes: 3 * CHUNK_BYTES });
    for (const c of [10, 12, 14, 10, 16]) await readSectors(store, c * sectors, 1);
    expect(store.cachedBytes).toBeLessThanOrEqual(3 * CHUNK_BYTES);
    server.ranges.length = 0;
    await readSectors(store, 10 * sectors, 1);
    expect(server.ranges).toEqual([]);
    await readSectors(store, 12 * sectors, 1);
    expect(server.ranges).toEqual([chunk(12, 1)]);
  });

  it('is read whole through a cache far smaller than the request', async () => {
    const image = patternImage(20 * CHUNK_BYTES + 777);
    const store = await open(await serve(image), { cacheBytes: CHUNK_BYTES });
    expect(Buffer.compare((await readWhole(store)).subarray(0, image.length), image)).toBe(0);
  });

  async function readWholeBy(store: HttpRangeStore, step: number): Promise<Uint8Array> {
    const whole = new Uint8Array(store.sectorCount * 512);
    for (let s = 0; s < store.sectorCount; s += step) whole.set(await readSectors(store, s, step), s * 512);
    return whole;
  }
});
