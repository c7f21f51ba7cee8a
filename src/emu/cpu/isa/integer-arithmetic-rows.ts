/** ADD to CMP, TEST, INC, DEC, NEG and NOT. Source: SDM Vol. 2, the instructions' pages; appendix A, tables A-2 and A-6. */
import { i64, type Word, word } from '../wasm/expr.ts';
import { carryFlag } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { type Row, type RowOptions, row } from './row.ts';

type Compute = (e: Ops, a: Word, b: Word) => Word;

/** Result and flags; both are evaluated before it returns. */
const logic =
  (compute: (a: Word, b: Word) => Word): Compute =>
  (e, a, b) => {
    const result = e.f.let(compute(a, b));
    e.setFlags({ kind: 'logic', bits: e.size, result });
    return result;
  };
const carryIn = (e: Ops): Word => (e.size === 64 ? i64.extendU(carryFlag(e)) : carryFlag(e));
const add =
  (withCarry: boolean): Compute =>
  (e, a, b) => {
    const sum = word.add(a, b);
    const result = e.f.let(withCarry ? word.add(sum, carryIn(e)) : sum);
    e.setFlags({ kind: 'add', bits: e.size, a, b, result });
    return result;
  };
const subtract =
  (withBorrow: boolean): Compute =>
  (e, a, b) => {
    const difference = word.sub(a, b);
    const result = e.f.let(withBorrow ? word.sub(difference, carryIn(e)) : difference);
    e.setFlags({ kind: 'sub', bits: e.size, a, b, result });
    return result;
  };

const destination =
  (compute: Compute) =>
  (e: Ops): void => {
    const b = e.f.let(e.readWord(1));
    e.modify(0, (old) => compute(e, e.f.let(old), b));
  };
const flagsOnly =
  (compute: Compute) =>
  (e: Ops): void => {
    const a = e.f.let(e.readWord(0));
    compute(e, a, e.f.let(e.readWord(1)));
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

const AND = logic(word.and);
const CMP = subtract(false);
const OPERATIONS: readonly Operation[] = [
  operation('add', add(false)),
  operation('or', logic(word.or), true),
  operation('adc', add(true)),
  operation('sbb', subtract(true)),
  operation('and', AND, true),
  operation('sub', CMP),
  operation('xor', logic(word.xor), true),
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
    of(`82 /${n}`, 'Eb,Ib', { ...toMemory, not64: true }),
    of(`83 /${n}`, 'Ev,Ibs', { ...toMemory, ...hot }),
  ];
};

const step =
  (up: boolean) =>
  (e: Ops): void =>
    e.modify(0, (old) => {
      const a = e.f.let(old);
      const result = e.f.let(word.add(a, up ? 1 : -1));
      e.setFlags({ kind: up ? 'inc' : 'dec', bits: e.size, a, result });
      return result;
    });

const negate = (e: Ops): void =>
  e.modify(0, (old) => {
    const b = e.f.let(old);
    const a = word.constant(b.type, 0);
    const result = e.f.let(word.sub(a, b));
    e.setFlags({ kind: 'sub', bits: e.size, a, b, result });
    return result;
  });
const not = (e: Ops): void => e.modify(0, (old) => word.not(old));

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
  row('40 +r', 'inc', 'Zv', step(true), { hot: true, not64: true }),
  row('48 +r', 'dec', 'Zv', step(false), { hot: true, not64: true }),
  row('FE /0', 'inc', 'Eb', step(true), { lock: true }),
  row('FE /1', 'dec', 'Eb', step(false), { lock: true }),
  row('FF /0', 'inc', 'Ev', step(true), { lock: true, hot: true }),
  row('FF /1', 'dec', 'Ev', step(false), { lock: true, hot: true }),
  row('F6 /2', 'not', 'Eb', not, { lock: true }),
  row('F7 /2', 'not', 'Ev', not, { lock: true, hot: true }),
  row('F6 /3', 'neg', 'Eb', negate, { lock: true }),
  row('F7 /3', 'neg', 'Ev', negate, { lock: true, hot: true }),
];
