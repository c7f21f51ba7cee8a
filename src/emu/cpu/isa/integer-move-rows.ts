/**
 * MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, sign extension of the accumulator, XLAT, MOVNTI, BSWAP. Source: SDM Vol. 2.
 * Not modelled: segment limits of XLAT.
 */
import { GPR } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select, type Word, word } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { carryFlag, signExtend, zeroExtend } from './flag-ops.ts';
import type { Ops, Width } from './ops.ts';
import { getAccumulator, getReg, setAccumulator } from './register-ops.ts';
import { type Row, row } from './row.ts';

const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
const LOAD = { access: 'read', hot: true } as const;
const STORE = { access: 'write', hot: true } as const;

const move = (e: Ops): void => e.write(0, e.readWord(1));
/** The source is narrower: zero-extended to the destination. */
const moveZero = (e: Ops): void => e.write(0, widen(e, e.read(1)));
const widen = (e: Ops, v: Word): Word => word.toU(e.widthOf(0) === 64 ? 'i64' : 'i32', v);
const moveSigned = (e: Ops): void => e.write(0, e.readSigned(1));

/** CBW, CWDE, CDQE: sign-extends the low half of AX, EAX or RAX. */
const extendAccumulator = (e: Ops): void => {
  const half = (e.size / 2) as Width;
  setAccumulator(e, e.size, signExtend(half, e.size === 64 ? e.register(64, GPR.eax) : getReg(e, 32, GPR.eax)));
};
/** CWD, CDQ, CQO: fills DX, EDX or RDX with the accumulator's sign. */
const extendToData = (e: Ops): void => {
  const a = signExtend(e.size, getAccumulator(e, e.size));
  e.setRegister(e.size, GPR.edx, word.shrS(a, e.size === 64 ? 63 : 31));
};

const xlat = (e: Ops): void => {
  const base = e.register(e.long ? 64 : 32, GPR.ebx);
  const sum = word.add(base, word.toU(base.type, getReg(e, 8, GPR.eax)));
  const offset = e.long && e.addressSize === 32 ? i64.extendU(word.low(sum)) : zeroExtend(e.addressSize, sum);
  setAccumulator(e, 8, e.load(8, e.f.let(word.add(e.segmentBase(), offset))));
};

/** With a 16-bit operand processors clear the register's low half (the manual: undefined). */
const byteSwap = (e: Ops): void => {
  if (e.size === 16) {
    e.write(0, k32(0));
    return;
  }
  const v = e.f.let(e.readWord(0));
  e.write(0, e.size === 64 ? byteSwap64(e.f, v as I64) : byteSwap32(v as I32));
};

/** Of an evaluated value. */
export const byteSwap32 = (v: I32): I32 =>
  i32.or(i32.and(i32.rotl(v, k32(8)), k32(0x00ff_00ff)), i32.and(i32.rotr(v, k32(8)), k32(0xff00_ff00)));
export function byteSwap64(f: FunctionBuilder, v: I64): I64 {
  const swap = (x: I64, bits: number, mask: bigint): I64 =>
    i64.or(i64.and(i64.shl(x, k64(bits)), k64(~mask)), i64.and(i64.shrU(x, k64(bits)), k64(mask)));
  const bytes = f.let(swap(v, 8, 0x00ff_00ff_00ff_00ffn));
  const pairs = f.let(swap(bytes, 16, 0x0000_ffff_0000_ffffn));
  return i64.rotl(pairs, k64(32));
}

export const CONDITION_NAMES = [
  ...['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a'],
  ...['s', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'],
] as const;

const setByte =
  (code: number) =>
  (e: Ops): void =>
    e.write(0, i32.ne(e.condition(code), k32(0)));
/** The source is read whatever the condition, and in 64-bit code the upper half is cleared whatever it is. */
const moveIf =
  (code: number) =>
  (e: Ops): void => {
    const source = e.f.let(e.readWord(1));
    if (e.long && e.size === 32) {
      const old = e.f.let(e.readWord(0));
      e.write(0, select(e.condition(code), source, old));
    } else e.f.if(e.condition(code), () => e.write(0, source));
  };

export const integerMoveRows: readonly Row[] = [
  row('88', 'mov', 'Eb,Gb', move, STORE),
  row('89', 'mov', 'Ev,Gv', move, STORE),
  row('8A', 'mov', 'Gb,Eb', move, LOAD),
  row('8B', 'mov', 'Gv,Ev', move, LOAD),
  row('A0', 'mov', 'AL,Ob', move, LOAD),
  row('A1', 'mov', 'eAX,Ov', move, LOAD),
  row('A2', 'mov', 'Ob,AL', move, STORE),
  row('A3', 'mov', 'Ov,eAX', move, STORE),
  row('B0 +r', 'mov', 'Zb,Ib', move, { hot: true }),
  row('B8 +r', 'mov', 'Zv,Iv', move, { hot: true }),
  row('C6 /0', 'mov', 'Eb,Ib', move, STORE),
  row('C7 /0', 'mov', 'Ev,Iz', move, STORE),
  row('0F B6', 'movzx', 'Gv,Eb', moveZero, LOAD),
  row('0F B7', 'movzx', 'Gv,Ew', moveZero, LOAD),
  row('0F BE', 'movsx', 'Gv,Eb', moveSigned, LOAD),
  row('0F BF', 'movsx', 'Gv,Ew', moveSigned, LOAD),
  row('63', 'movsxd', 'Gv,Ed', moveSigned, { ...LOAD, only64: true }),
  row('8D m', 'lea', 'Gv,M', (e) => e.write(0, e.size === 64 ? e.offsetOf(1) : word.low(e.offsetOf(1))), {
    access: 'none',
    hot: true,
  }),
  row('98', 'cbw|cwde|cdqe', '', extendAccumulator, { hot: true }),
  row('99', 'cwd|cdq|cqo', '', extendToData, { hot: true }),
  row('D6', 'salc', '', (e) => setAccumulator(e, 8, i32.sub(k32(0), carryFlag(e))), { not64: true }),
  row('D7', 'xlatb', '', xlat, { address: true }),
  row('0F C8 +r', 'bswap', 'Zv', byteSwap, { hot: true }),
  ...CONDITION_NAMES.flatMap((name, code) => [
    row(`0F ${hex(0x90 + code)}`, `set${name}`, 'Eb', setByte(code), STORE),
    row(`0F ${hex(0x40 + code)}`, `cmov${name}`, 'Gv,Ev', moveIf(code), LOAD),
  ]),
];
