import { sequenceDifference } from '../../wire/tcp.ts';

/** Disjoint ranges of sequence numbers in ascending order: what a peer has selectively acknowledged. */
export class SequenceRanges {
  /** Left and right edges in turn. */
  readonly #edges: number[] = [];

  get count(): number {
    return this.#edges.length / 2;
  }
  left(n: number): number {
    return this.#edges[n * 2];
  }
  right(n: number): number {
    return this.#edges[n * 2 + 1];
  }
  /** Right edge of the last range. Only when there is one. */
  get highest(): number {
    return this.#edges[this.#edges.length - 1];
  }

  clear(): void {
    this.#edges.length = 0;
  }

  /** Adds a range; touching ones become one. @returns whether anything was new */
  add(left: number, right: number): boolean {
    const edges = this.#edges;
    let from = 0;
    while (from < edges.length && sequenceDifference(edges[from + 1], left) < 0) from += 2;
    let to = from;
    let [low, high] = [left, right];
    while (to < edges.length && sequenceDifference(edges[to], right) <= 0) {
      if (sequenceDifference(edges[to], low) < 0) low = edges[to];
      if (sequenceDifference(edges[to + 1], high) > 0) high = edges[to + 1];
      to += 2;
    }
    if (to === from + 2 && edges[from] === low && edges[from + 1] === high) return false;
    edges.splice(from, to - from, low, high);
    return true;
  }

  removeBelow(sequence: number): void {
    const edges = this.#edges;
    let gone = 0;
    while (gone < edges.length && sequenceDifference(edges[gone + 1], sequence) <= 0) gone += 2;
    if (gone > 0) edges.splice(0, gone);
    if (edges.length > 0 && sequenceDifference(edges[0], sequence) < 0) edges[0] = sequence;
  }

  /** The first sequence number at or behind `sequence` that is in no range. */
  skip(sequence: number): number {
    const edges = this.#edges;
    for (let n = 0; n < edges.length; n += 2) {
      if (sequenceDifference(sequence, edges[n]) < 0) return sequence;
      if (sequenceDifference(sequence, edges[n + 1]) < 0) return edges[n + 1];
    }
    return sequence;
  }

  /** Left edge of the first range behind `sequence`, or `none`. */
  next(sequence: number, none: number): number {
    const edges = this.#edges;
    for (let n = 0; n < edges.length; n += 2) if (sequenceDifference(edges[n], sequence) > 0) return edges[n];
    return none;
  }
}
