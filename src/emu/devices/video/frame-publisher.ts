/** Brings what an adapter's monitors show into the shared frame, as far as it changed. */
import { FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';

/** What one monitor shows. */
export interface MonitorSource {
  /** True when `describe` may say something else than at the last call. */
  takeChanged(): boolean;
  /** Fills a frame record. */
  describe(record: Uint32Array): void;
}

export class FramePublisher {
  readonly #dirtyMap: Uint8Array;
  readonly #monitors: readonly MonitorSource[];
  readonly #published: readonly Uint32Array[];
  readonly #record: Uint32Array = new Uint32Array(FRAME_WORDS);
  /** What the last `publish` wrote into. */
  #frame: SharedFrame | undefined;

  /** @param dirtyMap a byte for each page of video memory: 1 when it was written */
  constructor(dirtyMap: Uint8Array, monitors: readonly MonitorSource[]) {
    this.#dirtyMap = dirtyMap;
    this.#monitors = monitors;
    this.#published = monitors.map(() => new Uint32Array(FRAME_WORDS));
  }

  /**
   * Makes what changed since the last call visible to the frame's readers. To be called about 60 times a second.
   * Returns false when nothing changed. Allocates nothing.
   * @param others true when the caller wrote something into the frame that readers shall hear of
   */
  publish(frame: SharedFrame, others = false): boolean {
    const fresh = frame !== this.#frame;
    if (fresh) {
      this.#frame = frame;
      this.#dirtyMap.fill(1);
      frame.monitorCount = this.#monitors.length;
    }
    let any = others;
    for (let monitor = 0; monitor < this.#monitors.length; monitor++) {
      if (!this.#bringUpToDate(monitor) && !fresh) continue;
      frame.writeRecord(this.#published[monitor], monitor);
      any = true;
    }
    if (this.#stampPages(frame.pageGeneration, frame.generation + 1)) any = true;
    if (any) frame.commit();
    return any;
  }

  /** Brings what is published up to date; true when it changed. */
  #bringUpToDate(monitor: number): boolean {
    const source = this.#monitors[monitor];
    if (!source.takeChanged()) return false;
    const record = this.#record;
    source.describe(record);
    const published = this.#published[monitor];
    let changed = false;
    for (let i = 0; i < FRAME_WORDS && !changed; i++) changed = record[i] !== published[i];
    if (changed) published.set(record);
    return changed;
  }

  /** Turns dirty pages into stamps; true when there were any. */
  #stampPages(stamps: Uint32Array, generation: number): boolean {
    const dirtyMap = this.#dirtyMap;
    let any = false;
    for (let page = dirtyMap.indexOf(1); page >= 0; page = dirtyMap.indexOf(1, page + 1)) {
      // Cleared before readers hear of it: a write that comes later marks the page again.
      dirtyMap[page] = 0;
      stamps[page] = generation;
      any = true;
    }
    return any;
  }
}
