/**
 * Shifts and rotates. Source: SDM Vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD.
 *
 * Counts are taken modulo 32; 0 leaves all flags. Where the manual leaves OF undefined (counts above 1) it comes from the
 * same formula as for 1, as processors do; AF is cleared. Not modelled: processors that set AF instead.
 */
import { AUX } from '../state/flags.ts';
import { STATE } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64 } from '../wasm/expr.ts';
import { carryFlag, setCarry, signExtend } from './flag-ops.ts';
import type { Ops, Width32 } from './ops.ts';
import { type Row, type RowOptions, row } from './row.ts';

/** One of the group D0: the result and what sets the flags when the count is not 0. Arguments are evaluated. */
type Shift = (e: Ops, a: I32, count: I32) => { result: I32; flags: () => void };

const CARRY_AND_PARTIAL = AUX.cf | AUX.partialOverflow;
const less1 = (count: I32): I32 => i32.sub(count, k32(1));
const bit = (v: I32, n: number): I32 => i32.and(n === 0 ? v : i32.shrU(v, k32(n)), k32(1));
const leftBy = (v: I32, n: number): I32 => (n === 0 ? v : i32.shl(v, k32(n)));
const low = (bits: Width32, v: I32): I32 => (bits === 32 ? v : i32.and(v, k32(2 ** bits - 1)));

function setShiftFlags(e: Ops, result: I32, aux: I32): void {
  e.set(STATE.flagAux, aux);
  e.set(STATE.flagResult, signExtend(e.size, result));
}

/** CF is the bit above the result, CF xor OF the result's sign: two neighbours that are moved to bits 31 and 30. */
const shl: Shift = (e, a, count) => {
  const result = e.f.let(i32.shl(a, count));
  const pair = (): I32 => (e.size === 32 ? i32.shl(a, less1(count)) : i32.shl(result, k32(31 - e.size)));
  return { result, flags: () => setShiftFlags(e, result, i32.and(pair(), k32(CARRY_AND_PARTIAL))) };
};

/** OF is the xor of the result's two upper bits, of which the first is 0: the sign of `a` for count 1. */
const shr: Shift = (e, a, count) => {
  const result = e.f.let(i32.shrU(a, count));
  return {
    result,
    flags: () => {
      const carry = e.f.let(i32.shrU(a, less1(count)));
      const partial = i32.xor(i32.shl(carry, k32(30)), leftBy(result, 32 - e.size));
      const aux = i32.or(i32.shl(carry, k32(31)), i32.and(partial, k32(AUX.partialOverflow)));
      setShiftFlags(e, result, aux);
    },
  };
};

/** OF = 0. */
const sar: Shift = (e, a, count) => {
  const signed = e.f.let(signExtend(e.size, a));
  const result = e.f.let(i32.shrS(signed, count));
  return {
    result,
    flags: () => {
      const carry = i32.and(i32.shrS(signed, less1(count)), k32(1));
      setShiftFlags(e, result, i32.and(i32.sub(k32(0), carry), k32(CARRY_AND_PARTIAL)));
    },
  };
};

/** The operand repeated to 32 bits, so that a 32-bit rotation does. */
const repeated = (e: Ops, a: I32): I32 =>
  e.size === 32 ? a : i32.mul(low(e.size, a), k32(e.size === 16 ? 0x0001_0001 : 0x0101_0101));

const rol: Shift = (e, a, count) => {
  const result = e.f.let(i32.rotl(repeated(e, a), count));
  const carry = bit(result, 0);
  return { result, flags: () => setCarry(e, carry, i32.xor(carry, bit(result, e.size - 1))) };
};
const ror: Shift = (e, a, count) => {
  const result = e.f.let(i32.rotr(repeated(e, a), count));
  const sign = bit(result, e.size - 1);
  return { result, flags: () => setCarry(e, sign, i32.xor(sign, bit(result, e.size - 2))) };
};

/** Rotates CF and the operand, `size + 1` bits, to the left or right: returns operand and carry. */
function rotateCarry(e: Ops, a: I32, count: I32, left: boolean): { result: I32; carry: I32 } {
  const { f, size } = e;
  if (size === 32) {
    const whole = f.let(i64.or(i64.extendU(a), i64.shl(i64.extendU(carryFlag(e)), k64(32))));
    const by = f.let(i64.extendU(count));
    const other = i64.sub(k64(33), by);
    const rotated = f.let(
      left ? i64.or(i64.shl(whole, by), i64.shrU(whole, other)) : i64.or(i64.shrU(whole, by), i64.shl(whole, other)),
    );
    return { result: i32.wrap(rotated), carry: i32.and(i32.wrap(i64.shrU(rotated, k64(32))), k32(1)) };
  }
  const whole = f.let(i32.or(low(size, a), i32.shl(carryFlag(e), k32(size))));
  const by = f.let(i32.remU(count, k32(size + 1)));
  const other = i32.sub(k32(size + 1), by);
  const rotated = f.let(
    left ? i32.or(i32.shl(whole, by), i32.shrU(whole, other)) : i32.or(i32.shrU(whole, by), i32.shl(whole, other)),
  );
  return { result: low(size, rotated), carry: bit(rotated, size) };
}
const rcl: Shift = (e, a, count) => {
  const { result, carry } = rotateCarry(e, a, count, true);
  return { result, flags: () => setCarry(e, carry, i32.xor(carry, bit(result, e.size - 1))) };
};
const rcr: Shift = (e, a, count) => {
  const { result, carry } = rotateCarry(e, a, count, false);
  return { result, flags: () => setCarry(e, carry, i32.xor(bit(result, e.size - 1), bit(result, e.size - 2))) };
};

const by1 =
  (shift: Shift) =>
  (e: Ops): void =>
    e.modify(0, (old) => {
      const { result, flags } = shift(e, e.f.let(old), k32(1));
      flags();
      return result;
    });
const byCount =
  (shift: Shift) =>
  (e: Ops): void => {
    const count = e.f.let(i32.and(e.read(1), k32(31)));
    e.modify(0, (old) => {
      const { result, flags } = shift(e, e.f.let(old), count);
      e.f.if(count, flags);
      return result;
    });
  };

/** ModRM.reg 6 is the SHL that the manual does not list. */
const SHIFTS: readonly (readonly [string, Shift, boolean])[] = [
  ['rol', rol, true],
  ['ror', ror, true],
  ['rcl', rcl, false],
  ['rcr', rcr, false],
  ['shl', shl, true],
  ['shr', shr, true],
  ['sal', shl, false],
  ['sar', sar, true],
];

const shiftRows: readonly Row[] = SHIFTS.flatMap(([name, shift, hot], n) => {
  const options: RowOptions = hot ? { hot: true } : {};
  return [
    row(`C0 /${n}`, name, 'Eb,Ib', byCount(shift)),
    row(`C1 /${n}`, name, 'Ev,Ib', byCount(shift), options),
    row(`D0 /${n}`, name, 'Eb,1', by1(shift)),
    row(`D1 /${n}`, name, 'Ev,1', by1(shift), options),
    row(`D2 /${n}`, name, 'Eb,CL', byCount(shift)),
    row(`D3 /${n}`, name, 'Ev,CL', byCount(shift), options),
  ];
});

/**
 * SHLD and SHRD. With 16-bit operands counts of 17 to 31 bring the source in a second time and leave CF clear (undefined in
 * the manual; measured on an AMD processor).
 */
const double =
  (left: boolean) =>
  (e: Ops): void => {
    const source = e.f.let(e.read(1));
    const count = e.f.let(i32.and(e.read(2), k32(31)));
    e.modify(0, (old) => {
      const a = e.f.let(old);
      const { result, carry } =
        e.size === 32 ? double32(e, a, source, count, left) : double16(e, a, source, count, left);
      e.f.if(count, () => {
        const sign = bit(result, e.size - 1);
        const c = e.f.let(carry);
        const partial = left ? sign : i32.xor(c, i32.xor(sign, bit(result, e.size - 2)));
        setShiftFlags(e, result, i32.or(i32.shl(c, k32(31)), i32.shl(partial, k32(30))));
      });
      return result;
    });
  };

interface Shifted {
  readonly result: I32;
  /** Meaningful when the count is not 0. */
  readonly carry: I32;
}

function double32(e: Ops, a: I32, source: I32, count: I32, left: boolean): Shifted {
  const upper = i64.shl(i64.extendU(left ? a : source), k64(32));
  const whole = e.f.let(i64.or(upper, i64.extendU(left ? source : a)));
  const by = i64.extendU(count);
  const result = e.f.let(i32.wrap(left ? i64.shrU(i64.shl(whole, by), k64(32)) : i64.shrU(whole, by)));
  return { result, carry: left ? bit(i32.shrU(a, i32.sub(k32(32), count)), 0) : bit(i32.shrU(a, less1(count)), 0) };
}

function double16(e: Ops, a: I32, source: I32, count: I32, left: boolean): Shifted {
  const inner = e.f.let(low(16, source));
  const twice = i64.extendU(i32.or(i32.shl(inner, k32(16)), inner));
  const outer = i64.extendU(low(16, a));
  const whole = e.f.let(left ? i64.or(i64.shl(outer, k64(32)), twice) : i64.or(i64.shl(twice, k64(16)), outer));
  const by = i64.extendU(count);
  const shifted = e.f.let(left ? i64.shl(whole, by) : i64.shrU(whole, by));
  const result = e.f.let(low(16, i32.wrap(left ? i64.shrU(shifted, k64(32)) : shifted)));
  const before = i64.shrU(whole, i64.extendU(less1(count)));
  const last = i32.and(i32.wrap(left ? i64.shrU(shifted, k64(48)) : before), k32(1));
  return { result, carry: i32.and(last, i32.leU(count, k32(16))) };
}

export const integerLogicShiftRows: readonly Row[] = [
  ...shiftRows,
  row('0F A4', 'shld', 'Ev,Gv,Ib', double(true)),
  row('0F A5', 'shld', 'Ev,Gv,CL', double(true)),
  row('0F AC', 'shrd', 'Ev,Gv,Ib', double(false), { hot: true }),
  row('0F AD', 'shrd', 'Ev,Gv,CL', double(false)),
];
