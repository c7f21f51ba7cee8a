import { describe, expect, it } from 'vitest';
import { createSoundRing, SoundRingWriter } from '#emu/host/sound-ring.ts';
import { SoundRingSource } from './sound-ring-source.ts';

/** Frames whose left sample counts and whose right one counts down. */
const ramp = (from: number, frames: number): Int16Array =>
  Int16Array.from({ length: frames * 2 }, (_, i) => (i % 2 === 0 ? from + (i >> 1) : -from - (i >> 1)));

describe('a ring as a source of sound', () => {
  it('is heard by several, each from when it began until it ends', async () => {
    const ring = createSoundRing();
    const writer = new SoundRingWriter(ring);
    const source = new SoundRingSource(ring);
    writer.write(ramp(0, 100));
    const heard: number[][] = [[], []];
    const stops = heard.map((into) =>
      source.listen((samples, first) => {
        for (let i = 0; i < samples.length; i += 2) into.push(samples[i], (first + i / 2) >>> 0);
      }),
    );
    writer.write(ramp(100, 1000));
    for (let left = 500; left > 0 && heard[1].length < 2000; left--) await new Promise((r) => setTimeout(r, 10));
    for (const one of heard) {
      expect(one.length).toBe(2000);
      expect(one.every((value, i) => value === 100 + (i >> 1))).toBe(true);
    }
    for (const stop of stops) stop();
    writer.write(ramp(1100, 10));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(heard[0].length).toBe(2000);
  });
});
