/**
 * Far returns and IRET in IA-32e mode.
 *
 * Source: SDM Vol. 2, RET and IRET (operation); Vol. 3A, 5.8.6, 6.14.3.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import type { SystemContext } from './context.ts';
import {
  ACCESS_RIGHTS,
  descriptorAccess,
  descriptorDpl,
  isCode,
  isConformingCode,
  isNullSelector,
  isPresent,
  isWritableData,
} from './descriptors.ts';
import { checkTarget } from './long-transfers.ts';
import { dropInnerSegments, enterCode } from './segments.ts';

/** Flags to restore, and which: 0 in a far return. */
let image = 0;
let mask = 0;

/** @param byteCount of each item: 2, 4 or 8. @param release bytes of parameters to drop. @returns false: fault was set */
export function longFarReturn(c: SystemContext, byteCount: number, release: number): boolean {
  mask = 0;
  return returnTo(c, byteCount, 2, release, false);
}

/** @param flagMask what the operand size and the privilege level let IRET restore */
export function longInterruptReturn(c: SystemContext, byteCount: number, flagMask: number): boolean {
  const { state } = c;
  // There are no tasks to go back to.
  if (state.get(STATE.eflags) & EFLAGS.nt) return c.fault(EXCEPTION.gp, 0);
  if (!c.readItem(2 * byteCount, byteCount)) return false;
  image = c.itemLow;
  mask = flagMask;
  return returnTo(c, byteCount, 3, 0, state.long);
}

/**
 * @param items of the frame before RSP and SS
 * @param always RSP and SS are in the frame whatever the privilege level
 */
function returnTo(c: SystemContext, byteCount: number, items: number, release: number, always: boolean): boolean {
  if (!c.readItem(0, byteCount)) return false;
  const target = c.itemAddress;
  if (!c.readItem(byteCount, byteCount)) return false;
  const selector = c.itemLow & 0xffff;
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
  if (level === cpl && !always) {
    if (!checkTarget(c, selector, low, high, target)) return false;
    if (!c.setAccessed(selector, high)) return false;
    // Canonical, since it was read from there; the bytes released may lead beyond.
    const pointer = c.stackPointer + popped;
    c.setFlags(image, mask);
    if (state.long) c.setStackPointer(pointer);
    else c.setStackPointer(state.gpr(GPR.esp) + popped);
    enterCode(c, selector, low, high, level, target);
    return true;
  }

  if (!c.readItem(popped, byteCount)) return false;
  const pointerLow = c.itemLow;
  const pointerHigh = c.itemHigh;
  if (!c.readItem(popped + byteCount, byteCount)) return false;
  const stackSelector = c.itemLow & 0xffff;
  const toLong = (access & ACCESS_RIGHTS.long) !== 0;
  const nullStack = isNullSelector(stackSelector);
  if (nullStack) {
    // 64-bit code above level 3 needs no stack segment.
    if (!toLong || level === 3 || (stackSelector & 3) !== level) return c.fault(EXCEPTION.gp, 0);
  } else if (!checkStack(c, stackSelector, level)) return false;
  const stackLow = c.low;
  const stackHigh = c.high;
  if (!checkTarget(c, selector, low, high, target) || !c.setAccessed(selector, high)) return false;
  if (!nullStack && !c.setAccessed(stackSelector, stackHigh)) return false;

  c.setFlags(image, mask);
  enterCode(c, selector, low, high, level, target);
  if (nullStack) c.setNull(SEG.ss, stackSelector);
  else c.setSegmentFrom(SEG.ss, stackSelector, stackLow, stackHigh | 0x100);
  setReturnedPointer(c, pointerLow, pointerHigh, release, toLong);
  if (level > cpl) dropInnerSegments(c);
  return true;
}

/** RSP may be any 64 bits in 64-bit code; in compatibility mode it is ESP or SP. */
function setReturnedPointer(c: SystemContext, low: number, high: number, release: number, long: boolean): void {
  if (!long) {
    c.setStackPointer(low + release);
    return;
  }
  const field = STATE.gpr + GPR.esp * 8;
  const sum = (low >>> 0) + release;
  c.state.set(field, sum | 0);
  c.state.set(field + 4, (high + (sum >= 0x1_0000_0000 ? 1 : 0)) | 0);
}

function checkStack(c: SystemContext, selector: number, level: number): boolean {
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const access = descriptorAccess(c.high);
  if ((selector & 3) !== level || !isWritableData(access) || descriptorDpl(access) !== level) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  return isPresent(access) || c.faultSelector(EXCEPTION.ss, selector);
}
