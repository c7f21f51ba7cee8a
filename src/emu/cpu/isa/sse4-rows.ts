/**
 * SSSE3, SSE4.1 and SSE4.2 on vectors. Source: SDM Vol. 1, 12.6 to 12.12; Vol. 2.
 * What rounds or adds floating-point numbers is in sse4-float-rows.ts, string comparison in string-compare-rows.ts.
 */
import { EFLAGS } from '../state/flags.ts';
import { STATE } from '../state/layout.ts';
import { type I32, i32, i64, k32, type V128, v128 } from '../wasm/expr.ts';
import { setArithmeticBits } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row, type RowOptions, row } from './row.ts';
import {
  ABSOLUTE_OPERATIONS,
  alignBytes,
  EXTENSIONS,
  type Extension,
  elementMask,
  insertedElement,
  SSE4_OPERATIONS,
  SSSE3_OPERATIONS,
  signMask,
  smallestWord,
  sumsOfDifferences,
} from './simd-integer-more.ts';
import { alignedAddress, begin, source } from './sse-support.ts';
import { packed, packedImmediate, packedUnary } from './vector-forms.ts';

const WRITE: RowOptions = { access: 'write' };

const sse =
  (body: (e: Ops) => void) =>
  (e: Ops): void => {
    begin(e);
    body(e);
  };

/** The low bytes of the source, the rest is anything. */
function readPart(e: Ops, n: number, bytes: 2 | 4 | 8): V128 {
  if (bytes === 8) return e.f.let(v128.splatI64(e.read64(n)));
  return e.f.let(v128.splatI32(e.read(n)));
}
const PART = { 2: 'w', 4: 'd', 8: 'q' } as const;
const extend =
  ({ bytes, op }: Extension) =>
  (e: Ops): void => {
    begin(e);
    e.write128(0, op(readPart(e, 1, bytes)));
  };

/** XMM0 chooses: its sign bits take the source's elements. */
const blendByMask = (size: 8 | 32 | 64): ((e: Ops) => void) =>
  sse((e) => {
    const b = source(e, 1);
    const mask = e.f.let(signMask(v128.load(e.addressOf(STATE.xmm)), size));
    e.write128(0, v128.bitselect(b, e.read128(0), mask));
  });

/** ZF: no bit in common; CF: the source has no bit beyond the destination's. */
const test = sse((e) => {
  const b = source(e, 1);
  const a = e.f.let(e.read128(0));
  setTestFlags(e, v128.anyTrue(v128.and(a, b)), v128.anyTrue(v128.andnot(b, a)));
});
export function setTestFlags(e: Ops, common: I32, beyond: I32): void {
  const zero = i32.shl(i32.eqz(common), k32(6));
  setArithmeticBits(e, i32.or(zero, i32.mul(i32.eqz(beyond), k32(EFLAGS.cf))));
}

const loadAligned = sse((e) => e.write128(0, e.load128(alignedAddress(e, 1))));

// One element in or out: the element's number is an immediate, so it is an address.
const elementAt = (_e: Ops, base: I32, index: I32, bytes: 1 | 2 | 4 | 8): I32 =>
  i32.add(base, i32.mul(i32.and(index, k32(16 / bytes - 1)), k32(bytes)));

const extractByte = sse((e) => e.write(0, i32.load8U(elementAt(e, e.slot(1), e.read(2), 1))));
const extractWord = sse((e) => e.write(0, i32.load16U(elementAt(e, e.slot(1), e.read(2), 2))));
const extractDword = sse((e) => e.write(0, i32.load(elementAt(e, e.slot(1), e.read(2), 4))));
/** 32 bits, or 64 with REX.W. */
const extractElement = sse((e) => {
  const wide = e.size === 64;
  const at = elementAt(e, e.slot(1), e.read(2), wide ? 8 : 4);
  e.write(0, wide ? i64.load(at) : i32.load(at));
});

/** One element of the destination replaced: from a general register or memory. */
const insert = (size: 8 | 16 | 32): ((e: Ops) => void) =>
  sse((e) => {
    const value = e.f.let(e.read(1));
    e.write128(0, insertedElement(e.read128(0), size, e.read(2), value));
  });
/** Likewise 32 bits, or 64 with REX.W. */
const insertElement = sse((e) => {
  const value = e.f.let(e.readWord(1));
  e.write128(0, insertedElement(e.read128(0), e.size === 64 ? 64 : 32, e.read(2), value));
});

/** INSERTPS: bits 7-6 choose the source's element (of a register), 5-4 the destination's, 3-0 clear. */
const insertSingle = sse((e) => {
  const imm = e.f.let(e.read(2));
  const value = e.f.let(e.isMemory(1) ? e.read(1) : i32.load(elementAt(e, e.slot(1), i32.shrU(imm, k32(6)), 4)));
  const place = elementMask(i32.shl(k32(1), i32.and(i32.shrU(imm, k32(4)), k32(3))), 32);
  const inserted = v128.bitselect(v128.splatI32(value), e.read128(0), place);
  e.write128(0, v128.andnot(inserted, elementMask(imm, 32)));
});

const vectorRows: readonly Row[] = [
  ...[...SSSE3_OPERATIONS, ...SSE4_OPERATIONS].flatMap(({ opcode, mnemonic, wide }) =>
    packed(`66 0F ${opcode}`, mnemonic, (e, a, b) => wide(e.f, a, b)),
  ),
  ...ABSOLUTE_OPERATIONS.flatMap(({ opcode, mnemonic, op }) =>
    packedUnary(`66 0F ${opcode}`, mnemonic, (_e, v) => op(v)),
  ),
  ...EXTENSIONS.map((x) => row(`66 0F ${x.opcode}`, x.mnemonic, `Vx,W${PART[x.bytes]}`, extend(x))),
  ...packedImmediate('66 0F 3A 0F', 'palignr', (e, a, b, imm) => alignBytes(e.f, a, b, imm)),
  ...packedImmediate('66 0F 3A 0C', 'blendps', (_e, a, b, imm) => v128.bitselect(b, a, elementMask(imm, 32))),
  ...packedImmediate('66 0F 3A 0D', 'blendpd', (_e, a, b, imm) => v128.bitselect(b, a, elementMask(imm, 64))),
  ...packedImmediate('66 0F 3A 0E', 'pblendw', (_e, a, b, imm) => v128.bitselect(b, a, elementMask(imm, 16))),
  ...packedImmediate('66 0F 3A 42', 'mpsadbw', (e, a, b, imm) => sumsOfDifferences(e.f, a, b, imm)),
  ...packedUnary('66 0F 38 41', 'phminposuw', (e, v) => smallestWord(e.f, v)),
  row('66 0F 38 10', 'pblendvb', 'Vx,Wx', blendByMask(8)),
  row('66 0F 38 14', 'blendvps', 'Vx,Wx', blendByMask(32)),
  row('66 0F 38 15', 'blendvpd', 'Vx,Wx', blendByMask(64)),
  row('66 0F 38 17', 'ptest', 'Vx,Wx', test),
  row('66 0F 38 2A m', 'movntdqa', 'Vx,Mx', loadAligned),
  row('66 0F 3A 14 m', 'pextrb', 'Mb,Vx,Ib', extractByte, WRITE),
  row('66 0F 3A 14 r', 'pextrb', 'Rd,Vx,Ib', extractByte),
  row('66 0F 3A 15 m', 'pextrw', 'Mw,Vx,Ib', extractWord, WRITE),
  row('66 0F 3A 15 r', 'pextrw', 'Rd,Vx,Ib', extractWord),
  row('66 0F 3A 16', 'pextrd|pextrd|pextrq', 'Ey,Vx,Ib', extractElement, WRITE),
  row('66 0F 3A 17', 'extractps', 'Ed,Vx,Ib', extractDword, WRITE),
  row('66 0F 3A 20 m', 'pinsrb', 'Vx,Mb,Ib', insert(8)),
  row('66 0F 3A 20 r', 'pinsrb', 'Vx,Rd,Ib', insert(8)),
  row('66 0F 3A 22', 'pinsrd|pinsrd|pinsrq', 'Vx,Ey,Ib', insertElement),
  row('66 0F 3A 21 m', 'insertps', 'Vx,Md,Ib', insertSingle),
  row('66 0F 3A 21 r', 'insertps', 'Vx,Ux,Ib', insertSingle),
];

export const sse4Rows: readonly Row[] = vectorRows.map(fixedSize);
