/**
 * Far returns and IRET.
 *
 * Source: SDM Vol. 2, RET and IRET (operation); Vol. 3A, 5.8.6, 7.4, 20.2.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import type { SystemContext } from './context.ts';
import {
  ACCESS_RIGHTS,
  descriptorAccess,
  descriptorDpl,
  descriptorLimit,
  isCode,
  isConformingCode,
  isNullSelector,
  isPresent,
  isWritableData,
  SYSTEM_TYPE,
  systemType,
} from './descriptors.ts';
import { longFarReturn, longInterruptReturn } from './long-returns.ts';
import { dropInnerSegments, enterCode } from './segments.ts';
import { switchTask } from './tasks.ts';

/** CF PF AF ZF SF TF DF OF NT: what every IRET restores. */
const ANY_LEVEL = 0x4dd5;
const IRET16 = 0x7fd5;
const IRET32 = IRET16 | EFLAGS.rf | EFLAGS.ac | EFLAGS.id;
const TO_VIRTUAL = IRET32 | EFLAGS.vm | EFLAGS.vif | EFLAGS.vip;

/** @param release bytes of parameters to drop */
export function farReturn(c: SystemContext, bits: number, release: number): Status {
  const byteCount = bits >> 3;
  if (c.longMode) {
    if (!longFarReturn(c, byteCount, release)) return STATUS.fault;
    c.updateMode();
    return STATUS.jumped;
  }
  const eip = c.peek(0, byteCount);
  if (eip < 0) return STATUS.fault;
  const selector = c.peek(byteCount, byteCount);
  if (selector < 0) return STATUS.fault;
  const done = c.protectedMode
    ? protectedReturn(c, eip, selector & 0xffff, byteCount, 2, release, 0, 0)
    : realReturn(c, eip, selector & 0xffff, 2 * byteCount + release, 0, 0);
  if (!done) return STATUS.fault;
  c.updateMode();
  return STATUS.jumped;
}

export function interruptReturn(c: SystemContext, bits: number): Status {
  const done = iret(c, bits >> 3);
  if (!done) return STATUS.fault;
  c.state.set(STATE.nmiBlocked, 0);
  return STATUS.jumped;
}

function iret(c: SystemContext, byteCount: number): boolean {
  const { state } = c;
  if (c.virtual8086 && c.iopl < 3) return c.fault(EXCEPTION.gp, 0);
  if (c.longMode) {
    if (!longInterruptReturn(c, byteCount, restorable(c, byteCount > 2))) return false;
    c.updateMode();
    return true;
  }
  if (c.protectedMode && state.get(STATE.eflags) & EFLAGS.nt) return returnToTask(c);
  const eip = c.peek(0, byteCount);
  const selector = eip < 0 ? -1 : c.peek(byteCount, byteCount);
  const flags = selector < 0 ? -1 : c.peek(2 * byteCount, byteCount);
  if (flags < 0) return false;
  const wide = byteCount === 4;
  const image = flags;
  if (!c.protectedMode) {
    const mask = (wide ? IRET32 : IRET16) & (c.virtual8086 ? ~EFLAGS.iopl : -1);
    if (!realReturn(c, eip, selector & 0xffff, 3 * byteCount, image, mask)) return false;
    c.updateMode();
    return true;
  }
  if (wide && image & EFLAGS.vm && c.cpl === 0) return returnToVirtual(c, eip, selector & 0xffff, image);
  const mask = restorable(c, wide);
  if (!protectedReturn(c, eip, selector & 0xffff, byteCount, 3, 0, image, mask)) return false;
  c.updateMode();
  return true;
}

/** The flags that IRET restores in protected mode. */
function restorable(c: SystemContext, wide: boolean): number {
  let mask = ANY_LEVEL;
  if (c.cpl <= c.iopl) mask |= EFLAGS.if;
  if (c.cpl === 0) mask |= EFLAGS.iopl;
  if (wide) mask |= EFLAGS.rf | EFLAGS.ac | EFLAGS.id | (c.cpl === 0 ? EFLAGS.vif | EFLAGS.vip : 0);
  return mask;
}

function realReturn(
  c: SystemContext,
  eip: number,
  selector: number,
  popped: number,
  image: number,
  mask: number,
): boolean {
  const { state } = c;
  if (eip > (c.virtual8086 ? 0xffff : state.limit(SEG.cs))) return c.fault(EXCEPTION.gp, 0);
  c.setStackPointer(state.gpr(GPR.esp) + popped);
  c.setFlags(image, mask);
  c.setReal(SEG.cs, selector);
  state.set(STATE.eip, eip);
  return true;
}

/**
 * Returns to the same or an outer level.
 * @param items what is above the return address' end on the stack counts from here: 2 (RET) or 3 (IRET) items
 * @param image flags to restore under `mask`
 */
function protectedReturn(
  c: SystemContext,
  eip: number,
  selector: number,
  byteCount: number,
  items: number,
  release: number,
  image: number,
  mask: number,
): boolean {
  if (isNullSelector(selector)) return c.fault(EXCEPTION.gp, 0);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, cpl, state } = c;
  const access = descriptorAccess(high);
  const dpl = descriptorDpl(access);
  const level = selector & 3;
  if (!isCode(access) || level < cpl || (isConformingCode(access) ? dpl > level : dpl !== level)) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  const popped = items * byteCount + release;
  if (level === cpl) {
    if (eip > descriptorLimit(low, high)) return c.fault(EXCEPTION.gp, 0);
    if (!c.setAccessed(selector, high)) return false;
    c.setStackPointer(state.gpr(GPR.esp) + popped);
    c.setFlags(image, mask);
    enterCode(c, selector, low, high, level, eip);
    return true;
  }
  const pointer = c.peek(popped, byteCount);
  const stackSelector = pointer < 0 ? -1 : c.peek(popped + byteCount, byteCount);
  if (stackSelector < 0 || !checkOuterStack(c, stackSelector & 0xffff, level)) return false;
  const stackLow = c.low;
  const stackHigh = c.high;
  if (eip > descriptorLimit(low, high)) return c.fault(EXCEPTION.gp, 0);
  if (!c.setAccessed(selector, high) || !c.setAccessed(stackSelector, stackHigh)) return false;
  c.setFlags(image, mask);
  enterCode(c, selector, low, high, level, eip);
  c.setSegmentFrom(SEG.ss, stackSelector, stackLow, stackHigh | 0x100);
  c.setStackPointer(pointer + release);
  dropInnerSegments(c);
  return true;
}

/** Reads and checks the descriptor of the stack of an outer level. */
function checkOuterStack(c: SystemContext, selector: number, level: number): boolean {
  if (isNullSelector(selector)) return c.fault(EXCEPTION.gp, 0);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const access = descriptorAccess(c.high);
  if ((selector & 3) !== level || !isWritableData(access) || descriptorDpl(access) !== level) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  return (access & ACCESS_RIGHTS.present) !== 0 || c.faultSelector(EXCEPTION.ss, selector);
}

/** EIP, CS and EFLAGS were read; ESP, SS, ES, DS, FS and GS follow. */
function returnToVirtual(c: SystemContext, eip: number, selector: number, image: number): boolean {
  const { state } = c;
  const pointer = c.peek(12, 4);
  const ss = pointer < 0 ? -1 : c.peek(16, 4);
  const es = ss < 0 ? -1 : c.peek(20, 4);
  const ds = es < 0 ? -1 : c.peek(24, 4);
  const fs = ds < 0 ? -1 : c.peek(28, 4);
  const gs = fs < 0 ? -1 : c.peek(32, 4);
  if (gs < 0) return false;
  if (eip > 0xffff) return c.fault(EXCEPTION.gp, 0);
  c.setFlags(image, TO_VIRTUAL);
  c.setReal(SEG.cs, selector);
  c.setReal(SEG.ss, ss);
  c.setReal(SEG.es, es);
  c.setReal(SEG.ds, ds);
  c.setReal(SEG.fs, fs);
  c.setReal(SEG.gs, gs);
  state.setGpr(GPR.esp, pointer);
  state.set(STATE.eip, eip);
  c.setCpl(3);
  c.protectionChanged();
  return true;
}

/** IRET with NT: back to the task that called this one. */
function returnToTask(c: SystemContext): boolean {
  const { state } = c;
  const selector = c.mmu.readLinear(state.base(SEG.tr), 2, true);
  if (selector < 0) return false;
  if (selector & 4 || isNullSelector(selector)) return c.faultSelector(EXCEPTION.ts, selector);
  if (!c.readDescriptor(selector, EXCEPTION.ts)) return false;
  const access = descriptorAccess(c.high);
  const type = systemType(access);
  if (type !== SYSTEM_TYPE.tss16Busy && type !== SYSTEM_TYPE.tss32Busy) {
    return c.faultSelector(EXCEPTION.ts, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  return switchTask(c, selector, c.low, c.high, 'return', state.get(STATE.nextEip));
}
