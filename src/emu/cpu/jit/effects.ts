/** What an instruction does besides its result: found by running its semantics with a recorder. */
import type { Decoded } from '../decoder/decoded.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { Frame, noCallees, type Recorder, type RegionCallees } from './frame.ts';
import { MemoryPlan } from './groups.ts';
import type { Instruction } from './instruction.ts';
import { Tier1Ops } from './tier1-ops.ts';
import { NO_VECTORS } from './vector-registers.ts';

export type Effects = Readonly<Recorder>;

const ignore = (): void => {};
const TRANSFERS = { branch: ignore, jumpDirect: ignore, jump: ignore };

/** A frame whose code nobody needs. */
export function recordingFrame(
  { long, kernel32 }: { long: boolean; kernel32: boolean },
  callees: RegionCallees,
  stateAt: number,
  memory: MemoryPlan,
): Frame {
  const f = new FunctionBuilder(['i32', long ? 'i64' : 'i32'], 'i32', true);
  const parts = { f, long, kernel32, stateAt, callees, tlbAt: 0, epochAt: 0, memory };
  return new Frame({ ...parts, vectors: NO_VECTORS, withX87: true, units: new Set() });
}

export const newRecorder = (): Recorder => ({
  flagsRead: false,
  flagsWritten: 0,
  mayLeave: false,
  reads: false,
  writes: false,
  leavesAfterFlags: false,
  kernels: new Set(),
  vectorsInMemory: false,
  units: new Set(),
  x87Short: false,
  x87Waits: false,
  x87InMemory: false,
  unsupported: false,
});

/** Runs the semantics of one instruction in a recording frame. */
export function record(frame: Frame, instruction: Instruction, block: number): Recorder {
  const recorder = newRecorder();
  frame.recorder = recorder;
  frame.f.scope(() => {
    instruction.row.semantics(
      new Tier1Ops({
        frame,
        instruction,
        block,
        transfers: TRANSFERS,
        flagsLive: false,
        writes: false,
        shortX87: true,
      }),
    );
  });
  return recorder;
}

/** Effects by everything of an instruction that they depend on. */
export class EffectsTable {
  /** Of 64-bit code, or of 32-bit code. */
  readonly long: boolean;
  readonly #known = new Map<number, Effects>();
  readonly #callees: RegionCallees;
  readonly #stateAt: number;

  constructor(long: boolean, kernels: RegionCallees['kernels'], stateAt: number) {
    this.long = long;
    this.#callees = noCallees(kernels, long);
    this.#stateAt = stateAt;
  }

  of(instruction: Instruction): Effects {
    const key = keyOf(instruction.d);
    let found = this.#known.get(key);
    if (found === undefined) {
      // Of kernels too: what a call of the system may do covers what they do without one.
      const code = { long: this.long, kernel32: false };
      found = record(recordingFrame(code, this.#callees, this.#stateAt, new MemoryPlan()), instruction, 0);
      this.#known.set(key, found);
    }
    return found;
  }
}

const REPEATS: Readonly<Record<Decoded['rep'], number>> = { none: 0, rep: 1, repne: 2 };
/** Widths have one bit each, 8 to 64. */
function keyOf(d: Decoded): number {
  // A shift by no bits leaves the flags.
  const still = (d.imm & (d.size === 64 ? 63 : 31)) === 0 ? 1 : 0;
  const form = ((d.size | (d.addressSize >> 4)) << 4) | (REPEATS[d.rep] << 2) | (d.memory ? 2 : 0) | still;
  return d.rowIndex * 4096 + form;
}

/** Does an instruction work on x87 registers in locals? Else it may need them in the state block. */
export const isShortX87 = (e: Effects): boolean => e.x87Short && !e.x87InMemory;
