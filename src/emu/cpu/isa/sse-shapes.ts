/** The four shapes of SSE floating-point operands (PS, SS, PD, SD), so that an operation is written once for all. */
import {
  f32,
  f64,
  type I32,
  i32,
  i64,
  k128,
  kf32,
  kf64,
  select,
  type V128,
  type Val,
  type ValType,
  v128,
} from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { source } from './sse-support.ts';

type Binary<T extends ValType, R extends ValType> = (a: Val<T>, b: Val<T>) => Val<R>;
type Unary<T extends ValType> = (a: Val<T>) => Val<T>;

/** Values of type T; comparisons give masks of type M. */
export interface Shape<T extends ValType, M extends ValType> {
  readonly suffix: 'ps' | 'ss' | 'pd' | 'sd';
  readonly prefix: 'NP' | 'F3' | '66' | 'F2';
  /** Operand type of the notation. */
  readonly operand: 'x' | 'd' | 'q';
  readonly bits: 32 | 64;
  readonly lanes: 1 | 2 | 4;
  readonly add: Binary<T, T>;
  readonly sub: Binary<T, T>;
  readonly mul: Binary<T, T>;
  readonly div: Binary<T, T>;
  /** a < b ? a : b, and a > b ? a : b. */
  readonly min: Binary<T, T>;
  readonly max: Binary<T, T>;
  readonly sqrt: Unary<T>;
  readonly abs: Unary<T>;
  readonly lt: Binary<T, M>;
  readonly le: Binary<T, M>;
  readonly eq: Binary<T, M>;
  readonly and: Binary<M, M>;
  readonly or: Binary<M, M>;
  /** 0 or 1: are all lanes of a mask set? */
  readonly all: (mask: Val<M>) => I32;
  readonly infinity: Val<T>;
  readonly smallestNormal: Val<T>;
  readonly zero: Val<T>;
  readonly read: (e: Ops, n: number) => Val<T>;
  readonly write: (e: Ops, value: Val<T>) => void;
  /** A lane's bits as i32 or i64, and the value with them replaced. */
  readonly lane: (v: Val<T>, lane: number) => Val;
  readonly withLane: (v: Val<T>, lane: number, bits: Val) => Val<T>;
}

const both = (half: bigint): V128 => k128(half, half);
const MIN_32 = 2 ** -126;
const MIN_64 = 2 ** -1022;

export const PS: Shape<'v128', 'v128'> = {
  suffix: 'ps',
  prefix: 'NP',
  operand: 'x',
  bits: 32,
  lanes: 4,
  add: v128.f32x4Add,
  sub: v128.f32x4Sub,
  mul: v128.f32x4Mul,
  div: v128.f32x4Div,
  min: (a, b) => v128.f32x4PMin(b, a),
  max: (a, b) => v128.f32x4PMax(b, a),
  sqrt: v128.f32x4Sqrt,
  abs: v128.f32x4Abs,
  lt: v128.f32x4Lt,
  le: v128.f32x4Le,
  eq: v128.f32x4Eq,
  and: v128.and,
  or: v128.or,
  all: v128.i32x4AllTrue,
  infinity: both(0x7f8000007f800000n),
  smallestNormal: both(0x0080000000800000n),
  zero: both(0n),
  read: source,
  write: (e, v) => e.write128(0, v),
  lane: (v, lane) => v128.i32x4Extract(v, lane),
  withLane: (v, lane, bits) => v128.i32x4Replace(v, lane, bits as Val<'i32'>),
};

export const PD: Shape<'v128', 'v128'> = {
  suffix: 'pd',
  prefix: '66',
  operand: 'x',
  bits: 64,
  lanes: 2,
  add: v128.f64x2Add,
  sub: v128.f64x2Sub,
  mul: v128.f64x2Mul,
  div: v128.f64x2Div,
  min: (a, b) => v128.f64x2PMin(b, a),
  max: (a, b) => v128.f64x2PMax(b, a),
  sqrt: v128.f64x2Sqrt,
  abs: v128.f64x2Abs,
  lt: v128.f64x2Lt,
  le: v128.f64x2Le,
  eq: v128.f64x2Eq,
  and: v128.and,
  or: v128.or,
  all: v128.i64x2AllTrue,
  infinity: both(0x7ff0000000000000n),
  smallestNormal: both(0x0010000000000000n),
  zero: both(0n),
  read: source,
  write: (e, v) => e.write128(0, v),
  lane: (v, lane) => v128.i64x2Extract(v, lane),
  withLane: (v, lane, bits) => v128.i64x2Replace(v, lane, bits as Val<'i64'>),
};

const identity = (mask: I32): I32 => mask;

export const SS: Shape<'f32', 'i32'> = {
  suffix: 'ss',
  prefix: 'F3',
  operand: 'd',
  bits: 32,
  lanes: 1,
  add: f32.add,
  sub: f32.sub,
  mul: f32.mul,
  div: f32.div,
  min: (a, b) => select(f32.lt(a, b), a, b),
  max: (a, b) => select(f32.gt(a, b), a, b),
  sqrt: f32.sqrt,
  abs: f32.abs,
  lt: f32.lt,
  le: f32.le,
  eq: f32.eq,
  and: i32.and,
  or: i32.or,
  all: identity,
  infinity: kf32(Infinity),
  smallestNormal: kf32(MIN_32),
  zero: kf32(0),
  read: (e, n) => e.f.let(f32.reinterpretI32(e.read(n))),
  write: (e, v) => e.write(0, i32.reinterpretF32(v)),
  lane: (v) => i32.reinterpretF32(v),
  withLane: (_v, _lane, bits) => f32.reinterpretI32(bits as Val<'i32'>),
};

export const SD: Shape<'f64', 'i32'> = {
  suffix: 'sd',
  prefix: 'F2',
  operand: 'q',
  bits: 64,
  lanes: 1,
  add: f64.add,
  sub: f64.sub,
  mul: f64.mul,
  div: f64.div,
  min: (a, b) => select(f64.lt(a, b), a, b),
  max: (a, b) => select(f64.gt(a, b), a, b),
  sqrt: f64.sqrt,
  abs: f64.abs,
  lt: f64.lt,
  le: f64.le,
  eq: f64.eq,
  and: i32.and,
  or: i32.or,
  all: identity,
  infinity: kf64(Infinity),
  smallestNormal: kf64(MIN_64),
  zero: kf64(0),
  read: (e, n) => e.f.let(f64.reinterpretI64(e.read64(n))),
  write: (e, v) => e.write64(0, i64.reinterpretF64(v)),
  lane: (v) => i64.reinterpretF64(v),
  withLane: (_v, _lane, bits) => f64.reinterpretI64(bits as Val<'i64'>),
};

/** Lanes that are zero, normal or infinite: neither NaN nor denormal. */
export const ordinary = <T extends ValType, M extends ValType>(s: Shape<T, M>, v: Val<T>): Val<M> =>
  s.or(s.le(s.smallestNormal, s.abs(v)), s.eq(v, s.zero));
