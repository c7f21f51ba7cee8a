/** A ring as a source: follows it while somebody listens, on this thread's event loop. */
import type { SoundListener, SoundSource } from '#emu/host/sound.ts';
import { SoundRingReader } from '#emu/host/sound-ring.ts';

/** Frames handed to a listener at once: 10 ms. */
const CHUNK = 480;
const POLL_MS = 10;
/** How long a stopped source may go on waiting. */
const LOOK_MS = 1000;

export class SoundRingSource implements SoundSource {
  readonly #ring: SharedArrayBuffer;
  readonly #listeners = new Set<SoundListener>();
  #isFollowing = false;

  constructor(ring: SharedArrayBuffer) {
    this.#ring = ring;
  }

  listen(listener: SoundListener): () => void {
    // One function may listen twice.
    const mine: SoundListener = (samples, firstFrame) => listener(samples, firstFrame);
    this.#listeners.add(mine);
    if (!this.#isFollowing) void this.#follow();
    return () => this.#listeners.delete(mine);
  }

  async #follow(): Promise<void> {
    this.#isFollowing = true;
    const reader = new SoundRingReader(this.#ring);
    const { words, index } = reader.bell;
    const chunk = new Int16Array(CHUNK * 2);
    while (this.#listeners.size > 0) {
      const seen = reader.writtenCount;
      while (reader.available > 0) {
        const frames = reader.read(chunk);
        const firstFrame = (reader.position - frames) >>> 0;
        for (const listener of this.#listeners) listener(chunk.subarray(0, frames * 2), firstFrame);
      }
      if (typeof Atomics.waitAsync === 'function') await Atomics.waitAsync(words, index, seen, LOOK_MS).value;
      else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    this.#isFollowing = false;
  }
}
