import { describe, expect, it } from 'vitest';
import { createSoundRing, SoundRingReader, SoundRingWriter } from '#emu/host/sound-ring.ts';
import { Playout } from './playout.ts';

const LIMITS = { start: 1000, most: 4000 };

function make() {
  const ring = createSoundRing();
  const writer = new SoundRingWriter(ring);
  const playout = new Playout(new SoundRingReader(ring), LIMITS);
  let written = 0;
  const write = (frames: number): void => {
    writer.write(Int16Array.from({ length: frames * 2 }, (_, i) => (written + (i >> 1) + 1) * (i % 2 ? -1 : 1)));
    written += frames;
  };
  const [left, right] = [new Float32Array(128), new Float32Array(128)];
  const heard = (): number[] => {
    playout.fill(left, right);
    expect([...right].map((sample) => 0 - sample)).toEqual([...left]);
    return [...left].map((sample) => sample * 32_768);
  };
  return { playout, write, heard };
}

describe('playout', () => {
  it('begins when enough is there, and plays every frame in order', () => {
    const { write, heard, playout } = make();
    write(999);
    expect(heard().every((sample) => sample === 0)).toBe(true);
    write(1000);
    const all = Array.from({ length: 15 }, heard).flat();
    expect(all).toEqual(Array.from({ length: 1920 }, (_, i) => i + 1));
    expect(playout.counts).toEqual({ played: 1920, stops: 0, skipped: 0 });
  });

  it('is silent after the end, and waits again', () => {
    const { write, heard, playout } = make();
    write(1050);
    const all = Array.from({ length: 12 }, heard).flat();
    expect(all.slice(0, 1050)).toEqual(Array.from({ length: 1050 }, (_, i) => i + 1));
    expect(all.slice(1050).every((sample) => sample === 0)).toBe(true);
    expect(playout.counts.stops).toBe(1);
    write(500);
    expect(heard()[0]).toBe(0);
    write(500);
    expect(heard()[0]).toBe(1051);
  });

  it('does not let delay grow', () => {
    const { write, heard, playout } = make();
    write(2000);
    heard();
    write(3000);
    // 4872 wait: the newest 1000 are played.
    expect(heard()[0]).toBe(4001);
    expect(playout.counts.skipped).toBe(3872);
  });
});
