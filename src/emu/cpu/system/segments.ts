/**
 * Loading and checking segment registers, LDTR and TR.
 *
 * Source: SDM Vol. 2, MOV, POP, LDS, LLDT, LTR, LAR, LSL, VERR; Vol. 3A, 5.3 to 5.6.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, SEGMENT, SEGMENT_LOAD, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import { isCanonical, type SystemContext } from './context.ts';
import {
  ACCESS_RIGHTS,
  descriptorAccess,
  descriptorBase,
  descriptorDpl,
  descriptorLimit,
  isCode,
  isConformingCode,
  isNullSelector,
  isPresent,
  isReadable,
  isWritableData,
  SYSTEM_TYPE,
  systemType,
  TSS_BUSY,
  withinLimit,
} from './descriptors.ts';

/** Loads SS, DS, ES, FS or GS. Does not update the mode. @returns false: fault was set */
export function loadDataSegment(c: SystemContext, seg: number, selector: number): boolean {
  if (!c.protectedMode) {
    c.setReal(seg, selector);
    return true;
  }
  return seg === SEG.ss ? loadStackSegment(c, selector) : loadOtherSegment(c, seg, selector);
}

function loadStackSegment(c: SystemContext, selector: number): boolean {
  if (isNullSelector(selector)) {
    // 64-bit code above level 3 needs no stack segment.
    if (!c.state.long || c.cpl === 3 || (selector & 3) !== c.cpl) return c.fault(EXCEPTION.gp, 0);
    c.setNull(SEG.ss, selector);
    return true;
  }
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, cpl } = c;
  const access = descriptorAccess(high);
  if ((selector & 3) !== cpl || !isWritableData(access) || descriptorDpl(access) !== cpl) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.ss, selector);
  if (!c.setAccessed(selector, high)) return false;
  c.setSegmentFrom(SEG.ss, selector, low, high | 0x100);
  return true;
}

function loadOtherSegment(c: SystemContext, seg: number, selector: number): boolean {
  if (isNullSelector(selector)) {
    c.setNull(seg, selector);
    return true;
  }
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high } = c;
  const access = descriptorAccess(high);
  if (!isReadable(access)) return c.faultSelector(EXCEPTION.gp, selector);
  if (!isConformingCode(access) && Math.max(selector & 3, c.cpl) > descriptorDpl(access)) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  if (!c.setAccessed(selector, high)) return false;
  c.setSegmentFrom(seg, selector, low, high | 0x100);
  const { i32 } = c.state;
  const from = CpuState.segment(seg) >> 2;
  const to = (STATE.segmentLoads + seg * SEGMENT_LOAD.bytes) >> 2;
  i32.copyWithin(to, from, from + SEGMENT.bytes / 4);
  i32[to + SEGMENT_LOAD.descriptor / 4] = low;
  i32[to + SEGMENT_LOAD.descriptor / 4 + 1] = high | 0x100;
  return true;
}

/** What decides the mode in a segment register's hidden part, before it is loaded: most loads leave it as it was. */
const hidden = { base: 0, high: 0, limit: 0, access: 0 };
function noteHidden({ state }: SystemContext, seg: number): void {
  const i = CpuState.segment(seg) >> 2;
  hidden.base = state.i32[i];
  hidden.high = state.i32[i + 1];
  hidden.limit = state.i32[i + (SEGMENT.limit >> 2)];
  hidden.access = state.i32[i + (SEGMENT.access >> 2)];
}
function isAsBefore({ state }: SystemContext, seg: number): boolean {
  const i = CpuState.segment(seg) >> 2;
  return (
    hidden.base === state.i32[i] &&
    hidden.high === state.i32[i + 1] &&
    hidden.limit === state.i32[i + (SEGMENT.limit >> 2)] &&
    hidden.access === state.i32[i + (SEGMENT.access >> 2)]
  );
}

/** Goes on with the next instruction; looks code up again when what it means may have changed. After `noteHidden`. */
function afterLoad(c: SystemContext, seg: number): Status {
  // No mode depends on FS and GS.
  if (seg >= SEG.fs || isAsBefore(c, seg)) return STATUS.next;
  const before = c.state.get(STATE.mode);
  c.updateMode();
  if (c.state.get(STATE.mode) === before) return STATUS.next;
  return c.advance();
}

/** MOV Sreg. */
export function loadSegment(c: SystemContext, seg: number, selector: number): Status {
  noteHidden(c, seg);
  if (!loadDataSegment(c, seg, selector & 0xffff)) return STATUS.fault;
  if (seg === SEG.ss) c.inhibitNext();
  return afterLoad(c, seg);
}

/** POP Sreg. */
export function popSegment(c: SystemContext, seg: number, bits: number): Status {
  const wide = c.stack32;
  noteHidden(c, seg);
  if (!c.readItem(0, bits >> 3) || !loadDataSegment(c, seg, c.itemLow & 0xffff)) return STATUS.fault;
  // The stack pointer moves by the size of the stack it was read from.
  const pointer = c.stackPointer + (bits >> 3);
  if (c.state.long) c.setStackPointer(pointer);
  else if (wide) c.state.setGpr(GPR.esp, pointer);
  else c.state.setGpr16(GPR.esp, pointer);
  if (seg === SEG.ss) c.inhibitNext();
  return afterLoad(c, seg);
}

/** LDS, LES, LSS, LFS, LGS. @param seg plus 8: the offset is 32 bits; plus 16: 64 bits, in argument 3 */
export function loadFarPointer(
  c: SystemContext,
  seg: number,
  selector: number,
  register: number,
  offset: number,
): Status {
  noteHidden(c, seg & 7);
  if (!loadDataSegment(c, seg & 7, selector & 0xffff)) return STATUS.fault;
  if (seg & 16) {
    c.state.set(STATE.gpr + register * 8, offset);
    c.state.set(STATE.gpr + register * 8 + 4, c.argumentHigh(3));
  } else if (seg & 8) c.state.setGpr(register, offset);
  else c.state.setGpr16(register, offset);
  return afterLoad(c, seg & 7);
}

/** LLDT. */
export function loadLdt(c: SystemContext, selector: number): Status {
  if (!c.protectedMode) return plain(c, EXCEPTION.ud);
  if (c.cpl !== 0) return general(c);
  if (isNullSelector(selector)) {
    c.setNull(SEG.ldtr, selector);
    return STATUS.next;
  }
  if (selector & 4) return named(c, EXCEPTION.gp, selector);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return STATUS.fault;
  const access = descriptorAccess(c.high);
  if (systemType(access) !== SYSTEM_TYPE.ldt) return named(c, EXCEPTION.gp, selector);
  if (!isPresent(access)) return named(c, EXCEPTION.np, selector);
  const { low, high } = c;
  const base = systemBase(c, selector, low, high);
  if (!isCanonical(base)) return STATUS.fault;
  c.setSegment(SEG.ldtr, selector, base, descriptorLimit(low, high), access);
  return STATUS.next;
}

/** Base of an LDT or TSS, 64 bits of it in IA-32e mode. Infinity: fault was set. */
function systemBase(c: SystemContext, selector: number, low: number, high: number): number {
  const base = descriptorBase(low, high);
  if (!c.longMode) return base;
  if (!c.readUpper(selector, EXCEPTION.gp)) return Number.POSITIVE_INFINITY;
  const wide = c.upper * 0x1_0000_0000 + base;
  if (isCanonical(wide)) return wide;
  c.faultSelector(EXCEPTION.gp, selector);
  return Number.POSITIVE_INFINITY;
}

/** LTR. */
export function loadTr(c: SystemContext, selector: number): Status {
  if (!c.protectedMode) return plain(c, EXCEPTION.ud);
  if (c.cpl !== 0 || isNullSelector(selector)) return general(c);
  if (selector & 4) return named(c, EXCEPTION.gp, selector);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return STATUS.fault;
  const { low, high } = c;
  const access = descriptorAccess(high);
  const type = systemType(access);
  // In IA-32e mode the type of a 32-bit TSS is a 64-bit one's, and there are no others.
  const available = type === SYSTEM_TYPE.tss32 || (type === SYSTEM_TYPE.tss16 && !c.longMode);
  if (!available) return named(c, EXCEPTION.gp, selector);
  if (!isPresent(access)) return named(c, EXCEPTION.np, selector);
  const base = systemBase(c, selector, low, high);
  if (!isCanonical(base)) return STATUS.fault;
  const busy = high | (TSS_BUSY << 8);
  if (!c.mmu.writeLinear(c.descriptorAt(selector) + 4, 4, busy, true)) return STATUS.fault;
  c.setSegment(SEG.tr, selector, base, descriptorLimit(low, high), descriptorAccess(busy));
  return STATUS.next;
}

const typeSet = (...types: readonly number[]): number => types.reduce((set, type) => set | (1 << type), 0);

/** In IA-32e mode. */
const LAR_LONG_TYPES = typeSet(SYSTEM_TYPE.ldt, SYSTEM_TYPE.tss32, SYSTEM_TYPE.tss32Busy, SYSTEM_TYPE.callGate32);
const LSL_LONG_TYPES = typeSet(SYSTEM_TYPE.ldt, SYSTEM_TYPE.tss32, SYSTEM_TYPE.tss32Busy);

const LAR_TYPES = typeSet(
  SYSTEM_TYPE.tss16,
  SYSTEM_TYPE.ldt,
  SYSTEM_TYPE.tss16Busy,
  SYSTEM_TYPE.callGate16,
  SYSTEM_TYPE.taskGate,
  SYSTEM_TYPE.tss32,
  SYSTEM_TYPE.tss32Busy,
  SYSTEM_TYPE.callGate32,
);

const LSL_TYPES = typeSet(
  SYSTEM_TYPE.tss16,
  SYSTEM_TYPE.ldt,
  SYSTEM_TYPE.tss16Busy,
  SYSTEM_TYPE.tss32,
  SYSTEM_TYPE.tss32Busy,
);

/** LAR and LSL: ZF tells whether the selector may be seen; then the answer is in STATE.queryResult. */
export function descriptorQuery(c: SystemContext, selector: number, what: 'access' | 'limit'): Status {
  if (!c.protectedMode) return plain(c, EXCEPTION.ud);
  const types = what === 'access' ? (c.longMode ? LAR_LONG_TYPES : LAR_TYPES) : c.longMode ? LSL_LONG_TYPES : LSL_TYPES;
  const visible = isVisible(c, selector & 0xffff, types);
  if (c.state.get(STATE.faultVector) >= 0) return STATUS.fault;
  if (visible) {
    c.state.set(STATE.queryResult, what === 'access' ? c.high & 0x00f0_ff00 : descriptorLimit(c.low, c.high));
    c.state.set(STATE.queryResult + 4, 0);
  }
  c.setFlags(visible ? EFLAGS.zf : 0, EFLAGS.zf);
  return STATUS.next;
}

/** VERR and VERW. */
export function verify(c: SystemContext, selector: number, write: boolean): Status {
  if (!c.protectedMode) return plain(c, EXCEPTION.ud);
  const visible = isVisible(c, selector & 0xffff, 0);
  if (c.state.get(STATE.faultVector) >= 0) return STATUS.fault;
  const access = descriptorAccess(c.high);
  const usable = visible && (write ? isWritableData(access) : isReadable(access));
  c.setFlags(usable ? EFLAGS.zf : 0, EFLAGS.zf);
  return STATUS.next;
}

/** Only a page fault while the descriptor is read sets STATE.faultVector. */
function isVisible(c: SystemContext, selector: number, systemTypes: number): boolean {
  c.state.set(STATE.faultVector, -1);
  if (isNullSelector(selector)) return false;
  if (!c.readDescriptor(selector, EXCEPTION.gp)) {
    if (c.state.get(STATE.faultVector) === EXCEPTION.gp) c.state.set(STATE.faultVector, -1);
    return false;
  }
  const access = descriptorAccess(c.high);
  if (!(access & ACCESS_RIGHTS.segment)) {
    if (!(systemTypes & (1 << systemType(access)))) return false;
    if (c.longMode && !c.readUpper(selector, EXCEPTION.gp)) {
      if (c.state.get(STATE.faultVector) === EXCEPTION.gp) c.state.set(STATE.faultVector, -1);
      return false;
    }
  }
  return isConformingCode(access) || Math.max(selector & 3, c.cpl) <= descriptorDpl(access);
}

/** The checks of a memory operand that the segment's fast flags do not decide. */
export function checkSegment(c: SystemContext, seg: number, offset: number, byteCount: number, write: boolean): Status {
  const access = c.state.access(seg);
  const allowed =
    access !== 0 &&
    (!c.protectedMode || (write ? isWritableData(access) : isReadable(access))) &&
    withinLimit(access, c.state.limit(seg), offset >>> 0, byteCount);
  if (allowed) return STATUS.next;
  c.fault(seg === SEG.ss ? EXCEPTION.ss : EXCEPTION.gp, 0);
  return STATUS.fault;
}

/** The same for `byteCount` bytes that are pushed, or popped. */
export function checkStack(c: SystemContext, byteCount: number, push: boolean): Status {
  const pointer = c.state.gpr(GPR.esp) - (push ? byteCount : 0);
  const offset = c.stack32 ? pointer : pointer & 0xffff;
  return checkSegment(c, SEG.ss, offset, byteCount, push);
}

/**
 * After a return to an outer privilege level: data segments that the new level may not use become null. Null selectors lose
 * their RPL, as on processors; their bases stay.
 */
export function dropInnerSegments(c: SystemContext): void {
  for (const seg of DATA_SEGMENTS) {
    const access = c.state.access(seg);
    if (access === 0) c.state.set(CpuState.segment(seg) + SEGMENT.selector, 0);
    else if (!isConformingCode(access) && descriptorDpl(access) < c.cpl) c.setNull(seg, 0);
  }
}
const DATA_SEGMENTS: readonly number[] = [SEG.es, SEG.ds, SEG.fs, SEG.gs];

/** Is this the descriptor of code that may be entered at `level` through a far transfer (not a gate)? */
export function mayRun(access: number, selector: number, level: number): boolean {
  if (!isCode(access)) return false;
  const dpl = descriptorDpl(access);
  return isConformingCode(access) ? dpl <= level : (selector & 3) <= level && dpl === level;
}

/**
 * Loads CS and EIP (or RIP) of a code descriptor after all checks. Enters or leaves 64-bit mode when the code is of the
 * other kind: RSP comes after this.
 * @param level the privilege level to run at: CPL and the RPL of CS
 */
export function enterCode(
  c: SystemContext,
  selector: number,
  low: number,
  high: number,
  level: number,
  eip: number,
): void {
  const code = (selector & 0xfffc) | level;
  const access = descriptorAccess(high | 0x100);
  const { state } = c;
  if (c.longMode && access & ACCESS_RIGHTS.long) {
    c.setLong(true);
    // Base and limit have no meaning in 64-bit mode.
    c.setSegment(SEG.cs, code, 0, -1, access);
    state.setAddress(STATE.eip, eip);
  } else {
    c.setLong(false);
    c.setSegment(SEG.cs, code, descriptorBase(low, high), descriptorLimit(low, high), access);
    state.set(STATE.eip, eip);
  }
  if (level !== c.cpl) c.setCpl(level);
}

const plain = (c: SystemContext, vector: number): Status => {
  c.faultPlain(vector);
  return STATUS.fault;
};
const general = (c: SystemContext): Status => {
  c.fault(EXCEPTION.gp, 0);
  return STATUS.fault;
};
const named = (c: SystemContext, vector: number, selector: number): Status => {
  c.faultSelector(vector, selector);
  return STATUS.fault;
};
