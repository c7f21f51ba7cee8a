/** Something that wants to be called at a time. */
export interface Timed {
  /** Undefined: never. */
  readonly deadlineMs: number | undefined;
  /** The heap's own. Initially -1. */
  heapIndex: number;
  /** The heap's own: what it is sorted by; never later than `deadlineMs`. */
  heapKey: number;
}

/**
 * The earliest of many deadlines. One that moves to a later time, as with every packet, costs nothing: its place is
 * corrected when it comes to the top.
 */
export class DeadlineHeap<T extends Timed> {
  readonly #entries: T[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** To be called after `deadlineMs` may have changed. */
  update(entry: T): void {
    const { deadlineMs } = entry;
    if (deadlineMs === undefined) return;
    if (entry.heapIndex < 0) {
      entry.heapIndex = this.#entries.length;
      entry.heapKey = deadlineMs;
      this.#entries.push(entry);
      this.#up(entry);
    } else if (deadlineMs < entry.heapKey) {
      entry.heapKey = deadlineMs;
      this.#up(entry);
    }
  }

  remove(entry: T): void {
    const at = entry.heapIndex;
    if (at < 0) return;
    entry.heapIndex = -1;
    const last = this.#entries.pop();
    if (!last || last === entry) return;
    this.#place(last, at);
    this.#up(last);
    this.#down(last);
  }

  /** Milliseconds, or undefined. */
  get earliestMs(): number | undefined {
    this.#settle();
    return this.#entries[0]?.heapKey;
  }

  /** Takes out one whose deadline has passed. */
  takeExpired(nowMs: number): T | undefined {
    this.#settle();
    const top = this.#entries[0];
    if (top === undefined || nowMs < top.heapKey) return undefined;
    this.remove(top);
    return top;
  }

  /** Makes the top's key true. */
  #settle(): void {
    for (let top = this.#entries[0]; top !== undefined; top = this.#entries[0]) {
      const { deadlineMs } = top;
      if (deadlineMs === undefined) {
        this.remove(top);
        continue;
      }
      if (deadlineMs <= top.heapKey) return;
      top.heapKey = deadlineMs;
      this.#down(top);
      if (this.#entries[0] === top) return;
    }
  }

  #place(entry: T, at: number): void {
    this.#entries[at] = entry;
    entry.heapIndex = at;
  }

  #up(entry: T): void {
    for (let at = entry.heapIndex; at > 0; ) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#entries[parentAt];
      if (parent.heapKey <= entry.heapKey) return;
      this.#place(parent, at);
      this.#place(entry, parentAt);
      at = parentAt;
    }
  }

  #down(entry: T): void {
    for (let at = entry.heapIndex; ; ) {
      const left = at * 2 + 1;
      if (left >= this.#entries.length) return;
      const right = left + 1;
      const isRight = right < this.#entries.length && this.#entries[right].heapKey < this.#entries[left].heapKey;
      const childAt = isRight ? right : left;
      const child = this.#entries[childAt];
      if (entry.heapKey <= child.heapKey) return;
      this.#place(child, at);
      this.#place(entry, childAt);
      at = childAt;
    }
  }
}
