/**
 * Tier 1: turns hot code into regions, keeps them, and drops them when their code changes.
 *
 * A block's header record (HEADER in state/layout.ts) leads to the region: its slot in the table and the entry's number.
 * A region of several pages is only good while those pages are mapped as they were: its descriptor remembers for which
 * STATE.codeEpoch and base that was found true, and the region comes back with EXIT.validate when that is not now.
 */
import { unreachable } from '#base/errors.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { PAGE } from '#emu/memory/physical-memory.ts';
import type { Decoder } from '../decoder/decoder.ts';
import type { CodeCache } from '../interpreter/code-cache.ts';
import type { Mmu } from '../mmu/mmu.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { HEADER, LINEAR, MODE, STATE } from '../state/layout.ts';
import type { Callee } from '../wasm/function.ts';
import type { FunctionTable, WasmFunction } from '../wasm/host.ts';
import { buildRegions, type Job, kernelsOf } from './build-regions.ts';
import { Discovery } from './discover.ts';
import { EffectsTable } from './effects.ts';
import { DESCRIPTOR, epochOf, type Planned, planRegion } from './emit.ts';
import type { SiteKind } from './exit-sites.ts';
import type { RegionCallees } from './frame.ts';
import type { Region } from './instruction.ts';

export type TierMode = '0' | '1' | 'mixed';

/** Compiles a module and gives its exports; here, or on another thread and then later. */
export type Compile = (
  bytes: Uint8Array<ArrayBuffer>,
  kernels: ReadonlySet<string>,
  done: (exports: Record<string, WasmFunction>) => void,
) => void;

export interface Tier1Parts {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly physical: PhysicalMemory;
  readonly decoder: Decoder;
  readonly code: CodeCache;
  readonly table: FunctionTable;
  readonly kernels: Readonly<Record<string, Callee>>;
  readonly memoryPages: number;
  readonly compile: Compile;
  readonly mode: TierMode;
}

/** Entries of a block until it is hot. */
const THRESHOLD = 8000;
/** Entries below which a place near hot code is left to tier 0. */
const LEAST = 60;
const LIMITS = { instructions: 250, pages: 8 } as const;
/** Instructions that are generated and compiled at once, unless one region has more: what bounds a stall. */
const BATCH_INSTRUCTIONS = 150;
/** Instructions in all regions; beyond it the oldest go. */
const MOST_INSTRUCTIONS = 200_000;
/** How often a place may become a region again. */
const MOST_ATTEMPTS = 12;

const FLAT32 = MODE.code32 | MODE.stack32 | MODE.flat;
const NO_CALLEE = { index: 0, params: [], result: 'i32' } as const;
const PAGE_BYTES = 4096;

interface Live {
  readonly number: number;
  readonly region: Region;
  /** Page number and offset of each entry. */
  readonly entries: readonly { readonly page: number; readonly offset: number; readonly at: number }[];
  slot: number;
  dead: boolean;
  readonly planned: Planned;
}

export class Tier1 {
  readonly #parts: Tier1Parts;
  readonly #discovery: Discovery;
  readonly #effects: EffectsTable;
  readonly #words: Int32Array;
  /** By page * 4096 + offset: the region to enter there, and its entry's number. */
  readonly #entries = new Map<number, { readonly live: Live; readonly entry: number }>();
  readonly #attempts = new Map<number, number>();
  /** By region number. Numbers of dead regions are used again. */
  readonly #live = new Map<number, Live>();
  readonly #freeNumbers: number[] = [];
  /** By number, the region that had it last: one that is dropped while it runs still has to be left. */
  readonly #last: (Live | undefined)[] = [];
  readonly #queue: { job: Job; live: Live }[] = [];
  #instructions = 0;
  /** What has been done, for measurements and tests. */
  readonly counts = { regions: 0, instructions: 0, batches: 0, killed: 0, evicted: 0, validations: 0, bytes: 0 };
  /** Instructions of all regions that may be kept. */
  mostInstructions: number = MOST_INSTRUCTIONS;

  constructor(parts: Tier1Parts) {
    this.#parts = parts;
    this.#words =
      parts.state.i32.buffer instanceof SharedArrayBuffer ? new Int32Array(parts.state.i32.buffer) : parts.state.i32;
    const nothing = { ...NO_CALLEE } as Callee<'i32'>;
    const callees: RegionCallees = {
      readSlow: { ...nothing, params: ['i32', 'i32'] },
      writeSlow: { ...nothing, params: ['i32', 'i32'] },
      modifySlow: { ...nothing, params: ['i32', 'i32'] },
      commitWrite: { index: 0, params: [], result: 'void' },
      probeSlow: { ...nothing, params: ['i32', 'i32'] },
      readHost: { ...nothing, params: ['i32', 'i32'] },
      writeHost: { ...nothing, params: ['i32', 'i32'] },
      kernels: parts.kernels,
    };
    this.#effects = new EffectsTable(callees, parts.state.at);
    const { physical, code, mmu } = parts;
    this.#discovery = new Discovery({
      decoder: parts.decoder,
      effects: this.#effects,
      limits: LIMITS,
      source: {
        bytes: physical.bytes,
        page: (linear) => {
          if (mmu.breaksIn(linear)) return undefined;
          const at = mmu.translateCodeQuietly(linear);
          if (at < 0) return undefined;
          const entry = physical.entry(at);
          if (!(entry & PAGE.backed)) return undefined;
          return { page: Math.floor(at / PAGE_BYTES), host: (entry & ~0xfff) >>> 0 };
        },
        compiled: (page, offset) => this.#entries.get(page * PAGE_BYTES + offset)?.live.region.instructionCount ?? 0,
        least: this.#forced ? 0 : LEAST,
        entered: (page, offset) => {
          if (this.#forced) return 0;
          const header = code.headerOf(page, offset, FLAT32);
          if (header === 0) return 0;
          return Math.max(THRESHOLD - this.#words[(header + HEADER.heat) >> 2], 1);
        },
      },
    });
    for (let n = 1; n < parts.table.size; n++) this.#freeNumbers.push(n);
    code.regions = this;
    code.heat = parts.mode === '0' ? 0 : this.#forced ? 1 : THRESHOLD;
  }

  get #forced(): boolean {
    return this.#parts.mode === '1';
  }

  /** The block at STATE.eip has become hot. */
  hot(): void {
    const { state, mmu } = this.#parts;
    if ((state.get(STATE.mode) & (FLAT32 | MODE.step | MODE.long)) !== FLAT32 || this.#parts.code.stopping) return;
    const linear = state.get(STATE.eip);
    const physical = mmu.translateCodeQuietly(linear);
    if (physical < 0 || this.#entries.has(physical)) return;
    const attempts = (this.#attempts.get(physical) ?? 0) + 1;
    this.#attempts.set(physical, attempts);
    if (attempts > MOST_ATTEMPTS) return;
    const region = this.#discovery.find(linear, state.get(STATE.tlbBase), state.get(STATE.cpl) === 3);
    if (region === undefined) return;
    this.#queueRegion(region);
    if (this.#forced) this.flush();
  }

  /** Compiles a batch of what waits. Called before every slice. */
  flush(): void {
    if (this.#queue.length === 0) return;
    const batch: { job: Job; live: Live }[] = [];
    let instructions = 0;
    while (this.#queue.length > 0 && instructions < BATCH_INSTRUCTIONS) {
      const next = this.#queue.shift();
      if (next === undefined || next.live.dead) continue;
      batch.push(next);
      instructions += next.live.region.instructionCount;
    }
    if (batch.length === 0) return;
    const parts = this.#parts;
    const jobs = batch.map((q) => q.job);
    const bytes = buildRegions(jobs, parts.kernels, parts.state.at, parts.memoryPages);
    this.counts.batches++;
    this.counts.bytes += bytes.length;
    parts.compile(bytes, kernelsOf(jobs), (exports) => {
      for (const { live } of batch) this.#install(live, exports[String(live.number)]);
    });
  }

  /**
   * A region came back with EXIT.validate; STATE.eip is where it was to be entered, STATE.blockEip as well.
   * @returns false: it is not good here
   */
  validate(): boolean {
    const { state, mmu } = this.#parts;
    const live = this.#live.get(state.get(STATE.region));
    if (!live || live.region.tlbAt !== state.get(STATE.tlbBase)) return false;
    this.counts.validations++;
    const eip = state.get(STATE.eip);
    const physical = mmu.translateCodeQuietly(eip);
    const entry = this.#entries.get(physical);
    if (entry?.live !== live) return false;
    const base = (eip - live.entries[entry.entry].at) | 0;
    for (const { delta, page } of live.region.pages) {
      if (mmu.breaksIn(base + delta)) return false;
      if (Math.floor(mmu.translateCodeQuietly(base + delta) / PAGE_BYTES) !== page) {
        this.#kill(live);
        return false;
      }
    }
    const at = descriptorOf(live.number) >> 2;
    this.#words[at + DESCRIPTOR.epoch / 4] = state.get(epochOf(live.region));
    this.#words[at + DESCRIPTOR.base / 4] = base;
    return true;
  }

  /** After EXIT.site: brings the state in order. @returns why the region was left */
  finishSite(): SiteKind {
    const { state } = this.#parts;
    const sites = this.#last[state.get(STATE.region)]?.planned.sites;
    return sites?.finish(state) ?? unreachable('a region without exits');
  }

  // For the code cache.

  /** A block was decoded: does a region begin there? */
  blockDecoded(page: number, offset: number, mode: number, header: number): void {
    if (mode !== FLAT32) return;
    const entry = this.#entries.get(page * PAGE_BYTES + offset);
    if (entry && entry.live.slot > 0) this.#attach(header, entry.live, entry.entry);
  }

  /** Bytes that region `number` was made from have changed. @returns true when it is the one that runs */
  codeChanged(number: number): boolean {
    const live = this.#live.get(number);
    if (!live) return false;
    this.#kill(live);
    return this.#parts.state.get(STATE.region) === number;
  }

  /** All blocks are gone. */
  cleared(): void {
    for (const live of [...this.#live.values()]) this.#kill(live);
    this.#attempts.clear();
  }

  // Inside.

  #queueRegion(region: Region): void {
    const number = this.#freeNumbers.shift();
    if (number === undefined) {
      this.#evict();
      return;
    }
    const planned = planRegion(region, (i) => this.#effects.of(i));
    const entries = planned.structure.entries.map((n) => {
      const { at } = region.blocks[n];
      const page = region.pages.find((p) => p.delta <= at && at < p.delta + PAGE_BYTES);
      return { page: page?.page ?? -1, offset: at - (page?.delta ?? 0), at };
    });
    const live: Live = { number, region, entries, slot: 0, dead: false, planned };
    this.#last[number] = live;
    this.#live.set(number, live);
    this.#instructions += region.instructionCount;
    for (const { page, ranges } of region.pages) this.#parts.code.watch(page, ranges, number);
    const words = descriptorOf(number) >> 2;
    this.#words[words] = -1;
    const descriptor = region.pages.length > 1 ? descriptorOf(number) : undefined;
    this.#queue.push({ job: { number, planned, descriptor }, live });
    this.counts.regions++;
    this.counts.instructions += region.instructionCount;
    if (this.#instructions > this.mostInstructions) this.#evict();
  }

  #install(live: Live, f: WasmFunction): void {
    if (live.dead) return;
    live.slot = live.number;
    this.#parts.table.set(live.slot, f);
    live.entries.forEach(({ page, offset }, entry) => {
      if (page < 0) return;
      this.#entries.set(page * PAGE_BYTES + offset, { live, entry });
      const header = this.#parts.code.headerOf(page, offset, FLAT32);
      if (header !== 0) this.#attach(header, live, entry);
    });
  }

  #attach(header: number, live: Live, entry: number): void {
    this.#words[(header + HEADER.region) >> 2] = (live.slot << 16) | entry;
    this.#words[(header + HEADER.regionOffset) >> 2] = live.entries[entry].at;
  }

  /** The region is not entered any more. If it runs, it still runs to its end. */
  #kill(live: Live): void {
    if (live.dead) return;
    live.dead = true;
    this.counts.killed++;
    this.#live.delete(live.number);
    this.#instructions -= live.region.instructionCount;
    for (const { page } of live.region.pages) this.#parts.code.unwatch(page, live.number);
    live.entries.forEach(({ page, offset }) => {
      const key = page * PAGE_BYTES + offset;
      if (this.#entries.get(key)?.live !== live) return;
      this.#entries.delete(key);
      const header = this.#parts.code.headerOf(page, offset, FLAT32);
      if (header === 0) return;
      this.#words[(header + HEADER.region) >> 2] = 0;
      this.#words[(header + HEADER.heat) >> 2] = this.#parts.code.heat;
    });
    if (live.slot > 0) this.#parts.table.set(live.slot, null);
    this.#freeNumbers.push(live.number);
  }

  /** Drops the oldest quarter. */
  #evict(): void {
    const wanted = this.mostInstructions * 0.75;
    for (const live of [...this.#live.values()]) {
      if (this.#instructions <= wanted) break;
      if (live.slot === 0) continue;
      this.#kill(live);
      this.counts.evicted++;
    }
  }
}

const descriptorOf = (number: number): number => LINEAR.regionDescriptors + number * DESCRIPTOR.bytes;
