/** Builds the module of a batch of regions: a function each, and the slow paths they share. */
import { STATE, TLB } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { emitRegion, type Planned } from './emit.ts';
import type { ExitSites } from './exit-sites.ts';
import type { RegionCallees } from './frame.ts';

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
  const readSlow = module.import('readSlow', ['i32', 'i32'], 'i32');
  const imported = {
    readSlow,
    writeSlow: module.import('writeSlow', ['i32', 'i32'], 'i32'),
    modifySlow: module.import('modifySlow', ['i32', 'i32'], 'i32'),
    commitWrite: module.import('commitWrite', [], 'void'),
    probeSlow: module.import('probeSlow', ['i32', 'i32'], 'i32'),
  };
  const used: Record<string, Callee> = {};
  for (const name of kernelsOf(jobs)) {
    const { params, result } = kernels[name];
    used[name] = module.import(name, params, result);
  }
  const callees: RegionCallees = {
    ...imported,
    readHost: defineLookUp(module, stateAt, TLB.readTag, readSlow),
    writeHost: defineLookUp(module, stateAt, TLB.writeTag, undefined),
    kernels: used,
  };
  const sites: ExitSites[] = [];
  for (const { planned, number, descriptor } of jobs) {
    const emit = (f: FunctionBuilder): void => {
      sites.push(emitRegion(f, planned, callees, stateAt, number, descriptor));
    };
    module.define(['i32', 'i32'], 'i32', emit, String(number));
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

/** (linear, bytes): host address by the TLB, else what `slow` says, else 0. */
function defineLookUp(
  module: ModuleBuilder,
  stateAt: number,
  tag: number,
  slow: Callee<'i32'> | undefined,
): Callee<'i32'> {
  return module.define(['i32', 'i32'], 'i32', (f) => {
    const at = f.param(0, 'i32').get;
    const bytes = f.param(1, 'i32').get;
    const offset = i32.and(i32.shrU(at, k32(8)), k32((TLB.entries - 1) * TLB.entryBytes));
    const entry: I32 = f.let(i32.add(offset, i32.load(k32(0), stateAt + STATE.tlbBase)));
    const last = i32.sub(i32.add(at, bytes), k32(1));
    f.if(i32.eq(i32.load(entry, tag), i32.and(last, k32(PAGE_MASK))), () =>
      f.return(i32.add(at, i32.load(entry, TLB.addend))),
    );
    f.return(slow ? call(slow, at, bytes) : k32(0));
  });
}
