/**
 * x87 control instructions, WAIT, and the state images (FSTENV, FSAVE, FXSAVE and their loads).
 * Source: SDM Vol. 1, 8.1.10 (images, figures 8-9 to 8-12), 10.5 (FXSAVE); Vol. 2.
 */
import { EFLAGS } from '../state/flags.ts';
import { FPR_BYTES, STATE, XMM_BYTES } from '../state/layout.ts';
import { type I32, i32, i64, k32, select, word } from '../wasm/expr.ts';
import type { Var } from '../wasm/function.ts';
import { type Address, EXCEPTION, type Ops } from './ops.ts';
import { fixedSize, type Row, row } from './row.ts';
import {
  begin,
  CR0,
  checkAvailable,
  checkPending,
  hex,
  kernelRun,
  kernelValue,
  recordPointers,
  registerOpcode,
} from './x87-support.ts';

const REGISTERS = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const CONTROL_INITIAL = 0x37f;
/** Bits of the control word that keep what is loaded; bit 6 reads as 1. */
const CONTROL_KEPT = 0x1f3f;
const CONTROL_ONE = 0x40;
const TOP_SHIFT = 11;
const SUMMARY = 0x8080;
const EXCEPTION_FLAGS = 0x3f;
/** MXCSR bits that exist; the others fault when they are set. */
export const MXCSR_MASK = 0xffff;
/** Operand-pointer and instruction-pointer fields of 20-bit (16-bit real) and 32-bit (32-bit real) images. */
const HIGH_PART = 0xffff0000 | 0;

const statusWord = (e: Ops): I32 =>
  e.x87?.statusWord() ?? i32.or(e.get(STATE.fpuStatus), i32.shl(e.get(STATE.fpuTop), k32(TOP_SHIFT)));

/** Makes ES and B follow the flags and masks. */
function updateSummary(e: Ops): void {
  const status = e.f.let(e.get(STATE.fpuStatus));
  const open = i32.and(i32.and(status, k32(EXCEPTION_FLAGS)), i32.xor(e.get(STATE.fpuControl), k32(-1)));
  const cleared = i32.and(status, k32(~SUMMARY));
  e.set(STATE.fpuStatus, select(open, i32.or(cleared, k32(SUMMARY)), cleared));
}

function setControl(e: Ops, value: I32): void {
  e.set(STATE.fpuControl, i32.or(i32.and(value, k32(CONTROL_KEPT)), k32(CONTROL_ONE)));
}

function setStatus(e: Ops, value: I32): void {
  const v = e.f.let(value);
  e.set(STATE.fpuTop, i32.and(i32.shrU(v, k32(TOP_SHIFT)), k32(7)));
  e.set(STATE.fpuStatus, i32.and(v, k32(0xffff & ~(7 << TOP_SHIFT))));
}

function initialize(e: Ops): void {
  e.set(STATE.fpuControl, k32(CONTROL_INITIAL));
  for (const field of [STATE.fpuStatus, STATE.fpuTop, STATE.fpuTags, STATE.fpuOpcode, STATE.fpuIp, STATE.fpuCs]) {
    e.set(field, k32(0));
  }
  e.set(STATE.fpuDp, k32(0));
  e.set(STATE.fpuDs, k32(0));
}

/** Counts `n` from 0 to `count` - 1. */
export function times(e: Ops, count: number, body: (n: Var<'i32'>) => void): void {
  const n = e.f.local('i32');
  e.f.set(n, k32(0));
  e.f.loop((again) => {
    body(n);
    e.f.set(n, i32.add(n.get, k32(1)));
    e.f.brIf(again, i32.ltU(n.get, k32(count)));
  });
}

/** Address of the slot of ST(n). */
const stackSlot = (e: Ops, n: I32): I32 => {
  const physical = i32.and(i32.add(e.get(STATE.fpuTop), n), k32(7));
  return i32.add(e.addressOf(STATE.fpr), i32.mul(physical, k32(FPR_BYTES)));
};

const environmentBytes = (e: Ops): number => (e.size === 16 ? 14 : 28);

/** 0 or 1: protected mode, so pointers are selectors and offsets. */
const isProtected = (e: Ops): I32 =>
  i32.and(i32.and(e.get(STATE.cr0), k32(CR0.pe)), i32.eqz(i32.and(e.get(STATE.eflags), k32(EFLAGS.vm))));

/** Fields of an environment image, from `at`; the bytes have been probed. */
function storeEnvironment(e: Ops, at: Address): void {
  const { f } = e;
  const wide = e.size !== 16;
  const step = wide ? 4 : 2;
  const put = (index: number, value: I32): void => {
    e.store(wide ? 32 : 16, word.add(at, index * step), f.let(value));
  };
  /** The unused upper halves of 32-bit images read as ones. */
  const upper = (v: I32): I32 => (wide ? i32.or(v, k32(HIGH_PART)) : v);
  put(0, upper(e.get(STATE.fpuControl)));
  put(1, upper(statusWord(e)));
  put(2, upper(kernelValue(e, 'i32', 'x87TagWord')));
  const opcode = e.get(STATE.fpuOpcode);
  f.if(
    isProtected(e),
    () => {
      put(3, e.get(STATE.fpuIp));
      put(4, wide ? i32.or(e.get(STATE.fpuCs), i32.shl(opcode, k32(16))) : e.get(STATE.fpuCs));
      put(5, e.get(STATE.fpuDp));
      put(6, upper(e.get(STATE.fpuDs)));
    },
    () => {
      const linear = (base: number, offset: number): I32 => f.let(i32.add(i32.shl(e.get(base), k32(4)), e.get(offset)));
      const ip = linear(STATE.fpuCs, STATE.fpuIp);
      const dp = linear(STATE.fpuDs, STATE.fpuDp);
      const low = (v: I32): I32 => upper(i32.and(v, k32(0xffff)));
      const high = (v: I32): I32 => i32.shl(i32.shrU(v, k32(16)), k32(12));
      put(3, low(ip));
      put(4, i32.or(high(ip), opcode));
      put(5, low(dp));
      put(6, high(dp));
    },
  );
}

/** Loads an environment image; every read comes before the first change. */
function loadEnvironment(e: Ops, at: Address): void {
  const { f } = e;
  const wide = e.size !== 16;
  const step = wide ? 4 : 2;
  const words = [0, 1, 2, 3, 4, 5, 6].map((index) => f.let(e.load(wide ? 32 : 16, word.add(at, index * step))));
  const [control, status, tags, ip, codePart, dp, dataPart] = words;
  setControl(e, control);
  setStatus(e, status);
  updateSummary(e);
  kernelRun(e, 'x87SetTagWord', tags);
  f.if(
    isProtected(e),
    () => {
      e.set(STATE.fpuIp, ip);
      e.set(STATE.fpuCs, i32.and(codePart, k32(0xffff)));
      if (wide) e.set(STATE.fpuOpcode, i32.and(i32.shrU(codePart, k32(16)), k32(0x7ff)));
      e.set(STATE.fpuDp, dp);
      e.set(STATE.fpuDs, i32.and(dataPart, k32(0xffff)));
    },
    () => {
      // A 20-bit or 32-bit linear pointer: kept as an offset from segment 0.
      const high = (v: I32): I32 => i32.and(i32.shl(v, k32(4)), k32(HIGH_PART));
      e.set(STATE.fpuOpcode, i32.and(codePart, k32(0x7ff)));
      e.set(STATE.fpuIp, i32.or(i32.and(ip, k32(0xffff)), high(codePart)));
      e.set(STATE.fpuDp, i32.or(i32.and(dp, k32(0xffff)), high(dataPart)));
      e.set(STATE.fpuCs, k32(0));
      e.set(STATE.fpuDs, k32(0));
    },
  );
}

const saveEnvironment = (e: Ops): void => {
  checkAvailable(e);
  const at = e.f.let(e.linear(0));
  e.probe(at, k32(environmentBytes(e)));
  storeEnvironment(e, at);
  e.set(STATE.fpuControl, i32.or(e.get(STATE.fpuControl), k32(EXCEPTION_FLAGS)));
  updateSummary(e);
};

const restoreEnvironment = (e: Ops): void => {
  begin(e);
  loadEnvironment(e, e.f.let(e.linear(0)));
};

const TEN = 10;
const PAGE_BYTES = 4096;

const saveAll = (e: Ops): void => {
  checkAvailable(e);
  const at = e.f.let(e.linear(0));
  const registers = environmentBytes(e);
  e.probe(at, k32(registers + 8 * TEN));
  storeEnvironment(e, at);
  times(e, 8, (n) => {
    const to = e.f.let(elementAt(at, registers, n.get, TEN));
    const from = e.f.let(stackSlot(e, n.get));
    e.store64(to, e.f.let(i64.load(from)));
    e.store(16, word.add(to, 8), e.f.let(i32.load16U(from, 8)));
  });
  initialize(e);
};

/** Faults now if any byte of an image of at most a page cannot be read: its first byte, and the first one of its last page. */
function probeRead(e: Ops, at: Address, byteCount: number): void {
  e.f.drop(e.load(8, at));
  const lastPage = e.f.let(word.and(word.add(at, byteCount - 1), -PAGE_BYTES));
  e.f.drop(e.load(8, e.f.let(select(word.gtU(lastPage, at), lastPage, at))));
}

/** Address of element `n` of an array at an offset of an image. */
export const elementAt = (at: Address, offset: number, n: I32, bytes: number): Address =>
  word.add(word.add(at, offset), word.toU(at.type, i32.mul(n, k32(bytes))));

const restoreAll = (e: Ops): void => {
  begin(e);
  const at = e.f.let(e.linear(0));
  const registers = environmentBytes(e);
  probeRead(e, at, registers + 8 * TEN);
  loadEnvironment(e, at);
  times(e, 8, (n) => {
    const from = e.f.let(elementAt(at, registers, n.get, TEN));
    const low = e.f.let(e.load64(from));
    const high = e.f.let(e.load(16, word.add(from, 8)));
    const to = e.f.let(stackSlot(e, n.get));
    e.f.store64(to, low);
    e.f.store16(to, high, 8);
  });
};

/** Offsets of the FXSAVE image (SDM Vol. 1, table 10-2); with REX.W `ip` and `dp` have 64 bits and take in `cs` and `ds`. */
export const FX = {
  tags: 4,
  opcode: 6,
  ip: 8,
  cs: 12,
  dp: 16,
  ds: 20,
  mxcsr: 24,
  mxcsrMask: 28,
  st: 32,
  xmm: 160,
  bytes: 512,
};
export const xmmCount = (e: Ops): number => (e.long ? 16 : 8);

const fxAddress = (e: Ops): Address => {
  checkAvailable(e);
  const at = e.f.let(e.linear(0));
  e.raiseIf(i32.and(word.low(at), k32(15)), EXCEPTION.gp, k32(0));
  return at;
};

/** The x87 part of an FXSAVE or XSAVE image: all but MXCSR and its mask up to the XMM registers. */
export function storeX87Image(e: Ops, at: Address): void {
  const put = (offset: number, value: I32): void => e.store(32, word.add(at, offset), e.f.let(value));
  put(0, i32.or(e.get(STATE.fpuControl), i32.shl(statusWord(e), k32(16))));
  put(FX.tags, i32.or(e.get(STATE.fpuTags), i32.shl(e.get(STATE.fpuOpcode), k32(16))));
  put(FX.ip, e.get(STATE.fpuIp));
  put(FX.cs, e.get(STATE.fpuCs));
  put(FX.dp, e.get(STATE.fpuDp));
  put(FX.ds, e.get(STATE.fpuDs));
  times(e, 8, (n) => {
    const to = e.f.let(elementAt(at, FX.st, n.get, 16));
    const from = e.f.let(stackSlot(e, n.get));
    e.store64(to, e.f.let(i64.load(from)));
    e.store64(word.add(to, 8), e.f.let(i64.load16U(from, 8)));
  });
}
export function storeXmmImage(e: Ops, at: Address): void {
  times(e, xmmCount(e), (n) => {
    const to = e.f.let(elementAt(at, FX.xmm, n.get, 16));
    const from = e.f.let(i32.add(e.addressOf(STATE.xmm), i32.mul(n.get, k32(XMM_BYTES))));
    e.store64(to, e.f.let(i64.load(from)));
    e.store64(word.add(to, 8), e.f.let(i64.load(from, 8)));
  });
}

const fxsave = (e: Ops): void => {
  const at = fxAddress(e);
  e.probe(at, k32(FX.bytes));
  storeX87Image(e, at);
  e.store(32, word.add(at, FX.mxcsr), e.get(STATE.mxcsr));
  e.store(32, word.add(at, FX.mxcsrMask), k32(MXCSR_MASK));
  storeXmmImage(e, at);
};

export function loadX87Image(e: Ops, at: Address): void {
  const get = (bits: 16 | 32, offset: number): I32 => e.f.let(e.load(bits, word.add(at, offset)));
  const first = get(32, 0);
  const second = get(32, FX.tags);
  setControl(e, first);
  setStatus(e, i32.shrU(first, k32(16)));
  updateSummary(e);
  e.set(STATE.fpuTags, i32.and(second, k32(0xff)));
  e.set(STATE.fpuOpcode, i32.and(i32.shrU(second, k32(16)), k32(0x7ff)));
  const selector = (offset: number): I32 => get(e.size === 64 ? 32 : 16, offset);
  e.set(STATE.fpuIp, get(32, FX.ip));
  e.set(STATE.fpuCs, selector(FX.cs));
  e.set(STATE.fpuDp, get(32, FX.dp));
  e.set(STATE.fpuDs, selector(FX.ds));
  times(e, 8, (n) => {
    const from = e.f.let(elementAt(at, FX.st, n.get, 16));
    const low = e.f.let(e.load64(from));
    const high = e.f.let(e.load(16, word.add(from, 8)));
    const to = e.f.let(stackSlot(e, n.get));
    e.f.store64(to, low);
    e.f.store16(to, high, 8);
  });
}
export function loadXmmImage(e: Ops, at: Address): void {
  times(e, xmmCount(e), (n) => {
    const from = e.f.let(elementAt(at, FX.xmm, n.get, 16));
    const low = e.f.let(e.load64(from));
    const high = e.f.let(e.load64(word.add(from, 8)));
    const to = e.f.let(i32.add(e.addressOf(STATE.xmm), i32.mul(n.get, k32(XMM_BYTES))));
    e.f.store64(to, low);
    e.f.store64(to, high, 8);
  });
}
/** The x87 as after FNINIT, and its registers 0. */
export function resetX87(e: Ops): void {
  initialize(e);
  e.f.memoryFill(e.addressOf(STATE.fpr), k32(0), k32(8 * FPR_BYTES));
}

const fxrstor = (e: Ops): void => {
  const at = fxAddress(e);
  probeRead(e, at, FX.bytes);
  const mxcsr = e.f.let(e.load(32, word.add(at, FX.mxcsr)));
  e.raiseIf(i32.and(mxcsr, k32(~MXCSR_MASK)), EXCEPTION.gp, k32(0));
  loadX87Image(e, at);
  e.set(STATE.mxcsr, mxcsr);
  loadXmmImage(e, at);
};

const loadControl = (e: Ops): void => {
  begin(e);
  setControl(e, e.f.let(e.read(0)));
  updateSummary(e);
};
const storeControl = (e: Ops): void => {
  checkAvailable(e);
  e.write(0, e.get(STATE.fpuControl));
};
const storeStatus = (e: Ops): void => {
  checkAvailable(e);
  e.write(0, e.f.let(statusWord(e)));
};

const wait = (e: Ops): void => {
  const both = k32(CR0.mp | CR0.ts);
  e.raiseIf(i32.eq(i32.and(e.get(STATE.cr0), both), both), EXCEPTION.nm);
  checkPending(e);
};

const clearC1 = (e: Ops): void => e.set(STATE.fpuStatus, i32.and(e.get(STATE.fpuStatus), k32(~0x200)));
const moveTop = (e: Ops, by: number): void =>
  e.set(STATE.fpuTop, i32.and(i32.add(e.get(STATE.fpuTop), k32(by)), k32(7)));
/** Empties ST(i). */
const free = (e: Ops, i: number): void => {
  clearC1(e);
  const bit = i32.shl(k32(1), i32.and(i32.add(e.get(STATE.fpuTop), k32(i)), k32(7)));
  e.set(STATE.fpuTags, i32.and(e.get(STATE.fpuTags), i32.xor(bit, k32(-1))));
};

/** A register form that records the pointers. */
const recorded = (first: number, second: number, mnemonic: string, operands: string, body: (e: Ops) => void): Row =>
  row(`${hex(first)} ${hex(second)}`, mnemonic, operands, (e) => {
    begin(e);
    recordPointers(e, registerOpcode(first, second));
    body(e);
  });
/** Instructions of the 8087 and 80287 that do nothing since. */
const ignored = (e: Ops): void => checkAvailable(e);

/** The images whose layout follows the operand size. */
const environmentRows: readonly Row[] = [
  row('D9 /4 m', 'fldenv', 'Mn28', restoreEnvironment, { access: 'read' }),
  row('D9 /6 m', 'fnstenv', 'Mn28', saveEnvironment, { access: 'write' }),
  row('DD /4 m', 'frstor', 'Mn108', restoreAll, { access: 'read' }),
  row('DD /6 m', 'fnsave', 'Mn108', saveAll, { access: 'write' }),
];

const controlRows: readonly Row[] = [
  row('9B', 'wait', '', wait),
  row('D9 /5 m', 'fldcw', 'Mw', loadControl),
  row('D9 /7 m', 'fnstcw', 'Mw', storeControl, { access: 'write' }),
  row('DD /7 m', 'fnstsw', 'Mw', storeStatus, { access: 'write' }),
  row('DF E0', 'fnstsw', 'AX', storeStatus),
  recorded(0xd9, 0xd0, 'fnop', '', () => {}),
  recorded(0xd9, 0xf6, 'fdecstp', '', (e) => {
    moveTop(e, 7);
    clearC1(e);
  }),
  recorded(0xd9, 0xf7, 'fincstp', '', (e) => {
    moveTop(e, 1);
    clearC1(e);
  }),
  row('DB E0', 'fneni', '', ignored),
  row('DB E1', 'fndisi', '', ignored),
  row('DB E2', 'fnclex', '', (e) => {
    checkAvailable(e);
    e.set(STATE.fpuStatus, i32.and(e.get(STATE.fpuStatus), k32(0x7f00)));
  }),
  row('DB E3', 'fninit', '', (e) => {
    checkAvailable(e);
    initialize(e);
  }),
  row('DB E4', 'fnsetpm', '', ignored),
  ...REGISTERS.map((i) => recorded(0xdd, 0xc0 + i, 'ffree', 'STi', (e) => free(e, i))),
  ...REGISTERS.map((i) =>
    recorded(0xdf, 0xc0 + i, 'ffreep', 'STi', (e) => {
      free(e, i);
      free(e, 0);
      moveTop(e, 1);
    }),
  ),
  row('NP 0F AE /0 m', 'fxsave|fxsave|fxsave64', 'Mn512', fxsave, { access: 'write', rexW: true }),
  row('NP 0F AE /1 m', 'fxrstor|fxrstor|fxrstor64', 'Mn512', fxrstor, { access: 'read', rexW: true }),
];

export const x87ControlRows: readonly Row[] = [...environmentRows, ...controlRows.map(fixedSize)];
