/**
 * Control and debug registers, POPF, SYSENTER and SYSEXIT, descriptor-table registers.
 *
 * Source: SDM Vol. 3A, 2.5 (control registers), 4.4.1 (PDPTE registers), 17.2 (debug registers); Vol. 2, MOV CR, MOV DR,
 * LMSW, POPF, SYSENTER, SYSEXIT.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import type { SystemContext } from './context.ts';
import { CR0, CR4, DR6, DR7 } from './control-bits.ts';

const CR0_KNOWN = CR0.pe | CR0.mp | CR0.em | CR0.ts | CR0.ne | CR0.wp | CR0.am | CR0.nw | CR0.cd | CR0.pg;
/** Bits whose change makes cached translations wrong (4.10.4.1). */
const CR4_PAGING = CR4.pse | CR4.pae | CR4.pge;

const general = (c: SystemContext): Status => {
  c.fault(EXCEPTION.gp, 0);
  return STATUS.fault;
};

/** After something that changes what the next bytes mean. */
function lookUpNext(c: SystemContext): Status {
  c.state.set(STATE.eip, c.state.get(STATE.nextEip));
  return STATUS.jumped;
}

export function moveToControl(c: SystemContext, number: number, value: number): Status {
  if (c.cpl !== 0) return general(c);
  switch (number) {
    case 0:
      return writeCr0(c, value);
    case 2:
      c.state.set(STATE.cr2, value);
      return STATUS.next;
    case 3:
      return writeCr3(c, value);
    case 4:
      return writeCr4(c, value);
    default:
      c.faultPlain(EXCEPTION.ud);
      return STATUS.fault;
  }
}

function writeCr0(c: SystemContext, value: number): Status {
  const { state, mmu } = c;
  const before = state.get(STATE.cr0);
  const next = (value & CR0_KNOWN) | CR0.et;
  if (next & CR0.pg && !(next & CR0.pe)) return general(c);
  if (next & CR0.nw && !(next & CR0.cd)) return general(c);
  const changed = before ^ next;
  const pae = (state.get(STATE.cr4) & CR4.pae) !== 0;
  if (next & CR0.pg && pae && changed & (CR0.pg | CR0.cd | CR0.nw)) {
    if (!mmu.loadPdptes(state.get(STATE.cr3))) return general(c);
  }
  state.set(STATE.cr0, next);
  if (changed & (CR0.pg | CR0.wp | CR0.pe)) mmu.flush(false);
  if (changed & CR0.pe) c.protectionChanged();
  return lookUpNext(c);
}

function writeCr3(c: SystemContext, value: number): Status {
  const { state, mmu } = c;
  const cr4 = state.get(STATE.cr4);
  if (cr4 & CR4.pae && state.get(STATE.cr0) & CR0.pg && !mmu.loadPdptes(value)) return general(c);
  state.set(STATE.cr3, value);
  mmu.flush((cr4 & CR4.pge) !== 0);
  return lookUpNext(c);
}

function writeCr4(c: SystemContext, value: number): Status {
  const { state, mmu } = c;
  if (value & ~c.cr4Known) return general(c);
  const changed = state.get(STATE.cr4) ^ value;
  if (value & CR4.pae && changed & CR4_PAGING && state.get(STATE.cr0) & CR0.pg) {
    if (!mmu.loadPdptes(state.get(STATE.cr3))) return general(c);
  }
  state.set(STATE.cr4, value);
  if (changed & CR4_PAGING) mmu.flush(false);
  return lookUpNext(c);
}

/** LMSW: PE can be set, not cleared. */
export function loadMachineStatus(c: SystemContext, value: number): Status {
  if (c.cpl !== 0) return general(c);
  const low = CR0.pe | CR0.mp | CR0.em | CR0.ts;
  const before = c.state.get(STATE.cr0);
  return writeCr0(c, (before & ~low) | (value & low) | (before & CR0.pe));
}

export function clearTaskSwitched(c: SystemContext): Status {
  if (c.cpl !== 0) return general(c);
  c.state.set(STATE.cr0, c.state.get(STATE.cr0) & ~CR0.ts);
  return STATUS.next;
}

/** The register that a number means, or -1 when a fault was set. DR4 and DR5 are DR6 and DR7 unless CR4.DE. */
function debugRegister(c: SystemContext, number: number): number {
  const { state } = c;
  if (c.cpl !== 0) {
    c.fault(EXCEPTION.gp, 0);
    return -1;
  }
  const isAlias = number === 4 || number === 5;
  if (isAlias && state.get(STATE.cr4) & CR4.de) {
    c.faultPlain(EXCEPTION.ud);
    return -1;
  }
  if (state.get(STATE.dr7) & DR7.gd) {
    state.set(STATE.dr6, state.get(STATE.dr6) | DR6.bd);
    c.faultPlain(EXCEPTION.db);
    return -1;
  }
  return isAlias ? number + 2 : number;
}

export function moveToDebug(c: SystemContext, number: number, value: number): Status {
  const { state, mmu } = c;
  const n = debugRegister(c, number);
  if (n < 0) return STATUS.fault;
  if (n === 6) {
    state.set(STATE.dr6, (value & (DR6.hits | DR6.bd | DR6.bs | DR6.bt)) | DR6.ones);
    return STATUS.next;
  }
  if (n === 7) state.set(STATE.dr7, (value & ~DR7.zeros) | DR7.ones);
  else state.set(STATE.dr + n * 8, value);
  mmu.breakpointsChanged();
  c.updateMode();
  return lookUpNext(c);
}

export function moveFromDebug(c: SystemContext, number: number): Status {
  const { state } = c;
  const n = debugRegister(c, number);
  if (n < 0) return STATUS.fault;
  state.set(STATE.queryResult, state.get(n === 6 ? STATE.dr6 : n === 7 ? STATE.dr7 : STATE.dr + n * 8));
  return STATUS.next;
}

const POPF16 = 0x7fd5;
const POPF32 = POPF16 | EFLAGS.ac | EFLAGS.id;

/** POPF: which bits change depends on CPL and IOPL. RF is cleared, VM, VIF and VIP stay. */
export function popFlags(c: SystemContext, bits: number): Status {
  const { state } = c;
  if (c.virtual8086 && c.iopl < 3) return general(c);
  const byteCount = bits >> 3;
  const image = c.peek(0, byteCount);
  if (image < 0) return STATUS.fault;
  let mask = bits === 32 ? POPF32 : POPF16;
  if (c.protectionEnabled) {
    if (c.cpl > 0) mask &= ~EFLAGS.iopl;
    if (c.cpl > c.iopl) mask &= ~EFLAGS.if;
  }
  const before = state.get(STATE.eflags);
  c.setStackPointer(state.gpr(GPR.esp) + byteCount);
  c.setFlags(image & ~EFLAGS.rf, bits === 32 ? mask | EFLAGS.rf : mask);
  if (!((before ^ state.get(STATE.eflags)) & EFLAGS.tf)) return STATUS.next;
  c.updateMode();
  return lookUpNext(c);
}

/** Access rights of flat segments that SYSENTER and SYSEXIT load: code and data, 4 GB, accessed, by DPL. */
const flatCode = (dpl: number): number => 0xc09b | (dpl << 5);
const flatData = (dpl: number): number => 0xc093 | (dpl << 5);

function loadFlat(c: SystemContext, code: number, data: number, level: number, eip: number, esp: number): Status {
  const { state } = c;
  c.setSegment(SEG.cs, code | level, 0, -1, flatCode(level));
  c.setSegment(SEG.ss, data | level, 0, -1, flatData(level));
  c.setCpl(level);
  state.set(STATE.eip, eip);
  state.setGpr(GPR.esp, esp);
  return STATUS.jumped;
}

export function sysenter(c: SystemContext): Status {
  const { state } = c;
  const selector = state.get(STATE.sysenterCs) & 0xfffc;
  if (!c.protectionEnabled || selector === 0) return general(c);
  const fromVirtual = c.virtual8086;
  state.set(STATE.eflags, state.get(STATE.eflags) & ~(EFLAGS.vm | EFLAGS.if | EFLAGS.rf));
  loadFlat(c, selector, selector + 8, 0, state.get(STATE.sysenterEip), state.get(STATE.sysenterEsp));
  if (fromVirtual) c.protectionChanged();
  else c.updateMode();
  return STATUS.jumped;
}

export function sysexit(c: SystemContext): Status {
  const { state } = c;
  const selector = state.get(STATE.sysenterCs) & 0xfffc;
  if (!c.protectionEnabled || selector === 0 || c.cpl !== 0) return general(c);
  loadFlat(c, selector + 16, selector + 24, 3, state.gpr(GPR.edx), state.gpr(GPR.ecx));
  c.updateMode();
  return STATUS.jumped;
}

/** LGDT and LIDT. @param table 'gdt' or 'idt' */
export function loadTable(c: SystemContext, table: 'gdt' | 'idt', limit: number, base: number): Status {
  if (c.cpl !== 0) return general(c);
  c.state.set(table === 'gdt' ? STATE.gdtLimit : STATE.idtLimit, limit & 0xffff);
  c.state.set(table === 'gdt' ? STATE.gdtBase : STATE.idtBase, base);
  return STATUS.next;
}

/** INVLPG. */
export function invalidatePage(c: SystemContext, linear: number): Status {
  if (c.cpl !== 0) return general(c);
  c.mmu.invalidatePage(linear);
  return lookUpNext(c);
}
