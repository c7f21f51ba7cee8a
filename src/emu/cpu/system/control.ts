/**
 * Control and debug registers, POPF, STAC and CLAC, descriptor-table registers, INVLPG and INVPCID.
 *
 * Source: SDM Vol. 3A, 2.5 (control registers), 4.4.1 (PDPTE registers), 4.10 (TLBs), 9.8.5 (IA-32e mode), 17.2 (debug
 * registers); Vol. 2, MOV CR, MOV DR, LMSW, POPF, INVPCID. One PCID is cached at a time: a change of it drops the others'
 * translations, which is always allowed.
 */
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import { EXCEPTION } from '../isa/ops.ts';
import { PHYSICAL_BITS } from '../mmu/page-walk.ts';
import { EFLAGS } from '../state/flags.ts';
import { SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import { isCanonical, type SystemContext } from './context.ts';
import { CR0, CR4, DR6, DR7, EFER } from './control-bits.ts';
import { ACCESS_RIGHTS, SYSTEM_TYPE, systemType } from './descriptors.ts';

const CR0_KNOWN = CR0.pe | CR0.mp | CR0.em | CR0.ts | CR0.ne | CR0.wp | CR0.am | CR0.nw | CR0.cd | CR0.pg;
/** Bits whose change makes cached translations wrong (4.10.4.1). */
const CR4_PAGING = CR4.pse | CR4.pae | CR4.pge | CR4.pcide | CR4.smep | CR4.smap;
/** Those that have to do with the PDPTE registers (4.4.1). */
const CR4_PDPTE = CR4.pse | CR4.pae | CR4.pge | CR4.smep;
/** Upper half of an address beyond what CPUID announces. */
const BEYOND_PHYSICAL = ~((1 << (PHYSICAL_BITS - 32)) - 1);
const PCID_MASK = 0xfff;

const general = (c: SystemContext): Status => {
  c.fault(EXCEPTION.gp, 0);
  return STATUS.fault;
};

/** @param value low half; in 64-bit mode all of it is argument 1 */
export function moveToControl(c: SystemContext, number: number, value: number, apic?: LocalApicPort): Status {
  if (c.cpl !== 0) return general(c);
  const high = c.argumentHigh(1);
  switch (number) {
    case 0:
      return high === 0 ? writeCr0(c, value) : general(c);
    case 2:
      c.state.set(STATE.cr2, value);
      c.state.set(STATE.cr2 + 4, high);
      return STATUS.next;
    case 3:
      return writeCr3(c, value, high);
    case 4:
      return high === 0 ? writeCr4(c, value) : general(c);
    case 8:
      if (high !== 0 || value & ~15) return general(c);
      if (apic) apic.taskPriorityClass = value;
      else c.state.set(STATE.cr8, value);
      return STATUS.next;
    default:
      c.faultPlain(EXCEPTION.ud);
      return STATUS.fault;
  }
}

/** MOV from a control register, in 64-bit mode. */
export function moveFromControl(c: SystemContext, number: number, apic?: LocalApicPort): Status {
  if (c.cpl !== 0) return general(c);
  if (number === 8) {
    answer(c, apic ? apic.taskPriorityClass : c.state.get(STATE.cr8), 0);
    return STATUS.next;
  }
  const field = CONTROL_FIELDS[number];
  if (field === undefined) {
    c.faultPlain(EXCEPTION.ud);
    return STATUS.fault;
  }
  answer(c, c.state.get(field), c.state.get(field + 4));
  return STATUS.next;
}
const CONTROL_FIELDS: Readonly<Record<number, number>> = {
  0: STATE.cr0,
  2: STATE.cr2,
  3: STATE.cr3,
  4: STATE.cr4,
};

function answer(c: SystemContext, low: number, high: number): void {
  c.state.set(STATE.queryResult, low);
  c.state.set(STATE.queryResult + 4, high);
}

function writeCr0(c: SystemContext, value: number): Status {
  const { state, mmu } = c;
  const before = state.get(STATE.cr0);
  const next = (value & CR0_KNOWN) | CR0.et;
  if (next & CR0.pg && !(next & CR0.pe)) return general(c);
  if (next & CR0.nw && !(next & CR0.cd)) return general(c);
  const changed = before ^ next;
  const cr4 = state.get(STATE.cr4);
  const efer = state.get(STATE.efer);
  const long = (efer & EFER.lme) !== 0;
  if (changed & CR0.pg && !mayTogglePaging(c, (next & CR0.pg) !== 0)) return general(c);
  if (!long && next & CR0.pg && cr4 & CR4.pae && changed & (CR0.pg | CR0.cd | CR0.nw)) {
    if (!mmu.loadPdptes(state.get(STATE.cr3))) return general(c);
  }
  state.set(STATE.cr0, next);
  if (changed & CR0.pg && long) {
    state.set(STATE.efer, next & CR0.pg ? efer | EFER.lma : efer & ~EFER.lma);
    mmu.breakpointsChanged();
  }
  if (changed & (CR0.pg | CR0.wp | CR0.pe)) mmu.flush(false);
  if (changed & CR0.pe) c.protectionChanged();
  else if (changed & CR0.pg) c.updateMode();
  return c.advance();
}

/** The rules of 9.8.5 for entering and leaving IA-32e mode with CR0.PG. */
function mayTogglePaging(c: SystemContext, on: boolean): boolean {
  const { state } = c;
  const cr4 = state.get(STATE.cr4);
  if (!on) return !state.long && !(cr4 & CR4.pcide);
  if (!(state.get(STATE.efer) & EFER.lme)) return true;
  const tss = systemType(state.access(SEG.tr));
  const isTss16 = tss === SYSTEM_TYPE.tss16 || tss === SYSTEM_TYPE.tss16Busy;
  return (cr4 & CR4.pae) !== 0 && !(state.access(SEG.cs) & ACCESS_RIGHTS.long) && !isTss16;
}

function writeCr3(c: SystemContext, value: number, high: number): Status {
  const { state, mmu } = c;
  const cr4 = state.get(STATE.cr4);
  // Bit 63 asks to keep what is cached for the PCID.
  const base = cr4 & CR4.pcide ? high & 0x7fff_ffff : high;
  if (base & BEYOND_PHYSICAL) return general(c);
  if (!c.longMode && cr4 & CR4.pae && state.get(STATE.cr0) & CR0.pg && !mmu.loadPdptes(value)) return general(c);
  state.set(STATE.cr3, value);
  state.set(STATE.cr3 + 4, base);
  mmu.flush((cr4 & CR4.pge) !== 0);
  return c.advance();
}

function writeCr4(c: SystemContext, value: number): Status {
  const { state, mmu } = c;
  if (value & ~c.cr4Known) return general(c);
  const changed = state.get(STATE.cr4) ^ value;
  if (c.longMode) {
    if (!(value & CR4.pae)) return general(c);
  } else if (value & CR4.pcide) return general(c);
  if (changed & value & CR4.pcide && state.get(STATE.cr3) & PCID_MASK) return general(c);
  if (!c.longMode && value & CR4.pae && changed & CR4_PDPTE && state.get(STATE.cr0) & CR0.pg) {
    if (!mmu.loadPdptes(state.get(STATE.cr3))) return general(c);
  }
  state.set(STATE.cr4, value);
  if (changed & CR4_PAGING) mmu.flush(false);
  if (changed & CR4.smap) mmu.rightsChanged();
  return c.advance();
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

/** @param value low half; in 64-bit mode all of it is argument 1 */
export function moveToDebug(c: SystemContext, number: number, value: number): Status {
  const { state, mmu } = c;
  const n = debugRegister(c, number);
  if (n < 0) return STATUS.fault;
  const high = c.argumentHigh(1);
  if (n >= 6 && high !== 0) return general(c);
  if (n === 6) {
    state.set(STATE.dr6, (value & (DR6.hits | DR6.bd | DR6.bs | DR6.bt)) | DR6.ones);
    return STATUS.next;
  }
  if (n === 7) state.set(STATE.dr7, (value & ~DR7.zeros) | DR7.ones);
  else {
    state.set(STATE.dr + n * 8, value);
    state.set(STATE.dr + n * 8 + 4, high);
  }
  mmu.breakpointsChanged();
  c.updateMode();
  return c.advance();
}

export function moveFromDebug(c: SystemContext, number: number): Status {
  const { state } = c;
  const n = debugRegister(c, number);
  if (n < 0) return STATUS.fault;
  if (n >= 6) answer(c, state.get(n === 6 ? STATE.dr6 : STATE.dr7), 0);
  else answer(c, state.get(STATE.dr + n * 8), state.get(STATE.dr + n * 8 + 4));
  return STATUS.next;
}

const POPF16 = 0x7fd5;
const POPF32 = POPF16 | EFLAGS.ac | EFLAGS.id;

/** POPF: which bits change depends on CPL and IOPL. RF is cleared, VM, VIF and VIP stay. */
export function popFlags(c: SystemContext, bits: number): Status {
  const { state } = c;
  if (c.virtual8086 && c.iopl < 3) return general(c);
  const byteCount = bits >> 3;
  if (!c.readItem(0, byteCount)) return STATUS.fault;
  const image = c.itemLow;
  let mask = bits === 16 ? POPF16 : POPF32;
  if (c.protectionEnabled) {
    if (c.cpl > 0) mask &= ~EFLAGS.iopl;
    if (c.cpl > c.iopl) mask &= ~EFLAGS.if;
  }
  const before = state.get(STATE.eflags);
  c.setStackPointer(c.stackPointer + byteCount);
  c.setFlags(image & ~EFLAGS.rf, bits === 16 ? mask : mask | EFLAGS.rf);
  const changed = before ^ state.get(STATE.eflags);
  if (changed & EFLAGS.ac) c.mmu.rightsChanged();
  if (!(changed & EFLAGS.tf)) return STATUS.next;
  c.updateMode();
  return c.advance();
}

/** LGDT and LIDT. @param base low half; in 64-bit mode all of it is argument 1 */
export function loadTable(c: SystemContext, table: 'gdt' | 'idt', limit: number, base: number): Status {
  if (c.cpl !== 0) return general(c);
  if (!isCanonical(c.argumentAddress(1, base))) return general(c);
  const field = table === 'gdt' ? STATE.gdtBase : STATE.idtBase;
  c.state.set(table === 'gdt' ? STATE.gdtLimit : STATE.idtLimit, limit & 0xffff);
  c.state.set(field, base);
  c.state.set(field + 4, c.argumentHigh(1));
  return STATUS.next;
}

/** STAC and CLAC. */
export function setAlignmentCheck(c: SystemContext, on: boolean): Status {
  if (!c.features.has('smap') || c.cpl !== 0) {
    c.faultPlain(EXCEPTION.ud);
    return STATUS.fault;
  }
  c.setFlags(on ? EFLAGS.ac : 0, EFLAGS.ac);
  c.mmu.rightsChanged();
  return STATUS.next;
}

/** INVLPG. */
export function invalidatePage(c: SystemContext, linear: number): Status {
  if (c.cpl !== 0) return general(c);
  const at = c.argumentAddress(0, linear);
  // A non-canonical address has no translation to drop.
  if (isCanonical(at)) c.mmu.invalidatePage(at);
  return c.advance();
}

/**
 * INVPCID. The descriptor's halves are arguments 1 and 2, 64 bits in any mode.
 * @param type register operand, low half; in 64-bit mode all of it is argument 0
 */
export function invalidatePcid(c: SystemContext, type: number, pcid: number): Status {
  const { state, mmu } = c;
  if (!c.features.has('invpcid')) {
    c.faultPlain(EXCEPTION.ud);
    return STATUS.fault;
  }
  if (c.cpl !== 0) return general(c);
  if (type >>> 0 > 3 || c.argumentHigh(0) !== 0) return general(c);
  if (pcid & ~PCID_MASK || state.get(STATE.wideArgument + 12) !== 0) return general(c);
  const enabled = (state.get(STATE.cr4) & CR4.pcide) !== 0;
  if (type < 2 && !enabled && pcid !== 0) return general(c);
  const current = !enabled || (state.get(STATE.cr3) & PCID_MASK) === pcid;
  if (type === 0) {
    const linear = state.address(STATE.wideArgument + 16);
    if (!isCanonical(linear)) return general(c);
    if (current) mmu.invalidatePage(linear);
  } else if (type !== 1 || current) mmu.flush(type !== 2);
  return c.advance();
}
