/** From the machine's form of sound to that of clients, and back. Source: ITU-T G.711 (A-law). */
import { SAMPLE_RATE } from '#emu/host/sound.ts';

/** Fewer or more frames a second, by straight lines between samples; a packet goes on where the one before ended. */
export class Resampler {
  readonly #step: number;
  /** Where the next frame lies, in frames of the source behind the last one of the packet before. */
  #at = 1;
  #left = 0;
  #right = 0;

  /** @param rate, from frames a second afterwards and before */
  constructor(rate: number, from: number = SAMPLE_RATE) {
    this.#step = from / rate;
  }

  /** @param samples left and right alternating, at least one frame */
  take(samples: Int16Array): Int16Array {
    if (this.#step === 1) return samples.slice();
    const frames = samples.length >> 1;
    const made = new Int16Array(Math.max(0, Math.floor((frames - this.#at) / this.#step) + 1) * 2);
    let at = this.#at;
    for (let to = 0; to < made.length; to += 2, at += this.#step) {
      const whole = Math.floor(at);
      const part = at - whole;
      const before = (whole - 1) * 2;
      const after = Math.min(before + 2, samples.length - 2);
      const left = whole === 0 ? this.#left : samples[before];
      const right = whole === 0 ? this.#right : samples[before + 1];
      made[to] = left + (samples[after] - left) * part;
      made[to + 1] = right + (samples[after + 1] - right) * part;
    }
    this.#at = at - frames;
    this.#left = samples[samples.length - 2];
    this.#right = samples[samples.length - 1];
    return made;
  }
}

/** One byte a sample: sign, segment, four bits of it, every other bit turned over. */
export function aLaw(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i] >> 3;
    const magnitude = sample < 0 ? ~sample : sample;
    const exponent = magnitude < 32 ? 0 : 27 - Math.clz32(magnitude);
    const mantissa = (exponent === 0 ? magnitude >> 1 : magnitude >> exponent) & 0xf;
    bytes[i] = ((exponent << 4) | mantissa | (sample < 0 ? 0 : 0x80)) ^ 0x55;
  }
  return bytes;
}
