/**
 * Shifts and rotates. Source: SDM Vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD.
 *
 * Counts are taken modulo 32 (64 with 64-bit operands); 0 leaves all flags. Where the manual leaves OF undefined (counts above 1) it comes from the
 * same formula as for 1, as processors do; AF is cleared. Not modelled: processors that set AF instead.
 */
import { AUX } from '../state/flags.ts';
import { type I32, type I64, i32, i64, k32, k64, select, type Word, word } from '../wasm/expr.ts';
import { carryFlag, setCarry, signExtend, typeOf } from './flag-ops.ts';
import type { Ops, Width } from './ops.ts';
import { type Row, type RowOptions, row } from './row.ts';

/** One of the group D0: the result and what sets the flags when the count (of the operand's type) is not 0. Arguments are evaluated. */
type Shift = (e: Ops, a: Word, count: Word) => { result: Word; flags: () => void };

const CARRY_AND_PARTIAL = AUX.cf | AUX.partialOverflow;
const less1 = (count: Word): Word => word.sub(count, 1);
const bit = (v: Word, n: number): I32 => word.low(word.and(n === 0 ? v : word.shrU(v, n), 1));
const low = (bits: Width, v: Word): Word => (bits >= 32 ? v : word.and(v, 2 ** bits - 1));
/** The bits from `n` on, moved to the top of 32 bits: `n` = 62 puts bits 63 and 62 to 31 and 30. */
const toTop = (e: Ops, v: Word): I32 =>
  e.size === 64 ? i32.wrap(i64.shrU(v as I64, k64(32))) : i32.shl(v as I32, k32(32 - e.size));

const setShiftFlags = (e: Ops, result: Word, aux: I32): void =>
  e.setFlags({ kind: 'words', result: signExtend(e.size, result), aux });

/** CF is the bit above the result, CF xor OF the result's sign: two neighbours that are moved to bits 31 and 30. */
const shl: Shift = (e, a, count) => {
  const result = e.f.let(word.shl(a, count));
  const pair = (): I32 => {
    if (e.size === 64) return toTop(e, word.shl(a, less1(count)));
    return e.size === 32 ? i32.shl(a as I32, less1(count) as I32) : i32.shl(result as I32, k32(31 - e.size));
  };
  return { result, flags: () => setShiftFlags(e, result, i32.and(pair(), k32(CARRY_AND_PARTIAL))) };
};

/** OF is the xor of the result's two upper bits, of which the first is 0: the sign of `a` for count 1. */
const shr: Shift = (e, a, count) => {
  const result = e.f.let(word.shrU(a, count));
  return {
    result,
    flags: () => {
      const carry = e.f.let(word.low(word.shrU(a, less1(count))));
      const partial = i32.xor(i32.shl(carry, k32(30)), toTop(e, result));
      const aux = i32.or(i32.shl(carry, k32(31)), i32.and(partial, k32(AUX.partialOverflow)));
      setShiftFlags(e, result, aux);
    },
  };
};

/** OF = 0. */
const sar: Shift = (e, a, count) => {
  const signed = e.f.let(signExtend(e.size, a));
  const result = e.f.let(word.shrS(signed, count));
  return {
    result,
    flags: () => {
      const carry = bit(word.shrS(signed, less1(count)), 0);
      setShiftFlags(e, result, i32.and(i32.sub(k32(0), carry), k32(CARRY_AND_PARTIAL)));
    },
  };
};

/** The operand repeated to 32 bits, so that a 32-bit rotation does. */
const repeated = (e: Ops, a: Word): Word =>
  e.size >= 32 ? a : word.mul(low(e.size, a), e.size === 16 ? 0x0001_0001 : 0x0101_0101);

const rol: Shift = (e, a, count) => {
  const result = e.f.let(word.rotl(repeated(e, a), count));
  const carry = bit(result, 0);
  return { result, flags: () => setCarry(e, carry, i32.xor(carry, bit(result, e.size - 1))) };
};
const ror: Shift = (e, a, count) => {
  const result = e.f.let(word.rotr(repeated(e, a), count));
  const sign = bit(result, e.size - 1);
  return { result, flags: () => setCarry(e, sign, i32.xor(sign, bit(result, e.size - 2))) };
};

/** Rotates CF and 64 bits: the count (0..63) is no number of bits to shift 65 by, so 0 is left to the caller's condition. */
function rotateCarry64(e: Ops, a: I64, count: I64, left: boolean): { result: Word; carry: I32 } {
  const { f } = e;
  const carry = f.let(i64.extendU(carryFlag(e)));
  const back = f.let(i64.sub(k64(63), less1(count) as I64));
  // The part that wraps around is shifted by 65 - count, in two steps since that may be 64.
  const one = k64(1);
  const main = left ? i64.shl(a, count) : i64.shrU(a, count);
  const around = left ? i64.shrU(i64.shrU(a, one), back) : i64.shl(i64.shl(a, one), back);
  const carried = left ? i64.shl(carry, less1(count) as I64) : i64.shl(carry, back);
  const rotated = i64.or(i64.or(main, around), carried);
  const out = left ? i64.shrU(a, back) : i64.shrU(a, less1(count) as I64);
  const kept = f.let(i64.eqz(count));
  return { result: f.let(select(kept, a, rotated)), carry: f.let(bit(out, 0)) };
}

/** Rotates CF and the operand, `size + 1` bits, to the left or right: returns operand and carry. */
function rotateCarry(e: Ops, a: Word, count: Word, left: boolean): { result: Word; carry: I32 } {
  const { f, size } = e;
  if (size === 64) return rotateCarry64(e, a as I64, count as I64, left);
  if (size === 32) {
    const whole = f.let(i64.or(i64.extendU(a as I32), i64.shl(i64.extendU(carryFlag(e)), k64(32))));
    const by = f.let(i64.extendU(count as I32));
    const other = i64.sub(k64(33), by);
    const rotated = f.let(
      left ? i64.or(i64.shl(whole, by), i64.shrU(whole, other)) : i64.or(i64.shrU(whole, by), i64.shl(whole, other)),
    );
    return { result: i32.wrap(rotated), carry: bit(i64.shrU(rotated, k64(32)), 0) };
  }
  const whole = f.let(word.or(low(size, a), i32.shl(carryFlag(e), k32(size))));
  const by = f.let(word.remU(count, size + 1));
  const other = word.sub(word.constant('i32', size + 1), by);
  const rotated = f.let(
    left
      ? word.or(word.shl(whole, by), word.shrU(whole, other))
      : word.or(word.shrU(whole, by), word.shl(whole, other)),
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

/** A count operand, cut as the operand size asks, of the operand's type. */
const countOf = (e: Ops, n: number): Word =>
  e.f.let(word.toU(typeOf(e.size), i32.and(e.read(n), k32(e.size === 64 ? 63 : 31))));

const by1 =
  (shift: Shift) =>
  (e: Ops): void =>
    e.modify(0, (old) => {
      const { result, flags } = shift(e, e.f.let(old), word.constant(typeOf(e.size), 1));
      flags();
      return result;
    });
const byCount =
  (shift: Shift) =>
  (e: Ops): void => {
    const count = countOf(e, 1);
    e.modify(0, (old) => {
      const { result, flags } = shift(e, e.f.let(old), count);
      e.f.if(word.nonzero(count), flags);
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
    const source = e.f.let(e.readWord(1));
    const count = countOf(e, 2);
    e.modify(0, (old) => {
      const a = e.f.let(old);
      const { result, carry } = doubled(e, a, source, count, left);
      e.f.if(word.nonzero(count), () => {
        const sign = bit(result, e.size - 1);
        const c = e.f.let(carry);
        const partial = left ? sign : i32.xor(c, i32.xor(sign, bit(result, e.size - 2)));
        setShiftFlags(e, result, i32.or(i32.shl(c, k32(31)), i32.shl(partial, k32(30))));
      });
      return result;
    });
  };

interface Shifted {
  readonly result: Word;
  /** Meaningful when the count is not 0. */
  readonly carry: I32;
}

const doubled = (e: Ops, a: Word, source: Word, count: Word, left: boolean): Shifted => {
  if (e.size === 64) return double64(e, a as I64, source as I64, count as I64, left);
  const narrow = [a as I32, source as I32, count as I32] as const;
  return e.size === 32 ? double32(e, ...narrow, left) : double16(e, ...narrow, left);
};

function double64(e: Ops, a: I64, source: I64, count: I64, left: boolean): Shifted {
  // The source's part is shifted by 64 - count, in two steps since that may be 64.
  const back = e.f.let(i64.sub(k64(63), count));
  const one = k64(1);
  const main = left ? i64.shl(a, count) : i64.shrU(a, count);
  const filled = left ? i64.shrU(i64.shrU(source, one), back) : i64.shl(i64.shl(source, one), back);
  const result = e.f.let(i64.or(main, filled));
  const out = left ? i64.shrU(a, i64.sub(k64(64), count)) : i64.shrU(a, i64.sub(count, one));
  return { result, carry: bit(out, 0) };
}

function double32(e: Ops, a: I32, source: I32, count: I32, left: boolean): Shifted {
  const upper = i64.shl(i64.extendU(left ? a : source), k64(32));
  const whole = e.f.let(i64.or(upper, i64.extendU(left ? source : a)));
  const by = i64.extendU(count);
  const result = e.f.let(i32.wrap(left ? i64.shrU(i64.shl(whole, by), k64(32)) : i64.shrU(whole, by)));
  return { result, carry: bit(i32.shrU(a, left ? i32.sub(k32(32), count) : i32.sub(count, k32(1))), 0) };
}

function double16(e: Ops, a: I32, source: I32, count: I32, left: boolean): Shifted {
  const inner = e.f.let(low(16, source) as I32);
  const twice = i64.extendU(i32.or(i32.shl(inner, k32(16)), inner));
  const outer = i64.extendU(low(16, a) as I32);
  const whole = e.f.let(left ? i64.or(i64.shl(outer, k64(32)), twice) : i64.or(i64.shl(twice, k64(16)), outer));
  const by = i64.extendU(count);
  const shifted = e.f.let(left ? i64.shl(whole, by) : i64.shrU(whole, by));
  const result = e.f.let(low(16, i32.wrap(left ? i64.shrU(shifted, k64(32)) : shifted)));
  const before = i64.shrU(whole, i64.extendU(i32.sub(count, k32(1))));
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
