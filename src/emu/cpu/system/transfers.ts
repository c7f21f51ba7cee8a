/**
 * Far jumps and far calls.
 *
 * Source: SDM Vol. 2A, JMP and CALL (operation); Vol. 3A, 5.8. Everything is checked, stacks included, before the first
 * visible change; only accessed bits of descriptors may already be set.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import type { SystemContext } from './context.ts';
import {
  descriptorAccess,
  descriptorBase,
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
import { longTransfer } from './long-transfers.ts';
import { enterCode, mayRun } from './segments.ts';
import { switchTask } from './tasks.ts';

/** @param offset in 64-bit mode with 64 bits the whole is argument 1 */
export function farJump(c: SystemContext, selector: number, offset: number, bits: number): Status {
  return far(c, selector & 0xffff, offset, bits, false);
}

export function farCall(c: SystemContext, selector: number, offset: number, bits: number): Status {
  return far(c, selector & 0xffff, offset, bits, true);
}

function far(c: SystemContext, selector: number, offset: number, bits: number, call: boolean): Status {
  const target = bits === 16 ? offset & 0xffff : bits === 64 ? c.argumentAddress(1, offset) : offset >>> 0;
  if (c.longMode) return finish(c, longTransfer(c, selector, target, bits >> 3, call));
  return finish(c, (c.protectedMode ? transfer : realTransfer)(c, selector, target, bits, call));
}

const finish = (c: SystemContext, done: boolean): Status => {
  if (!done) return STATUS.fault;
  c.updateMode();
  return STATUS.jumped;
};

function realTransfer(c: SystemContext, selector: number, offset: number, bits: number, call: boolean): boolean {
  // The limit that holds is the one CS has now; virtual-8086 mode loads 0xffff.
  if (offset > (c.virtual8086 ? 0xffff : c.state.limit(SEG.cs))) return c.fault(EXCEPTION.gp, 0);
  if (call && !pushReturn(c, bits >> 3)) return false;
  c.setReal(SEG.cs, selector);
  c.state.set(STATE.eip, offset);
  return true;
}

/** Pushes CS and the address after this instruction on the current stack. */
function pushReturn(c: SystemContext, byteCount: number): boolean {
  const { stack } = c;
  stack.useCurrent();
  if (!stack.reserve(2, byteCount)) return false;
  stack.push(byteCount, c.state.selector(SEG.cs));
  stack.push(byteCount, c.state.get(STATE.nextEip));
  c.setStackPointer(stack.pointer);
  return true;
}

function transfer(c: SystemContext, selector: number, offset: number, bits: number, call: boolean): boolean {
  if (isNullSelector(selector)) return c.fault(EXCEPTION.gp, 0);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, cpl } = c;
  const access = descriptorAccess(high);
  if (isCode(access)) {
    if (!mayRun(access, selector, cpl)) return c.faultSelector(EXCEPTION.gp, selector);
    if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
    if (offset > descriptorLimit(low, high)) return c.fault(EXCEPTION.gp, 0);
    if (!c.setAccessed(selector, high)) return false;
    if (call && !pushReturn(c, bits >> 3)) return false;
    enterCode(c, selector, low, high, cpl, offset);
    return true;
  }
  const dpl = descriptorDpl(access);
  if (dpl < cpl || (selector & 3) > dpl) return c.faultSelector(EXCEPTION.gp, selector);
  switch (systemType(access)) {
    case SYSTEM_TYPE.callGate16:
    case SYSTEM_TYPE.callGate32:
      if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
      return throughGate(c, low, high, call);
    case SYSTEM_TYPE.taskGate:
      if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
      return enterTask(c, low >>> 16, call);
    case SYSTEM_TYPE.tss16:
    case SYSTEM_TYPE.tss32:
      return enterTask(c, selector, call);
    default:
      return c.faultSelector(EXCEPTION.gp, selector);
  }
}

/**
 * Switches to a task by its TSS selector.
 * @param selector from a task gate or the instruction; refused when it is local, or not an available TSS
 */
export function enterTask(c: SystemContext, selector: number, nested: boolean, savedEip?: number): boolean {
  if (selector & 4) return c.faultSelector(EXCEPTION.gp, selector);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const access = descriptorAccess(c.high);
  const type = systemType(access);
  if (type !== SYSTEM_TYPE.tss16 && type !== SYSTEM_TYPE.tss32) return c.faultSelector(EXCEPTION.gp, selector);
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  return switchTask(c, selector, c.low, c.high, nested ? 'call' : 'jump', savedEip ?? c.state.get(STATE.nextEip));
}

function throughGate(c: SystemContext, gateLow: number, gateHigh: number, call: boolean): boolean {
  const selector = gateLow >>> 16;
  const wide = systemType(descriptorAccess(gateHigh)) === SYSTEM_TYPE.callGate32;
  const eip = wide ? ((gateLow & 0xffff) | (gateHigh & 0xffff_0000)) >>> 0 : gateLow & 0xffff;
  if (isNullSelector(selector)) return c.fault(EXCEPTION.gp, 0);
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, cpl } = c;
  const access = descriptorAccess(high);
  const dpl = descriptorDpl(access);
  const conforming = isConformingCode(access);
  // A jump through a gate cannot change the privilege level, a call can only raise it.
  if (!isCode(access) || dpl > cpl || (!call && !conforming && dpl !== cpl)) {
    return c.faultSelector(EXCEPTION.gp, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  if (eip > descriptorLimit(low, high)) return c.fault(EXCEPTION.gp, 0);
  if (!c.setAccessed(selector, high)) return false;
  const byteCount = wide ? 4 : 2;
  if (call && !conforming && dpl < cpl) return innerCall(c, selector, low, high, eip, byteCount, gateHigh & 0x1f);
  if (call && !pushReturn(c, byteCount)) return false;
  enterCode(c, selector, low, high, cpl, eip);
  return true;
}

function innerCall(
  c: SystemContext,
  selector: number,
  low: number,
  high: number,
  eip: number,
  byteCount: number,
  parameters: number,
): boolean {
  const level = descriptorDpl(descriptorAccess(high));
  const inner = innerStack;
  if (!prepareInnerStack(c, level, inner)) return false;
  for (let i = 0; i < parameters; i++) {
    const value = c.peek(i * byteCount, byteCount);
    if (value < 0) return false;
    inner.parameters[i] = value;
  }
  const { stack, state } = c;
  if (!stack.reserve(4 + parameters, byteCount)) return false;
  stack.push(byteCount, state.selector(SEG.ss));
  stack.push(byteCount, state.gpr(GPR.esp));
  for (let i = parameters - 1; i >= 0; i--) stack.push(byteCount, inner.parameters[i]);
  stack.push(byteCount, state.selector(SEG.cs));
  stack.push(byteCount, state.get(STATE.nextEip));
  enterCode(c, selector, low, high, level, eip);
  commitInnerStack(c, inner);
  return true;
}

/** A stack of a more privileged level, checked but not in use yet. */
export interface InnerStack {
  selector: number;
  low: number;
  high: number;
  readonly parameters: Int32Array;
}
export const innerStack: InnerStack = { selector: 0, low: 0, high: 0, parameters: new Int32Array(32) };

/**
 * Finds the stack of a privilege level in the current TSS, checks it, and makes it the target of `c.stack`.
 * @returns false: fault was set (#TS or #SS with the selector)
 */
export function prepareInnerStack(c: SystemContext, level: number, into: InnerStack): boolean {
  const { state, mmu } = c;
  const wide = (state.access(SEG.tr) & 8) !== 0;
  const at = wide ? 4 + level * 8 : 2 + level * 4;
  if (at + (wide ? 5 : 3) > state.limit(SEG.tr)) return c.faultSelector(EXCEPTION.ts, state.selector(SEG.tr));
  const base = state.base(SEG.tr) + at;
  const pointer = mmu.readLinear(base, wide ? 4 : 2, true);
  if (pointer < 0) return false;
  const selector = mmu.readLinear(base + (wide ? 4 : 2), 2, true);
  if (selector < 0) return false;
  if (isNullSelector(selector)) return c.faultSelector(EXCEPTION.ts, selector);
  if (!c.readDescriptor(selector, EXCEPTION.ts)) return false;
  const { low, high } = c;
  const access = descriptorAccess(high);
  if ((selector & 3) !== level || descriptorDpl(access) !== level || !isWritableData(access)) {
    return c.faultSelector(EXCEPTION.ts, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.ss, selector);
  if (!c.setAccessed(selector, high)) return false;
  into.selector = selector;
  into.low = low;
  into.high = high | 0x100;
  const stackBase = descriptorBase(low, high);
  c.stack.use(stackBase, descriptorLimit(low, high), access, pointer, level !== 3, (selector & 0xfffc) | c.ext);
  return true;
}

/** Makes the stack current: SS and (E)SP. */
export function commitInnerStack(c: SystemContext, inner: InnerStack): void {
  c.setSegmentFrom(SEG.ss, inner.selector, inner.low, inner.high);
  c.setStackPointer(c.stack.pointer);
}
