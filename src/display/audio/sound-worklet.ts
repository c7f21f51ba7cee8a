/**
 * The end of a sound ring on the browser's audio thread.
 * Source: W3C Web Audio API 1.1, 1.32 (AudioWorklet).
 */
import { SoundRingReader } from '#emu/host/sound-ring.ts';
import { Playout, type PlayoutLimits } from './playout.ts';

// What an AudioWorkletGlobalScope has; the compiler's libraries do not describe it.
declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(
  name: string,
  processor: new (options: { readonly processorOptions: SoundNodeOptions }) => AudioWorkletProcessor,
): void;

export interface SoundNodeOptions {
  readonly ring: SharedArrayBuffer;
  readonly limits: PlayoutLimits;
}

class SoundProcessor extends AudioWorkletProcessor {
  readonly #playout: Playout;

  constructor({ processorOptions: { ring, limits } }: { readonly processorOptions: SoundNodeOptions }) {
    super();
    this.#playout = new Playout(new SoundRingReader(ring), limits);
    // Whoever asks is told what was heard.
    this.port.onmessage = () => this.port.postMessage(this.#playout.counts);
  }

  process(_inputs: unknown, [[left, right]]: readonly (readonly Float32Array[])[]): boolean {
    this.#playout.fill(left, right);
    return true;
  }
}

registerProcessor('tabbox-sound', SoundProcessor);
