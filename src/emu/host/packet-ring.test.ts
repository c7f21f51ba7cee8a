import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeCable, frameOf, Inbox } from './packet-port.suite.ts';
import { createPacketRing, PacketRingEnd } from './packet-ring.ts';

function ends(capacity?: number) {
  const ring = createPacketRing(capacity);
  const card = new PacketRingEnd(ring, 'card');
  const network = new PacketRingEnd(ring, 'network');
  return {
    card,
    network,
    settle: () => {
      network.poll();
      card.poll();
    },
  };
}

describeCable('a packet ring', () => ends());

function plugged(capacity?: number) {
  const cable = ends(capacity);
  const inbox = new Inbox();
  cable.network.connect(inbox);
  cable.card.setLink(true);
  cable.network.setLink(true);
  cable.settle();
  return { ...cable, inbox };
}

describe('packet ring', () => {
  it('refuses sizes that are no power of two or too small', () => {
    for (const size of [0, 1024, 100_000, 2 ** 30]) expect(() => createPacketRing(size)).toThrow(/power of two/);
  });

  it('is a first-in first-out queue whatever the sizes and the pace', () => {
    const step = fc.oneof(
      fc.record({ send: fc.integer({ min: 14, max: 16_384 }) }),
      fc.record({ take: fc.integer({ min: 0, max: 12 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { card, network, inbox } = plugged(65_536);
        const sent: Uint8Array[] = [];
        inbox.room = 0;
        steps.forEach((what, i) => {
          if ('send' in what) {
            const frame = frameOf(what.send, i);
            if (card.send(frame)) sent.push(frame);
          } else {
            inbox.room = what.take;
            network.resume();
          }
        });
        inbox.room = Number.POSITIVE_INFINITY;
        network.resume();
        expect(inbox.frames.length).toBe(sent.length);
        inbox.frames.forEach((frame, i) => {
          expect(Buffer.compare(frame, sent[i])).toBe(0);
        });
      }),
      { numRuns: 50 },
    );
  });

  it('takes the longest frame however full it was, once it is empty', () => {
    const { card, network, inbox } = plugged(65_536);
    for (let i = 0; i < 500; i++) {
      expect(card.send(frameOf(60 + ((i * 37) % 900), i))).toBe(true);
      network.poll();
      expect(card.send(frameOf(16_384, i))).toBe(true);
      network.poll();
    }
    expect(inbox.frames.length).toBe(1000);
  });

  it('loses its link when a side goes', () => {
    const { card, network } = plugged();
    network.close();
    expect([card.linkUp, network.linkUp, card.closed]).toEqual([false, false, true]);
  });

  it('keeps order and content between threads that sleep on their bells', async () => {
    const ring = createPacketRing(65_536);
    const network = new PacketRingEnd(ring, 'network');
    const inbox = new Inbox();
    network.connect(inbox);
    network.setLink(true);
    const count = 3000;
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.url).then(({ PacketRingEnd }) => {
        const end = new PacketRingEnd(workerData.ring, 'card');
        end.connect({ receive: () => true, resume: () => {}, linkChanged: () => {} });
        end.setLink(true);
        for (let i = 0; i < ${count}; ) {
          const seen = Atomics.load(end.bell.words, end.bell.index);
          end.poll();
          const length = 60 + (i * 97) % 1455;
          if (end.send(Uint8Array.from({ length }, (_, k) => i * 31 + k))) i++;
          else Atomics.wait(end.bell.words, end.bell.index, seen, 1000);
        }
      });`;
    const url = await bundledRing();
    const worker = new Worker(source, { eval: true, workerData: { ring, url } });
    const failed = new Promise<never>((_, reject) => worker.on('error', reject));
    const deadline = Date.now() + 60_000;
    while (inbox.frames.length < count && Date.now() < deadline) {
      const seen = Atomics.load(network.bell.words, network.bell.index);
      network.poll();
      if (inbox.frames.length >= count) break;
      await Promise.race([Atomics.waitAsync(network.bell.words, network.bell.index, seen, 500).value, failed]);
    }
    await worker.terminate();
    expect(inbox.frames.length).toBe(count);
    inbox.frames.forEach((frame, i) => {
      expect(Buffer.compare(frame, frameOf(60 + ((i * 97) % 1455), i))).toBe(0);
    });
  });
});

/** The ring as JavaScript, for a thread without a loader of TypeScript. */
async function bundledRing(): Promise<string> {
  const { build } = await import('vite');
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { alias: { '#base': new URL('../base', import.meta.url).pathname } },
    build: {
      write: false,
      minify: false,
      lib: { entry: new URL('./packet-ring.ts', import.meta.url).pathname, formats: ['es'], fileName: 'ring' },
    },
  });
  const [{ output }] = built as unknown as { output: { code: string }[] }[];
  return `data:text/javascript,${encodeURIComponent(output[0].code)}`;
}
