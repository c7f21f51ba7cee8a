import { expect, it } from 'vitest';
import { decodeAudioMessage, encodeWave } from '../pdu/audio.ts';
import { PduWriter } from '../pdu/bytes.ts';
import { aLaw, Resampler } from './sound-formats.ts';
import { SoundPlayback } from './sound-playback.ts';

/** ITU-T G.711, table 1a: decoder output values of a segment's first interval, and its interval, times 8 for 16 bits. */
function decode(code: number): number {
  const bits = code ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const step = 16 << (Math.max(exponent, 1) - 1);
  const magnitude = (bits & 15) * step + step / 2 + (exponent === 0 ? 0 : 16 * step);
  return bits & 0x80 ? magnitude : -magnitude;
}

it('A-law is as near as its intervals allow', () => {
  expect([...aLaw(Int16Array.of(0, -1, 32767, -32768))]).toEqual([0xd5, 0x55, 0xaa, 0x2a]);
  for (let sample = -32768; sample < 32768; sample += 7) {
    const [code] = aLaw(Int16Array.of(sample));
    expect(Math.abs(decode(code) - sample)).toBeLessThanOrEqual(Math.max(16, Math.abs(sample) / 32 + 1));
  }
});

it.each([44_100, 22_050])('a tone goes on from packet to packet at %i Hz', (rate) => {
  const resampler = new Resampler(rate);
  const made: number[] = [];
  for (let packet = 0; packet < 100; packet++) {
    const wave = (i: number): number => 12_000 * Math.sin((2 * Math.PI * 1000 * (packet * 480 + (i >> 1))) / 48_000);
    const samples = resampler.take(Int16Array.from({ length: 960 }, (_, i) => (i & 1 ? -1 : 1) * wave(i)));
    for (let i = 0; i < samples.length; i += 2) {
      expect(Math.abs(samples[i] + samples[i + 1])).toBeLessThanOrEqual(2);
      made.push(samples[i]);
    }
  }
  expect(Math.abs(made.length - rate)).toBeLessThanOrEqual(1);
  made.forEach((sample, i) => {
    expect(Math.abs(sample - 12_000 * Math.sin((2 * Math.PI * 1000 * i) / rate))).toBeLessThan(60);
  });
});

it.each([44_100, 16_000])('a tone of %i Hz goes on from packet to packet', (rate) => {
  const resampler = new Resampler(48_000, rate);
  const made: number[] = [];
  const frames = rate / 100;
  for (let packet = 0; packet < 100; packet++) {
    const wave = (i: number): number =>
      12_000 * Math.sin((2 * Math.PI * 500 * (packet * frames + (i >> 1) + 1)) / rate);
    const samples = resampler.take(Int16Array.from({ length: frames * 2 }, (_, i) => wave(i)));
    for (let i = 0; i < samples.length; i += 2) made.push(samples[i]);
  }
  expect(Math.abs(made.length - 48_000)).toBeLessThanOrEqual(3);
  const late = 48_000 / rate - 1;
  made.forEach((sample, i) => {
    const wanted = 12_000 * Math.sin((2 * Math.PI * 500 * (i + 1 + late)) / 48_000);
    if (Math.abs(sample - wanted) > 300) throw new Error(`${i}: ${sample} ${wanted}`);
  });
});

/** [MS-RDPEA] 2.2.3.3 and 2.2.3.4: the first four bytes of sound are in the first message, and its length counts all. */
it('older clients get sound in two messages', () => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect(encodeWave({ timestamp: 0x1234, format: 1, block: 9, data }, 6)).toEqual([
    Uint8Array.of(2, 0, 14, 0, 0x34, 0x12, 1, 0, 9, 0, 0, 0, 1, 2, 3, 4),
    Uint8Array.of(0, 0, 0, 0, 5, 6),
  ]);
});

it('a client that confirms nothing is sent no more than it may have', () => {
  const sent: Uint8Array[] = [];
  let hear: (samples: Int16Array, first: number) => void = () => {};
  const source = {
    listen: (listener: typeof hear) => {
      hear = listener;
      return () => {
        hear = () => {};
      };
    },
  };
  const playback = new SoundPlayback(source, (message) => sent.push(message));
  playback.begin();
  const format = new PduWriter().u16(1).u16(2).u32(44_100).u32(176_400).u16(4).u16(16).u16(0).done();
  const offered = new PduWriter().u8(7).u8(0).u16(20).zeros(14).u16(1).u8(0).u16(8).u8(0).bytes(format).done();
  expect(decodeAudioMessage(sent[0])).toMatchObject({ kind: 'formats', formats: { length: 4 } });
  playback.receive(offered);
  sent.length = 0;
  for (let i = 0; i < 300; i++) hear(new Int16Array(960), i * 480);
  expect(sent.length).toBeLessThan(50);
  const last = sent[sent.length - 1][8];
  playback.receive(Uint8Array.of(5, 0, 4, 0, 0, 0, last, 0));
  hear(new Int16Array(960), 300 * 480);
  expect(sent[sent.length - 1][8]).toBe(last + 1);
  playback.close();
});
