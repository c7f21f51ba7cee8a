/** BMI1 and BMI2: bit manipulation on general registers, VEX-encoded but for TZCNT. Source: SDM Vol. 2; Vol. 1, 5.1.16. */

import { EFLAGS } from '../state/flags.ts';
import { GPR } from '../state/layout.ts';
import { type I32, i32, k32, select, type Word, word } from '../wasm/expr.ts';
import { setArithmeticBits, setCarry } from './flag-ops.ts';
import { multiplyHigh } from './integer-multiply-divide-rows.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import { protectedMode } from './sse-support.ts';

const READ = { access: 'read' } as const;

const vex =
  (body: (e: Ops) => void) =>
  (e: Ops): void => {
    protectedMode(e);
    body(e);
  };

/** SF and ZF of a result, CF as given, OF = 0; AF and PF are undefined in the manual. */
function setFlags(e: Ops, result: Word, carry: I32): void {
  e.setFlags({ kind: 'logic', bits: e.size, result });
  setCarry(e, carry, k32(0));
}
const like = (value: Word, n: number): Word => word.constant(value.type, n);
/** Bits of the operand: shift counts are taken modulo them by WebAssembly. */
const shiftCount = (e: Ops, value: Word, count: Word): Word => word.and(word.toU(value.type, count), e.size - 1);

const andNot = vex((e) => {
  const b = e.f.let(e.readWord(2));
  const result = e.f.let(word.and(word.not(e.readWord(1)), b));
  e.write(0, result);
  setFlags(e, result, k32(0));
});

/** Bits 7-0 of the control are the first bit, 15-8 how many. */
const extract = vex((e) => {
  const source = e.f.let(e.readWord(1));
  const control = e.f.let(word.low(e.readWord(2)));
  const start = e.f.let(i32.and(control, k32(0xff)));
  const length = e.f.let(i32.and(i32.shrU(control, k32(8)), k32(0xff)));
  const outside = i32.geU(start, k32(e.size));
  const shifted = select(outside, like(source, 0), word.shrU(source, word.toU(source.type, start)));
  const result = e.f.let(lowBits(e, e.f.let(shifted), length));
  e.write(0, result);
  setArithmeticBits(e, i32.mul(word.eqz(result), k32(EFLAGS.zf)));
});
/** The low `count` bits of a value, 0 <= count <= 255. */
const lowBits = (e: Ops, value: Word, count: I32): Word => {
  const mask = word.sub(word.shl(like(value, 1), word.toU(value.type, count)), 1);
  return word.and(value, select(i32.geU(count, k32(e.size)), like(value, -1), mask));
};

/** BLSR, BLSMSK, BLSI: what to make of x, and whether CF is set by a source of 0. */
const lowest = (make: (x: Word) => Word, carryIfZero: boolean): ((e: Ops) => void) =>
  vex((e) => {
    const source = e.f.let(e.readWord(1));
    const result = e.f.let(make(source));
    e.write(0, result);
    setFlags(e, result, carryIfZero ? word.eqz(source) : word.nonzero(source));
  });

const zeroHigh = vex((e) => {
  const source = e.f.let(e.readWord(1));
  const count = e.f.let(i32.and(word.low(e.readWord(2)), k32(0xff)));
  const result = e.f.let(lowBits(e, source, count));
  e.write(0, result);
  setFlags(e, result, i32.geU(count, k32(e.size)));
});

/** The high half goes to the first destination, and wins where both are one. */
const multiply = vex((e) => {
  const a = e.f.let(e.register(e.size, GPR.edx));
  const b = e.f.let(e.readWord(2));
  const high = e.f.let(multiplyHigh(e, a, b));
  e.write(1, word.mul(a, b));
  e.write(0, high);
});

/** Bits of the source spread to where the mask has ones, or gathered from there. */
const perBit = (deposit: boolean): ((e: Ops) => void) =>
  vex((e) => {
    const { f } = e;
    const source = f.let(e.readWord(1));
    const type = source.type;
    const mask = f.local(type);
    const result = f.local(type);
    const bit = f.local(type);
    f.set(mask, e.readWord(2));
    f.set(result, like(source, 0));
    f.set(bit, like(source, 1));
    f.block((done) => {
      f.loop((again) => {
        f.brIf(done, word.eqz(mask.get));
        const lowestOne = f.let(word.and(mask.get, word.sub(like(source, 0), mask.get)));
        const from = deposit ? bit.get : lowestOne;
        const to = deposit ? lowestOne : bit.get;
        const set = select(word.nonzero(word.and(source, from)), to, like(source, 0));
        f.set(result, word.or(result.get, set));
        f.set(mask, word.xor(mask.get, lowestOne));
        f.set(bit, word.shl(bit.get, 1));
        f.br(again);
      });
    });
    e.write(0, result.get);
  });

const shift = (op: (v: Word, count: Word) => Word): ((e: Ops) => void) =>
  vex((e) => {
    const value = e.f.let(e.readWord(1));
    e.write(0, op(value, shiftCount(e, value, e.readWord(2))));
  });
const rotate = vex((e) => {
  const value = e.f.let(e.readWord(1));
  e.write(0, word.rotr(value, word.toU(value.type, e.read(2))));
});

/** CF: the source is 0; ZF: the result is. The manual leaves the others undefined. */
const countTrailingZeros = (e: Ops): void => {
  const source = e.f.let(e.readWord(1));
  const count = e.f.let(select(word.eqz(source), like(source, e.size), word.ctz(source)));
  e.write(0, count);
  const flags = [i32.mul(word.eqz(count), k32(EFLAGS.zf)), i32.mul(word.eqz(source), k32(EFLAGS.cf))];
  setArithmeticBits(e, i32.or(flags[0], flags[1]));
};

export const bmiRows: readonly Row[] = [
  row('F3 0F BC', 'tzcnt', 'Gv,Ev', countTrailingZeros, READ),
  row('VEX.L0.0F38.WIG F2', 'andn', 'Gy,By,Ey', andNot, READ),
  row('VEX.L0.0F38.WIG F7', 'bextr', 'Gy,Ey,By', extract, READ),
  row(
    'VEX.L0.0F38.WIG F3 /1',
    'blsr',
    'By,Ey',
    lowest((x) => word.and(x, word.sub(x, 1)), true),
    READ,
  ),
  row(
    'VEX.L0.0F38.WIG F3 /2',
    'blsmsk',
    'By,Ey',
    lowest((x) => word.xor(x, word.sub(x, 1)), true),
    READ,
  ),
  row(
    'VEX.L0.0F38.WIG F3 /3',
    'blsi',
    'By,Ey',
    lowest((x) => word.and(x, word.sub(like(x, 0), x)), false),
    READ,
  ),
  row('VEX.L0.0F38.WIG F5', 'bzhi', 'Gy,Ey,By', zeroHigh, READ),
  row('VEX.L0.F2.0F38.WIG F6', 'mulx', 'Gy,By,Ey', multiply, READ),
  row('VEX.L0.F2.0F38.WIG F5', 'pdep', 'Gy,By,Ey', perBit(true), READ),
  row('VEX.L0.F3.0F38.WIG F5', 'pext', 'Gy,By,Ey', perBit(false), READ),
  row('VEX.L0.66.0F38.WIG F7', 'shlx', 'Gy,Ey,By', shift(word.shl), READ),
  row('VEX.L0.F3.0F38.WIG F7', 'sarx', 'Gy,Ey,By', shift(word.shrS), READ),
  row('VEX.L0.F2.0F38.WIG F7', 'shrx', 'Gy,Ey,By', shift(word.shrU), READ),
  row('VEX.L0.F2.0F3A.WIG F0', 'rorx', 'Gy,Ey,Ib', rotate, READ),
];
