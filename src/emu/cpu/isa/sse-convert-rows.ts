/** SSE and SSE2 conversions. Source: SDM Vol. 1, 10.4.4, 11.4.1.6, 11.4.3; Vol. 2, CVT*. */
import { f32, f64, type I32, type I64, i32, i64, k32, k64, kf64, type V128, type Val, v128 } from '../wasm/expr.ts';
import { checkMmx, enterMmx } from './mmx-support.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import { ordinary, PS, SD, SS } from './sse-shapes.ts';
import { begin, isPlain, softBegin, softFinish, source } from './sse-support.ts';
import { kernelValue } from './x87-support.ts';

type Semantics = (e: Ops) => void;
const TRUNCATE = 0xc00;

/** A source of 32-bit or 64-bit floats as vectors: 4 singles, the low 2 singles, or 2 doubles. */
interface Source {
  readonly bits: 32 | 64;
  readonly lanes: 2 | 4;
  readonly read: (e: Ops) => V128;
}
const FOUR_SINGLES: Source = { bits: 32, lanes: 4, read: (e) => source(e, 1) };
const TWO_SINGLES: Source = { bits: 32, lanes: 2, read: (e) => e.f.let(v128.splatI64(e.read64(1))) };
const TWO_DOUBLES: Source = { bits: 64, lanes: 2, read: (e) => source(e, 1) };

const controlFor = (e: Ops, truncate: boolean): I32 => {
  const control = softBegin(e);
  return truncate ? e.f.let(i32.or(control, k32(TRUNCATE))) : control;
};

/** Packed floats to 32-bit integers; lanes above are 0. */
function toIntegers(e: Ops, from: Source, truncate: boolean, afterRead: () => void = () => {}): V128 {
  const { f } = e;
  const v = f.let(from.read(e));
  afterRead();
  const result = f.local('v128');
  const wide = from.bits === 64;
  const rounded = truncate ? v : f.let(wide ? v128.f64x2Nearest(v) : v128.f32x4Nearest(v));
  f.set(result, wide ? v128.i32x4TruncSatF64x2SZero(rounded) : v128.i32x4TruncSatF32x4S(rounded));
  // 2^31 in either format, in every lane.
  const limit = wide ? v128.splatI64(k64(0x41e0000000000000n)) : v128.splatI32(k32(0x4f000000));
  const inside = wide
    ? v128.i64x2AllTrue(v128.f64x2Lt(v128.f64x2Abs(v), limit))
    : v128.i32x4AllTrue(v128.f32x4Lt(v128.f32x4Abs(v), limit));
  f.if(i32.eqz(i32.and(isPlain(e), inside)), () => {
    const control = controlFor(e, truncate);
    f.set(result, v128.splatI32(k32(0)));
    for (let i = 0; i < from.lanes; i++) {
      const lane = wide ? v128.i64x2Extract(v, i) : v128.i32x4Extract(v, i);
      const value = kernelValue(e, 'i32', `sseF${from.bits}ToI32`, control, lane);
      f.set(result, v128.i32x4Replace(result.get, i, value));
    }
    softFinish(e);
  });
  return result.get;
}

const packedToInteger = (from: Source, truncate: boolean): Semantics => {
  return (e) => {
    begin(e);
    e.write128(0, toIntegers(e, from, truncate));
  };
};
const packedToMmx = (from: Source, truncate: boolean): Semantics => {
  return (e) => {
    begin(e);
    checkMmx(e);
    // MMX state is entered even when a numeric exception keeps the result back.
    const integers = toIntegers(e, from, truncate, () => enterMmx(e));
    e.write64(0, v128.i64x2Extract(integers, 0));
  };
};

/** CVTSS2SI, CVTSD2SI and their truncating forms; the integer has 32 bits or 64. */
const scalarToInteger = (bits: 32 | 64, truncate: boolean): Semantics => {
  return (e) => {
    begin(e);
    const { f } = e;
    const wide = e.size === 64;
    const raw = f.let(bits === 64 ? e.read64(1) : e.read(1));
    const value = f.let(bits === 64 ? SD.read(e, 1) : f64.promote(SS.read(e, 1)));
    const result = f.local(wide ? 'i64' : 'i32');
    const rounded = f.let(truncate ? f64.trunc(value) : f64.nearest(value));
    f.set(result, wide ? i64.truncSatF64S(rounded) : i32.truncSatF64S(rounded));
    const bound = 2 ** (wide ? 63 : 31);
    const inside = i32.and(f64.lt(rounded, kf64(bound)), f64.ge(rounded, kf64(-bound)));
    // An exact conversion sets no flag and does not depend on the rounding mode.
    const safe = i32.or(isPlain(e), f64.eq(rounded, value));
    f.if(i32.eqz(i32.and(inside, safe)), () => {
      const kernel = `sseF${bits}ToI${wide ? 64 : 32}`;
      f.set(result, kernelValue(e, result.type, kernel, controlFor(e, truncate), raw));
      softFinish(e);
    });
    e.write(0, result.get);
  };
};

/** Signed integers to singles. */
function singlesOf(e: Ops, integers: V128, lanes: number): V128 {
  const { f } = e;
  const v = f.let(integers);
  const result = f.local('v128');
  f.set(result, v128.f32x4ConvertI32S(v));
  f.if(i32.eqz(isPlain(e)), () => {
    const control = softBegin(e);
    for (let i = 0; i < lanes; i++) {
      const single = kernelValue(e, 'i32', 'sseI32ToF32', control, v128.i32x4Extract(v, i));
      f.set(result, v128.i32x4Replace(result.get, i, single));
    }
    softFinish(e);
  });
  return result.get;
}

/** A 64-bit integer to a single or a double, which may round. */
function wideToFloat<T extends 'i32' | 'i64'>(e: Ops, plain: (v: I64) => Val<T>, kernel: string): Val<T> {
  const { f } = e;
  const v = f.let(e.readWord(1)) as I64;
  const direct = plain(v);
  const result = f.local(direct.type as T);
  f.set(result, direct);
  f.if(i32.eqz(isPlain(e)), () => {
    f.set(result, kernelValue(e, direct.type as T, kernel, softBegin(e), v));
    softFinish(e);
  });
  return result.get;
}
const integerToSingle = (e: Ops): void => {
  begin(e);
  if (e.size === 64)
    e.write(
      0,
      wideToFloat(e, (v) => i32.reinterpretF32(f32.convertI64S(v)), 'sseI64ToF32'),
    );
  else e.write(0, v128.i32x4Extract(singlesOf(e, v128.splatI32(e.read(1)), 1), 0));
};
const integerToDouble = (e: Ops): void => {
  begin(e);
  if (e.size === 64)
    e.write64(
      0,
      wideToFloat(e, (v) => i64.reinterpretF64(f64.convertI64S(v)), 'sseI64ToF64'),
    );
  else e.write64(0, i64.reinterpretF64(f64.convertI32S(e.read(1))));
};
const integersToSingles = (e: Ops): void => {
  begin(e);
  e.write128(0, singlesOf(e, source(e, 1), 4));
};
const integersToDoubles = (e: Ops): void => {
  begin(e);
  e.write128(0, v128.f64x2ConvertLowI32S(v128.splatI64(e.read64(1))));
};
/** Two integers; only an MMX register, not memory, makes it an MMX instruction. */
function readMmx(e: Ops): V128 {
  begin(e);
  if (!e.isMemory(1)) checkMmx(e);
  const integers = e.f.let(v128.splatI64(e.read64(1)));
  if (!e.isMemory(1)) enterMmx(e);
  return integers;
}
const mmxToSingles = (e: Ops): void => e.write64(0, v128.i64x2Extract(singlesOf(e, readMmx(e), 2), 0));
const mmxToDoubles = (e: Ops): void => e.write128(0, v128.f64x2ConvertLowI32S(readMmx(e)));

const singleToDouble = (e: Ops): void => {
  begin(e);
  const { f } = e;
  const raw = f.let(e.read(1));
  const value = f.let(f32.reinterpretI32(raw));
  const result = f.local('i64');
  f.if(
    ordinary(SS, value),
    () => f.set(result, i64.reinterpretF64(f64.promote(value))),
    () => {
      f.set(result, kernelValue(e, 'i64', 'sseF32ToF64', softBegin(e), raw));
      softFinish(e);
    },
  );
  e.write64(0, result.get);
};
const doubleToSingle = (e: Ops): void => {
  begin(e);
  const { f } = e;
  const raw = f.let(e.read64(1));
  const value = f.let(f64.reinterpretI64(raw));
  const single = f.let(f32.demote(value));
  const result = f.local('i32');
  f.set(result, i32.reinterpretF32(single));
  const size = f32.abs(single);
  const normal = i32.and(f32.lt(SS.smallestNormal, size), f32.lt(size, SS.infinity));
  f.if(i32.eqz(i32.and(isPlain(e), i32.or(normal, f64.eq(value, SD.zero)))), () => {
    f.set(result, kernelValue(e, 'i32', 'sseF64ToF32', softBegin(e), raw));
    softFinish(e);
  });
  e.write(0, result.get);
};

const singlesToDoubles = (e: Ops): void => {
  begin(e);
  const { f } = e;
  const v = f.let(TWO_SINGLES.read(e));
  const result = f.local('v128');
  f.set(result, v128.f64x2PromoteLowF32x4(v));
  f.if(i32.eqz(v128.i32x4AllTrue(ordinary(PS, v))), () => {
    const control = softBegin(e);
    for (const i of [0, 1]) {
      const double = kernelValue(e, 'i64', 'sseF32ToF64', control, v128.i32x4Extract(v, i));
      f.set(result, v128.i64x2Replace(result.get, i, double));
    }
    softFinish(e);
  });
  e.write128(0, result.get);
};
const doublesToSingles = (e: Ops): void => {
  begin(e);
  const { f } = e;
  const v = f.let(source(e, 1));
  const result = f.local('v128');
  f.set(result, v128.f32x4DemoteF64x2Zero(v));
  // The two lanes doubled, so that all four say whether they are ordinary.
  const low = f.let(v128.shuffle(result.get, result.get, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]));
  const size = v128.f32x4Abs(low);
  const normal = v128.and(v128.f32x4Lt(PS.smallestNormal, size), v128.f32x4Lt(size, PS.infinity));
  f.if(i32.eqz(i32.and(isPlain(e), v128.i32x4AllTrue(normal))), () => {
    const control = softBegin(e);
    f.set(result, v128.splatI32(k32(0)));
    for (const i of [0, 1]) {
      const single = kernelValue(e, 'i32', 'sseF64ToF32', control, v128.i64x2Extract(v, i));
      f.set(result, v128.i32x4Replace(result.get, i, single));
    }
    softFinish(e);
  });
  e.write128(0, result.get);
};

export const sseConversionRows: readonly Row[] = [
  row('NP 0F 2A', 'cvtpi2ps', 'Vq,Qq', mmxToSingles),
  row('66 0F 2A', 'cvtpi2pd', 'Vx,Qq', mmxToDoubles),
  row('F3 0F 2A', 'cvtsi2ss', 'Vd,Ey', integerToSingle),
  row('F2 0F 2A', 'cvtsi2sd', 'Vq,Ey', integerToDouble),
  row('NP 0F 2C', 'cvttps2pi', 'Pq,Wq', packedToMmx(TWO_SINGLES, true)),
  row('66 0F 2C', 'cvttpd2pi', 'Pq,Wx', packedToMmx(TWO_DOUBLES, true)),
  row('F3 0F 2C', 'cvttss2si', 'Gy,Wd', scalarToInteger(32, true)),
  row('F2 0F 2C', 'cvttsd2si', 'Gy,Wq', scalarToInteger(64, true)),
  row('NP 0F 2D', 'cvtps2pi', 'Pq,Wq', packedToMmx(TWO_SINGLES, false)),
  row('66 0F 2D', 'cvtpd2pi', 'Pq,Wx', packedToMmx(TWO_DOUBLES, false)),
  row('F3 0F 2D', 'cvtss2si', 'Gy,Wd', scalarToInteger(32, false)),
  row('F2 0F 2D', 'cvtsd2si', 'Gy,Wq', scalarToInteger(64, false)),
  row('NP 0F 5A', 'cvtps2pd', 'Vx,Wq', singlesToDoubles),
  row('66 0F 5A', 'cvtpd2ps', 'Vx,Wx', doublesToSingles),
  row('F3 0F 5A', 'cvtss2sd', 'Vq,Wd', singleToDouble),
  row('F2 0F 5A', 'cvtsd2ss', 'Vd,Wq', doubleToSingle),
  row('NP 0F 5B', 'cvtdq2ps', 'Vx,Wx', integersToSingles),
  row('66 0F 5B', 'cvtps2dq', 'Vx,Wx', packedToInteger(FOUR_SINGLES, false)),
  row('F3 0F 5B', 'cvttps2dq', 'Vx,Wx', packedToInteger(FOUR_SINGLES, true)),
  row('F3 0F E6', 'cvtdq2pd', 'Vx,Wq', integersToDoubles),
  row('66 0F E6', 'cvttpd2dq', 'Vx,Wx', packedToInteger(TWO_DOUBLES, true)),
  row('F2 0F E6', 'cvtpd2dq', 'Vx,Wx', packedToInteger(TWO_DOUBLES, false)),
];
