/**
 * From a microphone to a recording ring, on the browser's audio thread.
 * Source: W3C Web Audio API 1.1, 1.32 (AudioWorklet).
 */
import { RecordingOutput } from '#emu/host/recording-ring.ts';

// What an AudioWorkletGlobalScope has; the compiler's libraries do not describe it.
declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(
  name: string,
  processor: new (options: { readonly processorOptions: MicrophoneNodeOptions }) => AudioWorkletProcessor,
): void;

export interface MicrophoneNodeOptions {
  readonly ring: SharedArrayBuffer;
}

/** Samples of -1 to 1 are so large here. */
const FULL_SCALE = 32_767;

class MicrophoneProcessor extends AudioWorkletProcessor {
  readonly #output: RecordingOutput;
  #samples = new Int16Array(256);
  #isOver = false;

  constructor({ processorOptions: { ring } }: { readonly processorOptions: MicrophoneNodeOptions }) {
    super();
    this.#output = new RecordingOutput(ring);
    this.port.onmessage = () => {
      this.#isOver = true;
    };
  }

  process([[left, right = left]]: readonly (readonly Float32Array[])[]): boolean {
    if (this.#isOver) return false;
    // Nothing is plugged in for the moment, or the guest does not record.
    if (!left || !this.#output.isWanted) return true;
    if (this.#samples.length !== left.length * 2) this.#samples = new Int16Array(left.length * 2);
    const samples = this.#samples;
    for (let i = 0; i < left.length; i++) {
      samples[i * 2] = Math.max(-1, Math.min(1, left[i])) * FULL_SCALE;
      samples[i * 2 + 1] = Math.max(-1, Math.min(1, right[i])) * FULL_SCALE;
    }
    this.#output.write(samples);
    return true;
  }
}

registerProcessor('tabbox-microphone', MicrophoneProcessor);
