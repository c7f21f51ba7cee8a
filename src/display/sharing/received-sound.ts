/** A machine's sound as it comes out of the stream, for whoever listens at a viewer's end. */
import type { SoundListener, SoundSource } from '#emu/host/sound.ts';
import { type BodyOf, MAX_SOUND_FRAMES } from '../stream/messages.ts';

/** A sound decoder of the platform's. */
export interface OpusDecoder {
  /** @param data one packet, a copy of its own */
  decode(data: Uint8Array<ArrayBuffer>, firstFrame: number): void;
  close(): void;
}

export type MadeDecoder = (onSamples: (samples: Int16Array, firstFrame: number) => void) => OpusDecoder;

export interface ReceivedSoundParts {
  readonly newOpusDecoder: MadeDecoder | undefined;
  /** To be told to the relay. */
  readonly onForms: (forms: BodyOf<'soundForms'>) => void;
}

export class ReceivedSound implements SoundSource {
  readonly #parts: ReceivedSoundParts;
  readonly #listeners = new Set<SoundListener>();
  readonly #samples = new Int16Array(MAX_SOUND_FRAMES * 2);
  readonly #bytes = new Uint8Array(this.#samples.buffer);
  #decoder: OpusDecoder | undefined;

  constructor(parts: ReceivedSoundParts) {
    this.#parts = parts;
  }

  listen(listener: SoundListener): () => void {
    const mine: SoundListener = (samples, firstFrame) => listener(samples, firstFrame);
    this.#listeners.add(mine);
    if (this.#listeners.size === 1) this.tell();
    return () => {
      if (!this.#listeners.delete(mine) || this.#listeners.size > 0) return;
      this.#parts.onForms({ pcm: false, opus: false });
      this.#closeDecoder();
    };
  }

  /** The relay knows nothing of us: the connection is new. */
  tell(): void {
    if (this.#listeners.size > 0) {
      this.#parts.onForms({ pcm: true, opus: this.#parts.newOpusDecoder !== undefined });
    }
  }

  take({ form, firstFrame, frames, data }: BodyOf<'sound'>): void {
    if (this.#listeners.size === 0 || frames > MAX_SOUND_FRAMES) return;
    if (form === 'opus') {
      this.#decoder ??= this.#parts.newOpusDecoder?.((samples, first) => this.#hear(samples, first));
      this.#decoder?.decode(data.slice(), firstFrame);
      return;
    }
    if (data.length !== frames * 4) return;
    this.#bytes.set(data);
    this.#hear(this.#samples.subarray(0, frames * 2), firstFrame);
  }

  close(): void {
    this.#listeners.clear();
    this.#closeDecoder();
  }

  #hear(samples: Int16Array, firstFrame: number): void {
    for (const listener of this.#listeners) listener(samples, firstFrame);
  }

  #closeDecoder(): void {
    this.#decoder?.close();
    this.#decoder = undefined;
  }
}
