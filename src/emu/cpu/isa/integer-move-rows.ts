/**
 * MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, sign extension of the accumulator, XLAT, MOVNTI, BSWAP. Source: SDM Vol. 2.
 * Not modelled: segment limits of XLAT.
 */
import { GPR } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { carryFlag, condition } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { getAccumulator, getReg, setAccumulator, setReg } from './register-ops.ts';
import { type Row, row } from './row.ts';

const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
const LOAD = { access: 'read', hot: true } as const;
const STORE = { access: 'write', hot: true } as const;

const move = (e: Ops): void => e.write(0, e.read(1));
const moveSigned = (e: Ops): void => e.write(0, e.readSigned(1));

/** CBW, CWDE: sign-extends the low half of AX or EAX. */
const extendAccumulator = (e: Ops): void => {
  if (e.size === 32) setAccumulator(e, 32, i32.extend16S(getAccumulator(e, 32)));
  else setAccumulator(e, 16, i32.extend8S(getAccumulator(e, 16)));
};
/** CWD, CDQ: fills DX or EDX with the accumulator's sign. */
const extendToData = (e: Ops): void => {
  const a = getAccumulator(e, e.size);
  setReg(e, e.size, GPR.edx, i32.shrS(e.size === 32 ? a : i32.extend16S(a), k32(31)));
};

const xlat = (e: Ops): void => {
  const at = i32.add(getReg(e, 32, GPR.ebx), getAccumulator(e, 8));
  const offset = e.address32 ? at : i32.and(at, k32(0xffff));
  setAccumulator(e, 8, e.load(8, e.f.let(i32.add(e.segmentBase(), offset))));
};

/** With a 16-bit operand processors clear the register's low half (the manual: undefined). */
const byteSwap = (e: Ops): void => {
  if (e.size === 16) {
    e.write(0, k32(0));
    return;
  }
  const v = e.f.let(e.read(0));
  const swapped: I32 = i32.or(
    i32.and(i32.rotl(v, k32(8)), k32(0x00ff_00ff)),
    i32.and(i32.rotr(v, k32(8)), k32(0xff00_ff00)),
  );
  e.write(0, swapped);
};

export const CONDITION_NAMES = [
  ...['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a'],
  ...['s', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'],
] as const;

const setByte =
  (code: number) =>
  (e: Ops): void =>
    e.write(0, i32.ne(condition(e, code), k32(0)));
/** The source is read whatever the condition. */
const moveIf =
  (code: number) =>
  (e: Ops): void => {
    const source = e.f.let(e.read(1));
    e.f.if(condition(e, code), () => e.write(0, source));
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
  row('0F B6', 'movzx', 'Gv,Eb', move, LOAD),
  row('0F B7', 'movzx', 'Gv,Ew', move, LOAD),
  row('0F BE', 'movsx', 'Gv,Eb', moveSigned, LOAD),
  row('0F BF', 'movsx', 'Gv,Ew', moveSigned, LOAD),
  row('8D m', 'lea', 'Gv,M', (e) => e.write(0, e.offsetOf(1)), { access: 'none', hot: true }),
  row('98', 'cbw|cwde', '', extendAccumulator, { hot: true }),
  row('99', 'cwd|cdq', '', extendToData, { hot: true }),
  row('D6', 'salc', '', (e) => setAccumulator(e, 8, i32.sub(k32(0), carryFlag(e)))),
  row('D7', 'xlatb', '', xlat, { address: true }),
  row('0F C8 +r', 'bswap', 'Zv', byteSwap, { hot: true }),
  ...CONDITION_NAMES.flatMap((name, code) => [
    row(`0F ${hex(0x90 + code)}`, `set${name}`, 'Eb', setByte(code), STORE),
    row(`0F ${hex(0x40 + code)}`, `cmov${name}`, 'Gv,Ev', moveIf(code), { access: 'read' }),
  ]),
];
