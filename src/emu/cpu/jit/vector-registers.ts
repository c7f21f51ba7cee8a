/**
 * XMM registers in a region: locals, those that a region uses. A register whose low part is mostly a scalar is two locals,
 * a float and a vector of what is above it; the others are one vector. Upper halves of YMM registers stay in memory.
 */
import { STATE, XMM_BYTES } from '../state/layout.ts';
import {
  type F32,
  type F64,
  f32,
  f64,
  type I32,
  type I64,
  i32,
  i64,
  k32,
  k64,
  type Ordinary,
  recipe,
  type V128,
  v128,
  withKnown,
} from '../wasm/expr.ts';
import type { FunctionBuilder, Var } from '../wasm/function.ts';
import type { Instruction } from './instruction.ts';

export const VECTOR_REGISTERS = 16;

type Scalar = 'f32' | 'f64';

/** What a region does with XMM registers. */
export interface VectorUse {
  /** Numbers of those that instructions name. */
  readonly used: readonly number[];
  /** By register: the type of its own local that the low part has. */
  readonly scalars: ReadonlyMap<number, Scalar>;
}
export const NO_VECTORS: VectorUse = { used: [], scalars: new Map() };

const KINDS = 'VWUHL';
/** Number of the XMM register that operand `n` names, or -1. */
export function vectorOperand({ d, operands }: Instruction, n: number): number {
  switch (operands[n].kind) {
    case 'V':
      return d.reg;
    case 'W':
      return d.memory ? -1 : d.rm;
    case 'U':
      return d.rm;
    case 'H':
      return d.vvvv;
    case 'L':
      return d.imm2;
    default:
      return -1;
  }
}

/** @param implicit there are instructions that use registers which they do not name */
export function vectorUse(instructions: Iterable<Instruction>, implicit: boolean): VectorUse {
  const used = new Set<number>();
  if (implicit) used.add(0);
  const votes = new Map<number, { f32: number; f64: number; whole: number }>();
  for (const i of instructions) {
    i.operands.forEach(({ kind, type }, n) => {
      if (!KINDS.includes(kind)) return;
      const register = vectorOperand(i, n);
      if (register < 0) return;
      used.add(register);
      const vote = votes.get(register) ?? { f32: 0, f64: 0, whole: 0 };
      votes.set(register, vote);
      if (type === 'q') vote.f64++;
      else if (type === 'd') vote.f32++;
      else if (!NEUTRAL.has(i.row.mnemonic)) vote.whole++;
    });
  }
  const scalars = new Map<number, Scalar>();
  for (const [register, { f32: singles, f64: doubles, whole }] of votes) {
    if (doubles > Math.max(singles, whole)) scalars.set(register, 'f64');
    else if (singles > Math.max(doubles, whole)) scalars.set(register, 'f32');
  }
  return { used: [...used].sort((a, b) => a - b), scalars };
}
/** Copies and zeroing cost the same either way. */
const NEUTRAL: ReadonlySet<string> = new Set(['movaps', 'movapd', 'movdqa', 'xorps', 'xorpd', 'pxor']);

interface Register {
  /** All of it, or what is above `low`. */
  readonly rest: Var<'v128'>;
  readonly low: Var<Scalar> | undefined;
}

export class VectorRegisters {
  readonly #f: FunctionBuilder;
  readonly #stateAt: number;
  readonly #use: VectorUse;
  readonly #registers: Register[] = [];
  /** By register: may it differ from the state block? */
  readonly #written: boolean[] = [];
  #spilled = false;

  constructor(f: FunctionBuilder, stateAt: number, use: VectorUse) {
    this.#f = f;
    this.#stateAt = stateAt;
    this.#use = use;
  }

  get count(): number {
    return this.#use.used.length;
  }

  #at(n: number): number {
    return this.#stateAt + STATE.xmm + n * XMM_BYTES;
  }

  #register(n: number): Register {
    const known = this.#registers[n];
    if (known) return known;
    const scalar = this.#use.scalars.get(n);
    const made = {
      rest: this.#f.permanentLocal('v128'),
      low: scalar && this.#f.permanentLocal<Scalar>(scalar),
    };
    this.#registers[n] = made;
    return made;
  }

  /** From the state block, all that are used. */
  load(): void {
    for (const n of this.#use.used) {
      const { rest, low } = this.#register(n);
      this.#f.set(rest, v128.load(k32(0), this.#at(n)));
      if (low?.type === 'f64') this.#f.set(low, f64.load(k32(0), this.#at(n)));
      else if (low) this.#f.set(low, f32.load(k32(0), this.#at(n)));
    }
  }
  /** To the state block, those that are written. */
  store(): void {
    for (const n of this.#use.used) if (this.#written[n]) this.#f.store128(k32(0), this.#whole(n), this.#at(n));
  }
  /** To the state block, all; nothing when it has them. */
  save(): void {
    if (!this.#spilled) for (const n of this.#use.used) this.#f.store128(k32(0), this.#whole(n), this.#at(n));
  }
  /** To the state block, all: for an instruction that finds them there. What it writes otherwise goes there too. */
  spill(): void {
    this.save();
    this.#spilled = true;
  }
  /** After those. */
  reload(): void {
    this.#spilled = false;
    for (const n of this.#use.used) this.#written[n] = true;
    this.load();
  }

  #whole(n: number): V128 {
    const { rest, low } = this.#register(n);
    if (low === undefined) return rest.get;
    return low.type === 'f64'
      ? v128.f64x2Replace(rest.get, 0, low.get as never)
      : v128.f32x4Replace(rest.get, 0, low.get as never);
  }

  /** All of a register, evaluated. */
  read(n: number, ordinary: Ordinary | undefined): V128 {
    const { rest, low } = this.#register(n);
    const more = ordinary ? { ordinary } : {};
    const high = this.#f.let(rest.get);
    if (low === undefined) return withKnown(high, { settled: true, ...more });
    const scalar = this.#f.let(low.get);
    const code =
      low.type === 'f64'
        ? v128.f64x2Replace(high, 0, scalar as never).code
        : v128.f32x4Replace(high, 0, scalar as never).code;
    const parts = { low: withKnown(scalar, more) as F32 | F64, rest: high };
    return recipe('v128', code, undefined, undefined, { settled: true, parts, ...more });
  }
  read64(n: number, ordinary: Ordinary | undefined): I64 {
    const { rest, low } = this.#register(n);
    if (low?.type === 'f32') return this.#f.let(v128.i64x2Extract(this.#whole(n), 0));
    const value = this.#f.let(low ? (low.get as never) : v128.f64x2Extract(rest.get, 0));
    return i64.reinterpretF64(ordinary ? withKnown(value, { ordinary }) : value);
  }
  read32(n: number, ordinary: Ordinary | undefined): I32 {
    const { rest, low } = this.#register(n);
    if (low?.type === 'f64') return this.#f.let(i32.wrap(i64.reinterpretF64(low.get as never)));
    const value = this.#f.let(low ? (low.get as never) : v128.f32x4Extract(rest.get, 0));
    return i32.reinterpretF32(ordinary ? withKnown(value, { ordinary }) : value);
  }

  write(n: number, value: V128): void {
    this.#set(n, value);
    this.#settle(n);
  }
  #set(n: number, value: V128): void {
    const { rest, low } = this.#change(n);
    if (low === undefined) {
      this.#f.set(rest, value);
      return;
    }
    const parts = value.known?.parts;
    if (parts?.low.type === low.type) {
      this.#f.set(low, parts.low);
      this.#f.set(rest, parts.rest);
      return;
    }
    const v = this.#f.let(value);
    this.#f.set(rest, v);
    this.#f.set(low, low.type === 'f64' ? v128.f64x2Extract(v, 0) : v128.f32x4Extract(v, 0));
  }
  write64(n: number, value: I64): void {
    const { rest, low } = this.#change(n);
    const float = f64.reinterpretI64(value);
    if (low?.type === 'f64') this.#f.set(low, float);
    else if (low) this.#set(n, v128.f64x2Replace(this.#whole(n), 0, float));
    else if (value.known?.float) this.#f.set(rest, v128.f64x2Replace(rest.get, 0, float));
    else this.#f.set(rest, v128.i64x2Replace(rest.get, 0, value));
    this.#settle(n);
  }
  write32(n: number, value: I32): void {
    const { rest, low } = this.#change(n);
    const float = f32.reinterpretI32(value);
    if (low?.type === 'f32') this.#f.set(low, float);
    else if (low) {
      const upper = i64.and(i64.reinterpretF64(low.get as never), k64(-(1n << 32n)));
      this.#f.set(low, f64.reinterpretI64({ ...i64.or(upper, i64.extendU(value)) }));
    } else if (value.known?.float) this.#f.set(rest, v128.f32x4Replace(rest.get, 0, float));
    else this.#f.set(rest, v128.i32x4Replace(rest.get, 0, value));
    this.#settle(n);
  }

  #settle(n: number): void {
    if (this.#spilled) this.#f.store128(k32(0), this.#whole(n), this.#at(n));
  }
  #change(n: number): Register {
    this.#written[n] = true;
    return this.#register(n);
  }
}
