/**
 * Guest memory in region code: TLB look-ups inline, misses in cold paths that come back.
 *
 * Not modelled: a device that changes the memory map while a group is open (the group's later accesses see the old map).
 */

import type { Width } from '../isa/ops.ts';
import { STATE, TLB, TLB64 } from '../state/layout.ts';
import { STACK_ACCESS } from '../system/calls.ts';
import { type F32, type F64, f64, type I32, type I64, i32, i64, k32, type Val, type Word, word } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder, type Var } from '../wasm/function.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import type { Group } from './groups.ts';

const PAGE_MASK = ~0xfff;
/** Where an entry's parts are. */
const NARROW = { ...TLB, mask: (TLB.entries - 1) * TLB.entryBytes, shift: 12 - Math.log2(TLB.entryBytes) } as const;
const WIDE = {
  ...TLB64,
  mask: (TLB64.entries - 1) * TLB64.entryBytes,
  shift: 12 - Math.log2(TLB64.entryBytes),
} as const;
type Tag = 'readTag' | 'writeTag';

/** What an access does once it knows the host address: `at` plus the constant `offset`. */
type Use = (at: I32, offset: number) => void;

export class MemoryAccess {
  readonly #frame: Frame;
  readonly #block: number;
  readonly #depth: number;
  readonly #at: number;
  /** Of the memory operand: see STACK_ACCESS. */
  readonly #stack: boolean;

  /** @param depth of constructs at the start of the instruction, which is at offset `at` */
  constructor(frame: Frame, place: { block: number; depth: number; at: number; stack: boolean }) {
    this.#frame = frame;
    this.#block = place.block;
    this.#depth = place.depth;
    this.#at = place.at;
    this.#stack = frame.long && place.stack;
  }

  /** An address as slow functions take it. */
  #outside(at: Word): Val {
    return at.type === 'i64' ? f64.convertI64S(at as I64) : at;
  }
  /** A byte count with STACK_ACCESS where that is so. */
  #marked(bytes: number, stack: boolean): I32 {
    return k32(this.#frame.long && (stack || this.#stack) ? bytes | STACK_ACCESS : bytes);
  }

  read(at: Word, bytes: number, use: Use, stack = false): void {
    const { f, callees, recorder } = this.#frame;
    if (recorder) recorder.reads = true;
    const marked = this.#marked(bytes, stack);
    const group = this.#group(at, bytes, false);
    if (group) {
      group.access(
        () => use(this.#place(f.local('i32'), callees.read, at, marked), 0),
        (start, offset) => use(start, offset),
      );
      return;
    }
    const host = f.local('i32');
    const { miss, place } = this.#lookUp(at, bytes, 'readTag');
    f.ifUnlikely(
      miss,
      () => this.#place(host, callees.read, at, marked),
      () => f.set(host, place()),
    );
    use(host.get, 0);
  }

  /** @param value what `put` stores; a vector is only what `put` knows of */
  write(at: Word, bytes: number, put: Use, value: Word | undefined, stack = false): void {
    const { f, callees, recorder, stateAt } = this.#frame;
    if (recorder) recorder.writes = true;
    const marked = this.#marked(bytes, stack);
    const missed = (): void => {
      let status: I32;
      if (value?.type === 'i64') status = call(callees.store64, at, marked, value);
      else if (value) status = call(callees.store32, at, marked, value);
      else {
        put(k32(stateAt + STATE.scratch), 0);
        status = call(callees.storeScratch, at, marked);
      }
      f.if(status, () => this.#fault());
    };
    const group = this.#group(at, bytes, true);
    if (group) {
      group.access(missed, (start, offset) => put(start, offset));
      return;
    }
    const { miss, place } = this.#lookUp(at, bytes, 'writeTag');
    f.ifUnlikely(miss, missed, () => put(f.let(place()), 0));
  }

  /** Reads and writes one place; `change` gets its host address. */
  modify(at: Word, bytes: number, change: (host: I32) => void): void {
    const { f, callees, recorder, stateAt } = this.#frame;
    if (recorder) {
      recorder.reads = true;
      recorder.writes = true;
    }
    const host = f.local('i32');
    const missed = (): void => {
      this.#place(host, callees.modify, at, this.#marked(bytes, false));
    };
    const group = this.#group(at, bytes, true);
    if (group) group.access(missed, (start, offset) => f.set(host, i32.add(start, k32(offset))));
    else {
      const { miss, place } = this.#lookUp(at, bytes, 'writeTag');
      f.ifUnlikely(miss, missed, () => f.set(host, place()));
    }
    change(host.get);
    f.ifUnlikely(i32.eq(host.get, k32(stateAt + STATE.scratch)), () => f.call(callees.commitWrite));
  }

  /** Host address of the byte at `at`, or 0 when its page is not in the TLB. @param bank another than the region's */
  peek(at: Word, write: boolean, bank?: I32): I32 {
    const { f, recorder } = this.#frame;
    if (recorder) recorder[write ? 'writes' : 'reads'] = true;
    const host = f.local('i32');
    const { miss, place } = this.#lookUp(at, 1, write ? 'writeTag' : 'readTag', bank);
    f.set(host, k32(0));
    f.if(i32.eqz(miss), () => f.set(host, place()));
    return host.get;
  }

  probe(at: Word, bytes: I32): void {
    const { f, callees, recorder } = this.#frame;
    if (recorder) recorder.writes = true;
    const marked = this.#stack ? i32.or(bytes, k32(STACK_ACCESS)) : bytes;
    const status = f.let(call(callees.probeSlow, this.#outside(f.let(at)), marked));
    f.if(status, () => this.#fault());
  }

  #fault(): void {
    this.#frame.leaveRarely(SITE.fault, this.#at);
  }

  /** The host address that a function finds, in `host`; leaves when it finds none. */
  #place(host: Var<'i32'>, callee: Callee<'i32'>, at: Word, marked: I32): I32 {
    const { f } = this.#frame;
    f.set(host, call(callee, at, marked));
    f.if(i32.eqz(host.get), () => this.#fault());
    return host.get;
  }

  #lookUp(at: Word, bytes: number, tag: Tag, bank?: I32): { miss: I32; place: () => I32 } {
    const { f, long } = this.#frame;
    const tlb = long ? WIDE : NARROW;
    const offset = i32.and(word.low(word.shrU(at, tlb.shift)), k32(tlb.mask));
    const entry = f.let(bank ? i32.add(offset, bank) : offset);
    const tlbAt = bank ? 0 : this.#frame.tlbAt;
    const page = word.and(word.add(at, bytes - 1), PAGE_MASK);
    const known = long ? i64.load(entry, tlbAt + tlb[tag]) : i32.load(entry, tlbAt + tlb[tag]);
    return { miss: word.ne(known, page), place: () => i32.add(word.low(at), i32.load(entry, tlbAt + tlb.addend)) };
  }

  /** The open group of an access, opened by it if this is its first. */
  #group(at: Word, bytes: number, write: boolean): GroupAccess | undefined {
    const { origin } = at;
    const frame = this.#frame;
    const { f } = frame;
    if (origin === undefined || f.depth !== this.#depth) return undefined;
    if (frame.recorder) {
      frame.memory.record(origin, bytes, write, this.#block);
      return undefined;
    }
    const inside = (g: Group): boolean =>
      g.symbol === origin.symbol && g.from <= origin.offset && origin.offset + bytes <= g.to && (g.write || !write);
    const open = frame.now.groups.find(inside);
    if (open) {
      const { host } = open;
      const access = (missed: () => void, hit: Use): void =>
        f.ifUnlikely(i32.eqz(host.get), missed, () => hit(host.get, distance(at, open)));
      return { access };
    }
    const group = frame.memory.find(origin, bytes, write);
    if (!group) return undefined;
    const host = frame.host();
    const start = f.let(word.add(at, group.from - origin.offset));
    const { miss, place } = this.#lookUp(start, group.to - group.from, group.write ? 'writeTag' : 'readTag');
    frame.now.groups.push({ ...group, host });
    // What has been found needs no question.
    const access = (missed: () => void, hit: Use): void =>
      f.ifUnlikely(
        miss,
        () => {
          f.set(host, k32(0));
          missed();
        },
        () => {
          f.set(host, place());
          hit(host.get, distance(at, group));
        },
      );
    return { access };
  }
}

/** An access of a group. */
interface GroupAccess {
  /** @param missed the range is not in one page of the TLB: the access goes its own way */
  access(missed: () => void, hit: Use): void;
}

const distance = (at: Val, group: Group): number => (at.origin?.offset ?? 0) - group.from;

export const loadHost = (bits: Width, at: I32, offset: number): Word => {
  if (bits === 64) return i64.load(at, offset);
  return bits === 32 ? i32.load(at, offset) : bits === 16 ? i32.load16U(at, offset) : i32.load8U(at, offset);
};

export function storeHost(f: FunctionBuilder, bits: Width, at: I32, offset: number, value: Word): void {
  const float = value.known?.float;
  if (float?.type === 'f64') f.storeF64(at, float as F64, offset);
  else if (float && bits === 32) f.storeF32(at, float as F32, offset);
  else if (bits === 64) f.store64(at, value as I64, offset);
  else if (bits === 32) f.store32(at, value as I32, offset);
  else if (bits === 16) f.store16(at, value as I32, offset);
  else f.store8(at, value as I32, offset);
}
