/** One place in the image from which somebody reads forward. */
interface Stream {
  /** The chunk behind the last one read. */
  next: number;
  /** How many chunks to have ready beyond it. */
  window: number;
}

/** A system that boots reads a few files at once. */
const STREAMS = 4;
const FIRST_WINDOW = 2;

/** Recognises reads that follow one another, and says which chunks to fetch before they are asked for. */
export class ReadAhead {
  readonly #maxWindow: number;
  /** Latest used last. */
  readonly #streams: Stream[] = [];

  /** @param maxWindow chunks; 0 turns reading ahead off */
  constructor(maxWindow: number) {
    this.#maxWindow = maxWindow;
  }

  /**
   * Notes a read of chunks `first` to `last`.
   * @param chunkCount chunks of the whole image
   * @param here true for chunks that need no fetching
   * @returns chunks to fetch now, in order; none while at least half the window is ready
   */
  after(first: number, last: number, chunkCount: number, here: (chunk: number) => boolean): number[] {
    const stream = this.#advance(first, last);
    const end = Math.min(stream.next + stream.window, chunkCount);
    let ready = stream.next;
    while (ready < end && here(ready)) ready++;
    const missing: number[] = [];
    if (ready === end || (ready - stream.next) * 2 > stream.window) return missing;
    for (let chunk = ready; chunk < end; chunk++) if (!here(chunk)) missing.push(chunk);
    return missing;
  }

  #advance(first: number, last: number): Stream {
    const index = this.#streams.findIndex((s) => first === s.next || first === s.next - 1);
    const [found] = index < 0 ? [] : this.#streams.splice(index, 1);
    const stream = found ?? { next: last + 1, window: 0 };
    this.#streams.push(stream);
    if (this.#streams.length > STREAMS) this.#streams.shift();
    // Several reads within one chunk are one step: only a new chunk shows that the stream goes on.
    if (found && last >= found.next) {
      stream.window = Math.min(Math.max(FIRST_WINDOW, stream.window * 2), this.#maxWindow);
      stream.next = last + 1;
    }
    return stream;
  }
}
