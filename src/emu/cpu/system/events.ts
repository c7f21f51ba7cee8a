/**
 * Delivery of interrupts and exceptions.
 *
 * Source: SDM Vol. 3A, chapter 6 (6.12 handlers, 6.13 error codes, 6.15 double fault), 20.1.4 (real mode), 20.2 and 20.3
 * (virtual-8086 mode); Vol. 2A, INT n (operation).
 * Not modelled: RF in the image of an interrupt between two iterations of a repeated string instruction.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import type { SystemContext } from './context.ts';
import { DR7 } from './control-bits.ts';
import {
  descriptorAccess,
  descriptorDpl,
  descriptorLimit,
  isCode,
  isConformingCode,
  isNullSelector,
  isPresent,
  SYSTEM_TYPE,
  systemType,
} from './descriptors.ts';
import { longEvent } from './long-events.ts';
import { enterCode } from './segments.ts';
import { pushTaskError } from './tasks.ts';
import { commitInnerStack, enterTask, innerStack, prepareInnerStack } from './transfers.ts';

/**
 * `external`: interrupts and NMI; `fault`: EIP is the instruction's; `trap`: EIP is the next one's (also INT1);
 * `int`: INT n; `intTrap`: INT3 and INTO.
 */
export type EventKind = 'external' | 'fault' | 'trap' | 'int' | 'intTrap';

export const NO_ERROR_CODE = -1;

/**
 * Delivers one event to the guest's handler.
 * @param eip what is saved
 * @returns false: the delivery itself faulted, the new fault is in STATE.fault*
 */
export function deliverEvent(
  c: SystemContext,
  vector: number,
  errorCode: number,
  kind: EventKind,
  eip: number,
): boolean {
  const { state } = c;
  if (kind === 'fault' || kind === 'trap') {
    c.history.addEvent(vector, errorCode, eip, state.long ? state.address(STATE.cr2) : state.get(STATE.cr2));
  }
  c.ext = kind === 'int' || kind === 'intTrap' ? 0 : 1;
  const delivered = c.longMode
    ? longEvent(c, vector, errorCode, imageOf(c, vector, kind), eip)
    : c.protectionEnabled
      ? protectedEvent(c, vector, errorCode, kind, eip)
      : realEvent(c, vector, eip);
  c.ext = 0;
  if (!delivered) return false;
  // The handler of #DB must be able to use the debug registers.
  if (vector === EXCEPTION.db && kind !== 'int') {
    state.set(STATE.dr7, state.get(STATE.dr7) & ~DR7.gd);
    // Traps that wait (MOV SS, then INT1) come with this one.
    state.set(STATE.dr6, state.get(STATE.dr6) | state.get(STATE.pendingDebug));
    state.set(STATE.pendingDebug, 0);
  }
  state.set(STATE.faultVector, -1);
  state.set(STATE.halted, 0);
  c.clearInhibit();
  return true;
}

const CONTRIBUTORY =
  (1 << EXCEPTION.de) | (1 << EXCEPTION.ts) | (1 << EXCEPTION.np) | (1 << EXCEPTION.ss) | (1 << EXCEPTION.gp);
const isContributory = (vector: number): boolean => ((CONTRIBUTORY >>> vector) & 1) !== 0;

/** Table 6-5: does a fault while `first` is delivered make a double fault? */
const makesDoubleFault = (first: number, second: number): boolean =>
  isContributory(first)
    ? isContributory(second)
    : first === EXCEPTION.pf && (isContributory(second) || second === EXCEPTION.pf);

/**
 * Delivers an event, and the faults that its delivery raises.
 * @returns false: shutdown (a fault while a double fault was delivered)
 */
export function raiseEvent(c: SystemContext, vector: number, errorCode: number, kind: EventKind, eip: number): boolean {
  const { state } = c;
  if (deliverEvent(c, vector, errorCode, kind, eip)) return true;
  let first = kind === 'fault' ? vector : -1;
  for (;;) {
    if (first === EXCEPTION.df) {
      state.set(STATE.faultVector, -1);
      state.set(STATE.shutdown, 1);
      return false;
    }
    const second = state.get(STATE.faultVector);
    const isDouble = first >= 0 && makesDoubleFault(first, second);
    first = isDouble ? EXCEPTION.df : second;
    const code = isDouble ? 0 : pendingErrorCode(c);
    if (deliverEvent(c, first, code, 'fault', c.eip)) return true;
  }
}

/** Delivers the fault in STATE.fault*. @returns false: shutdown */
export function raisePending(c: SystemContext): boolean {
  const { state } = c;
  const vector = state.get(STATE.faultVector);
  if (state.get(STATE.faultIsSoftware)) {
    const kind = vector === EXCEPTION.bp || vector === EXCEPTION.of ? 'intTrap' : 'int';
    return raiseEvent(c, vector, NO_ERROR_CODE, kind, c.nextEip);
  }
  return raiseEvent(c, vector, pendingErrorCode(c), 'fault', c.eip);
}

const pendingErrorCode = (c: SystemContext): number =>
  c.state.get(STATE.faultHasErrorCode) ? c.state.get(STATE.faultErrorCode) : NO_ERROR_CODE;

/** INT n, INT3, INTO and INT1. */
export function softwareInterrupt(c: SystemContext, vector: number, kind: 'int' | 'intTrap' | 'trap'): Status {
  return deliverEvent(c, vector, NO_ERROR_CODE, kind, c.nextEip) ? STATUS.jumped : STATUS.fault;
}

function realEvent(c: SystemContext, vector: number, eip: number): boolean {
  const { state, stack, mmu } = c;
  if (vector * 4 + 3 > state.get(STATE.idtLimit)) return c.fault(EXCEPTION.gp, 0);
  const at = state.address(STATE.idtBase) + vector * 4;
  const offset = mmu.readLinear(at, 2, true);
  if (offset < 0) return false;
  const selector = mmu.readLinear(at + 2, 2, true);
  if (selector < 0) return false;
  stack.useCurrent();
  if (!stack.reserve(3, 2)) return false;
  if (offset > state.limit(SEG.cs)) return c.fault(EXCEPTION.gp, 0);
  stack.push(2, state.eflags);
  stack.push(2, state.selector(SEG.cs));
  stack.push(2, eip);
  c.setStackPointer(stack.pointer);
  state.set(STATE.eflags, state.get(STATE.eflags) & ~(EFLAGS.if | EFLAGS.tf | EFLAGS.ac | EFLAGS.rf));
  c.setReal(SEG.cs, selector);
  state.set(STATE.eip, offset);
  c.updateMode();
  return true;
}

function protectedEvent(c: SystemContext, vector: number, errorCode: number, kind: EventKind, eip: number): boolean {
  const { state, mmu } = c;
  if (kind === 'int' && c.virtual8086 && c.iopl < 3) return c.fault(EXCEPTION.gp, 0);
  // Error codes name the IDT entry: the IDT bit and the vector.
  const entry = (vector << 3) | 2 | c.ext;
  if (vector * 8 + 7 > state.get(STATE.idtLimit)) return c.fault(EXCEPTION.gp, entry);
  const at = state.address(STATE.idtBase) + vector * 8;
  const low = mmu.readLinear(at, 4, true);
  if (low < 0) return false;
  const high = mmu.readLinear(at + 4, 4, true);
  if (high < 0) return false;
  const access = descriptorAccess(high);
  const type = systemType(access);
  const isGate =
    type === SYSTEM_TYPE.interruptGate32 ||
    type === SYSTEM_TYPE.trapGate32 ||
    type === SYSTEM_TYPE.interruptGate16 ||
    type === SYSTEM_TYPE.trapGate16;
  if (!isGate && type !== SYSTEM_TYPE.taskGate) return c.fault(EXCEPTION.gp, entry);
  if (c.ext === 0 && descriptorDpl(access) < c.cpl) return c.fault(EXCEPTION.gp, entry);
  if (!isPresent(access)) return c.fault(EXCEPTION.np, entry);
  const image = imageOf(c, vector, kind);
  if (type === SYSTEM_TYPE.taskGate) return throughTaskGate(c, low >>> 16, errorCode, image, eip);
  return throughGate(c, low | 0, high | 0, errorCode, image, eip);
}

/** EFLAGS as an event saves them. */
const imageOf = (c: SystemContext, vector: number, kind: EventKind): number =>
  kind === 'fault' && setsResume(vector) ? c.state.eflags | EFLAGS.rf : c.state.eflags;

/** Fault-class exceptions but instruction breakpoints have the handler return with RF set (17.3.1.1). */
const setsResume = (vector: number): boolean =>
  vector !== EXCEPTION.db && vector !== EXCEPTION.df && vector !== EXCEPTION.mc;

function throughTaskGate(c: SystemContext, selector: number, errorCode: number, image: number, eip: number): boolean {
  const { state } = c;
  const before = state.eflags;
  const task = state.selector(SEG.tr);
  state.eflags = image;
  if (!enterTask(c, selector, true, eip)) {
    // Before the switch nothing may have changed; after it the flags are the new task's.
    if (state.selector(SEG.tr) === task) state.eflags = before;
    return false;
  }
  return errorCode === NO_ERROR_CODE || pushTaskError(c, errorCode);
}

function throughGate(
  c: SystemContext,
  gateLow: number,
  gateHigh: number,
  errorCode: number,
  image: number,
  eip: number,
): boolean {
  const gate = descriptorAccess(gateHigh);
  const wide = (gate & 8) !== 0;
  const selector = gateLow >>> 16;
  const target = wide ? ((gateLow & 0xffff) | (gateHigh & 0xffff_0000)) >>> 0 : gateLow & 0xffff;
  if (isNullSelector(selector)) return c.generalProtection();
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, state, stack, cpl } = c;
  const access = descriptorAccess(high);
  const dpl = descriptorDpl(access);
  if (!isCode(access) || dpl > cpl) return c.faultSelector(EXCEPTION.gp, selector);
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  const inner = !isConformingCode(access) && dpl < cpl;
  const fromVirtual = c.virtual8086;
  // Virtual-8086 mode can only be left to level 0.
  if (fromVirtual && (!inner || dpl !== 0)) return c.faultSelector(EXCEPTION.gp, selector);
  const byteCount = wide ? 4 : 2;
  const items = (errorCode === NO_ERROR_CODE ? 3 : 4) + (inner ? 2 : 0) + (fromVirtual ? 4 : 0);
  if (inner) {
    if (!prepareInnerStack(c, dpl, innerStack)) return false;
  } else stack.useCurrent();
  if (!stack.reserve(items, byteCount)) return false;
  if (target > descriptorLimit(low, high)) return c.generalProtection();
  if (!c.setAccessed(selector, high)) return false;

  if (fromVirtual) {
    stack.push(byteCount, state.selector(SEG.gs));
    stack.push(byteCount, state.selector(SEG.fs));
    stack.push(byteCount, state.selector(SEG.ds));
    stack.push(byteCount, state.selector(SEG.es));
  }
  if (inner) {
    stack.push(byteCount, state.selector(SEG.ss));
    stack.push(byteCount, state.gpr(4));
  }
  stack.push(byteCount, image);
  stack.push(byteCount, state.selector(SEG.cs));
  stack.push(byteCount, eip);
  if (errorCode !== NO_ERROR_CODE) stack.push(byteCount, errorCode);

  let clear = EFLAGS.tf | EFLAGS.vm | EFLAGS.rf | EFLAGS.nt;
  if (!(gate & 1)) clear |= EFLAGS.if;
  state.set(STATE.eflags, state.get(STATE.eflags) & ~clear);
  enterCode(c, selector, low, high, inner ? dpl : cpl, target);
  if (inner) commitInnerStack(c, innerStack);
  else c.setStackPointer(stack.pointer);
  if (fromVirtual) {
    for (const seg of [SEG.es, SEG.ds, SEG.fs, SEG.gs]) c.setNull(seg, 0);
    c.protectionChanged();
  } else c.updateMode();
  return true;
}

/**
 * Is a maskable interrupt taken before the instruction at STATE.eip? An interrupt shadow (STI, MOV SS) that says no is
 * used up by the question: the caller runs on before it asks again.
 */
export function mayInterrupt(c: SystemContext): boolean {
  const { state } = c;
  if (!(state.get(STATE.eflags) & EFLAGS.if)) return false;
  if (!c.inhibited) return true;
  c.clearInhibit();
  return false;
}
