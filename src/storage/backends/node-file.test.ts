import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BlockStatus } from '#emu/host/block.ts';
import { describeBlockStore, patternImage, readSectors } from '../block/block-store.suite.ts';
import { NodeFileBlockPort, NodeFileStore, sizeAdvice } from './node-file.ts';

let folder = '';
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileWith(image: Uint8Array): Promise<string> {
  const path = join(folder, `${count++}.img`);
  await writeFile(path, image);
  return path;
}

describeBlockStore('NodeFileStore', async (image) => {
  const path = await fileWith(image);
  return { store: await NodeFileStore.open(path), reopen: () => NodeFileStore.open(path) };
});
describeBlockStore('NodeFileStore, read-only', async (image) => ({
  store: await NodeFileStore.open(await fileWith(image), { writable: false }),
}));

describe('NodeFileStore', () => {
  it('explains what cannot be a disk', async () => {
    await expect(NodeFileStore.open(join(folder, 'none.img'))).rejects.toMatchObject({ code: 'not-found' });
    await expect(NodeFileStore.open(folder)).rejects.toMatchObject({ code: 'bad-image' });
    await expect(NodeFileStore.open(await fileWith(new Uint8Array(0)))).rejects.toMatchObject({
      code: 'bad-image',
      message: expect.stringMatching(/0 bytes.*truncate/),
    });
  });

  it('advises about odd sizes', async () => {
    expect(sizeAdvice(1024)).toBeUndefined();
    const path = await fileWith(patternImage(1000));
    const store = await NodeFileStore.open(path);
    expect(store.advice).toMatch(/488 bytes over/);
    expect(store.sectorCount).toBe(2);
    await store.write(1, patternImage(512, 9));
    await store.close();
    expect((await stat(path)).size).toBe(1024);
  });
});

describe('NodeFileBlockPort', () => {
  function run(
    port: NodeFileBlockPort,
    kind: 'read' | 'write' | 'flush',
    sector: number,
    bytes: Uint8Array,
  ): BlockStatus {
    let status: BlockStatus | undefined;
    port.submit({ kind, sector, bytes, done: (s) => (status = s) });
    if (status === undefined) throw new Error('not completed on return');
    return status;
  }

  it('completes every request before submit returns', async () => {
    const image = patternImage(100 * 512);
    const path = await fileWith(image);
    const port = new NodeFileBlockPort(path);
    const into = new Uint8Array(new SharedArrayBuffer(3 * 512));
    expect(port.sectorCount).toBe(100);
    expect(run(port, 'read', 97, into)).toBe('ok');
    expect(Buffer.compare(into, image.subarray(97 * 512))).toBe(0);
    expect(run(port, 'write', 4, into)).toBe('ok');
    expect(run(port, 'flush', 0, new Uint8Array(0))).toBe('ok');
    port.close();
    image.copyWithin(4 * 512, 97 * 512);
    expect(Buffer.compare(await readFile(path), image)).toBe(0);
  });

  it('answers with a status, never with an exception', async () => {
    const path = await fileWith(patternImage(10 * 512));
    const port = new NodeFileBlockPort(path, { writable: false });
    expect(run(port, 'write', 0, new Uint8Array(512))).toBe('read-only');
    expect(run(port, 'read', 10, new Uint8Array(512))).toBe('io');
    expect(port.lastError?.code).toBe('out-of-range');
    expect(run(port, 'flush', 0, new Uint8Array(0))).toBe('ok');
    port.close();
    expect(run(port, 'read', 0, new Uint8Array(512))).toBe('io');
    expect(() => new NodeFileBlockPort(join(folder, 'none.img'))).toThrowError(/does not exist/);
  });

  it('sees what the asynchronous store wrote', async () => {
    const path = await fileWith(new Uint8Array(8 * 512));
    const store = await NodeFileStore.open(path);
    await store.write(3, patternImage(512));
    const port = new NodeFileBlockPort(path);
    const into = new Uint8Array(512);
    expect(run(port, 'read', 3, into)).toBe('ok');
    expect(into).toEqual(await readSectors(store, 3, 1));
    await store.close();
    port.close();
  });
});
