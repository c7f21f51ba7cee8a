/** A machine's sound on its way to the relay: packets of 20 ms, made while somebody there needs them. */
import { SAMPLE_RATE, type SoundSource } from '#emu/host/sound.ts';
import { type BodyOf, encodeMessage } from '../stream/messages.ts';

/** A sound coder of the platform's. */
export interface OpusEncoder {
  /** @param samples a packet's, its own copy. @param firstFrame comes back with the packet */
  encode(samples: Int16Array<ArrayBuffer>, firstFrame: number): void;
  close(): void;
}

/** @param onBroken it codes no more */
export type MadeEncoder = (
  onPacket: (packet: Uint8Array, firstFrame: number) => void,
  onBroken: () => void,
) => OpusEncoder;

export interface SentSoundParts {
  readonly source: SoundSource;
  readonly newOpusEncoder: MadeEncoder | undefined;
  readonly send: (message: Uint8Array<ArrayBuffer>) => void;
  /** `forms` has changed. */
  readonly onForms: () => void;
}

/** Frames of a packet. */
const PACKET = SAMPLE_RATE / 50;
/** What has begun a packet waits for so long for the rest of it. */
const PATIENCE_MS = 40;
/** Silence that is still sent, so that decoders and ears come to rest, in packets. */
const SILENT_PACKETS = 10;

export class SentSound {
  readonly #parts: SentSoundParts;
  readonly #packet = new Int16Array(PACKET * 2);
  /** Samples in `#packet`, and the number of the frame that follows them. */
  #length = 0;
  #next = 0;
  #silent = SILENT_PACKETS;
  #needed: BodyOf<'soundForms'> = { pcm: false, opus: false };
  #encoder: OpusEncoder | undefined;
  #flush: ReturnType<typeof setTimeout> | undefined;
  #stop: (() => void) | undefined;
  #newEncoder: MadeEncoder | undefined;

  constructor(parts: SentSoundParts) {
    this.#parts = parts;
    this.#newEncoder = parts.newOpusEncoder;
  }

  /** What can be sent. */
  get forms(): BodyOf<'soundForms'> {
    return { pcm: true, opus: this.#newEncoder !== undefined };
  }

  /** What is needed from now on. */
  need(forms: BodyOf<'soundForms'>): void {
    this.#needed = forms;
    if (!forms.opus) {
      this.#encoder?.close();
      this.#encoder = undefined;
    } else this.#encoder ??= this.#newEncoder?.((data, first) => this.#send('opus', data, PACKET, first), this.#broken);
    if (forms.pcm || forms.opus) this.#stop ??= this.#parts.source.listen((samples, at) => this.#take(samples, at));
    else {
      this.#stop?.();
      this.#stop = undefined;
      clearTimeout(this.#flush);
      this.#length = 0;
    }
  }

  readonly #broken = (): void => {
    this.#newEncoder = undefined;
    this.#encoder = undefined;
    this.#parts.onForms();
  };

  #take(samples: Int16Array, firstFrame: number): void {
    if (firstFrame !== this.#next) this.#finish();
    for (let at = 0; at < samples.length; ) {
      if (this.#length === 0) this.#next = (firstFrame + at / 2) >>> 0;
      const count = Math.min(samples.length - at, this.#packet.length - this.#length);
      this.#packet.set(samples.subarray(at, at + count), this.#length);
      this.#length += count;
      this.#next = (this.#next + count / 2) >>> 0;
      at += count;
      if (this.#length === this.#packet.length) this.#finish();
    }
    clearTimeout(this.#flush);
    if (this.#length > 0) this.#flush = setTimeout(() => this.#finish(), PATIENCE_MS);
  }

  /** Sends what there is of a packet, silence behind it. */
  #finish(): void {
    if (this.#length === 0) return;
    this.#packet.fill(0, this.#length);
    const firstFrame = (this.#next - this.#length / 2) >>> 0;
    const frames = this.#length / 2;
    this.#length = 0;
    this.#silent = this.#packet.every((sample) => sample === 0) ? this.#silent + 1 : 0;
    if (this.#silent > SILENT_PACKETS) return;
    if (this.#needed.pcm) this.#send('pcm', littleEndian(this.#packet.subarray(0, frames * 2)), frames, firstFrame);
    this.#encoder?.encode(this.#packet.slice(), firstFrame);
  }

  #send(form: 'pcm' | 'opus', data: Uint8Array, frames: number, firstFrame: number): void {
    this.#parts.send(encodeMessage('sound', { form, firstFrame, frames, data }));
  }
}

/** Browsers and Node run on little-endian processors alone, where this is how samples lie in memory. */
const littleEndian = (samples: Int16Array): Uint8Array =>
  new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
