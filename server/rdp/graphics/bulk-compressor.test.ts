import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BulkCompressor } from './bulk-compressor.ts';
import { BulkDecompressor } from './bulk-decompressor.suite.ts';

/** Messages with text that comes again, runs and noise. */
const message = fc
  .array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 3000 }), fc.nat(255)), { minLength: 1, maxLength: 20 })
  .map((parts) => {
    const bytes: number[] = [];
    for (const [kind, count, value] of parts) {
      let noise = value + 1;
      for (let i = 0; i < count; i++) {
        noise = (Math.imul(noise, 1103515245) + 12345) >>> 0;
        if (kind === 0) bytes.push(value);
        else if (kind === 1) bytes.push(noise >>> 24);
        else if (kind === 2) bytes.push((value + (i % 37)) & 0xff);
        else bytes.push(bytes[Math.max(0, bytes.length - 1000 - value)] ?? value);
      }
    }
    return Uint8Array.from(bytes);
  });

it('every message comes back as it was, behind others, dense ones among them', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(message, fc.boolean()), { minLength: 1, maxLength: 6 }), (messages) => {
      const compressor = new BulkCompressor();
      const decompressor = new BulkDecompressor();
      for (const [data, isDense] of messages) {
        expect(Buffer.from(decompressor.decode(compressor.encode(data, isDense))).equals(data)).toBe(true);
      }
    }),
    { numRuns: 40 },
  );
});

it('goes on when more was sent than it remembers, and finds what was sent a while ago', () => {
  const compressor = new BulkCompressor();
  const decompressor = new BulkDecompressor();
  let noise = 1;
  const pieces = Array.from({ length: 60 }, () =>
    Uint8Array.from({ length: 20_000 }, () => {
      noise = (Math.imul(noise, 1103515245) + 12345) >>> 0;
      return noise >>> 24;
    }),
  );
  for (const [i, piece] of pieces.entries()) {
    expect(Buffer.from(decompressor.decode(compressor.encode(piece))).equals(piece)).toBe(true);
    const old = pieces[Math.max(0, i - 2)];
    const again = compressor.encode(old);
    expect(again.length).toBeLessThan(3000);
    expect(Buffer.from(decompressor.decode(again)).equals(old)).toBe(true);
  }
});

it('makes segments of long messages, and leaves what does not get smaller', () => {
  const compressor = new BulkCompressor();
  const noise = Uint8Array.from({ length: 150_000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 23);
  const coded = compressor.encode(noise, true);
  // [MS-RDPEGFX] 2.2.5.1: multipart, three segments.
  const view = new DataView(coded.buffer, coded.byteOffset);
  expect([coded[0], view.getUint16(1, true), view.getUint32(3, true)]).toEqual([0xe1, 3, noise.length]);
  expect(coded.length).toBe(noise.length + 7 + 3 * 5);
  expect(Buffer.from(new BulkDecompressor().decode(coded)).equals(noise)).toBe(true);
});
