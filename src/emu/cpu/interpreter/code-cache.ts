/**
 * Decoded blocks: found by physical address and mode, dropped when their bytes change.
 *
 * A block lies in one page, except one that is a single instruction reaching into the next. Pages that hold blocks are
 * marked `code`, so that stores to them come here first (`beforeStore`); a bitmap a page tells stores to code from stores
 * to data beside it. A dropped block stays in the arena with its first record made STALE, so that nothing that still
 * points to it runs old code; when the same place is decoded again its header is told where to go.
 */
import { unreachable } from '#base/errors.ts';
import { PAGE, type PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { DECODE, type Decoded } from '../decoder/decoded.ts';
import { type Decoder, newDecoded } from '../decoder/decoder.ts';
import { EXCEPTION } from '../isa/ops.ts';
import type { Mmu } from '../mmu/mmu.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { HEADER, LINEAR, MODE, RECORD, STATE } from '../state/layout.ts';
import type { CodeWatch } from '../system/calls.ts';
import { MICRO } from './cases.ts';
import type { RecordWriter } from './record-writer.ts';

const PAGE_BYTES = 4096;
const MAX_INSTRUCTIONS = 48;
/** Bytes the records of one block can take, checks included. */
const BLOCK_RESERVE = (MAX_INSTRUCTIONS * 4 + 4) * RECORD.bytes;
const MAX_LENGTH = 15;
/** At the arena's start: the block that is decoded anew each time. */
const ALONE_BYTES = 8 * RECORD.bytes;
/** What of STATE.mode tells blocks apart, as the low bits of their keys. */
const modeKey = (mode: number): number =>
  mode & MODE.long ? KEY_LONG : mode & (MODE.code32 | MODE.stack32 | MODE.flat);
export const KEY_LONG = 8;
const KEY_BITS = 4;
/** Keys of a page: offset and mode. */
const KEYS = 4096 << KEY_BITS;
/** Blocks that are found without the maps. */
const RECENT = 1 << 14;
const codeSizeOf = (mode: number): 16 | 32 | 64 => (mode & MODE.long ? 64 : mode & MODE.code32 ? 32 : 16);

interface Block {
  readonly header: number;
  readonly key: number;
  /** Offsets of its bytes in the page; `to` is exclusive and may pass the page's end by a crossing instruction. */
  readonly from: number;
  readonly to: number;
  /** Guest-physical page number the second part of a crossing instruction is on, or -1. */
  readonly nextPage: number;
}

/** Tier 1, as far as the code cache knows it: regions are made from ranges of pages. */
export interface RegionWatch {
  /** A block was decoded. @param mode the bits of STATE.mode that count */
  blockDecoded(page: number, offset: number, mode: number, header: number): void;
  /** Bytes of a region changed: it must not be entered any more. @returns true when it is the one that runs */
  codeChanged(region: number): boolean;
  /** All regions have to go. */
  cleared(): void;
}

interface ByteRange {
  readonly from: number;
  readonly to: number;
}

interface CodePage {
  /** By (offset << 4 | mode). */
  readonly blocks: Map<number, Block>;
  /** Headers of dropped blocks by key, to be told of their successors. */
  readonly stale: Map<number, number>;
  /** One bit a byte that was decoded. */
  readonly bytes: Uint8Array;
  /** Blocks of the page before whose crossing instruction ends here, by their key there. */
  readonly incoming: Set<number>;
  /** Ranges of the page that regions were made from, by region number. */
  readonly regions: Map<number, readonly ByteRange[]>;
}

export class CodeCache implements CodeWatch {
  readonly #physical: PhysicalMemory;
  readonly #state: CpuState;
  readonly #mmu: Mmu;
  readonly #decoder: Decoder;
  readonly #writer: RecordWriter;
  #longWriter: RecordWriter | undefined;
  readonly #words: Int32Array;
  readonly #halves: Uint16Array;
  readonly #pages = new Map<number, CodePage>();
  readonly #decoded: Decoded = newDecoded();
  readonly #fetched = new Uint8Array(2 * MAX_LENGTH + 2);
  readonly #end: number = LINEAR.records + LINEAR.recordBytes;
  #next: number = LINEAR.records + ALONE_BYTES;
  /** What `find` found last, in front of the maps: page, key, header, 0. Blocks of two pages are not among it. */
  readonly #recent: Int32Array = new Int32Array(RECENT * 4).fill(-1);
  /** By offset in a page: 1 where code is only run alone, and no block goes on; undefined: nowhere. */
  #stops: Uint8Array | undefined;
  regions: RegionWatch | undefined;
  /** What HEADER.heat of new blocks begins with. */
  heat = 0;

  constructor(parts: {
    physical: PhysicalMemory;
    state: CpuState;
    mmu: Mmu;
    decoder: Decoder;
    writer: RecordWriter;
  }) {
    this.#physical = parts.physical;
    this.#state = parts.state;
    this.#mmu = parts.mmu;
    this.#decoder = parts.decoder;
    this.#writer = parts.writer;
    const { buffer } = parts.physical.bytes;
    this.#words = new Int32Array(buffer);
    this.#halves = new Uint16Array(buffer);
    parts.mmu.codeWatch = this;
    parts.physical.onCodeWrite = (at, byteCount) => {
      if (this.#invalidate(at, byteCount)) parts.mmu.codeTouched = true;
    };
  }

  /** Records of 64-bit code; set before any is looked for. */
  set longWriter(writer: RecordWriter) {
    this.#longWriter = writer;
  }

  #writerOf(mode: number): RecordWriter {
    if (!(mode & MODE.long)) return this.#writer;
    return this.#longWriter ?? unreachable('64-bit code before its interpreter');
  }

  /**
   * Header of the block at `linear` = CS base + `eip`, decoded if need be. 0: a fault was set. -1: the code is not in
   * RAM or ROM; it can only be run alone.
   */
  find(linear: number): number {
    const physical = this.#mmu.translateCode(linear);
    if (physical < 0) return 0;
    const entry = this.#physical.entry(physical);
    if (!(entry & PAGE.backed)) return -1;
    const page = Math.floor(physical / PAGE_BYTES);
    const offset = physical % PAGE_BYTES;
    if (this.#stops !== undefined && this.#stops[offset] !== 0) return -1;
    const key = (offset << KEY_BITS) | modeKey(this.#state.get(STATE.mode));
    const recent = recentSlot(page, key);
    if (this.#recent[recent] === page && this.#recent[recent + 1] === key) return this.#recent[recent + 2];
    const block = this.#pages.get(page)?.blocks.get(key);
    if (block === undefined) return this.#decode(linear, page, offset, key);
    if (block.nextPage < 0) {
      this.#recent[recent] = page;
      this.#recent[recent + 1] = key;
      this.#recent[recent + 2] = block.header;
    } else {
      const next = this.#mmu.translateCode(linear - offset + PAGE_BYTES);
      if (next < 0) return 0;
      if (Math.floor(next / PAGE_BYTES) !== block.nextPage) {
        this.#drop(page, this.#pages.get(page) as CodePage, block);
        return this.#decode(linear, page, offset, key);
      }
    }
    return block.header;
  }

  /** Header of the block at an offset of a guest-physical page, if it has been decoded for `mode`; else 0. */
  headerOf(page: number, offset: number, mode: number): number {
    return this.#pages.get(page)?.blocks.get((offset << KEY_BITS) | modeKey(mode))?.header ?? 0;
  }

  /** Was the block dropped? */
  isStale(header: number): boolean {
    return this.#halves[(header + RECORD.bytes) >> 1] === MICRO.stale;
  }

  /** Stores to these bytes change region `region`. */
  watch(number: number, ranges: readonly ByteRange[], region: number): void {
    const page = this.#page(number);
    page.regions.set(region, ranges);
    for (const { from, to } of ranges) mark(page.bytes, from, to);
  }
  /** Regions that have code on a page. */
  regionsOn(number: number): number[] {
    return [...(this.#pages.get(number)?.regions.keys() ?? [])];
  }
  unwatch(number: number, region: number): void {
    this.#pages.get(number)?.regions.delete(region);
  }

  /**
   * Chains a direct branch to a block when that holds wherever the page is mapped: both in one page.
   * @param record the branch, of the block whose header is `from`; `eip`: where it goes
   */
  link(record: number, from: number, to: number, eip: number): void {
    const words = this.#words;
    if (words[(to + RECORD.mask) >> 2] !== 0) return;
    const offset = words[(from + RECORD.disp) >> 2] + words[(record + RECORD.imm) >> 2];
    if (offset !== words[(to + RECORD.disp) >> 2]) return;
    // 16-bit code that wraps around at 64 KB stays in no page.
    if (codeSizeOf(this.#state.get(STATE.mode)) === 16 && (eip < PAGE_BYTES || eip > 0xffff - PAGE_BYTES)) return;
    words[(record + RECORD.imm2) >> 2] = to;
  }

  /**
   * Decodes the one instruction at `linear` into the place for code that runs once. Returns its header, 0 = fault was set.
   */
  decodeAlone(linear: number): number {
    const available = this.#fetch(linear);
    const d = this.#decoded;
    const mode = this.#state.get(STATE.mode);
    const result = this.#decoder.decode(this.#fetched, 0, available, codeSizeOf(mode), d);
    if (result === DECODE.needMore) {
      // The bytes end where the next page cannot be fetched: that is the fault.
      return this.#mmu.translateCode(linear + available) < 0 ? 0 : this.#raiseAlone(EXCEPTION.gp, 1);
    }
    if (result === DECODE.undefined) return this.#raiseAlone(EXCEPTION.ud, 0);
    if (result === DECODE.tooLong) return this.#raiseAlone(EXCEPTION.gp, 1);
    const writer = this.#writerOf(mode);
    writer.at = LINEAR.records;
    const header = writer.header();
    writer.instruction(d, 0, mode, true);
    writer.micro(MICRO.stop, d.length, 0, d.length);
    writer.setCount(header, 1);
    return header;
  }

  /**
   * Says where every execution must be asked for: see `ExecutionObserver.stops`. Never while a block runs.
   * @param stops 4096 bytes, copied
   */
  stopAt(stops: Uint8Array | undefined): void {
    const wanted = stops?.some((one) => one !== 0) ? stops : undefined;
    if (wanted === undefined ? this.#stops === undefined : this.#stops?.every((one, i) => one === wanted[i])) return;
    this.#stops = wanted?.slice();
    this.clear();
  }

  /** Are there places where code is only run alone? */
  get stopping(): boolean {
    return this.#stops !== undefined;
  }

  /** Forgets everything. Never while a block runs. */
  clear(): void {
    this.regions?.cleared();
    this.#clearBlocks();
  }

  /** Forgets blocks; regions, which are made from the guest's bytes and not from records, stay. */
  #clearBlocks(): void {
    for (const [number, page] of this.#pages) {
      page.blocks.clear();
      page.stale.clear();
      page.incoming.clear();
      if (page.regions.size === 0) {
        this.#physical.unmarkCode(number * PAGE_BYTES);
        this.#pages.delete(number);
        continue;
      }
      page.bytes.fill(0);
      for (const ranges of page.regions.values()) for (const r of ranges) mark(page.bytes, r.from, r.to);
    }
    this.#recent.fill(-1);
    this.#next = LINEAR.records + ALONE_BYTES;
    this.#state.set(STATE.linkFrom, 0);
    this.#mmu.flush(false);
  }

  beforeStore(physical: number, byteCount: number): 'go' | 'restart' {
    return this.#invalidate(physical, byteCount) && this.#state.get(STATE.selfModifyOk) === 0 ? 'restart' : 'go';
  }

  /** Instructions of the running block up to and including the record, for exact counts. */
  countThrough(header: number, record: number): number {
    let count = 0;
    let last = -1;
    for (let at = header + RECORD.bytes; at <= record; at += RECORD.bytes) {
      const offset = this.#halves[(at + RECORD.offset) >> 1];
      if (offset !== last) count++;
      last = offset;
    }
    return count;
  }

  #raiseAlone(vector: number, withErrorCode: number): number {
    const writer = this.#writer;
    writer.at = LINEAR.records;
    const header = writer.header();
    writer.micro(MICRO.raise, 0, 0, vector, withErrorCode);
    writer.setCount(header, 1);
    return header;
  }

  /** Copies the code bytes at `linear` to #fetched, up to 15 or as far as translation goes; returns how many. */
  #fetch(linear: number): number {
    let count = 0;
    while (count < MAX_LENGTH) {
      const at = this.#state.long ? linear + count : (linear + count) | 0;
      let physical: number;
      if (count === 0) physical = this.#mmu.translateCode(at);
      else physical = this.#mmu.translateCodeQuietly(at);
      if (physical < 0) return count;
      const here = Math.min(MAX_LENGTH - count, PAGE_BYTES - (physical % PAGE_BYTES));
      for (let i = 0; i < here; i++) this.#fetched[count + i] = this.#physical.readSized(physical + i, 1);
      count += here;
    }
    return count;
  }

  #decode(linear: number, page: number, offset: number, key: number): number {
    if (this.#next + BLOCK_RESERVE > this.#end) this.#clearBlocks();
    const bytes = this.#physical.bytes;
    const host = (this.#physical.entry(page * PAGE_BYTES) & ~0xfff) >>> 0;
    const end = host + PAGE_BYTES;
    const mode = this.#state.get(STATE.mode);
    const codeSize = codeSizeOf(mode);
    const writer = this.#writerOf(mode);
    const d = this.#decoded;
    writer.at = this.#next;
    const header = writer.header();
    let at = host + offset;
    let count = 0;
    let nextPage = -1;
    let open = true;
    let left = MAX_INSTRUCTIONS;
    const branches = this.#branches;
    branches.length = 0;
    while (open) {
      if (count > 0 && this.#stops !== undefined && this.#stops[at - host] !== 0) break;
      const result = this.#decoder.decode(bytes, at, end, codeSize, d);
      const from = at - host - offset;
      if (result === DECODE.needMore) {
        if (count > 0) break;
        // The first instruction reaches into the next page.
        const available = this.#fetch(linear);
        const whole = this.#decoder.decode(this.#fetched, 0, available, codeSize, d);
        if (whole === DECODE.needMore) return this.#mmu.translateCode(linear + available) < 0 ? 0 : -1;
        const next = this.#mmu.translateCodeQuietly(linear - offset + PAGE_BYTES);
        if (next < 0) return -1;
        nextPage = Math.floor(next / PAGE_BYTES);
        if (whole !== DECODE.ok) {
          writer.micro(
            MICRO.raise,
            0,
            0,
            whole === DECODE.undefined ? EXCEPTION.ud : EXCEPTION.gp,
            whole === DECODE.undefined ? 0 : 1,
          );
          d.length = Math.min(available, MAX_LENGTH);
        } else {
          writer.instruction(d, 0, mode, false);
        }
        at += d.length;
        count = 1;
        break;
      }
      if (result !== DECODE.ok) {
        writer.micro(
          MICRO.raise,
          from,
          0,
          result === DECODE.undefined ? EXCEPTION.ud : EXCEPTION.gp,
          result === DECODE.undefined ? 0 : 1,
        );
        at = Math.min(at + MAX_LENGTH, end);
        count++;
        break;
      }
      writer.instruction(d, from, mode, false);
      at += d.length;
      count++;
      left--;
      const options = d.row?.options;
      if (options?.ends) {
        // A conditional branch that is not taken goes on in this block.
        if (d.row !== undefined && isConditional(d.row.operands, d.row.mnemonic))
          branches.push(writer.at - RECORD.bytes, count);
        else open = false;
      }
      if (options?.shadow) left = Math.min(left, 1);
      if (left <= 0) break;
      if (at >= end) break;
    }
    // Also after what ends a block: a system call may say that the next instruction follows.
    writer.micro(MICRO.end, at - host - offset, 0, at - host - offset, 0, codeSize === 16 ? 0xffff : -1);
    for (let i = 0; i < branches.length; i += 2) writer.setRemaining(branches[i], count - branches[i + 1]);
    writer.setCount(header, count);
    // In the header `mask` tells that the block may not be chained to.
    this.#words[(header + RECORD.mask) >> 2] = nextPage >= 0 ? 1 : 0;
    this.#words[(header + RECORD.imm2) >> 2] = 0;
    this.#words[(header + RECORD.disp) >> 2] = offset;
    this.#words[(header + HEADER.region) >> 2] = 0;
    this.#words[(header + HEADER.heat) >> 2] = this.heat;
    this.#next = writer.at;
    this.#add(page, { header, key, from: offset, to: at - host, nextPage });
    this.regions?.blockDecoded(page, offset, modeKey(mode), header);
    return header;
  }
  readonly #branches: number[] = [];

  #add(pageNumber: number, block: Block): void {
    const page = this.#page(pageNumber);
    page.blocks.set(block.key, block);
    const before = page.stale.get(block.key);
    if (before !== undefined) {
      this.#words[(before + RECORD.imm2) >> 2] = block.header;
      page.stale.delete(block.key);
    }
    mark(page.bytes, block.from, Math.min(block.to, PAGE_BYTES));
    if (block.nextPage >= 0) {
      const next = this.#page(block.nextPage);
      mark(next.bytes, 0, block.to - PAGE_BYTES);
      next.incoming.add(pageNumber * KEYS + block.key);
    }
  }

  #page(number: number): CodePage {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = {
        blocks: new Map(),
        stale: new Map(),
        bytes: new Uint8Array(PAGE_BYTES / 8),
        incoming: new Set(),
        regions: new Map(),
      };
      this.#pages.set(number, page);
    }
    if (isEmpty(page)) {
      this.#physical.markCode(number * PAGE_BYTES);
      this.#mmu.protectCode(number * PAGE_BYTES);
    }
    return page;
  }

  /** Drops what overlaps the bytes. @returns true when the running block is among it */
  #invalidate(physical: number, byteCount: number): boolean {
    let running = false;
    const last = physical + byteCount - 1;
    for (let number = Math.floor(physical / PAGE_BYTES); number * PAGE_BYTES <= last; number++) {
      const page = this.#pages.get(number);
      if (page === undefined) continue;
      const from = Math.max(physical - number * PAGE_BYTES, 0);
      const to = Math.min(last + 1 - number * PAGE_BYTES, PAGE_BYTES);
      if (anyMarked(page.bytes, from, to)) running = this.#dropRange(number, page, from, to) || running;
    }
    return running;
  }

  #dropRange(number: number, page: CodePage, from: number, to: number): boolean {
    let running = false;
    for (const block of page.blocks.values()) {
      if (block.from < to && from < block.to) running = this.#drop(number, page, block) || running;
    }
    for (const id of page.incoming) {
      const before = this.#pages.get(Math.floor(id / KEYS));
      const block = before?.blocks.get(id % KEYS);
      if (before && block && block.nextPage === number && from < block.to - PAGE_BYTES) {
        running = this.#drop(Math.floor(id / KEYS), before, block) || running;
      } else if (!block) page.incoming.delete(id);
    }
    for (const [region, ranges] of page.regions) {
      if (!ranges.some((r) => r.from < to && from < r.to)) continue;
      running = (this.regions?.codeChanged(region) ?? false) || running;
      page.regions.delete(region);
    }
    page.bytes.fill(0);
    for (const ranges of page.regions.values()) for (const r of ranges) mark(page.bytes, r.from, r.to);
    for (const block of page.blocks.values()) mark(page.bytes, block.from, Math.min(block.to, PAGE_BYTES));
    for (const id of page.incoming) {
      const block = this.#pages.get(Math.floor(id / KEYS))?.blocks.get(id % KEYS);
      if (block && block.nextPage === number) mark(page.bytes, 0, block.to - PAGE_BYTES);
    }
    // An empty page stays known for its `stale` headers.
    if (isEmpty(page)) this.#physical.unmarkCode(number * PAGE_BYTES);
    return running;
  }

  /** Makes a block unusable. @returns true when it is the running one */
  #drop(number: number, page: CodePage, block: Block): boolean {
    page.blocks.delete(block.key);
    const recent = recentSlot(number, block.key);
    if (this.#recent[recent + 2] === block.header) this.#recent[recent] = -1;
    page.stale.set(block.key, block.header);
    const first = (block.header + RECORD.bytes) >> 1;
    this.#halves[first] = MICRO.stale;
    this.#words[(block.header + HEADER.region) >> 2] = 0;
    this.#pages.get(block.nextPage)?.incoming.delete(number * KEYS + block.key);
    return this.#state.get(STATE.block) === block.header;
  }
}

const recentSlot = (page: number, key: number): number =>
  (((key >>> KEY_BITS) + Math.imul(page, 0x9e51)) & (RECENT - 1)) << 2;

const isEmpty = (page: CodePage): boolean =>
  page.blocks.size === 0 && page.incoming.size === 0 && page.regions.size === 0;

const isConditional = (operands: string, mnemonic: string): boolean =>
  operands.startsWith('J') && mnemonic !== 'jmp' && mnemonic !== 'call';

function mark(bits: Uint8Array, from: number, to: number): void {
  for (let i = from; i < to; i++) bits[i >> 3] |= 1 << (i & 7);
}
function anyMarked(bits: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bits[i >> 3] & (1 << (i & 7))) return true;
  return false;
}
