/** Builds the module of a batch of regions: a function each, and the slow paths they share. */
import { STATE, TLB, TLB64 } from '../state/layout.ts';
import { i32, i64, k32, type Word, word } from '../wasm/expr.ts';
import type { Callee, FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { emitRegion, type Planned, usesX87 } from './emit.ts';
import type { ExitSites } from './exit-sites.ts';
import type { RegionCallees } from './frame.ts';
import { defineX87Helpers, NO_HELPERS } from './x87-helpers.ts';

/** A region to be generated: its function is exported under the number. */
export interface Job {
  readonly number: number;
  readonly planned: Planned;
  /** Address of the descriptor, of a region of several pages. */
  readonly descriptor: number | undefined;
}

const PAGE_MASK = ~0xfff;

export function buildRegions(
  jobs: readonly Job[],
  kernels: Readonly<Record<string, Callee>>,
  stateAt: number,
  memoryPages: number,
): { bytes: Uint8Array<ArrayBuffer>; sites: ExitSites[] } {
  const module = new ModuleBuilder({ initial: memoryPages, maximum: memoryPages });
  // Imports come before functions.
  const slow = { narrow: importSlow(module, false), wide: importSlow(module, true) };
  const system = module.import('system', ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32');
  const used: Record<string, Callee> = {};
  for (const name of kernelsOf(jobs)) {
    const { params, result } = kernels[name];
    used[name] = module.import(name, params, result);
  }
  const x87 = jobs.some((job) => usesX87(job.planned.effects)) ? defineX87Helpers(module) : NO_HELPERS;
  const callees = {
    narrow: { ...slow.narrow, ...defineLookUps(module, stateAt, false), system, kernels: used, x87 },
    wide: { ...slow.wide, ...defineLookUps(module, stateAt, true), system, kernels: used, x87 },
  };
  const sites: ExitSites[] = [];
  for (const { planned, number, descriptor } of jobs) {
    const { long } = planned.region;
    const emit = (f: FunctionBuilder): void => {
      sites.push(emitRegion(f, planned, long ? callees.wide : callees.narrow, stateAt, number, descriptor));
    };
    module.define(['i32', long ? 'i64' : 'i32'], 'i32', emit, String(number));
  }
  return { bytes: module.bytes(), sites };
}

/** Names of the kernels that a batch calls. */
export function kernelsOf(jobs: readonly Job[]): Set<string> {
  const names = new Set<string>();
  for (const { planned } of jobs) {
    for (const block of planned.effects) for (const e of block) for (const name of e.kernels) names.add(name);
  }
  return names;
}

/** Imports of the slow paths: those of 64-bit code have names that end in 64. */
function importSlow(
  module: ModuleBuilder,
  long: boolean,
): Omit<RegionCallees, 'readHost' | 'writeHost' | 'system' | 'kernels' | 'x87'> {
  const slow = (name: string): Callee<'i32'> =>
    module.import(long ? `${name}64` : name, [long ? 'f64' : 'i32', 'i32'], 'i32');
  return {
    readSlow: slow('readSlow'),
    writeSlow: slow('writeSlow'),
    modifySlow: slow('modifySlow'),
    probeSlow: slow('probeSlow'),
    commitWrite: module.import('commitWrite', [], 'void'),
  };
}

function defineLookUps(
  module: ModuleBuilder,
  stateAt: number,
  long: boolean,
): Pick<RegionCallees, 'readHost' | 'writeHost'> {
  return {
    readHost: defineLookUp(module, stateAt, long, 'readTag'),
    writeHost: defineLookUp(module, stateAt, long, 'writeTag'),
  };
}

/** (linear, bytes): host address by the TLB in use, else 0. */
function defineLookUp(
  module: ModuleBuilder,
  stateAt: number,
  long: boolean,
  tag: 'readTag' | 'writeTag',
): Callee<'i32'> {
  const { entries, entryBytes, addend } = long ? TLB64 : TLB;
  const tagAt = (long ? TLB64 : TLB)[tag];
  return module.define([long ? 'i64' : 'i32', 'i32'], 'i32', (f) => {
    const at: Word = f.param(0, long ? 'i64' : 'i32').get;
    const bytes = f.param(1, 'i32').get;
    const number = word.low(word.shrU(at, 12 - Math.log2(entryBytes)));
    const offset = i32.and(number, k32((entries - 1) * entryBytes));
    const entry = f.let(i32.add(offset, i32.load(k32(0), stateAt + STATE.tlbBase)));
    const last = word.sub(word.add(at, word.toU(at.type, bytes)), 1);
    const known = long ? i64.load(entry, tagAt) : i32.load(entry, tagAt);
    f.if(word.eq(known, word.and(last, PAGE_MASK)), () => f.return(i32.add(word.low(at), i32.load(entry, addend))));
    f.return(k32(0));
  });
}
