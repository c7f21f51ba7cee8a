/**
 * The jump caches that generated code looks EIP up in: supervisor and user, for 32-bit and for 64-bit code. They are emptied
 * whenever translations or the meaning of code change.
 *
 * INVARIANT: an entry whose record is not 0 is in its bank's list, so that emptying need not visit the whole bank.
 */
import { JUMP_CACHE, JUMP_CACHE64, JUMP_MODE, jumpCacheAt, jumpModesAt, STATE } from '../state/layout.ts';

/** A bank, and the code mode its entries were made in. */
interface JumpBank {
  readonly long: boolean;
  readonly at: number;
  readonly words: Int32Array;
  /** Its word of STATE.codeEpoch, which counts how often it was emptied. */
  readonly epoch: Int32Array;
  /** Its word of STATE.jumpModes. */
  readonly mode: Int32Array;
  csBase: number;
  /** Code was looked for in it since it was emptied. */
  used: boolean;
  /** Code of a page that is not global may be in it. */
  local: boolean;
  /** Linear page numbers whose translation code in it, or a region, relies on. */
  readonly pages: Set<number>;
  /** Where pages are larger than 4 KB that they rely on: numbers of areas as large as such a page can be. */
  readonly large: Set<number>;
  /** Numbers of the entries that hold something. */
  readonly list: Uint16Array;
  listed: number;
}

const TWO_32 = 2 ** 32;
const WORDS32 = JUMP_CACHE.entryBytes / 4;
const WORDS64 = JUMP_CACHE64.entryBytes / 4;
const numberOf = (eip: number): number => (eip ^ (eip >>> 12)) & (ENTRIES - 1);
/** Number of the page that an address is on; 32-bit ones may be signed. */
const pageIn = (bank: JumpBank, linear: number): number => Math.floor((bank.long ? linear : linear >>> 0) / 4096);

/** Likewise of the 4 MB, or 1 GB in 64-bit code, around it. */
const areaIn = (bank: JumpBank, linear: number): number =>
  Math.floor(pageIn(bank, linear) / (bank.long ? 1 << 18 : 1 << 10));

const { entries: ENTRIES } = JUMP_CACHE;
const stepOf = (bank: JumpBank): number => (bank.long ? WORDS64 : WORDS32);
/** Words from the entry's begin to its record, and then to its region. */
const recordIn = (step: number): number => step / 4;
const regionIn = (step: number): number => step / 4 + 1;

export class JumpCaches {
  /** Supervisor, user; then the same for 64-bit code. */
  readonly #banks: readonly JumpBank[];
  /** STATE.jumpCacheBase, which generated code sets as well. */
  readonly #inUse: Int32Array;

  constructor(buffer: ArrayBufferLike, stateAt: number) {
    this.#inUse = new Int32Array(buffer, stateAt + STATE.jumpCacheBase, 1);
    const bank = (user: number, long: boolean): JumpBank => {
      const at = jumpCacheAt(stateAt, user, long);
      const words = new Int32Array(buffer, at, ENTRIES * (long ? WORDS64 : WORDS32));
      const epoch = new Int32Array(buffer, stateAt + STATE.codeEpoch + user * 4, 1);
      const mode = new Int32Array(buffer, stateAt + jumpModesAt(user, long), 1);
      return {
        long,
        at,
        words,
        epoch,
        mode,
        csBase: 0,
        used: true,
        local: true,
        pages: new Set(),
        large: new Set(),
        list: new Uint16Array(ENTRIES),
        listed: 0,
      };
    };
    this.#banks = [bank(0, false), bank(1, false), bank(0, true), bank(1, true)];
  }

  get #current(): JumpBank {
    const at = this.#inUse[0];
    return this.#banks.find((bank) => bank.at === at) ?? this.#banks[0];
  }

  /** The header of the block at an EIP, if the bank in use has it; else 0. @param high upper half of RIP, in 64-bit code */
  find(low: number, high: number): number {
    const bank = this.#current;
    const step = stepOf(bank);
    const number = numberOf(low);
    for (let at = number * step, way = 0; way < 2; way++, at = (number ^ 1) * step) {
      if (bank.words[at] === low && (!bank.long || bank.words[at + 1] === high)) return bank.words[at + recordIn(step)];
    }
    return 0;
  }

  /** Makes it be found. What was at its place becomes the neighbour. */
  put(low: number, high: number, header: number): void {
    const bank = this.#current;
    const { words, list } = bank;
    const step = stepOf(bank);
    const number = numberOf(low);
    const at = number * step;
    const record = at + recordIn(step);
    const isOther = words[at] !== low || (bank.long && words[at + 1] !== high);
    if (words[record] === 0) list[bank.listed++] = number;
    else if (isOther) {
      const neighbour = (number ^ 1) * step;
      if (words[neighbour + recordIn(step)] === 0) list[bank.listed++] = number ^ 1;
      words.copyWithin(neighbour, at, at + step);
    }
    words[at] = low;
    if (bank.long) words[at + 1] = high;
    words[record] = header;
    words[at + regionIn(step)] = 0;
  }

  /** A region's slot is to mean nothing any more, or something else. */
  forgetRegion(slot: number): void {
    for (const bank of this.#banks) {
      const step = stepOf(bank);
      for (let n = 0; n < bank.listed; n++) {
        const at = bank.list[n] * step + regionIn(step);
        if (bank.words[at] >>> 16 === slot) bank.words[at] = 0;
      }
    }
  }

  /** What code in the bank in use is decoded as from now on; a bank made for something else is emptied. */
  modeChanged(mode: number, csBase: number): void {
    const bank = this.#current;
    const word = csBase === 0 ? mode : mode | JUMP_MODE.based;
    if (bank.mode[0] === word && bank.csBase === csBase) return;
    bank.mode[0] = word;
    bank.csBase = csBase;
    empty(bank);
  }

  /** @param keepGlobal translations of global pages stay: so do banks with nothing else, such as a kernel's */
  flush(keepGlobal: boolean): void {
    for (const bank of this.#banks) {
      if (!bank.used || (keepGlobal && !bank.local)) continue;
      empty(bank);
      bank.used = false;
    }
  }

  /** Code of this page may get into the bank in use. @param large the page is larger than 4 KB */
  expectCode(linear: number, global: boolean, large: boolean): void {
    const bank = this.#current;
    bank.used = true;
    bank.pages.add(pageIn(bank, linear));
    if (!global) bank.local = true;
    if (large) bank.large.add(areaIn(bank, linear));
  }

  /** INVLPG: most are for data, and leave everything as it is. */
  invalidatePage(linear: number): void {
    for (const bank of this.#banks) {
      if (bank.large.has(areaIn(bank, linear))) empty(bank);
      const page = pageIn(bank, linear);
      if (bank.pages.delete(page)) dropPage(bank, page);
    }
  }

  /** After a restore: nothing is known of what the memory holds. */
  reset(): void {
    for (const bank of this.#banks) {
      bank.used = true;
      bank.mode[0] = -1;
    }
    this.flush(false);
  }
}

function empty(bank: JumpBank): void {
  const step = stepOf(bank);
  for (let n = 0; n < bank.listed; n++) bank.words[bank.list[n] * step + recordIn(step)] = 0;
  bank.listed = 0;
  bank.pages.clear();
  bank.large.clear();
  bank.local = false;
  bank.epoch[0]++;
}

/** What begins on the page goes, and what may reach into it from the one before. */
function dropPage(bank: JumpBank, page: number): void {
  const { words, long, csBase, list } = bank;
  const step = stepOf(bank);
  let kept = 0;
  for (let n = 0; n < bank.listed; n++) {
    const at = list[n] * step;
    const eip = long ? words[at + 1] * TWO_32 + (words[at] >>> 0) : words[at];
    const begins = pageIn(bank, csBase + eip);
    if (begins === page || begins === page - 1) words[at + recordIn(step)] = 0;
    else list[kept++] = list[n];
  }
  bank.listed = kept;
  bank.epoch[0]++;
}
