/** The sound of a machine at the other end of a link, heard while it is turned on: nothing is sent otherwise. */
import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { SoundSource } from '#emu/host/sound.ts';
import { createSoundRing, SoundRingWriter } from '#emu/host/sound-ring.ts';
import type { Playout } from './playout.ts';
import { FROM_AFAR, SoundPlayer } from './sound-player.ts';

/** Whether this page may share memory with its audio thread. */
export const canSound = (): boolean => globalThis.crossOriginIsolated && typeof AudioWorkletNode === 'function';

export class FarSound {
  readonly #source: SoundSource;
  readonly #isOn: Signal<boolean> = signal(false);
  #player: SoundPlayer | undefined;
  #stop: (() => void) | undefined;

  constructor(source: SoundSource) {
    this.#source = source;
  }

  get isOn(): ReadonlySignal<boolean> {
    return this.#isOn;
  }

  /** On: call from a click or a key press, or a page that had one. */
  turn(on: boolean): void {
    if (on === this.#isOn.value) return;
    this.#isOn.value = on;
    if (on) {
      const ring = createSoundRing();
      const writer = new SoundRingWriter(ring);
      this.#player = new SoundPlayer(ring, FROM_AFAR);
      this.#player.unlock();
      this.#stop = this.#source.listen((samples) => writer.write(samples));
      return;
    }
    this.#stop?.();
    this.#player?.stop();
    this.#player = undefined;
  }

  /** What has been heard; undefined before there is a way out. */
  counts(): Promise<Playout['counts'] | undefined> {
    return this.#player?.counts() ?? Promise.resolve(undefined);
  }
}
