/**
 * Runs the semantics of one row as WebAssembly, without decoder or interpreter, for tests.
 *
 * Operands are given: register operands are words of STATE.kernelScratch, memory operands one linear address. Guest
 * addresses are physical addresses (no paging). One function a run: system calls go to the bench's System.
 */
import { LINEAR, STATE } from '../state/layout.ts';
import { STATUS, SYSTEM_CALLS, type SystemCall } from '../system/calls.ts';
import type { CpuBench } from '../system/cpu-bench.suite.ts';
import { type I32, i32, i64, k32, type Word, word } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder } from '../wasm/function.ts';
import { instantiate } from '../wasm/host.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { conditionOfWords, wordsOf } from './flag-ops.ts';
import type { Ops, Width32 } from './ops.ts';
import type { Row } from './row.ts';

export interface RunOptions {
  readonly size?: 16 | 32;
  readonly stack32?: boolean;
  readonly address32?: boolean;
  readonly rep?: 'none' | 'rep' | 'repne';
  /** Values of register and immediate operands. */
  readonly operands?: readonly number[];
  /** Linear address of the memory operand; without it all operands are registers. */
  readonly memory?: number;
  /** What `slot` answers. */
  readonly slot?: number;
}

export class RowRunner {
  readonly #cpu: CpuBench;

  constructor(cpu: CpuBench) {
    this.#cpu = cpu;
  }

  /** Register operand `n` after the run, unsigned. */
  operand(n: number): number {
    return this.#cpu.state.get(STATE.kernelScratch + n * 4) >>> 0;
  }

  build(row: Row, options: RunOptions): Uint8Array<ArrayBuffer> {
    const { pages } = this.#cpu.memory;
    const module = new ModuleBuilder({ initial: pages, maximum: pages });
    const system = module.import('system', ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32');
    module.define(
      [],
      'i32',
      (f) => {
        row.semantics(makeOps(f, row, options, this.#cpu.state.at, system));
        f.return(k32(STATUS.next));
      },
      'run',
    );
    return module.bytes();
  }

  /** @returns 'ok', 'jumped', or the fault as `CpuBench.takeFault` gives it */
  run(row: Row, options: RunOptions): unknown {
    const cpu = this.#cpu;
    options.operands?.forEach((value, n) => {
      cpu.state.set(STATE.kernelScratch + n * 4, value);
    });
    const bytes = this.build(row, options);
    const exports = instantiate(bytes, cpu.memory, {
      system: (n, a, b, c, d) => cpu.system.call(n, a, b, c, d),
    });
    const status = exports['run']();
    if (status === STATUS.fault) return cpu.takeFault();
    return status === STATUS.jumped ? 'jumped' : 'ok';
  }
}

function makeOps(f: FunctionBuilder, row: Row, options: RunOptions, stateAt: number, system: Callee<'i32'>): Ops {
  const size = (row.options.size ?? options.size ?? 32) as Width32;
  const field = (offset: number): I32 => k32(stateAt + offset);
  const get = (offset: number): I32 => f.let(i32.load(field(offset)));
  const host = (at: I32): I32 => i32.add(at, k32(LINEAR.guest));
  const operandField = (n: number): number => STATE.kernelScratch + n * 4;
  const isMemory = (n: number): boolean => options.memory !== undefined && /^M/.test(row.operands.split(',')[n] ?? '');
  const load = (bits: Width32, at: I32): I32 =>
    f.let(bits === 8 ? i32.load8U(host(at)) : bits === 16 ? i32.load16U(host(at)) : i32.load(host(at)));
  const callSystem = (name: SystemCall, args: readonly Word[]): I32 => {
    const four = [...args.map((a) => word.low(a)), k32(0), k32(0), k32(0), k32(0)].slice(0, 4);
    return f.let(call(system, k32(SYSTEM_CALLS.indexOf(name)), ...four));
  };
  const raise = (vector: number, errorCode?: I32): void => {
    f.store32(field(STATE.faultVector), k32(vector));
    f.store32(field(STATE.faultErrorCode), errorCode ?? k32(0));
    f.store32(field(STATE.faultHasErrorCode), k32(errorCode ? 1 : 0));
    f.return(k32(STATUS.fault));
  };
  const unused = (): never => {
    throw new Error(`row ${row.opcode} uses something the runner has not`);
  };
  const ops: Ops = {
    f,
    size,
    long: false,
    addressSize: options.address32 === false ? 16 : 32,
    stackSize: options.stack32 === false ? 16 : 32,
    rep: options.rep ?? 'none',
    read: (n) => get(operandField(n)),
    readWord: (n) => get(operandField(n)),
    widthOf: () => size,
    registerNumber: () => i32.shrU(k32((options.slot ?? stateAt + STATE.gpr) - stateAt - STATE.gpr), k32(3)),
    register: (_bits, n) => get(STATE.gpr + n * 8),
    setRegister: (bits, n, value) => {
      const at = field(STATE.gpr + n * 8);
      if (bits === 16) f.store16(at, value as I32);
      else f.store32(at, value as I32);
    },
    setFlags: (flags) => {
      const { result, aux } = wordsOf(ops, flags);
      if (result) f.store32(field(STATE.flagResult), result as I32);
      if (aux) f.store32(field(STATE.flagAux), aux);
    },
    flagResult: () => get(STATE.flagResult),
    flagAux: () => get(STATE.flagAux),
    condition: (code) => conditionOfWords(ops, code),
    loadWord: (bits, at) => load(bits as Width32, at as I32),
    getAddress: get,
    query64: unused,
    readSigned: (n) => {
      const v = get(operandField(n));
      return size === 16 ? i32.extend16S(v) : v;
    },
    write: (n, value) => f.store32(field(operandField(n)), value as I32),
    modify: (n, change) => f.store32(field(operandField(n)), change(get(operandField(n))) as I32),
    isMemory,
    offsetOf: unused,
    linear: () => k32(options.memory ?? 0),
    vectorIndex: () => ({ slot: k32(stateAt + STATE.xmm), shift: k32(0) }),
    slot: () => k32(options.slot ?? stateAt + STATE.gpr),
    upper: () => k32((options.slot ?? stateAt + STATE.gpr) + 16),
    load: (bits, at) => load(bits, at as I32),
    store: (bits, address, v) => {
      const at = address as I32;
      const value = v as I32;
      if (bits === 8) f.store8(host(at), value);
      else if (bits === 16) f.store16(host(at), value);
      else f.store32(host(at), value);
    },
    probe: () => {},
    checkSegment: () => {},
    get,
    set: (offset, value) => f.store32(field(offset), value),
    addressOf: field,
    raise,
    raiseIf: (condition, vector, errorCode) => f.if(condition, () => raise(vector, errorCode)),
    eip: () => get(STATE.eip),
    nextEip: () => get(STATE.nextEip),
    system: (name, ...args) => f.return(callSystem(name, args)),
    query: (name, ...args) => {
      const status = callSystem(name, args);
      f.if(status, () => f.return(status));
      return get(STATE.queryResult);
    },
    segmentBase: () => k32(0),
    segmentSelector: unused,
    read64: unused,
    read128: unused,
    write64: unused,
    write128: unused,
    load64: (at) => f.let(i64.load(host(at as I32))),
    load128: unused,
    store64: unused,
    store128: unused,
    get64: unused,
    set64: unused,
    jumpRelative: unused,
    branch: unused,
    readable: unused,
    writable: unused,
    jump: unused,
    again: unused,
    kernel: unused,
    repeatLimit: unused,
    spend: unused,
    left: () => k32(0),
  };
  return ops;
}
