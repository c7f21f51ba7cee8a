/**
 * Delivery of interrupts and exceptions in IA-32e mode, from 64-bit and from compatibility mode.
 *
 * Source: SDM Vol. 3A, 6.14 (exception and interrupt handling in 64-bit mode); Vol. 2A, INT n (operation).
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { isCanonical, type SystemContext } from './context.ts';
import {
  descriptorAccess,
  descriptorDpl,
  isCode,
  isConformingCode,
  isLongCode,
  isNullSelector,
  isPresent,
  SYSTEM_TYPE,
  systemType,
} from './descriptors.ts';
import { longStack, useTaskStack } from './long-stack.ts';
import { enterCode } from './segments.ts';

/**
 * @param errorCode pushed unless -1
 * @param image RFLAGS as they are saved
 * @param rip as it is saved
 * @returns false: fault was set, nothing has changed
 */
export function longEvent(c: SystemContext, vector: number, errorCode: number, image: number, rip: number): boolean {
  const { state, mmu } = c;
  // Error codes name the IDT entry: the IDT bit and the vector.
  const entry = (vector << 3) | 2 | c.ext;
  if (vector * 16 + 15 > state.get(STATE.idtLimit)) return c.fault(EXCEPTION.gp, entry);
  const at = state.address(STATE.idtBase) + vector * 16;
  if (!mmu.readQuad(at + 8, true)) return false;
  const offsetHigh = mmu.low;
  if (!mmu.readQuad(at, true)) return false;
  const gateLow = mmu.low;
  const gateHigh = mmu.high;
  const gate = descriptorAccess(gateHigh);
  const type = systemType(gate);
  if (type !== SYSTEM_TYPE.interruptGate32 && type !== SYSTEM_TYPE.trapGate32) return c.fault(EXCEPTION.gp, entry);
  if (c.ext === 0 && descriptorDpl(gate) < c.cpl) return c.fault(EXCEPTION.gp, entry);
  if (!isPresent(gate)) return c.fault(EXCEPTION.np, entry);
  const offsetLow = (gateLow & 0xffff) | (gateHigh & 0xffff_0000);
  const target = offsetHigh * 0x1_0000_0000 + (offsetLow >>> 0);
  return throughGate(c, gateLow >>> 16, gate, gateHigh & 7, target, errorCode, image, rip);
}

function throughGate(
  c: SystemContext,
  selector: number,
  gate: number,
  ist: number,
  target: number,
  errorCode: number,
  image: number,
  rip: number,
): boolean {
  if (isNullSelector(selector)) return c.generalProtection();
  if (!c.readDescriptor(selector, EXCEPTION.gp)) return false;
  const { low, high, state, cpl } = c;
  const access = descriptorAccess(high);
  const dpl = descriptorDpl(access);
  if (!isCode(access) || dpl > cpl || !isLongCode(access)) return c.faultSelector(EXCEPTION.gp, selector);
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  const inner = !isConformingCode(access) && dpl < cpl;
  const level = inner ? dpl : cpl;
  if (inner || ist > 0) {
    if (!useTaskStack(c, level, ist)) return false;
  } else longStack.use(c.stackPointer, c.supervisor);
  // Whatever the stack: frames begin at a multiple of 16.
  longStack.pointer -= longStack.pointer & 15;
  if (!longStack.reserve(c, errorCode < 0 ? 40 : 48)) return false;
  if (!isCanonical(target)) return c.generalProtection();
  if (!c.setAccessed(selector, high)) return false;

  longStack.push(c, 8, state.selector(SEG.ss), 0);
  longStack.push(c, 8, state.gpr(GPR.esp), state.long ? state.get(STATE.gpr + GPR.esp * 8 + 4) : 0);
  longStack.push(c, 8, image, 0);
  longStack.push(c, 8, state.selector(SEG.cs), 0);
  longStack.pushAddress(c, 8, rip);
  if (errorCode >= 0) longStack.push(c, 8, errorCode, 0);

  enterCode(c, selector, low, high, level, target);
  state.setAddress(STATE.gpr + GPR.esp * 8, longStack.pointer);
  // The null selector keeps the level in its RPL.
  if (inner) c.setNull(SEG.ss, level);
  let clear = EFLAGS.tf | EFLAGS.vm | EFLAGS.rf | EFLAGS.nt;
  if (!(gate & 1)) clear |= EFLAGS.if;
  state.set(STATE.eflags, state.get(STATE.eflags) & ~clear);
  c.updateMode();
  return true;
}
