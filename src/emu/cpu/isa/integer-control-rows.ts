/** Near transfers of control and the flag instructions that need no privilege. Source: SDM Vol. 2. */
import { EFLAGS } from '../state/flags.ts';
import { GPR, STATE } from '../state/layout.ts';
import { type I32, i32, k32 } from '../wasm/expr.ts';
import { arithmeticBits, carryFlag, condition, setArithmeticBits, setCarry, zeroFlag } from './flag-ops.ts';
import { CONDITION_NAMES } from './integer-move-rows.ts';
import type { Ops } from './ops.ts';
import { AH, getReg, setReg } from './register-ops.ts';
import { type Row, row } from './row.ts';
import { push, readStack, release, stackBits } from './stack-ops.ts';

const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
const JUMP = { ends: true, hot: true } as const;
const CALL = { ends: true, hot: true, stack: -1 } as const;
const RETURN = { ends: true, hot: true, stack: 1 } as const;
const LOOP = { ends: true, address: true } as const;

const jumpIf =
  (code: number) =>
  (e: Ops): void =>
    e.branch(0, condition(e, code));

const callRelative = (e: Ops): void => {
  push(e, stackBits(e), e.nextEip());
  e.jumpRelative(0);
};
/** The target is read first: it may lie at the stack's top or be ESP itself. */
const callIndirect = (e: Ops): void => {
  const target = e.f.let(e.read(0));
  push(e, stackBits(e), e.nextEip());
  e.jump(target);
};
const returnNear =
  (releases: boolean) =>
  (e: Ops): void => {
    const target = e.f.let(readStack(e, stackBits(e)));
    const bytes = k32(e.size / 8);
    release(e, releases ? i32.add(bytes, e.read(0)) : bytes);
    e.jump(target);
  };

/** LOOPNE, LOOPE, LOOP: counts ECX or CX down, no flags. */
const loop =
  (also?: (e: Ops) => I32) =>
  (e: Ops): void => {
    const bits = e.address32 ? 32 : 16;
    const count = e.f.let(i32.sub(getReg(e, bits, GPR.ecx), k32(1)));
    setReg(e, bits, GPR.ecx, count);
    const more = i32.ne(bits === 32 ? count : i32.and(count, k32(0xffff)), k32(0));
    e.branch(0, also ? i32.and(more, also(e)) : more);
  };
const jumpIfCountZero = (e: Ops): void => e.branch(0, i32.eqz(getReg(e, e.address32 ? 32 : 16, GPR.ecx)));

/** SF, ZF, AF, PF and CF: what LAHF and SAHF carry. */
const LOW_FLAGS = EFLAGS.sf | EFLAGS.zf | EFLAGS.af | EFLAGS.pf | EFLAGS.cf;
const loadFlags = (e: Ops): void =>
  setReg(e, 8, AH, i32.or(i32.and(arithmeticBits(e), k32(LOW_FLAGS)), k32(EFLAGS.reserved1)));
const storeFlags = (e: Ops): void => {
  const overflow = i32.and(arithmeticBits(e), k32(EFLAGS.of));
  setArithmeticBits(e, i32.or(overflow, i32.and(getReg(e, 8, AH), k32(LOW_FLAGS))));
};

export const integerControlRows: readonly Row[] = [
  ...CONDITION_NAMES.flatMap((name, code) => [
    row(hex(0x70 + code), `j${name}`, 'Jb', jumpIf(code), JUMP),
    row(`0F ${hex(0x80 + code)}`, `j${name}`, 'Jz', jumpIf(code), JUMP),
  ]),
  row('C2', 'ret', 'Iw', returnNear(true), RETURN),
  row('C3', 'ret', '', returnNear(false), RETURN),
  row(
    'E0',
    'loopne',
    'Jb',
    loop((e) => i32.eqz(zeroFlag(e))),
    LOOP,
  ),
  row('E1', 'loope', 'Jb', loop(zeroFlag), LOOP),
  row('E2', 'loop', 'Jb', loop(), LOOP),
  row('E3', 'jcxz|jecxz', 'Jb', jumpIfCountZero, LOOP),
  row('E8', 'call', 'Jz', callRelative, CALL),
  row('E9', 'jmp', 'Jz', (e) => e.jumpRelative(0), JUMP),
  row('EB', 'jmp', 'Jb', (e) => e.jumpRelative(0), JUMP),
  row('FF /2', 'call', 'Ev', callIndirect, { ...CALL, access: 'read' }),
  row('FF /4', 'jmp', 'Ev', (e) => e.jump(e.read(0)), { ...JUMP, access: 'read' }),
  row('9E', 'sahf', '', storeFlags),
  row('9F', 'lahf', '', loadFlags),
  row('F5', 'cmc', '', (e) => setCarry(e, i32.eqz(carryFlag(e)))),
  row('F8', 'clc', '', (e) => setCarry(e, k32(0))),
  row('F9', 'stc', '', (e) => setCarry(e, k32(1))),
  row('FC', 'cld', '', (e) => e.set(STATE.eflags, i32.and(e.get(STATE.eflags), k32(~EFLAGS.df)))),
  row('FD', 'std', '', (e) => e.set(STATE.eflags, i32.or(e.get(STATE.eflags), k32(EFLAGS.df)))),
];
