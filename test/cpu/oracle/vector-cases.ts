/** What cases of VEX-encoded instructions have besides others: the prefix, and indices that lie in a vector. */
import type { OpcodeSpec } from '#emu/cpu/decoder/opcode-map.ts';
import type { OperandSpec } from '#emu/cpu/decoder/operands.ts';
import type { Row } from '#emu/cpu/isa/row.ts';
import { FX, GIVEN, WINDOW } from './layout.ts';
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
export function vectorForm(r: Random, code: number[], reg: number, row: Row, gpr: Uint32Array): VectorAddress {
  const index = r.below(8);
  const base = r.pick([0, 1, 2, 3, 6, 7]);
  const mod = r.below(3);
  const near = r.oneIn(12) ? r.pick([0, WINDOW.dataBytes]) : r.between(0x400, WINDOW.readOnlyFrom - 0x400);
  const at = WINDOW.data + near;
  const disp = mod === 0 ? 0 : mod === 1 ? r.between(-128, 127) : r.between(-0x8000, 0x8000);
  gpr[base] = at - disp;
  code.push((mod << 6) | (reg << 3) | 4, (r.below(4) << 6) | (index << 3) | base);
  for (let i = 0; i < [0, 1, 4][mod]; i++) code.push((disp >>> (i * 8)) & 0xff);
  return { index, bytes: /gatherq/.test(row.mnemonic) ? 8 : 4, at };
}

/** Indices that stay near. */
export function fillIndices(r: Random, given: DataView, { index, bytes }: VectorAddress): void {
  for (const from of [GIVEN.fx + FX.xmm + index * 16, GIVEN.ymm + index * 16])
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
