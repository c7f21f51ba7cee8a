/**
 * The jump caches that generated code looks EIP up in: supervisor and user, for 32-bit and for 64-bit code. The interpreter
 * fills them; they are emptied here whenever translations or the meaning of code change.
 */
import { JUMP_CACHE, JUMP_CACHE64, LINEAR, STATE, STATE_BLOCK_BYTES } from '../state/layout.ts';

/** A bank, and the code mode its entries were made in. */
interface JumpBank {
  readonly long: boolean;
  readonly at: number;
  readonly words: Int32Array;
  /** Its word of STATE.codeEpoch, which counts how often it was emptied. */
  readonly epoch: Int32Array;
  mode: number;
  csBase: number;
  /** Was in use since it was emptied. */
  used: boolean;
  /** Code of a page that is not global may be in it. */
  local: boolean;
  /** Linear page numbers whose translation code in it, or a region, relies on. */
  readonly pages: Set<number>;
}

const TWO_32 = 2 ** 32;
const WORDS32 = JUMP_CACHE.entryBytes / 4;
const WORDS64 = JUMP_CACHE64.entryBytes / 4;
/** Number of the page that an address is on; 32-bit ones may be signed. */
const pageIn = (bank: JumpBank, linear: number): number => Math.floor((bank.long ? linear : linear >>> 0) / 4096);

/** Copied, not filled: `fill` on shared memory takes twice as long (2.3 -> 1.2 us a bank). */
const EMPTY = new Int32Array((JUMP_CACHE64.entries * JUMP_CACHE64.entryBytes) / 4);
const EMPTY_NARROW = EMPTY.subarray(0, (JUMP_CACHE.entries * JUMP_CACHE.entryBytes) / 4);

export class JumpCaches {
  /** Supervisor, user; then the same for 64-bit code. */
  readonly #banks: readonly JumpBank[];
  #current: JumpBank;

  constructor(buffer: ArrayBufferLike, stateAt: number) {
    const vcpu = (stateAt - LINEAR.states) / STATE_BLOCK_BYTES;
    const bank = (user: number, long: boolean): JumpBank => {
      const at = long
        ? LINEAR.jumpCache64 + (vcpu * 2 + user) * LINEAR.jumpCache64BankBytes
        : LINEAR.jumpCache + (vcpu * 2 + user) * LINEAR.jumpCacheBankBytes;
      const words = new Int32Array(buffer, at, long ? EMPTY.length : EMPTY_NARROW.length);
      const epoch = new Int32Array(buffer, stateAt + STATE.codeEpoch + user * 4, 1);
      return { long, at, words, epoch, mode: -1, csBase: 0, used: true, local: true, pages: new Set() };
    };
    this.#banks = [bank(0, false), bank(1, false), bank(0, true), bank(1, true)];
    this.#current = this.#banks[0];
  }

  /** Chooses the bank in use. @returns its linear-memory address */
  select(user: boolean, long: boolean): number {
    const bank = this.#banks[(long ? 2 : 0) + (user ? 1 : 0)];
    bank.used = true;
    this.#current = bank;
    return bank.at;
  }

  /** What code in the bank in use is decoded as from now on; a bank made for something else is emptied. */
  modeChanged(mode: number, csBase: number): void {
    const bank = this.#current;
    if (bank.mode === mode && bank.csBase === csBase) return;
    bank.mode = mode;
    bank.csBase = csBase;
    empty(bank);
  }

  /** @param keepGlobal translations of global pages stay: so do banks with nothing else, such as a kernel's */
  flush(keepGlobal: boolean): void {
    for (const bank of this.#banks) {
      if (!bank.used || (keepGlobal && !bank.local)) continue;
      empty(bank);
      bank.used = bank === this.#current;
    }
  }

  /** Code of this page may get into the bank in use. */
  expectCode(linear: number, global: boolean): void {
    const bank = this.#current;
    bank.pages.add(pageIn(bank, linear));
    if (!global) bank.local = true;
  }

  /** INVLPG: most are for data, and leave everything as it is. */
  invalidatePage(linear: number): void {
    for (const bank of this.#banks) {
      const page = pageIn(bank, linear);
      if (bank.pages.delete(page)) dropPage(bank, page);
    }
  }

  /** After a restore: nothing is known of what the memory holds. */
  reset(): void {
    for (const bank of this.#banks) bank.used = true;
    this.flush(false);
  }
}

function empty(bank: JumpBank): void {
  bank.words.set(bank.words.length === EMPTY.length ? EMPTY : EMPTY_NARROW);
  bank.pages.clear();
  bank.local = false;
  bank.epoch[0]++;
}

/** What begins on the page goes, and what may reach into it from the one before. */
function dropPage(bank: JumpBank, page: number): void {
  const { words, long, csBase } = bank;
  const step = long ? WORDS64 : WORDS32;
  for (let at = 0; at < words.length; at += step) {
    const eip = long ? words[at + 1] * TWO_32 + (words[at] >>> 0) : words[at];
    const begins = pageIn(bank, csBase + eip);
    if (begins === page || begins === page - 1) words[at + step / 2] = 0;
  }
  bank.epoch[0]++;
}
