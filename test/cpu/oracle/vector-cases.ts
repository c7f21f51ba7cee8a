/** What cases of VEX-encoded instructions have besides others: the prefix, and indices that lie in a vector. */
import type { OpcodeSpec } from '#emu/cpu/decoder/opcode-map.ts';
import type { OperandSpec } from '#emu/cpu/decoder/operands.ts';
import type { Row } from '#emu/cpu/isa/row.ts';
import { FX, SEGMENTS, type Segment, type Shape, WINDOW } from './layout.ts';
import type { Random } from './random.ts';

/**
 * The two-byte form where it can be had, or the three-byte one.
 * @param long general registers stay at 32 bits although VEX.W could widen them
 */
export function vexPrefix(
  r: Random,
  row: Row,
  spec: OpcodeSpec,
  operands: readonly OperandSpec[],
  long: boolean,
): number[] {
  if (spec.vex === undefined) throw new Error('not a VEX row');
  const l = r.pick(spec.vex.l);
  const narrow = long && (row.options.rexW === true || operands.some((o) => 'EGBR'.includes(o.kind)));
  const w = narrow ? spec.vex.w[0] : r.pick(spec.vex.w);
  const vvvv = operands.some((o) => 'HB'.includes(o.kind)) ? 15 - r.below(8) : 15;
  const last = (vvvv << 3) | (l << 2) | (spec.prefix ?? 0);
  if (spec.map === 1 && w === 0 && r.oneIn(2)) return [0xc5, 0x80 | last];
  return [0xc4, 0xe0 | spec.map, (w << 7) | last];
}

/** A memory operand with a vector index. */
export interface VectorAddress {
  readonly index: number;
  /** Bytes of an element of the index. */
  readonly bytes: 4 | 8;
  /** Where element 0 of an index of 0 lies. */
  readonly at: number;
}

/** ModRM, SIB and displacement; sets the base register. */
export function vectorForm(
  r: Random,
  code: number[],
  reg: number,
  row: Row,
  gpr: Uint32Array,
  segment: Segment,
): VectorAddress {
  const index = r.below(8);
  const base = r.pick([0, 1, 2, 3, 6, 7]);
  const mod = r.below(3);
  const edge = segment === SEGMENTS.flatData ? WINDOW.dataBytes : segment.limit + 1;
  const near = r.oneIn(12) ? r.pick([0, WINDOW.dataBytes, edge]) : r.between(0x400, WINDOW.readOnlyFrom - 0x400);
  const at = WINDOW.data + near;
  const disp = mod === 0 ? 0 : mod === 1 ? r.between(-128, 127) : r.between(-0x8000, 0x8000);
  gpr[base] = at - segment.base - disp;
  code.push((mod << 6) | (reg << 3) | 4, (r.below(4) << 6) | (index << 3) | base);
  for (let i = 0; i < [0, 1, 4][mod]; i++) code.push((disp >>> (i * 8)) & 0xff);
  return { index, bytes: /gatherq/.test(row.mnemonic) ? 8 : 4, at };
}

/** REX bits that a VEX prefix holds inverted. */
const INVERTED = { r: 0x80, x: 0x40, b: 0x20 } as const;

/**
 * In 64-bit code.
 * @param rex bits R, X and B as in a REX prefix
 */
export function longVexPrefix(
  r: Random,
  spec: OpcodeSpec,
  operands: readonly OperandSpec[],
  rex: number,
  wide: boolean,
): number[] {
  if (spec.vex === undefined) throw new Error('not a VEX row');
  const vvvv = operands.some((o) => 'HB'.includes(o.kind)) ? 15 - r.below(16) : 15;
  const last = (vvvv << 3) | (r.pick(spec.vex.l) << 2) | (spec.prefix ?? 0);
  const inverted = (rex & 4 ? 0 : INVERTED.r) | (rex & 2 ? 0 : INVERTED.x) | (rex & 1 ? 0 : INVERTED.b);
  if (spec.map === 1 && !wide && (rex & 3) === 0 && r.oneIn(2)) return [0xc5, (inverted & INVERTED.r) | last];
  return [0xc4, inverted | spec.map, (wide ? 0x80 : 0) | last];
}

/** As vectorForm, in 64-bit code; REX bits besides. @param data where the data window is seen */
export function longVectorForm(
  r: Random,
  reg: number,
  row: Row,
  gpr: BigUint64Array,
  data: number,
): { readonly rex: number; readonly bytes: number[]; readonly address: VectorAddress } {
  const index = r.below(16);
  const base = r.pick([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 15]);
  const mod = r.below(3);
  const near = r.oneIn(12) ? r.pick([0, WINDOW.dataBytes]) : r.between(0x400, WINDOW.readOnlyFrom - 0x400);
  const at = data + near;
  const disp = mod === 0 ? 0 : mod === 1 ? r.between(-128, 127) : r.between(-0x8000, 0x8000);
  gpr[base] = BigInt(at - disp);
  const bytes = [(mod << 6) | (reg << 3) | 4, (r.below(4) << 6) | ((index & 7) << 3) | (base & 7)];
  for (let i = 0; i < [0, 1, 4][mod]; i++) bytes.push((disp >>> (i * 8)) & 0xff);
  const address = { index, bytes: /gatherq/.test(row.mnemonic) ? 8 : 4, at } as const;
  return { rex: (base >= 8 ? 1 : 0) | (index >= 8 ? 2 : 0), bytes, address };
}

/** Indices that stay near. */
export function fillIndices(r: Random, shape: Shape, given: DataView, { index, bytes }: VectorAddress): void {
  for (const from of [shape.given.fx + FX.xmm + index * 16, shape.given.ymm + index * 16])
    for (let at = from; at < from + 16; at += bytes) {
      const value = r.between(-100, 100);
      given.setInt32(at, value, true);
      if (bytes === 8) given.setInt32(at + 4, value < 0 ? -1 : 0, true);
    }
}

/** Header of an XSAVE area that XRSTOR takes, now and then with something wrong. */
export function xsaveHeader(r: Random, area: DataView, mxcsr: number): void {
  for (let at = 512; at < 576; at += 4) area.setUint32(at, 0, true);
  area.setUint32(512, r.below(8), true);
  area.setUint32(FX.mxcsr, mxcsr, true);
  if (r.oneIn(10)) area.setUint32(r.pick([520, 524, 528, 532]), 1, true);
}

/** EAX says which components: only those that we have, as the host may have others. */
export const usesXsaveArea = (row: Row): boolean => /^x(save|rstor)/.test(row.mnemonic);
