import 'fake-indexeddb/auto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as Comlink from 'comlink';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BlockStatus } from '#emu/host/block.ts';
import { RingBlockPort } from '#emu/host/block-ring.ts';
import { carryCodedErrors } from '#emu/workers/coded-errors.ts';
import { patternImage } from '../block/block-store.suite.ts';
import type { DiskEvent, DiskSpec, OpenedDisk } from './disk-spec.ts';
import { StorageService, type StorageServiceOptions } from './storage-service.ts';

const NEVER = { writeBackMs: 1e6 };
const cleanUps: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  vi.restoreAllMocks();
});

/** A machine's thread with one disk. */
class Machine {
  readonly doorbell = new Int32Array(new SharedArrayBuffer(4));
  readonly service: StorageService;
  readonly events: DiskEvent[] = [];
  disk: OpenedDisk | undefined;
  #port: RingBlockPort | undefined;

  constructor(options: StorageServiceOptions = NEVER) {
    this.service = new StorageService(options);
    this.service.subscribe((event) => this.events.push(event));
  }

  async open(spec: DiskSpec): Promise<OpenedDisk> {
    this.disk = await this.service.openDisk(spec, this.doorbell.buffer as SharedArrayBuffer);
    this.#port = new RingBlockPort(this.disk.ring);
    cleanUps.push(() => this.service.closeDisk(spec.id, true).catch(() => {}));
    return this.disk;
  }

  async do(kind: 'read' | 'write' | 'flush', sector = 0, bytes: Uint8Array = new Uint8Array(0)): Promise<BlockStatus> {
    let status: BlockStatus | undefined;
    this.#port?.submit({ kind, sector, bytes, done: (s) => (status = s) });
    while (status === undefined) {
      const seen = Atomics.load(this.doorbell, 0);
      if (this.#port?.poll() === 0) await Atomics.waitAsync(this.doorbell, 0, seen).value;
    }
    return status;
  }

  async firstByte(sector: number): Promise<number> {
    const into = new Uint8Array(512);
    expect(await this.do('read', sector, into)).toBe('ok');
    return into[0] ?? -1;
  }
}

let disks = 0;
const blank = (more: Partial<DiskSpec> = {}): DiskSpec => ({
  id: `disk-${disks++}`,
  source: { kind: 'blank', sectorCount: 4096 },
  changes: 'keep',
  ...more,
});
const filled = (sectors: number, fill: number): Uint8Array => new Uint8Array(sectors * 512).fill(fill);

describe('StorageService', () => {
  it('keeps what a guest flushed, over a power cut', async () => {
    const spec = blank();
    const first = new Machine();
    expect(await first.open(spec)).toMatchObject({ sectorCount: 4096, writable: true, image: undefined });
    expect(await first.do('write', 7, filled(600, 9))).toBe('ok');
    expect(await first.do('flush')).toBe('ok');
    expect(await first.do('write', 7, filled(1, 10))).toBe('ok');
    // No closing: the tab is gone.
    const second = new Machine();
    await second.open({ ...spec, expectChanges: true });
    expect(await second.firstByte(7)).toBe(9);
    expect(await second.firstByte(606)).toBe(9);
    expect(await second.firstByte(607)).toBe(0);
  });

  it('stores by itself what a guest never flushes', async () => {
    const spec = blank();
    const first = new Machine({ writeBackMs: 5 });
    await first.open(spec);
    await first.do('write', 7, filled(1, 9));
    await vi.waitFor(async () => expect((await first.service.status()).disks[0]?.unsavedBytes).toBe(0));
    const second = new Machine();
    await second.open(spec);
    expect(await second.firstByte(7)).toBe(9);
  });

  it('stores what is unsaved when a disk is closed, and on demand', async () => {
    const spec = blank();
    const machine = new Machine();
    await machine.open(spec);
    await machine.do('write', 7, filled(1, 9));
    expect((await machine.service.status()).disks).toMatchObject([
      { id: spec.id, unsavedBytes: 256 * 1024, changedBytes: 256 * 1024, full: false, writable: true },
    ]);
    await machine.service.flushAll();
    expect((await machine.service.status()).disks).toMatchObject([{ unsavedBytes: 0, changedBytes: 256 * 1024 }]);
    await machine.do('write', 8, filled(1, 8));
    await machine.service.closeDisk(spec.id);
    expect(await machine.do('read', 7, new Uint8Array(512))).toBe('io');
    expect((await machine.service.status()).disks).toEqual([]);
    await machine.open(spec);
    expect([await machine.firstByte(7), await machine.firstByte(8)]).toEqual([9, 8]);
  });

  it('forgets what it is told to forget, and writes nothing to a read-only medium', async () => {
    const bytes = patternImage(64 * 512);
    const forgetful = blank({ source: { kind: 'bytes', bytes, name: 'a.img' }, changes: 'forget' });
    const machine = new Machine();
    expect((await machine.open(forgetful)).image).toMatchObject({ medium: 'hard-disk', sizeBytes: 64 * 512 });
    await machine.do('write', 3, filled(1, 1));
    expect(await machine.firstByte(3)).toBe(1);
    await machine.service.closeDisk(forgetful.id);
    expect(await machine.service.hasChanges(forgetful.id)).toBe(false);
    await machine.open({ ...forgetful, changes: 'none' });
    expect(machine.disk?.writable).toBe(false);
    expect(await machine.firstByte(3)).toBe(bytes[3 * 512]);
    expect(await machine.do('write', 3, filled(1, 1))).toBe('read-only');
  });

  it('tells a guest and a person that there is no room, and loses nothing', async () => {
    const spec = blank();
    const machine = new Machine();
    await machine.open(spec);
    const put = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('no room', 'QuotaExceededError');
    });
    expect(await machine.do('write', 7, filled(1, 9))).toBe('ok');
    expect(await machine.do('flush')).toBe('full');
    expect(await machine.do('flush')).toBe('full');
    expect(machine.events.map((e) => [e.kind, e.code])).toEqual([
      ['full', 'full'],
      ['error', 'full'],
    ]);
    expect((await machine.service.status()).disks[0]?.full).toBe(true);
    await expect(machine.service.closeDisk(spec.id)).rejects.toMatchObject({ code: 'full' });
    const blob = await machine.service.exportBlob(spec);
    expect(new Uint8Array(await blob.slice(7 * 512, 8 * 512).arrayBuffer())).toEqual(filled(1, 9));
    put.mockRestore();
    await machine.service.closeDisk(spec.id);
    expect(machine.events.at(-1)?.kind).toBe('room');
    await machine.open(spec);
    expect(await machine.firstByte(7)).toBe(9);
  });

  it('opens a disk once, and discards it only when it is closed', async () => {
    const spec = blank();
    const machine = new Machine();
    await machine.open(spec);
    await machine.do('write', 0, filled(1, 1));
    await expect(machine.open(spec)).rejects.toMatchObject({ code: 'in-use' });
    await expect(machine.service.discard(spec.id)).rejects.toMatchObject({ code: 'in-use' });
    await machine.service.closeDisk(spec.id);
    expect(await machine.service.hasChanges(spec.id)).toBe(true);
    await machine.service.discard(spec.id);
    expect(await machine.service.hasChanges(spec.id)).toBe(false);
    await expect(machine.open({ ...spec, expectChanges: true })).rejects.toMatchObject({ code: 'evicted' });
    await expect(machine.service.closeDisk(spec.id)).rejects.toMatchObject({ code: 'closed' });
  });

  it('refuses what is no raw image, a bad size and a bad id', async () => {
    const machine = new Machine();
    const qcow2 = { kind: 'bytes', bytes: Uint8Array.from([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]), name: 'a' } as const;
    await expect(machine.open(blank({ source: qcow2 }))).rejects.toMatchObject({
      code: 'bad-image',
      message: expect.stringMatching(/QCOW2/),
    });
    expect(await machine.service.describe(qcow2)).toMatchObject({ format: 'qcow2', medium: 'none' });
    for (const sectorCount of [0, 1.5, 2 ** 40]) {
      await expect(machine.open(blank({ source: { kind: 'blank', sectorCount } }))).rejects.toMatchObject({
        code: 'bad-image',
      });
    }
    await expect(machine.open(blank({ id: 'a b' }))).rejects.toMatchObject({ code: 'bad-settings' });
    expect((await machine.service.status()).disks).toEqual([]);
  });

  it('never applies changes over another image', async () => {
    const machine = new Machine();
    const spec = blank({ source: { kind: 'file', file: new Blob([patternImage(64 * 512)]) } });
    await machine.open(spec);
    await machine.do('write', 3, filled(1, 1));
    await machine.service.closeDisk(spec.id);
    const other = { ...spec, source: { kind: 'file', file: new Blob([patternImage(64 * 512, 2)]) } } as const;
    await expect(machine.open(other)).rejects.toMatchObject({ code: 'wrong-base' });
    await machine.open(spec);
    expect(await machine.firstByte(3)).toBe(1);
  });
});

describe('export and import', () => {
  it('streams the content of an open disk and of a closed one', async () => {
    const image = patternImage(5000 * 512 + 1);
    const spec = blank({ source: { kind: 'bytes', bytes: image, name: 'a' } });
    const machine = new Machine();
    await machine.open(spec);
    await machine.do('write', 100, filled(300, 7));
    const expected = new Uint8Array(5001 * 512);
    expected.set(image);
    expected.fill(7, 100 * 512, 400 * 512);
    const whole = async (): Promise<Uint8Array> => {
      const response = new Response(await machine.service.exportStream(spec));
      return new Uint8Array(await response.arrayBuffer());
    };
    expect(Buffer.compare(await whole(), expected)).toBe(0);
    await machine.service.closeDisk(spec.id);
    expect(Buffer.compare(await whole(), expected)).toBe(0);
    // Nothing is left open.
    await machine.open(spec);
  });

  it('gives the disk back when an export is broken off', async () => {
    const spec = blank({ source: { kind: 'blank', sectorCount: 100_000 } });
    const machine = new Machine();
    const stream = await machine.service.exportStream(spec);
    await expect(machine.service.exportStream({ ...spec, id: 'other-disk' })).resolves.toBeDefined();
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    await machine.open(spec);
  });

  it('copies a file into the browser, leaving out what is zero', async () => {
    const image = new Uint8Array(40_000 * 512);
    image.set(patternImage(10 * 512), 0);
    image.set(patternImage(10 * 512, 2), 39_990 * 512);
    const machine = new Machine();
    const progress: number[] = [];
    const sectorCount = await machine.service.importDisk(
      'imported',
      { kind: 'file', file: new Blob([image]) },
      (done) => progress.push(done),
    );
    expect(sectorCount).toBe(40_000);
    expect(progress.at(-1)).toBe(40_000);
    const spec = blank({ id: 'imported', source: { kind: 'blank', sectorCount }, expectChanges: true });
    await machine.open(spec);
    const exported = new Uint8Array(await (await machine.service.exportBlob(spec)).arrayBuffer());
    expect(Buffer.compare(exported, image)).toBe(0);
    expect((await machine.service.status()).disks[0]?.changedBytes).toBeLessThan(4 << 20);
    await machine.service.closeDisk('imported');
    const again = machine.service.importDisk('imported', { kind: 'file', file: new Blob([image]) });
    await expect(again).rejects.toMatchObject({ code: 'in-use' });
    await machine.open(spec);
    expect(await machine.firstByte(0)).toBe(image[0]);
  });

  it('leaves nothing behind when an import fails', async () => {
    const machine = new Machine();
    const { put } = IDBObjectStore.prototype;
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, value, key) {
      if (this.name === 'clusters') throw new DOMException('no room', 'QuotaExceededError');
      return put.call(this, value, key);
    });
    const file = new Blob([patternImage(3000 * 512)]);
    await expect(machine.service.importDisk('failed', { kind: 'file', file })).rejects.toMatchObject({ code: 'full' });
    vi.restoreAllMocks();
    expect(await machine.service.hasChanges('failed')).toBe(false);
    expect(await machine.service.importDisk('failed', { kind: 'file', file })).toBe(3000);
  });
});

describe('a disk on a web server', () => {
  const image = patternImage(4_000_000);
  let server: Server | undefined;

  async function start(port = 0): Promise<number> {
    const s = createServer((request, response) => {
      const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
      const end = Math.min(Number(last) + 1, image.length);
      response.writeHead(206, { etag: '"1"', 'content-range': `bytes ${first}-${end - 1}/${image.length}` });
      response.end(image.subarray(Number(first), end));
    });
    await new Promise<void>((resolve) => s.listen(port, '127.0.0.1', resolve));
    server = s;
    return (s.address() as AddressInfo).port;
  }
  async function stop(): Promise<void> {
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
  }

  it('goes on when the server comes back, and a person hears of it', async () => {
    const port = await start();
    cleanUps.push(stop);
    const machine = new Machine({ ...NEVER, http: { retryDelaysMs: [1, 1], readAheadBytes: 0 } });
    const source = { kind: 'url', url: `http://127.0.0.1:${port}/disks/dos.img?v=1` } as const;
    expect((await machine.open(blank({ source }))).image?.sizeBytes).toBe(4_000_000);
    expect(await machine.firstByte(1000)).toBe(image[1000 * 512]);
    expect(await machine.do('write', 2000, filled(1, 1))).toBe('ok');
    await stop();
    expect(await machine.do('read', 4000, new Uint8Array(512))).toBe('io');
    expect(await machine.do('read', 4000, new Uint8Array(512))).toBe('io');
    await start(port);
    expect(await machine.firstByte(4000)).toBe(image[4000 * 512]);
    expect(await machine.do('flush')).toBe('ok');
    expect(machine.events.map((e) => e.kind)).toEqual(['trouble', 'error', 'recovered']);
  });
});

describe('the storage worker, over messages', () => {
  beforeAll(() => carryCodedErrors());

  it('carries rings, events, errors with their code, progress and streams', async () => {
    const { port1, port2 } = new MessageChannel();
    cleanUps.push(
      () => port1.close(),
      () => port2.close(),
    );
    Comlink.expose(new StorageService(NEVER), port1);
    const service = Comlink.wrap<StorageService>(port2);
    const events: DiskEvent[] = [];
    await service.subscribe(Comlink.proxy((event: DiskEvent) => void events.push(event)));
    const doorbell = new Int32Array(new SharedArrayBuffer(4));
    const spec = blank();
    const disk = await service.openDisk(spec, doorbell.buffer);
    await expect(service.openDisk(spec, doorbell.buffer)).rejects.toMatchObject({ code: 'in-use' });

    const port = new RingBlockPort(disk.ring);
    const statuses: BlockStatus[] = [];
    port.submit({ kind: 'write', sector: 2, bytes: filled(1, 5), done: (s) => statuses.push(s) });
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('no room', 'QuotaExceededError');
    });
    port.submit({ kind: 'flush', sector: 0, bytes: new Uint8Array(0), done: (s) => statuses.push(s) });
    await vi.waitFor(() => {
      port.poll();
      expect(statuses).toEqual(['ok', 'full']);
      expect(events.map((e) => e.kind)).toEqual(['full', 'error']);
    });
    vi.restoreAllMocks();
    await service.flushAll();

    const stream = await service.exportStream(spec);
    const content = new Uint8Array(await new Response(stream).arrayBuffer());
    expect(content.length).toBe(4096 * 512);
    expect(content[2 * 512]).toBe(5);

    const progress: number[] = [];
    const file = new Blob([patternImage(4096 * 512)]);
    const note = Comlink.proxy((done: number) => void progress.push(done));
    expect(await service.importDisk('over-messages', { kind: 'file', file }, note)).toBe(4096);
    await vi.waitFor(() => expect(progress.at(-1)).toBe(4096));
    expect((await service.status()).disks).toHaveLength(1);
    expect(await service.persist()).toBe(false);
    await service.closeDisk(spec.id);
  });
});
