/** What the generator of 64-bit cases knows of addresses, sizes and values. */
import { type OperandSpec, operandSizes } from '#emu/cpu/decoder/operands.ts';
import type { Row } from '#emu/cpu/isa/row.ts';
import { HIGH_WINDOW, WINDOW } from './layout.ts';
import type { MemoryOperand } from './plan.ts';
import type { Random } from './random.ts';

export type Size = 8 | 16 | 32 | 64;

/** Everything of a window at one of its addresses. */
export const VIEWS = [
  { code: WINDOW.code, data: WINDOW.data },
  { code: HIGH_WINDOW.code, data: HIGH_WINDOW.data },
] as const;
export const LOW = VIEWS[0];

export const wrap = (n: bigint): bigint => BigInt.asUintN(64, n);
export const signed = (n: bigint): number => Number(BigInt.asIntN(64, n));
export const fits32 = (n: bigint): boolean => BigInt.asIntN(32, n) === BigInt.asIntN(64, n);

/** The operand size that prefixes choose (SDM Vol. 1, table 3-4). */
export function sizeOf(row: Row, operandPrefix: boolean, wide: boolean): Size {
  const sizes = operandSizes(row, true) as readonly Size[];
  if (sizes.length === 1) return sizes[0];
  if (wide && sizes.includes(64)) return 64;
  if (operandPrefix && sizes.includes(16)) return 16;
  return sizes.includes(32) ? 32 : 64;
}

export const immediateBytes = (o: OperandSpec, z: number): number =>
  o.type === 'b' || o.type === 'bs' ? 1 : o.type === 'w' ? 2 : o.type === 'd' ? 4 : z;

export const offsetOf = (at: number): number => at - (at >= HIGH_WINDOW.from ? HIGH_WINDOW.data : WINDOW.data);
export const offsetInCode = (at: number): number => at - (at >= HIGH_WINDOW.from ? HIGH_WINDOW.code : WINDOW.code);
export const operand = (at: number, bytes: number): MemoryOperand => ({ at, offset: offsetOf(at), bytes });

/** 64 bits as programs have them. */
export function longWord(r: Random): bigint {
  const low = r.word();
  switch (r.below(8)) {
    case 0:
    case 1:
      return wrap(BigInt(low | 0));
    case 2:
      return BigInt(low);
    case 3:
      return wrap(1n << BigInt(r.below(64)));
    case 4:
      return (BigInt(r.pick([0x7fff_ffff, 0x8000_0000, 0, 0xffff_ffff])) << 32n) | BigInt(low);
    default:
      return (BigInt(r.u32()) << 32n) | BigInt(low);
  }
}
