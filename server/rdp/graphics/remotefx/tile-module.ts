/**
 * The inner loops of RemoteFX as a WebAssembly module, written with the same builder as the CPU's code: eight
 * coefficients at a time, and a third of the time that typed arrays take.
 * Source: [MS-RDPRFX] 3.1.8.1.3 (colours), 3.1.8.1.4 (wavelets), 3.1.8.1.5 (quantization), 3.1.8.1.7.3 (RLGR1).
 */
import { type I32, i32, i64, k32, k128, type V128, v128 } from '#emu/cpu/wasm/expr.ts';
import type { FunctionBuilder, Var } from '#emu/cpu/wasm/function.ts';
import { createLinearMemory, instantiate, type WasmFunction } from '#emu/cpu/wasm/host.ts';
import { ModuleBuilder } from '#emu/cpu/wasm/module.ts';

export const TILE_SIZE = 64;
export const TILE_PIXELS: number = TILE_SIZE * TILE_SIZE;

const PLANE_BYTES = TILE_PIXELS * 2;
/** Addresses: pixels, three planes, what a pass of a wavelet leaves to the next, a code. */
const PIXELS = 0;
const PLANES = PIXELS + TILE_PIXELS * 4;
const SCRATCH = PLANES + 3 * PLANE_BYTES;
const CODE = SCRATCH + PLANE_BYTES;
const PAGES = 2;
const LANES = 8;

/** RLGR1's parameters. */
const [KP_MAX, LS_GR, UP_GR, DOWN_GR, UP_QUIET, DOWN_QUIET] = [80, 3, 4, 6, 3, 3];

export class TileModule {
  /** TILE_PIXELS words whose bytes are R, G, B, 255. */
  readonly pixels: Uint32Array;
  /** Y, Cb, Cr. */
  readonly planes: readonly Int16Array[];
  readonly #bytes: Uint8Array;
  readonly #functions: Record<string, WasmFunction>;

  constructor() {
    const memory = createLinearMemory(PAGES * 65_536);
    this.pixels = new Uint32Array(memory.buffer, PIXELS, TILE_PIXELS);
    this.planes = [0, 1, 2].map((i) => new Int16Array(memory.buffer, PLANES + i * PLANE_BYTES, TILE_PIXELS));
    this.#bytes = new Uint8Array(memory.buffer);
    this.#functions = instantiate((code ??= build()), memory);
  }

  /** RGB to YCbCr by the irreversible transform, in fixed point with 5 bits behind it. */
  convert(): void {
    this.#functions['convert']?.();
  }

  /** Three levels of 5/3, in place: HL1, LH1, HH1, HL2, LH2, HH2, HL3, LH3, HH3, LL3. */
  transform(plane: number): void {
    this.#functions['transform']?.(PLANES + plane * PLANE_BYTES);
  }

  /** @param start, end a multiple of 64. @param shift bits that are dropped, rounded */
  quantize(plane: number, start: number, end: number, shift: number): void {
    const at = PLANES + plane * PLANE_BYTES;
    this.#functions['quantize']?.(at + start * 2, at + end * 2, shift, 1 << (shift - 1));
  }

  /** @returns the code of a plane, a copy */
  encode(plane: number): Uint8Array {
    const length = Number(this.#functions['encode']?.(PLANES + plane * PLANE_BYTES));
    return this.#bytes.slice(CODE, CODE + length);
  }
}

let code: Uint8Array<ArrayBuffer> | undefined;

function build(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ initial: PAGES, maximum: PAGES });
  module.define([], 'void', buildConvert, 'convert');
  module.define(['i32'], 'void', buildTransform, 'transform');
  module.define(['i32', 'i32', 'i32', 'i32'], 'void', buildQuantize, 'quantize');
  module.define(['i32'], 'i32', buildEncode, 'encode');
  return module.bytes();
}

/** Repeats `body` with `at` from `from` to `to`. */
function count(f: FunctionBuilder, from: I32, to: I32, step: number, body: (at: I32) => void): void {
  const at = f.local('i32');
  f.set(at, from);
  f.loop((again) => {
    body(at.get);
    f.set(at, i32.add(at.get, k32(step)));
    f.brIf(again, i32.ltU(at.get, to));
  });
}

/** Rows of the matrix times 2^15; a pixel's fourth byte counts nothing. */
const MATRIX = [
  [9798, 19235, 3735, 0],
  [-5535, -10868, 16403, 0],
  [16378, -13714, -2664, 0],
] as const;
const LUMA_MIDDLE = 4096;

function vectorOf(lanes: readonly number[]): V128 {
  const half = (from: number): bigint =>
    lanes.slice(from, from + 4).reduce((sum, lane, i) => sum | (BigInt(lane & 0xffff) << BigInt(16 * i)), 0n);
  return k128(half(0), half(4));
}

const EVEN_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
const ODD_WORDS = EVEN_WORDS.map((lane) => lane + 4);

function buildConvert(f: FunctionBuilder): void {
  count(f, k32(0), k32(TILE_PIXELS * 4), 32, (at) => {
    const quads = [0, 16].map((offset) => {
      const bytes = f.let(v128.load(at, PIXELS + offset));
      return [f.let(v128.i16x8ExtendLowI8U(bytes)), f.let(v128.i16x8ExtendHighI8U(bytes))] as const;
    });
    MATRIX.forEach((row, plane) => {
      const weights = vectorOf([...row, ...row]);
      const [first, second] = quads.map(([low, high]) => {
        const a = f.let(v128.i32x4DotI16S(low, weights));
        const b = f.let(v128.i32x4DotI16S(high, weights));
        const sum = v128.i32x4Add(v128.shuffle(a, b, EVEN_WORDS), v128.shuffle(a, b, ODD_WORDS));
        return v128.i32x4ShrS(sum, k32(10));
      });
      const made = v128.i16x8NarrowI32S(first, second);
      const centred = plane === 0 ? v128.i16x8Sub(made, v128.splatI16(k32(LUMA_MIDDLE))) : made;
      f.store128(i32.shrU(at, k32(1)), centred, PLANES + plane * PLANE_BYTES);
    });
  });
}

const EVEN_LANES = [0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29];
const ODD_LANES = EVEN_LANES.map((lane) => lane + 2);
/** Each lane's neighbour behind it, the last one from the next vector; or the last one again. */
const NEXT = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
const NEXT_OR_LAST = [...NEXT.slice(0, 14), 14, 15];
/** Each lane's neighbour before it, the first one from the vector before; or the first one again. */
const BEFORE = [14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29];
const BEFORE_OR_FIRST = [0, 1, ...BEFORE.slice(2).map((lane) => lane - 16)];

const halved = (v: V128): V128 => v128.i16x8ShrS(v, k32(1));
/** The lifting steps of 5/3. */
const highOf = (even: V128, odd: V128, next: V128): V128 =>
  halved(v128.i16x8Sub(odd, halved(v128.i16x8Add(even, next))));
const lowOf = (even: V128, high: V128, before: V128): V128 => v128.i16x8Add(even, halved(v128.i16x8Add(before, high)));

function buildTransform(f: FunctionBuilder): void {
  const plane = f.param(0, 'i32').get;
  let at = 0;
  for (const half of [32, 16, 8]) {
    f.scope(() => columns(f, i32.add(plane, k32(at * 2)), half));
    f.scope(() => rows(f, i32.add(plane, k32(at * 2)), half));
    at += half * half * 3;
  }
}

/** Low half above, high half below, into the scratch plane. @param half edge of the subbands */
function columns(f: FunctionBuilder, tile: I32, half: number): void {
  const rowBytes = half * 4;
  count(f, k32(0), k32(rowBytes), 16, (x) => {
    const from = f.local('i32');
    f.set(from, i32.add(tile, x));
    const even = f.local('v128');
    f.set(even, v128.load(from.get));
    const before = f.local('v128');
    const high = f.local('v128');
    const pair = (to: I32, next: V128, isFirst: boolean): void => {
      f.set(high, highOf(even.get, v128.load(from.get, rowBytes), next));
      f.store128(to, high.get, SCRATCH + half * rowBytes);
      f.store128(to, lowOf(even.get, high.get, isFirst ? high.get : before.get), SCRATCH);
      f.set(before, high.get);
    };
    const next = f.local('v128');
    const following = (): V128 => {
      f.set(next, v128.load(from.get, rowBytes * 2));
      return next.get;
    };
    const step = (): void => {
      f.set(even, next.get);
      f.set(from, i32.add(from.get, k32(rowBytes * 2)));
    };
    pair(x, following(), true);
    step();
    count(f, i32.add(x, k32(rowBytes)), k32(rowBytes * (half - 1)), rowBytes, (to) => {
      pair(to, following(), false);
      step();
    });
    pair(i32.add(x, k32(rowBytes * (half - 1))), even.get, false);
  });
}

/** Into the four subbands. */
function rows(f: FunctionBuilder, tile: I32, half: number): void {
  const band = half * half * 2;
  // Low rows give LL and HL, high ones LH and HH; of the subbands' order HL, LH, HH, LL.
  for (const [from, low, high] of [
    [0, 3, 0],
    [half * half * 4, 1, 2],
  ]) {
    count(f, k32(0), k32(band), half * 2, (y) => {
      f.scope(() => {
        const source = f.let(i32.shl(y, k32(1)));
        const to = f.let(i32.add(tile, y));
        const groups = half / LANES;
        const evens: V128[] = [];
        const odds: V128[] = [];
        for (let g = 0; g < groups; g++) {
          const [a, b] = [0, 16].map((offset) => f.let(v128.load(source, SCRATCH + from + g * 32 + offset)));
          evens.push(f.let(v128.shuffle(a, b, EVEN_LANES)));
          odds.push(f.let(v128.shuffle(a, b, ODD_LANES)));
        }
        let before: V128 | undefined;
        for (let g = 0; g < groups; g++) {
          const even = evens[g];
          const next = v128.shuffle(even, evens[g + 1] ?? even, g + 1 < groups ? NEXT : NEXT_OR_LAST);
          const made = f.let(highOf(even, odds[g], next));
          const shifted = v128.shuffle(before ?? made, made, before ? BEFORE : BEFORE_OR_FIRST);
          f.store128(to, made, high * band + g * 16);
          f.store128(to, lowOf(even, made, shifted), low * band + g * 16);
          before = made;
        }
      });
    });
  }
}

function buildQuantize(f: FunctionBuilder): void {
  const [start, end, shift, half] = [0, 1, 2, 3].map((i) => f.param(i, 'i32').get);
  const rounding = f.let(v128.splatI16(half));
  count(f, start, end, 16, (at) => {
    f.store128(at, v128.i16x8ShrS(v128.i16x8Add(v128.load(at), rounding), shift));
  });
}

/** State of the bit writer: bits that wait, how many, where the next byte goes. */
interface Bits {
  readonly waiting: Var<'i32'>;
  readonly count: Var<'i32'>;
  readonly to: Var<'i32'>;
}

/** Puts the low `bits` of `value`, at most 16, and writes what is whole. */
function put(f: FunctionBuilder, { waiting, count, to }: Bits, value: I32, bits: I32): void {
  f.set(waiting, i32.or(i32.shl(waiting.get, bits), value));
  f.set(count, i32.add(count.get, bits));
  f.if(i32.geS(count.get, k32(16)), () => {
    f.set(count, i32.sub(count.get, k32(16)));
    const word = f.let(i32.shrU(waiting.get, count.get));
    f.store8(to.get, i32.shrU(word, k32(8)));
    f.store8(to.get, word, 1);
    f.set(to, i32.add(to.get, k32(2)));
    f.set(waiting, i32.and(waiting.get, i32.sub(i32.shl(k32(1), count.get), k32(1))));
  });
}

/** Keeps a parameter between 0 and KP_MAX. */
function limit(f: FunctionBuilder, parameter: Var<'i32'>): void {
  f.if(i32.ltS(parameter.get, k32(0)), () => f.set(parameter, k32(0)));
  f.if(i32.gtS(parameter.get, k32(KP_MAX)), () => f.set(parameter, k32(KP_MAX)));
}

function buildEncode(f: FunctionBuilder): void {
  const at = f.param(0, 'i32');
  const end = f.let(i32.add(at.get, k32(PLANE_BYTES)));
  const bits: Bits = { waiting: f.local('i32'), count: f.local('i32'), to: f.local('i32') };
  f.set(bits.to, k32(CODE));
  const [k, kp, krp, value, head, headBits] = Array.from({ length: 6 }, () => f.local('i32'));
  f.set(k, k32(1));
  f.set(kp, k32(1 << LS_GR));
  f.set(krp, k32(1 << LS_GR));
  f.loop((again) => {
    f.set(head, k32(0));
    f.set(headBits, k32(0));
    f.if(
      k.get,
      () => encodeRun(f, { at, end, k, kp, value, head, headBits }, bits),
      () => {
        f.set(value, i32.load16S(at.get));
        f.set(at, i32.add(at.get, k32(2)));
        // Twice the magnitude, less one for negative values.
        f.set(value, i32.xor(i32.shl(value.get, k32(1)), i32.shrS(value.get, k32(31))));
        f.if(
          value.get,
          () => f.set(kp, i32.sub(kp.get, k32(DOWN_QUIET))),
          () => f.set(kp, i32.add(kp.get, k32(UP_QUIET))),
        );
      },
    );
    limit(f, kp);
    f.set(k, i32.shrS(kp.get, k32(LS_GR)));
    golombRice(f, { krp, value, head, headBits }, bits);
    f.brIf(again, i32.ltU(at.get, end));
  });
  f.if(bits.count.get, () => {
    const filled = i32.shl(bits.waiting.get, i32.sub(k32(16), bits.count.get));
    f.store8(bits.to.get, i32.shrU(filled, k32(8)));
    f.store8(bits.to.get, filled, 1);
    const whole = i32.shrU(i32.add(bits.count.get, k32(7)), k32(3));
    f.set(bits.to, i32.add(bits.to.get, whole));
  });
  f.return(i32.sub(bits.to.get, k32(CODE)));
}

type RunVars = Record<'at' | 'k' | 'kp' | 'value' | 'head' | 'headBits', Var<'i32'>> & { readonly end: I32 };

/** Zeros, and the value behind them. */
function encodeRun(f: FunctionBuilder, { at, end, k, kp, value, head, headBits }: RunVars, bits: Bits): void {
  const zeros = f.local('i32');
  f.set(zeros, at.get);
  f.block((done) => {
    // Most of a tile is zeros: four at a time.
    f.loop((again) => {
      f.if(i32.leU(i32.add(at.get, k32(8)), end), () => {
        f.if(i64.eqz(i64.load(at.get)), () => {
          f.set(at, i32.add(at.get, k32(8)));
          f.br(again);
        });
      });
    });
    f.loop((again) => {
      f.brIf(done, i32.geU(at.get, end));
      f.brIf(done, i32.load16S(at.get));
      f.set(at, i32.add(at.get, k32(2)));
      f.br(again);
    });
  });
  f.set(zeros, i32.shrU(i32.sub(at.get, zeros.get), k32(1)));
  f.block((done) => {
    f.loop((again) => {
      const run = f.let(i32.shl(k32(1), k.get));
      f.brIf(done, i32.ltU(zeros.get, run));
      put(f, bits, k32(0), k32(1));
      f.set(zeros, i32.sub(zeros.get, run));
      f.set(kp, i32.add(kp.get, k32(UP_GR)));
      limit(f, kp);
      f.set(k, i32.shrS(kp.get, k32(LS_GR)));
      f.br(again);
    });
  });
  // Behind the last zeros comes a value that nobody decodes, but some decoders want to see it.
  f.set(value, k32(1));
  f.if(i32.ltU(at.get, end), () => {
    f.set(value, i32.load16S(at.get));
    f.set(at, i32.add(at.get, k32(2)));
  });
  const isNegative = f.let(i32.shrU(value.get, k32(31)));
  f.set(head, i32.or(i32.shl(i32.or(i32.shl(k32(1), k.get), zeros.get), k32(1)), isNegative));
  f.set(headBits, i32.add(k.get, k32(2)));
  // The magnitude less one.
  f.if(isNegative, () => f.set(value, i32.sub(k32(0), value.get)));
  f.set(value, i32.sub(value.get, k32(1)));
  f.set(kp, i32.sub(kp.get, k32(DOWN_GR)));
}

type CodeVars = Record<'krp' | 'value' | 'head' | 'headBits', Var<'i32'>>;

/** Ones for what is above the parameter, a zero, the bits below it; behind what `head` has. */
function golombRice(f: FunctionBuilder, { krp, value, head, headBits }: CodeVars, bits: Bits): void {
  const kr = f.let(i32.shrS(krp.get, k32(LS_GR)));
  const high = f.local('i32');
  f.set(high, i32.shrU(value.get, kr));
  const mask = (count: I32): I32 => i32.sub(i32.shl(k32(1), count), k32(1));
  const low = f.let(i32.and(value.get, mask(kr)));
  f.if(i32.eqz(high.get), () => f.set(krp, i32.sub(krp.get, k32(2))));
  f.if(i32.gtU(high.get, k32(1)), () => f.set(krp, i32.add(krp.get, high.get)));
  limit(f, krp);
  const length = f.let(i32.add(i32.add(headBits.get, high.get), i32.add(kr, k32(1))));
  f.if(
    i32.leU(length, k32(16)),
    () => {
      const front = i32.or(i32.shl(head.get, high.get), mask(high.get));
      put(f, bits, i32.or(i32.shl(front, i32.add(kr, k32(1))), low), length);
    },
    () => {
      put(f, bits, head.get, headBits.get);
      f.block((done) => {
        f.loop((again) => {
          f.brIf(done, i32.ltU(high.get, k32(8)));
          put(f, bits, k32(0xff), k32(8));
          f.set(high, i32.sub(high.get, k32(8)));
          f.br(again);
        });
      });
      put(f, bits, mask(high.get), high.get);
      put(f, bits, low, i32.add(kr, k32(1)));
    },
  );
}
