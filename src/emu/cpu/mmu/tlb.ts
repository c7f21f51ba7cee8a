/**
 * The software TLB that generated code looks into: two banks a virtual CPU (supervisor and user), as state/layout.ts lays
 * them out. An entry maps one 4 KB page of linear addresses to linear memory.
 *
 * INVARIANT: an entry with a tag that can match is in its bank's list, so flushes need not visit the whole bank.
 */
import { LINEAR, STATE_BLOCK_BYTES, TLB } from '../state/layout.ts';

const NOTE = { global: 1, tracked: 2, listed: 4 } as const;
const WORDS = TLB.entryBytes / 4;
const READ = TLB.readTag / 4;
const WRITE = TLB.writeTag / 4;
const ADDEND = TLB.addend / 4;
const NOTES = TLB.note / 4;

export class TlbBank {
  /** Linear-memory address. */
  readonly at: number;
  readonly #words: Int32Array;
  readonly #list = new Uint16Array(TLB.entries);
  #listed = 0;
  /** Write tags of tracked pages may be among the entries. */
  #tracked = false;
  /** By 4 MB of linear space: 1 when an entry came from a large page there. */
  readonly #large = new Uint8Array(1024);
  #anyLarge = false;

  /** @param user the bank of CPL 3 */
  constructor(buffer: ArrayBufferLike, stateAt: number, user: boolean) {
    const vcpu = (stateAt - LINEAR.states) / STATE_BLOCK_BYTES;
    this.at = LINEAR.tlb + (vcpu * 2 + (user ? 1 : 0)) * LINEAR.tlbBankBytes;
    this.#words = new Int32Array(buffer, this.at, TLB.entries * WORDS);
    this.#invalidateAll();
  }

  /** Linear-memory address of a readable byte, or -1 on a miss. `last`: linear address of the access's last byte. */
  findRead(linear: number, last: number): number {
    const i = ((linear >>> 12) & (TLB.entries - 1)) * WORDS;
    return this.#words[i + READ] === (last & ~0xfff) ? (linear + this.#words[i + ADDEND]) >>> 0 : -1;
  }

  findWrite(linear: number, last: number): number {
    const i = ((linear >>> 12) & (TLB.entries - 1)) * WORDS;
    return this.#words[i + WRITE] === (last & ~0xfff) ? (linear + this.#words[i + ADDEND]) >>> 0 : -1;
  }

  /** @param host linear-memory address of the page */
  fill(linear: number, host: number, write: boolean, global: boolean, tracked: boolean, large: boolean): void {
    const entry = (linear >>> 12) & (TLB.entries - 1);
    const i = entry * WORDS;
    const page = linear & ~0xfff;
    const words = this.#words;
    if (!(words[i + NOTES] & NOTE.listed)) this.#list[this.#listed++] = entry;
    words[i + READ] = page;
    words[i + WRITE] = write ? page : TLB.invalidTag;
    words[i + ADDEND] = (host - page) | 0;
    words[i + NOTES] = NOTE.listed | (global ? NOTE.global : 0) | (tracked ? NOTE.tracked : 0);
    if (tracked) this.#tracked = true;
    if (large) {
      this.#large[linear >>> 22] = 1;
      this.#anyLarge = true;
    }
  }

  flush(keepGlobal: boolean): void {
    const words = this.#words;
    let kept = 0;
    for (let n = 0; n < this.#listed; n++) {
      const entry = this.#list[n];
      const i = entry * WORDS;
      if (keepGlobal && words[i + NOTES] & NOTE.global) this.#list[kept++] = entry;
      else {
        words[i + READ] = TLB.invalidTag;
        words[i + WRITE] = TLB.invalidTag;
        words[i + NOTES] = 0;
      }
    }
    this.#listed = kept;
    if (kept === 0) {
      this.#tracked = false;
      if (this.#anyLarge) this.#large.fill(0);
      this.#anyLarge = false;
    }
  }

  /** Drops what translates `linear`: of a large page all of its parts (then true). */
  invalidatePage(linear: number): boolean {
    if (this.#anyLarge && this.#large[linear >>> 22]) {
      const region = linear & ~0x3f_ffff;
      for (let n = 0; n < this.#listed; n++) {
        const i = this.#list[n] * WORDS;
        if ((this.#words[i + READ] & ~0x3f_ffff) === region) this.#drop(i);
      }
      return true;
    }
    const i = ((linear >>> 12) & (TLB.entries - 1)) * WORDS;
    if (this.#words[i + READ] === (linear & ~0xfff)) this.#drop(i);
    return false;
  }

  /** Drops the write tags of tracked pages, so that the next store marks them dirty again. */
  flushTracked(): void {
    if (!this.#tracked) return;
    this.#tracked = false;
    for (let n = 0; n < this.#listed; n++) {
      const i = this.#list[n] * WORDS;
      if (this.#words[i + NOTES] & NOTE.tracked) this.#words[i + WRITE] = TLB.invalidTag;
    }
  }

  /** Drops the write tags that lead to a page of linear memory. */
  protect(host: number): void {
    for (let n = 0; n < this.#listed; n++) {
      const i = this.#list[n] * WORDS;
      const tag = this.#words[i + WRITE];
      if (tag !== TLB.invalidTag && ((tag + this.#words[i + ADDEND]) | 0) === (host | 0)) {
        this.#words[i + WRITE] = TLB.invalidTag;
      }
    }
  }

  /** Forgets whatever the memory held before: after a restore. */
  reset(): void {
    this.#invalidateAll();
  }

  /** The entry stays listed. */
  #drop(i: number): void {
    this.#words[i + READ] = TLB.invalidTag;
    this.#words[i + WRITE] = TLB.invalidTag;
  }

  #invalidateAll(): void {
    for (let i = 0; i < TLB.entries * WORDS; i += WORDS) {
      this.#drop(i);
      this.#words[i + NOTES] = 0;
    }
    this.#listed = 0;
    this.#tracked = false;
    this.#large.fill(0);
    this.#anyLarge = false;
  }
}
