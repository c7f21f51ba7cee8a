/**
 * The x87 registers of a region in locals. They are numbered from where ST0 was at a place where paths meet: the distance
 * of TOP from there is known everywhere in the code, so ST(i) is always one local. Instructions that have no short way find
 * the registers in the state block.
 */
import { CC, FLAG } from '../float/kernel-set.ts';
import { isUsualExtended } from '../float/x87-fast.ts';
import { EXPONENT_LIMIT, keyOf, signExpOf } from '../float/x87-inline.ts';
import { FPR_BYTES, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { type I32, type I64, type IntType, i32, i64, k32, type Word } from '../wasm/expr.ts';
import type { FunctionBuilder, Var } from '../wasm/function.ts';

const COUNT = 8;
const zero = k32(0);

/** What is known of them at a place in the code. */
export interface X87Knowledge {
  /** TOP minus that of register 0, modulo 8. */
  readonly depth: number;
  /** Bits by register: has something, has nothing. */
  readonly valid: number;
  readonly empty: number;
  /** No exception is pending. */
  readonly quiet: boolean;
}
export const X87_UNKNOWN: X87Knowledge = { depth: 0, valid: 0, empty: 0, quiet: false };

export class X87Registers {
  readonly #f: FunctionBuilder;
  readonly #stateAt: number;
  readonly #long: boolean;
  /** Significands, and keys (float/x87-inline.ts). */
  readonly sig: readonly Var<'i64'>[];
  readonly key: readonly Var<'i32'>[];
  /** Physical number of register 0. */
  readonly #base: Var<'i32'>;
  /** Bit n: register n is not empty. */
  readonly tags: Var<'i32'>;
  /** Without TOP and C1. */
  readonly status: Var<'i32'>;
  /** 0 or 1. */
  readonly c1: Var<'i32'>;
  /** Of exponents minus 1 in results of the short way; 0 unless rounding is to nearest at 64 bits and PE set and masked. */
  readonly limit: Var<'i32'>;
  readonly #ip: Var<IntType>;
  readonly #dp: Var<IntType>;
  readonly #opcode: Var<'i32'>;
  readonly #cs: Var<'i32'>;
  readonly #ds: Var<'i32'>;
  /** Selectors as they are, of the segments that 32-bit programs use: only system calls change them. */
  readonly #selectors = new Map<number, Var<'i32'>>();
  /** At exits: how far TOP is from register 0. */
  readonly depth: Var<'i32'>;

  constructor(f: FunctionBuilder, stateAt: number, long: boolean) {
    this.#f = f;
    this.#stateAt = stateAt;
    this.#long = long;
    const wide: IntType = long ? 'i64' : 'i32';
    this.sig = Array.from({ length: COUNT }, () => f.permanentLocal('i64'));
    this.key = Array.from({ length: COUNT }, () => f.permanentLocal('i32'));
    this.#base = f.permanentLocal('i32');
    this.tags = f.permanentLocal('i32');
    this.status = f.permanentLocal('i32');
    this.c1 = f.permanentLocal('i32');
    this.limit = f.permanentLocal('i32');
    this.#ip = f.permanentLocal<IntType>(wide);
    this.#dp = f.permanentLocal<IntType>(wide);
    this.#opcode = f.permanentLocal('i32');
    this.#cs = f.permanentLocal('i32');
    this.#ds = f.permanentLocal('i32');
    this.depth = f.permanentLocal('i32');
    if (!long) for (const n of [SEG.cs, SEG.ss, SEG.ds]) this.#selectors.set(n, f.permanentLocal('i32'));
  }

  #get(field: number): I32 {
    return i32.load(zero, this.#stateAt + field);
  }
  #set(field: number, value: I32): void {
    this.#f.store32(zero, value, this.#stateAt + field);
  }
  /** Bytes from the first physical register to register `n`. */
  #place(n: number): I32 {
    return i32.shl(i32.and(i32.add(this.#base.get, k32(n)), k32(COUNT - 1)), k32(Math.log2(FPR_BYTES)));
  }

  /** From the state block. @param depth what TOP is to be from register 0 */
  load(depth: number): void {
    const f = this.#f;
    const at = this.#stateAt + STATE.fpr;
    f.set(this.#base, i32.and(i32.sub(this.#get(STATE.fpuTop), k32(depth)), k32(COUNT - 1)));
    for (let n = 0; n < COUNT; n++) {
      const place = f.let(this.#place(n));
      f.set(this.sig[n], i64.load(place, at));
      f.set(this.key[n], keyOf(f, this.sig[n].get, f.let(i32.load16U(place, at + 8))));
    }
    const tags = f.let(this.#get(STATE.fpuTags));
    const both = i32.or(tags, i32.shl(tags, k32(COUNT)));
    f.set(this.tags, i32.and(i32.shrU(both, this.#base.get), k32(0xff)));
    this.loadStatus();
    f.set(this.#opcode, this.#get(STATE.fpuOpcode));
    if (this.#long) {
      f.set(this.#ip, i64.load(zero, this.#stateAt + STATE.fpuIp));
      f.set(this.#dp, i64.load(zero, this.#stateAt + STATE.fpuDp));
      return;
    }
    f.set(this.#ip, this.#get(STATE.fpuIp));
    f.set(this.#dp, this.#get(STATE.fpuDp));
    f.set(this.#cs, this.#get(STATE.fpuCs));
    f.set(this.#ds, this.#get(STATE.fpuDs));
    for (const [segment, local] of this.#selectors) f.set(local, this.#selector(segment));
  }
  #selector(segment: number): I32 {
    return this.#get(STATE.segments + segment * SEGMENT.bytes + SEGMENT.selector);
  }

  /** To the state block. */
  store(depth: I32): void {
    const f = this.#f;
    const at = this.#stateAt + STATE.fpr;
    this.#set(STATE.fpuTop, i32.and(i32.add(this.#base.get, depth), k32(COUNT - 1)));
    for (let n = 0; n < COUNT; n++) {
      const place = f.let(this.#place(n));
      f.store64(place, this.sig[n].get, at);
      f.store16(place, signExpOf(this.key[n].get), at + 8);
    }
    const moved = f.let(i32.shl(this.tags.get, this.#base.get));
    this.#set(STATE.fpuTags, i32.and(i32.or(moved, i32.shrU(moved, k32(COUNT))), k32(0xff)));
    this.storeStatus();
    this.#set(STATE.fpuOpcode, this.#opcode.get);
    if (this.#long) {
      f.store64(zero, this.#ip.get as I64, this.#stateAt + STATE.fpuIp);
      f.store64(zero, this.#dp.get as I64, this.#stateAt + STATE.fpuDp);
      return;
    }
    this.#set(STATE.fpuIp, this.#ip.get as I32);
    this.#set(STATE.fpuDp, this.#dp.get as I32);
    this.#set(STATE.fpuCs, this.#cs.get);
    this.#set(STATE.fpuDs, this.#ds.get);
  }

  /** Renumbers so that register 0 is ST0. */
  settle(depth: number): void {
    if (depth === 0) return;
    const f = this.#f;
    f.scope(() => {
      const sigs = this.sig.map((v) => f.let(v.get));
      const keys = this.key.map((v) => f.let(v.get));
      for (let n = 0; n < COUNT; n++) {
        const from = (n + depth) & (COUNT - 1);
        f.set(this.sig[n], sigs[from]);
        f.set(this.key[n], keys[from]);
      }
      f.set(this.#base, i32.and(i32.add(this.#base.get, k32(depth)), k32(COUNT - 1)));
      const both = i32.or(this.tags.get, i32.shl(this.tags.get, k32(COUNT)));
      f.set(this.tags, i32.and(i32.shrU(both, k32(depth)), k32(0xff)));
    });
  }

  /** What the last instruction was that is kept for handlers. */
  record(opcode: number, ip: Word, memory: { offset: Word; segment: number } | undefined): void {
    const f = this.#f;
    f.set(this.#opcode, k32(opcode));
    f.set(this.#ip, ip);
    if (memory) f.set(this.#dp, memory.offset);
    if (this.#long) return;
    const selector = (segment: number): I32 => this.#selectors.get(segment)?.get ?? this.#selector(segment);
    f.set(this.#cs, selector(SEG.cs));
    if (memory) f.set(this.#ds, selector(memory.segment));
  }

  /** The status word with TOP. */
  statusWord(depth: number): I32 {
    const top = i32.and(i32.add(this.#base.get, k32(depth)), k32(COUNT - 1));
    return i32.or(this.#statusAndC1(), i32.shl(top, k32(11)));
  }
  #statusAndC1(): I32 {
    return i32.or(this.status.get, i32.shl(this.c1.get, k32(9)));
  }
  /** Between the locals and the state block. */
  storeStatus(): void {
    this.#set(STATE.fpuStatus, this.#statusAndC1());
  }
  loadStatus(): void {
    const f = this.#f;
    const status = f.let(this.#get(STATE.fpuStatus));
    f.set(this.c1, i32.and(i32.shrU(status, k32(9)), k32(1)));
    f.set(this.status, i32.and(status, k32(~CC.c1)));
    this.setLimit();
  }
  /** After the control word or PE has changed. */
  setLimit(): void {
    const precise = i32.and(i32.shrU(this.status.get, k32(Math.log2(FLAG.pe))), k32(1));
    const usual = i32.and(isUsualExtended(this.#get(STATE.fpuControl)), precise);
    this.#f.set(this.limit, i32.and(i32.sub(zero, usual), k32(EXPONENT_LIMIT)));
  }
}
