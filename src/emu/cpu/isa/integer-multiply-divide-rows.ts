/** MUL, IMUL, DIV, IDIV. Source: SDM Vol. 2. SF, ZF, AF, PF after a product come from its low half; divisions leave flags. */
import { AUX } from '../state/flags.ts';
import { GPR, STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64 } from '../wasm/expr.ts';
import { signExtend } from './flag-ops.ts';
import { EXCEPTION, type Ops } from './ops.ts';
import { getAccumulator, getReg, setAccumulator, setReg } from './register-ops.ts';
import { type Row, row } from './row.ts';

/** CF = OF = `overflow` (0 or 1). */
function setProductFlags(e: Ops, low: I32, overflow: I32): void {
  e.set(STATE.flagResult, signExtend(e.size, low));
  e.set(STATE.flagAux, i32.and(i32.shl(overflow, k32(31)), k32(AUX.cf)));
}

/** AX, DX:AX or EDX:EAX = accumulator times operand. */
const multiply =
  (signed: boolean) =>
  (e: Ops): void => {
    const { f, size } = e;
    if (size === 32) {
      const wide = signed ? i64.extendS : i64.extendU;
      const product = f.let(i64.mul(wide(getAccumulator(e, 32)), wide(e.read(0))));
      const low = f.let(i32.wrap(product));
      setAccumulator(e, 32, low);
      setReg(e, 32, GPR.edx, i32.wrap(i64.shrU(product, k64(32))));
      setProductFlags(e, low, i64.ne(product, wide(low)));
      return;
    }
    const mask = k32(2 ** size - 1);
    const accumulator = getAccumulator(e, size);
    const a = signed ? signExtend(size, accumulator) : accumulator;
    const product = f.let(i32.mul(a, signed ? e.readSigned(0) : i32.and(e.read(0), mask)));
    const fits = signed ? signExtend(size, product) : i32.and(product, mask);
    if (size === 8) setAccumulator(e, 16, product);
    else {
      setAccumulator(e, 16, product);
      setReg(e, 16, GPR.edx, i32.shrU(product, k32(16)));
    }
    setProductFlags(e, product, i32.ne(product, fits));
  };

/** The forms that keep only the low half: operand 0 = product of operands `x` and `y`. */
const multiplyLow =
  (x: number, y: number) =>
  (e: Ops): void => {
    const a = e.readSigned(x);
    const b = e.readSigned(y);
    if (e.size === 32) {
      const product = e.f.let(i64.mul(i64.extendS(a), i64.extendS(b)));
      const low = e.f.let(i32.wrap(product));
      e.write(0, low);
      setProductFlags(e, low, i64.ne(product, i64.extendS(low)));
      return;
    }
    const product = e.f.let(i32.mul(a, b));
    e.write(0, product);
    setProductFlags(e, product, i32.ne(product, i32.extend16S(product)));
  };

const DE = EXCEPTION.de;

/** The dividend AX, sign- or zero-extended, by 8 bits: quotient to AL, remainder to AH. */
function divide8(e: Ops, signed: boolean): void {
  const accumulator = getAccumulator(e, 16);
  const dividend = e.f.let(signed ? i32.extend16S(accumulator) : accumulator);
  const divisor = e.f.let(signed ? e.readSigned(0) : i32.and(e.read(0), k32(0xff)));
  e.raiseIf(i32.eqz(divisor), DE);
  const quotient = e.f.let((signed ? i32.divS : i32.divU)(dividend, divisor));
  const fits = signed ? i32.extend8S(quotient) : i32.and(quotient, k32(0xff));
  e.raiseIf(i32.ne(quotient, fits), DE);
  const remainder = e.f.let((signed ? i32.remS : i32.remU)(dividend, divisor));
  setAccumulator(e, 16, i32.or(i32.and(quotient, k32(0xff)), i32.shl(i32.and(remainder, k32(0xff)), k32(8))));
}

const MOST_NEGATIVE = -(2n ** 63n);

/** DX:AX or EDX:EAX, in 64 bits: quotient to eAX, remainder to eDX. */
function divideWide(e: Ops, signed: boolean): void {
  const { f, size } = e;
  const high = getReg(e, size, GPR.edx);
  const accumulator = getAccumulator(e, size);
  const joined =
    size === 32
      ? i64.or(i64.shl(i64.extendU(high), k64(32)), i64.extendU(accumulator))
      : (signed ? i64.extendS : i64.extendU)(i32.or(i32.shl(high, k32(16)), accumulator));
  const dividend = f.let(joined);
  const value = signed ? e.readSigned(0) : size === 32 ? e.read(0) : i32.and(e.read(0), k32(0xffff));
  const divisor = f.let((signed ? i64.extendS : i64.extendU)(value));
  const zero = i64.eqz(divisor);
  // WebAssembly traps on -2^63 / -1, which is out of range anyway.
  const trap = i32.and(i64.eq(dividend, k64(MOST_NEGATIVE)), i64.eq(divisor, k64(-1)));
  e.raiseIf(signed && size === 32 ? i32.or(zero, trap) : zero, DE);
  const quotient: I64 = f.let((signed ? i64.divS : i64.divU)(dividend, divisor));
  const low = size === 32 ? quotient : i64.and(quotient, k64(0xffff));
  const unsigned = size === 32 ? i64.and(quotient, k64(0xffff_ffff)) : low;
  const fits = signed ? (size === 32 ? i64.extend32S(quotient) : i64.extend16S(quotient)) : unsigned;
  e.raiseIf(i64.ne(quotient, fits), DE);
  const remainder = f.let((signed ? i64.remS : i64.remU)(dividend, divisor));
  setAccumulator(e, size, i32.wrap(quotient));
  setReg(e, size, GPR.edx, i32.wrap(remainder));
}

const divide =
  (signed: boolean) =>
  (e: Ops): void =>
    e.size === 8 ? divide8(e, signed) : divideWide(e, signed);

const READ = { access: 'read' } as const;
const HOT = { access: 'read', hot: true } as const;

export const integerMultiplyDivideRows: readonly Row[] = [
  row('F6 /4', 'mul', 'Eb', multiply(false), READ),
  row('F7 /4', 'mul', 'Ev', multiply(false), HOT),
  row('F6 /5', 'imul', 'Eb', multiply(true), READ),
  row('F7 /5', 'imul', 'Ev', multiply(true), READ),
  row('F6 /6', 'div', 'Eb', divide(false), READ),
  row('F7 /6', 'div', 'Ev', divide(false), READ),
  row('F6 /7', 'idiv', 'Eb', divide(true), READ),
  row('F7 /7', 'idiv', 'Ev', divide(true), READ),
  row('0F AF', 'imul', 'Gv,Ev', multiplyLow(0, 1), HOT),
  row('69', 'imul', 'Gv,Ev,Iz', multiplyLow(1, 2), HOT),
  row('6B', 'imul', 'Gv,Ev,Ibs', multiplyLow(1, 2), HOT),
];
