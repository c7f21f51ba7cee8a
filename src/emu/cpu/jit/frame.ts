/**
 * The locals and labels of the function that is being generated, and what is known where code is being emitted.
 *
 * Flags are kept as `kind` and operands in three locals: of `words`, `r` is the result and `y` the carries (state/flags.ts);
 * of `add` and `sub`, `x` and `y` are the operands and nothing keeps the result; of the others `r` is it.
 */
import { unreachable } from '#base/errors.ts';
import { attentionMask } from '../interpreter/tier0-ops.ts';
import { wordsOf } from '../isa/flag-ops.ts';
import type { FlagSource, Ops, Width } from '../isa/ops.ts';
import { STATE } from '../state/layout.ts';
import {
  type I32,
  type I64,
  type IntType,
  i32,
  i64,
  k32,
  type Ordinary,
  type Origin,
  type ValType,
  type Word,
  word,
} from '../wasm/expr.ts';
import type { Callee, FunctionBuilder, Label, Var } from '../wasm/function.ts';
import { ExitSites, SITE, type SiteKind } from './exit-sites.ts';
import { FloatMode, type FloatUnit } from './float-mode.ts';
import { freshOrigins, GENERAL_REGISTERS, type MemoryPlan, type OpenGroup } from './groups.ts';
import { VECTOR_REGISTERS, VectorRegisters, type VectorUse } from './vector-registers.ts';
import { NO_HELPERS, type X87Helpers } from './x87-helpers.ts';
import { X87_UNKNOWN, type X87Knowledge, X87Registers } from './x87-registers.ts';

/** Functions that region code calls. Addresses are i32, of 64-bit code i64, but f64 for `probeSlow`. */
export interface RegionCallees {
  /** (linear, bytes and STACK_ACCESS): host address for reading; 0 = a fault. */
  readonly read: Callee<'i32'>;
  /** Likewise for reading and writing; when it is STATE.scratch `commitWrite` has to follow. */
  readonly modify: Callee<'i32'>;
  readonly commitWrite: Callee<'void'>;
  /** (linear, bytes and STACK_ACCESS, value): stores up to 4 bytes; not 0 = a fault. */
  readonly store32: Callee<'i32'>;
  /** Likewise 8 bytes. */
  readonly store64: Callee<'i32'>;
  /** (linear, bytes and STACK_ACCESS): stores what is at STATE.scratch; not 0 = a fault. */
  readonly storeScratch: Callee<'i32'>;
  readonly probeSlow: Callee<'i32'>;
  /** (number, four arguments): see system/calls.ts. */
  readonly system: Callee<'i32'>;
  readonly x87: X87Helpers;
  readonly kernels: Readonly<Record<string, Callee>>;
}

const SYSTEM: Callee<'i32'> = { index: 0, params: ['i32', 'i32', 'i32', 'i32', 'i32'], result: 'i32' };

/** For runs of the generator whose code nobody needs: only types count. */
export function noCallees(kernels: RegionCallees['kernels'], long: boolean): RegionCallees {
  const of = (...params: ValType[]): Callee<'i32'> => ({ index: 0, params, result: 'i32' });
  const at = long ? 'i64' : 'i32';
  return {
    ...{ read: of(at, 'i32'), modify: of(at, 'i32'), storeScratch: of(at, 'i32') },
    ...{ store32: of(at, 'i32', 'i32'), store64: of(at, 'i32', 'i64'), probeSlow: of(long ? 'f64' : 'i32', 'i32') },
    commitWrite: { index: 0, params: [], result: 'void' },
    system: SYSTEM,
    x87: NO_HELPERS,
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
  /** By XMM register: lanes known to be zero or normal. */
  ordinary: (Ordinary | undefined)[];
  /** What has been found available. */
  available: ReadonlySet<FloatUnit>;
  x87: X87Knowledge;
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
  /** It finds XMM registers in the state block. */
  vectorsInMemory: boolean;
  units: Set<FloatUnit>;
  /** It works on x87 registers: in a short way; in the state block. Waiting instructions do at least look at the status word. */
  x87Short: boolean;
  x87Waits: boolean;
  x87InMemory: boolean;
  /** Something that tier 1 does not do. */
  unsupported: boolean;
}

const zero = k32(0);
/** More than the instructions of a block can make. */
const SYMBOLS_PER_BLOCK = 65536;

const NOTHING: ReadonlySet<FloatUnit> = new Set();
const unknown = (flagKind: FlagKind, firstSymbol: number): Knowledge => ({
  flagKind,
  flagBits: 32,
  pending: 0,
  origins: freshOrigins(firstSymbol),
  groups: [],
  ordinary: new Array(VECTOR_REGISTERS).fill(undefined),
  available: NOTHING,
  x87: X87_UNKNOWN,
});

export class Frame {
  readonly f: FunctionBuilder;
  /** 64-bit code: registers, EIP and flags are i64, else i32. */
  readonly long: boolean;
  /** 32-bit code of privilege levels 0 to 2. */
  readonly kernel32: boolean;
  /** The type of all that is as wide as an address. */
  readonly wide: IntType;
  readonly stateAt: number;
  readonly callees: RegionCallees;
  /** Linear-memory address of the TLB bank. */
  readonly tlbAt: number;
  /** The word of STATE.codeEpoch that counts. */
  readonly epochAt: number;
  readonly gpr: readonly Var<IntType>[];
  /** EIP of the region's base. */
  readonly base: Var<IntType>;
  readonly budget: Var<'i32'>;
  readonly flagX: Var<IntType>;
  /** Of `words` the low half alone counts. */
  readonly flagY: Var<IntType>;
  readonly flagR: Var<IntType>;
  readonly exitEip: Var<IntType>;
  readonly exitSite: Var<'i32'>;
  /** 0, or what makes EXIT.transferred of EXIT.near. */
  readonly exitKind: Var<'i32'>;
  readonly entry: Var<'i32'>;
  /** Where everything is stored and the function returns. */
  exit: Label = { depth: 0 };
  /** Likewise, with the number of a site in `exitSite`. */
  exitRarely: Label = { depth: 0 };
  readonly sites = new ExitSites();
  /** General registers that may differ from the state block, as bits. */
  written = 0;
  now: Knowledge;
  #symbol: number = GENERAL_REGISTERS;
  readonly #hosts: Var<'i32'>[] = [];
  readonly #freeHosts: Var<'i32'>[] = [];
  #givenHosts: Var<'i32'>[] | undefined;
  readonly memory: MemoryPlan;
  readonly vectors: VectorRegisters;
  readonly floats: FloatMode;
  /** Are x87 registers in locals? */
  readonly withX87: boolean;
  readonly #units: ReadonlySet<FloatUnit>;
  #x87: X87Registers | undefined;
  /** The state block's x87 registers are newer than the locals. */
  #x87Spilled = false;
  /** Emits what has to come when all of the instruction's effects are there. */
  readonly atEnd: (() => void)[] = [];
  /** Set while semantics run for what they do instead of for their code. */
  recorder: Recorder | undefined;

  constructor(parts: {
    f: FunctionBuilder;
    long: boolean;
    kernel32: boolean;
    stateAt: number;
    callees: RegionCallees;
    tlbAt: number;
    epochAt: number;
    memory: MemoryPlan;
    vectors: VectorUse;
    withX87: boolean;
    units: ReadonlySet<FloatUnit>;
  }) {
    const { f } = parts;
    this.f = f;
    this.stateAt = parts.stateAt;
    this.callees = parts.callees;
    this.tlbAt = parts.tlbAt;
    this.epochAt = parts.epochAt;
    this.memory = parts.memory;
    this.long = parts.long;
    this.kernel32 = parts.kernel32;
    const wide: IntType = parts.long ? 'i64' : 'i32';
    this.wide = wide;
    this.gpr = Array.from({ length: parts.long ? 16 : 8 }, () => f.local(wide));
    this.entry = f.param(0, 'i32');
    this.base = f.param(1, wide);
    this.budget = f.local('i32');
    this.flagX = f.local(wide);
    this.flagY = f.local(wide);
    this.flagR = f.local(wide);
    this.exitEip = f.local(wide);
    this.exitSite = f.local('i32');
    this.exitKind = f.local('i32');
    this.vectors = new VectorRegisters(f, this.stateAt, parts.vectors);
    this.floats = new FloatMode(f, this.stateAt);
    this.withX87 = parts.withX87;
    this.#units = parts.units;
    this.now = unknown('words', 0);
  }

  get x87(): X87Registers {
    this.#x87 ??= new X87Registers(this.f, this.stateAt, this.long);
    return this.#x87;
  }
  /** Brings x87 registers into the form that a place where paths meet expects. */
  settleX87(): void {
    if (this.withX87) this.x87.settle(this.now.x87.depth);
    this.now.x87 = X87_UNKNOWN;
  }
  /** Before every jump to `exit`. */
  leaveX87(): void {
    if (this.withX87) this.f.set(this.x87.depth, k32(this.now.x87.depth));
  }

  /** For an instruction that finds x87 registers in the state block; `reloadX87` has to follow. */
  spillX87(): void {
    this.x87.store(k32(this.now.x87.depth));
    this.#x87Spilled = true;
  }
  reloadX87(): void {
    const { depth } = this.now.x87;
    this.#x87Spilled = false;
    this.x87.load(depth);
    this.now.x87 = { ...X87_UNKNOWN, depth };
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
    this.#symbol = first + GENERAL_REGISTERS;
    this.now = inherited ?? unknown(flagsLive ? 'words' : 'dead', first);
  }

  /** A local for a group: it stays until `releaseHosts`. */
  host(): Var<'i32'> {
    const given = this.#givenHosts?.shift();
    if (given) return given;
    const host = this.#freeHosts.pop() ?? this.f.permanentLocal('i32');
    this.#hosts.push(host);
    return host;
  }
  hostsFrom(first: number): readonly Var<'i32'>[] {
    return this.#hosts.slice(first);
  }
  /** `body` gets locals that are open already, in their order. */
  withHosts(hosts: readonly Var<'i32'>[], body: () => void): void {
    this.#givenHosts = [...hosts];
    body();
    this.#givenHosts = undefined;
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

  /** A field that is as wide as an address. */
  getWide(field: number): Word {
    return this.long ? i64.load(zero, this.stateAt + field) : this.get(field);
  }
  setWide(field: number, value: Word): void {
    if (value.type === 'i64') this.f.store64(zero, value as I64, this.stateAt + field);
    else this.set(field, value as I32);
  }

  /** Registers and flags, which are words, to the state block: what TypeScript looks at. */
  storeRegisters(): void {
    this.gpr.forEach((register, n) => {
      this.setWide(STATE.gpr + n * 8, register.get);
    });
    this.setWide(STATE.flagResult, this.flagR.get);
    this.set(STATE.flagAux, word.low(this.flagY.get));
    this.vectors.save();
    if (this.withX87 && !this.#x87Spilled) this.x87.store(k32(this.now.x87.depth));
  }
  /** And from there. */
  loadRegisters(): void {
    this.gpr.forEach((register, n) => {
      this.f.set(register, this.getWide(STATE.gpr + n * 8));
    });
    this.f.set(this.flagR, this.getWide(STATE.flagResult));
    this.f.set(this.flagY, word.toU(this.wide, this.get(STATE.flagAux)));
    this.vectors.load();
    if (this.withX87) this.x87.load(this.now.x87.depth);
    this.floats.enter(this.#units);
  }

  /** Nothing is known any more of registers, nor of the TLB. */
  forgetAll(): void {
    this.now.origins = this.now.origins.map(() => ({ symbol: this.nextSymbol(), offset: 0 }));
    this.now.groups = [];
    this.now.ordinary = new Array(VECTOR_REGISTERS).fill(undefined);
    this.now.available = NOTHING;
    this.now.x87 = { ...X87_UNKNOWN, depth: this.now.x87.depth };
  }

  /** EIP of an offset. */
  eip(at: number): Word {
    return word.add(this.base.get, at);
  }

  snapshot(): Knowledge {
    const { now } = this;
    return { ...now, origins: [...now.origins], groups: [...now.groups], ordinary: [...now.ordinary] };
  }

  // Flags.

  /** Where the flags come from, of the locals that keep it. */
  flagSource(): FlagSource {
    const { flagKind: kind, flagBits: bits } = this.now;
    const operand = (v: Var<IntType>): Word => (bits === 64 ? v.get : word.low(v.get));
    switch (kind) {
      case 'words':
        return { kind, result: this.flagR.get, aux: word.low(this.flagY.get) };
      case 'logic':
      case 'bits':
        return { kind, bits, result: operand(this.flagR) };
      case 'add':
      case 'sub': {
        const a = operand(this.flagX);
        const b = operand(this.flagY);
        return { kind, bits, a, b, result: kind === 'add' ? word.add(a, b) : word.sub(a, b) };
      }
      default:
        return unreachable(`flags are ${kind}`);
    }
  }

  /** Turns the flags into words, in the locals. Emitted code only: what is known stays. */
  emitFlagWords(e: Ops): void {
    const { flagKind } = this.now;
    if (flagKind === 'words' || flagKind === 'dead') return;
    const { result, aux } = wordsOf(e, this.flagSource());
    const r = result === undefined ? undefined : this.f.let(result);
    const y = aux === undefined ? undefined : this.f.let(aux);
    if (r) this.setFlag(this.flagR, r);
    if (y) this.setFlag(this.flagY, y);
  }

  /** Sign-extends where that is needed. */
  setFlag(flag: Var<IntType>, value: Word): void {
    this.f.set(flag, word.toS(this.wide, value));
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
  leave(e: Ops, eip: Word, count = 0): void {
    const { f } = this;
    if (this.#recordsLeaving()) return;
    f.set(this.exitEip, eip);
    this.emitFlagWords(e);
    this.emitBudget(count);
    this.leaveX87();
    f.br(this.exit);
  }

  /** Leaves by a way that is rare: what is known here is written down instead of being made into code. */
  leaveRarely(why: SiteKind, at: number): void {
    const { f, now } = this;
    if (this.#recordsLeaving()) return;
    f.set(
      this.exitSite,
      k32(this.sites.add({ why, at, pending: now.pending, kind: now.flagKind, bits: now.flagBits })),
    );
    // What this kind does not use would cost a register as far as the last way that looks at it.
    const { flagKind: kind } = now;
    const operands = kind === 'add' || kind === 'sub';
    if (!operands) this.#forgetFlag(this.flagX);
    if (!operands && kind !== 'words') this.#forgetFlag(this.flagY);
    if (operands || kind === 'dead') this.#forgetFlag(this.flagR);
    this.leaveX87();
    f.br(this.exitRarely);
  }

  #forgetFlag(flag: Var<IntType>): void {
    this.f.set(flag, word.constant(this.wide, 0));
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
    const leave = (): void => this.leaveRarely(SITE.poll, at);
    f.ifUnlikely(i32.ltS(this.budget.get, zero), leave);
    f.ifUnlikely(this.get(STATE.attention), () => {
      f.if(i32.and(this.get(STATE.attention), attentionMask(this.get(STATE.eflags))), leave);
    });
  }
}
