/**
 * What the floating-point kernels share: the registry, the scratch area, the words that carry control and flags.
 *
 * Control word of the kernels ("control"): x87 layout, so masks in bits 0-5 (IM DM ZM OM UM PM), precision control in
 * bits 8-9, rounding control in bits 10-11; plus two bits that only MXCSR has: denormals-are-zero in 6, flush-to-zero in 15.
 * Flags: bits 0-5 as in both status words (IE DE ZE OE UE PE), SF in 6 and C1 in 9 as in the x87 status word.
 */
import { unreachable } from '#base/errors.ts';
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, type Val, type ValType } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';

/** Exceptions, and the two x87 status bits that travel with them. */
export const FLAG = { ie: 1, de: 2, ze: 4, oe: 8, ue: 16, pe: 32, sf: 64, c1: 0x200 } as const;
export const CONTROL = {
  daz: 1 << 6,
  precision: 0x300,
  single: 0,
  double: 0x200,
  extended: 0x300,
  rounding: 0xc00,
  nearest: 0,
  down: 0x400,
  up: 0x800,
  zero: 0xc00,
  ftz: 1 << 15,
  /** The bits of the x87 control word that are control (bit 6 reads as 1 and means nothing). */
  x87: 0xf3f,
} as const;
/** x87 condition codes. */
export const CC = { c0: 0x100, c1: 0x200, c2: 0x400, c3: 0x4000, c320: 0x4500 } as const;
/** ES and B: an unmasked exception is pending. */
export const SUMMARY = 0x8080;

/** Layout of STATE.kernelScratch. */
export const SCRATCH = {
  /** i32: flags raised since they were last cleared. */
  flags: STATE.kernelScratch,
  /** An unpacked intermediate or an 80-bit operand that is not in a register: 16 bytes each. */
  operand: STATE.kernelScratch + 16,
  result: STATE.kernelScratch + 32,
  other: STATE.kernelScratch + 48,
} as const;

export const EXTENDED_BIAS = 16383;
/** Exponent field of infinities and NaNs. */
export const EXTENDED_MAX = 0x7fff;
export const INTEGER_BIT: bigint = 1n << 63n;
/** Significand and sign-exponent of the real indefinite QNaN. */
export const INDEFINITE_SIGNIFICAND: bigint = 3n << 62n;
export const INDEFINITE_SIGN_EXPONENT = 0xffff;

/** Functions by name; a function only calls those defined before it. */
export class KernelSet {
  readonly module: ModuleBuilder;
  readonly table: Record<string, Callee> = {};

  constructor(module: ModuleBuilder) {
    this.module = module;
  }

  define<R extends ValType | 'void'>(
    name: string,
    params: readonly ValType[],
    result: R,
    build: (f: FunctionBuilder) => void,
  ): Callee<R> {
    const callee = this.module.define(params, result, build);
    this.table[name] = callee;
    return callee;
  }

  get(name: string): Callee {
    return this.table[name] ?? unreachable(`no kernel ${name}`);
  }

  /** A call for its value. */
  value<R extends ValType>(result: R, name: string, ...args: Val[]): Val<R> {
    const callee = this.get(name);
    if (callee.result !== result) unreachable(`kernel ${name} gives ${callee.result}, not ${result}`);
    return call<R>(callee as Callee<R>, ...args);
  }

  /** A call of a function without a result. */
  run(f: FunctionBuilder, name: string, ...args: Val[]): void {
    f.call(this.get(name) as Callee<'void'>, ...args);
  }
}

export const or32 = (...values: I32[]): I32 => values.reduce((a, b) => i32.or(a, b));
export const and32 = (...values: I32[]): I32 => values.reduce((a, b) => i32.and(a, b));
export const not32 = (v: I32): I32 => i32.eqz(v);
/** 0 or 1: is any bit of `mask` set in `v`? */
export const anyBit = (v: I32, mask: number): I32 => i32.ne(i32.and(v, k32(mask)), k32(0));
/** 0 or 1 as i64. */
export const flag64 = (v: I32): I64 => i64.extendU(v);

/** ORs `flags` into the scratch flags of the state block at `state`. */
export function raiseFlags(f: FunctionBuilder, state: I32, flags: I32): void {
  f.store32(state, i32.or(i32.load(state, SCRATCH.flags), flags), SCRATCH.flags);
}
