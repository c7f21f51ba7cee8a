/** SSE4.1 floating point: ROUNDPS and its kin, DPPS, DPPD. Source: SDM Vol. 1, 12.8.4, 12.8.2; Vol. 2. */

import { STATE } from '../state/layout.ts';
import { f32, f64, type I32, i32, k32, select, type V128, type Val, type ValType, v128 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import { elementMask } from './simd-integer-more.ts';
import { unremarkable } from './sse-arith-rows.ts';
import { ordinary, PD, PS, SD, type Shape, SS } from './sse-shapes.ts';
import { begin, isPlain, softBegin, softFinish } from './sse-support.ts';
import { type LaneBinary, packedImmediate } from './vector-forms.ts';
import { kernelValue } from './x87-support.ts';

/** Immediate: the mode in bits 0-1, or MXCSR's with bit 2; bit 3 keeps PE from being set. */
const FROM_MXCSR = 4;
const QUIET = 8;
const PE = 0x20;

interface Rounding<T extends ValType> {
  /** By mode: to nearest, down, up, towards zero. */
  readonly modes: readonly [(v: Val<T>) => Val<T>, (v: Val<T>) => Val<T>, (v: Val<T>) => Val<T>, (v: Val<T>) => Val<T>];
}
const ROUND_PS: Rounding<'v128'> = {
  modes: [v128.f32x4Nearest, v128.f32x4Floor, v128.f32x4Ceil, v128.f32x4Trunc],
};
const ROUND_PD: Rounding<'v128'> = {
  modes: [v128.f64x2Nearest, v128.f64x2Floor, v128.f64x2Ceil, v128.f64x2Trunc],
};
const ROUND_SS: Rounding<'f32'> = { modes: [f32.nearest, f32.floor, f32.ceil, f32.trunc] };
const ROUND_SD: Rounding<'f64'> = { modes: [f64.nearest, f64.floor, f64.ceil, f64.trunc] };

/** The result and, when a lane asks for it, exceptions. */
export function rounded<T extends ValType, M extends ValType>(
  e: Ops,
  s: Shape<T, M>,
  { modes }: Rounding<T>,
  v: Val<T>,
  immediate: I32,
): Val<T> {
  const { f } = e;
  const imm = f.let(immediate);
  const mxcsr = f.let(e.get(STATE.mxcsr));
  const chosen = select(i32.and(imm, k32(FROM_MXCSR)), i32.and(i32.shrU(mxcsr, k32(13)), k32(3)), i32.and(imm, k32(3)));
  const mode = f.let(chosen);
  const result = f.local(v.type);
  const is = (n: number): I32 => i32.eq(mode, k32(n));
  f.set(result, select(is(0), modes[0](v), select(is(1), modes[1](v), select(is(2), modes[2](v), modes[3](v)))));
  // Nothing to report but PE, and that is set already or not wanted.
  const silent = i32.or(i32.and(imm, k32(QUIET)), i32.and(mxcsr, k32(PE)));
  const masked = i32.or(i32.and(imm, k32(QUIET)), i32.and(mxcsr, k32(PE << 7)));
  const fast = i32.and(i32.and(i32.ne(silent, k32(0)), i32.ne(masked, k32(0))), s.all(ordinary(s, v)));
  f.if(i32.eqz(fast), () => {
    const control = softBegin(e);
    const how = f.let(i32.or(mode, i32.and(imm, k32(QUIET))));
    for (let i = 0; i < s.lanes; i++) {
      const bits = kernelValue(e, s.bits === 64 ? 'i64' : 'i32', `sseRound${s.bits}`, control, s.lane(v, i), how);
      f.set(result, s.withLane(result.get, i, bits));
    }
    softFinish(e);
  });
  return result.get;
}

const roundRow = <T extends ValType, M extends ValType>(opcode: string, s: Shape<T, M>, rounding: Rounding<T>): Row =>
  row(`66 0F 3A ${opcode}`, `round${s.suffix}`, `V${s.operand},W${s.operand},Ib`, (e) => {
    begin(e);
    const v = s.read(e, 1);
    s.write(e, rounded(e, s, rounding, v, e.read(2)));
  });

/** Lanes, numbered from 0, each of so many bytes. */
const lanes = (v: V128, numbers: readonly number[], bytes: 4 | 8): V128 =>
  v128.shuffle(
    v,
    v,
    numbers.flatMap((n) => Array.from({ length: bytes }, (_, i) => n * bytes + i)),
  );

/**
 * Dot products of pairs of vectors, lane by lane in the order of the manual's pseudocode. Each step reports the exceptions
 * of all vectors before the next begins.
 */
export function dotProducts(
  e: Ops,
  s: Shape<'v128', 'v128'>,
  pairs: readonly (readonly [a: V128, b: V128])[],
  immediate: I32,
): V128[] {
  const { f } = e;
  const type = s.bits === 64 ? 'i64' : 'i32';
  const size = s.bits === 64 ? 64 : 32;
  const imm = f.let(immediate);
  const step = (kernel: 'Add' | 'Multiply', operands: readonly (readonly [V128, V128])[]): V128[] => {
    const done = operands.map(([left, right]) => {
      const [x, y] = [f.let(left), f.let(right)];
      const result = f.local('v128');
      f.set(result, kernel === 'Add' ? s.add(x, y) : s.mul(x, y));
      return { x, y, result };
    });
    const fine = done
      .map(({ x, y, result }) => s.all(unremarkable(s, kernel === 'Add' ? 'add' : 'mul', x, y, result.get)))
      .reduce((a, b) => i32.and(a, b), isPlain(e));
    f.if(i32.eqz(fine), () => {
      const control = softBegin(e);
      for (const { x, y, result } of done)
        for (let i = 0; i < s.lanes; i++) {
          const bits = kernelValue(e, type, `sse${kernel}${s.bits}`, control, s.lane(x, i), s.lane(y, i));
          f.set(result, s.withLane(result.get, i, bits));
        }
      softFinish(e);
    });
    return done.map(({ result }) => result.get);
  };
  const taken = f.let(elementMask(i32.shrU(imm, k32(4)), size));
  const products = step(
    'Multiply',
    pairs.map(([a, b]) => [v128.and(a, taken), v128.and(b, taken)]),
  );
  const add = (vectors: readonly V128[], first: readonly number[], second: readonly number[], bytes: 4 | 8): V128[] =>
    step(
      'Add',
      vectors.map((v) => [lanes(v, first, bytes), lanes(v, second, bytes)]),
    );
  // Every sum is of the same two numbers in the same order, so that NaNs are chosen alike.
  const sums =
    s.bits === 64
      ? add(products, [0, 0], [1, 1], 8)
      : add(add(products, [0, 0, 2, 2], [1, 1, 3, 3], 4), [0, 0, 0, 0], [2, 2, 2, 2], 4);
  const kept = f.let(elementMask(imm, size));
  return sums.map((sum) => f.let(v128.and(sum, kept)));
}
const dotProduct =
  (s: Shape<'v128', 'v128'>): LaneBinary =>
  (e, a, b, immediate) =>
    dotProducts(e, s, [[a, b]], immediate)[0];

const rows: readonly Row[] = [
  roundRow('08', PS, ROUND_PS),
  roundRow('09', PD, ROUND_PD),
  roundRow('0A', SS, ROUND_SS),
  roundRow('0B', SD, ROUND_SD),
  ...packedImmediate('66 0F 3A 40', 'dpps', dotProduct(PS)),
  ...packedImmediate('66 0F 3A 41', 'dppd', dotProduct(PD)),
];
export const sse4FloatRows: readonly Row[] = rows.map(fixedSize);
