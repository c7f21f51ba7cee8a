/** Builds the module of a batch of regions: a function each, and the slow paths they share. */
import { STATE, TLB, TLB64 } from '../state/layout.ts';
import { STACK_ACCESS } from '../system/calls.ts';
import {
  f64,
  type I32,
  type I64,
  type IntType,
  i32,
  i64,
  k32,
  type Val,
  type ValType,
  v128,
  type Word,
  word,
} from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder } from '../wasm/function.ts';
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
  const commitWrite = module.import('commitWrite', [], 'void');
  const slow = { narrow: importSlow(module, false), wide: importSlow(module, true) };
  const system = module.import('system', ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32');
  const used: Record<string, Callee> = {};
  for (const name of kernelsOf(jobs)) {
    const { params, result } = kernels[name];
    used[name] = module.import(name, params, result);
  }
  const x87 = jobs.some((job) => usesX87(job.planned.effects)) ? defineX87Helpers(module) : NO_HELPERS;
  const shared = { commitWrite, system, kernels: used, x87 };
  const callees = {
    narrow: { ...defineAccesses(module, slow.narrow, stateAt, false), ...shared },
    wide: { ...defineAccesses(module, slow.wide, stateAt, true), ...shared },
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

type Slow = Readonly<Record<'readSlow' | 'writeSlow' | 'modifySlow' | 'probeSlow', Callee<'i32'>>>;

/** Imports of the slow paths: those of 64-bit code have names that end in 64. */
function importSlow(module: ModuleBuilder, long: boolean): Slow {
  const slow = (name: string): Callee<'i32'> =>
    module.import(long ? `${name}64` : name, [long ? 'f64' : 'i32', 'i32'], 'i32');
  return {
    readSlow: slow('readSlow'),
    writeSlow: slow('writeSlow'),
    modifySlow: slow('modifySlow'),
    probeSlow: slow('probeSlow'),
  };
}

type Accesses = Omit<RegionCallees, 'commitWrite' | 'system' | 'kernels' | 'x87'>;

/** What an access does when its place is not known: asks the TLB in use, and then the slow path. */
function defineAccesses(module: ModuleBuilder, slow: Slow, stateAt: number, long: boolean): Accesses {
  const at: IntType = long ? 'i64' : 'i32';
  const outside = (address: Word): Val => (address.type === 'i64' ? f64.convertI64S(address as I64) : address);
  /** (linear, bytes and STACK_ACCESS, ...rest) */
  const define = (
    callee: Callee<'i32'>,
    tag: 'readTag' | 'writeTag',
    rest: readonly ValType[],
    /** Nothing, or what to do with the host address; the function returns 0 then. */
    found?: (f: FunctionBuilder, host: I32, bytes: I32) => void,
    missed?: (f: FunctionBuilder) => void,
  ): Callee<'i32'> =>
    module.define([at, 'i32', ...rest], 'i32', (f) => {
      const address: Word = f.param(0, at).get;
      const marked = f.param(1, 'i32').get;
      const bytes = f.let(i32.and(marked, k32(STACK_ACCESS - 1)));
      lookUp(f, { address, bytes, tag, long, stateAt }, (host) => {
        if (!found) f.return(host);
        else found(f, host, bytes);
      });
      missed?.(f);
      f.return(call(callee, outside(address), marked));
    });
  const storeScratch = (f: FunctionBuilder, value: Word): void => storeWord(f, k32(stateAt + STATE.scratch), value);
  return {
    read: define(slow.readSlow, 'readTag', []),
    modify: define(slow.modifySlow, 'writeTag', []),
    store32: define(
      slow.writeSlow,
      'writeTag',
      ['i32'],
      (f, host, bytes) => {
        const value = f.param(2, 'i32').get;
        f.if(i32.eq(bytes, k32(4)), () => f.store32(host, value));
        f.if(i32.eq(bytes, k32(2)), () => f.store16(host, value));
        f.if(i32.eq(bytes, k32(1)), () => f.store8(host, value));
        f.return(k32(0));
      },
      (f) => storeScratch(f, f.param(2, 'i32').get),
    ),
    store64: define(
      slow.writeSlow,
      'writeTag',
      ['i64'],
      (f, host) => {
        f.store64(host, f.param(2, 'i64').get);
        f.return(k32(0));
      },
      (f) => storeScratch(f, f.param(2, 'i64').get),
    ),
    storeScratch: define(slow.writeSlow, 'writeTag', [], (f, host) => {
      f.store128(host, v128.load(k32(stateAt + STATE.scratch)));
      f.return(k32(0));
    }),
    probeSlow: slow.probeSlow,
  };
}

const storeWord = (f: FunctionBuilder, at: I32, value: Word): void => {
  if (value.type === 'i64') f.store64(at, value as I64);
  else f.store32(at, value as I32);
};

/** `found` with the host address, when it is in the TLB. */
function lookUp(
  f: FunctionBuilder,
  of: { address: Word; bytes: I32; tag: 'readTag' | 'writeTag'; long: boolean; stateAt: number },
  found: (host: I32) => void,
): void {
  const { address, long } = of;
  const { entries, entryBytes, addend } = long ? TLB64 : TLB;
  const tagAt = (long ? TLB64 : TLB)[of.tag];
  const number = word.low(word.shrU(address, 12 - Math.log2(entryBytes)));
  const offset = i32.and(number, k32((entries - 1) * entryBytes));
  const entry = f.let(i32.add(offset, i32.load(k32(0), of.stateAt + STATE.tlbBase)));
  const last = word.sub(word.add(address, word.toU(address.type, of.bytes)), 1);
  const known = long ? i64.load(entry, tagAt) : i32.load(entry, tagAt);
  f.if(word.eq(known, word.and(last, PAGE_MASK)), () =>
    found(f.let(i32.add(word.low(address), i32.load(entry, addend)))),
  );
}
