/**
 * System instructions. Source: SDM Vol. 2, the instruction's own page; appendix A for the encodings.
 *
 * What takes more than a few operations is a system call (system/); modes are checked when the instruction runs, never
 * when it is decoded, so that a block may be shared between them.
 */
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STRING_IO } from '../system/calls.ts';
import { CR0, CR4 } from '../system/control-bits.ts';
import { type I32, type I64, i32, i64, k32, type Word, word } from '../wasm/expr.ts';
import { arithmeticBits, setArithmeticBits, signExtend, zeroExtend, zeroFlag } from './flag-ops.ts';
import { type Address, EXCEPTION, type Ops } from './ops.ts';
import {
  interruptReturn,
  notCanonical,
  setAccessCheck,
  softwareInterrupt,
  syscall,
  sysenter,
  sysexit,
  sysret,
} from './ring-changes.ts';
import { type Row, type RowOptions, row } from './row.ts';
import { loadsUsually, loadUsual } from './segment-loads.ts';
import { push, readStack, release, stackBits } from './stack-ops.ts';
import { readTimeStamp } from './time-stamp.ts';

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;

const selectorOf = (e: Ops, seg: number): I32 => e.get(STATE.segments + seg * SEGMENT.bytes + SEGMENT.selector);
const has = (value: I32, bit: number): I32 => i32.ne(i32.and(value, k32(bit)), k32(0));
const plus = (at: Address, bytes: number): Address => word.add(at, bytes);
/** A value of up to 32 bits as operand `n` wants it: zero-extended. */
const widened = (e: Ops, n: number, v: I32): Word => word.toU(e.widthOf(n) === 64 ? 'i64' : 'i32', v);

/** MONITOR reads a byte of the line that it names by rAX, as a load does. */
const armMonitor = (e: Ops): void => {
  e.system('monitor');
  const at = e.register(e.long ? 64 : 32, GPR.eax);
  const offset = e.long && e.addressSize === 32 ? i64.extendU(word.low(at)) : zeroExtend(e.addressSize, at);
  e.f.drop(e.load(8, e.f.let(word.add(e.segmentBase(), e.f.let(offset)))));
};

/** #GP(0) outside privilege level 0 (virtual-8086 mode is level 3). */
const privileged = (e: Ops): void => e.raiseIf(e.get(STATE.cpl), EXCEPTION.gp, k32(0));

/** #UD in real and virtual-8086 mode. */
const protectedOnly = (e: Ops): void => {
  const real = i32.eqz(i32.and(e.get(STATE.cr0), k32(CR0.pe)));
  e.raiseIf(i32.or(real, has(e.get(STATE.eflags), EFLAGS.vm)), EXCEPTION.ud);
};

// Segment registers.

const moveFromSegment =
  (seg: number) =>
  (e: Ops): void =>
    e.write(0, widened(e, 0, selectorOf(e, seg)));
const moveToSegment =
  (seg: number) =>
  (e: Ops): void => {
    const selector = e.f.let(word.low(e.read(1)));
    if (loadsUsually(e, seg)) e.systemUnless?.(loadUsual(e, seg, selector), 'loadSegment', k32(seg), selector);
    else e.system('loadSegment', k32(seg), selector);
  };

const segmentMoves: readonly Row[] = SEGMENTS.flatMap((name, seg) => [
  row(`8C /${seg} r`, 'mov', `Ev,${name}`, moveFromSegment(seg)),
  row(`8C /${seg} m`, 'mov', `Ew,${name}`, moveFromSegment(seg), { access: 'write' }),
  ...(seg === SEG.cs ? [] : [row(`8E /${seg}`, 'mov', `${name},Ew`, moveToSegment(seg))]),
]);

/** In 64-bit code only FS and GS can be pushed and popped. */
const segmentOptions = (seg: number): RowOptions => (seg >= SEG.fs ? { default64: true } : { not64: true });
const pushSegment = (opcode: string, seg: number): Row =>
  row(
    opcode,
    'push',
    SEGMENTS[seg],
    (e) => push(e, stackBits(e), word.toU(e.size === 64 ? 'i64' : 'i32', selectorOf(e, seg))),
    { stack: -1, ...segmentOptions(seg) },
  );
const popSegment = (opcode: string, seg: number): Row =>
  row(
    opcode,
    'pop',
    SEGMENTS[seg],
    (e) => {
      if (!loadsUsually(e, seg) || e.size === 16) {
        e.system('popSegment', k32(seg), k32(e.size));
        return;
      }
      // The system reads the stack itself.
      const done = loadUsual(e, seg, e.f.let(word.low(readStack(e, stackBits(e)))));
      e.systemUnless?.(done, 'popSegment', k32(seg), k32(e.size));
      e.f.if(done, () => release(e, e.size / 8));
    },
    segmentOptions(seg),
  );

/** Offset first, then the selector; the register is written only after the segment was loaded. */
const loadFarPointer = (opcode: string, mnemonic: string, seg: number): Row =>
  row(
    opcode,
    mnemonic,
    'Gv,Mp',
    (e) => {
      const { offset, selector } = loadPointer(e, 1);
      e.system('loadFarPointer', k32(seg + FAR_POINTER_SIZE[e.size]), selector, e.registerNumber(0), offset);
    },
    { access: 'read', ...(seg === SEG.es || seg === SEG.ds ? { not64: true } : {}) },
  );

/** See `loadFarPointer` in system/calls.ts. */
const FAR_POINTER_SIZE: Readonly<Record<number, number>> = { 16: 0, 32: 8, 64: 16 };

function loadPointer(e: Ops, operand: number): { offset: Word; selector: I32 } {
  const at = e.f.let(e.linear(operand));
  const offset = e.loadWord(e.size, at);
  return { offset, selector: e.load(16, plus(at, e.size / 8)) };
}

// Far transfers.

const farDirect =
  (name: 'farJump' | 'farCall') =>
  (e: Ops): void =>
    e.system(name, e.read(1), e.read(0), k32(e.size));
const farIndirect =
  (name: 'farJump' | 'farCall') =>
  (e: Ops): void => {
    const { offset, selector } = loadPointer(e, 0);
    e.system(name, selector, offset, k32(e.size));
  };

// Flags.

/** What PUSHF never shows: VM and RF. */
const PUSHF_MASK = 0x00fc_ffff;

const pushFlags = (e: Ops): void => {
  const flags = e.f.let(e.get(STATE.eflags));
  const lowIopl = i32.ne(i32.and(flags, k32(EFLAGS.iopl)), k32(EFLAGS.iopl));
  e.raiseIf(i32.and(has(flags, EFLAGS.vm), lowIopl), EXCEPTION.gp, k32(0));
  push(
    e,
    stackBits(e),
    word.toU(e.size === 64 ? 'i64' : 'i32', i32.and(i32.or(flags, arithmeticBits(e)), k32(PUSHF_MASK))),
  );
};

/** What POPF changes besides arithmetic flags, and RF, which it clears. */
const POPF_SYSTEM = EFLAGS.tf | EFLAGS.if | EFLAGS.df | EFLAGS.iopl | EFLAGS.nt | EFLAGS.rf | EFLAGS.ac | EFLAGS.id;

/** Of the system flags programs change DF, and kernels IF, which they may at level 0: the rest is the system's. */
const popFlags = (e: Ops): void => {
  if (!e.unless || e.size === 16) {
    e.system('popFlags', k32(e.size));
    return;
  }
  const image = e.f.let(i32.and(word.low(readStack(e, stackBits(e))), k32(~EFLAGS.rf)));
  const flags = e.f.let(e.get(STATE.eflags));
  const changed = e.f.let(i32.and(i32.xor(image, flags), k32(POPF_SYSTEM)));
  const masked = i32.and(i32.ne(e.get(STATE.cpl), k32(0)), has(changed, EFLAGS.if));
  const rare = has(changed, POPF_SYSTEM & ~(EFLAGS.if | EFLAGS.df));
  e.unless(i32.or(i32.or(masked, rare), has(flags, EFLAGS.vm)));
  e.set(STATE.eflags, i32.xor(flags, changed));
  setArithmeticBits(e, image);
  release(e, e.size / 8);
};

/** CLI and STI: in every mode allowed exactly when CPL <= IOPL. Returns EFLAGS. */
const checkIopl = (e: Ops): I32 => {
  const flags = e.f.let(e.get(STATE.eflags));
  const iopl = i32.and(i32.shrU(flags, k32(12)), k32(3));
  e.raiseIf(i32.gtU(e.get(STATE.cpl), iopl), EXCEPTION.gp, k32(0));
  return flags;
};

/** Interrupts wait for one more instruction. */
const holdOff = (e: Ops): void => {
  const next = e.nextEip();
  if (next.type === 'i64') e.set64(STATE.inhibitEip, next as I64);
  else e.set(STATE.inhibitEip, next as I32);
};

const cli = (e: Ops): void => e.set(STATE.eflags, i32.and(checkIopl(e), k32(~EFLAGS.if)));
const sti = (e: Ops): void => {
  const flags = checkIopl(e);
  e.f.if(i32.eqz(i32.and(flags, k32(EFLAGS.if))), () => holdOff(e));
  e.set(STATE.eflags, i32.or(flags, k32(EFLAGS.if)));
};

// Ports.

const portIn =
  (wide: boolean) =>
  (e: Ops): void =>
    e.write(0, e.query('in', e.read(1), k32(wide ? e.size : 8)));
const portOut =
  (wide: boolean) =>
  (e: Ops): void =>
    e.system('out', e.read(0), k32(wide ? e.size : 8), e.read(1));

const stringHow = (e: Ops): I32 => k32(ADDRESS_BITS[e.addressSize] | (e.rep === 'none' ? 0 : STRING_IO.repeat));
const ADDRESS_BITS = { 16: 0, 32: STRING_IO.address32, 64: STRING_IO.address64 } as const;
const inString =
  (wide: boolean) =>
  (e: Ops): void =>
    e.system('inString', k32(wide ? e.size : 8), stringHow(e));
const outString =
  (wide: boolean) =>
  (e: Ops): void =>
    e.system('outString', k32(wide ? e.size : 8), stringHow(e), e.segmentBase());
const PORT = { max32: true } as const;
const STRING = { address: true, rep: 'rep', access: 'none', max32: true } as const;

// Control registers and tables.

const CONTROL_FIELDS: readonly (readonly [number, number])[] = [
  [0, STATE.cr0],
  [2, STATE.cr2],
  [3, STATE.cr3],
  [4, STATE.cr4],
];

/** In 64-bit code the operand is 64 bits wide whatever the prefixes say. */
const LEGACY_MOVE = { size: 32, not64: true } as const;
const LONG_MOVE = { size: 64, only64: true } as const;

const controlMoves: readonly Row[] = [
  ...CONTROL_FIELDS.flatMap(([number, field]) => [
    row(
      `0F 20 /${number}`,
      'mov',
      'Rd,Cd',
      (e) => {
        privileged(e);
        e.write(0, e.get(field));
      },
      LEGACY_MOVE,
    ),
    row(`0F 22 /${number}`, 'mov', 'Cd,Rd', (e) => e.system('movToCr', k32(number), e.read(1)), {
      ...LEGACY_MOVE,
      ends: true,
    }),
  ]),
  // With REX.R there is CR8 as well.
  row('0F 20', 'mov', 'Rq,Cq', (e) => e.write(0, e.query64('movFromCr', e.registerNumber(1))), LONG_MOVE),
  row('0F 22', 'mov', 'Cq,Rq', (e) => e.system('movToCr', e.registerNumber(0), e.readWord(1)), {
    ...LONG_MOVE,
    ends: true,
  }),
];

const debugMoves: readonly Row[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((number) => [
    row(`0F 21 /${number}`, 'mov', 'Rd,Dd', (e) => e.write(0, e.query('movFromDr', k32(number))), LEGACY_MOVE),
    row(`0F 23 /${number}`, 'mov', 'Dd,Rd', (e) => e.system('movToDr', k32(number), e.read(1)), {
      ...LEGACY_MOVE,
      ends: true,
    }),
  ]),
  row('0F 21', 'mov', 'Rq,Dq', (e) => e.write(0, e.query64('movFromDr', e.registerNumber(1))), LONG_MOVE),
  row('0F 23', 'mov', 'Dq,Rq', (e) => e.system('movToDr', e.registerNumber(0), e.readWord(1)), {
    ...LONG_MOVE,
    ends: true,
  }),
];

/** #GP(0) outside level 0 with CR4.UMIP: SGDT, SIDT, SLDT, SMSW, STR. */
const keptFromUsers = (e: Ops): void => {
  e.raiseIf(i32.and(has(e.get(STATE.cr4), CR4.umip), i32.ne(e.get(STATE.cpl), k32(0))), EXCEPTION.gp, k32(0));
};

/** SGDT and SIDT store 32 bits of base whatever the operand size, in 64-bit code 64. */
const storeTable =
  (limit: number, base: number) =>
  (e: Ops): void => {
    keptFromUsers(e);
    const at = e.f.let(e.linear(0));
    e.probe(at, k32(e.long ? 10 : 6));
    e.store(16, at, e.get(limit));
    e.store(e.long ? 64 : 32, plus(at, 2), e.getAddress(base));
  };
const loadTable =
  (name: 'loadGdt' | 'loadIdt') =>
  (e: Ops): void => {
    privileged(e);
    const at = e.f.let(e.linear(0));
    const limit = e.load(16, at);
    const base = e.loadWord(e.long ? 64 : 32, plus(at, 2));
    e.system(name, limit, e.size === 16 ? word.and(base, 0x00ff_ffff) : base);
  };

/** Register forms write the operand size, memory forms 16 bits. */
const storeWord = (opcode: string, mnemonic: string, value: (e: Ops) => I32): readonly Row[] => [
  row(`${opcode} r`, mnemonic, 'Ev', (e) => e.write(0, widened(e, 0, value(e))), { access: 'write' }),
  row(`${opcode} m`, mnemonic, 'Ew', (e) => e.write(0, value(e)), { access: 'write' }),
];
const systemSelector =
  (seg: number) =>
  (e: Ops): I32 => {
    protectedOnly(e);
    keptFromUsers(e);
    return selectorOf(e, seg);
  };

/** Privilege and mode are checked before the operand is read. */
const loadWord =
  (name: 'loadLdt' | 'loadTr' | 'lmsw') =>
  (e: Ops): void => {
    if (name !== 'lmsw') protectedOnly(e);
    privileged(e);
    e.system(name, e.read(0));
  };
const verify =
  (name: 'verr' | 'verw') =>
  (e: Ops): void => {
    protectedOnly(e);
    e.system(name, e.read(0));
  };
const lookAt =
  (name: 'lar' | 'lsl') =>
  (e: Ops): void => {
    protectedOnly(e);
    const answer = e.f.let(e.query(name, e.read(1)));
    e.f.if(zeroFlag(e), () => e.write(0, widened(e, 0, answer)));
  };

/** ARPL: raises the RPL of the destination to that of the source, and writes only then; ZF tells whether it did. */
const arpl = (e: Ops): void => {
  protectedOnly(e);
  const source = e.f.let(i32.and(e.read(1), k32(3)));
  const old = e.f.let(e.read(0));
  const raised = e.f.let(i32.ltU(i32.and(old, k32(3)), source));
  e.f.if(raised, () => e.write(0, e.f.let(i32.or(i32.and(old, k32(~3)), source))));
  const bits = i32.and(arithmeticBits(e), k32(~EFLAGS.zf));
  setArithmeticBits(e, i32.or(bits, i32.mul(raised, k32(EFLAGS.zf))));
};

const bound = (e: Ops): void => {
  const at = e.f.let(e.linear(1));
  const lower = e.f.let(signExtend(e.size, e.loadWord(e.size, at)));
  const upper = e.f.let(signExtend(e.size, e.loadWord(e.size, plus(at, e.size / 8))));
  const index = e.f.let(e.readSigned(0));
  e.raiseIf(i32.or(word.ltS(index, lower), word.gtS(index, upper)), EXCEPTION.br);
};

const undefinedOpcode = (e: Ops): void => e.raise(EXCEPTION.ud);
const nothing = (): void => {};
const ENDS = { ends: true } as const;
const ENDS_NOT64 = { ends: true, not64: true } as const;
const NO_ACCESS = { access: 'none' } as const;

/** SWAPGS, with the base that IA32_KERNEL_GS_BASE holds. */
const swapGs = (e: Ops): void => {
  privileged(e);
  const base = e.get64(GS_BASE);
  e.set64(GS_BASE, e.get64(STATE.kernelGsBase));
  e.set64(STATE.kernelGsBase, base);
};
const baseOf = (seg: number): number => STATE.segments + seg * SEGMENT.bytes + SEGMENT.base;
const GS_BASE = baseOf(SEG.gs);

const needsFsGsBase = (e: Ops): void => e.raiseIf(i32.eqz(i32.and(e.get(STATE.cr4), k32(CR4.fsgsbase))), EXCEPTION.ud);
const readBase =
  (seg: number) =>
  (e: Ops): void => {
    needsFsGsBase(e);
    e.write(0, e.size === 64 ? e.get64(baseOf(seg)) : e.get(baseOf(seg)));
  };
const writeBase =
  (seg: number) =>
  (e: Ops): void => {
    needsFsGsBase(e);
    const base = e.f.let(word.toU('i64', e.readWord(0))) as I64;
    e.raiseIf(notCanonical(base), EXCEPTION.gp, k32(0));
    e.set64(baseOf(seg), base);
  };
const BASE = { only64: true } as const;
const baseMoves: readonly Row[] = ([SEG.fs, SEG.gs] as const).flatMap((seg, n) => [
  row(`F3 0F AE /${n} r`, `rd${SEGMENTS[seg].toLowerCase()}base`, 'Ry', readBase(seg), BASE),
  row(`F3 0F AE /${n + 2} r`, `wr${SEGMENTS[seg].toLowerCase()}base`, 'Ry', writeBase(seg), BASE),
]);

/** The descriptor's two halves: PCID and linear address. */
const invalidateByPcid = (e: Ops): void => {
  privileged(e);
  const type = e.f.let(e.readWord(0));
  const at = e.f.let(e.linear(1));
  const pcid = e.load64(at);
  e.system('invpcid', type, pcid, e.load64(e.f.let(plus(at, 8))));
};

const longRows: readonly Row[] = [
  row('0F 05', 'syscall', '', syscall, { ends: true, only64: true }),
  row('0F 07', 'sysret', '', sysret, { ends: true, only64: true }),
  row('0F 01 F8', 'swapgs', '', swapGs, { only64: true }),
  ...baseMoves,
];

const hints: readonly Row[] = [
  ...['prefetchnta', 'prefetcht0', 'prefetcht1', 'prefetcht2'].flatMap((name, n) => [
    row(`0F 18 /${n} m`, name, 'Mb', nothing, NO_ACCESS),
    row(`0F 18 /${n} r`, 'nop', 'Ev', nothing, NO_ACCESS),
  ]),
  ...[4, 5, 6, 7].map((n) => row(`0F 18 /${n}`, 'nop', 'Ev', nothing, NO_ACCESS)),
  ...['0D', '19', '1A', '1B', '1C', '1D', '1E', '1F'].map((op) => row(`0F ${op}`, 'nop', 'Ev', nothing, NO_ACCESS)),
];

/** Caches are not modelled; what is left is that the byte must be readable. */
const flushLine = (e: Ops): void => e.f.drop(e.load(8, e.linear(0)));

export const systemRows: readonly Row[] = [
  pushSegment('06', SEG.es),
  popSegment('07', SEG.es),
  pushSegment('0E', SEG.cs),
  pushSegment('16', SEG.ss),
  popSegment('17', SEG.ss),
  pushSegment('1E', SEG.ds),
  popSegment('1F', SEG.ds),
  row('62 m', 'bound', 'Gv,Ma', bound, { access: 'read', not64: true }),
  row('63', 'arpl', 'Ew,Gw', arpl, { not64: true }),
  row('6C', 'insb', 'Yb,DX', inString(false), STRING),
  row('6D', 'insw|insd', 'Yv,DX', inString(true), STRING),
  row('6E', 'outsb', 'DX,Xb', outString(false), STRING),
  row('6F', 'outsw|outsd', 'DX,Xv', outString(true), STRING),
  ...segmentMoves,
  row('9A', 'call', 'Ap', farDirect('farCall'), ENDS_NOT64),
  row('9C', 'pushf|pushfd|pushfq', '', pushFlags, { stack: -1, default64: true }),
  row('9D', 'popf|popfd|popfq', '', popFlags, { ends: true, unmasks: true, default64: true }),
  loadFarPointer('C4 m', 'les', SEG.es),
  loadFarPointer('C5 m', 'lds', SEG.ds),
  row('CA', 'retf', 'Iw', (e) => e.system('farReturn', k32(e.size), e.read(0)), ENDS),
  row('CB', 'retf', '', (e) => e.system('farReturn', k32(e.size), k32(0)), ENDS),
  row('CC', 'int3', '', (e) => e.system('int3'), ENDS),
  row('CD', 'int', 'Ib', softwareInterrupt, ENDS),
  row('CE', 'into', '', (e) => e.system('into'), ENDS_NOT64),
  row('CF', 'iret|iretd|iretq', '', interruptReturn, ENDS),
  row('E4', 'in', 'AL,Ib', portIn(false)),
  row('E5', 'in', 'eAX,Ib', portIn(true), PORT),
  row('E6', 'out', 'Ib,AL', portOut(false)),
  row('E7', 'out', 'Ib,eAX', portOut(true), PORT),
  row('EA', 'jmp', 'Ap', farDirect('farJump'), ENDS_NOT64),
  row('EC', 'in', 'AL,DX', portIn(false)),
  row('ED', 'in', 'eAX,DX', portIn(true), PORT),
  row('EE', 'out', 'DX,AL', portOut(false)),
  row('EF', 'out', 'DX,eAX', portOut(true), PORT),
  row('F1', 'int1', '', (e) => e.system('int1'), ENDS),
  row('F4', 'hlt', '', (e) => e.system('halt'), ENDS),
  row('FA', 'cli', '', cli),
  row('FB', 'sti', '', sti, { shadow: true }),
  row('FF /3 m', 'call', 'Mp', farIndirect('farCall'), { ends: true, access: 'read' }),
  row('FF /5 m', 'jmp', 'Mp', farIndirect('farJump'), { ends: true, access: 'read' }),

  ...storeWord('0F 00 /0', 'sldt', systemSelector(SEG.ldtr)),
  ...storeWord('0F 00 /1', 'str', systemSelector(SEG.tr)),
  row('0F 00 /2', 'lldt', 'Ew', loadWord('loadLdt')),
  row('0F 00 /3', 'ltr', 'Ew', loadWord('loadTr')),
  row('0F 00 /4', 'verr', 'Ew', verify('verr')),
  row('0F 00 /5', 'verw', 'Ew', verify('verw')),
  row('0F 01 /0 m', 'sgdt', 'Ms', storeTable(STATE.gdtLimit, STATE.gdtBase), { access: 'write', force64: true }),
  row('0F 01 /1 m', 'sidt', 'Ms', storeTable(STATE.idtLimit, STATE.idtBase), { access: 'write', force64: true }),
  row('0F 01 /2 m', 'lgdt', 'Ms', loadTable('loadGdt'), { access: 'read', force64: true }),
  row('0F 01 /3 m', 'lidt', 'Ms', loadTable('loadIdt'), { access: 'read', force64: true }),
  ...storeWord('0F 01 /4', 'smsw', (e) => {
    keptFromUsers(e);
    return e.get(STATE.cr0);
  }),
  row('0F 01 /6', 'lmsw', 'Ew', loadWord('lmsw'), ENDS),
  row('0F 01 /7 m', 'invlpg', 'M', (e) => e.system('invlpg', e.linear(0)), { ends: true, access: 'none' }),
  row('NP 0F 01 C8', 'monitor', '', armMonitor, { address: true }),
  row('NP 0F 01 C9', 'mwait', '', (e) => e.system('mwait'), ENDS),
  row('NP 0F 01 CA', 'clac', '', setAccessCheck(false), ENDS),
  row('NP 0F 01 CB', 'stac', '', setAccessCheck(true), ENDS),
  row('0F 01 F9', 'rdtscp', '', readTimeStamp('rdtscp')),
  row('66 0F 38 82 m', 'invpcid', 'Gy,Mdq', invalidateByPcid, { ends: true, access: 'read', force64: true }),
  ...longRows,
  row('0F 02', 'lar', 'Gv,Ew', lookAt('lar')),
  row('0F 03', 'lsl', 'Gv,Ew', lookAt('lsl')),
  row('0F 06', 'clts', '', (e) => e.system('clts')),
  row('0F 08', 'invd', '', (e) => e.system('invd')),
  row('0F 09', 'wbinvd', '', (e) => e.system('wbinvd')),
  row('0F 0B', 'ud2', '', undefinedOpcode, ENDS),
  ...hints,
  ...controlMoves,
  ...debugMoves,
  row('0F 30', 'wrmsr', '', (e) => e.system('wrmsr'), ENDS),
  row('0F 31', 'rdtsc', '', readTimeStamp('rdtsc')),
  row('0F 32', 'rdmsr', '', (e) => e.system('rdmsr')),
  row('0F 33', 'rdpmc', '', (e) => e.system('rdpmc')),
  row('0F 34', 'sysenter', '', sysenter, ENDS),
  row('0F 35', 'sysexit', '', sysexit, ENDS),
  pushSegment('0F A0', SEG.fs),
  popSegment('0F A1', SEG.fs),
  row('0F A2', 'cpuid', '', (e) => e.system('cpuid')),
  pushSegment('0F A8', SEG.gs),
  popSegment('0F A9', SEG.gs),
  row('NP 0F AE /7 m', 'clflush', 'Mb', flushLine, { access: 'read' }),
  row('66 0F AE /7 m', 'clflushopt', 'Mb', flushLine, { access: 'read' }),
  row('66 0F AE /6 m', 'clwb', 'Mb', flushLine, { access: 'read' }),
  loadFarPointer('0F B2 m', 'lss', SEG.ss),
  loadFarPointer('0F B4 m', 'lfs', SEG.fs),
  loadFarPointer('0F B5 m', 'lgs', SEG.gs),
  row('0F B9', 'ud1', 'Gv,Ev', undefinedOpcode, { ends: true, access: 'none' }),
  row('0F FF', 'ud0', 'Gv,Ev', undefinedOpcode, { ends: true, access: 'none' }),
];
