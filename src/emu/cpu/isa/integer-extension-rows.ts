/**
 * General-register instructions that came later: POPCNT, LZCNT, MOVBE, CRC32, ADCX, ADOX, RDRAND, RDSEED.
 * Source: SDM Vol. 2; Vol. 1, 7.3.17 (random numbers).
 */
import { EFLAGS } from '../state/flags.ts';
import { type I32, type I64, i32, i64, k32, k64, type Word, word } from '../wasm/expr.ts';
import { carryFlag, overflowFlag, setArithmeticBits, setCarry, typeOf } from './flag-ops.ts';
import { byteSwap32, byteSwap64 } from './integer-move-rows.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import { kernelValue } from './x87-support.ts';

const when = (condition: I32, flag: number): I32 => i32.mul(condition, k32(flag));

const countOnes = (e: Ops): void => {
  const source = e.f.let(e.readWord(1));
  e.write(0, word.popcnt(source));
  setArithmeticBits(e, when(word.eqz(source), EFLAGS.zf));
};

/** CF: the source is 0; ZF: the result is. The manual leaves the others undefined; here they are clear. */
const countLeadingZeros = (e: Ops): void => {
  const source = e.f.let(e.readWord(1));
  const count = e.f.let(word.sub(word.clz(source), e.size === 16 ? 16 : 0));
  e.write(0, count);
  setArithmeticBits(e, i32.or(when(word.eqz(count), EFLAGS.zf), when(word.eqz(source), EFLAGS.cf)));
};

const swapped = (e: Ops, value: Word): Word => {
  const v = e.f.let(value);
  if (e.size === 64) return byteSwap64(e.f, v as I64);
  const bytes = byteSwap32(v as I32);
  return e.size === 16 ? i32.shrU(bytes, k32(16)) : bytes;
};
const moveSwapped = (e: Ops): void => e.write(0, swapped(e, e.readWord(1)));

/** CRC32: the Castagnoli polynomial, reflected. A 64-bit destination gets 32 bits, zero-extended. */
const checksum =
  (byte: boolean) =>
  (e: Ops): void => {
    const data = e.f.let(e.readWord(1));
    const bits = k32(byte ? 8 : Math.min(e.size, 32));
    let crc = kernelValue(e, 'i32', 'crc32c', word.low(e.readWord(0)), word.low(data), bits);
    if (data.type === 'i64') {
      const upper = i32.wrap(i64.shrU(data as I64, k64(32)));
      crc = kernelValue(e, 'i32', 'crc32c', crc, upper, bits);
    }
    e.write(0, word.toU(typeOf(e.widthOf(0)), crc));
  };

/** ADCX adds with CF and ADOX with OF; neither touches another flag. */
const addWith =
  (flag: 'cf' | 'of') =>
  (e: Ops): void => {
    const b = e.f.let(e.readWord(1));
    const a = e.f.let(e.readWord(0));
    const carry = e.f.let(flag === 'cf' ? carryFlag(e) : i32.and(overflowFlag(e), k32(1)));
    const sum = e.f.let(word.add(word.add(a, b), word.toU(a.type, carry)));
    const out = e.f.let(i32.or(word.ltU(sum, a), i32.and(carry, word.eq(sum, a))));
    e.write(0, sum);
    if (flag === 'cf') setCarry(e, out);
    else setCarry(e, carryFlag(e), out);
  };

/** CF: there was a number. The other flags are clear. */
const random = (e: Ops): void => {
  const low = e.query('random');
  if (e.size === 64) {
    const high = i64.shl(i64.extendU(e.query('random')), k64(32));
    e.write(0, i64.or(high, i64.extendU(low)));
  } else e.write(0, low);
  setArithmeticBits(e, k32(EFLAGS.cf));
};

export const integerExtensionRows: readonly Row[] = [
  row('F3 0F B8', 'popcnt', 'Gv,Ev', countOnes, { access: 'read' }),
  row('F3 0F BD', 'lzcnt', 'Gv,Ev', countLeadingZeros, { access: 'read' }),
  ...['NP', '66'].flatMap((prefix) => [
    row(`${prefix} 0F 38 F0 m`, 'movbe', 'Gv,Mv', moveSwapped, { access: 'read' }),
    row(`${prefix} 0F 38 F1 m`, 'movbe', 'Mv,Gv', moveSwapped, { access: 'write' }),
    row(`${prefix} 0F C7 /6 r`, 'rdrand', 'Rv', random),
    row(`${prefix} 0F C7 /7 r`, 'rdseed', 'Rv', random),
  ]),
  row('F2 0F 38 F0', 'crc32', 'Gy,Eb', checksum(true), { access: 'read' }),
  row('F2 0F 38 F1', 'crc32', 'Gy,Ev', checksum(false), { access: 'read' }),
  row('66 0F 38 F6', 'adcx', 'Gy,Ey', addWith('cf'), { access: 'read' }),
  row('F3 0F 38 F6', 'adox', 'Gy,Ey', addWith('of'), { access: 'read' }),
];
