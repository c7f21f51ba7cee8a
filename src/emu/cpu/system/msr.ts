/**
 * Model-specific registers and the time-stamp counter.
 *
 * Source: SDM Vol. 4, chapter 2 (architectural MSRs); Vol. 3A, 11.12 (PAT), 17.17 (TSC). Unknown registers are #GP(0),
 * among them IA32_APIC_BASE where there is no local APIC.
 */
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import { EXCEPTION } from '../isa/ops.ts';
import { GPR, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import { isCanonical, type SystemContext } from './context.ts';
import { CR0, CR4, EFER } from './control-bits.ts';
import { rangeMsr, writeRangeMsr } from './mtrr.ts';

export const MSR = {
  tsc: 0x10,
  platformId: 0x17,
  tscAdjust: 0x3b,
  tscDeadline: 0x6e0,
  biosSignId: 0x8b,
  sysenterCs: 0x174,
  sysenterEsp: 0x175,
  sysenterEip: 0x176,
  miscEnable: 0x1a0,
  pat: 0x277,
  efer: 0xc000_0080 | 0,
  star: 0xc000_0081 | 0,
  lstar: 0xc000_0082 | 0,
  cstar: 0xc000_0083 | 0,
  fmask: 0xc000_0084 | 0,
  fsBase: 0xc000_0100 | 0,
  gsBase: 0xc000_0101 | 0,
  kernelGsBase: 0xc000_0102 | 0,
  tscAux: 0xc000_0103 | 0,
} as const;

export const MISC_ENABLE = {
  fastStrings: 1 << 0,
  btsUnavailable: 1 << 11,
  pebsUnavailable: 1 << 12,
  /** MONITOR and MWAIT are there; clear after a reset, so that kernels sleep by HLT. */
  monitor: 1 << 18,
  limitCpuid: 1 << 22,
  /** In the upper word: bit 34, execute-disable is off. */
  xdDisableHigh: 1 << 2,
} as const;
const MISC_ENABLE_WRITABLE = MISC_ENABLE.fastStrings | MISC_ENABLE.limitCpuid;

/** Microcode revision that IA32_BIOS_SIGN_ID reports in its upper word. */
const MICROCODE_REVISION = 0x107;

/** Write-back, write-through, uncached-minus, uncached; twice. */
export const PAT_RESET = 0x0007_0406;

const TWO_32 = 0x1_0000_0000;

const general = (c: SystemContext): Status => {
  c.fault(EXCEPTION.gp, 0);
  return STATUS.fault;
};

/**
 * Stores the counter (source plus offset, modulo 2^64) to EDX:EAX, and never less than generated code has told since the last
 * reading (isa/time-stamp.ts). @param ticks of the source, below 2^53
 */
function answerTsc(c: SystemContext, ticks: number): void {
  const { state } = c;
  let low = (ticks % TWO_32) + (state.get(STATE.tscOffset) >>> 0);
  let high = (Math.floor(ticks / TWO_32) + state.get(STATE.tscOffset + 4) + (low >= TWO_32 ? 1 : 0)) >>> 0;
  low >>>= 0;
  state.set(STATE.tscRead, low);
  state.set(STATE.tscRead + 4, high);
  const toldLow = state.get(STATE.tscTold) >>> 0;
  const toldHigh = state.get(STATE.tscTold + 4) >>> 0;
  const ahead = ((toldHigh - high) | 0) * TWO_32 + toldLow - low;
  if (ahead > 0 && ahead < TWO_32) {
    low = toldLow;
    high = toldHigh;
  }
  state.set(STATE.tscTold, low);
  state.set(STATE.tscTold + 4, high);
  state.set(STATE.tscHolds, 0);
  answer(c, low | 0, high | 0);
}

function writeTsc(c: SystemContext, ticks: number, low: number, high: number): void {
  const difference = (low >>> 0) - (ticks % TWO_32);
  const borrow = difference < 0 ? 1 : 0;
  c.state.set(STATE.tscOffset, difference | 0);
  c.state.set(STATE.tscOffset + 4, (high - Math.floor(ticks / TWO_32) - borrow) | 0);
  c.state.set(STATE.tscTold, low);
  c.state.set(STATE.tscTold + 4, high);
  c.state.set(STATE.tscHolds, 0);
}

/** Adds the difference of two 64-bit values, given as halves, to a field of the state block. */
function addDifference(
  c: SystemContext,
  field: number,
  low: number,
  high: number,
  lessLow: number,
  lessHigh: number,
): void {
  const { state } = c;
  const sum = (state.get(field) >>> 0) + (low >>> 0) - (lessLow >>> 0);
  const carry = sum >= TWO_32 ? 1 : sum < 0 ? -1 : 0;
  state.set(field, sum | 0);
  state.set(field + 4, (state.get(field + 4) + high - lessHigh + carry) | 0);
}

/** IA32_TSC_ADJUST follows the counter, and the counter follows it (17.17.3). */
function writeTscAndAdjust(c: SystemContext, ticks: number, low: number, high: number): void {
  const { state } = c;
  const [oldLow, oldHigh] = [state.get(STATE.tscOffset), state.get(STATE.tscOffset + 4)];
  writeTsc(c, ticks, low, high);
  const { tscOffset, tscAdjust } = STATE;
  addDifference(c, tscAdjust, state.get(tscOffset), state.get(tscOffset + 4), oldLow, oldHigh);
}

function writeTscAdjust(c: SystemContext, low: number, high: number): void {
  const { state } = c;
  for (const field of [STATE.tscOffset, STATE.tscTold]) {
    addDifference(c, field, low, high, state.get(STATE.tscAdjust), state.get(STATE.tscAdjust + 4));
  }
  state.set(STATE.tscHolds, 0);
  state.set(STATE.tscAdjust, low);
  state.set(STATE.tscAdjust + 4, high);
}

/** Is a register the local APIC's? */
const isOfApic = (c: SystemContext, number: number, apic: LocalApicPort | undefined): apic is LocalApicPort =>
  apic?.ownsMsr(number) === true && (number !== MSR.tscDeadline || c.features.has('tscDeadline'));

/** Two halves on their way from the local APIC. */
const fromApic = new Int32Array(2);

function answer(c: SystemContext, low: number, high: number): void {
  c.state.setGpr(GPR.eax, low);
  c.state.setGpr(GPR.edx, high);
}

/** @param holds for how many instructions the reading does (STATE.tscHolds) */
export function readTsc(c: SystemContext, ticks: number, holds: number): Status {
  if (c.protectionEnabled && c.cpl !== 0 && c.state.get(STATE.cr4) & CR4.tsd) return general(c);
  answerTsc(c, ticks);
  c.state.set(STATE.tscHolds, holds);
  return STATUS.next;
}

/** RDTSCP. */
export function readTscAndAux(c: SystemContext, ticks: number, holds: number): Status {
  if (!c.features.has('rdtscp')) {
    c.faultPlain(EXCEPTION.ud);
    return STATUS.fault;
  }
  const status = readTsc(c, ticks, holds);
  if (status === STATUS.next) c.state.setGpr(GPR.ecx, c.state.get(STATE.tscAux));
  return status;
}

export function readMsr(c: SystemContext, ticks: number, apic?: LocalApicPort): Status {
  if (c.cpl !== 0) return general(c);
  const { state } = c;
  switch (state.gpr(GPR.ecx)) {
    case MSR.tsc:
      answerTsc(c, ticks);
      return STATUS.next;
    case MSR.platformId:
      answer(c, 0, 0);
      return STATUS.next;
    case MSR.biosSignId:
      answer(c, 0, MICROCODE_REVISION);
      return STATUS.next;
    default:
      return readOther(c, state.gpr(GPR.ecx), apic);
  }
}

function readOther(c: SystemContext, number: number, apic: LocalApicPort | undefined): Status {
  const { state } = c;
  if (isOfApic(c, number, apic)) {
    if (!apic.readMsr(number, fromApic)) return general(c);
    answer(c, fromApic[0], fromApic[1]);
    return STATUS.next;
  }
  const range = c.features.has('mtrr') ? rangeMsr(number) : undefined;
  if (range && 'low' in range) {
    answer(c, range.low, 0);
    return STATUS.next;
  }
  const field = range?.field ?? storedField(c, number);
  if (field === undefined) return general(c);
  answer(c, state.get(field), state.get(field + 4));
  return STATUS.next;
}

/** Registers that are plain storage between their checks. */
function storedField(c: SystemContext, number: number): number | undefined {
  if (c.features.has('lm')) {
    const field = LONG_FIELDS.get(number);
    if (field !== undefined) return field;
  }
  switch (number) {
    case MSR.sysenterCs:
      return STATE.sysenterCs;
    case MSR.sysenterEsp:
      return STATE.sysenterEsp;
    case MSR.sysenterEip:
      return STATE.sysenterEip;
    case MSR.miscEnable:
      return STATE.miscEnable;
    case MSR.pat:
      return STATE.pat;
    case MSR.efer:
      return STATE.efer;
    case MSR.tscAux:
      return c.features.has('rdtscp') ? STATE.tscAux : undefined;
    case MSR.tscAdjust:
      return c.features.has('tscAdjust') ? STATE.tscAdjust : undefined;
    default:
      return undefined;
  }
}

/** What 64-bit mode adds. */
const LONG_FIELDS: ReadonlyMap<number, number> = new Map([
  [MSR.star, STATE.star],
  [MSR.lstar, STATE.lstar],
  [MSR.cstar, STATE.cstar],
  [MSR.fmask, STATE.fmask],
  [MSR.fsBase, STATE.segments + SEG.fs * SEGMENT.bytes],
  [MSR.gsBase, STATE.segments + SEG.gs * SEGMENT.bytes],
  [MSR.kernelGsBase, STATE.kernelGsBase],
]);

export function writeMsr(c: SystemContext, ticks: number, apic?: LocalApicPort): Status {
  if (c.cpl !== 0) return general(c);
  const { state } = c;
  const number = state.gpr(GPR.ecx);
  const low = state.gpr(GPR.eax);
  const high = state.gpr(GPR.edx);
  switch (number) {
    case MSR.tsc:
      writeTscAndAdjust(c, ticks, low, high);
      apic?.setTscOffset(state.get(STATE.tscOffset), state.get(STATE.tscOffset + 4));
      return STATUS.next;
    case MSR.tscAdjust:
      if (!c.features.has('tscAdjust')) return general(c);
      writeTscAdjust(c, low, high);
      apic?.setTscOffset(state.get(STATE.tscOffset), state.get(STATE.tscOffset + 4));
      return STATUS.next;
    case MSR.biosSignId:
      // Written before CPUID makes it hold the revision, which it always does here.
      return STATUS.next;
    case MSR.sysenterCs:
    case MSR.star:
      return store(c, number, low, high);
    case MSR.sysenterEsp:
    case MSR.sysenterEip:
    case MSR.lstar:
    case MSR.cstar:
    case MSR.fsBase:
    case MSR.gsBase:
    case MSR.kernelGsBase:
      if (!isCanonical(high * TWO_32 + (low >>> 0))) return general(c);
      return store(c, number, low, high);
    case MSR.fmask:
    case MSR.tscAux:
      return high === 0 ? store(c, number, low, high) : general(c);
    case MSR.miscEnable: {
      const writable = MISC_ENABLE_WRITABLE | (c.features.has('monitor') ? MISC_ENABLE.monitor : 0);
      const kept = state.get(STATE.miscEnable) & ~writable;
      return store(c, number, kept | (low & writable), 0);
    }
    case MSR.pat:
      if (!isPatWord(low) || !isPatWord(high)) return general(c);
      return store(c, number, low, high);
    case MSR.efer:
      return writeEfer(c, low, high);
    default: {
      const done = isOfApic(c, number, apic)
        ? apic.writeMsr(number, low, high)
        : c.features.has('mtrr') && writeRangeMsr(state, number, low, high);
      return done ? STATUS.next : general(c);
    }
  }
}

/** LMA follows CR0.PG, and LME cannot change while paging is on (SDM Vol. 3A, 9.8.5). */
function writeEfer(c: SystemContext, low: number, high: number): Status {
  const { state, mmu, features } = c;
  const known =
    (features.has('syscall') ? EFER.sce : 0) |
    (features.has('lm') ? EFER.lme | EFER.lma : 0) |
    (features.has('nx') ? EFER.nxe : 0);
  const before = state.get(STATE.efer);
  if (low & ~known || high !== 0) return general(c);
  if ((before ^ low) & EFER.lme && state.get(STATE.cr0) & CR0.pg) return general(c);
  state.set(STATE.efer, (low & ~EFER.lma) | (before & EFER.lma));
  if ((before ^ low) & EFER.nxe) mmu.flush(false);
  return STATUS.next;
}

function store(c: SystemContext, number: number, low: number, high: number): Status {
  const field = storedField(c, number);
  if (field === undefined) return general(c);
  c.state.set(field, low);
  c.state.set(field + 4, high);
  return STATUS.next;
}

/** Memory types 0, 1, 4, 5, 6 and 7 exist. */
const isPatWord = (word: number): boolean =>
  [0, 8, 16, 24].every((shift) => [0, 1, 4, 5, 6, 7].includes((word >>> shift) & 0xff));
