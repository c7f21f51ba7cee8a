import type { OperandSpec } from '#emu/cpu/decoder/operands.ts';

/** Bytes a memory operand has; the address-only ones count as one. */
export function operandBytes(o: OperandSpec, size: number): number {
  const full = Math.max(size, 16) / 8;
  const wide = size === 64 ? 8 : 4;
  const known: Readonly<Record<string, number>> = {
    b: 1,
    w: 2,
    d: 4,
    q: 8,
    z: Math.min(full, 4),
    y: wide,
    yy: 2 * wide,
    x: 16,
    qq: 32,
    dq: 16,
    t: 10,
    s: 6,
    p: 2 + full,
    a: 2 * full,
  };
  if (o.type.startsWith('n')) return Number(o.type.slice(1));
  return known[o.type] ?? (o.type === '' ? 1 : full);
}
