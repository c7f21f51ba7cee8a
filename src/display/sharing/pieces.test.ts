import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_MESSAGE_BYTES } from '../stream/messages.ts';
import { PieceCollector, piecesOf } from './pieces.ts';

describe('pieces of messages', () => {
  it('make the same messages again, each short', () => {
    const lengths = fc.array(fc.oneof(fc.nat(5), fc.nat(70_000), fc.constantFrom(15_999, 16_000, 16_001, 32_000)));
    fc.assert(
      fc.property(lengths, (messages) => {
        const collector = new PieceCollector();
        for (const length of messages) {
          const message = Uint8Array.from({ length }, (_, i) => i * 7);
          const pieces = [...piecesOf(message)];
          expect(pieces.every((piece) => piece.length <= 16_001)).toBe(true);
          const results = pieces.map((piece) => collector.take(piece));
          expect(results.slice(0, -1).every((one) => one === undefined)).toBe(true);
          expect(Buffer.compare(Buffer.from(results.at(-1) ?? []), Buffer.from(message))).toBe(0);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('that are none or never end are refused', () => {
    expect(() => new PieceCollector().take(Uint8Array.of())).toThrow(/neither/);
    expect(() => new PieceCollector().take(Uint8Array.of(2, 1))).toThrow(/neither/);
    const collector = new PieceCollector();
    const endless = new Uint8Array(1 << 20);
    expect(() => {
      for (let i = 0; i <= MAX_MESSAGE_BYTES >> 20; i++) collector.take(endless);
    }).toThrow(/longer together/);
  });
});
