/** Sampled sound, heard: a machine's, or one that comes over a link. */
import { SAMPLE_RATE } from '#emu/host/sound.ts';
import { SoundRingReader } from '#emu/host/sound-ring.ts';
import type { Playout, PlayoutLimits } from './playout.ts';
import type { SoundNodeOptions } from './sound-worklet.ts';
import workletAddress from './sound-worklet.ts?worker&url';

/** A machine in this page writes every 10 ms, a little late when it is busy. */
export const FROM_HERE: PlayoutLimits = { start: 2400, most: 7200 };
/** Packets of 20 ms, over a network. */
export const FROM_AFAR: PlayoutLimits = { start: 3360, most: 7680 };

/**
 * An audio thread costs a little even while it is silent; after so long without sound it is stopped. What comes then wakes
 * it, and the first tenth of a second may be lost: not between two beeps.
 */
const QUIET_MS = 30_000;
/** How long a player that is stopped may go on waiting. */
const LOOK_MS = 5000;
/** Where a change in shared memory cannot be waited for, it is looked for this often. */
const POLL_MS = 20;

export class SoundPlayer {
  readonly #options: SoundNodeOptions;
  readonly #reader: SoundRingReader;
  #context: AudioContext | undefined;
  #node: AudioWorkletNode | undefined;
  #isMuted = false;
  /** The audio thread sleeps because there is no sound. */
  #isQuiet = false;
  #isStopped = false;

  constructor(ring: SharedArrayBuffer, limits: PlayoutLimits) {
    this.#options = { ring, limits };
    this.#reader = new SoundRingReader(ring);
  }

  /** Call from a click or a key press: before one, browsers keep a page silent. */
  unlock(): void {
    if (this.#isStopped) return;
    if (!this.#context) void this.#build().catch(() => {});
    else if (this.#context.state === 'suspended' && !this.#isMuted && !this.#isQuiet)
      void this.#context.resume().catch(() => {});
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
    await this.#follow(context);
  }

  /** Lets the audio thread sleep while there is no sound. */
  async #follow(context: AudioContext): Promise<void> {
    const reader = this.#reader;
    while (!this.#isStopped) {
      const seen = reader.writtenCount;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      if (reader.writtenCount !== seen || this.#isStopped) continue;
      this.#isQuiet = true;
      await context.suspend().catch(() => {});
      await this.#written(seen);
      this.#isQuiet = false;
      if (!this.#isMuted && !this.#isStopped) await context.resume().catch(() => {});
    }
  }

  async #written(seen: number): Promise<void> {
    const { words, index } = this.#reader.bell;
    while (this.#reader.writtenCount === seen && !this.#isStopped) {
      if (typeof Atomics.waitAsync === 'function') await Atomics.waitAsync(words, index, seen, LOOK_MS).value;
      else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
