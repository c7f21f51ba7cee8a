/** The person's own microphone for a machine in this page: off until it is switched on. */
import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { CodedError } from '#base/errors.ts';
import { SAMPLE_RATE } from '#emu/host/sound.ts';
import type { MicrophoneNodeOptions } from './microphone-worklet.ts';
import workletAddress from './microphone-worklet.ts?worker&url';

/** A name of a DOMException, and what it means to a person. */
const REASONS: Readonly<Record<string, string>> = {
  NotAllowedError: 'the browser does not let this page use a microphone: allow it in the settings of this site',
  NotFoundError: 'there is no microphone: plug one in',
  NotReadableError: 'the microphone cannot be read: another program may be using it',
};

/** As a sound card hears it: what makes speech clearer would take other sounds for noise. */
const UNCHANGED: MediaTrackConstraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export class Microphone {
  readonly #ring: SharedArrayBuffer;
  readonly #isOn: Signal<boolean> = signal(false);
  #off: (() => void) | undefined;
  #isStopped = false;

  /** @param ring see emu/host/recording-ring.ts */
  constructor(ring: SharedArrayBuffer) {
    this.#ring = ring;
  }

  get isOn(): ReadonlySignal<boolean> {
    return this.#isOn;
  }

  /** Call from a click. @throws CodedError<'no-microphone'> */
  async turn(on: boolean): Promise<void> {
    if (on === this.#isOn.value || this.#isStopped) return;
    this.#isOn.value = on;
    if (!on) {
      this.#off?.();
      this.#off = undefined;
      return;
    }
    try {
      const off = await this.#open();
      // Switched off, or on again, while the person was asked.
      if (!this.#isOn.value || this.#isStopped || this.#off) off();
      else this.#off = off;
    } catch (cause) {
      this.#isOn.value = false;
      const name = cause instanceof Error ? cause.name : '';
      const why = REASONS[name] ?? `the microphone cannot be used: ${cause instanceof Error ? cause.message : cause}`;
      throw new CodedError('no-microphone', why, {}, cause);
    }
  }

  /** For good. */
  stop(): void {
    this.#isStopped = true;
    this.#isOn.value = false;
    this.#off?.();
    this.#off = undefined;
  }

  async #open(): Promise<() => void> {
    const { mediaDevices } = navigator;
    if (!mediaDevices) throw new Error('this page was not loaded safely (https or localhost)');
    const stream = await mediaDevices.getUserMedia({ audio: UNCHANGED });
    const release = (): void => {
      for (const track of stream.getTracks()) track.stop();
    };
    try {
      // At the machine's rate the browser converts, if the hardware has another.
      const context = new AudioContext({ latencyHint: 'interactive', sampleRate: SAMPLE_RATE });
      await context.audioWorklet.addModule(workletAddress as string);
      const processorOptions: MicrophoneNodeOptions = { ring: this.#ring };
      const node = new AudioWorkletNode(context, 'tabbox-microphone', { numberOfOutputs: 0, processorOptions });
      context.createMediaStreamSource(stream).connect(node);
      await context.resume();
      return () => {
        node.port.postMessage('over');
        release();
        void context.close().catch(() => {});
      };
    } catch (cause) {
      release();
      throw cause;
    }
  }
}
