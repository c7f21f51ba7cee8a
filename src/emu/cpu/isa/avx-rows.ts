/** AVX and AVX2 instructions that have no legacy form. Source: SDM Vol. 2; Vol. 1, 14.1, 14.6. Gathers are in avx-memory-rows.ts. */
import { STATE, XMM_BYTES } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64, k128, select, type V128, type Val, v128, word } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import { dwordIndices } from './simd-integer.ts';
import { elementMask, signMask } from './simd-integer-more.ts';
import { PS } from './sse-shapes.ts';
import { begin, beginVex, source } from './sse-support.ts';
import { dotProducts } from './sse4-float-rows.ts';
import { setTestFlags } from './sse4-rows.ts';
import { type VexForm, vexRow, writeVector } from './vex-view.ts';

type Wide = readonly [low: V128, high: V128];

const avx =
  (body: (e: Ops) => void) =>
  (e: Ops): void => {
    beginVex(e);
    body(e);
  };

/** All 32 bytes of an operand. */
export function readWide(e: Ops, n: number): Wide {
  const { f } = e;
  if (!e.isMemory(n)) return [f.let(e.read128(n)), f.let(v128.load(e.upper(n)))];
  const at = f.let(e.linear(n));
  return [e.load128(at), e.load128(f.let(word.add(at, 16)))];
}

/** Rows of an operation that works on 128-bit lanes alike: XMM and YMM. `opcode` is what follows `VEX.<length>.`. */
const lanewise = (
  opcode: string,
  mnemonic: string,
  operands: string,
  semantics: (e: Ops) => void,
  form: VexForm = { three: true },
): Row[] => [
  vexRow(`VEX.128.${opcode}`, mnemonic, operands, semantics, form),
  vexRow(`VEX.256.${opcode}`, mnemonic, operands.replaceAll('x', 'qq'), semantics, form),
];
const two: VexForm = { three: false };

const binary =
  (op: (e: Ops, a: V128, b: V128) => V128) =>
  (e: Ops): void => {
    begin(e);
    const b = source(e, 1);
    const a = e.f.let(e.read128(0));
    e.write128(0, op(e, a, b));
  };
const unaryImmediate =
  (op: (e: Ops, v: V128, imm: I32) => V128) =>
  (e: Ops): void => {
    begin(e);
    const v = source(e, 1);
    e.write128(0, op(e, v, e.read(2)));
  };

// Broadcasts.

const broadcast = (splat: (e: Ops) => V128, wide: boolean): ((e: Ops) => void) =>
  avx((e) => {
    const v = e.f.let(splat(e));
    writeVector(e, 0, v, wide ? v : undefined);
  });
const broadcasts = (opcode: string, mnemonic: string, source_: string, splat: (e: Ops) => V128): Row[] => [
  row(`VEX.128.66.0F38.W0 ${opcode}`, mnemonic, `Vx,${source_}`, broadcast(splat, false)),
  row(`VEX.256.66.0F38.W0 ${opcode}`, mnemonic, `Vqq,${source_}`, broadcast(splat, true)),
];
const broadcastRows: readonly Row[] = [
  ...broadcasts('18', 'vbroadcastss', 'Wd', (e) => v128.splatI32(e.read(1))),
  row(
    'VEX.256.66.0F38.W0 19',
    'vbroadcastsd',
    'Vqq,Wq',
    broadcast((e) => v128.splatI64(e.read64(1)), true),
  ),
  row(
    'VEX.256.66.0F38.W0 1A m',
    'vbroadcastf128',
    'Vqq,Mx',
    broadcast((e) => e.read128(1), true),
  ),
  row(
    'VEX.256.66.0F38.W0 5A m',
    'vbroadcasti128',
    'Vqq,Mx',
    broadcast((e) => e.read128(1), true),
  ),
  ...broadcasts('78', 'vpbroadcastb', 'Wb', (e) => v128.splatI8(e.read(1))),
  ...broadcasts('79', 'vpbroadcastw', 'Ww', (e) => v128.splatI16(e.read(1))),
  ...broadcasts('58', 'vpbroadcastd', 'Wd', (e) => v128.splatI32(e.read(1))),
  ...broadcasts('59', 'vpbroadcastq', 'Wq', (e) => v128.splatI64(e.read64(1))),
];

// Permutations within lanes.

const spread = (dwords: V128): V128 =>
  v128.i32x4Add(v128.i32x4Mul(v128.and(dwords, splat(3n)), splat(0x04040404n)), splat(0x03020100n));
const splat = (dword: bigint): V128 => k128((dword << 32n) | dword, (dword << 32n) | dword);
const half = (v: V128, n: 0 | 1): Val<'i64'> => v128.i64x2Extract(v, n);
/** Each quadword is the one of `v` that bit 0 of `choice` names. */
const chooseQuads = (v: V128, mask: V128): V128 =>
  v128.bitselect(v128.splatI64(half(v, 1)), v128.splatI64(half(v, 0)), mask);

const permuteRows: readonly Row[] = [
  ...lanewise(
    '66.0F38.W0 0C',
    'vpermilps',
    'Vx,Hx,Wx',
    binary((_e, a, b) => v128.swizzle(a, spread(b))),
  ),
  ...lanewise(
    '66.0F38.W0 0D',
    'vpermilpd',
    'Vx,Hx,Wx',
    binary((_e, a, b) => chooseQuads(a, v128.i64x2ShrS(v128.i64x2Shl(b, k32(62)), k32(63)))),
  ),
  ...lanewise(
    '66.0F3A.W0 04',
    'vpermilps',
    'Vx,Wx,Ib',
    unaryImmediate((e, v, imm) => v128.swizzle(v, dwordIndices(e.f, imm))),
    two,
  ),
  ...lanewise(
    '66.0F3A.W0 05',
    'vpermilpd',
    'Vx,Wx,Ib',
    unaryImmediate((_e, v, imm) => chooseQuads(v, elementMask(imm, 64))),
    { three: false, immediateShift: 2 },
  ),
];

// Permutations across lanes.

/** One of four halves, or zeros. */
function chooseHalf(halves: readonly V128[], control: I32): V128 {
  const pick = (bit: number, x: V128, y: V128): V128 => select(i32.and(control, k32(bit)), x, y);
  const chosen = pick(2, pick(1, halves[3], halves[2]), pick(1, halves[1], halves[0]));
  return pick(8, splat(0n), chosen);
}
const permuteHalves = avx((e) => {
  const b = readWide(e, 2);
  const halves = [...readWide(e, 1), ...b];
  const imm = e.f.let(e.read(3));
  const low = e.f.let(chooseHalf(halves, imm));
  writeVector(e, 0, low, e.f.let(chooseHalf(halves, i32.shrU(imm, k32(4)))));
});
const insertHalf = avx((e) => {
  const value = e.read128(2);
  const [low, high] = readWide(e, 1);
  const upper = e.f.let(i32.and(e.read(3), k32(1)));
  const below = e.f.let(select(upper, low, value));
  writeVector(e, 0, below, e.f.let(select(upper, value, high)));
});
const extractHalf = avx((e) => {
  const [low, high] = readWide(e, 1);
  const value = e.f.let(select(i32.and(e.read(2), k32(1)), high, low));
  if (e.isMemory(0)) e.write128(0, value);
  else writeVector(e, 0, value);
});
/** Eight doublewords chosen from eight. */
const permuteDwords = avx((e) => {
  const [low, high] = readWide(e, 2);
  const results = readWide(e, 1).map((indices) => {
    const bytes = e.f.let(spread(indices));
    const upper = v128.i32x4ShrS(v128.i32x4Shl(indices, k32(29)), k32(31));
    return e.f.let(v128.bitselect(v128.swizzle(high, bytes), v128.swizzle(low, bytes), upper));
  });
  writeVector(e, 0, results[0], results[1]);
});
/** Four quadwords chosen from four, two bits each. */
const permuteQuads = avx((e) => {
  const { f } = e;
  const [low, high] = readWide(e, 1);
  const imm = f.let(e.read(2));
  const quads = [half(low, 0), half(low, 1), half(high, 0), half(high, 1)];
  const bit = (n: number): I32 => i32.and(i32.shrU(imm, k32(n)), k32(1));
  const chosen = [0, 2, 4, 6].map((n) => {
    const lower = select(bit(n), quads[1], quads[0]);
    const upper = select(bit(n), quads[3], quads[2]);
    return f.let(select(bit(n + 1), upper, lower));
  });
  const pair = (a: Val<'i64'>, b: Val<'i64'>): V128 => f.let(v128.i64x2Replace(v128.splatI64(a), 1, b));
  writeVector(e, 0, pair(chosen[0], chosen[1]), pair(chosen[2], chosen[3]));
});

const acrossRows: readonly Row[] = [
  ...(['f', 'i'] as const).flatMap((letter, n) => [
    row(`VEX.256.66.0F3A.W0 ${['06', '46'][n]}`, `vperm2${letter}128`, 'Vqq,Hqq,Wqq,Ib', permuteHalves),
    row(`VEX.256.66.0F3A.W0 ${['18', '38'][n]}`, `vinsert${letter}128`, 'Vqq,Hqq,Wx,Ib', insertHalf),
    row(`VEX.256.66.0F3A.W0 ${['19', '39'][n]}`, `vextract${letter}128`, 'Wx,Vqq,Ib', extractHalf, { access: 'write' }),
  ]),
  row('VEX.256.66.0F38.W0 36', 'vpermd', 'Vqq,Hqq,Wqq', permuteDwords),
  row('VEX.256.66.0F38.W0 16', 'vpermps', 'Vqq,Hqq,Wqq', permuteDwords),
  row('VEX.256.66.0F3A.W1 00', 'vpermq', 'Vqq,Wqq,Ib', permuteQuads),
  row('VEX.256.66.0F3A.W1 01', 'vpermpd', 'Vqq,Wqq,Ib', permuteQuads),
];

// Blends and shifts by element.

const blendByOperand =
  (size: 8 | 32 | 64) =>
  (e: Ops): void => {
    begin(e);
    const b = source(e, 1);
    const mask = signMask(e.f.let(e.read128(2)), size);
    e.write128(0, v128.bitselect(b, e.read128(0), e.f.let(mask)));
  };

type Shift = 'left' | 'right' | 'arithmetic';
const shift32 = { left: i32.shl, right: i32.shrU, arithmetic: i32.shrS } as const;
/** Counts of the element's size or more give 0, or copies of the sign. */
const shiftDwords = (kind: Shift): ((e: Ops) => void) =>
  binary((e, a, b) => {
    let result = splat(0n);
    for (let i = 0; i < 4; i++) {
      const count = e.f.let(v128.i32x4Extract(b, i));
      const value = v128.i32x4Extract(a, i);
      const over = i32.gtU(count, k32(31));
      const shifted =
        kind === 'arithmetic'
          ? i32.shrS(value, select(over, k32(31), count))
          : select(over, k32(0), shift32[kind](value, count));
      result = v128.i32x4Replace(result, i, shifted);
    }
    return result;
  });
const shiftQuads = (kind: 'left' | 'right'): ((e: Ops) => void) =>
  binary((e, a, b) => {
    const op = kind === 'left' ? i64.shl : i64.shrU;
    const [low, high] = ([0, 1] as const).map((n) => {
      const count = e.f.let(half(b, n));
      return select(i64.gtU(count, k64(63)), k64(0), op(half(a, n), count));
    });
    return v128.i64x2Replace(v128.splatI64(low), 1, high);
  });

const elementRows: readonly Row[] = [
  ...lanewise('66.0F3A.W0 4A', 'vblendvps', 'Vx,Hx,Wx,Lx', blendByOperand(32)),
  ...lanewise('66.0F3A.W0 4B', 'vblendvpd', 'Vx,Hx,Wx,Lx', blendByOperand(64)),
  ...lanewise('66.0F3A.W0 4C', 'vpblendvb', 'Vx,Hx,Wx,Lx', blendByOperand(8)),
  ...lanewise(
    '66.0F3A.W0 02',
    'vpblendd',
    'Vx,Hx,Wx,Ib',
    (e) => {
      begin(e);
      const b = source(e, 1);
      e.write128(0, v128.bitselect(b, e.read128(0), elementMask(e.read(2), 32)));
    },
    { three: true, immediateShift: 4 },
  ),
  ...lanewise('66.0F38.W0 47', 'vpsllvd', 'Vx,Hx,Wx', shiftDwords('left')),
  ...lanewise('66.0F38.W1 47', 'vpsllvq', 'Vx,Hx,Wx', shiftQuads('left')),
  ...lanewise('66.0F38.W0 45', 'vpsrlvd', 'Vx,Hx,Wx', shiftDwords('right')),
  ...lanewise('66.0F38.W1 45', 'vpsrlvq', 'Vx,Hx,Wx', shiftQuads('right')),
  ...lanewise('66.0F38.W0 46', 'vpsravd', 'Vx,Hx,Wx', shiftDwords('arithmetic')),
];

/** Not from the halves: each step is one for both. */
const dotProductWide = avx((e) => {
  const b = readWide(e, 2);
  const a = readWide(e, 1);
  const halves = [0, 1].map((n) => [a[n], b[n]] as const);
  const [low, high] = dotProducts(e, PS, halves, e.read(3));
  writeVector(e, 0, low, high);
});

// Tests, and registers all at once.

/** What is left of a vector for a test: all of it, or the signs of its elements. */
const test = (keep: (v: V128) => V128, wide: boolean): ((e: Ops) => void) =>
  avx((e) => {
    const b = wide ? readWide(e, 1) : [e.read128(1)];
    const a = wide ? readWide(e, 0) : [e.read128(0)];
    const any = (op: (x: V128, y: V128) => V128): I32 =>
      a.map((x, n) => v128.anyTrue(keep(op(b[n], x)))).reduce((x, y) => i32.or(x, y));
    const common = e.f.let(any(v128.and));
    setTestFlags(e, common, e.f.let(any(v128.andnot)));
  });
const signs32 = (v: V128): V128 => v128.and(v, splat(0x80000000n));
const signs64 = (v: V128): V128 => v128.and(v, k128(1n << 63n, 1n << 63n));
const tests = (opcode: string, mnemonic: string, keep: (v: V128) => V128): Row[] => [
  row(`VEX.128.66.0F38.W0 ${opcode}`, mnemonic, 'Vx,Wx', test(keep, false)),
  row(`VEX.256.66.0F38.W0 ${opcode}`, mnemonic, 'Vqq,Wqq', test(keep, true)),
];

/** VZEROUPPER and VZEROALL: the registers that the mode has. */
const clear = (from: 0 | 16): ((e: Ops) => void) =>
  avx((e) => {
    for (let n = 0; n < (e.long ? 16 : 8); n++) {
      for (let at: number = from; at < 32; at += 16)
        e.f.store128(e.addressOf(STATE.xmm + n * XMM_BYTES + at), v128.zero);
    }
  });

const otherRows: readonly Row[] = [
  row('VEX.256.66.0F3A.WIG 40', 'vdpps', 'Vqq,Hqq,Wqq,Ib', dotProductWide),
  ...tests('0E', 'vtestps', signs32),
  ...tests('0F', 'vtestpd', signs64),
  row(
    'VEX.256.66.0F38.WIG 17',
    'vptest',
    'Vqq,Wqq',
    test((v) => v, true),
  ),
  row('VEX.128.0F.WIG 77', 'vzeroupper', '', clear(16)),
  row('VEX.256.0F.WIG 77', 'vzeroall', '', clear(0)),
];

export const avxRows: readonly Row[] = [
  ...[...broadcastRows, ...acrossRows, ...otherRows].map(fixedSize),
  ...permuteRows,
  ...elementRows,
];
