/**
 * Expressions of WebAssembly (core specification 2.0 and the threads and SIMD proposals), as typed recipes.
 *
 * A value is a recipe: its code runs where it is emitted. `FunctionBuilder.let` evaluates it once, there and then.
 */
import { unreachable } from '#base/errors.ts';

export type ValType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** Bytes, in parts that are put together only when they are emitted. */
export type Code = readonly (number | Code)[];

export interface Val<T extends ValType = ValType> {
  readonly type: T;
  readonly code: Code;
  /** Of constants: their value, so that arithmetic on constants is done when code is built; of i64 only where it fits 32 bits. */
  readonly constant: number | undefined;
  /** Of integers that are a known distance from an unknown: what tier 1 knows of addresses. */
  readonly origin: Origin | undefined;
  readonly known: Known | undefined;
}
/** What is known of a value besides how to make it; a tier may use it or not. */
export interface Known {
  /** Of an integer: the same bits as a float. */
  readonly float?: F32 | F64;
  /** Of a vector: its lowest lane, and a vector with all that is above it. */
  readonly parts?: { readonly low: F32 | F64; readonly rest: V128 };
  /** Floats that are zero or normal: the lowest lane, or all lanes; 32 or 64 bits each. */
  readonly ordinary?: Ordinary;
  /** The recipe reads locals that nobody assigns any more: there is nothing to evaluate. */
  readonly settled?: true;
}
export interface Ordinary {
  readonly bits: 32 | 64;
  readonly lanes: 'low' | 'all';
}
/** An unknown by its number, and the distance from it. */
export interface Origin {
  readonly symbol: number;
  readonly offset: number;
}
export type I32 = Val<'i32'>;
export type I64 = Val<'i64'>;
export type F32 = Val<'f32'>;
export type F64 = Val<'f64'>;
export type V128 = Val<'v128'>;

/** A value. All are made here and have one shape, because a region's are looked at hundreds of thousands of times. */
export const recipe = <T extends ValType>(
  type: T,
  code: Code,
  constant?: number,
  origin?: Origin,
  known?: Known,
): Val<T> => ({ type, code, constant, origin, known });
/** The same with another origin. */
export const withOrigin = <T extends ValType>(v: Val<T>, origin: Origin | undefined): Val<T> =>
  recipe(v.type, v.code, v.constant, origin, v.known);
/** The same, of which other things are known. */
export const withKnown = <T extends ValType>(v: Val<T>, known: Known | undefined): Val<T> =>
  recipe(v.type, v.code, v.constant, v.origin, known);

/** Unsigned LEB128. */
export function uleb(value: number): number[] {
  const out: number[] = [];
  let v = value;
  do {
    const low = v % 128;
    v = Math.floor(v / 128);
    out.push(v > 0 ? low | 0x80 : low);
  } while (v > 0);
  return out;
}

/** Signed LEB128 of a 32-bit integer. */
export function sleb32(value: number): number[] {
  const out: number[] = [];
  let v = value | 0;
  for (;;) {
    const low = v & 0x7f;
    v >>= 7;
    if ((v === 0 && (low & 0x40) === 0) || (v === -1 && (low & 0x40) !== 0)) {
      out.push(low);
      return out;
    }
    out.push(low | 0x80);
  }
}

/** Signed LEB128 of a 64-bit integer. */
export function sleb64(value: bigint): number[] {
  const out: number[] = [];
  let v = BigInt.asIntN(64, value);
  for (;;) {
    const low = Number(v & 0x7fn);
    v >>= 7n;
    if ((v === 0n && (low & 0x40) === 0) || (v === -1n && (low & 0x40) !== 0)) {
      out.push(low);
      return out;
    }
    out.push(low | 0x80);
  }
}

type Bin<A extends ValType, R extends ValType> = (a: Val<A>, b: Val<A>) => Val<R>;
type Un<A extends ValType, R extends ValType> = (a: Val<A>) => Val<R>;
type Load<R extends ValType> = (at: I32, offset?: number) => Val<R>;

const bin = <A extends ValType, R extends ValType>(result: R, ...op: number[]): Bin<A, R> => {
  return (a, b) => recipe(result, [a.code, b.code, op]);
};
const un = <A extends ValType, R extends ValType>(result: R, ...op: number[]): Un<A, R> => {
  return (a) => recipe(result, [a.code, op]);
};
const load = <R extends ValType>(result: R, ...op: number[]): Load<R> => {
  return (at, offset = 0) => recipe(result, [at.code, op, 0, uleb(offset)]);
};
/** An operation of two i32 that is worked out at once when both are constants; `unit` on the right changes nothing. */
const fold = (op: number, compute: (a: number, b: number) => number, unit?: number): ((a: I32, b: I32) => I32) => {
  return (a, b) => {
    if (b.constant !== undefined) {
      if (a.constant !== undefined) return k32(compute(a.constant, b.constant));
      if (b.constant === unit) return a;
    }
    if (op === 0x6a && a.constant === 0) return b;
    const origin = op === 0x6a || op === 0x6b ? originOf(op, a, b) : undefined;
    return recipe('i32', [a.code, b.code, op], undefined, origin);
  };
};
/** Addition and subtraction of i64: constants of 0 vanish, distances are followed. */
const sum64 = (op: 0x7c | 0x7d): Bin<'i64', 'i64'> => {
  return (a, b) => {
    if (b.constant === 0) return a;
    if (op === 0x7c && a.constant === 0) return b;
    return recipe('i64', [a.code, b.code, op], undefined, originOf(op, a, b));
  };
};
const originOf = (op: number, a: Val<IntType>, b: Val<IntType>): Origin | undefined => {
  const adds = op === 0x6a || op === 0x7c;
  if (a.origin !== undefined && b.constant !== undefined)
    return movedOrigin(a.type, a.origin, adds ? b.constant : -b.constant);
  if (adds && b.origin !== undefined && a.constant !== undefined) return movedOrigin(b.type, b.origin, a.constant);
  return undefined;
};
/** Distances are of 32 bits: where more counts, one that does not fit is not known. */
export function movedOrigin(type: IntType, { symbol, offset }: Origin, by: number): Origin | undefined {
  const moved = (offset + by) | 0;
  return type === 'i64' && moved !== offset + by ? undefined : { symbol, offset: moved };
}
/** SIMD opcodes follow the prefix 0xfd as LEB128. */
const simd = (n: number): number[] => [0xfd, ...uleb(n)];

export const k32 = (value: number): I32 => SMALL[value + 64] ?? constant32(value);
const constant32 = (value: number): I32 => recipe('i32', [0x41, ...sleb32(value)], value | 0);
const SMALL: readonly I32[] = Array.from({ length: 320 }, (_, i) => constant32(i - 64));
export const k64 = (value: bigint | number): I64 => {
  const code = [0x42, ...sleb64(BigInt(value))];
  const constant = Number(value);
  return recipe('i64', code, constant === (constant | 0) ? constant : undefined);
};
export const kf64 = (value: number): F64 => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return recipe('f64', [0x44, ...bytes]);
};
export const kf32 = (value: number): F32 => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return recipe('f32', [0x43, ...bytes]);
};
/** A 128-bit constant from its low and high half. */
export const k128 = (low: bigint, high: bigint): V128 => {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt.asUintN(64, low), true);
  view.setBigUint64(8, BigInt.asUintN(64, high), true);
  return recipe('v128', [...simd(12), ...bytes]);
};

/** `condition ? a : b`; both are evaluated. */
export const select = <T extends ValType>(condition: I32, a: Val<T>, b: Val<T>): Val<T> =>
  recipe(
    a.type,
    a.type === 'v128' ? [a.code, b.code, condition.code, 0x1c, 1, 0x7b] : [a.code, b.code, condition.code, 0x1b],
  );

export const i32 = {
  eqz: un<'i32', 'i32'>('i32', 0x45),
  eq: fold(0x46, (a, b) => Number(a === b)),
  ne: fold(0x47, (a, b) => Number(a !== b)),
  ltS: bin<'i32', 'i32'>('i32', 0x48),
  ltU: bin<'i32', 'i32'>('i32', 0x49),
  gtS: bin<'i32', 'i32'>('i32', 0x4a),
  gtU: bin<'i32', 'i32'>('i32', 0x4b),
  leS: bin<'i32', 'i32'>('i32', 0x4c),
  leU: bin<'i32', 'i32'>('i32', 0x4d),
  geS: bin<'i32', 'i32'>('i32', 0x4e),
  geU: bin<'i32', 'i32'>('i32', 0x4f),
  clz: un<'i32', 'i32'>('i32', 0x67),
  ctz: un<'i32', 'i32'>('i32', 0x68),
  popcnt: un<'i32', 'i32'>('i32', 0x69),
  add: fold(0x6a, (a, b) => a + b, 0),
  sub: fold(0x6b, (a, b) => a - b, 0),
  mul: bin<'i32', 'i32'>('i32', 0x6c),
  divS: bin<'i32', 'i32'>('i32', 0x6d),
  divU: bin<'i32', 'i32'>('i32', 0x6e),
  remS: bin<'i32', 'i32'>('i32', 0x6f),
  remU: bin<'i32', 'i32'>('i32', 0x70),
  and: fold(0x71, (a, b) => a & b, -1),
  or: fold(0x72, (a, b) => a | b, 0),
  xor: fold(0x73, (a, b) => a ^ b, 0),
  shl: fold(0x74, (a, b) => a << b, 0),
  shrS: fold(0x75, (a, b) => a >> b, 0),
  shrU: fold(0x76, (a, b) => a >>> b, 0),
  rotl: bin<'i32', 'i32'>('i32', 0x77),
  rotr: bin<'i32', 'i32'>('i32', 0x78),
  extend8S: un<'i32', 'i32'>('i32', 0xc0),
  extend16S: un<'i32', 'i32'>('i32', 0xc1),
  wrap: un<'i64', 'i32'>('i32', 0xa7),
  truncSatF64S: un<'f64', 'i32'>('i32', 0xfc, 2),
  truncSatF32S: un<'f32', 'i32'>('i32', 0xfc, 0),
  reinterpretF32: (a: F32): I32 => recipe('i32', [a.code, 0xbc], undefined, undefined, { float: a }),
  load: load('i32', 0x28),
  load8S: load('i32', 0x2c),
  load8U: load('i32', 0x2d),
  load16S: load('i32', 0x2e),
  load16U: load('i32', 0x2f),
} as const;

export const i64 = {
  eqz: un<'i64', 'i32'>('i32', 0x50),
  eq: bin<'i64', 'i32'>('i32', 0x51),
  ne: bin<'i64', 'i32'>('i32', 0x52),
  ltS: bin<'i64', 'i32'>('i32', 0x53),
  ltU: bin<'i64', 'i32'>('i32', 0x54),
  gtS: bin<'i64', 'i32'>('i32', 0x55),
  gtU: bin<'i64', 'i32'>('i32', 0x56),
  leS: bin<'i64', 'i32'>('i32', 0x57),
  leU: bin<'i64', 'i32'>('i32', 0x58),
  geS: bin<'i64', 'i32'>('i32', 0x59),
  geU: bin<'i64', 'i32'>('i32', 0x5a),
  clz: un<'i64', 'i64'>('i64', 0x79),
  ctz: un<'i64', 'i64'>('i64', 0x7a),
  popcnt: un<'i64', 'i64'>('i64', 0x7b),
  add: sum64(0x7c),
  sub: sum64(0x7d),
  mul: bin<'i64', 'i64'>('i64', 0x7e),
  divS: bin<'i64', 'i64'>('i64', 0x7f),
  divU: bin<'i64', 'i64'>('i64', 0x80),
  remS: bin<'i64', 'i64'>('i64', 0x81),
  remU: bin<'i64', 'i64'>('i64', 0x82),
  and: bin<'i64', 'i64'>('i64', 0x83),
  or: bin<'i64', 'i64'>('i64', 0x84),
  xor: bin<'i64', 'i64'>('i64', 0x85),
  shl: bin<'i64', 'i64'>('i64', 0x86),
  shrS: bin<'i64', 'i64'>('i64', 0x87),
  shrU: bin<'i64', 'i64'>('i64', 0x88),
  rotl: bin<'i64', 'i64'>('i64', 0x89),
  rotr: bin<'i64', 'i64'>('i64', 0x8a),
  extendS: un<'i32', 'i64'>('i64', 0xac),
  extendU: un<'i32', 'i64'>('i64', 0xad),
  extend8S: un<'i64', 'i64'>('i64', 0xc2),
  extend16S: un<'i64', 'i64'>('i64', 0xc3),
  extend32S: un<'i64', 'i64'>('i64', 0xc4),
  reinterpretF64: (a: F64): I64 => recipe('i64', [a.code, 0xbd], undefined, undefined, { float: a }),
  truncSatF64S: un<'f64', 'i64'>('i64', 0xfc, 6),
  truncSatF64U: un<'f64', 'i64'>('i64', 0xfc, 7),
  load: load('i64', 0x29),
  load8U: load('i64', 0x31),
  load16U: load('i64', 0x33),
  load32S: load('i64', 0x34),
  load32U: load('i64', 0x35),
} as const;

/** An integer of either width: what an operand, a register or an address may be. */
export type IntType = 'i32' | 'i64';
export type Word = Val<IntType>;

type WordArgument<T extends IntType> = Val<T> | number;
const wordConstant = (type: IntType, value: number): Word => (type === 'i32' ? k32(value) : k64(value));
const wordArgument = (like: Word, v: WordArgument<IntType>): Word => {
  if (typeof v === 'number') return wordConstant(like.type, v);
  if (v.type !== like.type) unreachable(`${like.type} meets ${v.type}`);
  return v;
};
const wordBin = (op32: Bin<'i32', 'i32'>, op64: Bin<'i64', 'i64'>) => {
  return <T extends IntType>(a: Val<T>, b: WordArgument<T>): Val<T> => {
    const right = wordArgument(a, b);
    return (a.type === 'i32' ? op32(a as I32, right as I32) : op64(a as I64, right as I64)) as Val<T>;
  };
};
const wordTest = (op32: Bin<'i32', 'i32'>, op64: Bin<'i64', 'i32'>) => {
  return <T extends IntType>(a: Val<T>, b: WordArgument<T>): I32 => {
    const right = wordArgument(a, b);
    return a.type === 'i32' ? op32(a as I32, right as I32) : op64(a as I64, right as I64);
  };
};
const wordUn = (op32: Un<'i32', 'i32'>, op64: Un<'i64', 'i64'>) => {
  return <T extends IntType>(a: Val<T>): Val<T> => (a.type === 'i32' ? op32(a as I32) : op64(a as I64)) as Val<T>;
};

/** Operations on integers whose width the operands decide; a number as the second argument takes the first one's type. */
export const word = {
  constant: wordConstant,
  add: wordBin(i32.add, i64.add),
  sub: wordBin(i32.sub, i64.sub),
  mul: wordBin(i32.mul, i64.mul),
  divU: wordBin(i32.divU, i64.divU),
  divS: wordBin(i32.divS, i64.divS),
  remU: wordBin(i32.remU, i64.remU),
  remS: wordBin(i32.remS, i64.remS),
  and: wordBin(i32.and, i64.and),
  or: wordBin(i32.or, i64.or),
  xor: wordBin(i32.xor, i64.xor),
  shl: wordBin(i32.shl, i64.shl),
  shrU: wordBin(i32.shrU, i64.shrU),
  shrS: wordBin(i32.shrS, i64.shrS),
  rotl: wordBin(i32.rotl, i64.rotl),
  rotr: wordBin(i32.rotr, i64.rotr),
  not: <T extends IntType>(a: Val<T>): Val<T> => word.xor(a, -1),
  clz: wordUn(i32.clz, i64.clz),
  ctz: wordUn(i32.ctz, i64.ctz),
  popcnt: wordUn(i32.popcnt, i64.popcnt),
  eqz: (a: Word): I32 => (a.type === 'i32' ? i32.eqz(a as I32) : i64.eqz(a as I64)),
  nonzero: (a: Word): I32 => word.ne(a, 0),
  eq: wordTest(i32.eq, i64.eq),
  ne: wordTest(i32.ne, i64.ne),
  ltU: wordTest(i32.ltU, i64.ltU),
  ltS: wordTest(i32.ltS, i64.ltS),
  gtU: wordTest(i32.gtU, i64.gtU),
  gtS: wordTest(i32.gtS, i64.gtS),
  leU: wordTest(i32.leU, i64.leU),
  geU: wordTest(i32.geU, i64.geU),
  /** The low 32 bits. */
  low: (a: Word): I32 => (a.type === 'i32' ? (a as I32) : i32.wrap(a as I64)),
  /** Zero-extended, sign-extended or cut to the type. */
  toU: (type: IntType, a: Word): Word => (type === 'i32' ? word.low(a) : a.type === 'i64' ? a : i64.extendU(a as I32)),
  toS: (type: IntType, a: Word): Word => (type === 'i32' ? word.low(a) : a.type === 'i64' ? a : i64.extendS(a as I32)),
} as const;

export const f32 = {
  eq: bin<'f32', 'i32'>('i32', 0x5b),
  ne: bin<'f32', 'i32'>('i32', 0x5c),
  lt: bin<'f32', 'i32'>('i32', 0x5d),
  gt: bin<'f32', 'i32'>('i32', 0x5e),
  le: bin<'f32', 'i32'>('i32', 0x5f),
  ge: bin<'f32', 'i32'>('i32', 0x60),
  abs: un<'f32', 'f32'>('f32', 0x8b),
  neg: un<'f32', 'f32'>('f32', 0x8c),
  ceil: un<'f32', 'f32'>('f32', 0x8d),
  floor: un<'f32', 'f32'>('f32', 0x8e),
  trunc: un<'f32', 'f32'>('f32', 0x8f),
  nearest: un<'f32', 'f32'>('f32', 0x90),
  sqrt: un<'f32', 'f32'>('f32', 0x91),
  add: bin<'f32', 'f32'>('f32', 0x92),
  sub: bin<'f32', 'f32'>('f32', 0x93),
  mul: bin<'f32', 'f32'>('f32', 0x94),
  div: bin<'f32', 'f32'>('f32', 0x95),
  convertI32S: un<'i32', 'f32'>('f32', 0xb2),
  convertI64S: un<'i64', 'f32'>('f32', 0xb4),
  demote: un<'f64', 'f32'>('f32', 0xb6),
  reinterpretI32: (a: I32): F32 => (a.known?.float as F32) ?? recipe('f32', [a.code, 0xbe]),
  load: load('f32', 0x2a),
} as const;

export const f64 = {
  eq: bin<'f64', 'i32'>('i32', 0x61),
  ne: bin<'f64', 'i32'>('i32', 0x62),
  lt: bin<'f64', 'i32'>('i32', 0x63),
  gt: bin<'f64', 'i32'>('i32', 0x64),
  le: bin<'f64', 'i32'>('i32', 0x65),
  ge: bin<'f64', 'i32'>('i32', 0x66),
  abs: un<'f64', 'f64'>('f64', 0x99),
  neg: un<'f64', 'f64'>('f64', 0x9a),
  ceil: un<'f64', 'f64'>('f64', 0x9b),
  floor: un<'f64', 'f64'>('f64', 0x9c),
  trunc: un<'f64', 'f64'>('f64', 0x9d),
  nearest: un<'f64', 'f64'>('f64', 0x9e),
  sqrt: un<'f64', 'f64'>('f64', 0x9f),
  add: bin<'f64', 'f64'>('f64', 0xa0),
  sub: bin<'f64', 'f64'>('f64', 0xa1),
  mul: bin<'f64', 'f64'>('f64', 0xa2),
  div: bin<'f64', 'f64'>('f64', 0xa3),
  convertI32S: un<'i32', 'f64'>('f64', 0xb7),
  convertI64S: un<'i64', 'f64'>('f64', 0xb9),
  convertI64U: un<'i64', 'f64'>('f64', 0xba),
  promote: un<'f32', 'f64'>('f64', 0xbb),
  reinterpretI64: (a: I64): F64 => (a.known?.float as F64) ?? recipe('f64', [a.code, 0xbf]),
  load: load('f64', 0x2b),
} as const;

type LaneVal = 'i32' | 'i64' | 'f32' | 'f64';
const extract = <R extends LaneVal>(result: R, n: number): ((v: V128, lane: number) => Val<R>) => {
  return (v, lane) => recipe(result, [v.code, ...simd(n), lane]);
};
const replace = <A extends LaneVal>(n: number): ((v: V128, lane: number, a: Val<A>) => V128) => {
  return (v, lane, a) => recipe('v128', [v.code, a.code, ...simd(n), lane]);
};
const vv = (n: number): Bin<'v128', 'v128'> => bin<'v128', 'v128'>('v128', ...simd(n));
const v1 = (n: number): Un<'v128', 'v128'> => un<'v128', 'v128'>('v128', ...simd(n));
const vshift = (n: number): ((v: V128, count: I32) => V128) => {
  return (v, count) => recipe('v128', [v.code, count.code, ...simd(n)]);
};

const extended = (low: I32 | I64, v: V128): V128 => {
  const float = low.known?.float;
  return float ? withKnown(v, { parts: { low: float, rest: ZERO_128 } }) : v;
};
const lowered = (rest: V128, low: I32 | I64, v: V128): V128 => {
  const float = low.known?.float;
  return float && rest.known?.settled ? withKnown(v, { parts: { low: float, rest } }) : v;
};
const ZERO_128: V128 = withKnown(k128(0n, 0n), { ordinary: { bits: 64, lanes: 'all' } });

/** SIMD, by opcode number of the WebAssembly specification, section 5.4.8. */
export const v128 = {
  load: load('v128', ...simd(0)),
  load64Zero: load('v128', ...simd(93)),
  load32Zero: load('v128', ...simd(92)),
  not: v1(77),
  and: vv(78),
  andnot: vv(79),
  or: vv(80),
  /** Anything with itself is zero. */
  xor: (a: V128, b: V128): V128 =>
    a.known?.settled && a.code === b.code ? ZERO_128 : recipe('v128', [a.code, b.code, ...simd(81)]),
  splatI8: un<'i32', 'v128'>('v128', ...simd(15)),
  splatI16: un<'i32', 'v128'>('v128', ...simd(16)),
  splatI32: un<'i32', 'v128'>('v128', ...simd(17)),
  splatI64: un<'i64', 'v128'>('v128', ...simd(18)),
  /** Sixteen byte indices into a (0..15) then b (16..31). */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 =>
    recipe('v128', [a.code, b.code, ...simd(13), ...lanes]),
  swizzle: vv(14),
  zero: ZERO_128,
  /** 32 or 64 bits with zeros above. */
  extend32: (a: I32): V128 => extended(a, recipe('v128', [k128(0n, 0n).code, a.code, ...simd(28), 0])),
  extend64: (a: I64): V128 => extended(a, recipe('v128', [k128(0n, 0n).code, a.code, ...simd(30), 0])),
  /** With another low part. */
  withLow32: (v: V128, a: I32): V128 => lowered(v, a, recipe('v128', [v.code, a.code, ...simd(28), 0])),
  withLow64: (v: V128, a: I64): V128 => lowered(v, a, recipe('v128', [v.code, a.code, ...simd(30), 0])),
  i8x16ExtractU: extract('i32', 22),
  i16x8ExtractU: extract('i32', 25),
  i32x4Extract: extract('i32', 27),
  i64x2Extract: extract('i64', 29),
  f32x4Extract: extract('f32', 31),
  f64x2Extract: extract('f64', 33),
  i8x16Replace: replace<'i32'>(23),
  i16x8Replace: replace<'i32'>(26),
  i32x4Replace: replace<'i32'>(28),
  i64x2Replace: replace<'i64'>(30),
  f32x4Replace: replace<'f32'>(32),
  f64x2Replace: replace<'f64'>(34),
  i8x16Eq: vv(35),
  i8x16GtS: vv(39),
  i16x8Eq: vv(45),
  i16x8GtS: vv(49),
  i32x4Eq: vv(55),
  i32x4GtS: vv(59),
  i8x16Bitmask: un<'v128', 'i32'>('i32', ...simd(100)),
  i32x4Bitmask: un<'v128', 'i32'>('i32', ...simd(164)),
  i64x2Bitmask: un<'v128', 'i32'>('i32', ...simd(196)),
  i8x16NarrowI16S: vv(101),
  i8x16NarrowI16U: vv(102),
  i16x8NarrowI32S: vv(133),
  i16x8NarrowI32U: vv(134),
  i8x16Shl: vshift(107),
  i8x16Add: vv(110),
  i8x16AddSatS: vv(111),
  i8x16AddSatU: vv(112),
  i8x16Sub: vv(113),
  i8x16SubSatS: vv(114),
  i8x16SubSatU: vv(115),
  i8x16MinS: vv(118),
  i8x16MinU: vv(119),
  i8x16MaxS: vv(120),
  i8x16MaxU: vv(121),
  i8x16AvgrU: vv(123),
  i8x16Abs: v1(96),
  i16x8Abs: v1(128),
  i32x4Abs: v1(160),
  i16x8Shl: vshift(139),
  i16x8ShrS: vshift(140),
  i16x8ShrU: vshift(141),
  i16x8Add: vv(142),
  i16x8AddSatS: vv(143),
  i16x8AddSatU: vv(144),
  i16x8Sub: vv(145),
  i16x8SubSatS: vv(146),
  i16x8SubSatU: vv(147),
  i16x8Mul: vv(149),
  i16x8MinS: vv(150),
  i16x8MinU: vv(151),
  i16x8MaxS: vv(152),
  i16x8MaxU: vv(153),
  i16x8AvgrU: vv(155),
  i16x8Q15MulrSatS: vv(130),
  i32x4Shl: vshift(171),
  i32x4ShrS: vshift(172),
  i32x4ShrU: vshift(173),
  i32x4Add: vv(174),
  i32x4Sub: vv(177),
  i32x4Mul: vv(181),
  i32x4MinS: vv(182),
  i32x4MinU: vv(183),
  i32x4MaxS: vv(184),
  i32x4MaxU: vv(185),
  /** Signed 16x16 multiply, adjacent products added (PMADDWD). */
  i32x4DotI16S: vv(186),
  i32x4ExtmulLowI16S: vv(188),
  i32x4ExtmulHighI16S: vv(189),
  i32x4ExtmulLowI16U: vv(190),
  i32x4ExtmulHighI16U: vv(191),
  i64x2Shl: vshift(203),
  i64x2ShrU: vshift(205),
  i64x2Add: vv(206),
  i64x2Sub: vv(209),
  i64x2Mul: vv(213),
  i64x2ExtmulLowI32U: vv(222),
  i16x8ExtendLowI8U: v1(137),
  i16x8ExtendHighI8U: v1(138),
  i16x8ExtaddPairwiseI8U: v1(125),
  i32x4ExtaddPairwiseI16U: v1(127),
  f32x4Eq: vv(65),
  f32x4Lt: vv(67),
  f32x4Le: vv(69),
  f32x4Add: vv(228),
  f32x4Sub: vv(229),
  f32x4Mul: vv(230),
  f32x4Div: vv(231),
  f32x4Sqrt: v1(227),
  f64x2Eq: vv(71),
  f64x2Lt: vv(73),
  f64x2Le: vv(75),
  f64x2Add: vv(240),
  f64x2Sub: vv(241),
  f64x2Mul: vv(242),
  f64x2Div: vv(243),
  f64x2Sqrt: v1(239),
  /** `mask` bits choose from a (1) or b (0). */
  bitselect: (a: V128, b: V128, mask: V128): V128 => recipe('v128', [a.code, b.code, mask.code, ...simd(82)]),
  f32x4Nearest: v1(106),
  f64x2Nearest: v1(148),
  f32x4DemoteF64x2Zero: v1(94),
  i32x4TruncSatF32x4S: v1(248),
  i32x4TruncSatF64x2SZero: v1(252),
  f32x4PMin: vv(234),
  f32x4PMax: vv(235),
  f32x4Abs: v1(224),
  f32x4Ne: vv(66),
  f32x4Ge: vv(70),
  f64x2PMin: vv(246),
  f64x2PMax: vv(247),
  f64x2Abs: v1(236),
  f64x2Ne: vv(72),
  f64x2Ge: vv(76),
  f64x2ConvertLowI32S: v1(254),
  f64x2PromoteLowF32x4: v1(95),
  i16x8Bitmask: un<'v128', 'i32'>('i32', ...simd(132)),
  i16x8ExtractS: extract('i32', 24),
  i64x2ExtmulHighI32U: vv(223),
  i8x16GtU: vv(40),
  i8x16GeU: vv(44),
  i16x8GeU: vv(54),
  i64x2Eq: vv(214),
  i64x2GtS: vv(217),
  i64x2ShrS: vshift(204),
  i64x2ExtmulLowI32S: vv(220),
  i16x8ExtendLowI8S: v1(135),
  i32x4ExtendLowI16S: v1(167),
  i32x4ExtendLowI16U: v1(169),
  i64x2ExtendLowI32S: v1(199),
  i64x2ExtendLowI32U: v1(201),
  f32x4Ceil: v1(103),
  f32x4Floor: v1(104),
  f32x4Trunc: v1(105),
  f64x2Ceil: v1(116),
  f64x2Floor: v1(117),
  f64x2Trunc: v1(122),
  i32x4AllTrue: un<'v128', 'i32'>('i32', ...simd(163)),
  i64x2AllTrue: un<'v128', 'i32'>('i32', ...simd(195)),
  anyTrue: un<'v128', 'i32'>('i32', ...simd(83)),
  f32x4ConvertI32S: v1(250),
} as const;
