/** ADD to CMP, TEST, INC, DEC, NEG and NOT. Source: SDM Vol. 2, the instructions' pages; appendix A, tables A-2 and A-6. */
import { AUX } from '../state/flags.ts';
import { STATE } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { addCarries, carryFlag, setCarryFlags, setLogicFlags, signExtend, subBorrows } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { type Row, type RowOptions, row } from './row.ts';

type Compute = (e: Ops, a: I32, b: I32) => I32;

/** Result and flags; both are evaluated before it returns. */
const logic =
  (compute: (a: I32, b: I32) => I32): Compute =>
  (e, a, b) => {
    const r = e.f.let(compute(a, b));
    setLogicFlags(e, e.size, r);
    return r;
  };
const add =
  (withCarry: boolean): Compute =>
  (e, a, b) => {
    const sum = i32.add(a, b);
    const r = e.f.let(withCarry ? i32.add(sum, carryFlag(e)) : sum);
    setCarryFlags(e, e.size, r, addCarries(a, b, r));
    return r;
  };
const subtract =
  (withBorrow: boolean): Compute =>
  (e, a, b) => {
    const difference = i32.sub(a, b);
    const r = e.f.let(withBorrow ? i32.sub(difference, carryFlag(e)) : difference);
    setCarryFlags(e, e.size, r, subBorrows(a, b, r));
    return r;
  };

const destination =
  (compute: Compute) =>
  (e: Ops): void => {
    const b = e.f.let(e.read(1));
    e.modify(0, (old) => compute(e, e.f.let(old), b));
  };
const flagsOnly =
  (compute: Compute) =>
  (e: Ops): void => {
    const a = e.f.let(e.read(0));
    compute(e, a, e.f.let(e.read(1)));
  };

interface Operation {
  readonly mnemonic: string;
  readonly compute: Compute;
  readonly semantics: (e: Ops) => void;
  readonly compare: boolean;
  readonly hotBytes: boolean;
}
const operation = (mnemonic: string, compute: Compute, hotBytes = false): Operation => {
  const compare = mnemonic === 'cmp' || mnemonic === 'test';
  return { mnemonic, compute, compare, hotBytes, semantics: (compare ? flagsOnly : destination)(compute) };
};

const AND = logic(i32.and);
const CMP = subtract(false);
const OPERATIONS: readonly Operation[] = [
  operation('add', add(false)),
  operation('or', logic(i32.or), true),
  operation('adc', add(true)),
  operation('sbb', subtract(true)),
  operation('and', AND, true),
  operation('sub', CMP),
  operation('xor', logic(i32.xor)),
  operation('cmp', CMP, true),
];
const TEST = operation('test', AND, true);

const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');

const rowsOf = (o: Operation, n: number): readonly Row[] => {
  const of = (opcode: string, operands: string, options: RowOptions): Row =>
    row(opcode, o.mnemonic, operands, o.semantics, options);
  const toMemory: RowOptions = o.compare ? { access: 'read' } : { lock: true };
  const bytes: RowOptions = o.hotBytes ? { hot: true } : {};
  const hot: RowOptions = { hot: true };
  return [
    of(hex(n * 8), 'Eb,Gb', { ...toMemory, ...bytes }),
    of(hex(n * 8 + 1), 'Ev,Gv', { ...toMemory, ...hot }),
    of(hex(n * 8 + 2), 'Gb,Eb', { access: 'read', ...bytes }),
    of(hex(n * 8 + 3), 'Gv,Ev', { access: 'read', ...hot }),
    of(hex(n * 8 + 4), 'AL,Ib', bytes),
    of(hex(n * 8 + 5), 'eAX,Iz', hot),
    of(`80 /${n}`, 'Eb,Ib', { ...toMemory, ...bytes }),
    of(`81 /${n}`, 'Ev,Iz', { ...toMemory, ...hot }),
    of(`82 /${n}`, 'Eb,Ib', toMemory),
    of(`83 /${n}`, 'Ev,Ibs', { ...toMemory, ...hot }),
  ];
};

/**
 * INC and DEC leave CF: bit 31 stays, bit 30 (CF xor OF) follows OF, bit 3 is AF.
 * Adding 1 overflows where the sign appears, subtracting 1 where it vanishes.
 */
const step =
  (up: boolean) =>
  (e: Ops): void =>
    e.modify(0, (old) => {
      const a = e.f.let(old);
      const r = e.f.let(up ? i32.add(a, k32(1)) : i32.sub(a, k32(1)));
      const appeared = i32.and(i32.xor(a, k32(-1)), r);
      const vanished = i32.and(a, i32.xor(r, k32(-1)));
      const overflow = e.f.let(up ? appeared : vanished);
      const auxiliary = up ? vanished : appeared;
      const overflowWord = e.size === 32 ? overflow : i32.shl(overflow, k32(32 - e.size));
      const before = e.f.let(e.get(STATE.flagAux));
      const partial = i32.and(i32.shrU(i32.xor(before, overflowWord), k32(1)), k32(AUX.partialOverflow));
      const kept = i32.or(i32.and(before, k32(AUX.cf)), partial);
      e.set(STATE.flagResult, signExtend(e.size, r));
      e.set(STATE.flagAux, i32.or(kept, i32.and(auxiliary, k32(AUX.af))));
      return r;
    });

const negate = (e: Ops): void =>
  e.modify(0, (old) => {
    const a = e.f.let(old);
    const r = e.f.let(i32.sub(k32(0), a));
    setCarryFlags(e, e.size, r, i32.or(a, r));
    return r;
  });
const not = (e: Ops): void => e.modify(0, (old) => i32.xor(old, k32(-1)));

const test = (opcode: string, operands: string): Row =>
  row(opcode, 'test', operands, TEST.semantics, { access: 'read', hot: true });

export const integerArithmeticRows: readonly Row[] = [
  ...OPERATIONS.flatMap(rowsOf),
  test('84', 'Eb,Gb'),
  test('85', 'Ev,Gv'),
  test('A8', 'AL,Ib'),
  test('A9', 'eAX,Iz'),
  test('F6 /0', 'Eb,Ib'),
  row('F6 /1', 'test', 'Eb,Ib', TEST.semantics, { access: 'read' }),
  test('F7 /0', 'Ev,Iz'),
  row('F7 /1', 'test', 'Ev,Iz', TEST.semantics, { access: 'read' }),
  row('40 +r', 'inc', 'Zv', step(true), { hot: true }),
  row('48 +r', 'dec', 'Zv', step(false), { hot: true }),
  row('FE /0', 'inc', 'Eb', step(true), { lock: true }),
  row('FE /1', 'dec', 'Eb', step(false), { lock: true }),
  row('FF /0', 'inc', 'Ev', step(true), { lock: true, hot: true }),
  row('FF /1', 'dec', 'Ev', step(false), { lock: true, hot: true }),
  row('F6 /2', 'not', 'Eb', not, { lock: true }),
  row('F7 /2', 'not', 'Ev', not, { lock: true, hot: true }),
  row('F6 /3', 'neg', 'Eb', negate, { lock: true }),
  row('F7 /3', 'neg', 'Ev', negate, { lock: true, hot: true }),
];
