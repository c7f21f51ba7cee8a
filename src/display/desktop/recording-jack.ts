/** Microphones on their way into a machine's recording ring, on this thread's event loop. */
import { RecordingOutput } from '#emu/host/recording-ring.ts';
import type { MicrophoneJack, PluggedMicrophone } from './desktop.ts';

/** How often it is looked where a change in shared memory cannot be waited for. */
const POLL_MS = 50;
/** How long a watch that is over may go on waiting. */
const LOOK_MS = 1000;

export class RecordingJack implements MicrophoneJack {
  readonly #output: RecordingOutput;
  /** In the order in which they were plugged in. */
  readonly #plugged = new Map<PluggedMicrophone, (wanted: boolean) => void>();
  #isWatching = false;
  /** As last told. */
  #isWanted = false;

  constructor(ring: SharedArrayBuffer) {
    this.#output = new RecordingOutput(ring);
  }

  plug(onWanted: (wanted: boolean) => void): PluggedMicrophone {
    const mine: PluggedMicrophone = {
      write: (samples) => {
        if (this.#output.isWanted && this.#plugged.keys().next().value === mine) this.#output.write(samples);
      },
      unplug: () => this.#plugged.delete(mine),
    };
    this.#plugged.set(mine, onWanted);
    if (this.#isWanted) void Promise.resolve().then(() => this.#plugged.has(mine) && this.#isWanted && onWanted(true));
    if (!this.#isWatching) void this.#watch();
    return mine;
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    const { words, index } = this.#output.bell;
    await undefined;
    while (this.#plugged.size > 0) {
      const seen = Atomics.load(words, index);
      if ((seen !== 0) !== this.#isWanted) {
        this.#isWanted = seen !== 0;
        for (const tell of [...this.#plugged.values()]) tell(this.#isWanted);
      }
      if (typeof Atomics.waitAsync === 'function') await Atomics.waitAsync(words, index, seen, LOOK_MS).value;
      else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    this.#isWanted = false;
    this.#isWatching = false;
  }
}
