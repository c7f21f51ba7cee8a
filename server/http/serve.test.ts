import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseByteRange } from './byte-range.ts';
import { type RunningServer, startServer } from './serve.ts';

let root: string;
let server: RunningServer;
const image = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) & 255));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tabbox-serve-'));
  const page = join(root, 'page');
  const guests = join(root, 'guests');
  await mkdir(join(page, 'assets'), { recursive: true });
  await mkdir(join(guests, '.stamps'), { recursive: true });
  await writeFile(join(page, 'index.html'), '<!doctype html><title>page</title>');
  await writeFile(join(page, 'assets', 'main-abc.js'), 'export {};');
  await writeFile(join(page, 'assets', 'cpu-abc.wasm'), Buffer.from([0, 0x61, 0x73, 0x6d]));
  await writeFile(join(page, '.secret'), 'hidden');
  await writeFile(join(guests, 'disk+1.img'), image);
  await writeFile(join(guests, 'empty'), '');
  await writeFile(join(guests, '.lock'), 'hidden');
  await writeFile(join(guests, '.stamps', 'disk'), 'hidden');
  await writeFile(join(root, 'secret'), 'outside');
  await writeFile(join(root, 'guests-secret'), 'outside');
  server = await startServer({ pageDirectory: page, guestsDirectory: guests, host: '127.0.0.1', ports: [0] });
});

afterAll(async () => {
  await server.close();
  await rm(root, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A raw request: unlike fetch, it sends the path as written. */
function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port: server.port, path, method, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}

describe('page', () => {
  it('is served with exact types', async () => {
    const types = await Promise.all(
      ['/', '/assets/main-abc.js', '/assets/cpu-abc.wasm'].map(
        async (path) => (await get(path)).headers['content-type'],
      ),
    );
    expect(types).toEqual(['text/html;charset=utf-8', 'text/javascript', 'application/wasm']);
  });

  it('keeps hashed files in the browser and asks again for the document', async () => {
    expect((await get('/assets/main-abc.js')).headers['cache-control']).toContain('immutable');
    expect((await get('/')).headers['cache-control']).toBe('no-cache');
    expect((await get('/?vm=default&autostart=1')).status).toBe(200);
  });

  it.each(['/', '/missing', '/guests/', '/guests/disk+1.img', '/guests/missing', '/%'])(
    'isolates %s from other origins',
    async (path) => {
      const { headers } = await get(path);
      expect(headers['cross-origin-opener-policy']).toBe('same-origin');
      expect(headers['cross-origin-embedder-policy']).toBe('require-corp');
      expect(headers['cross-origin-resource-policy']).toBe('same-origin');
    },
  );

  it('takes GET and HEAD only', async () => {
    expect((await get('/', {}, 'POST')).status).toBe(405);
    expect((await get('/', {}, 'HEAD')).body.length).toBe(0);
  });
});

describe('paths outside', () => {
  it.each([
    '/../secret',
    '/..%2fsecret',
    '/%2e%2e/secret',
    '/guests/../secret',
    '/guests/..%2fsecret',
    '/guests/%2e%2e%2fsecret',
    '/guests/..\\secret',
    '/guests/%2fetc/passwd',
    '/guests/.lock',
    '/guests/.stamps/disk',
    '/guests/.stamps',
    '/guests/..',
    '/guests/disk+1.img%00',
    '/.secret',
    '/guests-secret',
    '/%',
  ])('%s gives nothing', async (path) => {
    const { status, body } = await get(path);
    expect([400, 404]).toContain(status);
    expect(body.toString()).not.toMatch(/outside|hidden|root:/);
  });
});

describe('guest images', () => {
  it('are listed without hidden files', async () => {
    const { headers, body } = await get('/guests/');
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(body.toString())).toEqual([
      { name: 'disk+1.img', bytes: 1000 },
      { name: 'empty', bytes: 0 },
    ]);
  });

  it('come whole, also when empty', async () => {
    const whole = await get('/guests/disk+1.img');
    expect(whole.status).toBe(200);
    expect(whole.headers['accept-ranges']).toBe('bytes');
    expect(whole.headers['content-type']).toBe('application/octet-stream');
    expect(whole.body.equals(image)).toBe(true);
    expect((await get('/guests/disk%2B1.img')).body.equals(image)).toBe(true);
    const empty = await get('/guests/empty');
    expect([empty.status, empty.headers['content-length']]).toEqual([200, '0']);
  });

  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=10-19', 10, 19],
    ['bytes=990-', 990, 999],
    ['bytes=990-5000', 990, 999],
    ['bytes=-1', 999, 999],
    ['bytes=-5000', 0, 999],
  ])('come in ranges: %s', async (range, first, last) => {
    const { status, headers, body } = await get('/guests/disk+1.img', { range });
    expect(status).toBe(206);
    expect(headers['content-range']).toBe(`bytes ${first}-${last}/1000`);
    expect(headers['content-length']).toBe(String(last - first + 1));
    expect(body.equals(image.subarray(first, last + 1))).toBe(true);
  });

  it('refuse a range behind the end and ignore a malformed one', async () => {
    const behind = await get('/guests/disk+1.img', { range: 'bytes=1000-' });
    expect([behind.status, behind.headers['content-range']]).toEqual([416, 'bytes */1000']);
    for (const range of ['bytes=5-3', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,4-5']) {
      expect((await get('/guests/disk+1.img', { range })).status).toBe(200);
    }
    expect((await get('/guests/empty', { range: 'bytes=0-0' })).status).toBe(416);
  });

  it('answer conditional requests', async () => {
    const etag = (await get('/guests/disk+1.img')).headers.etag ?? '';
    expect((await get('/guests/disk+1.img', { 'if-none-match': etag })).status).toBe(304);
    expect((await get('/guests/disk+1.img', { range: 'bytes=0-1', 'if-range': etag })).status).toBe(206);
    expect((await get('/guests/disk+1.img', { range: 'bytes=0-1', 'if-range': '"old"' })).status).toBe(200);
  });

  it('answer HEAD with the length and no body', async () => {
    const { headers, body } = await get('/guests/disk+1.img', {}, 'HEAD');
    expect([headers['content-length'], body.length]).toEqual(['1000', 0]);
  });
});

describe('ports', () => {
  const options = () => ({
    pageDirectory: join(root, 'page'),
    guestsDirectory: join(root, 'guests'),
    host: '127.0.0.1',
  });

  it('names a port in use', async () => {
    await expect(startServer({ ...options(), ports: [server.port] })).rejects.toMatchObject({
      code: 'port-in-use',
      message: expect.stringContaining(`port ${server.port} is in use`),
    });
  });

  it('takes the next free port of the list', async () => {
    const second = await startServer({ ...options(), ports: [server.port, 0] });
    expect(second.port).not.toBe(server.port);
    expect(second.url).toBe(`http://127.0.0.1:${second.port}/`);
    await second.close();
  });
});

describe('parseByteRange', () => {
  it('stays inside the file for every header', () => {
    const part = fc.oneof(fc.constant(''), fc.nat({ max: 3000 }).map(String));
    fc.assert(
      fc.property(part, part, fc.nat({ max: 2000 }), (from, to, size) => {
        const range = parseByteRange(`bytes=${from}-${to}`, size);
        if (range === undefined || range === 'unsatisfiable') return;
        expect(0 <= range.first && range.first <= range.last && range.last < size).toBe(true);
      }),
    );
  });
});
