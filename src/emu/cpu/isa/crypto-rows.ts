/** AES-NI, PCLMULQDQ and SHA. Source: SDM Vol. 1, 12.13 and 5.21; Vol. 2; FIPS 180-4 for what SHA's functions are called. */
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, k32, select, type V128, v128 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { fixedSize, type Row } from './row.ts';
import { type LaneBinary, packed, packedImmediate, packedUnary, packedUnaryImmediate } from './vector-forms.ts';
import { kernelValue } from './x87-support.ts';

const round =
  (kernel: string): LaneBinary =>
  (e, a, b) =>
    kernelValue(e, 'v128', kernel, a, b);

/** AESKEYGENASSIST: words 1 and 3, substituted; and those turned by a byte, with the round constant. */
const keyAssist = (e: Ops, v: V128, constant: I32): V128 => {
  const s = kernelValue(e, 'v128', 'aesSubstitute', v);
  const words = v128.shuffle(s, s, [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12]);
  const zero = v128.splatI32(k32(0));
  const rcon = e.f.let(constant);
  return v128.xor(words, v128.i32x4Replace(v128.i32x4Replace(zero, 1, rcon), 3, rcon));
};

/** Immediate bits 0 and 4 choose the halves of a and b. */
const carryless: LaneBinary = (e, a, b, immediate) => {
  const imm = e.f.let(immediate);
  const half = (v: V128, bit: number): I64 =>
    e.f.let(select(i32.and(imm, k32(bit)), v128.i64x2Extract(v, 1), v128.i64x2Extract(v, 0)));
  const x = half(a, 1);
  const y = half(b, 16);
  const low = kernelValue(e, 'i64', 'carrylessLow', x, y);
  const high = kernelValue(e, 'i64', 'carrylessHigh', x, y);
  return v128.i64x2Replace(v128.splatI64(low), 1, high);
};

// SHA. Words are named by their place in a vector: word 3 is bits 127 to 96.
const word = (e: Ops, v: V128, n: 0 | 1 | 2 | 3): I32 => e.f.let(v128.i32x4Extract(v, n));
const vector = (w0: I32, w1: I32, w2: I32, w3: I32): V128 =>
  [w1, w2, w3].reduce((v, w, i) => v128.i32x4Replace(v, i + 1, w), v128.splatI32(w0));
const sum = (...values: I32[]): I32 => values.reduce((a, b) => i32.add(a, b));
const xor = (...values: I32[]): I32 => values.reduce((a, b) => i32.xor(a, b));
const right = (v: I32, n: number): I32 => i32.rotr(v, k32(n));
const choose = (x: I32, y: I32, z: I32): I32 => xor(i32.and(x, y), i32.and(xor(x, k32(-1)), z));
const majority = (x: I32, y: I32, z: I32): I32 => xor(i32.and(x, y), i32.and(x, z), i32.and(y, z));
const parity = (x: I32, y: I32, z: I32): I32 => xor(x, y, z);
const SHA1_CONSTANTS = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6] as const;

const sha1Rounds: LaneBinary = (e, state, words, immediate) => {
  const { f } = e;
  const kind = f.let(i32.and(immediate, k32(3)));
  const pick = <T>(at: (n: 0 | 1 | 2 | 3) => T, join: (c: I32, x: T, y: T) => T): T =>
    join(i32.eqz(kind), at(0), join(i32.eq(kind, k32(1)), at(1), join(i32.eq(kind, k32(2)), at(2), at(3))));
  const constant = f.let(pick<I32>((n) => k32(SHA1_CONSTANTS[n] | 0), select));
  const functions = [choose, parity, majority, parity] as const;
  let [d, c, b, a] = ([0, 1, 2, 3] as const).map((n) => word(e, state, n));
  let rest = k32(0);
  for (const n of [3, 2, 1, 0] as const) {
    const mixed = pick<I32>((i) => functions[i](b, c, d), select);
    const next = f.let(sum(mixed, i32.rotl(a, k32(5)), word(e, words, n), rest, constant));
    [a, b, c, d, rest] = [next, a, f.let(i32.rotl(b, k32(30))), c, d];
  }
  return vector(d, c, b, a);
};
const sha1Next: LaneBinary = (e, a, b) =>
  v128.i32x4Replace(b, 3, i32.add(word(e, b, 3), i32.rotl(word(e, a, 3), k32(30))));
/** Words 2 and 3 of b, then 0 and 1 of a, over a. */
const sha1Message: LaneBinary = (_e, a, b) =>
  v128.xor(a, v128.shuffle(b, a, [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]));
const sha1Message2: LaneBinary = (e, a, b) => {
  const step = (x: I32, y: I32): I32 => e.f.let(i32.rotl(i32.xor(x, y), k32(1)));
  const w16 = step(word(e, a, 3), word(e, b, 2));
  const w17 = step(word(e, a, 2), word(e, b, 1));
  const w18 = step(word(e, a, 1), word(e, b, 0));
  return vector(step(word(e, a, 0), w16), w18, w17, w16);
};

/** Two rounds; XMM0 holds the next two words with their constants. */
const sha256Rounds: LaneBinary = (e, high, low) => {
  const { f } = e;
  let [f0, e0, b, a] = ([0, 1, 2, 3] as const).map((n) => word(e, low, n));
  let [h, g, d, c] = ([0, 1, 2, 3] as const).map((n) => word(e, high, n));
  for (const n of [0, 1]) {
    const input = i32.load(e.addressOf(STATE.xmm + n * 4));
    const first = f.let(sum(choose(e0, f0, g), xor(right(e0, 6), right(e0, 11), right(e0, 25)), input, h));
    const second = sum(majority(a, b, c), xor(right(a, 2), right(a, 13), right(a, 22)));
    const nextA = f.let(sum(first, second));
    const nextE = f.let(sum(first, d));
    [a, b, c, d, e0, f0, g, h] = [nextA, a, b, c, nextE, e0, f0, g];
  }
  return vector(f0, e0, b, a);
};
const small0 = (w: I32): I32 => xor(right(w, 7), right(w, 18), i32.shrU(w, k32(3)));
const small1 = (w: I32): I32 => xor(right(w, 17), right(w, 19), i32.shrU(w, k32(10)));
const sha256Message: LaneBinary = (e, a, b) => {
  const w = ([0, 1, 2, 3] as const).map((n) => word(e, a, n));
  const next = [w[1], w[2], w[3], word(e, b, 0)];
  const [r0, r1, r2, r3] = w.map((value, n) => e.f.let(i32.add(value, small0(next[n]))));
  return vector(r0, r1, r2, r3);
};
const sha256Message2: LaneBinary = (e, a, b) => {
  const step = (x: I32, y: I32): I32 => e.f.let(i32.add(x, small1(y)));
  const w16 = step(word(e, a, 0), word(e, b, 2));
  const w17 = step(word(e, a, 1), word(e, b, 3));
  return vector(w16, w17, step(word(e, a, 2), w16), step(word(e, a, 3), w17));
};

const aesRows: readonly Row[] = [
  ...packedUnary('66 0F 38 DB', 'aesimc', (e, v) => kernelValue(e, 'v128', 'aesMixBack', v)),
  ...packed('66 0F 38 DC', 'aesenc', round('aesEncrypt')),
  ...packed('66 0F 38 DD', 'aesenclast', round('aesEncryptLast')),
  ...packed('66 0F 38 DE', 'aesdec', round('aesDecrypt')),
  ...packed('66 0F 38 DF', 'aesdeclast', round('aesDecryptLast')),
  ...packedUnaryImmediate('66 0F 3A DF', 'aeskeygenassist', keyAssist),
  ...packedImmediate('66 0F 3A 44', 'pclmulqdq', carryless),
];
const shaRows: readonly Row[] = [
  ...packedImmediate('NP 0F 3A CC', 'sha1rnds4', sha1Rounds),
  ...packed('NP 0F 38 C8', 'sha1nexte', sha1Next),
  ...packed('NP 0F 38 C9', 'sha1msg1', sha1Message),
  ...packed('NP 0F 38 CA', 'sha1msg2', sha1Message2),
  ...packed('NP 0F 38 CB', 'sha256rnds2', sha256Rounds),
  ...packed('NP 0F 38 CC', 'sha256msg1', sha256Message),
  ...packed('NP 0F 38 CD', 'sha256msg2', sha256Message2),
];

export const cryptoRows: readonly Row[] = [...aesRows, ...shaRows].map(fixedSize);
