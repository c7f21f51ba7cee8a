/**
 * AAA, AAS, AAM, AAD, DAA, DAS. Source: SDM Vol. 2, the instructions' operation sections.
 *
 * Flags that the manual leaves undefined: SF, ZF and PF are those of AL, the others are clear.
 */
import { AUX } from '../state/flags.ts';
import { GPR } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { carryFlag, signExtend } from './flag-ops.ts';
import { EXCEPTION, type Ops } from './ops.ts';
import { AH, getReg, setAccumulator } from './register-ops.ts';
import { type Row, row } from './row.ts';

/** SF, ZF, PF of AL; CF and AF as given (0 or 1); OF = 0. */
function setDecimalFlags(e: Ops, al: I32, carry: I32, auxiliary: I32): void {
  const c = e.f.let(carry);
  // OF = 0 means that bit 30, CF xor OF, repeats CF.
  const carries = i32.or(i32.shl(c, k32(31)), i32.shl(c, k32(30)));
  const aux = e.f.let(i32.or(carries, i32.mul(auxiliary, k32(AUX.af))));
  e.setFlags({ kind: 'words', result: signExtend(8, al), aux });
}

/** The low digit is above 9, or AF is set. */
const lowDigitOver = (e: Ops, al: I32): I32 => {
  const over = i32.gtU(i32.and(al, k32(15)), k32(9));
  return e.f.let(i32.or(over, i32.ne(i32.and(e.flagAux(), k32(AUX.af)), k32(0))));
};

/** AAA adds 106h to AX, AAS subtracts it. */
const adjustAscii =
  (step: number) =>
  (e: Ops): void => {
    const ax = getReg(e, 16, GPR.eax);
    const adjust = lowDigitOver(e, ax);
    const adjusted = e.f.let(i32.and(i32.add(ax, i32.mul(adjust, k32(step))), k32(0xff0f)));
    setAccumulator(e, 16, adjusted);
    setDecimalFlags(e, adjusted, adjust, adjust);
  };

/** DAA adds, DAS (`sign` -1) subtracts 6 and 60h. */
const adjustDecimal =
  (sign: 1 | -1) =>
  (e: Ops): void => {
    const al = getReg(e, 8, GPR.eax);
    const low = lowDigitOver(e, al);
    const high = e.f.let(i32.or(i32.gtU(al, k32(0x99)), carryFlag(e)));
    const first = e.f.let(i32.add(al, i32.mul(low, k32(6 * sign))));
    // Out of a byte in either direction: bit 8 of the sum, or a negative difference.
    const firstCarry = i32.ne(i32.and(first, k32(0x100)), k32(0));
    const result = e.f.let(i32.add(first, i32.mul(high, k32(0x60 * sign))));
    setAccumulator(e, 8, result);
    setDecimalFlags(e, result, i32.or(high, firstCarry), low);
  };

const adjustAfterMultiply = (e: Ops): void => {
  const base = e.f.let(i32.and(e.read(0), k32(0xff)));
  e.raiseIf(i32.eqz(base), EXCEPTION.de);
  const al = getReg(e, 8, GPR.eax);
  const digit = e.f.let(i32.remU(al, base));
  setAccumulator(e, 16, i32.or(i32.shl(i32.divU(al, base), k32(8)), digit));
  e.setFlags({ kind: 'logic', bits: 8, result: digit });
};

const adjustBeforeDivide = (e: Ops): void => {
  const base = i32.and(e.read(0), k32(0xff));
  const sum = i32.add(getReg(e, 8, GPR.eax), i32.mul(getReg(e, 8, AH), base));
  const al = e.f.let(i32.and(sum, k32(0xff)));
  setAccumulator(e, 16, al);
  e.setFlags({ kind: 'logic', bits: 8, result: al });
};

const NOT64 = { not64: true } as const;

export const integerDecimalRows: readonly Row[] = [
  row('27', 'daa', '', adjustDecimal(1), NOT64),
  row('2F', 'das', '', adjustDecimal(-1), NOT64),
  row('37', 'aaa', '', adjustAscii(0x106), NOT64),
  row('3F', 'aas', '', adjustAscii(-0x106), NOT64),
  row('D4', 'aam', 'Ib', adjustAfterMultiply, NOT64),
  row('D5', 'aad', 'Ib', adjustBeforeDivide, NOT64),
];
