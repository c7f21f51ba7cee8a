/**
 * SSE, SSE2 and SSE3 moves, logic, shuffles, integer SIMD and state. Source: SDM Vol. 2; Vol. 1, chapters 10 to 12.
 *
 * Memory operands of 16 bytes must be aligned except in MOVUPS, MOVUPD, MOVDQU and LDDQU. Hints (MOVNT*, fences)
 * only do what a program can see.
 */
import { STATE } from '../state/layout.ts';
import { f64, type I32, type I64, i32, i64, k32, k64, select, type V128, v128, word } from '../wasm/expr.ts';
import { storeBytes } from './mmx-rows.ts';
import { checkMmx, enterMmx } from './mmx-support.ts';
import { EXCEPTION, type Ops } from './ops.ts';
import { fixedSize, type Row, type RowOptions, row } from './row.ts';
import { dwordIndices, INTEGER_OPERATIONS, SHIFT_OPERATIONS, shiftElements, wordIndices } from './simd-integer.ts';
import { insertedElement } from './simd-integer-more.ts';
import { sseArithmeticRows } from './sse-arith-rows.ts';
import { sseConversionRows } from './sse-convert-rows.ts';
import { alignedAddress, begin, source } from './sse-support.ts';
import { MXCSR_MASK } from './x87-control-rows.ts';

type Semantics = (e: Ops) => void;
const WRITE: RowOptions = { access: 'write' };

/** The usual start, then `body`. */
const sse = (body: Semantics): Semantics => {
  return (e) => {
    begin(e);
    body(e);
  };
};

const moveAligned = sse((e) => e.write128(0, source(e, 1)));
const storeAligned = sse((e) => {
  const value = e.f.let(e.read128(1));
  if (e.isMemory(0)) e.store128(alignedAddress(e, 0), value);
  else e.write128(0, value);
});
const moveUnaligned = sse((e) => e.write128(0, e.read128(1)));

/** Loads of a low part from memory clear the rest; from a register they keep it. */
const moveScalar32 = sse((e) => {
  const value = e.f.let(e.read(1));
  if (e.isMemory(1)) e.write128(0, v128.extend32(value));
  else e.write(0, value);
});
const moveScalar64 = sse((e) => {
  const value = e.f.let(e.read64(1));
  if (e.isMemory(1)) e.write128(0, v128.extend64(value));
  else e.write64(0, value);
});
const storeScalar32 = sse((e) => e.write(0, e.read(1)));
/** To a general register or memory, 32 or 64 bits. */
const storeScalar = sse((e) => e.write(0, e.size === 64 ? e.read64(1) : e.read(1)));
const storeScalar64 = sse((e) => e.write64(0, e.read64(1)));
/** MOVQ clears the high half of a register. */
const storeQuad = sse((e) => {
  const value = e.f.let(e.read64(1));
  if (e.isMemory(0)) e.write64(0, value);
  else e.write128(0, v128.extend64(value));
});
const loadQuad = sse((e) => e.write128(0, v128.extend64(e.read64(1))));

// As floats, which are what registers of vectors hold.
const loadHigh = sse((e) => {
  const value = e.f.let(e.read64(1));
  e.write128(0, v128.f64x2Replace(e.read128(0), 1, f64.reinterpretI64(value)));
});
const storeHigh = sse((e) => e.write64(0, i64.reinterpretF64(v128.f64x2Extract(e.read128(1), 1))));

const moveRows: readonly Row[] = [
  row('NP 0F 10', 'movups', 'Vx,Wx', moveUnaligned, { hot: true }),
  row('66 0F 10', 'movupd', 'Vx,Wx', moveUnaligned),
  row('F3 0F 10', 'movss', 'Vd,Wd', moveScalar32),
  row('F2 0F 10', 'movsd', 'Vq,Wq', moveScalar64, { hot: true }),
  row('NP 0F 11', 'movups', 'Wx,Vx', moveUnaligned, { ...WRITE, hot: true }),
  row('66 0F 11', 'movupd', 'Wx,Vx', moveUnaligned, WRITE),
  row('F3 0F 11', 'movss', 'Wd,Vd', storeScalar32, WRITE),
  row('F2 0F 11', 'movsd', 'Wq,Vq', storeScalar64, { ...WRITE, hot: true }),
  row('NP 0F 12 m', 'movlps', 'Vq,Mq', storeScalar64),
  row(
    'NP 0F 12 r',
    'movhlps',
    'Vq,Ux',
    sse((e) => e.write64(0, v128.i64x2Extract(e.read128(1), 1))),
  ),
  row('66 0F 12 m', 'movlpd', 'Vq,Mq', storeScalar64),
  row('NP 0F 13 m', 'movlps', 'Mq,Vq', storeScalar64, WRITE),
  row('66 0F 13 m', 'movlpd', 'Mq,Vq', storeScalar64, WRITE),
  row('NP 0F 16 m', 'movhps', 'Vx,Mq', loadHigh),
  row('NP 0F 16 r', 'movlhps', 'Vx,Uq', loadHigh),
  row('66 0F 16 m', 'movhpd', 'Vx,Mq', loadHigh),
  row('NP 0F 17 m', 'movhps', 'Mq,Vx', storeHigh, WRITE),
  row('66 0F 17 m', 'movhpd', 'Mq,Vx', storeHigh, WRITE),
  row('NP 0F 28', 'movaps', 'Vx,Wx', moveAligned, { hot: true }),
  row('66 0F 28', 'movapd', 'Vx,Wx', moveAligned),
  row('NP 0F 29', 'movaps', 'Wx,Vx', storeAligned, { ...WRITE, hot: true }),
  row('66 0F 29', 'movapd', 'Wx,Vx', storeAligned, WRITE),
  row('NP 0F 2B m', 'movntps', 'Mx,Vx', storeAligned, WRITE),
  row('66 0F 2B m', 'movntpd', 'Mx,Vx', storeAligned, WRITE),
  row(
    '66 0F 6E',
    'movd|movd|movq',
    'Vx,Ey',
    sse((e) => {
      const value = word.toU('i64', e.readWord(1)) as I64;
      e.write128(0, v128.extend64(value));
    }),
  ),
  row('66 0F 7E', 'movd|movd|movq', 'Ey,Vy', storeScalar, WRITE),
  row('F3 0F 7E', 'movq', 'Vx,Wq', loadQuad, { hot: true }),
  row('66 0F D6', 'movq', 'Wq,Vq', storeQuad, { ...WRITE, hot: true }),
  row('66 0F 6F', 'movdqa', 'Vx,Wx', moveAligned, { hot: true }),
  row('F3 0F 6F', 'movdqu', 'Vx,Wx', moveUnaligned, { hot: true }),
  row('66 0F 7F', 'movdqa', 'Wx,Vx', storeAligned, { ...WRITE, hot: true }),
  row('F3 0F 7F', 'movdqu', 'Wx,Vx', moveUnaligned, { ...WRITE, hot: true }),
  row('F2 0F F0 m', 'lddqu', 'Vx,Mx', moveUnaligned),
  row('66 0F E7 m', 'movntdq', 'Mx,Vx', storeAligned, WRITE),
  row('NP 0F C3 m', 'movnti', 'My,Gy', (e) => e.write(0, e.readWord(1)), WRITE),
  row('F3 0F D6 r', 'movq2dq', 'Vx,Nq', (e) => {
    begin(e);
    checkMmx(e);
    const value = e.f.let(e.read64(1));
    enterMmx(e);
    e.write128(0, v128.extend64(value));
  }),
  row('F2 0F D6 r', 'movdq2q', 'Pq,Uq', (e) => {
    begin(e);
    checkMmx(e);
    const value = e.f.let(e.read64(1));
    enterMmx(e);
    e.write64(0, value);
  }),
];

/** destination = op(destination, source) on 128 bits. */
const binary = (op: (e: Ops, a: V128, b: V128) => V128): Semantics =>
  sse((e) => {
    const b = source(e, 1);
    const a = e.f.let(e.read128(0));
    e.write128(0, op(e, a, b));
  });
/** destination = op(source). */
const unary = (op: (e: Ops, v: V128) => V128): Semantics => sse((e) => e.write128(0, op(e, source(e, 1))));
const both = (opcode: string, stem: string, op: (a: V128, b: V128) => V128): Row[] => [
  row(
    `NP 0F ${opcode}`,
    `${stem}ps`,
    'Vx,Wx',
    binary((_e, a, b) => op(a, b)),
  ),
  row(
    `66 0F ${opcode}`,
    `${stem}pd`,
    'Vx,Wx',
    binary((_e, a, b) => op(a, b)),
  ),
];

const dwords = (lanes: readonly number[]): number[] => lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => lane * 4 + i));
const shuffled = (lanes: readonly number[]): Semantics => binary((_e, a, b) => v128.shuffle(a, b, dwords(lanes)));
const duplicated = (lanes: readonly number[]): Semantics => unary((_e, v) => v128.shuffle(v, v, dwords(lanes)));

/** Two-bit numbers of an immediate, where it is known when code is generated. */
const selected = (imm: I32): number[] | undefined =>
  imm.constant === undefined ? undefined : [0, 2, 4, 6].map((shift) => ((imm.constant as number) >> shift) & 3);

const shuffleDoubles = sse((e) => {
  const b = source(e, 1);
  const a = e.f.let(e.read128(0));
  const imm = e.f.let(e.read(2));
  if (imm.constant !== undefined) {
    const [low, high] = [imm.constant & 1, (imm.constant >> 1) & 1];
    e.write128(0, v128.shuffle(a, b, dwords([2 * low, 2 * low + 1, 4 + 2 * high, 5 + 2 * high])));
    return;
  }
  const low = select(i32.and(imm, k32(1)), v128.i64x2Extract(a, 1), v128.i64x2Extract(a, 0));
  const high = select(i32.and(imm, k32(2)), v128.i64x2Extract(b, 1), v128.i64x2Extract(b, 0));
  e.write128(0, v128.i64x2Replace(v128.splatI64(low), 1, high));
});
const shuffleSingles = binary((e, a, b) => {
  const known = selected(e.read(2));
  if (known) return v128.shuffle(a, b, dwords([known[0], known[1], 4 + known[2], 4 + known[3]]));
  const indices = dwordIndices(e.f, e.read(2));
  return v128.shuffle(v128.swizzle(a, indices), v128.swizzle(b, indices), dwords([0, 1, 6, 7]));
});

/** PSHUFLW and PSHUFHW: the words of the half from byte `base`. */
const shuffleWords = (base: 0 | 8): Semantics =>
  unary((e, v) => {
    const known = selected(e.read(2));
    if (!known) return v128.swizzle(v, wordIndices(e.f, e.read(2), base));
    const bytes = Array.from({ length: 16 }, (_, i) => i);
    known.forEach((word, i) => {
      bytes[base + 2 * i] = base + 2 * word;
      bytes[base + 2 * i + 1] = base + 2 * word + 1;
    });
    return v128.shuffle(v, v, bytes);
  });

const shuffleRows: readonly Row[] = [
  ...both('54', 'and', v128.and),
  ...both('55', 'andn', (a, b) => v128.andnot(b, a)),
  ...both('56', 'or', v128.or),
  ...both('57', 'xor', v128.xor),
  row('NP 0F 14', 'unpcklps', 'Vx,Wx', shuffled([0, 4, 1, 5])),
  row('66 0F 14', 'unpcklpd', 'Vx,Wx', shuffled([0, 1, 4, 5])),
  row('NP 0F 15', 'unpckhps', 'Vx,Wx', shuffled([2, 6, 3, 7])),
  row('66 0F 15', 'unpckhpd', 'Vx,Wx', shuffled([2, 3, 6, 7])),
  row('F3 0F 12', 'movsldup', 'Vx,Wx', duplicated([0, 0, 2, 2])),
  row('F3 0F 16', 'movshdup', 'Vx,Wx', duplicated([1, 1, 3, 3])),
  row(
    'F2 0F 12',
    'movddup',
    'Vx,Wq',
    sse((e) => e.write128(0, v128.splatI64(e.read64(1)))),
  ),
  row('NP 0F C6', 'shufps', 'Vx,Wx,Ib', shuffleSingles),
  row('66 0F C6', 'shufpd', 'Vx,Wx,Ib', shuffleDoubles),
  row(
    '66 0F 70',
    'pshufd',
    'Vx,Wx,Ib',
    unary((e, v) => {
      const known = selected(e.read(2));
      return known ? v128.shuffle(v, v, dwords(known)) : v128.swizzle(v, dwordIndices(e.f, e.read(2)));
    }),
  ),
  row('F3 0F 70', 'pshufhw', 'Vx,Wx,Ib', shuffleWords(8)),
  row('F2 0F 70', 'pshuflw', 'Vx,Wx,Ib', shuffleWords(0)),
];

/** Bytes moved up or down by a count of bytes: indices outside 0..15 give 0 in `swizzle`. */
const byteShift = (left: boolean): Semantics =>
  sse((e) => {
    const raw = e.f.let(i32.and(e.read(1), k32(0xff)));
    const count = select(i32.gtU(raw, k32(16)), k32(16), raw);
    const offsets = v128.splatI8(count);
    const iota = v128.i64x2Replace(v128.splatI64(k64(0x0706050403020100n)), 1, k64(0x0f0e0d0c0b0a0908n));
    const indices = left ? v128.i8x16Sub(iota, offsets) : v128.i8x16Add(iota, offsets);
    e.write128(0, v128.swizzle(e.read128(0), indices));
  });

const wordAddress = (e: Ops, n: number, index: I32): I32 => i32.add(e.slot(n), i32.shl(i32.and(index, k32(7)), k32(1)));
const insertWord = sse((e) => {
  const value = e.f.let(e.read(1));
  e.write128(0, insertedElement(e.read128(0), 16, e.read(2), value));
});
const maskOf = (mask: (v: V128) => I32): Semantics => sse((e) => e.write(0, mask(e.read128(1))));

const integerRows: readonly Row[] = [
  ...INTEGER_OPERATIONS.map(({ opcode, mnemonic, wide }) =>
    row(
      `66 0F ${opcode}`,
      mnemonic,
      'Vx,Wx',
      binary((e, a, b) => wide(e.f, a, b)),
    ),
  ),
  ...SHIFT_OPERATIONS.flatMap((op) => [
    row(
      `66 0F ${op.opcode}`,
      op.mnemonic,
      'Vx,Wx',
      binary((e, a, b) => shiftElements(e.f, op, a, v128.i64x2Extract(b, 0))),
    ),
    row(
      `66 0F ${op.immediate} r`,
      op.mnemonic,
      'Ux,Ib',
      sse((e) => {
        const count = i64.extendU(i32.and(e.read(1), k32(0xff)));
        e.write128(0, shiftElements(e.f, op, e.read128(0), count));
      }),
    ),
  ]),
  row('66 0F 73 /3 r', 'psrldq', 'Ux,Ib', byteShift(false)),
  row('66 0F 73 /7 r', 'pslldq', 'Ux,Ib', byteShift(true)),
  row('66 0F C4 m', 'pinsrw', 'Vx,Mw,Ib', insertWord),
  row('66 0F C4 r', 'pinsrw', 'Vx,Rd,Ib', insertWord),
  row(
    '66 0F C5 r',
    'pextrw',
    'Gd,Ux,Ib',
    sse((e) => e.write(0, i32.load16U(wordAddress(e, 1, e.read(2))))),
  ),
  row('66 0F D7 r', 'pmovmskb', 'Gd,Ux', maskOf(v128.i8x16Bitmask)),
  row('NP 0F 50 r', 'movmskps', 'Gd,Ux', maskOf(v128.i32x4Bitmask)),
  row('66 0F 50 r', 'movmskpd', 'Gd,Ux', maskOf(v128.i64x2Bitmask)),
  row(
    '66 0F F7 r',
    'maskmovdqu',
    'Vx,Ux',
    sse((e) => storeBytes(e, e.slot(0), e.f.let(v128.i8x16Bitmask(e.read128(1))), 16)),
    { address: true },
  ),
];

const fence: Semantics = () => {};

const stateRows: readonly Row[] = [
  row(
    'NP 0F AE /2 m',
    'ldmxcsr',
    'Md',
    sse((e) => {
      const value = e.f.let(e.read(0));
      e.raiseIf(i32.and(value, k32(~MXCSR_MASK)), EXCEPTION.gp, k32(0));
      e.set(STATE.mxcsr, value);
    }),
  ),
  row(
    'NP 0F AE /3 m',
    'stmxcsr',
    'Md',
    sse((e) => e.write(0, e.get(STATE.mxcsr))),
    WRITE,
  ),
  row('NP 0F AE /5 r', 'lfence', '', fence),
  row('NP 0F AE /6 r', 'mfence', '', fence),
  row('NP 0F AE /7 r', 'sfence', '', fence),
];

export const sseRows: readonly Row[] = [
  ...moveRows,
  ...shuffleRows,
  ...integerRows,
  ...stateRows,
  ...sseArithmeticRows,
  ...sseConversionRows,
].map(fixedSize);
