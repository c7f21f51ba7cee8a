/**
 * Which hot blocks are worth compiling. Generating and compiling a region costs what interpreting its blocks tens of thousands
 * of times does, and takes a core that the guest may want. So a loop has to last, and a block that collects its entries over
 * a whole boot has to wait: neither is likely to have as many again soon. Counted in guest instructions, so that it does not
 * depend on the host.
 */
import { HEADER } from '../state/layout.ts';

/** Entries of a block until it is hot for the first time. */
export const THRESHOLD = 3000;
/** Guest instructions, in millions, in which a block may have an entry; if it takes longer, the block is run rarely. */
const RARE_MILLIONS = 64 / THRESHOLD;
/** Entries after which a block that was run rarely is looked at again: it may be run often now. */
const RARE_STEP = 750;
/** Entries with which it is worth compiling in any case. */
const RARE_ENTRIES = 48_000;
/** Millions of guest instructions that a loop has to last. */
const BURST_MILLIONS = 16;
/** Entries with which it is worth compiling before. */
const BURST_ENTRIES = 12_000;

export class Hotness {
  /** Of linear memory. */
  readonly #words: Int32Array;
  /** Guest instructions executed, in millions. */
  #clock = 0;
  /** By place, blocks that wait: entries that they have had. */
  readonly #rare = new Map<number, number>();
  readonly #bursts = new Map<number, number>();

  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** @param instructions that the guest has executed since */
  ran(instructions: number): void {
    this.#clock += instructions / 1e6;
  }

  /** The entries of a block are counted from now on. @param header its address in linear memory */
  begin(header: number): void {
    this.#words[(header + HEADER.since) >> 2] = this.#clock;
  }

  /**
   * A block has become hot: is it to wait? Then it is hot again after some more entries.
   * @param place tells blocks apart
   */
  waits(header: number, place: number): boolean {
    const took = this.#clock - this.#words[(header + HEADER.since) >> 2];
    const rare = this.#rare.get(place);
    if (rare !== undefined) return this.#waitsOn(header, place, took, rare + RARE_STEP);
    const entries = (this.#bursts.get(place) ?? 0) + THRESHOLD;
    this.#bursts.delete(place);
    if (took > RARE_MILLIONS * entries) return this.#waitsOn(header, place, took, entries);
    if (took >= BURST_MILLIONS || entries >= BURST_ENTRIES) return false;
    this.#bursts.set(place, entries);
    this.#words[(header + HEADER.heat) >> 2] = THRESHOLD;
    return true;
  }

  #waitsOn(header: number, place: number, took: number, entries: number): boolean {
    if (entries >= RARE_ENTRIES || took <= RARE_MILLIONS * RARE_STEP) {
      this.#rare.delete(place);
      return false;
    }
    this.#rare.set(place, entries);
    this.#words[(header + HEADER.heat) >> 2] = RARE_STEP;
    this.begin(header);
    return true;
  }

  clear(): void {
    this.#rare.clear();
    this.#bursts.clear();
  }
}
