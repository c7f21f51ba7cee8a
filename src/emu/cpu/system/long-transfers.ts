/**
 * Far jumps and calls in IA-32e mode: between 64-bit and compatibility mode, and through 64-bit call gates.
 *
 * Source: SDM Vol. 2A, JMP and CALL (operation); Vol. 3A, 5.8.1 to 5.8.5. There are no task switches.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { isCanonical, type SystemContext } from './context.ts';
import {
  ACCESS_RIGHTS,
  descriptorAccess,
  descriptorDpl,
  descriptorLimit,
  isCode,
  isConformingCode,
  isLongCode,
  isNullSelector,
  isPresent,
  SYSTEM_TYPE,
  systemType,
} from './descriptors.ts';
import { longStack, useTaskStack } from './long-stack.ts';
import { enterCode, mayRun } from './segments.ts';

/**
 * Can code of this descriptor be entered at `target`?
 * @param low first word of the descriptor, `high` the second; `selector` for error codes
 */
export function checkTarget(c: SystemContext, selector: number, low: number, high: number, target: number): boolean {
  const access = descriptorAccess(high);
  if (!(access & ACCESS_RIGHTS.long)) return target <= descriptorLimit(low, high) || c.fault(EXCEPTION.gp, 0);
  if (access & ACCESS_RIGHTS.big) return c.faultSelector(EXCEPTION.gp, selector);
  return isCanonical(target) || c.fault(EXCEPTION.gp, 0);
}

export function longTransfer(
  c: SystemContext,
  selector: number,
  target: number,
  byteCount: number,
  call: boolean,
): boolean {
  if (isNullSelector(selector)) return c.fault(EXCEPTION.gp, 0);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, cpl } = c;
  const access = descriptorAccess(high);
  if (isCode(access)) {
    if ((access & LONG_BIG) === LONG_BIG) return c.faultSelector(EXCEPTION.gp, selector);
    if (!mayRun(access, selector, cpl)) return c.faultSelector(EXCEPTION.gp, selector);
    if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
    if (!checkTarget(c, selector, low, high, target)) return false;
    if (!c.setAccessed(selector, high)) return false;
    if (call && !pushReturn(c, byteCount)) return false;
    enterCode(c, selector, low, high, cpl, target);
    return true;
  }
  const dpl = descriptorDpl(access);
  if (systemType(access) !== SYSTEM_TYPE.callGate32 || dpl < cpl || (selector & 3) > dpl) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  if (!c.readUpper(selector, EXCEPTION.gp)) return false;
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  const offset = (low & 0xffff) | (high & 0xffff_0000);
  return throughGate(c, low >>> 16, c.upper * 0x1_0000_0000 + (offset >>> 0), call);
}

const LONG_BIG = ACCESS_RIGHTS.long | ACCESS_RIGHTS.big;

/** Pushes CS and the address after this instruction on the current stack. */
function pushReturn(c: SystemContext, byteCount: number): boolean {
  const { state, stack } = c;
  if (state.long) {
    longStack.use(c.stackPointer, c.supervisor);
    if (!longStack.reserve(c, 2 * byteCount)) return false;
    longStack.push(c, byteCount, state.selector(SEG.cs), 0);
    longStack.pushAddress(c, byteCount, c.nextEip);
    c.setStackPointer(longStack.pointer);
    return true;
  }
  stack.useCurrent();
  if (!stack.reserve(2, byteCount)) return false;
  stack.push(byteCount, state.selector(SEG.cs));
  stack.push(byteCount, c.nextEip);
  c.setStackPointer(stack.pointer);
  return true;
}

function throughGate(c: SystemContext, selector: number, target: number, call: boolean): boolean {
  if (isNullSelector(selector)) return c.fault(EXCEPTION.gp, 0);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, cpl, state } = c;
  const access = descriptorAccess(high);
  const dpl = descriptorDpl(access);
  const conforming = isConformingCode(access);
  // A jump through a gate cannot change the privilege level, a call can only raise it.
  if (!isCode(access) || dpl > cpl || (!call && !conforming && dpl !== cpl) || !isLongCode(access)) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  if (!isCanonical(target)) return c.fault(EXCEPTION.gp, 0);
  const inner = call && !conforming && dpl < cpl;
  const level = inner ? dpl : cpl;
  if (inner) {
    if (!useTaskStack(c, level, 0)) return false;
  } else longStack.use(c.stackPointer, c.supervisor);
  if (call && !longStack.reserve(c, inner ? 32 : 16)) return false;
  if (!c.setAccessed(selector, high)) return false;
  if (inner) {
    longStack.push(c, 8, state.selector(SEG.ss), 0);
    longStack.push(c, 8, state.gpr(GPR.esp), state.long ? state.get(STATE.gpr + GPR.esp * 8 + 4) : 0);
  }
  if (call) {
    longStack.push(c, 8, state.selector(SEG.cs), 0);
    longStack.pushAddress(c, 8, c.nextEip);
  }
  enterCode(c, selector, low, high, level, target);
  if (call) state.setAddress(STATE.gpr + GPR.esp * 8, longStack.pointer);
  if (inner) c.setNull(SEG.ss, level);
  return true;
}
