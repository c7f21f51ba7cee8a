import { describe, expect, it } from 'vitest';
import { createSoundRing, SoundRingReader, SoundRingWriter } from './sound-ring.ts';

/** Frames whose left sample counts and whose right one counts down. */
const ramp = (from: number, frames: number): Int16Array =>
  Int16Array.from({ length: frames * 2 }, (_, i) => (i % 2 === 0 ? from + (i >> 1) : -from - (i >> 1)));

describe('sound ring', () => {
  it('carries every frame in order, around its end too', () => {
    const ring = createSoundRing();
    const writer = new SoundRingWriter(ring);
    const reader = new SoundRingReader(ring);
    const into = new Int16Array(700);
    let read = 0;
    for (let written = 0; written < 100_000; written += 480) {
      writer.write(ramp(written & 0x3fff, 480));
      while (reader.available > 0) {
        expect(reader.position).toBe(read);
        const frames = reader.read(into);
        expect(into[0]).toBe(((Math.floor(read / 480) * 480) & 0x3fff) + (read % 480));
        expect(into[0] + into[1]).toBe(0);
        read += frames;
      }
    }
    expect(read).toBeGreaterThanOrEqual(100_000);
  });

  it('lets a reader that slept go on with what is newest, and tells by a jump', () => {
    const ring = createSoundRing();
    const writer = new SoundRingWriter(ring);
    const slow = new SoundRingReader(ring);
    for (let i = 0; i < 300; i++) writer.write(ramp(i, 480));
    const into = new Int16Array(960);
    const frames = slow.read(into);
    expect(frames).toBe(480);
    expect(slow.position - frames).toBe(300 * 480 - 4800);
    expect(into[0]).toBe(290);
  });
});
