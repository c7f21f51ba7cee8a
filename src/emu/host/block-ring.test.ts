import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { build } from 'vite';
import { afterEach, describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import type { BlockStatus } from './block.ts';
import {
  type BlockRingService,
  type BlockRingStore,
  closeBlockRing,
  createBlockRing,
  pollingWait,
  RingBlockPort,
  type ServeOptions,
  serveBlockRing,
} from './block-ring.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A disk whose answers come late and in any order. */
class SlowStore implements BlockRingStore {
  readonly sectorCount: number;
  readonly writable: boolean = true;
  readonly image: Uint8Array;
  readonly log: string[] = [];
  /** Image as of the last flush. */
  flushed: Uint8Array;
  delay: () => Promise<void> = async () => {};
  failWith: CodedError | undefined;

  constructor(sectorCount: number) {
    this.sectorCount = sectorCount;
    this.image = new Uint8Array(sectorCount * 512);
    this.flushed = this.image.slice();
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    await this.#enter(`read ${sector}+${into.length / 512}`);
    into.set(this.image.subarray(sector * 512, sector * 512 + into.length));
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    await this.#enter(`write ${sector}+${from.length / 512}`);
    this.image.set(from, sector * 512);
  }

  async flush(): Promise<void> {
    await this.#enter('flush');
    this.flushed = this.image.slice();
  }

  async #enter(what: string): Promise<void> {
    this.log.push(what);
    await this.delay();
    if (this.failWith) throw this.failWith;
  }
}

interface Rig {
  readonly port: RingBlockPort;
  readonly store: SlowStore;
  readonly service: BlockRingService;
  readonly ring: SharedArrayBuffer;
  readonly doorbell: Int32Array;
}

const services: BlockRingService[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.stop();
});

function rig(store: SlowStore, size = { slotCount: 4, slotBytes: 2048 }, more: Partial<ServeOptions> = {}): Rig {
  const ring = createBlockRing(store, size);
  const doorbell = new Int32Array(new SharedArrayBuffer(4));
  const service = serveBlockRing(ring, store, { doorbell, ...more });
  services.push(service);
  return { port: new RingBlockPort(ring), store, service, ring, doorbell };
}

/** Submits and polls as a machine's loop does. */
async function run(
  { port, doorbell }: Pick<Rig, 'port' | 'doorbell'>,
  kind: 'read' | 'write' | 'flush',
  sector: number,
  bytes: Uint8Array,
): Promise<BlockStatus> {
  let status: BlockStatus | undefined;
  port.submit({ kind, sector, bytes, done: (s) => (status = s) });
  while (status === undefined) {
    const seen = Atomics.load(doorbell, 0);
    port.poll();
    if (status === undefined && Atomics.load(doorbell, 0) === seen) await Atomics.waitAsync(doorbell, 0, seen).value;
  }
  return status;
}

const numbered = (bytes: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => i * 7 + seed);

describe('a block ring', () => {
  it('tells the machine the size of the disk, beyond 32 bits too', () => {
    const sectorCount = 2 ** 33 + 5;
    const port = new RingBlockPort(createBlockRing({ sectorCount, writable: false }));
    expect(port.sectorCount).toBe(sectorCount);
    expect(port.writable).toBe(false);
  });

  it.each([{ slotCount: 3 }, { slotCount: 0 }, { slotBytes: 1000 }, { slotBytes: 0 }])(
    'refuses a size of %o',
    (size) => {
      expect(() => createBlockRing({ sectorCount: 1, writable: true }, size)).toThrow(CodedError);
    },
  );

  it('carries a write, a read and a flush', async () => {
    const r = rig(new SlowStore(100));
    const from = numbered(1024, 1);
    expect(await run(r, 'write', 98, from)).toBe('ok');
    const into = new Uint8Array(1024);
    expect(await run(r, 'read', 98, into)).toBe('ok');
    expect(into).toEqual(from);
    expect(await run(r, 'flush', 0, new Uint8Array(0))).toBe('ok');
    expect(r.store.flushed.subarray(98 * 512)).toEqual(from);
  });

  it('splits what does not fit its slots', async () => {
    const r = rig(new SlowStore(200));
    const from = numbered(90 * 512, 3);
    expect(await run(r, 'write', 7, from)).toBe('ok');
    expect(r.store.log.length).toBe(Math.ceil((90 * 512) / 2048));
    const into = new Uint8Array(from.length);
    expect(await run(r, 'read', 7, into)).toBe('ok');
    expect(Buffer.compare(into, from)).toBe(0);
  });

  it('carries sector numbers beyond 32 bits', async () => {
    const seen: number[] = [];
    const store: BlockRingStore = {
      sectorCount: 2 ** 34,
      writable: true,
      read: async (sector) => void seen.push(sector),
      write: async () => {},
      flush: async () => {},
    };
    const ring = createBlockRing(store);
    const doorbell = new Int32Array(new SharedArrayBuffer(4));
    services.push(serveBlockRing(ring, store, { doorbell }));
    await run({ port: new RingBlockPort(ring), doorbell }, 'read', 2 ** 34 - 1, new Uint8Array(512));
    expect(seen).toEqual([2 ** 34 - 1]);
  });

  it('refuses at once what can never succeed', () => {
    const readOnly = new RingBlockPort(createBlockRing({ sectorCount: 10, writable: false }));
    const statuses: BlockStatus[] = [];
    const done = (s: BlockStatus): void => void statuses.push(s);
    readOnly.submit({ kind: 'read', sector: 9, bytes: new Uint8Array(1024), done });
    readOnly.submit({ kind: 'write', sector: 0, bytes: new Uint8Array(512), done });
    readOnly.submit({ kind: 'read', sector: 0, bytes: new Uint8Array(100), done });
    readOnly.submit({ kind: 'read', sector: 0, bytes: new Uint8Array(0), done });
    expect(statuses).toEqual(['io', 'read-only', 'io', 'ok']);
    expect(readOnly.pending).toBe(0);
  });

  it.each([
    ['full', 'full'],
    ['read-only', 'read-only'],
    ['changed', 'io'],
  ])('turns an error %s of the disk into status %s', async (code, status) => {
    const errors: unknown[] = [];
    const r = rig(new SlowStore(10), undefined, { onError: (e) => errors.push(e) });
    r.store.failWith = new CodedError(code, 'no');
    expect(await run(r, 'write', 0, new Uint8Array(512))).toBe(status);
    expect(errors).toEqual([r.store.failWith]);
    r.store.failWith = undefined;
    expect(await run(r, 'write', 0, new Uint8Array(512))).toBe('ok');
  });

  it('flushes only after every earlier write, and before the flush is answered', async () => {
    const r = rig(new SlowStore(64), { slotCount: 8, slotBytes: 512 });
    let release: () => void = () => {};
    r.store.delay = () => new Promise((resolve) => (release = resolve));
    const order: string[] = [];
    r.port.submit({ kind: 'write', sector: 0, bytes: numbered(512, 1), done: () => order.push('write') });
    r.port.submit({ kind: 'flush', sector: 0, bytes: new Uint8Array(0), done: () => order.push('flush') });
    await sleep(5);
    expect(r.store.log).toEqual(['write 0+1']);
    r.store.delay = async () => {};
    release();
    await sleep(5);
    r.port.poll();
    expect(order).toEqual(['write', 'flush']);
    expect(r.store.flushed.subarray(0, 512)).toEqual(numbered(512, 1));
  });

  it('lets a quick read pass a slow one elsewhere', async () => {
    const r = rig(new SlowStore(64), { slotCount: 8, slotBytes: 512 });
    let release: () => void = () => {};
    r.store.delay = () => new Promise((resolve) => (release = resolve));
    const order: number[] = [];
    r.port.submit({ kind: 'read', sector: 1, bytes: new Uint8Array(512), done: () => order.push(1) });
    await sleep(2);
    r.store.delay = async () => {};
    r.port.submit({ kind: 'read', sector: 2, bytes: new Uint8Array(512), done: () => order.push(2) });
    await sleep(2);
    r.port.poll();
    expect(order).toEqual([2]);
    release();
    await sleep(2);
    r.port.poll();
    expect(order).toEqual([2, 1]);
  });

  it('agrees with a plain array, whatever the order of answers', async () => {
    const step = fc.record({
      kind: fc.constantFrom('read', 'write', 'write', 'flush'),
      sector: fc.nat(59),
      sectors: fc.integer({ min: 1, max: 30 }),
      seed: fc.nat(255),
      slow: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const r = rig(new SlowStore(60), { slotCount: 4, slotBytes: 1024 });
        const model = new Uint8Array(60 * 512);
        const expected: { got: Uint8Array; want: Uint8Array }[] = [];
        let open = 0;
        for (const s of steps) {
          r.store.delay = s.slow ? () => sleep(1) : async () => {};
          const bytes = s.kind === 'write' ? numbered(s.sectors * 512, s.seed) : new Uint8Array(s.sectors * 512);
          const used = bytes.subarray(0, Math.min(s.sectors, 60 - s.sector) * 512);
          open++;
          if (s.kind === 'write') model.set(used, s.sector * 512);
          if (s.kind === 'read')
            expected.push({ got: used, want: model.slice(s.sector * 512, s.sector * 512 + used.length) });
          r.port.submit({
            kind: s.kind,
            sector: s.kind === 'flush' ? 0 : s.sector,
            bytes: s.kind === 'flush' ? new Uint8Array(0) : used,
            done: (status) => {
              expect(status).toBe('ok');
              open--;
            },
          });
        }
        while (open > 0) {
          r.port.poll();
          await sleep(0);
        }
        for (const { got, want } of expected) expect(Buffer.compare(got, want)).toBe(0);
        expect(Buffer.compare(r.store.image, model)).toBe(0);
        expect(r.port.pending).toBe(0);
        await r.service.stop();
      }),
      { numRuns: 40 },
    );
  });

  it('answers what is under way when stopped, then fails the rest', async () => {
    const r = rig(new SlowStore(64), { slotCount: 2, slotBytes: 512 });
    r.store.delay = () => sleep(3);
    const statuses: BlockStatus[] = [];
    const done = (s: BlockStatus): void => void statuses.push(s);
    r.port.submit({ kind: 'read', sector: 0, bytes: new Uint8Array(512), done });
    r.port.submit({ kind: 'read', sector: 8, bytes: new Uint8Array(4 * 512), done });
    await sleep(1);
    const rung = Atomics.load(r.doorbell, 0);
    await r.service.stop();
    expect(Atomics.load(r.doorbell, 0)).not.toBe(rung);
    expect(r.port.poll()).toBe(2);
    expect(statuses).toEqual(['ok', 'io']);
    r.port.submit({ kind: 'flush', sector: 0, bytes: new Uint8Array(0), done });
    expect(statuses).toEqual(['ok', 'io', 'io']);
  });

  it('does not leave the machine hanging when the storage worker dies', () => {
    const ring = createBlockRing({ sectorCount: 8, writable: true });
    const doorbell = new Int32Array(new SharedArrayBuffer(4));
    const port = new RingBlockPort(ring);
    let status: BlockStatus | undefined;
    port.submit({ kind: 'read', sector: 0, bytes: new Uint8Array(512), done: (s) => (status = s) });
    expect(port.poll()).toBe(0);
    closeBlockRing(ring, doorbell);
    expect(Atomics.load(doorbell, 0)).toBe(1);
    expect(port.poll()).toBe(1);
    expect(status).toBe('io');
  });

  it('works where Atomics.waitAsync is missing', async () => {
    const r = rig(new SlowStore(8), undefined, { wait: pollingWait(sleep) });
    expect(await run(r, 'write', 1, numbered(512, 9))).toBe('ok');
    expect(r.store.image.subarray(512, 1024)).toEqual(numbered(512, 9));
  });

  it('serves a machine that blocks in another thread', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'block-ring-'));
    const entry = join(folder, 'machine.ts');
    const blockRing = fileURLToPath(new URL('./block-ring.ts', import.meta.url));
    await writeFile(entry, MACHINE_THREAD.replace('BLOCK_RING', blockRing));
    await build({
      configFile: false,
      logLevel: 'silent',
      build: { ssr: entry, outDir: join(folder, 'out'), rollupOptions: { output: { entryFileNames: 'machine.mjs' } } },
    });
    const store = new SlowStore(4096);
    const r = rig(store, { slotCount: 16, slotBytes: 4096 });
    const worker = new Worker(join(folder, 'out', 'machine.mjs'), {
      workerData: { ring: r.ring, doorbell: r.doorbell },
    });
    const result = await new Promise<unknown>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    expect(result).toEqual({ ok: true, requests: 400 });
    expect(Buffer.compare(store.flushed, store.image)).toBe(0);
    expect(store.image.some((b) => b !== 0)).toBe(true);
    await worker.terminate();
    await rm(folder, { recursive: true });
  });
});

/** Random writes and reads against a model, sleeping on the doorbell in between, as the machine's thread does. */
const MACHINE_THREAD = `
import { parentPort, workerData } from 'node:worker_threads';
import { RingBlockPort } from 'BLOCK_RING';

const { ring, doorbell } = workerData;
const port = new RingBlockPort(ring);
const model = new Uint8Array(port.sectorCount * 512);
let x = 1;
const random = (below: number): number => ((x = (Math.imul(x, 1664525) + 1013904223) >>> 0) >>> 8) % below;

function run(kind, sector, bytes) {
  let status;
  port.submit({ kind, sector, bytes, done: (s) => { status = s; } });
  while (status === undefined) {
    const seen = Atomics.load(doorbell, 0);
    if (port.poll() === 0) Atomics.wait(doorbell, 0, seen, 5000);
  }
  return status;
}

let ok = true;
let requests = 0;
while (requests < 399) {
  const sectors = 1 + random(64);
  const sector = random(port.sectorCount - sectors);
  const bytes = new Uint8Array(sectors * 512);
  const write = random(2) === 0;
  if (write) model.set(bytes.fill(random(256)), sector * 512);
  ok = run(write ? 'write' : 'read', sector, bytes) === 'ok' && ok;
  ok = Buffer.compare(bytes, model.subarray(sector * 512, sector * 512 + bytes.length)) === 0 && ok;
  requests++;
}
ok = run('flush', 0, new Uint8Array(0)) === 'ok' && ok;
parentPort.postMessage({ ok, requests: requests + 1 });
`;
