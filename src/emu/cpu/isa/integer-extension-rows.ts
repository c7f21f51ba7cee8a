/**
 * General-register instructions that came later: POPCNT, LZCNT, MOVBE, CRC32, ADCX, ADOX, RDRAND, RDSEED.
 * Source: SDM Vol. 2; Vol. 1, 7.3.17 (random numbers).
 */
import { EFLAGS } from '../state/flags.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { carryFlag, overflowFlag, setArithmeticBits, setCarry } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import { kernelValue } from './x87-support.ts';

const when = (condition: I32, flag: number): I32 => i32.mul(condition, k32(flag));

const countOnes = (e: Ops): void => {
  const source = e.f.let(e.read(1));
  e.write(0, i32.popcnt(source));
  setArithmeticBits(e, when(i32.eqz(source), EFLAGS.zf));
};

/** CF: the source is 0; ZF: the result is. The manual leaves the others undefined; here they are clear. */
const countLeadingZeros = (e: Ops): void => {
  const source = e.f.let(e.read(1));
  const count = e.f.let(i32.sub(i32.clz(source), k32(32 - e.size)));
  e.write(0, count);
  setArithmeticBits(e, i32.or(when(i32.eqz(count), EFLAGS.zf), when(i32.eqz(source), EFLAGS.cf)));
};

const swapped = (e: Ops, value: I32): I32 => {
  const v = e.f.let(value);
  const bytes = i32.or(i32.and(i32.rotl(v, k32(8)), k32(0x00ff_00ff)), i32.and(i32.rotr(v, k32(8)), k32(0xff00_ff00)));
  return e.size === 16 ? i32.shrU(bytes, k32(16)) : bytes;
};
const moveSwapped = (e: Ops): void => e.write(0, swapped(e, e.read(1)));

/** CRC32: the Castagnoli polynomial, reflected. */
const checksum =
  (byte: boolean) =>
  (e: Ops): void => {
    const data = e.f.let(e.read(1));
    e.write(0, kernelValue(e, 'i32', 'crc32c', e.read(0), data, k32(byte ? 8 : e.size)));
  };

/** ADCX adds with CF and ADOX with OF; neither touches another flag. */
const addWith =
  (flag: 'cf' | 'of') =>
  (e: Ops): void => {
    const b = e.f.let(e.read(1));
    const a = e.f.let(e.read(0));
    const carry = e.f.let(flag === 'cf' ? carryFlag(e) : i32.and(overflowFlag(e), k32(1)));
    const sum = e.f.let(i32.add(i32.add(a, b), carry));
    const out = e.f.let(i32.or(i32.ltU(sum, a), i32.and(carry, i32.eq(sum, a))));
    e.write(0, sum);
    if (flag === 'cf') setCarry(e, out);
    else setCarry(e, carryFlag(e), out);
  };

/** CF: there was a number. The other flags are clear. */
const random = (e: Ops): void => {
  const value = e.query('random');
  e.write(0, value);
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
  row('F2 0F 38 F0', 'crc32', 'Gd,Eb', checksum(true), { access: 'read' }),
  row('F2 0F 38 F1', 'crc32', 'Gd,Ev', checksum(false), { access: 'read' }),
  row('66 0F 38 F6', 'adcx', 'Gd,Ed', addWith('cf'), { access: 'read' }),
  row('F3 0F 38 F6', 'adox', 'Gd,Ed', addWith('of'), { access: 'read' }),
];
