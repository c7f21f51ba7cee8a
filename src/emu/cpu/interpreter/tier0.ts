/** Tier 0 for one kind of code, ready to run: the generated module and the writer of its records. */
import type { Row } from '../isa/row.ts';
import type { Mmu } from '../mmu/mmu.ts';
import type { CpuState } from '../state/cpu-state.ts';
import type { System } from '../system/system.ts';
import type { Callee } from '../wasm/function.ts';
import {
  createFunctionTable,
  type FunctionTable,
  instantiateModule,
  type LinearMemory,
  type WasmFunction,
} from '../wasm/host.ts';
import { interpreterImage } from './image.ts';
import { RecordWriter } from './record-writer.ts';

export interface Tier0 {
  readonly writer: RecordWriter;
  /** See interpreter/build.ts. */
  readonly run: (record: number, isHeader: number) => number;
  /** The kernels of float/, by name: what they take, and themselves. */
  readonly kernels: Readonly<Record<string, Callee>>;
  readonly exports: Readonly<Record<string, WasmFunction>>;
}

export interface Tier0Parts {
  readonly rows: readonly Row[];
  /** For 64-bit code, else for all other modes. */
  readonly long: boolean;
  readonly linear: LinearMemory;
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly system: System;
  /** The functions of tier 1's regions. */
  readonly regions: FunctionTable;
  /** See image.ts. */
  readonly prepared: unknown;
}

export function createTier0(parts: Tier0Parts): Tier0 {
  const { rows, long, linear, state, mmu, system } = parts;
  const { module, cases, tableSize, use, kernels } = interpreterImage(rows, long, state.at, parts.prepared);
  const exports = instantiateModule(module, linear, {
    ...(long ? slow64(mmu) : slow32(mmu)),
    commitWrite: () => mmu.commitWrite(),
    system: (number: number, a: number, b: number, c: number, d: number) => system.call(number, a, b, c, d),
    table: createFunctionTable(tableSize).handle,
    regions: parts.regions.handle,
  });
  return {
    writer: new RecordWriter({ buffer: linear.buffer, stateAt: state.at, rows, cases, use }),
    run: exports['run'] as (record: number, isHeader: number) => number,
    kernels,
    exports,
  };
}

const slow32 = (mmu: Mmu) => ({
  readSlow: (at: number, byteCount: number) => mmu.readSlow(at, byteCount),
  writeSlow: (at: number, byteCount: number) => mmu.writeSlow(at, byteCount),
  modifySlow: (at: number, byteCount: number) => mmu.modifySlow(at, byteCount),
  probeSlow: (at: number, byteCount: number) => mmu.probeSlow(at, byteCount),
});

const slow64 = (mmu: Mmu) => ({
  readSlow: (at: number, byteCount: number) => mmu.readSlow64(at, byteCount),
  writeSlow: (at: number, byteCount: number) => mmu.writeSlow64(at, byteCount),
  modifySlow: (at: number, byteCount: number) => mmu.modifySlow64(at, byteCount),
  probeSlow: (at: number, byteCount: number) => mmu.probeSlow64(at, byteCount),
});
