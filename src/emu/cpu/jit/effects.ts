/** What an instruction does besides its result: found by running its semantics with a recorder. */
import { FunctionBuilder } from '../wasm/function.ts';
import { Frame, type Recorder, type RegionCallees } from './frame.ts';
import { MemoryPlan } from './groups.ts';
import type { Instruction } from './instruction.ts';
import { Tier1Ops } from './tier1-ops.ts';

export type Effects = Readonly<Recorder>;

const ignore = (): void => {};
const TRANSFERS = { branch: ignore, jumpDirect: ignore, jump: ignore };

/** A frame whose code nobody needs. */
export function recordingFrame(callees: RegionCallees, stateAt: number, memory: MemoryPlan): Frame {
  return new Frame({ f: new FunctionBuilder(['i32', 'i32'], 'i32'), stateAt, callees, tlbAt: 0, memory });
}

export const newRecorder = (): Recorder => ({
  flagsRead: false,
  flagsWritten: 0,
  mayLeave: false,
  reads: false,
  writes: false,
  leavesAfterFlags: false,
  kernels: new Set(),
  unsupported: false,
});

/** Runs the semantics of one instruction in a recording frame. */
export function record(frame: Frame, instruction: Instruction, block: number): Recorder {
  const recorder = newRecorder();
  frame.recorder = recorder;
  frame.f.scope(() => {
    instruction.row.semantics(
      new Tier1Ops({ frame, instruction, block, transfers: TRANSFERS, flagsLive: false, writes: false }),
    );
  });
  return recorder;
}

/** Effects by everything of an instruction that they depend on. */
export class EffectsTable {
  readonly #known = new Map<string, Effects>();
  readonly #callees: RegionCallees;
  readonly #stateAt: number;

  constructor(callees: RegionCallees, stateAt: number) {
    this.#callees = callees;
    this.#stateAt = stateAt;
  }

  of(instruction: Instruction): Effects {
    const { d } = instruction;
    // A shift by no bits leaves the flags.
    const key = `${d.rowIndex} ${d.size} ${d.memory} ${d.addressSize} ${d.rep} ${(d.imm & 31) === 0}`;
    let found = this.#known.get(key);
    if (found === undefined) {
      found = record(recordingFrame(this.#callees, this.#stateAt, new MemoryPlan()), instruction, 0);
      this.#known.set(key, found);
    }
    return found;
  }
}
