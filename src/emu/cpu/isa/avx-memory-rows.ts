/**
 * Masked loads and stores, and gathers: memory is touched only where a mask element's sign is set, and only there the
 * segment and the page are checked.
 * Source: SDM Vol. 2, VMASKMOV, VPMASKMOV, VGATHER, VPGATHER; Vol. 1, 14.6.4 (VSIB).
 */
import { SCRATCH } from '../float/kernel-set.ts';
import { type I32, type I64, i32, i64, k32, k64, type V128, v128, type Word, word } from '../wasm/expr.ts';
import type { Var } from '../wasm/function.ts';
import type { Address, Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import { beginVex } from './sse-support.ts';
import { writeVector } from './vex-view.ts';

type Size = 32 | 64;

/** Counts `n` from 0 to `count` - 1. */
function times(e: Ops, count: number, body: (n: Var<'i32'>) => void): void {
  const n = e.f.local('i32');
  e.f.set(n, k32(0));
  e.f.loop((again) => {
    body(n);
    e.f.set(n, i32.add(n.get, k32(1)));
    e.f.brIf(again, i32.ltU(n.get, k32(count)));
  });
}
const elementOf = (slot: I32, n: I32, size: Size): I32 => i32.add(slot, i32.mul(n, k32(size / 8)));
/** Is element `n`'s sign set in the vector at `slot`? */
const chosen = (slot: I32, n: I32, size: Size): I32 =>
  i32.shrU(i32.load(elementOf(slot, n, size), size / 8 - 4), k32(31));
const elementAddress = (at: Address, n: I32, size: Size): Address =>
  word.add(at, word.toU(at.type, i32.mul(n, k32(size / 8))));

const maskedLoad = (size: Size, wide: boolean) => {
  return (e: Ops): void => {
    beginVex(e);
    const { f } = e;
    const at = f.let(e.linear(2));
    const offset = f.let(e.offsetOf(2));
    const mask = f.let(e.slot(1));
    const buffer = f.let(e.addressOf(SCRATCH.operand));
    times(e, ((wide ? 256 : 128) / size) | 0, (n) => {
      const to = f.let(elementOf(buffer, n.get, size));
      if (size === 32) f.store32(to, k32(0));
      else f.store64(to, k64(0));
      f.if(chosen(mask, n.get, size), () => {
        e.checkSegment(elementAddress(offset, n.get, size), size / 8, 'read');
        const from = f.let(elementAddress(at, n.get, size));
        if (size === 32) f.store32(to, e.load(32, from));
        else f.store64(to, e.load64(from));
      });
    });
    const half = (offset: number): V128 => f.let(v128.load(buffer, offset));
    writeVector(e, 0, half(0), wide ? half(16) : undefined);
  };
};

const PAGE = 4096;
const maskedStore = (size: Size, wide: boolean) => {
  return (e: Ops): void => {
    beginVex(e);
    const { f } = e;
    const at = f.let(e.linear(0));
    const offset = f.let(e.offsetOf(0));
    const mask = f.let(e.slot(1));
    const from = f.let(e.slot(2));
    const bytes = wide ? 32 : 16;
    const each = (body: (to: Address, n: I32) => void): void =>
      times(e, (bytes * 8) / size, (n) => {
        f.if(chosen(mask, n.get, size), () => body(f.let(elementAddress(at, n.get, size)), n.get));
      });
    // Nothing is stored when any of it cannot be; of one page and no segment the first store tells.
    const crosses = f.let(i32.gtU(i32.and(word.low(at), k32(PAGE - 1)), k32(PAGE - bytes)));
    if (e.long) f.if(crosses, () => each((to) => e.probe(to, k32(size / 8))));
    else
      each((to, n) => {
        e.checkSegment(elementAddress(offset, n, size), size / 8, 'write');
        f.if(i32.or(crosses, i32.eqz(e.writable(to))), () => e.probe(to, k32(size / 8)));
      });
    each((to, n) => {
      const element = elementOf(from, n, size);
      if (size === 32) e.store(32, to, f.let(i32.load(element)));
      else e.store64(to, f.let(i64.load(element)));
    });
  };
};

const maskedRows: readonly Row[] = (
  [
    ['vmaskmovps', '2C', '2E', 'W0', 32],
    ['vmaskmovpd', '2D', '2F', 'W0', 64],
    ['vpmaskmovd', '8C', '8E', 'W0', 32],
    ['vpmaskmovq', '8C', '8E', 'W1', 64],
  ] as const
).flatMap(([name, load, store, w, size]) =>
  (['128', '256'] as const).flatMap((length) => {
    const type = length === '256' ? 'qq' : 'x';
    const opcode = (n: string): string => `VEX.${length}.66.0F38.${w} ${n} m`;
    const wide = length === '256';
    return [
      row(opcode(load), name, `V${type},H${type},M${type}`, maskedLoad(size, wide), { access: 'masked' }),
      row(opcode(store), name, `M${type},H${type},V${type}`, maskedStore(size, wide), { access: 'masked' }),
    ];
  }),
);

/**
 * First each mask element becomes its sign, and what lies above the elements zero. Elements already loaded are in their
 * places, and their mask elements clear, when a later one faults: so the instruction goes on where it was.
 */
const gather = (indexSize: Size, size: Size, count: number) => {
  return (e: Ops): void => {
    beginVex(e);
    const { f } = e;
    const start = f.let(e.offsetOf(1));
    const base = f.let(e.segmentBase());
    const index = e.vectorIndex();
    const mask = f.let(e.slot(2));
    const to = f.let(e.slot(0));
    const used = (count * size) / 8;
    const zero = v128.splatI64(k64(0));
    const signs = (offset: number): void => {
      const half = v128.load(mask, offset);
      f.store128(mask, size === 32 ? v128.i32x4ShrS(half, k32(31)) : v128.i64x2ShrS(half, k32(63)), offset);
    };
    signs(0);
    if (used === 8) f.store64(mask, k64(0), 8);
    if (used === 32) signs(16);
    else f.store128(mask, zero, 16);
    times(e, count, (n) => {
      f.if(chosen(mask, n.get, size), () => {
        const at = elementOf(index.slot, n.get, indexSize);
        const value: Word = indexSize === 32 ? i32.load(at) : i64.load(at);
        const scaled = word.shl(word.toS(start.type, value), word.toU(start.type, index.shift));
        const sum = word.add(start, scaled);
        const offset = f.let(e.long && e.addressSize === 32 ? i64.and(sum as I64, k64(0xffff_ffffn)) : sum);
        e.checkSegment(offset, size / 8, 'read');
        const from = f.let(word.add(base, offset));
        const place = f.let(elementOf(to, n.get, size));
        if (size === 32) f.store32(place, e.load(32, from));
        else f.store64(place, e.load64(from));
      });
      const done = f.let(elementOf(mask, n.get, size));
      if (size === 32) f.store32(done, k32(0));
      else f.store64(done, k64(0));
    });
    // What lies above the elements is cleared.
    if (used === 8) f.store64(to, k64(0), 8);
    if (used <= 16) f.store128(to, zero, 16);
  };
};

const gatherRows: readonly Row[] = (
  [
    ['dd', 'dps', '90', '92', 'W0', 32, 32],
    ['dq', 'dpd', '90', '92', 'W1', 32, 64],
    ['qd', 'qps', '91', '93', 'W0', 64, 32],
    ['qq', 'qpd', '91', '93', 'W1', 64, 64],
  ] as const
).flatMap(([integer, float, integerOpcode, floatOpcode, w, indexSize, size]) =>
  (['128', '256'] as const).flatMap((length) => {
    const bits = Number(length);
    const count = bits / Math.max(indexSize, size);
    const register = (elementSize: number): 'x' | 'qq' => (elementSize * count > 128 ? 'qq' : 'x');
    const data = register(size);
    const operands = `V${data},M${size === 32 ? 'd' : 'q'},H${data}`;
    const options = { vsib: register(indexSize), address: true, access: 'masked' } as const;
    return [
      row(
        `VEX.${length}.66.0F38.${w} ${integerOpcode} m`,
        `vpgather${integer}`,
        operands,
        gather(indexSize, size, count),
        options,
      ),
      row(
        `VEX.${length}.66.0F38.${w} ${floatOpcode} m`,
        `vgather${float}`,
        operands,
        gather(indexSize, size, count),
        options,
      ),
    ];
  }),
);

export const avxMemoryRows: readonly Row[] = [...maskedRows, ...gatherRows].map(fixedSize);
