/**
 * Generates tier 0: a WebAssembly module whose main function walks records with one `br_table`. 64-bit code has a module of
 * its own, made by the same code from its own cases.
 *
 * run(record, isHeader): why it returned (EXIT). With `isHeader` the record is a block's header, else an instruction; with
 * `isHeader` 2 the header's region is not entered.
 */
import { defineFloatKernels } from '../float/kernels.ts';
import { defineSimdKernels } from '../simd/kernels.ts';
import {
  GPR,
  HEADER,
  JUMP_CACHE,
  JUMP_CACHE64,
  LINEAR,
  MAX_REGIONS,
  MODE,
  RECORD,
  SEGMENT,
  STATE,
} from '../state/layout.ts';
import { STATUS, SYSTEM_CALLS } from '../system/calls.ts';
import { type I32, type I64, i32, i64, k32, type Word, word } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder, type Label, type Var } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { type Case, type CaseTable, CHECK, MICRO, MICRO_COUNT } from './cases.ts';
import { EXIT } from './exits.ts';
import type { Exits, HostCallees } from './guest-access.ts';
import { attentionMask, type MemoryUse, Tier0Ops } from './tier0-ops.ts';

/** What is known of a module when it has been made. */
export interface InterpreterFacts {
  readonly tableSize: number;
  /** How each case uses guest memory, by case number. */
  readonly use: readonly (MemoryUse | undefined)[];
  /** Exported under their names. */
  readonly kernels: Readonly<Record<string, Callee>>;
}

const zero = k32(0);

/** In units of 64 KB: what every machine has at least, and what addresses of 32 bits reach. */
const MEMORY_PAGES = { initial: LINEAR.guest / 65536, maximum: 65536 };

/**
 * @param section name of a custom section that the module gets
 * @param describe makes its text, in ASCII
 */
export function buildInterpreter(
  table: CaseTable,
  stateAt: number,
  section: string,
  describe: (facts: InterpreterFacts) => string,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(MEMORY_PAGES);
  const { long } = table;
  const address = long ? 'f64' : 'i32';
  const host: HostCallees = {
    readSlow: module.import('readSlow', [address, 'i32'], 'i32'),
    writeSlow: module.import('writeSlow', [address, 'i32'], 'i32'),
    modifySlow: module.import('modifySlow', [address, 'i32'], 'i32'),
    commitWrite: module.import('commitWrite', [], 'void'),
    probeSlow: module.import('probeSlow', [address, 'i32'], 'i32'),
    system: module.import('system', ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32'),
  };
  const kernels = { ...defineFloatKernels(module), ...defineSimdKernels(module) };
  const use: (MemoryUse | undefined)[] = [];
  const build = { stateAt, long, host, kernels, use };
  for (const c of table.cases) {
    if (c.number >= table.firstCold) module.element(c.number, defineCold(module, c, build));
  }
  if (!long) module.element(MICRO.check, defineCheck(module, stateAt, host.system));
  module.importSecondTable(MAX_REGIONS);
  module.define(['i32', 'i32'], 'i32', (f) => defineRun(f, module, table, build), 'run');
  for (const [name, kernel] of Object.entries(kernels)) module.export(name, kernel);
  module.custom(section, describe({ tableSize: module.tableSize, use, kernels }));
  return module.bytes();
}

interface Build {
  readonly stateAt: number;
  readonly long: boolean;
  readonly host: HostCallees;
  readonly kernels: Record<string, Callee>;
  readonly use: (MemoryUse | undefined)[];
}

const storeAddress = (f: FunctionBuilder, value: Word, at: number): void => {
  if (value.type === 'i64') f.store64(zero, value as I64, at);
  else f.store32(zero, value as I32, at);
};

/** A function of the table: (record) -> EXIT. */
function defineCold(module: ModuleBuilder, c: Case, build: Build): Callee<'i32'> {
  const { stateAt } = build;
  return module.define(['i32'], 'i32', (f) => {
    const exits: Exits = {
      fault: (status) => f.return(status),
      status: (status) => f.if(status, () => f.return(status)),
      near: (target) => {
        storeAddress(f, target, stateAt + STATE.eip);
        f.return(k32(EXIT.near));
      },
    };
    const e = new Tier0Ops({ ...build, f, case: c, record: f.param(0, 'i32').get, exits });
    c.row.semantics(e);
    build.use[c.number] = e.use;
    f.return(k32(EXIT.next));
  });
}

/** The fast part of a segment check; what it cannot decide goes to the system. */
function defineCheck(module: ModuleBuilder, stateAt: number, system: Callee<'i32'>): Callee<'i32'> {
  return module.define(['i32'], 'i32', (f) => {
    const record = f.param(0, 'i32').get;
    const index = i32.shl(i32.load(i32.load16U(record, RECORD.index)), i32.load8U(record, RECORD.shift));
    const sum = i32.add(i32.add(i32.load(i32.load16U(record, RECORD.base)), index), i32.load(record, RECORD.disp));
    const offset = f.let(i32.and(sum, i32.load(record, RECORD.mask)));
    const segment = f.let(i32.load16U(record, RECORD.segment));
    const imm = f.let(i32.load(record, RECORD.imm));
    const bytes = f.let(i32.and(imm, k32(0xffff)));
    const write = f.let(i32.and(i32.shrU(imm, k32(16)), k32(1)));
    const count = i32.and(i32.load(zero, stateAt + STATE.gpr + GPR.ecx * 8), i32.load(record, RECORD.mask));
    f.if(i32.and(i32.ne(i32.and(imm, k32(CHECK.ifCount)), zero), i32.eqz(count)), () => f.return(k32(EXIT.next)));
    const limit = f.let(i32.load(segment, SEGMENT.limit));
    // `writable` follows `readable`.
    const allowed = i32.load(i32.add(segment, i32.shl(write, k32(2))), SEGMENT.readable);
    const inside = i32.and(i32.leU(offset, limit), i32.geU(i32.sub(limit, offset), i32.sub(bytes, k32(1))));
    f.if(i32.and(allowed, inside), () => f.return(k32(EXIT.next)));
    const eip = f.let(i32.add(i32.load(zero, stateAt + STATE.blockEip), i32.load16U(record, RECORD.offset)));
    f.store32(zero, eip, stateAt + STATE.eip);
    f.store32(zero, eip, stateAt + STATE.nextEip);
    const number = i32.shrU(i32.sub(segment, k32(stateAt + STATE.segments)), k32(5));
    f.return(call(system, k32(SYSTEM_CALLS.indexOf('checkSegment')), number, offset, bytes, write));
  });
}

function defineRun(f: FunctionBuilder, module: ModuleBuilder, table: CaseTable, build: Build): void {
  const { stateAt, long } = build;
  const record = f.param(0, 'i32');
  const isHeader = f.param(1, 'i32');
  const status = f.local('i32');
  const target = f.local(long ? 'i64' : 'i32');
  const link = f.local('i32');
  // Of the header in `record`: the region that begins there, or 0, and where the block is in it.
  const region = f.local('i32');
  const regionOffset = f.local('i32');
  const get = (field: number): I32 => i32.load(zero, stateAt + field);
  const set = (field: number, v: I32): void => f.store32(zero, v, stateAt + field);
  const getAddress = (field: number): Word => (long ? i64.load(zero, stateAt + field) : get(field));
  const setAddress = (field: number, v: Word): void => storeAddress(f, v, stateAt + field);
  /** RIP or EIP at an offset from the block's first byte. */
  const fromBlock = (offset: I32): Word => {
    const block = getAddress(STATE.blockEip);
    return word.add(block, word.toU(block.type, offset));
  };
  /** Makes a block the next one. */
  const useHeader = (header: I32): void => {
    f.set(record, header);
    f.set(region, i32.load(header, HEADER.region));
    f.set(regionOffset, i32.load(header, HEADER.regionOffset));
  };
  const hot = table.cases.filter((c) => c.number < table.firstCold);
  const coldType = module.typeIndex(['i32'], 'i32');

  // leave: common exit with `status`, the record is kept. near: goes to `target`; `link` is the record to chain or 0.
  // enter: `record` is a header. next: the following record. dispatch: `record` is an instruction.
  f.if(isHeader.get, () => useHeader(record.get));
  f.loop((outer) => {
    f.block((near) => {
      f.block((leave) => {
        f.block((dispatchFirst) => {
          f.brIf(dispatchFirst, i32.eqz(isHeader.get));
          const leave = (): void => setAddress(STATE.eip, getAddress(STATE.blockEip));
          pollBlock(f, get, leave);
          const allowed = i32.ne(isHeader.get, k32(2));
          const base = word.sub(getAddress(STATE.blockEip), word.toS(long ? 'i64' : 'i32', regionOffset.get));
          enterRegion(f, module, region.get, allowed, status, base);
          f.if(i32.geS(status.get, zero), () => {
            f.if(i32.ne(status.get, k32(EXIT.near)), () => {
              f.if(i32.ne(status.get, k32(EXIT.transferred)), () => f.return(status.get));
              set(STATE.linkFrom, zero);
              f.if(i32.eqz(staysHere(get, long)), () => f.return(status.get));
            });
            f.set(target, getAddress(STATE.eip));
            f.set(link, zero);
            f.br(near);
          });
          countBlock(f, record.get, set, leave);
          enterBlock(f, record, get, set);
        });
        f.set(isHeader, k32(1));
        f.loop((dispatch) => {
          f.block((next) => {
            const cases: ((label: Label) => void)[] = [];
            const exits = (): Exits => ({
              fault: (s) => {
                f.set(status, s);
                f.br(leave);
              },
              status: (s) =>
                f.if(s, () => {
                  f.set(status, s);
                  f.br(leave);
                }),
              near: (t, wantsLink) => {
                f.set(target, t);
                f.set(link, wantsLink ? record.get : zero);
                f.br(near);
              },
            });
            cases[MICRO.end] = () => {
              const end = fromBlock(i32.load(record.get, RECORD.imm));
              exits().near(long ? end : i32.and(end as I32, i32.load(record.get, RECORD.mask)), true);
            };
            cases[MICRO.stop] = () => {
              setAddress(STATE.eip, fromBlock(i32.load(record.get, RECORD.imm)));
              f.set(status, k32(EXIT.stop));
              f.br(leave);
            };
            cases[MICRO.stale] = () => {
              const header = f.let(get(STATE.block));
              set(STATE.budget, i32.add(get(STATE.budget), i32.load(header, RECORD.imm)));
              const newer = f.let(i32.load(header, RECORD.imm2));
              f.if(newer, () => {
                useHeader(newer);
                f.br(outer);
              });
              setAddress(STATE.eip, getAddress(STATE.blockEip));
              set(STATE.linkFrom, zero);
              f.return(k32(EXIT.near));
            };
            const cold = (): void => {
              f.set(status, f.callIndirect(coldType, 'i32', i32.load16U(record.get, RECORD.op), record.get));
              f.brIf(next, i32.eqz(status.get));
              f.brIf(leave, i32.ne(status.get, k32(EXIT.near)));
              f.set(target, getAddress(STATE.eip));
              f.set(link, zero);
              f.br(near);
            };
            cases[MICRO.check] = cold;
            cases[MICRO.raise] = () => {
              set(STATE.faultVector, i32.load(record.get, RECORD.imm));
              set(STATE.faultErrorCode, zero);
              set(STATE.faultHasErrorCode, i32.load(record.get, RECORD.imm2));
              set(STATE.faultIsSoftware, zero);
              f.set(status, k32(STATUS.fault));
              f.br(leave);
            };
            for (const c of hot) {
              cases[c.number] = () => {
                const e = new Tier0Ops({ ...build, f, case: c, record: record.get, exits: exits() });
                c.row.semantics(e);
                build.use[c.number] = e.use;
              };
            }
            // Nested blocks, innermost first: `br_table` leaves n of them to land at case n.
            const open = (n: number, labels: Label[]): void => {
              if (n < 0) {
                f.block((coldLabel) => {
                  f.brTable(i32.load16U(record.get, RECORD.op), labels, coldLabel);
                });
                cold();
                return;
              }
              f.block((label) => {
                labels[n] = label;
                open(n - 1, labels);
              });
              f.scope(() => cases[n](labels[n]));
              f.br(next);
            };
            open(MICRO_COUNT + hot.length - 1, []);
          });
          f.set(record, i32.add(record.get, k32(RECORD.bytes)));
          f.br(dispatch);
        });
      });
      set(STATE.record, record.get);
      f.if(i32.ne(status.get, k32(EXIT.jumped)), () => f.return(status.get));
      f.if(i32.eqz(goesOnHere(record.get, get, long)), () => f.return(status.get));
      f.set(target, getAddress(STATE.eip));
      f.set(link, zero);
    });
    // near
    setAddress(STATE.blockEip, target.get);
    f.if(link.get, () => {
      const known = f.let(i32.load(link.get, RECORD.imm2));
      f.if(known, () => {
        useHeader(known);
        f.br(outer);
      });
    });
    const layout = long ? JUMP_CACHE64 : JUMP_CACHE;
    const goOn = (entry: I32): void => {
      const found = f.let(i32.load(entry, layout.record));
      f.if(found, () => {
        f.set(record, found);
        f.set(region, i32.load(entry, layout.region));
        f.set(regionOffset, i32.load(entry, layout.regionOffset));
        f.if(i32.eqz(region.get), () => {
          useHeader(found);
          f.store32(entry, region.get, layout.region);
          f.store32(entry, regionOffset.get, layout.regionOffset);
        });
        f.br(outer);
      });
    };
    lookUpJump(f, target.get, get(STATE.jumpCacheBase), goOn);
    setAddress(STATE.eip, target.get);
    set(STATE.linkFrom, link.get);
    f.return(k32(EXIT.near));
  });
  f.unreachable();
}

/**
 * After a system call that set EIP, as one of a kernel's entries and returns: may the next block be looked up here? It has
 * to be for the same module, at full speed, and the instruction the last of its block, which has been counted whole.
 */
function goesOnHere(record: I32, get: (field: number) => I32, long: boolean): I32 {
  const last = i32.eq(i32.load16U(record, RECORD.bytes + RECORD.op), k32(MICRO.end));
  return i32.and(staysHere(get, long), last);
}

/** The same after a system call in a region. */
function staysHere(get: (field: number) => I32, long: boolean): I32 {
  const ours = i32.eq(i32.and(get(STATE.mode), k32(MODE.long | MODE.step)), k32(long ? MODE.long : 0));
  return i32.and(ours, i32.eqz(i32.or(get(STATE.halted), get(STATE.shutdown))));
}

/** Looks an EIP up at its place in the jump cache and beside it. `found` gets the entry, whose record may be 0. */
function lookUpJump(f: FunctionBuilder, target: Word, base: I32, found: (entry: I32) => void): void {
  const low = f.let(word.low(target));
  const number = i32.and(i32.xor(low, i32.shrU(low, k32(12))), k32(JUMP_CACHE.entries - 1));
  const { entryBytes } = target.type === 'i64' ? JUMP_CACHE64 : JUMP_CACHE;
  const first = f.let(i32.add(base, i32.shl(number, k32(Math.log2(entryBytes)))));
  const look = (entry: I32, otherwise?: () => void): void => {
    const hit = target.type === 'i64' ? i64.eq(i64.load(entry), target as I64) : i32.eq(i32.load(entry), low);
    f.if(hit, () => found(entry), otherwise);
  };
  // Bases are multiples of two entries.
  look(first, () => look(f.let(i32.xor(first, k32(entryBytes)))));
}

/** Leaves when somebody wants the thread or the budget is used. */
function pollBlock(f: FunctionBuilder, get: (field: number) => I32, leave: () => void): void {
  const attention = i32.and(get(STATE.attention), attentionMask(get(STATE.eflags)));
  f.if(i32.or(attention, i32.shrU(get(STATE.budget), k32(31))), () => {
    leave();
    f.return(k32(EXIT.poll));
  });
}

/** Runs a block's region, unless it is 0: `status` is its EXIT, or -1. */
function enterRegion(
  f: FunctionBuilder,
  module: ModuleBuilder,
  region: I32,
  allowed: I32,
  status: Var<'i32'>,
  base: Word,
): void {
  const type = module.typeIndex(['i32', base.type], 'i32');
  f.set(status, k32(-1));
  f.if(i32.and(i32.ne(region, zero), allowed), () => {
    const slot = i32.shrU(region, k32(16));
    f.set(status, f.callTable(1, type, 'i32', slot, i32.and(region, k32(0xffff)), base));
  });
}

/** Counts the entries of a block, and leaves when they are enough to compile it. */
function countBlock(f: FunctionBuilder, header: I32, set: (field: number, v: I32) => void, leave: () => void): void {
  const heat = f.let(i32.sub(i32.load(header, HEADER.heat), k32(1)));
  f.store32(header, heat, HEADER.heat);
  f.if(i32.eqz(heat), () => {
    leave();
    set(STATE.block, header);
    f.return(k32(EXIT.hot));
  });
}

/** Takes the block's instructions from the budget, and steps to its first instruction. */
function enterBlock(
  f: FunctionBuilder,
  record: Var<'i32'>,
  get: (field: number) => I32,
  set: (field: number, v: I32) => void,
): void {
  set(STATE.budget, i32.sub(get(STATE.budget), i32.load(record.get, RECORD.imm)));
  set(STATE.block, record.get);
  f.set(record, i32.add(record.get, k32(RECORD.bytes)));
}
