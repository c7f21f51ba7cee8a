/**
 * Rows of operations that work on whole vectors, made from what they do to 16 bytes.
 *
 * An operation here is pure: operands in, result out, no fault but what an element kernel reports. Where it reads its
 * operands from, whether they must be aligned, and what else happens to the destination is the form's business.
 */
import { type I32, k32, type V128 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import { begin, source } from './sse-support.ts';

/** destination = op(destination, source), 16 bytes each; `immediate` is 0 where the form has none. */
export type LaneBinary = (e: Ops, a: V128, b: V128, immediate: I32) => V128;
/** destination = op(source). */
export type LaneUnary = (e: Ops, v: V128, immediate: I32) => V128;

const NO_IMMEDIATE = k32(0);

const binarySemantics =
  (op: LaneBinary, immediate: boolean) =>
  (e: Ops): void => {
    begin(e);
    const b = source(e, 1);
    const a = e.f.let(e.read128(0));
    e.write128(0, op(e, a, b, immediate ? e.read(2) : NO_IMMEDIATE));
  };
const unarySemantics =
  (op: LaneUnary, immediate: boolean) =>
  (e: Ops): void => {
    begin(e);
    const v = source(e, 1);
    e.write128(0, op(e, v, immediate ? e.read(2) : NO_IMMEDIATE));
  };

/** `opcode` is the legacy one, with its mandatory prefix: `66 0F 38 00`. */
export const packed = (opcode: string, mnemonic: string, op: LaneBinary): Row[] => [
  row(opcode, mnemonic, 'Vx,Wx', binarySemantics(op, false)),
];
export const packedImmediate = (opcode: string, mnemonic: string, op: LaneBinary): Row[] => [
  row(opcode, mnemonic, 'Vx,Wx,Ib', binarySemantics(op, true)),
];
export const packedUnary = (opcode: string, mnemonic: string, op: LaneUnary): Row[] => [
  row(opcode, mnemonic, 'Vx,Wx', unarySemantics(op, false)),
];
export const packedUnaryImmediate = (opcode: string, mnemonic: string, op: LaneUnary): Row[] => [
  row(opcode, mnemonic, 'Vx,Wx,Ib', unarySemantics(op, true)),
];
