import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteRingReader, ByteRingWriter, createByteRing } from './byte-ring.ts';

const pair = (capacity: number, doorbell?: Int32Array) => {
  const ring = createByteRing(capacity);
  return { ring, writer: new ByteRingWriter(ring, doorbell), reader: new ByteRingReader(ring) };
};

describe('byte ring', () => {
  it('refuses sizes that are no power of two', () => {
    for (const capacity of [0, 3, 1.5, -8, 2 ** 31]) {
      expect(() => createByteRing(capacity)).toThrow(expect.objectContaining({ code: 'bad-ring' }));
    }
  });

  it('takes what fits and tells how much', () => {
    const { writer, reader } = pair(8);
    expect(writer.write(Uint8Array.of(1, 2, 3, 4, 5))).toBe(5);
    expect(writer.write(Uint8Array.of(6, 7, 8, 9, 10))).toBe(3);
    expect(writer.write(Uint8Array.of(11))).toBe(0);
    expect(writer.writeWhole(Uint8Array.of(11))).toBe(false);
    const into = new Uint8Array(16);
    expect(reader.read(into)).toBe(8);
    expect([...into.subarray(0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(reader.available).toBe(0);
    expect(writer.room).toBe(8);
  });

  it('delivers every byte once and in order, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 40 }), fc.boolean()), { maxLength: 60 }),
        (steps) => {
          const { writer, reader } = pair(32);
          let sent = 0;
          let received = 0;
          const take = (count: number, peekFirst: boolean): void => {
            const into = new Uint8Array(count);
            const got = peekFirst ? reader.peek(into) : reader.read(into);
            if (peekFirst) reader.skip(got);
            for (const byte of into.subarray(0, got)) expect(byte).toBe(received++ & 0xff);
          };
          for (const [write, read, peekFirst] of steps) {
            sent += writer.write(Uint8Array.from({ length: write }, (_, i) => (sent + i) & 0xff));
            take(read, peekFirst);
          }
          take(64, false);
          expect(received).toBe(sent);
        },
      ),
    );
  });

  it('goes on when its counts wrap at 2^32', () => {
    const { ring, writer, reader } = pair(16);
    const words = new Int32Array(ring);
    words[1] = words[2] = -3;
    expect(writer.write(Uint8Array.of(1, 2, 3, 4, 5, 6))).toBe(6);
    expect(reader.available).toBe(6);
    const into = new Uint8Array(6);
    reader.read(into);
    expect([...into]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('rings the doorbell of a reader that sleeps on several things, and says when it is closed', () => {
    const doorbell = new Int32Array(new SharedArrayBuffer(4));
    const { writer, reader } = pair(16, doorbell);
    writer.write(Uint8Array.of(1));
    expect(doorbell[0]).toBe(1);
    expect(reader.closed).toBe(false);
    writer.close();
    expect(doorbell[0]).toBe(2);
    expect([reader.closed, reader.available]).toEqual([true, 1]);
  });

  it('loses nothing between two threads that both sleep', async () => {
    const total = 300_000;
    const { ring, reader } = pair(1024);
    const worker = new Worker(
      `
      const { workerData } = require('node:worker_threads');
      const words = new Int32Array(workerData.ring, 0, 16);
      import(workerData.module).then(({ ByteRingWriter }) => {
        const writer = new ByteRingWriter(workerData.ring);
        let sent = 0;
        while (sent < workerData.total) {
          const seen = writer.readCount;
          const piece = Uint8Array.from({ length: Math.min(700, workerData.total - sent) }, (_, i) => (sent + i) % 251);
          const took = writer.write(piece);
          sent += took;
          if (took === 0) Atomics.wait(words, writer.bell.index, seen, 1000);
        }
        writer.close();
      });
    `,
      { eval: true, workerData: { ring, total, module: await moduleAddress() } },
    );
    const failed = new Promise<never>((_, reject) => worker.once('error', reject));
    const into = new Uint8Array(900);
    let received = 0;
    let wrong = 0;
    while (received < total) {
      const seen = reader.writtenCount;
      const got = reader.read(into);
      for (const byte of into.subarray(0, got)) if (byte !== received++ % 251) wrong++;
      const waiting = Atomics.waitAsync(reader.bell.words, reader.bell.index, seen, 1000);
      if (got === 0 && waiting.async) await Promise.race([waiting.value, failed]);
    }
    expect([received, wrong]).toEqual([total, 0]);
    await worker.terminate();
  });
});

/** A plain thread cannot read TypeScript, so it gets the module with its types taken out. */
async function moduleAddress(): Promise<string> {
  const { transformWithOxc } = await import('vite');
  const { readFile } = await import('node:fs/promises');
  const path = new URL('./byte-ring.ts', import.meta.url);
  const { code } = await transformWithOxc(await readFile(path, 'utf8'), 'byte-ring.ts', { sourcemap: false });
  const errors = new URL('../base/errors.ts', import.meta.url);
  const base = await transformWithOxc(await readFile(errors, 'utf8'), 'errors.ts', { sourcemap: false });
  const inline = (text: string): string => `data:text/javascript,${encodeURIComponent(text)}`;
  return inline(code.replace('#base/errors.ts', inline(base.code)));
}
