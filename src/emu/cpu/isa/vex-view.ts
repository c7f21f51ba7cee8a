/**
 * VEX-encoded rows made from legacy SSE rows: one semantics for XMM, for three operands and for YMM.
 *
 * A legacy row's semantics see an `Ops` on which operands are numbered as they expect. What they read of the destination
 * comes from the first source when there is one; what they write goes to the destination, the rest of which is cleared.
 * For 256 bits they run twice, on halves, and the results are kept back until nothing can fault any more.
 * Source: SDM Vol. 1, 14.1; Vol. 2A, 2.3 (VEX), 2.4 (exception types).
 */
import { unreachable } from '#base/errors.ts';
import { type I32, type I64, i32, k32, type V128, type Val, v128, type Word, word } from '../wasm/expr.ts';
import type { Ops, VexUse, Width32 } from './ops.ts';
import { fixedSize, type Row, type RowOptions, row } from './row.ts';
import { together } from './sse-support.ts';

/** What the 256-bit form does with the two results. */
export type Halves =
  /** They are the halves of a YMM register. */
  | 'both'
  /** 64 bits each, in an XMM register. */
  | 'narrow'
  /** So many bits each, in a general register. */
  | number;

export interface VexForm {
  /** There is a first source besides the destination (VEX.vvvv). */
  readonly three: boolean;
  readonly aligned?: boolean;
  /** It may report floating-point exceptions, of both halves together. */
  readonly float?: boolean;
  /** Bytes from what the lower half reads of its last source to what the upper reads; 16. */
  readonly stride?: number;
  /** The upper half takes its immediate from this bit on. */
  readonly immediateShift?: number;
  readonly halves?: Halves;
}

/** `ops` with some of its methods replaced. */
const replaced = (ops: Ops, methods: Partial<Ops>): Ops =>
  new Proxy(ops, {
    get(target, name) {
      const own = methods[name as keyof Ops];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

/** A write that is kept back. */
type Kept = { readonly n: number; readonly value: Val };

/** Operands of the VEX row: none of them is fixed. */
const operandsOf = (r: Row): readonly { kind: string; type: string }[] =>
  r.operands.split(',').map((text) => ({ kind: text[0], type: text.slice(1) }));
const typesOf = (r: Row): readonly string[] => operandsOf(r).map((o) => o.type);
const isVector = (r: Row, n: number): boolean => 'VHWUL'.includes(operandsOf(r)[n].kind);

const PART_BITS: Readonly<Record<string, Width32>> = { b: 8, w: 16, d: 32 };

function view(e: Ops, r: Row, form: VexForm, use: VexUse, keep: (kept: Kept) => void): Ops {
  const { f } = e;
  const types = typesOf(r);
  /** Operand `n` of the legacy row as one that is read. */
  const from = (n: number): number => (form.three ? n + 1 : n);
  const last = operandsOf(r).findLastIndex((o) => o.kind !== 'I');
  const offset = (n: number): number => (use.half === 0 ? 0 : n === last ? (form.stride ?? 16) : 16);
  const moved = (at: ReturnType<Ops['linear']>, n: number): ReturnType<Ops['linear']> =>
    offset(n) === 0 ? at : f.let(word.add(at, offset(n)));
  const place = (n: number): I32 => (offset(n) === 0 ? e.slot(n) : i32.add(e.slot(n), k32(offset(n))));
  /** The 16 bytes of a register that hold what is read, and where in them that begins. */
  const part = (n: number): { whole: V128; from: number } =>
    offset(n) === 16
      ? { whole: f.let(v128.load(e.upper(n))), from: 0 }
      : { whole: f.let(e.read128(n)), from: offset(n) };
  const read32 = (n: number): I32 => {
    // Half of what the whole instruction reads, where that is less than 32 bits (VPMOVSXBQ).
    const bits = n === last && form.stride === 2 ? 16 : (PART_BITS[types[n]] ?? 32);
    if (e.isMemory(n)) return e.load(bits, moved(e.linear(n), n));
    if (!isVector(r, n)) return e.read(n);
    if (offset(n) === 0 && bits === 32) return e.read(n);
    const { whole, from: at } = part(n);
    if (bits === 32) return f.let(v128.i32x4Extract(whole, at / 4));
    return f.let(bits === 16 ? v128.i16x8ExtractU(whole, at / 2) : v128.i8x16ExtractU(whole, at));
  };
  const read128 = (n: number): V128 => {
    if (e.isMemory(n)) return e.load128(moved(e.linear(n), n));
    return offset(n) % 16 === 0 ? part(n).whole : f.let(v128.load(place(n)));
  };
  const read64 = (n: number): I64 =>
    // All of it is read (VMOVDDUP).
    e.isMemory(n) && types[n] === 'qq'
      ? f.let(v128.i64x2Extract(read128(n), 0))
      : e.isMemory(n)
        ? e.load64(moved(e.linear(n), n))
        : isVector(r, n) && offset(n) !== 0
          ? f.let(v128.i64x2Extract(part(n).whole, part(n).from / 8))
          : e.read64(n);
  const isImmediate = (n: number): boolean => operandsOf(r)[n].kind === 'I';
  const immediate = (n: number): I32 => {
    const shift = use.half === 1 ? (form.immediateShift ?? 0) : 0;
    return shift === 0 ? e.read(n) : f.let(i32.shrU(e.read(n), k32(shift)));
  };
  const firstSource = (): V128 => read128(form.three ? 1 : 0);
  const { floats } = e;
  return replaced(e, {
    vex: use,
    // What is known of a register is known of its low half.
    ...(floats && { floats: { ...floats, found: (n, o) => use.half === 0 && floats.found(from(n), o) } }),
    isMemory: (n) => e.isMemory(n === 0 ? 0 : from(n)),
    linear: (n) => (n === 0 ? e.linear(0) : moved(e.linear(from(n)), from(n))),
    slot: (n) => place(from(n)),
    read: (n) => (isImmediate(from(n)) ? immediate(from(n)) : read32(from(n))),
    readWord: (n) => (isImmediate(from(n)) ? immediate(from(n)) : e.readWord(from(n))),
    read64: (n) => read64(from(n)),
    read128: (n) => read128(from(n)),
    write: (n, value) => {
      if (n !== 0) unreachable('only the first operand is written');
      if (e.isMemory(0) || !isVector(r, 0)) keep({ n, value: f.let(value) });
      else keep({ n, value: f.let(v128.withLow32(firstSource(), value as I32)) });
    },
    write64: (n, value) => {
      if (e.isMemory(0)) keep({ n, value: f.let(value) });
      else keep({ n, value: f.let(v128.withLow64(firstSource(), value)) });
    },
    write128: (n, value) => keep({ n, value: f.let(value) }),
    store128: (_at, value) => keep({ n: 0, value: f.let(value) }),
  });
}

const ZERO = v128.zero;

/** A vector register, all of it that there is. */
export function writeVector(e: Ops, n: number, low: V128, high: V128 = ZERO): void {
  e.write128(n, low);
  e.f.store128(e.upper(n), high);
}
/** 32 bytes at memory operand `n`: all of them or none. */
export function storeWide(e: Ops, n: number, low: V128, high: V128): void {
  const at = e.f.let(e.linear(n));
  const PAGE_END = 4096 - 32;
  e.f.if(i32.gtU(i32.and(word.low(at), k32(4095)), k32(PAGE_END)), () => e.probe(at, k32(32)));
  e.store128(at, low);
  e.store128(e.f.let(word.add(at, 16)), high);
}

/** Writes what the semantics wrote. */
function commit(e: Ops, r: Row, halves: Halves, kept: readonly Kept[]): void {
  const [low, high] = kept;
  // Comparisons that set flags write nothing.
  if (low === undefined) return;
  const { value } = low;
  if (e.isMemory(0)) {
    if (high !== undefined && halves === 'both') storeWide(e, 0, value as V128, high.value as V128);
    else if (high !== undefined) e.write128(0, narrowed(value as V128, high.value as V128));
    else if (value.type === 'v128') e.write128(0, value as V128);
    else if (value.type === 'i64') e.write64(0, value as I64);
    else e.write(0, value as Word);
    return;
  }
  if (!isVector(r, 0)) {
    const upper = high === undefined ? undefined : i32.shl(high.value as I32, k32(halves as number));
    e.write(0, upper === undefined ? (value as Word) : i32.or(value as I32, upper));
    return;
  }
  if (high === undefined) writeVector(e, 0, value as V128);
  else if (halves === 'both') writeVector(e, 0, value as V128, high.value as V128);
  else writeVector(e, 0, narrowed(value as V128, high.value as V128));
}
const narrowed = (low: V128, high: V128): V128 => v128.i64x2Replace(low, 1, v128.i64x2Extract(high, 0));

/** The semantics of a VEX row `r`, from those of a legacy one. */
export function vexSemantics(r: Row, legacy: (e: Ops) => void, form: VexForm, wide: boolean): (e: Ops) => void {
  return (e) => {
    const kept: Kept[] = [];
    const run = (half: 0 | 1): void => {
      const use: VexUse = { wide, aligned: form.aligned === true, half };
      legacy(view(e, r, form, use, (k) => kept.push(k)));
    };
    const all = (): void => {
      run(0);
      if (wide) run(1);
    };
    if (wide && form.float) together(e, all);
    else all();
    commit(e, r, form.halves ?? 'both', kept);
  };
}

/** A row whose semantics need to know the row. */
export function vexRow(
  opcode: string,
  mnemonic: string,
  operands: string,
  legacy: (e: Ops) => void,
  form: VexForm,
  options: RowOptions = {},
): Row {
  const blank = fixedSize(row(opcode, mnemonic, operands, legacy, options));
  return { ...blank, semantics: vexSemantics(blank, legacy, form, opcode.startsWith('VEX.256')) };
}
