/**
 * The software TLB that generated code looks into, bank by bank, as state/layout.ts lays them out. An entry maps one 4 KB
 * page of linear addresses to linear memory. A bank is either narrow (32-bit tags, for code with 32-bit addresses) or wide
 * (64-bit tags, for 64-bit code); linear addresses are integers below 2^53 in size, of which a narrow bank takes 32 bits.
 *
 * INVARIANT: an entry with a tag that can match is in its bank's list, so flushes need not visit the whole bank.
 */
import { TLB, TLB_BANK, TLB64, tlbBankAt } from '../state/layout.ts';

const NOTE = { global: 1, tracked: 2, listed: 4, local: 8 } as const;
const TWO_32 = 0x1_0000_0000;

export type BankKind = keyof typeof TLB_BANK;

export class TlbBank {
  /** Linear-memory address. */
  readonly at: number;
  readonly #wide: boolean;
  readonly #words: Int32Array;
  /** Words of an entry; the read tag comes first. */
  readonly #stride: number;
  readonly #write: number;
  readonly #addend: number;
  readonly #notes: number;
  readonly #list = new Uint16Array(TLB.entries);
  #listed = 0;
  /** Those of the list that are not global, perhaps among others: all that a change of CR3 drops. */
  readonly #local = new Uint16Array(TLB.entries);
  #locals = 0;
  /** Write tags of tracked pages may be among the entries. */
  #tracked = false;
  /** log2 of the regions that large pages are remembered by: 4 MB, or 1 GB in a wide bank. */
  readonly #regionShift: number;
  /** By region modulo 1024: 1 when an entry came from a large page there. */
  readonly #large = new Uint8Array(1024);
  #anyLarge = false;

  constructor(buffer: ArrayBufferLike, stateAt: number, kind: BankKind, wide: boolean) {
    const layout = wide ? TLB64 : TLB;
    this.#wide = wide;
    this.at = tlbBankAt(stateAt, TLB_BANK[kind], wide);
    this.#stride = layout.entryBytes / 4;
    this.#write = layout.writeTag / 4;
    this.#addend = layout.addend / 4;
    this.#notes = layout.note / 4;
    this.#regionShift = wide ? 30 : 22;
    this.#words = new Int32Array(buffer, this.at, layout.entries * this.#stride);
    this.reset();
  }

  /** Linear-memory address of a readable byte, or -1 on a miss. `last`: linear address of the access's last byte. */
  findRead(linear: number, last: number): number {
    return this.#find(((linear >>> 12) & (TLB.entries - 1)) * this.#stride, 0, linear, last);
  }

  findWrite(linear: number, last: number): number {
    return this.#find(((linear >>> 12) & (TLB.entries - 1)) * this.#stride, this.#write, linear, last);
  }

  #find(i: number, tag: number, linear: number, last: number): number {
    const words = this.#words;
    if (words[i + tag] !== (last & ~0xfff)) return -1;
    if (this.#wide && words[i + tag + 1] !== Math.floor(last / TWO_32)) return -1;
    return (linear + words[i + this.#addend]) >>> 0;
  }

  /** @param host linear-memory address of the page */
  fill(linear: number, host: number, write: boolean, global: boolean, tracked: boolean, large: boolean): void {
    const entry = (linear >>> 12) & (TLB.entries - 1);
    const i = entry * this.#stride;
    const page = linear & ~0xfff;
    const words = this.#words;
    const notes = i + this.#notes;
    const before = words[notes];
    if (!(before & NOTE.listed)) this.#list[this.#listed++] = entry;
    if (!(global || before & NOTE.local)) this.#local[this.#locals++] = entry;
    words[i] = page;
    words[i + this.#write] = write ? page : TLB.invalidTag;
    if (this.#wide) {
      const high = Math.floor(linear / TWO_32);
      words[i + 1] = high;
      words[i + this.#write + 1] = high;
    }
    words[i + this.#addend] = (host - page) | 0;
    const kind = global ? NOTE.global | (before & NOTE.local) : NOTE.local;
    words[notes] = NOTE.listed | kind | (tracked ? NOTE.tracked : 0);
    if (tracked) this.#tracked = true;
    if (large) {
      this.#large[this.#region(linear)] = 1;
      this.#anyLarge = true;
    }
  }

  flush(keepGlobal: boolean): void {
    if (keepGlobal) this.#flushLocal();
    else this.#flushAll();
  }

  /** Entries stay in the list of all. */
  #flushLocal(): void {
    const words = this.#words;
    for (let n = 0; n < this.#locals; n++) {
      const i = this.#local[n] * this.#stride;
      words[i + this.#notes] &= ~NOTE.local;
      if (!(words[i + this.#notes] & NOTE.global)) this.#drop(i);
    }
    this.#locals = 0;
  }

  #flushAll(): void {
    for (let n = 0; n < this.#listed; n++) {
      const i = this.#list[n] * this.#stride;
      this.#drop(i);
      this.#words[i + this.#notes] = 0;
    }
    this.#listed = 0;
    this.#locals = 0;
    this.#tracked = false;
    if (this.#anyLarge) this.#large.fill(0);
    this.#anyLarge = false;
  }

  /** Drops what translates `linear`: of a large page all of its parts. */
  invalidatePage(linear: number): void {
    const words = this.#words;
    const high = Math.floor(linear / TWO_32);
    if (this.#anyLarge && this.#large[this.#region(linear)]) {
      const shift = this.#regionShift;
      for (let n = 0; n < this.#listed; n++) {
        const i = this.#list[n] * this.#stride;
        if (words[i] >>> shift === linear >>> shift && (!this.#wide || words[i + 1] === high)) this.#drop(i);
      }
      return;
    }
    const i = ((linear >>> 12) & (TLB.entries - 1)) * this.#stride;
    if (words[i] === (linear & ~0xfff) && (!this.#wide || words[i + 1] === high)) this.#drop(i);
  }

  /** Drops the write tags of tracked pages, so that the next store marks them dirty again. */
  flushTracked(): void {
    if (!this.#tracked) return;
    this.#tracked = false;
    for (let n = 0; n < this.#listed; n++) {
      const i = this.#list[n] * this.#stride;
      if (this.#words[i + this.#notes] & NOTE.tracked) this.#words[i + this.#write] = TLB.invalidTag;
    }
  }

  /** Drops the write tags that lead to a page of linear memory. */
  protect(host: number): void {
    for (let n = 0; n < this.#listed; n++) {
      const i = this.#list[n] * this.#stride;
      const tag = this.#words[i + this.#write];
      if (tag !== TLB.invalidTag && ((tag + this.#words[i + this.#addend]) | 0) === (host | 0)) {
        this.#words[i + this.#write] = TLB.invalidTag;
      }
    }
  }

  /** Forgets whatever the memory held before: after a restore. */
  reset(): void {
    for (let i = 0; i < this.#words.length; i += this.#stride) {
      this.#drop(i);
      this.#words[i + this.#notes] = 0;
    }
    this.#listed = 0;
    this.#locals = 0;
    this.#tracked = false;
    this.#large.fill(0);
    this.#anyLarge = false;
  }

  /** The entry stays listed. No page address has this low half, whatever the high one is. */
  #drop(i: number): void {
    this.#words[i] = TLB.invalidTag;
    this.#words[i + this.#write] = TLB.invalidTag;
  }

  #region(linear: number): number {
    return this.#wide ? Math.floor(linear / 0x4000_0000) & 0x3ff : linear >>> 22;
  }
}
