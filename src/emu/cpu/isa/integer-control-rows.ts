/** Near transfers of control and the flag instructions that need no privilege. Source: SDM Vol. 2. */
import { EFLAGS } from '../state/flags.ts';
import { GPR, STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, word } from '../wasm/expr.ts';
import { arithmeticBits, carryFlag, setArithmeticBits, setCarry, zeroFlag } from './flag-ops.ts';
import { CONDITION_NAMES } from './integer-move-rows.ts';
import { type Address, EXCEPTION, type Ops } from './ops.ts';
import { AH, getReg } from './register-ops.ts';
import { type Row, row } from './row.ts';
import { push, readStack, release, stackBits } from './stack-ops.ts';

const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
const NEAR = { ends: true, hot: true, force64: true } as const;
const CALL = { ...NEAR, stack: -1 } as const;
const RETURN = { ...NEAR, stack: 1 } as const;
const LOOP = { ends: true, address: true, force64: true } as const;

const jumpIf =
  (code: number) =>
  (e: Ops): void =>
    e.branch(0, e.condition(code));

const callRelative = (e: Ops): void => {
  push(e, stackBits(e), e.nextEip());
  e.jumpRelative(0);
};
/** In 64-bit code a target that is not canonical faults before anything else has changed. */
const checkTarget = (e: Ops, target: Address): void => {
  if (target.type !== 'i64') return;
  const at = target as I64;
  e.raiseIf(i64.ne(i64.shrS(i64.shl(at, k64(16)), k64(16)), at), EXCEPTION.gp, k32(0));
};
const jumpIndirect = (e: Ops): void => {
  const target = e.f.let(e.readWord(0));
  checkTarget(e, target);
  e.jump(target);
};
/** The target is read first: it may lie at the stack's top or be ESP itself. */
const callIndirect = (e: Ops): void => {
  const target = e.f.let(e.readWord(0));
  checkTarget(e, target);
  push(e, stackBits(e), e.nextEip());
  e.jump(target);
};
const returnNear =
  (releases: boolean) =>
  (e: Ops): void => {
    const target = e.f.let(readStack(e, stackBits(e)));
    checkTarget(e, target);
    const bytes = e.size / 8;
    if (!releases) release(e, bytes);
    else release(e, word.toU(e.long ? 'i64' : 'i32', i32.add(e.read(0), k32(bytes))));
    e.jump(target);
  };

/** LOOPNE, LOOPE, LOOP: counts ECX or CX down, no flags. */
const loop =
  (also?: (e: Ops) => I32) =>
  (e: Ops): void => {
    const bits = e.addressSize;
    const count = e.f.let(word.sub(e.register(bits, GPR.ecx), 1));
    e.setRegister(bits, GPR.ecx, count);
    const more = word.nonzero(bits === 16 ? word.and(count, 0xffff) : count);
    e.branch(0, also ? i32.and(more, also(e)) : more);
  };
const jumpIfCountZero = (e: Ops): void => e.branch(0, word.eqz(e.register(e.addressSize, GPR.ecx)));

/** SF, ZF, AF, PF and CF: what LAHF and SAHF carry. */
const LOW_FLAGS = EFLAGS.sf | EFLAGS.zf | EFLAGS.af | EFLAGS.pf | EFLAGS.cf;
const loadFlags = (e: Ops): void =>
  e.setRegister(8, AH, i32.or(i32.and(arithmeticBits(e), k32(LOW_FLAGS)), k32(EFLAGS.reserved1)));
const storeFlags = (e: Ops): void => {
  const overflow = i32.and(arithmeticBits(e), k32(EFLAGS.of));
  setArithmeticBits(e, i32.or(overflow, i32.and(getReg(e, 8, AH), k32(LOW_FLAGS))));
};

export const integerControlRows: readonly Row[] = [
  ...CONDITION_NAMES.flatMap((name, code) => [
    row(hex(0x70 + code), `j${name}`, 'Jb', jumpIf(code), NEAR),
    row(`0F ${hex(0x80 + code)}`, `j${name}`, 'Jz', jumpIf(code), NEAR),
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
  row('E3', 'jcxz|jecxz|jrcxz', 'Jb', jumpIfCountZero, LOOP),
  row('E8', 'call', 'Jz', callRelative, CALL),
  row('E9', 'jmp', 'Jz', (e) => e.jumpRelative(0), NEAR),
  row('EB', 'jmp', 'Jb', (e) => e.jumpRelative(0), NEAR),
  row('FF /2', 'call', 'Ev', callIndirect, { ...CALL, access: 'read' }),
  row('FF /4', 'jmp', 'Ev', jumpIndirect, { ...NEAR, access: 'read' }),
  row('9E', 'sahf', '', storeFlags),
  row('9F', 'lahf', '', loadFlags),
  row('F5', 'cmc', '', (e) => setCarry(e, i32.eqz(carryFlag(e)))),
  row('F8', 'clc', '', (e) => setCarry(e, k32(0))),
  row('F9', 'stc', '', (e) => setCarry(e, k32(1))),
  row('FC', 'cld', '', (e) => e.set(STATE.eflags, i32.and(e.get(STATE.eflags), k32(~EFLAGS.df)))),
  row('FD', 'std', '', (e) => e.set(STATE.eflags, i32.or(e.get(STATE.eflags), k32(EFLAGS.df)))),
];
