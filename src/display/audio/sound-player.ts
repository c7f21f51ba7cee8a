/** Sampled sound, heard: a machine's, or one that comes over a link. */
import { SAMPLE_RATE } from '#emu/host/sound.ts';
import type { Playout, PlayoutLimits } from './playout.ts';
import type { SoundNodeOptions } from './sound-worklet.ts';
import workletAddress from './sound-worklet.ts?worker&url';

/** A machine in this page writes every 10 ms, a little late when it is busy. */
export const FROM_HERE: PlayoutLimits = { start: 2400, most: 7200 };
/** Packets of 20 ms, over a network. */
export const FROM_AFAR: PlayoutLimits = { start: 3360, most: 7680 };

export class SoundPlayer {
  readonly #options: SoundNodeOptions;
  #context: AudioContext | undefined;
  #node: AudioWorkletNode | undefined;
  #isMuted = false;
  #isStopped = false;

  constructor(ring: SharedArrayBuffer, limits: PlayoutLimits) {
    this.#options = { ring, limits };
  }

  /** Call from a click or a key press: before one, browsers keep a page silent. */
  unlock(): void {
    if (this.#isStopped) return;
    if (!this.#context) void this.#build().catch(() => {});
    else if (this.#context.state === 'suspended' && !this.#isMuted) void this.#context.resume().catch(() => {});
  }

  /** Whether sound is kept back; what is played meanwhile is never heard. */
  set muted(muted: boolean) {
    this.#isMuted = muted;
    if (muted) void this.#context?.suspend().catch(() => {});
    else this.unlock();
  }

  /** What has been heard; undefined before there is a way out. */
  async counts(): Promise<Playout['counts'] | undefined> {
    const port = this.#node?.port;
    if (!port) return undefined;
    return new Promise((resolve) => {
      port.onmessage = ({ data }) => resolve(data);
      port.postMessage('counts');
    });
  }

  stop(): void {
    this.#isStopped = true;
    void this.#context?.close().catch(() => {});
  }

  async #build(): Promise<void> {
    // At the machine's rate the browser converts, if the hardware has another.
    const context = new AudioContext({ latencyHint: 'interactive', sampleRate: SAMPLE_RATE });
    this.#context = context;
    await context.audioWorklet.addModule(workletAddress as string);
    if (this.#isStopped) return;
    const node = new AudioWorkletNode(context, 'tabbox-sound', {
      ...{ numberOfInputs: 0, outputChannelCount: [2] },
      processorOptions: this.#options,
    });
    node.connect(context.destination);
    this.#node = node;
  }
}
