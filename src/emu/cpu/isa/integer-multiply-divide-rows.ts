/** MUL, IMUL, DIV, IDIV. Source: SDM Vol. 2. SF, ZF, AF, PF after a product come from its low half; divisions leave flags. */
import { AUX } from '../state/flags.ts';
import { GPR, STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, type Word } from '../wasm/expr.ts';
import { signExtend } from './flag-ops.ts';
import { EXCEPTION, type Ops } from './ops.ts';
import { getReg } from './register-ops.ts';
import { type Row, row } from './row.ts';
import { kernelValue } from './x87-support.ts';

/** CF = OF = `overflow` (0 or 1). */
function setProductFlags(e: Ops, low: Word, overflow: I32): void {
  const aux = i32.and(i32.shl(overflow, k32(31)), k32(AUX.cf));
  e.setFlags({ kind: 'words', result: signExtend(e.size, low), aux });
}

const high32 = (v: I64): I64 => i64.shrU(v, k64(32));
const low32 = (v: I64): I64 => i64.and(v, k64(0xffff_ffff));

/** The upper 64 bits of the product of two evaluated values. */
function highProduct(e: Ops, a: I64, b: I64, signed: boolean): I64 {
  const { f } = e;
  const lowLow = f.let(i64.mul(low32(a), low32(b)));
  const middle = f.let(i64.add(i64.mul(high32(a), low32(b)), high32(lowLow)));
  const other = f.let(i64.add(i64.mul(low32(a), high32(b)), low32(middle)));
  const high = f.let(i64.add(i64.add(i64.mul(high32(a), high32(b)), high32(middle)), high32(other)));
  if (!signed) return high;
  const minus = (sign: I64, v: I64): I64 => i64.and(i64.shrS(sign, k64(63)), v);
  return f.let(i64.sub(i64.sub(high, minus(a, b)), minus(b, a)));
}

/** The upper half of an unsigned product of two evaluated values of 32 or 64 bits. */
export const multiplyHigh = (e: Ops, a: Word, b: Word): Word =>
  a.type === 'i64'
    ? highProduct(e, a as I64, b as I64, false)
    : i32.wrap(high32(i64.mul(i64.extendU(a as I32), i64.extendU(b as I32))));

function multiply64(e: Ops, signed: boolean): void {
  const a = e.register(64, GPR.eax) as I64;
  const b = e.f.let(e.readWord(0)) as I64;
  const low = e.f.let(i64.mul(a, b));
  const high = highProduct(e, a, b, signed);
  e.setRegister(64, GPR.eax, low);
  e.setRegister(64, GPR.edx, high);
  setProductFlags(e, low, i64.ne(high, signed ? i64.shrS(low, k64(63)) : k64(0)));
}

/** AX, DX:AX or EDX:EAX = accumulator times operand. */
const multiply =
  (signed: boolean) =>
  (e: Ops): void => {
    const { f, size } = e;
    if (size === 64) {
      multiply64(e, signed);
      return;
    }
    if (size === 32) {
      const wide = signed ? i64.extendS : i64.extendU;
      const product = f.let(i64.mul(wide(getReg(e, 32, GPR.eax)), wide(e.read(0))));
      const low = f.let(i32.wrap(product));
      e.setRegister(32, GPR.eax, low);
      e.setRegister(32, GPR.edx, i32.wrap(i64.shrU(product, k64(32))));
      setProductFlags(e, low, i64.ne(product, wide(low)));
      return;
    }
    const mask = k32(2 ** size - 1);
    const accumulator = getReg(e, size, GPR.eax);
    const a = signed ? signExtend(size, accumulator) : accumulator;
    const product = f.let(i32.mul(a, signed ? signExtend(size, e.read(0)) : i32.and(e.read(0), mask)));
    const fits = signed ? signExtend(size, product) : i32.and(product, mask);
    if (size === 8) e.setRegister(16, GPR.eax, product);
    else {
      e.setRegister(16, GPR.eax, product);
      e.setRegister(16, GPR.edx, i32.shrU(product, k32(16)));
    }
    setProductFlags(e, product, i32.ne(product, fits));
  };

/** The forms that keep only the low half: operand 0 = product of operands `x` and `y`. */
const multiplyLow =
  (x: number, y: number) =>
  (e: Ops): void => {
    if (e.size === 64) {
      const a = e.f.let(e.readWord(x)) as I64;
      const b = e.f.let(e.readWord(y)) as I64;
      const low = e.f.let(i64.mul(a, b));
      const high = highProduct(e, a, b, true);
      e.write(0, low);
      setProductFlags(e, low, i64.ne(high, i64.shrS(low, k64(63))));
      return;
    }
    const a = e.readSigned(x) as I32;
    const b = e.readSigned(y) as I32;
    if (e.size === 32) {
      // Where nothing looks at the flags the wide product is not made.
      const low = e.f.let(i32.mul(a, b));
      e.write(0, low);
      setProductFlags(e, low, i64.ne(i64.mul(i64.extendS(a), i64.extendS(b)), i64.extendS(low)));
      return;
    }
    const product = e.f.let(i32.mul(a, b));
    e.write(0, product);
    setProductFlags(e, product, i32.ne(product, i32.extend16S(product)));
  };

const DE = EXCEPTION.de;

/** The dividend AX, sign- or zero-extended, by 8 bits: quotient to AL, remainder to AH. */
function divide8(e: Ops, signed: boolean): void {
  const accumulator = getReg(e, 16, GPR.eax);
  const dividend = e.f.let(signed ? i32.extend16S(accumulator) : accumulator);
  const divisor = e.f.let(signed ? signExtend(8, e.read(0)) : i32.and(e.read(0), k32(0xff)));
  e.raiseIf(i32.eqz(divisor), DE);
  const quotient = e.f.let((signed ? i32.divS : i32.divU)(dividend, divisor));
  const fits = signed ? i32.extend8S(quotient) : i32.and(quotient, k32(0xff));
  e.raiseIf(i32.ne(quotient, fits), DE);
  const remainder = e.f.let((signed ? i32.remS : i32.remU)(dividend, divisor));
  e.setRegister(16, GPR.eax, i32.or(i32.and(quotient, k32(0xff)), i32.shl(i32.and(remainder, k32(0xff)), k32(8))));
}

const MOST_NEGATIVE = -(2n ** 63n);

/** DX:AX or EDX:EAX, in 64 bits: quotient to eAX, remainder to eDX. */
function divideWide(e: Ops, signed: boolean): void {
  const { f } = e;
  const size = e.size === 32 ? 32 : 16;
  const high = getReg(e, size, GPR.edx);
  const accumulator = getReg(e, size, GPR.eax);
  const joined =
    size === 32
      ? i64.or(i64.shl(i64.extendU(high), k64(32)), i64.extendU(accumulator))
      : (signed ? i64.extendS : i64.extendU)(i32.or(i32.shl(high, k32(16)), accumulator));
  const dividend = f.let(joined);
  const value = signed ? signExtend(size, e.read(0)) : size === 32 ? e.read(0) : i32.and(e.read(0), k32(0xffff));
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
  e.setRegister(size, GPR.eax, i32.wrap(quotient));
  e.setRegister(size, GPR.edx, i32.wrap(remainder));
}

/**
 * RDX:RAX by 64 bits. The magnitudes are divided by the kernel `divide128`, which leaves the remainder in kernelScratch.
 */
function divide64(e: Ops, signed: boolean): void {
  const { f } = e;
  const zero = k64(0);
  const value = f.let(e.readWord(0)) as I64;
  e.raiseIf(i64.eqz(value), DE);
  const high = e.register(64, GPR.edx) as I64;
  const low = e.register(64, GPR.eax) as I64;
  const sign = (v: I64): I64 => (signed ? f.let(i64.shrS(v, k64(63))) : zero);
  const negative = sign(high);
  const divisorSign = sign(value);
  // Two's complement of 128 bits: invert, then carry 1 into the upper half when the lower was 0.
  const absLow = f.let(i64.sub(i64.xor(low, negative), negative));
  const borrow = i64.and(i64.extendU(i64.eqz(low)), i64.sub(zero, negative));
  const absHigh = f.let(i64.add(i64.xor(high, negative), borrow));
  const divisor = f.let(i64.sub(i64.xor(value, divisorSign), divisorSign));
  e.raiseIf(i64.geU(absHigh, divisor), DE);
  const quotient = kernelValue(e, 'i64', 'divide128', absHigh, absLow, divisor);
  const remainder = f.let(e.get64(STATE.kernelScratch));
  if (!signed) {
    e.setRegister(64, GPR.eax, quotient);
    e.setRegister(64, GPR.edx, remainder);
    return;
  }
  const quotientSign = f.let(i64.xor(negative, divisorSign));
  const result = f.let(i64.sub(i64.xor(quotient, quotientSign), quotientSign));
  // Out of range: the sign is not the one expected, but for 0.
  e.raiseIf(i32.and(i64.ltS(i64.xor(result, quotientSign), zero), i64.ne(quotient, zero)), DE);
  e.setRegister(64, GPR.eax, result);
  e.setRegister(64, GPR.edx, i64.sub(i64.xor(remainder, negative), negative));
}

const divide =
  (signed: boolean) =>
  (e: Ops): void => {
    if (e.size === 8) divide8(e, signed);
    else if (e.size === 64) divide64(e, signed);
    else divideWide(e, signed);
  };

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
