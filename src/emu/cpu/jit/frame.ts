/**
 * The locals and labels of the function that is being generated, and what is known where code is being emitted.
 *
 * Flags are kept as `kind` and operands in three locals: of `words`, `r` is the result and `y` the carries (state/flags.ts).
 */
import { unreachable } from '#base/errors.ts';
import { attentionMask } from '../interpreter/tier0-ops.ts';
import { wordsOf } from '../isa/flag-ops.ts';
import type { FlagSource, Ops, Width } from '../isa/ops.ts';
import { STATE } from '../state/layout.ts';
import { type I32, i32, k32, type Origin } from '../wasm/expr.ts';
import type { Callee, FunctionBuilder, Label, Var } from '../wasm/function.ts';
import { ExitSites, SITE, type SiteKind } from './exit-sites.ts';
import { freshOrigins, type MemoryPlan, type OpenGroup } from './groups.ts';

/** Functions that region code calls. */
export interface RegionCallees {
  readonly readSlow: Callee<'i32'>;
  readonly writeSlow: Callee<'i32'>;
  readonly modifySlow: Callee<'i32'>;
  readonly commitWrite: Callee<'void'>;
  readonly probeSlow: Callee<'i32'>;
  /** (linear, bytes): host address by the TLB or readSlow; 0 = fault. */
  readonly readHost: Callee<'i32'>;
  /** Likewise of a page in the TLB for writing; 0 = it is not there. */
  readonly writeHost: Callee<'i32'>;
  readonly kernels: Readonly<Record<string, Callee>>;
}

/** For runs of the generator whose code nobody needs: only types count. */
export function noCallees(kernels: RegionCallees['kernels']): RegionCallees {
  const address = (): Callee<'i32'> => ({ index: 0, params: ['i32', 'i32'], result: 'i32' });
  return {
    readSlow: address(),
    writeSlow: address(),
    modifySlow: address(),
    commitWrite: { index: 0, params: [], result: 'void' },
    probeSlow: address(),
    readHost: address(),
    writeHost: address(),
    kernels,
  };
}

/** `dead`: nothing will look at them. */
export type FlagKind = FlagSource['kind'] | 'dead';

/** What is known at a place in the code; copied where paths part. */
export interface Knowledge {
  flagKind: FlagKind;
  flagBits: Width;
  /** Instructions executed that have not been taken from the budget. */
  pending: number;
  /** By general register: a distance from an unknown. */
  origins: Origin[];
  /** Groups of accesses that have been checked. */
  groups: OpenGroup[];
}

/** What a run of the semantics without generating code is for. */
export interface Recorder {
  flagsRead: boolean;
  /** 0 = not, 1 = some or sometimes, 2 = all. */
  flagsWritten: 0 | 1 | 2;
  mayLeave: boolean;
  reads: boolean;
  writes: boolean;
  /** It may leave when it has set flags already. */
  leavesAfterFlags: boolean;
  kernels: Set<string>;
  /** Something that tier 1 does not do. */
  unsupported: boolean;
}

const zero = k32(0);
/** More than the instructions of a block can make. */
const SYMBOLS_PER_BLOCK = 65536;

export class Frame {
  readonly f: FunctionBuilder;
  readonly stateAt: number;
  readonly callees: RegionCallees;
  /** Linear-memory address of the TLB bank. */
  readonly tlbAt: number;
  readonly gpr: readonly Var<'i32'>[];
  /** EIP of the region's base. */
  readonly base: Var<'i32'>;
  readonly budget: Var<'i32'>;
  readonly flagX: Var<'i32'>;
  readonly flagY: Var<'i32'>;
  readonly flagR: Var<'i32'>;
  readonly exitEip: Var<'i32'>;
  readonly entry: Var<'i32'>;
  /** Where everything is stored and the function returns. */
  exit: Label = { depth: 0 };
  /** Likewise, with the number of a site in `exitEip`. */
  exitRarely: Label = { depth: 0 };
  readonly sites = new ExitSites();
  /** General registers that may differ from the state block, as bits. */
  written = 0;
  now: Knowledge;
  #symbol = 8;
  readonly #hosts: Var<'i32'>[] = [];
  readonly #freeHosts: Var<'i32'>[] = [];
  readonly memory: MemoryPlan;
  /** Set while semantics run for what they do instead of for their code. */
  recorder: Recorder | undefined;

  constructor(parts: {
    f: FunctionBuilder;
    stateAt: number;
    callees: RegionCallees;
    tlbAt: number;
    memory: MemoryPlan;
  }) {
    const { f } = parts;
    this.f = f;
    this.stateAt = parts.stateAt;
    this.callees = parts.callees;
    this.tlbAt = parts.tlbAt;
    this.memory = parts.memory;
    this.gpr = Array.from({ length: 8 }, () => f.local('i32'));
    this.entry = f.param(0, 'i32');
    this.base = f.param(1, 'i32');
    this.budget = f.local('i32');
    this.flagX = f.local('i32');
    this.flagY = f.local('i32');
    this.flagR = f.local('i32');
    this.exitEip = f.local('i32');
    this.now = { flagKind: 'words', flagBits: 32, pending: 0, origins: freshOrigins(0), groups: [] };
  }

  /** An unknown that nothing else has. */
  nextSymbol(): number {
    return this.#symbol++;
  }

  /**
   * At the start of a block. The same numbers come in the recording run and in the generating one.
   * @param inherited what is known at the end of the only block that leads here
   */
  startBlock(block: number, inherited: Knowledge | undefined, flagsLive: boolean): void {
    const first = block * SYMBOLS_PER_BLOCK;
    this.#symbol = first + 8;
    this.now = inherited ?? {
      flagKind: flagsLive ? 'words' : 'dead',
      flagBits: 32,
      pending: 0,
      origins: freshOrigins(first),
      groups: [],
    };
  }

  /** A local for a group: it stays until `releaseHosts`. */
  host(): Var<'i32'> {
    const host = this.#freeHosts.pop() ?? this.f.permanentLocal('i32');
    this.#hosts.push(host);
    return host;
  }
  get openHosts(): number {
    return this.#hosts.length;
  }
  /** Gives back all but the first `count`. */
  releaseHosts(count: number): void {
    this.#freeHosts.push(...this.#hosts.splice(count));
  }

  get(field: number): I32 {
    return i32.load(zero, this.stateAt + field);
  }
  set(field: number, value: I32): void {
    this.f.store32(zero, value, this.stateAt + field);
  }

  /** EIP of an offset. */
  eip(at: number): I32 {
    return i32.add(this.base.get, k32(at));
  }

  snapshot(): Knowledge {
    const { now } = this;
    return { ...now, origins: [...now.origins], groups: [...now.groups] };
  }

  // Flags.

  /** Where the flags come from, of the locals that keep it. */
  flagSource(): FlagSource {
    const { flagKind: kind, flagBits: bits } = this.now;
    const result = this.flagR.get;
    switch (kind) {
      case 'words':
        return { kind, result, aux: this.flagY.get };
      case 'logic':
        return { kind, bits, result };
      case 'add':
      case 'sub':
        return { kind, bits, a: this.flagX.get, b: this.flagY.get, result };
      default:
        return unreachable(`flags are ${kind}`);
    }
  }

  /** Turns the flags into words, in the locals. Emitted code only: what is known stays. */
  emitFlagWords(e: Ops): void {
    const { flagKind } = this.now;
    if (flagKind === 'words' || flagKind === 'dead') return;
    const { result, aux } = wordsOf(e, this.flagSource());
    const r = result === undefined ? undefined : this.f.let(result as I32);
    const y = aux === undefined ? undefined : this.f.let(aux);
    if (r) this.f.set(this.flagR, r);
    if (y) this.f.set(this.flagY, y);
  }

  /** The same where code goes on. */
  makeFlagWords(e: Ops): void {
    this.emitFlagWords(e);
    if (this.now.flagKind !== 'dead') this.now.flagKind = 'words';
  }

  // Leaving.

  /**
   * Leaves to the block at an EIP, with everything as it is here. Code does not go on.
   * @param count instructions executed on the way here that are not in `pending`
   */
  leave(e: Ops, eip: I32, count = 0): void {
    const { f } = this;
    if (this.#recordsLeaving()) return;
    f.set(this.exitEip, eip);
    this.emitFlagWords(e);
    this.emitBudget(count);
    f.br(this.exit);
  }

  /** Leaves by a way that is rare: what is known here is written down instead of being made into code. */
  leaveRarely(why: SiteKind, at: number): void {
    const { f, now } = this;
    if (this.#recordsLeaving()) return;
    f.set(this.exitEip, k32(this.sites.add({ why, at, pending: now.pending, kind: now.flagKind, bits: now.flagBits })));
    f.br(this.exitRarely);
  }

  #recordsLeaving(): boolean {
    if (!this.recorder) return false;
    this.recorder.mayLeave = true;
    if (this.recorder.flagsWritten !== 0) this.recorder.leavesAfterFlags = true;
    this.f.unreachable();
    return true;
  }

  /** Takes what was executed from the budget. */
  emitBudget(count = 0): void {
    const due = this.now.pending + count;
    if (due !== 0) this.f.set(this.budget, i32.sub(this.budget.get, k32(due)));
  }

  /** Leaves before the instruction at an offset when somebody wants the thread or the budget is used; it has been settled. */
  poll(at: number): void {
    const { f } = this;
    const late = i32.shrS(this.budget.get, k32(31));
    f.ifUnlikely(i32.or(this.get(STATE.attention), late), () => {
      const wanted = i32.and(this.get(STATE.attention), attentionMask(this.get(STATE.eflags)));
      f.if(i32.or(wanted, late), () => this.leaveRarely(SITE.poll, at));
    });
  }
}
