/**
 * SSE, SSE2 and SSE3 arithmetic and comparison. Source: SDM Vol. 2; Vol. 1, 10.4.1, 10.4.2, 11.4.1, 12.3.
 *
 * Plain WebAssembly arithmetic first; where its result could differ from the CPU's (NaN, denormal, overflow, underflow, a
 * flag to set, a rounding mode) the element kernels of float/ do it again with everything the manual asks for.
 * RCP and RSQRT give the nearest single instead of a table's 12 bits.
 */
import {
  type I32,
  i32,
  i64,
  k32,
  k64,
  k128,
  recipe,
  select,
  type V128,
  type Val,
  type ValType,
  v128,
} from '../wasm/expr.ts';
import { nowOrdinary, plainAnd, unlessPlain } from './float-check.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import { ordinary, PD, PS, SD, type Shape, SS } from './sse-shapes.ts';
import { begin, isPlain, softBegin, softFinish, source } from './sse-support.ts';
import { kernelValue } from './x87-support.ts';

type Semantics = (e: Ops) => void;
const typeOf = (bits: 32 | 64): 'i32' | 'i64' => (bits === 64 ? 'i64' : 'i32');

/** The element kernel for every lane of `result`, then flags and exceptions. */
function soft<T extends ValType, M extends ValType>(
  e: Ops,
  s: Shape<T, M>,
  result: { set: (v: Val<T>) => void; get: Val<T> },
  lane: (control: I32, i: number) => Val,
): void {
  const control = softBegin(e);
  for (let i = 0; i < s.lanes; i++) result.set(s.withLane(result.get, i, lane(control, i)));
  softFinish(e);
}

const resultOf = <T extends ValType>(e: Ops, value: Val<T>): { set: (v: Val<T>) => void; get: Val<T> } => {
  const v = e.f.local(value.type);
  e.f.set(v, value);
  return { set: (x) => e.f.set(v, x), get: v.get };
};

/** Destination and source. */
const operandsOf = <T extends ValType>(a: Val<T>, b: Val<T>): { n: number; value: Val<T> }[] => [
  { n: 0, value: a },
  { n: 1, value: b },
];

type Operation = 'add' | 'sub' | 'mul' | 'div';
const KERNEL: Record<Operation, string> = { add: 'Add', sub: 'Subtract', mul: 'Multiply', div: 'Divide' };

/** Lanes of a result for which plain arithmetic raises nothing but PE. */
export function unremarkable<T extends ValType, M extends ValType>(
  s: Shape<T, M>,
  operation: Operation,
  a: Val<T>,
  b: Val<T>,
  r: Val<T>,
): Val<M> {
  const size = s.abs(r);
  const finite = s.lt(size, s.infinity);
  const operands = s.and(ordinary(s, a), ordinary(s, b));
  if (operation === 'add' || operation === 'sub') return s.and(finite, operands);
  // Above the smallest normal: at it, the result may have been tiny before rounding.
  const large = s.lt(s.smallestNormal, size);
  const exactZero = operation === 'mul' ? s.or(s.eq(a, s.zero), s.eq(b, s.zero)) : s.eq(a, s.zero);
  return s.and(s.and(finite, operands), s.or(large, exactZero));
}

const arithmetic = <T extends ValType, M extends ValType>(s: Shape<T, M>, operation: Operation): Semantics => {
  return (e) => {
    begin(e);
    const b = s.read(e, 1);
    const a = s.read(e, 0);
    const r = resultOf(e, s[operation](a, b));
    unlessPlain(e, s, {
      operands: operandsOf(a, b),
      result: () => r.get,
      fine: () => plainAnd(e, s.all(unremarkable(s, operation, a, b, r.get))),
      again: () =>
        soft(e, s, r, (control, i) =>
          kernelValue(e, typeOf(s.bits), `sse${KERNEL[operation]}${s.bits}`, control, s.lane(a, i), s.lane(b, i)),
        ),
    });
    s.write(e, nowOrdinary(e, s, r.get));
  };
};

const squareRoot = <T extends ValType, M extends ValType>(s: Shape<T, M>): Semantics => {
  return (e) => {
    begin(e);
    const a = s.read(e, 1);
    const r = resultOf(e, s.sqrt(a));
    unlessPlain(e, s, {
      operands: [{ n: 1, value: a }],
      result: () => r.get,
      fine: () => plainAnd(e, s.all(s.and(s.lt(s.abs(r.get), s.infinity), ordinary(s, a)))),
      again: () =>
        soft(e, s, r, (control, i) => kernelValue(e, typeOf(s.bits), `sseSquareRoot${s.bits}`, control, s.lane(a, i))),
    });
    s.write(e, nowOrdinary(e, s, r.get));
  };
};

/** Exact, so MXCSR matters only for NaNs and denormals. */
const minMax = <T extends ValType, M extends ValType>(s: Shape<T, M>, maximum: boolean): Semantics => {
  return (e) => {
    begin(e);
    const b = s.read(e, 1);
    const a = s.read(e, 0);
    const r = resultOf(e, maximum ? s.max(a, b) : s.min(a, b));
    unlessPlain(e, s, {
      operands: operandsOf(a, b),
      fine: () => s.all(s.and(ordinary(s, a), ordinary(s, b))),
      again: () =>
        soft(e, s, r, (control, i) => {
          const which = k32(maximum ? 1 : 0);
          return kernelValue(e, typeOf(s.bits), `sseMinMax${s.bits}`, control, s.lane(a, i), s.lane(b, i), which);
        }),
    });
    s.write(e, nowOrdinary(e, s, r.get));
  };
};

/** What `sseCompare` answers, by what the two numbers are to each other. */
const RELATIONS = { less: 1, equal: 0x40, greater: 0, unordered: 0x45 } as const;
const [L, E, G, U] = [1, 2, 4, 8];
/** For which relations predicates 0 to 15 hold (SDM Vol. 2A, CMPPD, table 3-1); 16 to 31 differ in quiet NaNs only. */
const HOLDS = [
  ...[E, L, L | E, U, L | G | U, E | G | U, G | U, L | E | G],
  ...[E | U, L | U, L | E | U, 0, L | G, E | G, G, L | E | G | U],
].reduce((all, relations, predicate) => all | (BigInt(relations) << BigInt(4 * predicate)), 0n);
/** Predicates 0 to 15 for which a quiet NaN is invalid; of 16 to 31 it is the others. */
const LOUD = [1, 2, 5, 6, 9, 10, 13, 14].reduce((all, predicate) => all | (1 << predicate), 0);

/** CMPccPS and the rest: a mask of all ones or zeros by predicate, 0 to 7, with VEX 0 to 31. */
const compareMask = <T extends ValType, M extends ValType>(s: Shape<T, M>): Semantics => {
  return (e) => {
    begin(e);
    const b = s.read(e, 1);
    const a = s.read(e, 0);
    const predicate = e.f.let(i32.and(e.read(2), k32(e.vex ? 31 : 7)));
    const low = i32.and(predicate, k32(15));
    const holds = e.f.let(i32.wrap(i64.shrU(k64(HOLDS), i64.extendU(i32.shl(low, k32(2))))));
    /** All ones when the predicate holds for a relation, else 0. */
    const ones = (relation: number): I32 => i32.sub(k32(0), i32.ne(i32.and(holds, k32(relation)), k32(0)));
    const r = resultOf(e, a);
    const type = typeOf(s.bits);
    const widen = (mask: I32): Val => (type === 'i64' ? i64.extendS(mask) : mask);
    // When nothing is unordered.
    if (s.lanes === 1) {
      const less = s.all(s.lt(a, b));
      const equal = s.all(s.eq(a, b));
      r.set(s.withLane(a, 0, widen(e.f.let(select(less, ones(L), select(equal, ones(E), ones(G)))))));
    } else {
      const less = e.f.let(asVector(s.lt(a, b)));
      const equal = e.f.let(asVector(s.eq(a, b)));
      const either = v128.bitselect(v128.splatI32(ones(L)), v128.splatI32(ones(E)), less);
      const mask = v128.bitselect(either, v128.splatI32(ones(G)), v128.or(less, equal));
      r.set(recipe(s.zero.type, mask.code));
    }
    unlessPlain(e, s, {
      operands: operandsOf(a, b),
      fine: () => s.all(s.and(ordinary(s, a), ordinary(s, b))),
      again: () =>
        soft(e, s, r, (control, i) => {
          const turned = i32.sub(k32(0), i32.shrU(predicate, k32(4)));
          const loud = i32.and(i32.shrU(i32.xor(k32(LOUD), turned), low), k32(1));
          const code = kernelValue(e, 'i32', `sseCompare${s.bits}`, control, s.lane(a, i), s.lane(b, i), loud);
          const is = (relation: keyof typeof RELATIONS): I32 => i32.eq(code, k32(RELATIONS[relation]));
          const ordered = select(is('less'), ones(L), select(is('equal'), ones(E), ones(G)));
          return widen(e.f.let(select(is('unordered'), ones(U), ordered)));
        }),
    });
    s.write(e, r.get);
  };
};

/** A packed mask; the shape's values are vectors. */
const asVector = (mask: Val): V128 => recipe('v128', mask.code);

/** COMISS, UCOMISS, COMISD, UCOMISD. */
const compareFlags = <T extends ValType>(s: Shape<T, 'i32'>, quiet: boolean): Semantics => {
  return (e) => {
    begin(e);
    const b = s.read(e, 1);
    const a = s.read(e, 0);
    const bits = e.f.local('i32');
    e.f.set(bits, i32.or(i32.shl(s.eq(a, b), k32(6)), s.lt(a, b)));
    unlessPlain(e, s, {
      operands: operandsOf(a, b),
      fine: () => i32.and(ordinary(s, a), ordinary(s, b)),
      again: () => {
        const control = softBegin(e);
        const loud = k32(quiet ? 0 : 1);
        e.f.set(bits, kernelValue(e, 'i32', `sseCompare${s.bits}`, control, s.lane(a, 0), s.lane(b, 0), loud));
        softFinish(e);
      },
    });
    e.setFlags({ kind: 'bits', bits: 32, result: bits.get });
  };
};

/**
 * HADD, HSUB, ADDSUB: lanes of two vectors rearranged, then added or subtracted by lane. `arrange` gives the operands;
 * `subtract` tells the lanes that are subtracted.
 */
const lanewise = (
  s: Shape<'v128', 'v128'>,
  arrange: (a: V128, b: V128) => readonly [V128, V128],
  subtract: (lane: number) => boolean,
): Semantics => {
  return (e) => {
    begin(e);
    const b = s.read(e, 1);
    const a = s.read(e, 0);
    const [left, right] = arrange(a, b);
    const x = e.f.let(left);
    const y = e.f.let(right);
    const lanes = Array.from({ length: s.lanes }, (_, i) => i);
    // Subtracting is adding the negated: a sign mask where the lane subtracts.
    const signs = s.bits === 32 ? 0x80000000n : 1n << 63n;
    const halves = [0n, 0n];
    for (const i of lanes) {
      if (!subtract(i)) continue;
      const place = BigInt((i * s.bits) % 64);
      halves[(i * s.bits) >> 6] |= signs << place;
    }
    const negated = e.f.let(v128.xor(y, k128(halves[0], halves[1])));
    const r = resultOf(e, s.add(x, negated));
    const fast = i32.and(isPlain(e), s.all(unremarkable(s, 'add', x, negated, r.get)));
    e.f.ifUnlikely(i32.eqz(fast), () =>
      soft(e, s, r, (control, i) =>
        kernelValue(
          e,
          typeOf(s.bits),
          `sse${subtract(i) ? 'Subtract' : 'Add'}${s.bits}`,
          control,
          s.lane(x, i),
          s.lane(y, i),
        ),
      ),
    );
    s.write(e, r.get);
  };
};

const bytesOf = (lanes: readonly number[], bytes: number): number[] =>
  lanes.flatMap((lane) => Array.from({ length: bytes }, (_, i) => lane * bytes + i));
const evenOdd = (bytes: 4 | 8): ((a: V128, b: V128) => readonly [V128, V128]) => {
  const even = bytesOf(bytes === 4 ? [0, 2, 4, 6] : [0, 2], bytes);
  const odd = bytesOf(bytes === 4 ? [1, 3, 5, 7] : [1, 3], bytes);
  return (a, b) => [v128.shuffle(a, b, even), v128.shuffle(a, b, odd)];
};
const sameLanes = (a: V128, b: V128): readonly [V128, V128] => [a, b];

const QUIET = k128(0x0040000000400000n, 0x0040000000400000n);
const SIGN = k128(0x8000000080000000n, 0x8000000080000000n);
const ONE = k128(0x3f8000003f800000n, 0x3f8000003f800000n);
const INDEFINITE = k128(0xffc00000ffc00000n, 0xffc00000ffc00000n);

/** RCP and RSQRT of four lanes: denormals are zeros, tiny results are zeros, no flags. */
function approximate(e: Ops, root: boolean, value: V128): V128 {
  const a = e.f.let(value);
  const sign = e.f.let(v128.and(a, SIGN));
  const tiny = v128.f32x4Lt(v128.f32x4Abs(a), PS.smallestNormal);
  const x = e.f.let(v128.bitselect(sign, a, tiny));
  const quotient = e.f.let(v128.f32x4Div(ONE, root ? v128.f32x4Sqrt(x) : x));
  const small = v128.f32x4Lt(v128.f32x4Abs(quotient), PS.smallestNormal);
  const flushed = e.f.let(v128.bitselect(sign, quotient, small));
  // sqrt(-0) = -0, so a negative zero gives negative infinity by itself.
  const negative = v128.f32x4Lt(x, PS.zero);
  const signed = root ? e.f.let(v128.bitselect(INDEFINITE, flushed, negative)) : flushed;
  return e.f.let(v128.bitselect(v128.or(a, QUIET), signed, v128.f32x4Ne(a, a)));
}
const approximation = (root: boolean, scalar: boolean): Semantics => {
  return (e) => {
    begin(e);
    if (scalar) e.write(0, v128.i32x4Extract(approximate(e, root, v128.splatI32(e.read(1))), 0));
    else e.write128(0, approximate(e, root, source(e, 1)));
  };
};

/** Rows of one shape. */
function rowsOf<T extends ValType, M extends ValType>(s: Shape<T, M>): Row[] {
  const operands = `V${s.operand},W${s.operand}`;
  const one = (opcode: string, mnemonic: string, semantics: Semantics): Row =>
    row(`${s.prefix} 0F ${opcode}`, `${mnemonic}${s.suffix}`, operands, semantics);
  return [
    one('51', 'sqrt', squareRoot(s)),
    one('58', 'add', arithmetic(s, 'add')),
    one('59', 'mul', arithmetic(s, 'mul')),
    one('5C', 'sub', arithmetic(s, 'sub')),
    one('5D', 'min', minMax(s, false)),
    one('5E', 'div', arithmetic(s, 'div')),
    one('5F', 'max', minMax(s, true)),
    row(`${s.prefix} 0F C2`, `cmp${s.suffix}`, `${operands},Ib`, compareMask(s)),
  ];
}

export const sseArithmeticRows: readonly Row[] = [
  ...rowsOf(PS),
  ...rowsOf(PD),
  ...rowsOf(SS),
  ...rowsOf(SD),
  row('NP 0F 2E', 'ucomiss', 'Vd,Wd', compareFlags(SS, true)),
  row('66 0F 2E', 'ucomisd', 'Vq,Wq', compareFlags(SD, true)),
  row('NP 0F 2F', 'comiss', 'Vd,Wd', compareFlags(SS, false)),
  row('66 0F 2F', 'comisd', 'Vq,Wq', compareFlags(SD, false)),
  row('NP 0F 52', 'rsqrtps', 'Vx,Wx', approximation(true, false)),
  row('F3 0F 52', 'rsqrtss', 'Vd,Wd', approximation(true, true)),
  row('NP 0F 53', 'rcpps', 'Vx,Wx', approximation(false, false)),
  row('F3 0F 53', 'rcpss', 'Vd,Wd', approximation(false, true)),
  row(
    '66 0F 7C',
    'haddpd',
    'Vx,Wx',
    lanewise(PD, evenOdd(8), () => false),
  ),
  row(
    'F2 0F 7C',
    'haddps',
    'Vx,Wx',
    lanewise(PS, evenOdd(4), () => false),
  ),
  row(
    '66 0F 7D',
    'hsubpd',
    'Vx,Wx',
    lanewise(PD, evenOdd(8), () => true),
  ),
  row(
    'F2 0F 7D',
    'hsubps',
    'Vx,Wx',
    lanewise(PS, evenOdd(4), () => true),
  ),
  row(
    '66 0F D0',
    'addsubpd',
    'Vx,Wx',
    lanewise(PD, sameLanes, (i) => i % 2 === 0),
  ),
  row(
    'F2 0F D0',
    'addsubps',
    'Vx,Wx',
    lanewise(PS, sameLanes, (i) => i % 2 === 0),
  ),
];
