/**
 * Operands as Berkeley TestFloat chooses them (TestFloat-general, "Level 1"): every combination of sign, exponents where
 * something changes and significands where rounding does; and as many random ones as are asked for.
 */
import { type Random, random32, random64, random80 } from '../../../src/emu/cpu/float/operands.suite.ts';

export type Format = 'f16' | 'f32' | 'f64' | 'extF80' | 'i16' | 'i32' | 'i64';

interface Shape {
  readonly exponentBits: number;
  readonly fractionBits: number;
}
const SHAPES: Readonly<Record<'f16' | 'f32' | 'f64' | 'extF80', Shape>> = {
  f16: { exponentBits: 5, fractionBits: 10 },
  f32: { exponentBits: 8, fractionBits: 23 },
  f64: { exponentBits: 11, fractionBits: 52 },
  extF80: { exponentBits: 15, fractionBits: 63 },
};
/** Where the integer bit of extF80 contradicts the exponent: pseudo-denormals, unnormals, pseudo-infinities and -NaNs. */
const ODD: readonly bigint[] = [
  0x0000_8000000000000000n,
  0x0000_ffffffffffffffffn,
  0x3fff_0000000000000001n,
  0xbfff_4000000000000000n,
  0x7fff_0000000000000000n,
  0xffff_4000000000000000n,
];

/** Values by format, as bit patterns. @param few only some exponents and significands, for operations of three operands */
export function corners(format: Format, few = false): readonly bigint[] {
  if (format.startsWith('i')) return integers(Number(format.slice(1)));
  const { exponentBits, fractionBits } = SHAPES[format as keyof typeof SHAPES];
  const most = (1 << exponentBits) - 1;
  const bias = most >> 1;
  const ones = (1n << BigInt(fractionBits)) - 1n;
  const half = 1n << BigInt(fractionBits - 1);
  const near = [0, 1, bias - 1, bias, bias + 1, most - 1, most];
  const far = [2, bias - fractionBits - 2, bias - fractionBits - 1, bias + fractionBits, bias + fractionBits + 1];
  const exponents = few ? near : [...near, ...far, bias + 15, bias + 31, bias + 62, bias + 63];
  const fractions = few ? [0n, 1n, ones] : [0n, 1n, half - 1n, half, half + 1n, ones - 1n, ones];
  const values = new Set<bigint>();
  for (const exponent of exponents.filter((e) => e >= 0 && e <= most)) {
    for (const fraction of fractions) {
      const top = format === 'extF80' && exponent !== 0 ? 1n << 63n : 0n;
      const shift = BigInt(format === 'extF80' ? 64 : fractionBits);
      const magnitude = (BigInt(exponent) << shift) | top | fraction;
      for (const sign of [0n, 1n]) values.add(magnitude | (sign << (shift + BigInt(exponentBits))));
    }
  }
  return [...values, ...(format === 'extF80' ? ODD : [])];
}

function integers(bits: number): bigint[] {
  const values = new Set<bigint>();
  for (let n = 0; n < bits; n++)
    for (const delta of [-1n, 0n, 1n]) for (const sign of [1n, -1n]) values.add(sign * ((1n << BigInt(n)) + delta));
  return [...values].map((value) => BigInt.asUintN(bits, value));
}

export function randomOperand(r: Random, format: Format): bigint {
  switch (format) {
    case 'f32':
      return BigInt.asUintN(32, BigInt(random32(r)));
    case 'f64':
      return random64(r);
    case 'extF80': {
      const { significand, signExponent } = random80(r);
      return (BigInt(signExponent) << 64n) | significand;
    }
    case 'f16':
      return BigInt(r.below(0x1_0000));
    default: {
      const bits = Number(format.slice(1));
      return BigInt.asUintN(bits, BigInt.asIntN(64, r.u64()) >> BigInt(64 - bits + r.below(bits)));
    }
  }
}
