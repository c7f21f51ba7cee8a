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
import { type CodeCache, KEY_LONG } from '../interpreter/code-cache.ts';
import type { Mmu } from '../mmu/mmu.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { FLAT32, HEADER, LINEAR, MODE, STATE } from '../state/layout.ts';
import type { Callee } from '../wasm/function.ts';
import type { FunctionTable, WasmFunction } from '../wasm/host.ts';
import { tracedTargets } from './branch-trace.ts';
import { Discovery } from './discover.ts';
import { EffectsTable } from './effects.ts';
import { DESCRIPTOR, epochOf } from './emit.ts';
import { finishSite, type SiteKind } from './exit-sites.ts';
import { Hotness, THRESHOLD } from './hotness.ts';
import type { Region, RegionPage } from './instruction.ts';
import {
  type BuiltModule,
  type BuiltRegion,
  packRegion,
  type RegionCompilerPort,
  type RegionOrder,
} from './region-order.ts';

/** Tier 0 alone; tier 1 from the first execution; tier 1 for what is hot, or, to test that, for what has run a few times. */
export type TierMode = '0' | '1' | 'mixed' | 'eager';

export interface Tier1Parts {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly physical: PhysicalMemory;
  readonly decoder: Decoder;
  readonly code: CodeCache;
  readonly table: FunctionTable;
  readonly kernels: Readonly<Record<string, Callee>>;
  readonly memoryPages: number;
  readonly compiler: RegionCompilerPort;
  /** The functions of a module, linked with this CPU's. */
  readonly link: (module: BuiltModule) => Record<string, WasmFunction>;
  readonly mode: TierMode;
  /** Monotonic; left out: stalls are not measured. */
  readonly nowMs?: (() => number) | undefined;
}

const EAGER_THRESHOLD = 6;
/** Entries until a place is looked at again that may be in a region soon. */
const AGAIN = 1000;
/** Entries until a place is worth a region of its own that is in one already, though not as an entry. */
const COVERED_THRESHOLD = 30_000;
/** Entries below which a place near hot code is left to tier 0. */
const LEAST = 100;
const LIMITS = { instructions: 800, pages: 16 } as const;
/** Instructions that are ordered at once, unless one region has more. */
const BATCH_INSTRUCTIONS = 600;
/** Batches that may be on their way: one is compiled, one waits. */
const MOST_BATCHES = 2;
/** Instructions in all regions; beyond it the oldest go. */
const MOST_INSTRUCTIONS = 200_000;
/** Entries with other rights than those a region was compiled for, until it is dropped. */
const MOST_STRANGERS = 16;
/** How often a place may become a region again. */
const MOST_ATTEMPTS = 12;
/** How often it may fail to. */
const MOST_FAILURES = 3;

const PAGE_BYTES = 4096;
const TWO_32 = 2 ** 32;

/** Upper bounds of the classes of stalls, in milliseconds; the last class has none. */
export const STALL_MS = [0.1, 0.3, 1, 3, 10, 30, 100] as const;

export interface TierCounts {
  regions: number;
  instructions: number;
  batches: number;
  killed: number;
  evicted: number;
  validations: number;
  bytes: number;
  failed: number;
  /** How often the CPU stood still for tier 1, by class of STALL_MS. */
  readonly stalls: number[];
  longestStallMs: number;
}

interface Live {
  readonly number: number;
  readonly ticket: number;
  readonly pages: readonly RegionPage[];
  readonly instructionCount: number;
  /** As of `Region`. */
  readonly tlbAt: number;
  readonly user: boolean;
  readonly long: boolean;
  /** Until it has been compiled the seed alone. */
  entries: readonly Entry[];
  sites: Int32Array;
  slot: number;
  dead: boolean;
  /** How often it was entered with other rights than it was compiled for. */
  strangers: number;
  replaces: Live | undefined;
}

interface Entry {
  /** Guest-physical page number, and the offset in it. */
  readonly page: number;
  readonly offset: number;
  /** Offset from the region's base. */
  readonly at: number;
}

const NO_SITES = new Int32Array(0);

export class Tier1 {
  readonly #parts: Tier1Parts;
  readonly #narrow: Discovery;
  readonly #wide: Discovery;
  readonly #words: Int32Array;
  /** By `keyOf`: the region to enter there, and its entry's number. */
  readonly #entries = new Map<number, { readonly live: Live; readonly entry: number }>();
  readonly #attempts = new Map<number, number>();
  /** Places that were hot, but covered by a region. */
  readonly #deferred = new Set<number>();
  /** By region number. Numbers of dead regions are used again. */
  readonly #live = new Map<number, Live>();
  readonly #freeNumbers: number[] = [];
  /** By number, the region that had it last: one that is dropped while it runs still has to be left. */
  readonly #last: (Live | undefined)[] = [];
  readonly #queue: { order: RegionOrder; live: Live }[] = [];
  /** By ticket: regions that are being compiled. */
  readonly #ordered = new Map<number, Live>();
  readonly #hotness: Hotness;
  #ticket = 0;
  #batches = 0;
  #instructions = 0;
  /** What has been done, for measurements and tests. `stalls`: see STALL_MS. */
  readonly counts: TierCounts = {
    stalls: STALL_MS.map(() => 0).concat(0),
    longestStallMs: 0,
    regions: 0,
    instructions: 0,
    batches: 0,
    killed: 0,
    evicted: 0,
    validations: 0,
    bytes: 0,
    failed: 0,
  };
  /** Instructions of all regions that may be kept. */
  mostInstructions: number = MOST_INSTRUCTIONS;

  constructor(parts: Tier1Parts) {
    this.#parts = parts;
    this.#words =
      parts.state.i32.buffer instanceof SharedArrayBuffer ? new Int32Array(parts.state.i32.buffer) : parts.state.i32;
    this.#hotness = new Hotness(this.#words);
    this.#narrow = this.#newDiscovery(false);
    this.#wide = this.#newDiscovery(true);
    for (let n = 1; n < parts.table.size; n++) this.#freeNumbers.push(n);
    const { code } = parts;
    code.regions = this;
    const { kernels, memoryPages, decoder } = parts;
    parts.compiler.setUp({ stateAt: parts.state.at, memoryPages, kernels, hidden: decoder.hidden });
    code.heat = parts.mode === '0' ? 0 : this.#forced ? 1 : this.#threshold;
  }

  #newDiscovery(long: boolean): Discovery {
    const { decoder, kernels, state, physical, code, mmu } = this.#parts;
    const mode = modeOf(long);
    return new Discovery({
      decoder,
      effects: new EffectsTable(long, kernels, state.at),
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
        compiled: (page, offset) => this.#entries.get(keyOf(page, offset, long))?.live.instructionCount ?? 0,
        targets: (linear) => tracedTargets(this.#words, long ? linear : linear >>> 0),
        least: this.#parts.mode === 'mixed' ? LEAST : 0,
        entered: (page, offset) => {
          if (this.#forced) return 0;
          const header = code.headerOf(page, offset, mode);
          if (header === 0) return 0;
          const heat = this.#words[(header + HEADER.heat) >> 2];
          // Put off, because it was hot.
          if (heat > this.#threshold) return this.#threshold;
          return Math.max(this.#threshold - heat, 1);
        },
      },
    });
  }

  /** Instructions of the regions that there are. */
  get instructionsKept(): number {
    return this.#instructions;
  }

  get #threshold(): number {
    return this.#parts.mode === 'eager' ? EAGER_THRESHOLD : THRESHOLD;
  }

  get #forced(): boolean {
    return this.#parts.mode === '1';
  }

  /** The block at STATE.eip has become hot. */
  hot(): void {
    const began = this.#parts.nowMs?.() ?? 0;
    this.#hot();
    this.#stalledSince(began);
  }

  #hot(): void {
    const { state, mmu, compiler, code } = this.#parts;
    if (compiler.closed) {
      // Counting entries is in vain.
      code.heat = 0;
      this.#words[(state.get(STATE.block) + HEADER.heat) >> 2] = 0;
      return;
    }
    const { long } = state;
    const mode = state.get(STATE.mode);
    if (mode & MODE.step || (!long && (mode & FLAT32) !== FLAT32) || this.#parts.code.stopping) return;
    const linear = this.#eip();
    const physical = mmu.translateCodeQuietly(linear);
    if (physical < 0 || this.#entries.has(physical * 2 + Number(long))) return;
    if (this.#isUnderway(physical)) {
      this.#words[(state.get(STATE.block) + HEADER.heat) >> 2] = AGAIN;
      return;
    }
    if (this.#parts.mode === 'mixed' && !this.#deferred.has(physical) && this.#isCovered(physical)) {
      this.#deferred.add(physical);
      this.#words[(state.get(STATE.block) + HEADER.heat) >> 2] = COVERED_THRESHOLD;
      return;
    }
    const place = physical * 2 + Number(long);
    if (this.#parts.mode === 'mixed' && this.#hotness.waits(state.get(STATE.block), place)) return;
    const attempts = (this.#attempts.get(physical) ?? 0) + 1;
    this.#attempts.set(physical, attempts);
    if (attempts > MOST_ATTEMPTS) return;
    const region = this.#discovery(long).find(linear, state.get(STATE.tlbBase), state.get(STATE.cpl) === 3);
    if (region === undefined) return;
    const grown = this.#parts.mode === 'mixed' ? this.#grown(region, linear, physical) : undefined;
    if (grown) {
      this.#deferred.add(physical);
      this.#words[(state.get(STATE.block) + HEADER.heat) >> 2] = COVERED_THRESHOLD;
      this.#queueRegion(grown.region, grown.linear, grown.of);
    } else this.#queueRegion(region, linear);
    if (this.#forced) this.exchange();
  }

  /** @param instructions that the guest has executed since */
  ran(instructions: number): void {
    this.#hotness.ran(instructions);
  }

  #discovery(long: boolean): Discovery {
    return long ? this.#wide : this.#narrow;
  }

  /**
   * The region that was left for a hot place, found again from its own seed, when each can be reached from the other: one
   * region takes the place of it instead of another of the same loop.
   * @param found the place's own
   */
  #grown(
    found: Region,
    linear: number,
    physical: number,
  ): { readonly region: Region; readonly linear: number; readonly of: Live } | undefined {
    const of = this.#live.get(this.#parts.state.get(STATE.region));
    if (!of || of.slot === 0 || of.long !== found.long || of.tlbAt !== found.tlbAt) return undefined;
    const { page, offset } = of.entries[0];
    const seed = page * PAGE_BYTES + offset;
    const reached = found.pages.find((p) => p.page === page);
    if (!reached || !covers(found.pages, seed)) return undefined;
    const attempts = (this.#attempts.get(seed) ?? 0) + 1;
    if (attempts > MOST_ATTEMPTS) return undefined;
    const from = linear + reached.delta + offset;
    const at = of.long ? from : from | 0;
    const region = this.#discovery(of.long).find(at, of.tlbAt, of.user);
    if (region === undefined || !covers(region.pages, physical)) return undefined;
    this.#attempts.set(seed, attempts);
    return { region, linear: at, of };
  }

  #eip(): number {
    const { state } = this.#parts;
    return state.long ? state.address(STATE.eip) : state.get(STATE.eip);
  }

  /** Is it in a region that is being compiled? */
  #isUnderway(physical: number): boolean {
    const isIn = (live: Live): boolean => !live.dead && covers(live.pages, physical);
    for (const live of this.#ordered.values()) if (isIn(live)) return true;
    return this.#queue.some(({ live }) => isIn(live));
  }

  #isCovered(physical: number): boolean {
    const { state } = this.#parts;
    return this.#parts.code.regionsOn(Math.floor(physical / PAGE_BYTES)).some((number) => {
      const live = this.#live.get(number);
      return live !== undefined && live.tlbAt === state.get(STATE.tlbBase) && covers(live.pages, physical);
    });
  }

  /** Takes what has been compiled, and orders what waits. Called before every slice. */
  exchange(): void {
    if (this.#batches === 0 && this.#queue.length === 0) return;
    const began = this.#parts.nowMs?.() ?? 0;
    this.#exchange();
    this.#stalledSince(began);
  }

  #stalledSince(began: number): void {
    const { nowMs } = this.#parts;
    if (!nowMs) return;
    const ms = nowMs() - began;
    const { counts } = this;
    const found = STALL_MS.findIndex((bound) => ms < bound);
    counts.stalls[found < 0 ? STALL_MS.length : found]++;
    if (ms > counts.longestStallMs) counts.longestStallMs = ms;
  }

  #exchange(): void {
    if (this.#batches > 0) this.#takeModules();
    while (this.#queue.length > 0 && this.#batches < MOST_BATCHES) {
      this.#order();
      // What is compiled on this thread is there at once.
      if (this.#batches > 0) this.#takeModules();
    }
  }

  #takeModules(): void {
    const { compiler, link } = this.#parts;
    for (let built = compiler.receive(); built; built = compiler.receive()) {
      this.#batches--;
      this.counts.bytes += built.byteCount;
      for (const ticket of built.failure?.tickets ?? []) {
        this.counts.failed++;
        const live = this.#ordered.get(ticket);
        if (live) this.#failed(live);
        this.#ordered.delete(ticket);
      }
      if (built.regions.length === 0) continue;
      const exports = link(built);
      for (const region of built.regions) this.#install(region, exports[String(region.number)]);
    }
  }

  #order(): void {
    const orders: RegionOrder[] = [];
    let instructions = 0;
    while (this.#queue.length > 0 && instructions < BATCH_INSTRUCTIONS) {
      const next = this.#queue.shift();
      if (next === undefined || next.live.dead) continue;
      orders.push(next.order);
      this.#ordered.set(next.live.ticket, next.live);
      instructions += next.live.instructionCount;
    }
    if (orders.length === 0) return;
    this.#batches++;
    this.counts.batches++;
    this.#parts.compiler.send(orders);
  }

  /**
   * A region came back with EXIT.validate; STATE.eip is where it was to be entered, STATE.blockEip as well.
   * @returns false: it is not good here
   */
  validate(): boolean {
    const { state, mmu } = this.#parts;
    const live = this.#live.get(state.get(STATE.region));
    if (!live) return false;
    if (live.tlbAt !== state.get(STATE.tlbBase)) {
      // Compiled for other rights, as a kernel's code before it sets CR4.SMAP: it is compiled again for these.
      if (++live.strangers >= MOST_STRANGERS) this.#kill(live);
      return false;
    }
    this.counts.validations++;
    const { long } = state;
    const eip = this.#eip();
    const physical = mmu.translateCodeQuietly(eip);
    const entry = this.#entries.get(physical * 2 + Number(long));
    if (entry?.live !== live) return false;
    const from = eip - live.entries[entry.entry].at;
    const base = long ? from : from | 0;
    for (const { delta, page } of live.pages) {
      if (mmu.breaksIn(base + delta)) return false;
      if (Math.floor(mmu.translateCodeQuietly(base + delta) / PAGE_BYTES) !== page) {
        this.#kill(live);
        return false;
      }
    }
    const at = descriptorOf(live.number) >> 2;
    this.#words[at + DESCRIPTOR.epoch / 4] = state.get(epochOf(live));
    this.#words[at + DESCRIPTOR.base / 4] = base | 0;
    this.#words[at + DESCRIPTOR.base / 4 + 1] = Math.floor(base / TWO_32);
    return true;
  }

  /** After EXIT.site: brings the state in order. @returns why the region was left */
  finishSite(): SiteKind {
    const { state } = this.#parts;
    const live = this.#last[state.get(STATE.region)] ?? unreachable('a region without exits');
    return finishSite(live.sites, state);
  }

  // For the code cache.

  /** A block was decoded: does a region begin there? */
  blockDecoded(page: number, offset: number, mode: number, header: number): void {
    this.#hotness.begin(header);
    const long = mode !== FLAT32;
    if (long && mode !== KEY_LONG) return;
    const entry = this.#entries.get(keyOf(page, offset, long));
    if (entry && entry.live.slot > 0) this.#attach(header, entry.live, entry.entry);
  }

  /** Bytes that region `number` was made from have changed. @returns true when it is the one that runs */
  codeChanged(number: number): boolean {
    const live = this.#live.get(number);
    if (!live) return false;
    this.#kill(live);
    return this.#parts.state.get(STATE.region) === number;
  }

  /** Everything has to go. */
  cleared(): void {
    for (const live of [...this.#live.values()]) this.#kill(live);
    this.#attempts.clear();
    this.#deferred.clear();
    this.#hotness.clear();
  }

  // Inside.

  /** @param replaces the region that goes when it is there */
  #queueRegion(region: Region, linear: number, replaces?: Live): void {
    const number = this.#freeNumbers.shift();
    if (number === undefined) {
      this.#evict();
      return;
    }
    const { bytes } = this.#parts.physical;
    const { pages, instructionCount, tlbAt, user, long } = region;
    const ticket = this.#ticket++;
    const live: Live = {
      ...{ number, ticket, pages, instructionCount, tlbAt, user, long },
      ...{ entries: [entryAt(pages, 0)], sites: NO_SITES, slot: 0, dead: false, strangers: 0, replaces },
    };
    this.#live.set(number, live);
    this.#instructions += instructionCount;
    for (const { page, ranges } of pages) this.#parts.code.watch(page, ranges, number);
    this.#words[descriptorOf(number) >> 2] = -1;
    const descriptor = pages.length > 1 ? descriptorOf(number) : undefined;
    const packed = packRegion(region, bytes, (at) => {
      const page = pageAt(pages, at) ?? unreachable('code outside its pages');
      const host = (this.#parts.physical.entry(page.page * PAGE_BYTES) & ~0xfff) >>> 0;
      return host + ((linear + at) & 0xfff);
    });
    this.#queue.push({ order: { ticket, number, descriptor, region: packed }, live });
    this.counts.regions++;
    this.counts.instructions += instructionCount;
    if (this.#instructions > this.mostInstructions) this.#evict();
  }

  #install(built: BuiltRegion, f: WasmFunction): void {
    const live = this.#ordered.get(built.ticket);
    this.#ordered.delete(built.ticket);
    if (live === undefined || live.dead) return;
    live.slot = live.number;
    live.sites = built.sites;
    live.entries = built.entries.map((at) => entryAt(live.pages, at));
    this.#last[live.number] = live;
    this.#parts.table.set(live.slot, f);
    live.entries.forEach(({ page, offset }, entry) => {
      if (page < 0) return;
      this.#entries.set(keyOf(page, offset, live.long), { live, entry });
      const header = this.#parts.code.headerOf(page, offset, modeOf(live.long));
      if (header !== 0) this.#attach(header, live, entry);
    });
    if (live.replaces) this.#kill(live.replaces, COVERED_THRESHOLD);
    live.replaces = undefined;
  }

  #attach(header: number, live: Live, entry: number): void {
    const before = this.#words[(header + HEADER.region) >> 2] >>> 16;
    if (before !== 0 && before !== live.slot) this.#parts.mmu.jumps.forgetRegion(before);
    this.#words[(header + HEADER.region) >> 2] = (live.slot << 16) | entry;
    this.#words[(header + HEADER.regionOffset) >> 2] = live.entries[entry].at;
  }

  /**
   * The region is not entered any more. If it runs, it still runs to its end.
   * @param heat entries until its places are hot again
   */
  #kill(live: Live, heat: number = this.#parts.code.heat): void {
    if (live.dead) return;
    live.dead = true;
    this.counts.killed++;
    this.#live.delete(live.number);
    this.#instructions -= live.instructionCount;
    for (const { page } of live.pages) this.#parts.code.unwatch(page, live.number);
    live.entries.forEach(({ page, offset }) => {
      const key = keyOf(page, offset, live.long);
      if (this.#entries.get(key)?.live === live) this.#entries.delete(key);
      else if (live.slot > 0) return;
      const header = this.#parts.code.headerOf(page, offset, modeOf(live.long));
      if (header === 0) return;
      this.#words[(header + HEADER.region) >> 2] = 0;
      this.#words[(header + HEADER.heat) >> 2] = heat;
      this.#hotness.begin(header);
    });
    if (live.slot > 0) {
      this.#parts.mmu.jumps.forgetRegion(live.slot);
      this.#parts.table.set(live.slot, null);
    }
    this.#freeNumbers.push(live.number);
  }

  /** It was not compiled, and is not tried often again: a compiler that died of it would die again. */
  #failed(live: Live): void {
    const [{ page, offset }] = live.entries;
    const physical = page * PAGE_BYTES + offset;
    this.#attempts.set(physical, (this.#attempts.get(physical) ?? 0) + MOST_ATTEMPTS / MOST_FAILURES - 1);
    this.#kill(live);
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

const covers = (pages: readonly RegionPage[], physical: number): boolean => {
  const page = Math.floor(physical / PAGE_BYTES);
  const offset = physical % PAGE_BYTES;
  return pages.some((p) => p.page === page && p.ranges.some((r) => r.from <= offset && offset < r.to));
};
/** What `headerOf` wants. */
const modeOf = (long: boolean): number => (long ? MODE.long : FLAT32);
const keyOf = (page: number, offset: number, long: boolean): number => (page * PAGE_BYTES + offset) * 2 + Number(long);
const pageAt = (pages: readonly RegionPage[], at: number): RegionPage | undefined =>
  pages.find((p) => p.delta <= at && at < p.delta + PAGE_BYTES);
const entryAt = (pages: readonly RegionPage[], at: number): Entry => {
  const page = pageAt(pages, at);
  return { page: page?.page ?? -1, offset: at - (page?.delta ?? 0), at };
};
const descriptorOf = (number: number): number => LINEAR.regionDescriptors + number * DESCRIPTOR.bytes;
