import { describe, expect, it } from 'vitest';
import { ByteRingReader, createByteRing } from '#emu/host/byte-ring.ts';
import { readTones, ToneWriter } from './tone-ring.ts';

describe('tone ring', () => {
  it('carries tones in order', () => {
    const ring = createByteRing(64);
    const writer = new ToneWriter(ring);
    writer.write(1000.5, 1e15 + 1);
    writer.write(0, 1e15 + 2);
    const reader = new ByteRingReader(ring);
    expect(readTones(reader)).toEqual([
      { frequencyHz: 1000.5, atGuestNs: 1e15 + 1 },
      { frequencyHz: 0, atGuestNs: 1e15 + 2 },
    ]);
    expect(readTones(reader)).toEqual([]);
  });

  it('keeps the last tone when nobody reads, so that no beep goes on for ever', () => {
    const ring = createByteRing(32);
    const writer = new ToneWriter(ring);
    for (let i = 1; i <= 5; i++) writer.write(i, i);
    writer.write(0, 6);
    const reader = new ByteRingReader(ring);
    expect(readTones(reader).map((tone) => tone.frequencyHz)).toEqual([1, 2]);
    writer.flush();
    writer.flush();
    expect(readTones(reader)).toEqual([{ frequencyHz: 0, atGuestNs: 6 }]);
  });
});
