/** MMX, and the MMX instructions that came with SSE, SSE2 and SSSE3. Source: SDM Vol. 1, 9.4, 10.4.5, 12.6; Vol. 2. */
import { GPR, STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, type V128, v128, word } from '../wasm/expr.ts';
import { checkMmx, enterMmx } from './mmx-support.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import { INTEGER_OPERATIONS, SHIFT_OPERATIONS, shiftElements, wordIndices } from './simd-integer.ts';
import { ABSOLUTE_OPERATIONS, alignBytesNarrow, SSSE3_OPERATIONS } from './simd-integer-more.ts';

const vector = (v: I64): V128 => v128.splatI64(v);
const low = (v: V128): I64 => v128.i64x2Extract(v, 0);

/** destination = op(destination, source) on 64 bits. */
const binary = (op: (e: Ops, a: V128, b: V128) => V128): ((e: Ops) => void) => {
  return (e) => {
    checkMmx(e);
    const b = e.f.let(vector(e.read64(1)));
    const a = e.f.let(vector(e.read64(0)));
    const result = e.f.let(low(op(e, a, b)));
    enterMmx(e);
    e.write64(0, result);
  };
};

const arithmeticRows: readonly Row[] = [...INTEGER_OPERATIONS, ...SSSE3_OPERATIONS].flatMap(
  ({ opcode, mnemonic, narrow }) => {
    if (!narrow) return [];
    // The low-half unpacks read 32 bits of memory only.
    const short = ['60', '61', '62'].includes(opcode);
    const semantics = (e: Ops): void =>
      short && e.isMemory(1) ? binaryShort(e, (a, b) => narrow(e.f, a, b)) : binary((x, a, b) => narrow(x.f, a, b))(e);
    return [row(`NP 0F ${opcode}`, mnemonic, short ? 'Pq,Qd' : 'Pq,Qq', semantics)];
  },
);

function binaryShort(e: Ops, op: (a: V128, b: V128) => V128): void {
  checkMmx(e);
  const b = e.f.let(v128.splatI32(e.read(1)));
  const a = e.f.let(vector(e.read64(0)));
  const result = e.f.let(low(op(a, b)));
  enterMmx(e);
  e.write64(0, result);
}

const shiftRows: readonly Row[] = SHIFT_OPERATIONS.flatMap((op) => [
  row(`NP 0F ${op.opcode}`, op.mnemonic, 'Pq,Qq', (e) => {
    checkMmx(e);
    const count = e.f.let(e.read64(1));
    const result = e.f.let(low(shiftElements(e.f, op, vector(e.read64(0)), count)));
    enterMmx(e);
    e.write64(0, result);
  }),
  row(`NP 0F ${op.immediate} r`, op.mnemonic, 'Nq,Ib', (e) => {
    checkMmx(e);
    const count = i64.extendU(i32.and(e.read(1), k32(0xff)));
    const result = e.f.let(low(shiftElements(e.f, op, vector(e.read64(0)), count)));
    enterMmx(e);
    e.write64(0, result);
  }),
]);

/** A store: faults first, then the state, as memory writes come before register changes. */
const store = (write: (e: Ops) => void): ((e: Ops) => void) => {
  return (e) => {
    checkMmx(e);
    write(e);
    enterMmx(e);
  };
};
const load = (read: (e: Ops) => I64): ((e: Ops) => void) => {
  return (e) => {
    checkMmx(e);
    const value = e.f.let(read(e));
    enterMmx(e);
    e.write64(0, value);
  };
};
/** A general register from an MMX register. */
const toGeneral = (read: (e: Ops) => I32): ((e: Ops) => void) => {
  return (e) => {
    checkMmx(e);
    const value = e.f.let(read(e));
    enterMmx(e);
    e.write(0, value);
  };
};

/** Address of word `index` modulo 4 of the register of operand `n`. */
const wordAddress = (e: Ops, n: number, index: I32): I32 => i32.add(e.slot(n), i32.shl(i32.and(index, k32(3)), k32(1)));

/** MASKMOVQ: bytes whose mask has its sign set, at DS:(E)DI. */
function maskedStore(e: Ops): void {
  checkMmx(e);
  const mask = e.f.let(i32.and(v128.i8x16Bitmask(vector(e.read64(1))), k32(0xff)));
  storeBytes(e, e.slot(0), mask, 8);
  enterMmx(e);
}

/** Stores the bytes of a register slot whose bit in `mask` is set, at the segment's (E)DI. */
export function storeBytes(e: Ops, slot: I32, mask: I32, count: number): void {
  const { f } = e;
  const base = e.segmentBase();
  const at = f.let(word.add(base, word.toU(base.type, e.register(e.addressSize, GPR.edi))));
  f.if(mask, () => {
    e.probe(at, k32(count));
    const n = f.local('i32');
    f.set(n, k32(0));
    f.loop((again) => {
      f.if(i32.and(i32.shrU(mask, n.get), k32(1)), () => {
        e.store(8, f.let(word.add(at, word.toU(at.type, n.get))), f.let(i32.load8U(i32.add(slot, n.get))));
      });
      f.set(n, i32.add(n.get, k32(1)));
      f.brIf(again, i32.ltU(n.get, k32(count)));
    });
  });
}

const rows: readonly Row[] = [
  ...arithmeticRows,
  ...shiftRows,
  row(
    'NP 0F 6E',
    'movd|movd|movq',
    'Pq,Ey',
    load((e) => word.toU('i64', e.readWord(1)) as I64),
  ),
  row(
    'NP 0F 6F',
    'movq',
    'Pq,Qq',
    load((e) => e.read64(1)),
  ),
  row(
    'NP 0F 7E',
    'movd|movd|movq',
    'Ey,Pq',
    store((e) => e.write(0, e.size === 64 ? e.read64(1) : i32.wrap(e.read64(1)))),
    { access: 'write' },
  ),
  row(
    'NP 0F 7F',
    'movq',
    'Qq,Pq',
    store((e) => e.write64(0, e.read64(1))),
    { access: 'write' },
  ),
  ...ABSOLUTE_OPERATIONS.map(({ opcode, mnemonic, op }) =>
    row(
      `NP 0F ${opcode}`,
      mnemonic,
      'Pq,Qq',
      load((e) => low(op(vector(e.read64(1))))),
    ),
  ),
  row(
    'NP 0F 3A 0F',
    'palignr',
    'Pq,Qq,Ib',
    binary((e, a, b) => alignBytesNarrow(e.f, a, b, e.read(2))),
  ),
  row('NP 0F 77', 'emms', '', (e) => {
    checkMmx(e);
    e.set(STATE.fpuTags, k32(0));
    e.set(STATE.fpuTop, k32(0));
  }),
  row('NP 0F 70', 'pshufw', 'Pq,Qq,Ib', (e) => {
    checkMmx(e);
    const source = e.f.let(vector(e.read64(1)));
    const result = e.f.let(low(v128.swizzle(source, wordIndices(e.f, e.read(2), 0))));
    enterMmx(e);
    e.write64(0, result);
  }),
  row('NP 0F C4 m', 'pinsrw', 'Pq,Mw,Ib', (e) => insertWord(e)),
  row('NP 0F C4 r', 'pinsrw', 'Pq,Rd,Ib', (e) => insertWord(e)),
  row(
    'NP 0F C5 r',
    'pextrw',
    'Gd,Nq,Ib',
    toGeneral((e) => i32.load16U(wordAddress(e, 1, e.read(2)))),
  ),
  row(
    'NP 0F D7 r',
    'pmovmskb',
    'Gd,Nq',
    toGeneral((e) => i32.and(v128.i8x16Bitmask(vector(e.read64(1))), k32(0xff))),
  ),
  row(
    'NP 0F E7 m',
    'movntq',
    'Mq,Pq',
    store((e) => e.write64(0, e.read64(1))),
    { access: 'write' },
  ),
  row('NP 0F F7 r', 'maskmovq', 'Pq,Nq', maskedStore, { address: true }),
];

function insertWord(e: Ops): void {
  checkMmx(e);
  const value = e.f.let(e.read(1));
  const at = e.f.let(wordAddress(e, 0, e.read(2)));
  enterMmx(e);
  e.f.store16(at, value);
  e.f.store16(e.slot(0), k32(0xffff), 8);
}

export const mmxRows: readonly Row[] = rows.map(fixedSize);
