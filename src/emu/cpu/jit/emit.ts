/**
 * Generates the function of a region: (entry number, EIP of the base) -> EXIT.
 *
 * General registers, the budget and flags live in locals; at the common exit they are stored. Instructions executed are
 * taken from the budget where paths meet, and at exits.
 */
import { unreachable } from '#base/errors.ts';
import { EXIT } from '../interpreter/exits.ts';
import type { Ops } from '../isa/ops.ts';
import { STATE } from '../state/layout.ts';
import { i32, i64, k32, word } from '../wasm/expr.ts';
import type { FunctionBuilder, Label, Var } from '../wasm/function.ts';
import { type Effects, isShortX87, record, recordingFrame } from './effects.ts';
import type { ExitSites } from './exit-sites.ts';
import type { FloatUnit } from './float-mode.ts';
import { Frame, type Knowledge, type RegionCallees } from './frame.ts';
import { MemoryPlan } from './groups.ts';
import { type Block, FLOW, type Instruction, type Region } from './instruction.ts';
import { type FlagLiveness, flagLiveness } from './liveness.ts';
import { rotatedHeads } from './rotation.ts';
import { EDGE, type Structure, structureOf } from './structure.ts';
import { Tier1Ops, type Transfers } from './tier1-ops.ts';
import { vectorUse } from './vector-registers.ts';

/** Blocks that a dynamic target is compared with before it goes through the jump cache. */
const MOST_COMPARED = 16;

/** The word of STATE.codeEpoch that counts for a region. */
export const epochOf = (region: Pick<Region, 'user'>): number => STATE.codeEpoch + (region.user ? 4 : 0);

/** Linear memory that tells for what addresses a region of several pages is good: a word, and the base of 8 bytes. */
export const DESCRIPTOR = { bytes: 16, epoch: 0, base: 8 } as const;

export interface Planned {
  readonly region: Region;
  readonly structure: Structure;
  readonly effects: readonly (readonly Effects[])[];
}

/** Works out the shape of the function. */
export function planRegion(region: Region, effectsOf: (i: Instruction) => Effects): Planned {
  const successors = region.blocks.map((b) => {
    const list: number[] = [];
    if (b.flow === FLOW.jump || b.flow === FLOW.branch) if (b.taken >= 0) list.push(b.taken);
    if ((b.flow === FLOW.next || b.flow === FLOW.branch) && b.next >= 0) list.push(b.next);
    return list;
  });
  let structure = structureOf(successors, region.entries);
  // A poll leaves at the head of a loop. Unless the loop passes an entry its head is made one, so that tier 0 comes back.
  const heads = outermostLoops(successors, structure);
  if (heads.length > 0) structure = structureOf(successors, [...structure.entries, ...heads]);
  return { region, structure, effects: region.blocks.map((b) => b.instructions.map(effectsOf)) };
}

/**
 * Heads of the loops that pass no entry and are in no other such loop: of each strongly connected component the first block.
 * Source: R. Tarjan, "Depth-first search and linear graph algorithms" (1972).
 */
function outermostLoops(successors: readonly (readonly number[])[], s: Structure): number[] {
  const isInside = (block: number): boolean => s.entryOf[block] < 0;
  const found = new Int32Array(successors.length).fill(-1);
  const low = new Int32Array(successors.length);
  const onStack = new Uint8Array(successors.length);
  const open: number[] = [];
  const heads: number[] = [];
  let count = 0;
  const enter = (block: number): { block: number; next: number } => {
    found[block] = count;
    low[block] = count++;
    open.push(block);
    onStack[block] = 1;
    return { block, next: 0 };
  };
  const close = (block: number): void => {
    const members = open.splice(open.indexOf(block));
    for (const member of members) onStack[member] = 0;
    if (members.length > 1 || successors[block].includes(block)) heads.push(block);
  };
  // The first block of a component that is found in this order is its head.
  for (const root of s.order) {
    if (!isInside(root) || found[root] >= 0) continue;
    const path = [enter(root)];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { block } = top;
      const to = successors[block][top.next++];
      if (to === undefined) {
        path.pop();
        if (low[block] === found[block]) close(block);
        const from = path.at(-1);
        if (from) low[from.block] = Math.min(low[from.block], low[block]);
      } else if (!isInside(to)) continue;
      else if (found[to] < 0) path.push(enter(to));
      else if (onStack[to]) low[block] = Math.min(low[block], found[to]);
    }
  }
  return heads;
}

export function emitRegion(
  f: FunctionBuilder,
  planned: Planned,
  callees: RegionCallees,
  stateAt: number,
  /** What STATE.region is while it runs. */
  number: number,
  /** Of a region of several pages: address of its descriptor. */
  descriptor: number | undefined,
): ExitSites {
  return new Emitter(f, planned, callees, stateAt, number).emit(descriptor);
}

/** Of a rotated loop, where it begins. */
interface Head {
  readonly known: Knowledge;
  /** Locals of the groups that are open. */
  readonly hosts: readonly Var<'i32'>[];
}

class Emitter {
  readonly #f: FunctionBuilder;
  readonly #region: Region;
  readonly #number: number;
  readonly #structure: Structure;
  readonly #effects: readonly (readonly Effects[])[];
  readonly #live: FlagLiveness;
  /** By block: instructions that come before the loop that it heads, and again at its ends. */
  readonly #before: readonly number[];
  /** What those leave behind. */
  readonly #heads: (Head | undefined)[] = [];
  readonly #frame: Frame;
  readonly #labels: (Label | undefined)[] = [];
  readonly #loops: (Label | undefined)[] = [];
  #dispatch: Label = { depth: 0 };

  constructor(f: FunctionBuilder, planned: Planned, callees: RegionCallees, stateAt: number, number: number) {
    this.#f = f;
    this.#number = number;
    this.#region = planned.region;
    this.#structure = planned.structure;
    this.#effects = planned.effects;
    this.#live = flagLiveness(planned.region, planned.effects, (from, to) => {
      const edge = this.#structure.edge(from, to);
      return edge === EDGE.back || edge === EDGE.dispatch;
    });
    const isBack = (from: number, to: number): boolean => this.#structure.edge(from, to) === EDGE.back;
    this.#before = rotatedHeads(this.#region, this.#effects, this.#structure, this.#live, isBack);
    const memory = new MemoryPlan();
    const { long, user } = planned.region;
    const kernel32 = !long && !user;
    this.#recordAccesses(recordingFrame({ long, kernel32 }, callees, stateAt, memory));
    memory.arrange();
    this.#frame = new Frame({
      f,
      long,
      kernel32,
      stateAt,
      callees,
      tlbAt: planned.region.tlbAt,
      epochAt: epochOf(planned.region),
      memory,
      withX87: usesX87(this.#effects),
      units: unitsOf(this.#effects),
      vectors: vectorUse(
        planned.region.blocks.flatMap((b) => b.instructions),
        this.#effects.some((block) => block.some((e) => e.vectorsInMemory)),
      ),
    });
  }

  emit(descriptor: number | undefined): ExitSites {
    const f = this.#f;
    const frame = this.#frame;
    const s = this.#structure;
    this.#checkPlace(descriptor);
    frame.set(STATE.region, k32(this.#number));
    frame.loadRegisters();
    f.set(frame.budget, frame.get(STATE.budget));
    f.block((exitRarely) => {
      frame.exitRarely = exitRarely;
      f.block((exit) => {
        frame.exit = exit;
        f.loop((dispatch) => {
          this.#dispatch = dispatch;
          this.#place(s.rootPlaced, () => {
            const labels = s.entries.map((b) => this.#labels[b] as Label);
            f.brTable(frame.entry.get, labels, labels[0]);
          });
        });
      });
      this.#storeAll();
      frame.set(STATE.flagAux, word.low(frame.flagY.get));
      frame.setWide(STATE.eip, frame.exitEip.get);
      f.return(i32.or(k32(EXIT.near), frame.exitKind.get));
    });
    this.#storeAll();
    frame.set(STATE.exitSite, frame.exitSite.get);
    frame.setWide(STATE.exitBase, frame.base.get);
    frame.setWide(STATE.exitFlagX, frame.flagX.get);
    frame.setWide(STATE.exitFlagY, frame.flagY.get);
    f.return(k32(EXIT.site));
    return frame.sites;
  }

  #storeAll(): void {
    const frame = this.#frame;
    frame.gpr.forEach((register, n) => {
      if (frame.written & (1 << n)) frame.setWide(STATE.gpr + n * 8, register.get);
    });
    frame.vectors.store();
    if (frame.withX87) frame.x87.store(frame.x87.depth.get);
    frame.set(STATE.budget, frame.budget.get);
    frame.setWide(STATE.flagResult, frame.flagR.get);
  }

  /** Is this made for the privilege level, and good for where the pages are mapped now? */
  #checkPlace(descriptor: number | undefined): void {
    const f = this.#f;
    const frame = this.#frame;
    const zero = k32(0);
    let wrong = i32.xor(frame.get(STATE.tlbBase), k32(frame.tlbAt));
    if (descriptor !== undefined) {
      wrong = i32.or(wrong, i32.xor(i32.load(zero, descriptor + DESCRIPTOR.epoch), frame.get(epochOf(this.#region))));
      const base = descriptor + DESCRIPTOR.base;
      const known = frame.long ? i64.load(zero, base) : i32.load(zero, base);
      wrong = i32.or(wrong, word.ne(known, frame.base.get));
    }
    f.ifUnlikely(wrong, () => {
      frame.set(STATE.region, k32(this.#number));
      frame.setWide(STATE.eip, frame.getWide(STATE.blockEip));
      f.return(k32(EXIT.validate));
    });
  }

  /** `inner`, and behind it the blocks that need a label, each where its label leads. */
  #place(blocks: readonly number[], inner: () => void): void {
    const last = blocks.at(-1);
    if (last === undefined) {
      inner();
      return;
    }
    this.#f.block((label) => {
      this.#labels[last] = label;
      this.#place(blocks.slice(0, -1), inner);
    });
    this.#tree(last, undefined);
  }

  /** A block and what it dominates. @param from what is known where the only edge comes from */
  #tree(n: number, from: Knowledge | undefined): void {
    const f = this.#f;
    const s = this.#structure;
    const frame = this.#frame;
    const before = this.#before[n];
    let known = s.isJoin(n) ? undefined : from;
    const body = (): void => {
      const outer = frame.exitRarely;
      f.block((rarely) => {
        frame.exitRarely = rarely;
        f.scope(() => {
          const hosts = frame.openHosts;
          this.#place(s.placed[n], () => this.#block(n, before, known));
          frame.releaseHosts(hosts);
        });
      });
      frame.exitRarely = outer;
      f.br(outer);
    };
    if (!s.isLoop[n]) {
      body();
      return;
    }
    const hosts = frame.openHosts;
    if (before > 0) {
      frame.startBlock(n, undefined, this.#live.atStart[n]);
      this.#instructions(n, 0, before);
      known = frame.snapshot();
      this.#heads[n] = { known, hosts: frame.hostsFrom(hosts) };
    }
    f.loop((label) => {
      this.#loops[n] = label;
      body();
    });
    frame.releaseHosts(hosts);
  }

  /** At an end of a rotated loop: the head's first instructions again, with the flags as they are here. */
  #repeat(n: number): void {
    const frame = this.#frame;
    const head = this.#heads[n] ?? unreachable('a loop goes back to a head that has not been emitted');
    const { flagKind, flagBits } = frame.now;
    frame.settleX87();
    frame.startBlock(n, undefined, true);
    frame.now.flagKind = flagKind;
    frame.now.flagBits = flagBits;
    frame.withHosts(head.hosts, () => this.#instructions(n, 0, this.#before[n]));
    const { now } = frame;
    if (now.flagKind !== head.known.flagKind || now.pending !== head.known.pending)
      unreachable('the copies of a head leave different flags');
  }

  /** @param first instruction that has not been emitted yet; if it is not 0, `inherited` is what is known there */
  #block(n: number, first: number, inherited: Knowledge | undefined): void {
    const b = this.#region.blocks[n];
    if (first === 0) this.#frame.startBlock(n, inherited, this.#live.atStart[n]);
    this.#instructions(n, first, b.instructions.length);
    if (b.flow === FLOW.next) this.#follow(n, b.next, b.end, this.#opsFor(b, n));
  }

  /** Instructions of a block from one position to another. */
  #instructions(n: number, from: number, to: number): void {
    const f = this.#f;
    const frame = this.#frame;
    const b = this.#region.blocks[n];
    b.instructions.slice(from, to).forEach((instruction, position) => {
      const i = from + position;
      const last = i === b.instructions.length - 1 && b.flow !== FLOW.next;
      const effects = this.#effects[n][i];
      const flagsLive = this.#live.after[n][i] || effects.leavesAfterFlags;
      const run = (): void => {
        const e = new Tier1Ops({
          frame,
          instruction,
          block: n,
          transfers: last ? this.#transfers(n, () => e) : NO_TRANSFERS,
          flagsLive,
          writes: effects.writes,
          shortX87: isShortX87(effects),
        });
        if (effects.flagsWritten === 1 && flagsLive && !STEPS.has(instruction.row.mnemonic)) frame.makeFlagWords(e);
        if (effects.vectorsInMemory) frame.vectors.spill();
        const x87InMemory = frame.withX87 && (effects.x87InMemory || effects.x87Waits) && !isShortX87(effects);
        if (x87InMemory) frame.spillX87();
        instruction.row.semantics(e);
        if (x87InMemory) {
          frame.reloadX87();
        }
        if (effects.vectorsInMemory) {
          frame.vectors.reload();
          frame.now.ordinary.fill(undefined);
        }
        for (const check of frame.atEnd.splice(0)) check();
      };
      // What a transfer leads to is emitted inside it.
      if (last) run();
      else f.scope(run);
      if (last) return;
      frame.now.pending++;
      // Interrupts that waited for STI come after the next instruction, not at the next loop.
      const { shadow, unmasks } = instruction.row.options;
      if (shadow || unmasks) frame.poll(instruction.at + instruction.d.length);
    });
  }

  /** An `Ops` for the edge behind a block that just goes on. */
  #opsFor(b: Block, n: number): Ops {
    const instruction = b.instructions.at(-1) as Instruction;
    return new Tier1Ops({
      frame: this.#frame,
      instruction,
      block: n,
      transfers: NO_TRANSFERS,
      flagsLive: true,
      writes: false,
      shortX87: false,
    });
  }

  #transfers(n: number, ops: () => Ops): Transfers {
    const f = this.#f;
    const frame = this.#frame;
    const b = this.#region.blocks[n];
    const { target } = b.instructions.at(-1) as Instruction;
    return {
      branch: (taken) => {
        frame.now.pending++;
        const here = frame.snapshot();
        f.if(taken, () => this.#follow(n, b.taken, target, ops()));
        frame.now = here;
        this.#follow(n, b.next, b.end, ops());
      },
      jumpDirect: () => {
        frame.now.pending++;
        if (b.flow === FLOW.call) this.#enter(b.taken, target, ops());
        else this.#follow(n, b.taken, target, ops());
      },
      jump: (to) => {
        frame.now.pending++;
        this.#settle(ops(), true);
        for (const site of this.#region.dynamicTargets[n].slice(0, MOST_COMPARED)) {
          const { at } = this.#region.blocks[site];
          if (this.#structure.entryOf[site] < 0) continue;
          f.if(word.eq(to, frame.eip(at)), () => this.#enter(site, at, ops()));
        }
        frame.leave(ops(), to);
      },
    };
  }

  /** Goes along an edge of the graph; out of the region when the target is not in it. */
  #follow(from: number, to: number, at: number, e: Ops): void {
    const f = this.#f;
    const frame = this.#frame;
    if (to < 0) {
      frame.leave(e, frame.eip(at));
      return;
    }
    const edge = this.#structure.edge(from, to);
    if (edge === EDGE.inline) {
      if (this.#structure.isJoin(to)) this.#settle(e, this.#live.atStart[to]);
      this.#tree(to, frame.snapshot());
      return;
    }
    if (edge === EDGE.dispatch) {
      this.#enter(to, at, e);
      return;
    }
    if (edge === EDGE.back) {
      this.#settleBudget();
      frame.poll(at);
      if (this.#before[to] > 0) {
        this.#repeat(to);
        f.br(this.#loops[to] as Label);
        return;
      }
    }
    this.#settle(e, this.#live.atStart[to]);
    f.br((edge === EDGE.back ? this.#loops[to] : this.#labels[to]) as Label);
  }

  /** Goes to an entry through the dispatcher, or out. */
  #enter(to: number, at: number, e: Ops): void {
    const f = this.#f;
    const frame = this.#frame;
    const entry = to < 0 ? -1 : this.#structure.entryOf[to];
    if (entry < 0) {
      frame.leave(e, frame.eip(at));
      return;
    }
    this.#settleBudget();
    frame.poll(at);
    this.#settle(e, this.#live.atStart[to]);
    f.set(frame.entry, k32(entry));
    f.br(this.#dispatch);
  }

  /** Brings everything into the form that a place where paths meet expects. */
  #settle(e: Ops, flags: boolean): void {
    if (flags) this.#frame.makeFlagWords(e);
    this.#frame.settleX87();
    this.#settleBudget();
  }
  #settleBudget(): void {
    this.#frame.emitBudget();
    this.#frame.now.pending = 0;
  }

  /** The first run: which accesses there are, at what distance from what. */
  #recordAccesses(frame: Frame): void {
    const s = this.#structure;
    const ends = new Map<number, Knowledge>();
    const before = new Map<number, number>();
    for (const n of s.order) {
      const b = this.#region.blocks[n];
      const parent = before.get(n);
      const inherited = s.isJoin(n) || parent === undefined ? undefined : ends.get(parent);
      frame.startBlock(n, inherited && { ...inherited, origins: [...inherited.origins] }, true);
      for (const instruction of b.instructions) record(frame, instruction, n);
      ends.set(n, frame.snapshot());
      for (const to of [b.taken, b.next]) if (to >= 0 && b.flow !== FLOW.call) before.set(to, n);
    }
  }
}

/** Are there instructions that work on x87 registers in locals? */
export const usesX87 = (effects: Planned['effects']): boolean => effects.some((block) => block.some(isShortX87));

function unitsOf(effects: Planned['effects']): Set<FloatUnit> {
  const units = new Set<FloatUnit>();
  for (const block of effects) for (const e of block) for (const unit of e.units) units.add(unit);
  return units;
}

/** They keep CF, which they fetch themselves. */
const STEPS: ReadonlySet<string> = new Set(['inc', 'dec']);

const none = (): void => {};
const NO_TRANSFERS: Transfers = { branch: none, jumpDirect: none, jump: none };
