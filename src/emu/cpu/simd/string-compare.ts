/**
 * SSE4.2 string comparison. Source: SDM Vol. 2B, 4.1 (Imm8 control byte, valid and invalid elements, summary of operation).
 *
 * Elements are compared whole vectors at a time; everything else is about masks with a bit an element.
 */
import type { KernelSet } from '../float/kernel-set.ts';
import { SCRATCH } from '../float/kernel-set.ts';
import { type I32, i32, k32, k128, select, type V128, v128 } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';

/** Imm8. */
export const STRING = { words: 1, signed: 2, aggregation: 0xc, invert: 0x10, maskInvert: 0x20, last: 0x40 } as const;
const AGGREGATE = { any: 0, ranges: 4, each: 8, ordered: 12 } as const;

/** Low `n` bits set, 0 <= n <= 16. */
const ones = (n: I32): I32 => i32.sub(i32.shl(k32(1), n), k32(1));

/** One element size's comparison: leaves the aggregated mask (IntRes1) in `result`. */
function aggregate(
  f: FunctionBuilder,
  parts: { words: boolean; control: I32; a: V128; b: V128; validA: I32; validB: I32; at: I32 },
  result: { set: (v: I32) => void; get: I32 },
): void {
  const { words, control, validA, validB, at } = parts;
  const count = words ? 8 : 16;
  const full = (1 << count) - 1;
  const sign = words ? k128(0x8000800080008000n, 0x8000800080008000n) : k128(0x8080808080808080n, 0x8080808080808080n);
  // Signed order is unsigned order of the numbers with their sign bits turned over.
  const flip = f.let(
    v128.and(sign, v128.splatI32(i32.sub(k32(0), i32.ne(i32.and(control, k32(STRING.signed)), k32(0))))),
  );
  const b = f.let(v128.xor(parts.b, flip));
  f.store128(at, v128.xor(parts.a, flip));
  const bits = (mask: V128): I32 => (words ? v128.i16x8Bitmask(mask) : v128.i8x16Bitmask(mask));
  /** Element `j` of a in all places. */
  const splat = (j: I32): V128 =>
    words ? v128.splatI16(i32.load16U(i32.add(at, i32.shl(j, k32(1))))) : v128.splatI8(i32.load8U(i32.add(at, j)));
  const equal = words ? v128.i16x8Eq : v128.i8x16Eq;
  const atLeast = words ? v128.i16x8GeU : v128.i8x16GeU;
  const kind = f.let(i32.and(control, k32(STRING.aggregation)));
  const lengthA = f.let(i32.popcnt(validA));
  const j = f.local('i32');
  const each = (step: number, body: () => void): void => {
    f.set(j, k32(0));
    f.block((done) => {
      f.loop((again) => {
        f.brIf(done, i32.gtS(i32.add(j.get, k32(step)), lengthA));
        body();
        f.set(j, i32.add(j.get, k32(step)));
        f.br(again);
      });
    });
  };
  f.if(i32.eq(kind, k32(AGGREGATE.any)), () => {
    result.set(k32(0));
    each(1, () => result.set(i32.or(result.get, bits(equal(b, splat(j.get))))));
    result.set(i32.and(result.get, validB));
  });
  f.if(i32.eq(kind, k32(AGGREGATE.ranges)), () => {
    result.set(k32(0));
    each(2, () => {
      const inside = v128.and(atLeast(b, splat(j.get)), atLeast(splat(i32.add(j.get, k32(1))), b));
      result.set(i32.or(result.get, bits(inside)));
    });
    result.set(i32.and(result.get, validB));
  });
  f.if(i32.eq(kind, k32(AGGREGATE.each)), () => {
    // Both invalid is a match, one invalid is none.
    const same = i32.and(bits(equal(b, v128.load(at))), i32.and(validA, validB));
    result.set(i32.or(same, i32.xor(i32.or(validA, validB), k32(full))));
  });
  f.if(i32.eq(kind, k32(AGGREGATE.ordered)), () => {
    result.set(k32(full));
    each(1, () => {
      // Places where a would reach beyond the end of the vector match as far as they go.
      const beyond = i32.xor(i32.shrU(k32(full), j.get), k32(full));
      const match = i32.shrU(i32.and(bits(equal(b, splat(j.get))), validB), j.get);
      result.set(i32.and(result.get, i32.or(match, beyond)));
    });
  });
}

/**
 * compareStrings(state, control, a, b, lengths): IntRes2 in bits 0-15. Lengths in elements: of a in bits 0-7, of b in bits
 * 8-15; at most the elements of a vector.
 * stringLength(state, control, v): elements before the first zero.
 * elementsOf(state, control, bits): all ones in the elements whose bit is set.
 */
export function defineStringCompare(set: KernelSet): void {
  set.define('compareStrings', ['i32', 'i32', 'v128', 'v128', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const control = f.param(1, 'i32').get;
    const lengths = f.param(4, 'i32').get;
    const validA = f.let(ones(i32.and(lengths, k32(0xff))));
    const validB = f.let(ones(i32.shrU(lengths, k32(8))));
    const at = f.let(i32.add(state, k32(SCRATCH.operand)));
    const result = f.local('i32');
    const out = { set: (v: I32) => f.set(result, v), get: result.get };
    const common = { control, a: f.param(2, 'v128').get, b: f.param(3, 'v128').get, validA, validB, at };
    const words = f.let(i32.and(control, k32(STRING.words)));
    f.if(
      words,
      () => aggregate(f, { ...common, words: true }, out),
      () => aggregate(f, { ...common, words: false }, out),
    );
    f.if(i32.and(control, k32(STRING.invert)), () => {
      const all = select(words, k32(0xff), k32(0xffff));
      const mask = select(i32.and(control, k32(STRING.maskInvert)), validB, all);
      f.set(result, i32.xor(result.get, mask));
    });
    f.return(result.get);
    f.unreachable();
  });
  set.define('stringLength', ['i32', 'i32', 'v128'], 'i32', (f) => {
    const v = f.param(2, 'v128').get;
    const zero = k128(0n, 0n);
    f.if(i32.and(f.param(1, 'i32').get, k32(STRING.words)), () =>
      f.return(i32.ctz(i32.or(v128.i16x8Bitmask(v128.i16x8Eq(v, zero)), k32(0x100)))),
    );
    f.return(i32.ctz(i32.or(v128.i8x16Bitmask(v128.i8x16Eq(v, zero)), k32(0x1_0000))));
    f.unreachable();
  });
  set.define('elementsOf', ['i32', 'i32', 'i32'], 'v128', (f) => {
    const bits = f.param(2, 'i32').get;
    f.if(i32.and(f.param(1, 'i32').get, k32(STRING.words)), () => {
      const weights = k128(0x0008_0004_0002_0001n, 0x0080_0040_0020_0010n);
      f.return(v128.i16x8Eq(v128.and(v128.splatI16(bits), weights), weights));
    });
    const weights = k128(0x8040201008040201n, 0x8040201008040201n);
    const bytes = v128.swizzle(v128.splatI16(bits), k128(0n, 0x0101010101010101n));
    f.return(v128.i8x16Eq(v128.and(bytes, weights), weights));
    f.unreachable();
  });
}
