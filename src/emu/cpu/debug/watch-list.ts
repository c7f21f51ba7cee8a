/** Data that a debugger watches. */
import type { DataWatch } from '../mmu/data-breakpoints.ts';

export type WatchKind = 'write' | 'read' | 'access';

export interface WatchHit {
  readonly access: WatchKind;
  readonly address: number;
}

interface Watch {
  readonly kind: WatchKind;
  /** Linear: unsigned with 32 bits, canonical with 64. */
  readonly from: number;
  readonly byteCount: number;
}

/**
 * An instruction that touches watched data is first sent back, so that it runs alone and the CPU stops right behind it;
 * what it touches then is the hit. Code of ours that acts for the guest cannot be sent back: there the first touch is it.
 */
export class WatchList implements DataWatch {
  readonly pages: number[] = [];
  readonly #watches: Watch[] = [];
  #sentBack: WatchHit | undefined;
  #hit: WatchHit | undefined;

  add(kind: WatchKind, from: number, byteCount: number): void {
    this.#watches.push({ kind, from, byteCount });
    this.#listPages();
  }

  remove(kind: WatchKind, from: number, byteCount: number): void {
    const index = this.#watches.findIndex((w) => w.kind === kind && w.from === from && w.byteCount === byteCount);
    if (index >= 0) this.#watches.splice(index, 1);
    this.#listPages();
  }

  clear(): void {
    this.#watches.length = 0;
    this.#listPages();
    this.takeHit();
  }

  access(at: number, byteCount: number, write: boolean): boolean {
    if (this.#hit) return false;
    const watch = this.#watches.find(
      ({ kind, from, byteCount: length }) =>
        (kind === 'access' || (kind === 'write') === write) && at < from + length && from < at + byteCount,
    );
    if (!watch) return false;
    const hit = { access: watch.kind, address: watch.from };
    if (this.#sentBack === undefined) {
      this.#sentBack = hit;
      return true;
    }
    this.#hit = hit;
    return false;
  }

  /** What was touched since the last question. */
  takeHit(): WatchHit | undefined {
    const hit = this.#hit ?? this.#sentBack;
    this.#hit = undefined;
    this.#sentBack = undefined;
    return hit;
  }

  #listPages(): void {
    this.pages.length = 0;
    for (const { from, byteCount } of this.#watches) {
      for (let page = Math.floor(from / 4096); page * 4096 < from + byteCount; page++) this.pages.push(page);
    }
  }
}
