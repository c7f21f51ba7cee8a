/**
 * One virtual CPU: the state block, the MMU, the system part and tier 0, and the loop that runs guest code.
 *
 * `run` executes until its budget is used, the CPU halts, or somebody wants the thread. Everything a guest can do is a
 * value in the state block; nothing here throws on guest input.
 */
import { CodedError } from '#base/errors.ts';
import type { IoBus } from '#emu/bus/io-bus.ts';
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import type { InterruptSource } from '#emu/bus/wires.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { crashReport, isMeantUndefined } from './debug/crash-report.ts';
import type { EventHistory } from './debug/event-history.ts';
import type { ExecutionObserver } from './debug/execution-observer.ts';
import { Decoder } from './decoder/decoder.ts';
import { x87Transcendental } from './float/transcendental.ts';
import { BlockFinder } from './interpreter/block-finder.ts';
import { CodeCache } from './interpreter/code-cache.ts';
import { EXIT } from './interpreter/exits.ts';
import { createTier0, type Tier0 } from './interpreter/tier0.ts';
import { EXCEPTION } from './isa/ops.ts';
import { instructionTable } from './isa/table.ts';
import { SITE } from './jit/exit-sites.ts';
import { InlineCompiler } from './jit/region-compiler.ts';
import type { RegionCompilerPort } from './jit/region-order.ts';
import { Tier1, type TierCounts, type TierMode } from './jit/tier1.ts';
import { Mmu } from './mmu/mmu.ts';
import { CpuState } from './state/cpu-state.ts';
import { EFLAGS } from './state/flags.ts';
import { ATTENTION, GPR, HALTED, MAX_REGIONS, MODE, RECORD, SEG, STATE, STATE_LAYOUT } from './state/layout.ts';
import { CR0 } from './system/control-bits.ts';
import type { CpuFeatures } from './system/cpu-features.ts';
import { System } from './system/system.ts';
import { createFunctionTable, instantiateModule, type LinearMemory } from './wasm/host.ts';

export interface CpuParts {
  readonly linear: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly ports: IoBus;
  readonly interrupts: InterruptSource;
  /** Left out: the processor has none. */
  readonly localApic?: LocalApicPort | undefined;
  /** Ticks of the time-stamp counter since power-on. */
  readonly tsc: () => number;
  /** For how many instructions what `tsc` said holds, with a tick added for each; default: 0. */
  readonly tscHolds?: number | undefined;
  /** Overwrites the bytes, at most 65 536, from a secure source: RDRAND and RDSEED. They are not announced without it. */
  readonly random?: ((into: Uint8Array) => void) | undefined;
  /** Default: all that there are. */
  readonly features?: CpuFeatures;
  /** An unmasked x87 exception with CR0.NE = 0. @returns true when the board ignores it (IGNNE#) */
  readonly onFloatError?: () => boolean;
  /** Triple fault. */
  readonly onShutdown?: () => void;
  /** The guest met its end, or its kernel an instruction that does not exist. Inside `run`. */
  readonly onCrash?: (crash: Crash) => void;
  /** Which tiers run code; without it both. */
  readonly tier?: TierMode | undefined;
  /** Where hot code is compiled; without it on the CPU's own thread. */
  readonly regionCompiler?: RegionCompilerPort | undefined;
  /** The compiled module of `interpreterBytes` (interpreter/image.ts), if it is there: it is made otherwise. */
  readonly preparedInterpreter?: ((long: boolean) => unknown) | undefined;
  /** Monotonic, to measure how long compiling holds the CPU up. */
  readonly nowMs?: (() => number) | undefined;
}

export interface Crash {
  readonly kind: 'triple-fault' | 'undefined-instruction';
  /** For a person: registers, code, what happened before. */
  readonly report: string;
}

/** Why `run` came back; `debug`: the observer wanted a stop. */
export type RunExit = 'budget' | 'halt' | 'shutdown' | 'yield' | 'debug';

/** A CPU's part of a saved machine: the state block as it is. */
export interface CpuSave {
  /** STATE_LAYOUT of the program that saved it. */
  readonly layout: number;
  readonly state: Uint8Array;
  readonly interruptRequested: boolean;
  readonly nmiPending: boolean;
}

/** A segment register as a loader sets it; `attributes` are descriptor bits 8..23 shifted down by 8. */
export interface EntrySegment {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

/** The state in which a directly booted kernel starts. */
export interface CpuEntry {
  readonly eip: number;
  readonly registers: Readonly<Record<'eax' | 'ebx' | 'ecx' | 'edx' | 'esp' | 'ebp' | 'esi' | 'edi', number>>;
  readonly eflags: number;
  readonly cr0: number;
  readonly gdt: { readonly base: number; readonly limit: number };
  readonly idt: { readonly base: number; readonly limit: number };
  readonly cs: EntrySegment;
  readonly data: EntrySegment;
  /** Where memory of devices begins, for the MTRRs; left out: they stay off. */
  readonly deviceMemoryBase?: number;
}

/** A guest that crashes again and again is told of a few times. */
const REPORTED_CRASHES = 8;

export class Cpu {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly system: System;
  readonly decoder: Decoder;
  /** What happened before now. */
  readonly history: EventHistory;
  readonly #physical: PhysicalMemory;
  readonly #onCrash: ((crash: Crash) => void) | undefined;
  readonly #code: CodeCache;
  readonly #finder: BlockFinder;
  readonly #linear: LinearMemory;
  readonly #preparedInterpreter: CpuParts['preparedInterpreter'];
  readonly #legacy: Tier0;
  /** Made when 64-bit code runs for the first time. */
  #long: Tier0 | undefined;
  readonly #regions = createFunctionTable(MAX_REGIONS);
  readonly #tier1: Tier1;
  readonly #words: Int32Array;
  readonly #attention: Int32Array;
  #nmiPending = false;
  #retiredBase = 0;
  #sliceBudget = 0;
  #observer: ExecutionObserver | undefined;
  #crashesLeft = REPORTED_CRASHES;

  constructor(parts: CpuParts) {
    const { linear, physical } = parts;
    this.#physical = physical;
    this.#onCrash = parts.onCrash;
    this.state = new CpuState(linear.buffer);
    this.state.set(STATE.a20Mask, -1);
    this.state.set(STATE.two31, -0x8000_0000);
    this.#words = new Int32Array(linear.buffer);
    this.#attention = new Int32Array(linear.buffer, this.state.at + STATE.attention, 1);
    this.mmu = new Mmu({ state: this.state, physical });
    const { onFloatError, onShutdown } = parts;
    this.system = new System({
      state: this.state,
      mmu: this.mmu,
      ports: parts.ports,
      interrupts: parts.interrupts,
      localApic: parts.localApic,
      tsc: parts.tsc,
      tscHolds: parts.tscHolds,
      random: parts.random,
      x87Transcendental: (which) => x87Transcendental(this.state, which),
      ...(parts.features ? { features: parts.features } : {}),
      callbacks: {
        onShutdown: () => {
          this.state.set(STATE.shutdown, 1);
          this.#crashed('triple-fault');
          onShutdown?.();
        },
        ...(onFloatError ? { onFloatError } : {}),
      },
    });
    this.history = this.system.history;
    const { features } = this.system;
    this.decoder = new Decoder(instructionTable, (feature) => features.has(feature));
    this.#linear = linear;
    this.#preparedInterpreter = parts.preparedInterpreter;
    this.#legacy = this.#createTier0(false);
    const { writer } = this.#legacy;
    this.#code = new CodeCache({ physical, state: this.state, mmu: this.mmu, decoder: this.decoder, writer });
    this.#finder = new BlockFinder({
      state: this.state,
      code: this.#code,
      history: this.history,
      jumps: this.mmu.jumps,
    });
    this.#tier1 = this.#createTier1(parts);
    const { mmu } = this;
    physical.onMapChanged = () => mmu.flush(false);
    this.reset();
  }

  #createTier0(long: boolean): Tier0 {
    const { state, mmu, system } = this;
    const prepared = this.#preparedInterpreter?.(long);
    return createTier0({
      ...{ rows: instructionTable, long, linear: this.#linear, state, mmu, system, prepared },
      regions: this.#regions,
    });
  }

  #createTier1(parts: CpuParts): Tier1 {
    const { state, mmu, decoder, system } = this;
    const { kernels, exports } = this.#legacy;
    const slow = {
      system: (number: number, a: number, b: number, c: number, d: number) => system.call(number, a, b, c, d),
      readSlow: (at: number, byteCount: number) => mmu.readSlow(at, byteCount),
      writeSlow: (at: number, byteCount: number) => mmu.writeSlow(at, byteCount),
      modifySlow: (at: number, byteCount: number) => mmu.modifySlow(at, byteCount),
      commitWrite: () => mmu.commitWrite(),
      probeSlow: (at: number, byteCount: number) => mmu.probeSlow(at, byteCount),
      readSlow64: (at: number, byteCount: number) => mmu.readSlow64(at, byteCount),
      writeSlow64: (at: number, byteCount: number) => mmu.writeSlow64(at, byteCount),
      modifySlow64: (at: number, byteCount: number) => mmu.modifySlow64(at, byteCount),
      probeSlow64: (at: number, byteCount: number) => mmu.probeSlow64(at, byteCount),
    };
    return new Tier1({
      ...{ state, mmu, decoder, kernels },
      physical: parts.physical,
      code: this.#code,
      table: this.#regions,
      memoryPages: parts.linear.pages,
      compiler: parts.regionCompiler ?? new InlineCompiler(),
      link: (built) => {
        const imports: Record<string, unknown> = { ...slow };
        for (const name of built.kernels) imports[name] = exports[name];
        return instantiateModule(built.module, parts.linear, imports);
      },
      mode: parts.tier ?? 'mixed',
      nowMs: parts.nowMs,
    });
  }

  get compilation(): TierCounts {
    return this.#tier1.counts;
  }

  /** For measurements and tests. */
  get tier1(): Tier1 {
    return this.#tier1;
  }

  /** The interpreter of the code that runs now. */
  #tier(): Tier0 {
    if (!this.state.long) return this.#legacy;
    if (this.#long === undefined) {
      this.#long = this.#createTier0(true);
      this.#code.longWriter = this.#long.writer;
    }
    return this.#long;
  }

  get halted(): boolean {
    return this.state.get(STATE.halted) !== 0;
  }

  /** @returns whether a program has run since it was last asked: code of privilege level 3, or outside protected mode */
  takeProgramRan(): boolean {
    const { state } = this;
    const ran = state.get(STATE.userRan) !== 0 || state.get(STATE.cpl) === 3 || (state.get(STATE.cr0) & CR0.pe) === 0;
    state.set(STATE.userRan, 0);
    return ran;
  }

  /** Instructions executed since the machine was made; exact outside `run`. */
  get retired(): number {
    return this.#retiredBase;
  }

  /** RESET#: registers as after power-on; memory stays. */
  reset(): void {
    this.#finder.leaveBranch();
    this.system.reset();
    this.history.clear();
    this.state.set(STATE.shutdown, 0);
    this.#nmiPending = false;
  }

  /** The wire from the interrupt controller. */
  setInterruptRequest(asserted: boolean): void {
    if (asserted) Atomics.or(this.#attention, 0, ATTENTION.interrupt);
    else Atomics.and(this.#attention, 0, ~ATTENTION.interrupt);
  }

  raiseNmi(): void {
    this.#nmiPending = true;
    Atomics.or(this.#attention, 0, ATTENTION.nmi);
  }

  /** Makes `run` come back soon; callable from any thread that has the memory. */
  requestYield(): void {
    Atomics.or(this.#attention, 0, ATTENTION.yield);
  }

  setA20(open: boolean): void {
    this.mmu.setA20(open);
  }

  /**
   * Lets somebody outside the guest see and stop what is executed, or nobody any more. To be called again when the
   * observer's `stops` have changed; never while `run` runs.
   */
  observe(observer: ExecutionObserver | undefined): void {
    this.#observer = observer;
    this.#code.stopAt(observer?.stops);
    this.mmu.watchData(observer?.dataWatch);
  }

  /** Linear address of the next instruction, as observers are told it. */
  get nextLinear(): number {
    return this.#finder.linearEip();
  }

  /** Registers were written from outside. */
  stateChanged(): void {
    this.#finder.leaveBranch();
    this.system.reload();
  }

  /** The reader of the dirty map has cleared it. */
  flushTracked(): void {
    this.mmu.flushTracked();
  }

  /** Starts at a loader's entry instead of the reset vector. */
  enter(entry: CpuEntry): void {
    const { state, system } = this;
    this.#finder.leaveBranch();
    system.reset();
    state.set(STATE.cr0, entry.cr0);
    state.set(STATE.gdtBase, entry.gdt.base);
    state.set(STATE.gdtLimit, entry.gdt.limit);
    state.set(STATE.idtBase, entry.idt.base);
    state.set(STATE.idtLimit, entry.idt.limit);
    for (const name of ['eax', 'ebx', 'ecx', 'edx', 'esp', 'ebp', 'esi', 'edi'] as const) {
      state.setGpr(GPR[name], entry.registers[name]);
    }
    state.eflags = entry.eflags;
    const set = (seg: number, s: EntrySegment): void =>
      system.setSegment(seg, s.selector, s.base, s.limit, s.attributes);
    set(SEG.cs, entry.cs);
    for (const seg of [SEG.ds, SEG.es, SEG.fs, SEG.gs, SEG.ss]) set(seg, entry.data);
    state.set(STATE.eip, entry.eip);
    if (entry.deviceMemoryBase !== undefined) system.setMemoryTypes(entry.deviceMemoryBase);
    system.reload();
  }

  /** Executes up to `instructions` (a block more at most). Returns at once while HLT waits and no interrupt came. */
  run(instructions: number): RunExit {
    const { state } = this;
    // Who calls may have changed memory, or let time pass: MWAIT need not know what has woken it.
    if (state.get(STATE.halted) >= HALTED.mwait) state.set(STATE.halted, HALTED.no);
    state.set(STATE.budget, instructions);
    state.set(STATE.tscHolds, 0);
    this.#sliceBudget = instructions;
    this.#tier1.exchange();
    const exit = this.#loop();
    const executed = this.#sliceBudget - state.get(STATE.budget);
    this.#retiredBase += executed;
    this.#tier1.ran(executed);
    state.set(STATE.budget, 0);
    this.#sliceBudget = 0;
    return exit;
  }

  save(): CpuSave {
    const { at } = this.state;
    const state = new Uint8Array(STATE.end);
    state.set(new Uint8Array(this.#words.buffer, at, STATE.end));
    return {
      layout: STATE_LAYOUT,
      state,
      interruptRequested: (Atomics.load(this.#attention, 0) & ATTENTION.interrupt) !== 0,
      nmiPending: this.#nmiPending,
    };
  }

  /** @throws CodedError<'other-version'> when the state is of a program that lays it out otherwise */
  restore(saved: CpuSave): void {
    if (saved.layout !== STATE_LAYOUT) {
      throw new CodedError(
        'other-version',
        'the saved machine has the CPU of another version of this program; restore it with the program that saved it',
      );
    }
    new Uint8Array(this.#words.buffer, this.state.at, STATE.end).set(saved.state.subarray(0, STATE.end));
    Atomics.store(this.#attention, 0, 0);
    this.setInterruptRequest(saved.interruptRequested);
    this.#nmiPending = false;
    if (saved.nmiPending) this.raiseNmi();
    this.state.set(STATE.block, 0);
    this.state.set(STATE.linkFrom, 0);
    this.#code.clear();
    this.system.reload();
  }

  #loop(): RunExit {
    const { state, system } = this;
    for (;;) {
      if (state.get(STATE.shutdown) !== 0) return 'shutdown';
      const observer = this.#observer;
      if (observer?.due) return 'debug';
      let alone = false;
      const attention = Atomics.load(this.#attention, 0);
      if (attention !== 0) {
        if (attention & ATTENTION.yield) {
          Atomics.and(this.#attention, 0, ~ATTENTION.yield);
          return 'yield';
        }
        Atomics.and(this.#attention, 0, ~ATTENTION.nmi);
        const breaks = attention & ATTENTION.interrupt && state.get(STATE.halted) === HALTED.mwaitMasked;
        if (breaks) state.set(STATE.halted, HALTED.no);
        if (attention & ATTENTION.interrupt && state.get(STATE.eflags) & EFLAGS.if && !observer?.holdsInterrupts) {
          if (system.mayInterrupt()) {
            state.set(STATE.halted, 0);
            this.#finder.leaveBranch();
            system.acceptInterrupt();
            continue;
          }
          // In the shadow of STI or MOV SS one instruction runs first.
          alone = true;
        }
      }
      // Blocked until the IRET of the NMI before, it is tried again at the next poll.
      if (this.#nmiPending && system.deliverNmi()) {
        this.#nmiPending = false;
        state.set(STATE.halted, 0);
        this.#finder.leaveBranch();
        continue;
      }
      if (state.get(STATE.halted) !== 0) return 'halt';
      if (state.get(STATE.budget) < 0) return 'budget';
      if (observer) {
        const look = observer.before(this.#finder.linearEip());
        if (look === 'stop') return 'debug';
        if (look === 'alone') alone = true;
      }
      const stepping = (state.get(STATE.mode) & MODE.step) !== 0 || this.mmu.breaksIn(this.#finder.linearEip());
      if (stepping) {
        if (system.beginStep()) {
          this.#finder.leaveBranch();
          continue;
        }
        alone = true;
      }
      const completed = alone ? this.#runAlone() : this.#runBlocks();
      if (stepping && completed) system.endStep();
    }
  }

  /** @returns false when an instruction faulted */
  #runBlocks(): boolean {
    const tier = this.#tier();
    const header = this.#finder.known() || this.#finder.find();
    if (header === 0) {
      this.#deliverFault();
      return false;
    }
    if (header < 0) return this.#runAlone();
    this.#enterBlock();
    return this.#finish(tier.run(header, 1));
  }

  /** Runs one instruction, decoded anew, and no more. */
  #runAlone(): boolean {
    const { state } = this;
    const tier = this.#tier();
    const header = this.#finder.withinLimit() ? this.#code.decodeAlone(this.#finder.linearEip()) : 0;
    if (header === 0) {
      this.#deliverFault();
      return false;
    }
    this.#enterBlock();
    state.set(STATE.block, header);
    state.set(STATE.budget, state.get(STATE.budget) - 1);
    Atomics.or(this.#attention, 0, ATTENTION.alone);
    const exit = tier.run(header + RECORD.bytes, 0);
    Atomics.and(this.#attention, 0, ~ATTENTION.alone);
    state.set(STATE.linkFrom, 0);
    return this.#finish(exit);
  }

  #enterBlock(): void {
    const { state } = this;
    state.set(STATE.blockEip, state.get(STATE.eip));
    if (state.long) state.set(STATE.blockEip + 4, state.get(STATE.eip + 4));
  }

  #finish(exit: number): boolean {
    const { state } = this;
    switch (exit) {
      case EXIT.jumped:
        this.#giveBack(1);
        return true;
      case EXIT.fault:
      case EXIT.restart: {
        const record = state.get(STATE.record);
        const offset = this.#instructionOffset(record);
        if (state.long) state.setAddress(STATE.eip, state.address(STATE.blockEip) + offset);
        else state.set(STATE.eip, state.get(STATE.blockEip) + offset);
        this.#giveBack(0);
        if (exit === EXIT.fault && state.get(STATE.faultVector) >= 0) {
          this.#deliverFault();
          return false;
        }
        return this.#runAlone();
      }
      case EXIT.site: {
        const why = this.#tier1.finishSite();
        if (why === SITE.poll) return true;
        if (why === SITE.fault && state.get(STATE.faultVector) >= 0) {
          this.system.deliverFault();
          return false;
        }
        return this.#runAlone();
      }
      case EXIT.hot:
        this.#tier1.hot();
        return true;
      case EXIT.validate: {
        if (this.#tier1.validate()) return true;
        const header = this.#finder.find();
        if (header <= 0) return true;
        this.#enterBlock();
        return this.#finish(this.#tier().run(header, 2));
      }
      default:
        return true;
    }
  }

  #deliverFault(): void {
    const { state } = this;
    if (state.get(STATE.faultVector) === EXCEPTION.ud && state.get(STATE.cpl) === 0) this.#undefinedInKernel();
    this.system.deliverFault();
  }

  #undefinedInKernel(): void {
    const isProtected = (this.state.get(STATE.cr0) & CR0.pe) !== 0;
    if (isProtected && !isMeantUndefined({ state: this.state, physical: this.#physical })) {
      this.#crashed('undefined-instruction');
    }
  }

  #crashed(kind: Crash['kind']): void {
    if (!this.#onCrash || this.#crashesLeft-- <= 0) return;
    const { state, decoder, history } = this;
    const what = kind === 'triple-fault' ? 'Triple fault' : 'Undefined instruction in kernel mode';
    this.#onCrash({ kind, report: crashReport({ state, physical: this.#physical, decoder, history }, what) });
  }

  /**
   * Corrects the budget, from which the whole block was taken when it was entered.
   * @param completed 1 when the instruction at STATE.record has run
   */
  #giveBack(completed: number): void {
    const { state } = this;
    const header = state.get(STATE.block);
    const done = this.#code.countThrough(header, state.get(STATE.record)) - 1 + completed;
    const counted = this.#words[(header + RECORD.imm) >> 2];
    state.set(STATE.budget, state.get(STATE.budget) + counted - done);
  }

  #instructionOffset(record: number): number {
    return (this.#words[(record + RECORD.segment) >> 2] >>> 16) & 0xffff;
  }
}
