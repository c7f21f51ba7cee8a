/**
 * Entering and leaving a kernel without gates: SYSENTER and SYSEXIT, SYSCALL and SYSRET.
 *
 * Source: SDM Vol. 2, the instructions' pages; Vol. 3A, 5.8.7 and 5.8.8. SYSCALL and SYSRET are for 64-bit code only, as
 * on Intel's processors.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import { isCanonical, type SystemContext } from './context.ts';
import { EFER, SYSRET_FLAGS } from './control-bits.ts';
import { flatCode, flatData } from './descriptors.ts';

const R11 = STATE.gpr + 11 * 8;
const RCX = STATE.gpr + GPR.ecx * 8;
const RDX = STATE.gpr + GPR.edx * 8;
const RSP = STATE.gpr + GPR.esp * 8;
const general = (c: SystemContext): Status => {
  c.fault(EXCEPTION.gp, 0);
  return STATUS.fault;
};
const undefinedOpcode = (c: SystemContext): Status => {
  c.faultPlain(EXCEPTION.ud);
  return STATUS.fault;
};

/** Goes to flat segments. The stack pointer is set after this, and the mode updated, by the caller. */
function loadFlat(c: SystemContext, code: number, data: number, level: number, eip: number, long: boolean): void {
  const { state } = c;
  c.setLong(long);
  c.setSegment(SEG.cs, code | level, 0, -1, flatCode(level, long));
  c.setSegment(SEG.ss, data | level, 0, -1, flatData(level));
  state.set(STATE.cpl, level);
  if (long) state.setAddress(STATE.eip, eip);
  else state.set(STATE.eip, eip);
}

export function sysenter(c: SystemContext): Status {
  const { state } = c;
  const selector = state.get(STATE.sysenterCs) & 0xfffc;
  if (!c.protectionEnabled || selector === 0) return general(c);
  const fromVirtual = c.virtual8086;
  const long = c.longMode;
  state.set(STATE.eflags, state.get(STATE.eflags) & ~(EFLAGS.vm | EFLAGS.if | EFLAGS.rf));
  loadFlat(c, selector, selector + 8, 0, state.address(STATE.sysenterEip), long);
  copy(c, RSP, STATE.sysenterEsp);
  if (fromVirtual) c.protectionChanged();
  else c.updateMode();
  return STATUS.jumped;
}

/** @param bits operand size: 64 goes to 64-bit code */
export function sysexit(c: SystemContext, bits: number): Status {
  const { state } = c;
  const selector = state.get(STATE.sysenterCs) & 0xfffc;
  if (!c.protectionEnabled || selector === 0 || c.cpl !== 0) return general(c);
  if (bits === 64) {
    const rip = state.address(RDX);
    if (!isCanonical(rip) || !isCanonical(state.address(RCX))) return general(c);
    loadFlat(c, selector + 32, selector + 40, 3, rip, true);
    copy(c, RSP, RCX);
  } else {
    const eip = state.gpr(GPR.edx);
    const esp = state.gpr(GPR.ecx);
    loadFlat(c, selector + 16, selector + 24, 3, eip, false);
    state.setGpr(GPR.esp, esp);
  }
  c.updateMode();
  return STATUS.jumped;
}

export function syscall(c: SystemContext): Status {
  const { state } = c;
  if (!state.long || !(state.get(STATE.efer) & EFER.sce)) return undefinedOpcode(c);
  const selector = state.get(STATE.star + 4) & 0xfffc;
  copy(c, RCX, STATE.nextEip);
  state.set(R11, state.eflags);
  state.set(R11 + 4, 0);
  state.eflags &= ~state.get(STATE.fmask);
  loadFlat(c, selector, selector + 8, 0, state.address(STATE.lstar), true);
  c.updateMode();
  return STATUS.jumped;
}

/** @param bits operand size: 64 goes to 64-bit code, 32 to compatibility mode */
export function sysret(c: SystemContext, bits: number): Status {
  const { state } = c;
  if (!state.long || !(state.get(STATE.efer) & EFER.sce)) return undefinedOpcode(c);
  if (c.cpl !== 0) return general(c);
  const rip = state.address(RCX);
  if (bits === 64 && !isCanonical(rip)) return general(c);
  const selector = (state.get(STATE.star + 4) >>> 16) & 0xfffc;
  state.eflags = (state.get(R11) & SYSRET_FLAGS) | EFLAGS.reserved1;
  // With 32 bits RIP is ECX.
  loadFlat(c, bits === 64 ? selector + 16 : selector, selector + 8, 3, rip, bits === 64);
  c.updateMode();
  return STATUS.jumped;
}

/** Copies an 8-byte field. */
function copy(c: SystemContext, to: number, from: number): void {
  c.state.set(to, c.state.get(from));
  c.state.set(to + 4, c.state.get(from + 4));
}
