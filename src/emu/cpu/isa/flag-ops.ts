/** Arithmetic flags in semantics: see state/flags.ts for what the two lazy words mean. */
import { AUX, EFLAGS } from '../state/flags.ts';
import { type I32, type I64, type IntType, i32, i64, k32, type Val, type Word, word } from '../wasm/expr.ts';
import type { FlagSource, Ops, Width } from './ops.ts';

/** The type of a value of that many bits. */
export const typeOf = (bits: Width): IntType => (bits === 64 ? 'i64' : 'i32');

/** Sign-extends the low `bits` of a value to its type. */
export const signExtend = <T extends IntType>(bits: Width, v: Val<T>): Val<T> => {
  if (v.type === 'i64') {
    const wide = v as I64;
    const extended =
      bits === 64 ? wide : bits === 32 ? i64.extend32S(wide) : bits === 16 ? i64.extend16S(wide) : i64.extend8S(wide);
    return extended as Val<T>;
  }
  return (bits >= 32 ? v : bits === 16 ? i32.extend16S(v as I32) : i32.extend8S(v as I32)) as Val<T>;
};

/** Of a value of its width's type. */
export const zeroExtend = <T extends IntType>(bits: Width, v: Val<T>): Val<T> =>
  bits >= 32 ? v : word.and(v, bits === 16 ? 0xffff : 0xff);

/** CF, CF xor OF and AF in their places of `flagAux`, from a carry vector (bit n: carry or borrow out of bit n). */
const auxOfCarries = (bits: Width, carries: Word): I32 => {
  const top = AUX.cf | AUX.partialOverflow;
  if (carries.type === 'i64') {
    const wide = carries as I64;
    return i32.or(i32.and(i32.wrap(i64.shrU(wide, i64High)), k32(top)), i32.and(i32.wrap(wide), k32(AUX.af)));
  }
  const c = carries as I32;
  return bits === 32
    ? i32.and(c, k32(top | AUX.af))
    : i32.or(i32.and(i32.shl(c, k32(32 - bits)), k32(top)), i32.and(c, k32(AUX.af)));
};
const i64High = word.constant('i64', 32) as I64;

/** Carries of a + b (+ carry in) = r: bits of which most of a, b and ~r are set. Written so that constants of b fold. */
const addCarries = (a: Word, b: Word, r: Word): Word => word.xor(b, word.and(word.xor(a, b), word.xor(r, word.not(b))));

/** Borrows of a - b (- borrow in) = r: most of ~a, b and r. */
const subBorrows = (a: Word, b: Word, r: Word): Word => word.xor(b, word.and(word.xor(a, word.not(b)), word.xor(r, b)));

/**
 * INC and DEC leave CF: bit 31 stays, bit 30 (CF xor OF) follows OF, bit 3 is AF.
 * Adding 1 overflows where the sign appears, subtracting 1 where it vanishes.
 */
function stepAux(e: Ops, up: boolean, bits: Width, a: Word, r: Word): I32 {
  const appeared = word.and(word.not(a), r);
  const vanished = word.and(a, word.not(r));
  const overflow = up ? appeared : vanished;
  const auxiliary = up ? vanished : appeared;
  const overflowWord =
    bits === 64
      ? i32.wrap(i64.shrU(overflow as I64, i64High))
      : bits === 32
        ? (overflow as I32)
        : i32.shl(overflow as I32, k32(32 - bits));
  const before = e.f.let(e.flagAux());
  const partial = i32.and(i32.shrU(i32.xor(before, overflowWord), k32(1)), k32(AUX.partialOverflow));
  const kept = i32.or(i32.and(before, k32(AUX.cf)), partial);
  return i32.or(kept, i32.and(word.low(auxiliary), k32(AUX.af)));
}

/** The two lazy words that a source means; `result` of the type of its operands, not evaluated. */
export function wordsOf(e: Ops, s: FlagSource): { result: Word | undefined; aux: I32 | undefined } {
  switch (s.kind) {
    case 'words':
      return { result: s.result, aux: s.aux };
    case 'bits':
      return wordsOfComparison(e.f.let(s.result as I32));
    case 'logic':
      return { result: signExtend(s.bits, s.result), aux: k32(0) };
    case 'add':
      return {
        result: signExtend(s.bits, s.result),
        aux: auxOfCarries(s.bits, e.f.let(addCarries(s.a, s.b, s.result))),
      };
    case 'sub':
      return {
        result: signExtend(s.bits, s.result),
        aux: auxOfCarries(s.bits, e.f.let(subBorrows(s.a, s.b, s.result))),
      };
    default:
      return {
        result: signExtend(s.bits, s.result),
        aux: e.f.let(stepAux(e, s.kind === 'inc', s.bits, s.a, s.result)),
      };
  }
}

/** 0 or 1. */
export const carryFlag = (e: Ops): I32 => i32.shrU(e.flagAux(), k32(31));
/** 0 or 1. */
export const zeroFlag = (e: Ops): I32 => word.eqz(e.flagResult());
/** 0 or 1. */
export const overflowFlag = (e: Ops): I32 => {
  const aux = e.f.let(e.flagAux());
  return i32.shrU(i32.xor(aux, i32.shl(aux, k32(1))), k32(31));
};
/** Bit 31. */
const signWord = (e: Ops): I32 => {
  const result = e.flagResult();
  const high = result.type === 'i64' ? i32.wrap(i64.shrU(result as I64, i64High)) : (result as I32);
  return i32.xor(high, i32.shl(e.flagAux(), k32(31)));
};
export const signFlag = (e: Ops): I32 => i32.shrU(signWord(e), k32(31));
export const parityFlag = (e: Ops): I32 => {
  const byte = i32.and(i32.xor(word.low(e.flagResult()), i32.shrU(e.flagAux(), k32(AUX.parityShift))), k32(0xff));
  return i32.xor(i32.and(i32.popcnt(byte), k32(1)), k32(1));
};

/** `Ops.condition` made from the lazy words. */
export function conditionOfWords(e: Ops, code: number): I32 {
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
        const aux = e.f.let(e.flagAux());
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
  const auxiliary = i32.shl(i32.and(e.flagAux(), k32(AUX.af)), k32(1));
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
  e.setFlags({ kind: 'words', ...wordsOfBits(e.f.let(eflags)) });
}
/** ZF and PF are bits 6 and 2: the parity of a result of 0 is even, that of 1 odd. */
const parityOfBits = (v: I32): I32 =>
  i32.and(i32.xor(i32.shl(v, k32(2)), i32.shl(v, k32(6))), k32(1 << AUX.parityShift));
const resultOfBits = (v: I32): I32 => i32.xor(i32.and(i32.shrU(v, k32(6)), k32(1)), k32(1));

/** From EFLAGS bits, evaluated. */
function wordsOfBits(v: I32): { result: I32; aux: I32 } {
  const carryIsNotOverflow = i32.and(i32.xor(v, i32.shrU(v, k32(11))), k32(1));
  const carries = i32.or(i32.shl(v, k32(31)), i32.shl(carryIsNotOverflow, k32(30)));
  const rest = i32.or(i32.and(i32.shrU(v, k32(1)), k32(AUX.af)), i32.and(i32.shrU(v, k32(7)), k32(AUX.sign)));
  return { result: resultOfBits(v), aux: i32.or(i32.or(parityOfBits(v), carries), rest) };
}
/** Likewise, where SF, OF and AF are 0. */
function wordsOfComparison(v: I32): { result: I32; aux: I32 } {
  const carries = i32.and(i32.sub(k32(0), i32.and(v, k32(EFLAGS.cf))), k32(AUX.cf | AUX.partialOverflow));
  return { result: resultOfBits(v), aux: i32.or(carries, parityOfBits(v)) };
}

/** Sets CF (and OF when given) and leaves the other flags as they are. Arguments are 0 or 1. */
export function setCarry(e: Ops, carry: I32, overflow?: I32): void {
  const aux = e.f.let(e.flagAux());
  const c = e.f.let(carry);
  const o = overflow ?? i32.and(i32.shrU(i32.xor(aux, i32.shl(aux, k32(1))), k32(31)), k32(1));
  const others = i32.and(aux, k32(~(AUX.cf | AUX.partialOverflow)));
  const both = i32.or(i32.shl(c, k32(31)), i32.shl(i32.xor(c, o), k32(30)));
  e.setFlags({ kind: 'words', aux: i32.or(others, both) });
}
