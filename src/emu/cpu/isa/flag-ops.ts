/** Arithmetic flags in semantics: see state/flags.ts for what the two lazy words mean. */
import { AUX, EFLAGS } from '../state/flags.ts';
import { STATE } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import type { Ops, Width32 } from './ops.ts';

/** Sign-extends the low `bits` of a value. */
export const signExtend = (bits: Width32, v: I32): I32 =>
  bits === 32 ? v : bits === 16 ? i32.extend16S(v) : i32.extend8S(v);

export const zeroExtend = (bits: Width32, v: I32): I32 =>
  bits === 32 ? v : i32.and(v, k32(bits === 16 ? 0xffff : 0xff));

/** Sets the flags from a result (any extension) and its carry vector (bit n: carry or borrow out of bit n). */
export function setCarryFlags(e: Ops, bits: Width32, result: I32, carries: I32): void {
  const c = e.f.let(carries);
  e.set(STATE.flagResult, signExtend(bits, result));
  e.set(
    STATE.flagAux,
    bits === 32
      ? i32.and(c, k32(AUX.cf | AUX.partialOverflow | AUX.af))
      : i32.or(i32.and(i32.shl(c, k32(32 - bits)), k32(AUX.cf | AUX.partialOverflow)), i32.and(c, k32(AUX.af))),
  );
}

/** CF = OF = AF = 0. */
export function setLogicFlags(e: Ops, bits: Width32, result: I32): void {
  e.set(STATE.flagResult, signExtend(bits, result));
  e.set(STATE.flagAux, k32(0));
}

/** Carries of a + b (+ carry in) = r. */
export const addCarries = (a: I32, b: I32, r: I32): I32 =>
  i32.or(i32.and(a, b), i32.and(i32.or(a, b), i32.xor(r, k32(-1))));

/** Borrows of a - b (- borrow in) = r. */
export const subBorrows = (a: I32, b: I32, r: I32): I32 =>
  i32.or(i32.and(i32.xor(a, k32(-1)), b), i32.and(i32.xor(i32.xor(a, b), k32(-1)), r));

/** 0 or 1. */
export const carryFlag = (e: Ops): I32 => i32.shrU(e.get(STATE.flagAux), k32(31));
/** 0 or 1. */
export const zeroFlag = (e: Ops): I32 => i32.eqz(e.get(STATE.flagResult));
/** 0 or 1. */
export const overflowFlag = (e: Ops): I32 => {
  const aux = e.f.let(e.get(STATE.flagAux));
  return i32.shrU(i32.xor(aux, i32.shl(aux, k32(1))), k32(31));
};
/** Bit 31. */
const signWord = (e: Ops): I32 => i32.xor(e.get(STATE.flagResult), i32.shl(e.get(STATE.flagAux), k32(31)));
export const signFlag = (e: Ops): I32 => i32.shrU(signWord(e), k32(31));
export const parityFlag = (e: Ops): I32 => {
  const byte = i32.and(
    i32.xor(e.get(STATE.flagResult), i32.shrU(e.get(STATE.flagAux), k32(AUX.parityShift))),
    k32(0xff),
  );
  return i32.xor(i32.and(i32.popcnt(byte), k32(1)), k32(1));
};

/** Condition codes 0..15 as Jcc, SETcc and CMOVcc encode them (SDM Vol. 1, appendix B): 0 or non-zero. */
export function condition(e: Ops, code: number): I32 {
  const test = ((): I32 => {
    switch (code >> 1) {
      case 0:
        return overflowFlag(e);
      case 1:
        return carryFlag(e);
      case 2:
        return zeroFlag(e);
      case 3:
        return i32.or(carryFlag(e), zeroFlag(e));
      case 4:
        return signFlag(e);
      case 5:
        return parityFlag(e);
      default: {
        const aux = e.f.let(e.get(STATE.flagAux));
        const overflow = i32.xor(aux, i32.shl(aux, k32(1)));
        const less = i32.shrU(i32.xor(signWord(e), overflow), k32(31));
        return code >> 1 === 6 ? less : i32.or(less, zeroFlag(e));
      }
    }
  })();
  return code & 1 ? i32.eqz(test) : test;
}

/** The six arithmetic flags as EFLAGS bits. */
export const arithmeticBits = (e: Ops): I32 => {
  const bit = (v: I32, mask: number): I32 => i32.mul(v, k32(mask));
  const auxiliary = i32.shl(i32.and(e.get(STATE.flagAux), k32(AUX.af)), k32(1));
  return e.f.let(
    [
      bit(parityFlag(e), EFLAGS.pf),
      auxiliary,
      bit(zeroFlag(e), EFLAGS.zf),
      bit(signFlag(e), EFLAGS.sf),
      bit(overflowFlag(e), EFLAGS.of),
    ].reduce((a, b) => i32.or(a, b), carryFlag(e)),
  );
};

/** Sets all six arithmetic flags from EFLAGS bits. */
export function setArithmeticBits(e: Ops, eflags: I32): void {
  const v = e.f.let(eflags);
  const bit = (mask: number): I32 => i32.ne(i32.and(v, k32(mask)), k32(0));
  e.set(STATE.flagResult, i32.eqz(bit(EFLAGS.zf)));
  e.set(
    STATE.flagAux,
    [
      i32.shl(i32.xor(bit(EFLAGS.cf), bit(EFLAGS.of)), k32(30)),
      i32.shl(bit(EFLAGS.af), k32(3)),
      i32.shl(i32.xor(bit(EFLAGS.zf), bit(EFLAGS.pf)), k32(AUX.parityShift)),
      bit(EFLAGS.sf),
    ].reduce((a, b) => i32.or(a, b), i32.shl(v, k32(31))),
  );
}

/** Sets CF (and OF when given) and leaves the other flags as they are. Arguments are 0 or 1. */
export function setCarry(e: Ops, carry: I32, overflow?: I32): void {
  const aux = e.f.let(e.get(STATE.flagAux));
  const c = e.f.let(carry);
  const o = overflow ?? i32.and(i32.shrU(i32.xor(aux, i32.shl(aux, k32(1))), k32(31)), k32(1));
  e.set(
    STATE.flagAux,
    i32.or(
      i32.and(aux, k32(~(AUX.cf | AUX.partialOverflow))),
      i32.or(i32.shl(c, k32(31)), i32.shl(i32.xor(c, o), k32(30))),
    ),
  );
}
