import { describe, expect, it } from 'vitest';
import { expectFlat, repeat } from './heap-growth.suite.ts';

describe('flat', () => {
  const kept: unknown[] = [];
  const marksOf = (keep: (n: number) => void) =>
    repeat({
      ...{ seconds: 0, leastRounds: 800 },
      round: async () => {
        for (let n = 0; n < 8; n++) keep(n);
        return 8;
      },
    });

  it('is what leaves nothing behind', async () => {
    expectFlat(await marksOf((n) => new Map([[n, new Array(n)]])), 'nothing');
  });

  it('is not what keeps an object of each round, however small', async () => {
    class Session {}
    const marks = await marksOf(() => kept.push(new Session()));
    expect(() => expectFlat(marks, 'sessions')).toThrow(/more of Session 400, /);
  });

  it('is not what keeps bytes', async () => {
    const marks = await marksOf(() => kept.push(Buffer.alloc(400, 'x').toString('latin1')));
    expect(() => expectFlat(marks, 'texts')).toThrow(/texts; /);
    const buffer = { bytes: new ArrayBuffer(0) };
    const ofBuffers = await marksOf(() => (buffer.bytes = new ArrayBuffer(buffer.bytes.byteLength + 400)));
    expect(() => expectFlat(ofBuffers, 'buffers')).toThrow(/buffers; /);
  });
});
