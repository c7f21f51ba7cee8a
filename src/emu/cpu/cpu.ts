/**
 * One virtual CPU: the state block, the MMU, the system part and tier 0, and the loop that runs guest code.
 *
 * `run` executes until its budget is used, the CPU halts, or somebody wants the thread. Everything a guest can do is a
 * value in the state block; nothing here throws on guest input.
 */
import type { IoBus } from '#emu/bus/io-bus.ts';
import type { InterruptSource } from '#emu/bus/wires.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Decoder } from './decoder/decoder.ts';
import { x87Transcendental } from './float/transcendental.ts';
import { buildInterpreter } from './interpreter/build.ts';
import { CaseTable } from './interpreter/cases.ts';
import { CodeCache } from './interpreter/code-cache.ts';
import { EXIT } from './interpreter/exits.ts';
import { RecordWriter } from './interpreter/record-writer.ts';
import { EXCEPTION } from './isa/ops.ts';
import { instructionTable } from './isa/table.ts';
import { Mmu } from './mmu/mmu.ts';
import { CpuState } from './state/cpu-state.ts';
import { EFLAGS } from './state/flags.ts';
import { ATTENTION, GPR, JUMP_CACHE, MODE, RECORD, SEG, STATE } from './state/layout.ts';
import type { CpuFeatures } from './system/cpu-features.ts';
import { System } from './system/system.ts';
import { instantiate, type LinearMemory } from './wasm/host.ts';

export interface CpuParts {
  readonly linear: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly ports: IoBus;
  readonly interrupts: InterruptSource;
  /** Ticks of the time-stamp counter since power-on. */
  readonly tsc: () => number;
  /** Overwrites the bytes, at most 65 536, from a secure source: RDRAND and RDSEED. They are not announced without it. */
  readonly random?: ((into: Uint8Array) => void) | undefined;
  /** Default: all that there are. */
  readonly features?: CpuFeatures;
  /** An unmasked x87 exception with CR0.NE = 0. @returns true when the board ignores it (IGNNE#) */
  readonly onFloatError?: () => boolean;
  /** Triple fault. */
  readonly onShutdown?: () => void;
}

/** Why `run` came back. */
export type RunExit = 'budget' | 'halt' | 'shutdown' | 'yield';

/** A CPU's part of a saved machine: the state block as it is. */
export interface CpuSave {
  readonly version: 1;
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
}

export class Cpu {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly system: System;
  readonly decoder: Decoder;
  readonly #code: CodeCache;
  readonly #run: (record: number, isHeader: number) => number;
  readonly #words: Int32Array;
  readonly #attention: Int32Array;
  #nmiPending = false;
  #retiredBase = 0;
  #sliceBudget = 0;

  constructor(parts: CpuParts) {
    const { linear, physical } = parts;
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
      tsc: parts.tsc,
      random: parts.random,
      x87Transcendental: (which) => x87Transcendental(this.state, which),
      ...(parts.features ? { features: parts.features } : {}),
      callbacks: {
        onShutdown: () => {
          this.state.set(STATE.shutdown, 1);
          onShutdown?.();
        },
        ...(onFloatError ? { onFloatError } : {}),
      },
    });
    this.decoder = new Decoder(instructionTable);
    const cases = new CaseTable(instructionTable);
    const built = buildInterpreter(cases, this.state.at, linear.pages);
    const writer = new RecordWriter({
      buffer: linear.buffer,
      stateAt: this.state.at,
      rows: instructionTable,
      cases,
      use: built.use,
    });
    this.#code = new CodeCache({ physical, state: this.state, mmu: this.mmu, decoder: this.decoder, writer });
    const { mmu, system } = this;
    const exports = instantiate(
      built.bytes,
      linear,
      {
        readSlow: (at, byteCount) => mmu.readSlow(at, byteCount),
        writeSlow: (at, byteCount) => mmu.writeSlow(at, byteCount),
        modifySlow: (at, byteCount) => mmu.modifySlow(at, byteCount),
        commitWrite: () => {
          mmu.commitWrite();
          return undefined;
        },
        probeSlow: (at, byteCount) => mmu.probeSlow(at, byteCount),
        system: (number, a, b, c, d) => system.call(number, a, b, c, d),
      },
      built.tableSize,
    );
    this.#run = exports['run'] as (record: number, isHeader: number) => number;
    physical.onMapChanged = () => mmu.flush(false);
    this.reset();
  }

  get halted(): boolean {
    return this.state.get(STATE.halted) !== 0;
  }

  /** Instructions executed since the machine was made; exact outside `run`. */
  get retired(): number {
    return this.#retiredBase;
  }

  /** RESET#: registers as after power-on; memory stays. */
  reset(): void {
    this.system.reset();
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

  /** The reader of the dirty map has cleared it. */
  flushTracked(): void {
    this.mmu.flushTracked();
  }

  /** Starts at a loader's entry instead of the reset vector. */
  enter(entry: CpuEntry): void {
    const { state, system } = this;
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
    system.reload();
  }

  /** Executes up to `instructions` (a block more at most). Returns at once while halted without an interrupt. */
  run(instructions: number): RunExit {
    const { state } = this;
    state.set(STATE.budget, instructions);
    this.#sliceBudget = instructions;
    const exit = this.#loop();
    this.#retiredBase += this.#sliceBudget - state.get(STATE.budget);
    state.set(STATE.budget, 0);
    this.#sliceBudget = 0;
    return exit;
  }

  save(): CpuSave {
    const { at } = this.state;
    const state = new Uint8Array(STATE.end);
    state.set(new Uint8Array(this.#words.buffer, at, STATE.end));
    return {
      version: 1,
      state,
      interruptRequested: (Atomics.load(this.#attention, 0) & ATTENTION.interrupt) !== 0,
      nmiPending: this.#nmiPending,
    };
  }

  restore(saved: CpuSave): void {
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
      let alone = false;
      const attention = Atomics.load(this.#attention, 0);
      if (attention !== 0) {
        if (attention & ATTENTION.yield) {
          Atomics.and(this.#attention, 0, ~ATTENTION.yield);
          return 'yield';
        }
        Atomics.and(this.#attention, 0, ~ATTENTION.nmi);
        if (attention & ATTENTION.interrupt && state.get(STATE.eflags) & EFLAGS.if) {
          if (system.mayInterrupt()) {
            state.set(STATE.halted, 0);
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
        continue;
      }
      if (state.get(STATE.halted) !== 0) return 'halt';
      if (state.get(STATE.budget) < 0) return 'budget';
      const stepping = (state.get(STATE.mode) & MODE.step) !== 0;
      if (stepping) {
        if (system.beginStep()) continue;
        alone = true;
      }
      const completed = alone ? this.#runAlone() : this.#runBlocks();
      if (stepping && completed) system.endStep();
    }
  }

  /** @returns false when an instruction faulted */
  #runBlocks(): boolean {
    const { state } = this;
    const header = this.#find();
    if (header === 0) {
      this.system.deliverFault();
      return false;
    }
    if (header < 0) return this.#runAlone();
    state.set(STATE.blockEip, state.get(STATE.eip));
    return this.#finish(this.#run(header, 1));
  }

  /** Runs one instruction, decoded anew, and no more. */
  #runAlone(): boolean {
    const { state } = this;
    const header = this.#withinLimit() ? this.#code.decodeAlone(this.#linearEip()) : 0;
    if (header === 0) {
      this.system.deliverFault();
      return false;
    }
    state.set(STATE.blockEip, state.get(STATE.eip));
    state.set(STATE.block, header);
    state.set(STATE.budget, state.get(STATE.budget) - 1);
    Atomics.or(this.#attention, 0, ATTENTION.alone);
    const exit = this.#run(header + RECORD.bytes, 0);
    Atomics.and(this.#attention, 0, ~ATTENTION.alone);
    state.set(STATE.linkFrom, 0);
    return this.#finish(exit);
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
        const eip = state.get(STATE.blockEip) + this.#instructionOffset(record);
        state.set(STATE.eip, eip);
        this.#giveBack(0);
        if (exit === EXIT.fault && state.get(STATE.faultVector) >= 0) {
          this.system.deliverFault();
          return false;
        }
        return this.#runAlone();
      }
      default:
        return true;
    }
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

  #linearEip(): number {
    return (this.state.base(SEG.cs) + this.state.get(STATE.eip)) | 0;
  }

  /** Is EIP inside the code segment? If not, #GP(0) is set. */
  #withinLimit(): boolean {
    const { state } = this;
    if (state.get(STATE.mode) & MODE.flat) return true;
    if (state.get(STATE.eip) >>> 0 <= state.limit(SEG.cs)) return true;
    state.set(STATE.faultVector, EXCEPTION.gp);
    state.set(STATE.faultErrorCode, 0);
    state.set(STATE.faultHasErrorCode, 1);
    state.set(STATE.faultIsSoftware, 0);
    return false;
  }

  /** The block at EIP; remembers it for the next time. 0: a fault was set; -1: only alone. */
  #find(): number {
    const { state } = this;
    const eip = state.get(STATE.eip);
    if (!this.#withinLimit()) return 0;
    const from = state.get(STATE.block);
    const header = this.#code.find(this.#linearEip());
    const linkFrom = state.get(STATE.linkFrom);
    state.set(STATE.linkFrom, 0);
    if (header <= 0) return header;
    const entry =
      state.get(STATE.jumpCacheBase) + ((eip ^ (eip >>> 12)) & (JUMP_CACHE.entries - 1)) * JUMP_CACHE.entryBytes;
    this.#words[(entry + JUMP_CACHE.tag) >> 2] = eip;
    this.#words[(entry + JUMP_CACHE.record) >> 2] = header;
    if (linkFrom !== 0) this.#code.link(linkFrom, from, header, eip);
    return header;
  }
}
