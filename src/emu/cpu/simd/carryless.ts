/**
 * Arithmetic of polynomials over GF(2): carry-less products and the CRC32 instruction.
 * Sources: SDM Vol. 2A, CRC32; Vol. 2B, PCLMULQDQ.
 */
import type { KernelSet } from '../float/kernel-set.ts';
import { type I64, i32, i64, k32, k64 } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';

/** The Castagnoli polynomial 11EDC6F41h, bits reflected. */
const CASTAGNOLI = 0x82f6_3b78 | 0;

/** Every fourth bit: sums of up to fifteen products do not reach the next, and the sixteenth carries out of the word. */
const FOURTHS = [0x1111111111111111n, 0x2222222222222222n, 0x4444444444444444n, 0x8888888888888888n] as const;

/** The low 64 bits of a carry-less product, by integer products of spread bits. */
function lowProduct(f: FunctionBuilder, a: I64, b: I64): I64 {
  const x = FOURTHS.map((mask) => f.let(i64.and(a, k64(mask))));
  const y = FOURTHS.map((mask) => f.let(i64.and(b, k64(mask))));
  const parts = FOURTHS.map((mask, i) => {
    const products = x.map((value, n) => i64.mul(value, y[(i - n + 4) & 3]));
    return i64.and(
      products.reduce((p, q) => i64.xor(p, q)),
      k64(mask),
    );
  });
  return f.let(parts.reduce((p, q) => i64.or(p, q)));
}

/** Bits in reverse order. */
function reversed(f: FunctionBuilder, value: I64): I64 {
  let v = value;
  for (const [bits, mask] of [
    [1, 0x5555555555555555n],
    [2, 0x3333333333333333n],
    [4, 0x0f0f0f0f0f0f0f0fn],
    [8, 0x00ff00ff00ff00ffn],
    [16, 0x0000ffff0000ffffn],
  ] as const) {
    const x = f.let(v);
    v = i64.or(i64.and(i64.shrU(x, k64(bits)), k64(mask)), i64.shl(i64.and(x, k64(mask)), k64(bits)));
  }
  return f.let(i64.rotl(v, k64(32)));
}

/** carrylessLow, carrylessHigh (state, a, b): halves of a product. crc32c (state, crc, data, bits of data: 8 to 32). */
export function defineCarryless(set: KernelSet): void {
  set.define('carrylessLow', ['i32', 'i64', 'i64'], 'i64', (f) => {
    f.return(lowProduct(f, f.param(1, 'i64').get, f.param(2, 'i64').get));
    f.unreachable();
  });
  set.define('carrylessHigh', ['i32', 'i64', 'i64'], 'i64', (f) => {
    const a = reversed(f, f.param(1, 'i64').get);
    const b = reversed(f, f.param(2, 'i64').get);
    f.return(i64.shrU(reversed(f, lowProduct(f, a, b)), k64(1)));
    f.unreachable();
  });
  set.define('crc32c', ['i32', 'i32', 'i32', 'i32'], 'i32', (f) => {
    const crc = f.local('i32');
    const left = f.param(3, 'i32');
    f.set(crc, i32.xor(f.param(1, 'i32').get, f.param(2, 'i32').get));
    f.loop((again) => {
      for (let bit = 0; bit < 8; bit++) {
        const out = i32.sub(k32(0), i32.and(crc.get, k32(1)));
        f.set(crc, i32.xor(i32.shrU(crc.get, k32(1)), i32.and(out, k32(CASTAGNOLI))));
      }
      f.set(left, i32.sub(left.get, k32(8)));
      f.brIf(again, left.get);
    });
    f.return(crc.get);
    f.unreachable();
  });
}
