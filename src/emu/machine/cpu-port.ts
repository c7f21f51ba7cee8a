/** What the machine asks of its CPU, so that the board can be built and tested around another one. */
import type { IoBus } from '#emu/bus/io-bus.ts';
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import type { InterruptSource } from '#emu/bus/wires.ts';
import type { RegionCompilerPort } from '#emu/cpu/jit/region-order.ts';
import type { TierCounts, TierMode } from '#emu/cpu/jit/tier1.ts';
import type { LinearMemory } from '#emu/cpu/wasm/host.ts';
import type { BootEntry } from '#emu/firmware/boot-entry.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';

/**
 * Why `run` came back: `halt` at once while the CPU waits for an interrupt, `yield` after `requestYield`, `debug` when
 * a debugger wants a stop.
 */
export type CpuExit = 'budget' | 'halt' | 'shutdown' | 'yield' | 'debug';

/** A guest that broke; see `Crash` of the CPU. */
export interface GuestCrash {
  readonly kind: 'triple-fault' | 'undefined-instruction';
  readonly report: string;
}

export interface CpuPort {
  /** Executes up to that many guest instructions. */
  run(instructions: number): CpuExit;
  readonly halted: boolean;
  /** Instructions so far; exact outside `run`. */
  readonly retired: number;
  /** Whether a program has run since it was last asked, and not a kernel alone. */
  takeProgramRan(): boolean;
  /** What compiling hot code has cost. */
  readonly compilation?: TierCounts;
  /** INTR. */
  setInterruptRequest(asserted: boolean): void;
  raiseNmi(): void;
  /** Address line 20 is let through or held at 0. */
  setA20(open: boolean): void;
  /** RESET#. */
  reset(): void;
  /** Makes a `run` in progress come back soon. */
  requestYield(): void;
  /** Starts in the state that a boot loader leaves. */
  enter(entry: BootEntry): void;
  /** The dirty map was cleared: the next write to each tracked page must set it again. */
  flushTracked(): void;
  /** Plain data, without memory. */
  save(): unknown;
  /** Takes what `save` gave. Guest memory has been restored before. */
  restore(state: unknown): void;
}

/** What a CPU is built from. */
export interface CpuParts {
  readonly linear: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly ports: IoBus;
  readonly interrupts: InterruptSource;
  /** Left out: the processor has none. */
  readonly localApic?: LocalApicPort | undefined;
  /** Ticks of the time-stamp counter since power-on. */
  readonly tsc: () => number;
  /** For how many instructions a reading of it holds, with a tick added for each. */
  readonly tscHolds: number;
  /** Overwrites the bytes, at most 65 536, from a secure source. */
  readonly random?: ((into: Uint8Array) => void) | undefined;
  /** An unmasked x87 exception with CR0.NE = 0. @returns true when the board ignores it (IGNNE#) */
  readonly onFloatError: () => boolean;
  readonly onCrash: (crash: GuestCrash) => void;
  readonly tier?: TierMode | undefined;
  readonly regionCompiler?: RegionCompilerPort | undefined;
  readonly preparedInterpreter?: ((long: boolean) => unknown) | undefined;
  readonly nowMs?: (() => number) | undefined;
}
