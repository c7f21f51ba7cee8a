/** FMA and F16C. Source: SDM Vol. 1, 14.4, 14.5; Vol. 2C. */
import { NEGATE } from '../float/fused.ts';
import { type I32, i32, k32, k64, type V128, type Val, type ValType, v128 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import { PD, PS, SD, type Shape, SS } from './sse-shapes.ts';
import { begin, beginVex, softBegin, softFinish } from './sse-support.ts';
import { vexRow, writeVector } from './vex-view.ts';
import { kernelValue } from './x87-support.ts';

/** By the digits of the name: which operands are multiplied, and which is added. */
const ORDERS = { 132: [0, 2, 1], 213: [1, 0, 2], 231: [1, 2, 0] } as const;
type Order = keyof typeof ORDERS;

/** What is negated in even and in odd elements. */
type Signs = readonly [even: number, odd: number];
const { product, addend } = NEGATE;
const OPERATIONS: readonly { name: string; low: number; signs: Signs; scalar: boolean }[] = [
  { name: 'fmaddsub', low: 0x6, signs: [addend, 0], scalar: false },
  { name: 'fmsubadd', low: 0x7, signs: [0, addend], scalar: false },
  { name: 'fmadd', low: 0x8, signs: [0, 0], scalar: true },
  { name: 'fmsub', low: 0xa, signs: [addend, addend], scalar: true },
  { name: 'fnmadd', low: 0xc, signs: [product, product], scalar: true },
  { name: 'fnmsub', low: 0xe, signs: [product | addend, product | addend], scalar: true },
];
const HIGH: Readonly<Record<Order, number>> = { 132: 0x90, 213: 0xa0, 231: 0xb0 };

const fused = <T extends ValType, M extends ValType>(s: Shape<T, M>, order: Order, signs: Signs) => {
  return (e: Ops): void => {
    begin(e);
    const { f } = e;
    // The last operand may be in memory: it comes first.
    const last = s.read(e, 2);
    const operands = [s.read(e, 0), s.read(e, 1), last];
    const [a, b, c] = ORDERS[order].map((n) => operands[n]);
    const result = f.local(s.zero.type as T);
    f.set(result, s.zero);
    const type = s.bits === 64 ? 'i64' : 'i32';
    const control = softBegin(e);
    for (let i = 0; i < s.lanes; i++) {
      const negate = k32(signs[i & 1]);
      const args: Val[] = [s.lane(a, i), s.lane(b, i), s.lane(c, i), negate];
      f.set(result, s.withLane(result.get, i, kernelValue(e, type, `sseFused${s.bits}`, control, ...args)));
    }
    softFinish(e);
    s.write(e, result.get);
  };
};

const hex = (n: number): string => n.toString(16).toUpperCase();
const form = { three: false, float: true } as const;

const fusedRows: readonly Row[] = OPERATIONS.flatMap(({ name, low, signs, scalar }) =>
  ([132, 213, 231] as const).flatMap((order) =>
    (['W0', 'W1'] as const).flatMap((w) => {
      const packed = w === 'W0' ? PS : PD;
      const opcode = (length: string, n: number): string => `VEX.${length}.66.0F38.${w} ${hex(HIGH[order] + n)}`;
      const mnemonic = (suffix: string): string => `v${name}${order}${suffix}`;
      const semantics = fused(packed, order, signs);
      const rows = [
        vexRow(opcode('128', low), mnemonic(packed.suffix), 'Vx,Hx,Wx', semantics, form),
        vexRow(opcode('256', low), mnemonic(packed.suffix), 'Vqq,Hqq,Wqq', semantics, form),
      ];
      if (!scalar) return rows;
      const single = w === 'W0' ? fused(SS, order, signs) : fused(SD, order, signs);
      const operands = w === 'W0' ? 'Vd,Hd,Wd' : 'Vq,Hq,Wq';
      return [...rows, vexRow(opcode('LIG', low + 1), mnemonic(w === 'W0' ? 'ss' : 'sd'), operands, single, form)];
    }),
  ),
);

/** Four halves in the low words. */
function toSingles(e: Ops, halves: V128, control: I32): V128 {
  let result = v128.splatI32(k32(0));
  for (let i = 0; i < 4; i++) {
    const single = kernelValue(e, 'i32', 'sseF16ToF32', control, v128.i16x8ExtractU(halves, i));
    result = v128.i32x4Replace(result, i, single);
  }
  return e.f.let(result);
}
const expand = (wide: boolean) => {
  return (e: Ops): void => {
    beginVex(e);
    const { f } = e;
    const halves = f.let(wide ? e.read128(1) : v128.splatI64(e.read64(1)));
    const control = softBegin(e);
    const low = toSingles(e, halves, control);
    const upper = f.let(v128.shuffle(halves, halves, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]));
    const high = wide ? toSingles(e, upper, control) : undefined;
    softFinish(e);
    writeVector(e, 0, low, high);
  };
};

/** Immediate bits 1-0 are the rounding mode unless bit 2 says MXCSR's. */
function controlOf(e: Ops, immediate: I32): I32 {
  const imm = e.f.let(immediate);
  const control = e.f.local('i32');
  e.f.set(control, softBegin(e));
  e.f.if(i32.eqz(i32.and(imm, k32(4))), () => {
    const mode = i32.shl(i32.and(imm, k32(3)), k32(10));
    e.f.set(control, i32.or(i32.and(control.get, k32(~0xc00)), mode));
  });
  return control.get;
}
function toHalves(e: Ops, singles: V128, control: I32): V128 {
  let result = v128.splatI32(k32(0));
  for (let i = 0; i < 4; i++) {
    const half = kernelValue(e, 'i32', 'sseF32ToF16', control, v128.i32x4Extract(singles, i));
    result = v128.i16x8Replace(result, i, half);
  }
  return e.f.let(result);
}
const shrink = (wide: boolean) => {
  return (e: Ops): void => {
    beginVex(e);
    const { f } = e;
    const low = f.let(e.read128(1));
    const high = f.let(v128.load(e.upper(1)));
    // A page fault comes before a numeric exception.
    if (e.isMemory(0)) e.probe(e.linear(0), k32(wide ? 16 : 8));
    const control = controlOf(e, e.read(2));
    const first = f.let(v128.i64x2Extract(toHalves(e, low, control), 0));
    const second = wide ? f.let(v128.i64x2Extract(toHalves(e, high, control), 0)) : k64(0);
    softFinish(e);
    if (!e.isMemory(0)) writeVector(e, 0, v128.i64x2Replace(v128.splatI64(first), 1, second));
    else if (wide) e.write128(0, v128.i64x2Replace(v128.splatI64(first), 1, second));
    else e.write64(0, first);
  };
};

const halfRows: readonly Row[] = [
  row('VEX.128.66.0F38.W0 13', 'vcvtph2ps', 'Vx,Wq', expand(false)),
  row('VEX.256.66.0F38.W0 13', 'vcvtph2ps', 'Vqq,Wx', expand(true)),
  row('VEX.128.66.0F3A.W0 1D', 'vcvtps2ph', 'Wq,Vx,Ib', shrink(false), { access: 'write' }),
  row('VEX.256.66.0F3A.W0 1D', 'vcvtps2ph', 'Wx,Vqq,Ib', shrink(true), { access: 'write' }),
];

export const fmaRows: readonly Row[] = [...fusedRows, ...halfRows.map(fixedSize)];
