/**
 * BT, BTS, BTR, BTC, BSF, BSR. Source: SDM Vol. 2. Bit tests change CF only.
 *
 * Not modelled: segment limits for bit offsets that leave the operand (the operand's own place is what is checked).
 */
import { type I32, i64, k32, select, type Word, word } from '../wasm/expr.ts';
import { setCarry, typeOf } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { type Row, type RowOptions, row } from './row.ts';

type Change = ((old: Word, mask: Word) => Word) | undefined;

const bitOf = (value: Word, n: Word): I32 => word.low(word.and(word.shrU(value, n), 1));
const maskOf = (n: Word): Word => word.shl(word.constant(n.type, 1), n);

/** Register destination, or an immediate bit number: the number is taken modulo the operand size. */
function testWithin(e: Ops, change: Change): void {
  const n = e.f.let(word.and(word.toU(typeOf(e.size), e.readWord(1)), e.size - 1));
  if (!change) {
    setCarry(e, bitOf(e.readWord(0), n));
    return;
  }
  e.modify(0, (old) => {
    const value = e.f.let(old);
    setCarry(e, bitOf(value, n));
    return change(value, maskOf(n));
  });
}

/** Memory destination and a register: a signed bit number that counts from the operand on, in either direction. */
function testBeyond(e: Ops, change: Change): void {
  const { f, size } = e;
  const bytes = size / 8;
  const number = f.let(e.readSigned(1));
  const operands = word.shrS(number, size === 64 ? 6 : size === 32 ? 5 : 4);
  const offset = word.add(e.offsetOf(0), word.mul(e.long ? word.toS('i64', operands) : operands, bytes));
  const at = f.let(word.add(e.segmentBase(), cutAddress(e, offset)));
  const n = f.let(word.and(number, size - 1));
  if (change) e.probe(at, k32(bytes));
  const value = f.let(e.loadWord(size, at));
  if (change) e.store(size, at, change(value, maskOf(n)));
  setCarry(e, bitOf(value, n));
}

/** An offset cut to the address size. */
const cutAddress = (e: Ops, offset: Word): Word => {
  if (e.addressSize === 16) return word.and(offset, 0xffff);
  return e.long && e.addressSize === 32 ? i64.extendU(word.low(offset)) : offset;
};

const byRegister =
  (change: Change) =>
  (e: Ops): void =>
    e.isMemory(0) ? testBeyond(e, change) : testWithin(e, change);
const byImmediate =
  (change: Change) =>
  (e: Ops): void =>
    testWithin(e, change);

const bitRows = (name: string, opcode: string, group: number, change?: Change): readonly Row[] => {
  const options: RowOptions = change ? { lock: true } : { access: 'read' };
  return [
    row(`0F ${opcode}`, name, 'Ev,Gv', byRegister(change), { ...options, address: true }),
    row(`0F BA /${group}`, name, 'Ev,Ib', byImmediate(change), options),
  ];
};

/** A number that is not 0 whatever the low byte, which PF is taken from. */
const NOT_ZERO = 0x100;

/**
 * A source of 0 sets ZF and leaves the destination; else ZF is clear. The other flags are undefined in the manual; here
 * PF is the parity of the result, the rest is clear, as measured.
 */
const scan =
  (find: (source: Word) => Word) =>
  (e: Ops): void => {
    const source = e.f.let(e.readWord(1));
    const result = e.f.let(find(source));
    const found = e.f.let(word.nonzero(source));
    e.f.if(found, () => e.write(0, result));
    e.setFlags({ kind: 'words', result: select(found, word.low(word.or(result, NOT_ZERO)), k32(0)), aux: k32(0) });
  };

export const integerBitsRows: readonly Row[] = [
  ...bitRows('bt', 'A3', 4),
  ...bitRows('bts', 'AB', 5, word.or),
  ...bitRows('btr', 'B3', 6, (old, mask) => word.and(old, word.not(mask))),
  ...bitRows('btc', 'BB', 7, word.xor),
  row('0F BC', 'bsf', 'Gv,Ev', scan(word.ctz), { access: 'read' }),
  row(
    '0F BD',
    'bsr',
    'Gv,Ev',
    scan((v) => word.sub(word.constant(v.type, v.type === 'i64' ? 63 : 31), word.clz(v))),
    { access: 'read' },
  ),
];
