/**
 * BT, BTS, BTR, BTC, BSF, BSR. Source: SDM Vol. 2. Bit tests change CF only.
 *
 * Not modelled: segment limits for bit offsets that leave the operand (the operand's own place is what is checked).
 */
import { STATE } from '../state/layout.ts';
import { type I32, i32, k32, select } from '../wasm/expr.ts';
import { setCarry } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { type Row, type RowOptions, row } from './row.ts';

type Change = ((old: I32, mask: I32) => I32) | undefined;

const bitOf = (value: I32, n: I32): I32 => i32.and(i32.shrU(value, n), k32(1));
const maskOf = (n: I32): I32 => i32.shl(k32(1), n);

/** Register destination, or an immediate bit number: the number is taken modulo the operand size. */
function testWithin(e: Ops, change: Change): void {
  const n = e.f.let(i32.and(e.read(1), k32(e.size - 1)));
  if (!change) {
    setCarry(e, bitOf(e.read(0), n));
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
  const bytes = size === 32 ? 4 : 2;
  const number = f.let(e.readSigned(1));
  const offset = i32.add(e.offsetOf(0), i32.mul(i32.shrS(number, k32(size === 32 ? 5 : 4)), k32(bytes)));
  const cut = e.address32 ? offset : i32.and(offset, k32(0xffff));
  const at = f.let(i32.add(e.segmentBase(), cut));
  const n = f.let(i32.and(number, k32(size - 1)));
  if (change) e.probe(at, k32(bytes));
  const value = f.let(e.load(size, at));
  if (change) e.store(size, at, change(value, maskOf(n)));
  setCarry(e, bitOf(value, n));
}

const byRegister =
  (change: Change) =>
  (e: Ops): void =>
    e.isMemory(0) ? testBeyond(e, change) : testWithin(e, change);
const byImmediate =
  (change: Change) =>
  (e: Ops): void =>
    testWithin(e, change);

const bitRows = (
  name: string,
  opcode: string,
  group: number,
  change?: (old: I32, mask: I32) => I32,
): readonly Row[] => {
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
  (find: (source: I32) => I32) =>
  (e: Ops): void => {
    const source = e.f.let(e.read(1));
    const result = e.f.let(find(source));
    e.f.if(source, () => e.write(0, result));
    e.set(STATE.flagResult, select(source, i32.or(result, k32(NOT_ZERO)), k32(0)));
    e.set(STATE.flagAux, k32(0));
  };

export const integerBitsRows: readonly Row[] = [
  ...bitRows('bt', 'A3', 4),
  ...bitRows('bts', 'AB', 5, i32.or),
  ...bitRows('btr', 'B3', 6, (old, mask) => i32.and(old, i32.xor(mask, k32(-1)))),
  ...bitRows('btc', 'BB', 7, i32.xor),
  row('0F BC', 'bsf', 'Gv,Ev', scan(i32.ctz), { access: 'read' }),
  row(
    '0F BD',
    'bsr',
    'Gv,Ev',
    scan((v) => i32.sub(k32(31), i32.clz(v))),
    { access: 'read' },
  ),
];
