/**
 * What the machine plays, for one client: uncompressed where the client can, A-law at half the bytes otherwise.
 * Source: [MS-RDPEA] 1.3.2, 3.3 (server); ITU-T G.711 (A-law).
 * Not modelled: training, UDP, volume, which is the client's own.
 */
import { SAMPLE_RATE, type SoundSource } from '#emu/host/sound.ts';
import {
  type AudioFormat,
  decodeAudioMessage,
  encodeAudioFormats,
  encodeWave,
  isSameFormat,
  WAVE_FORMAT,
} from '../pdu/audio.ts';
import { aLaw, Resampler } from './sound-formats.ts';

/** Frames of a packet: 10 ms. */
const PACKET_FRAMES = 480;
/** Packets that a client may have before it says that it has played one: 0.4 s. What comes then is dropped. */
const MOST_UNDER_WAY = 40;
const stereo = (tag: number, samplesPerSecond: number, bitsPerSample: number): AudioFormat => ({
  ...{ tag, channels: 2, samplesPerSecond, bitsPerSample },
});
/** In the order in which they are preferred. */
const FORMATS: readonly AudioFormat[] = [
  stereo(WAVE_FORMAT.pcm, SAMPLE_RATE, 16),
  stereo(WAVE_FORMAT.pcm, 44_100, 16),
  stereo(WAVE_FORMAT.pcm, 22_050, 16),
  stereo(WAVE_FORMAT.aLaw, 22_050, 8),
];

export class SoundPlayback {
  readonly #source: SoundSource;
  readonly #send: (message: Uint8Array) => void;
  readonly #waiting = new Int16Array(PACKET_FRAMES * 2);
  #filled = 0;
  #version = 0;
  #format = 0;
  #encode: ((samples: Int16Array) => Uint8Array) | undefined;
  #block = 0;
  #confirmed = 0;
  #stop: (() => void) | undefined;

  /** @param send takes messages of the channel */
  constructor(source: SoundSource, send: (message: Uint8Array) => void) {
    this.#source = source;
    this.#send = send;
  }

  begin(): void {
    this.#send(encodeAudioFormats(FORMATS));
  }

  /** A message of the channel. @throws PduError */
  receive(message: Uint8Array): void {
    const said = decodeAudioMessage(message);
    if (said?.kind === 'confirm') this.#confirmed = said.block;
    else if (said?.kind === 'formats') this.#start(said.version, said.formats);
  }

  close(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #start(version: number, formats: readonly AudioFormat[]): void {
    this.close();
    this.#version = version;
    for (const wanted of FORMATS) {
      this.#format = formats.findIndex((one) => isSameFormat(one, wanted));
      if (this.#format < 0) continue;
      const resampler = new Resampler(wanted.samplesPerSecond);
      const isALaw = wanted.tag === WAVE_FORMAT.aLaw;
      this.#encode = (samples) => {
        const made = resampler.take(samples);
        return isALaw ? aLaw(made) : new Uint8Array(made.buffer, made.byteOffset, made.byteLength);
      };
      this.#stop = this.#source.listen((samples, first) => this.#hear(samples, first));
      return;
    }
  }

  #hear(samples: Int16Array, firstFrame: number): void {
    for (let at = 0; at < samples.length; ) {
      const count = Math.min(samples.length - at, this.#waiting.length - this.#filled);
      this.#waiting.set(samples.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled < this.#waiting.length) return;
      this.#filled = 0;
      this.#play(Math.floor((firstFrame + (at >> 1)) / (SAMPLE_RATE / 1000)));
    }
  }

  #play(timestamp: number): void {
    // Resampled even if it is dropped, so that what comes after goes on where it should.
    const data = this.#encode?.(this.#waiting);
    if (!data || ((this.#block - this.#confirmed) & 0xff) > MOST_UNDER_WAY) return;
    this.#block = (this.#block + 1) & 0xff;
    const wave = { timestamp: timestamp & 0xffff, format: this.#format, block: this.#block, data };
    for (const message of encodeWave(wave, this.#version)) this.#send(message);
  }
}
