import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostNames } from './host-names.ts';

const A = 1;
const AAAA = 28;

function query(name: string, type: number): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Uint8Array.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, type, 0, 1]);
}

describe('names of the host', () => {
  it('are answered with the address that its own file has', async () => {
    const asked = query('localhost', A);
    const reply = (await hostNames(asked)) ?? new Uint8Array();
    // The same id; a response that recursion was available for, without an error.
    expect([...reply.subarray(0, 4)]).toEqual([0x12, 0x34, 0x81, 0x80]);
    expect(reply[7]).toBeGreaterThan(0);
    const record = [...reply.subarray(asked.length, asked.length + 16)];
    expect(record).toEqual([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
  });

  it('of one family only are no error for the other', async () => {
    const reply = (await hostNames(query('127.0.0.1', AAAA))) ?? new Uint8Array();
    expect([reply[3] & 15, reply[7]]).toEqual([0, 0]);
  });

  it('that are no names, and other questions, are for the name servers', async () => {
    for (const other of [query('a b', A), query('localhost', 15), query('localhost', A).subarray(0, 20)]) {
      expect(await hostNames(other)).toBeUndefined();
    }
  });

  it('that are cut off anywhere are none', async () => {
    const whole = query('localhost', A);
    for (let n = 0; n < whole.length; n++) expect(await hostNames(whole.subarray(0, n))).toBeUndefined();
  });

  it('never throw', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        // Above 63 no label begins: nothing is looked for.
        await hostNames(Uint8Array.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 64, ...bytes]));
        await hostNames(bytes.subarray(0, 12));
      }),
    );
  });
});
