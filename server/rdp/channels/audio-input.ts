/**
 * A client's microphone: its device is open while the guest records, and not longer.
 * Source: [MS-RDPEAI] 1.3, 3.3 (server).
 * Not modelled: compressed formats.
 */
import type { MicrophoneJack, PluggedMicrophone } from '#display/desktop/desktop.ts';
import { SAMPLE_RATE } from '#emu/host/sound.ts';
import { type AudioFormat, isSameFormat, WAVE_FORMAT } from '../pdu/audio.ts';
import { decodeAudioInput, encodeInputFormats, encodeInputOpen, encodeInputVersion } from '../pdu/audio-input.ts';
import type { DynamicChannel } from './dynamic-channels.ts';
import { Resampler } from './sound-formats.ts';

/** A packet is this long: 10 ms. */
const PACKETS_PER_SECOND = 100;
/** Bytes of one message: more than half a second is no packet. */
const MOST_BYTES = SAMPLE_RATE * 2;
const pcm = (samplesPerSecond: number, channels: number): AudioFormat => ({
  ...{ tag: WAVE_FORMAT.pcm, channels, samplesPerSecond, bitsPerSample: 16 },
});
/** In the order in which they are preferred. */
const FORMATS = [48_000, 44_100, 22_050, 16_000, 8000].flatMap((rate) => [pcm(rate, 2), pcm(rate, 1)]);

export class AudioInput {
  readonly #open: (channel: DynamicChannel) => () => void;
  readonly #plugged: PluggedMicrophone;
  #close: (() => void) | undefined;

  /** @param open opens a dynamic channel and returns what closes it */
  constructor(jack: MicrophoneJack, open: (channel: DynamicChannel) => () => void) {
    this.#open = open;
    this.#plugged = jack.plug((wanted) => this.#want(wanted));
  }

  close(): void {
    this.#plugged.unplug();
    this.#want(false);
  }

  #want(wanted: boolean): void {
    if (wanted) this.#close ??= this.#open(new InputChannel((samples) => this.#plugged.write(samples)));
    else {
      this.#close?.();
      this.#close = undefined;
    }
  }
}

/** One recording. */
class InputChannel implements DynamicChannel {
  readonly name = 'AUDIO_INPUT';
  readonly #write: (samples: Int16Array) => void;
  #send: (message: Uint8Array) => void = () => {};
  /** What the client records, as it counts them. */
  #formats: readonly AudioFormat[] = [];
  #format: AudioFormat | undefined;
  #resampler: Resampler | undefined;

  constructor(write: (samples: Int16Array) => void) {
    this.#write = write;
  }

  opened(send: (message: Uint8Array) => void): void {
    this.#send = send;
    send(encodeInputVersion());
  }

  closed(): void {}

  received(message: Uint8Array): void {
    const said = decodeAudioInput(message);
    if (said?.kind === 'version') this.#send(encodeInputFormats(FORMATS));
    else if (said?.kind === 'formats') this.#choose(said.formats);
    else if (said?.kind === 'format') this.#use(said.index);
    else if (said?.kind === 'data') this.#hear(said.data);
  }

  #choose(formats: readonly AudioFormat[]): void {
    this.#formats = formats;
    for (const wanted of FORMATS) {
      const index = formats.findIndex((one) => isSameFormat(one, wanted));
      if (index < 0) continue;
      this.#use(index);
      this.#send(encodeInputOpen(Math.ceil(wanted.samplesPerSecond / PACKETS_PER_SECOND), index, wanted));
      return;
    }
  }

  #use(index: number): void {
    const format: AudioFormat | undefined = this.#formats[index];
    const isKnown = format && FORMATS.some((one) => isSameFormat(one, format));
    this.#format = isKnown ? format : undefined;
    this.#resampler = isKnown ? new Resampler(SAMPLE_RATE, format.samplesPerSecond) : undefined;
  }

  #hear(data: Uint8Array): void {
    if (!this.#format || !this.#resampler || data.length > MOST_BYTES) return;
    const { channels } = this.#format;
    const frames = Math.floor(data.length / (2 * channels));
    if (frames === 0) return;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const samples = new Int16Array(frames * 2);
    for (let i = 0; i < frames; i++) {
      samples[i * 2] = view.getInt16(i * 2 * channels, true);
      samples[i * 2 + 1] = channels === 1 ? samples[i * 2] : view.getInt16(i * 4 + 2, true);
    }
    const made = this.#resampler.take(samples);
    // What was half a second at a low rate is more at the machine's.
    for (let at = 0; at < made.length; at += SAMPLE_RATE) this.#write(made.subarray(at, at + SAMPLE_RATE));
  }
}
