/**
 * Task switches.
 *
 * Source: SDM Vol. 3A, 7.2 (task-state segments), 7.3 (task switching), 7.4 (task linking).
 * What fails before the commit (steps 1 to 8) faults in the old task; what fails after it faults in the new one, with its
 * EIP in STATE.eip.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { SEG, STATE } from '../state/layout.ts';
import type { SystemContext } from './context.ts';
import { CR0, CR4, DR6, DR7 } from './control-bits.ts';
import {
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
} from './descriptors.ts';

export type TaskSwitch = 'jump' | 'call' | 'return';

interface TssLayout {
  readonly bytes: number;
  readonly width: 2 | 4;
  readonly eip: number;
  readonly eflags: number;
  readonly gpr: number;
  /** ES CS SS DS, and FS GS in the 32-bit one. */
  readonly segments: number;
  readonly segmentCount: number;
  readonly ldt: number;
}
/** Figure 7-2. */
const TSS32: TssLayout = {
  bytes: 0x68,
  width: 4,
  eip: 0x20,
  eflags: 0x24,
  gpr: 0x28,
  segments: 0x48,
  segmentCount: 6,
  ldt: 0x60,
};
const TSS32_CR3 = 0x1c;
const TSS32_TRAP = 0x64;
/** Figure 7-10. */
const TSS16: TssLayout = {
  bytes: 0x2c,
  width: 2,
  eip: 0x0e,
  eflags: 0x10,
  gpr: 0x12,
  segments: 0x22,
  segmentCount: 4,
  ldt: 0x2a,
};

const EFLAGS_KNOWN = 0x003f_7fd5;

/** What a TSS says, read before anything changes. */
const incoming = { eip: 0, eflags: 0, ldt: 0, cr3: 0, trap: 0, gpr: new Int32Array(8), segments: new Int32Array(6) };

/**
 * @param selector of the new task's TSS, whose descriptor (`low`, `high`) was found valid and present
 * @param savedEip where the old task goes on
 * @returns false: fault was set
 */
export function switchTask(
  c: SystemContext,
  selector: number,
  low: number,
  high: number,
  kind: TaskSwitch,
  savedEip: number,
): boolean {
  const { state, mmu } = c;
  const access = descriptorAccess(high);
  const layout = access & 8 ? TSS32 : TSS16;
  const oldLayout = state.access(SEG.tr) & 8 ? TSS32 : TSS16;
  const base = descriptorBase(low, high);
  const oldBase = state.base(SEG.tr);
  const oldSelector = state.selector(SEG.tr);
  if (descriptorLimit(low, high) < layout.bytes - 1) return c.faultSelector(EXCEPTION.ts, selector);
  if (state.limit(SEG.tr) < oldLayout.bytes - 1) return c.faultSelector(EXCEPTION.ts, oldSelector);
  // Everything that will be touched must be reachable before the first change.
  if (!mmu.checkRead(base, layout.bytes, true) || !mmu.checkWrite(oldBase, oldLayout.bytes, true)) return false;
  if (kind === 'call' && !mmu.checkWrite(base, 2, true)) return false;
  if (kind !== 'return' && !mmu.checkWrite(c.descriptorAt(selector), 8, true)) return false;
  if (kind !== 'call' && !mmu.checkWrite(c.descriptorAt(oldSelector), 8, true)) return false;

  readTask(c, base, layout);
  if (kind !== 'call') setBusy(c, oldSelector, false);
  saveTask(c, oldBase, oldLayout, savedEip, kind === 'return');
  if (kind === 'call') mmu.writeLinear(base, 2, oldSelector, true);
  if (kind !== 'return') setBusy(c, selector, true);

  c.setSegment(SEG.tr, selector, base, descriptorLimit(low, high), access | TSS_BUSY);
  state.set(STATE.cr0, state.get(STATE.cr0) | CR0.ts);
  const eflags = layout.width === 4 ? incoming.eflags & EFLAGS_KNOWN : incoming.eflags & 0x7fd5;
  state.eflags = kind === 'call' ? eflags | EFLAGS.nt : eflags;
  state.set(STATE.eip, incoming.eip);
  for (let i = 0; i < 8; i++) state.setGpr(i, incoming.gpr[i]);
  state.set(STATE.dr7, state.get(STATE.dr7) & ~DR7.locals);
  mmu.breakpointsChanged();
  const loaded = loadAddressSpace(c, layout) && loadSegments(c, layout);
  if (loaded && incoming.trap & 1) state.set(STATE.pendingDebug, state.get(STATE.pendingDebug) | DR6.bt);
  c.protectionChanged();
  return loaded;
}

function readTask(c: SystemContext, base: number, layout: TssLayout): void {
  const read = (offset: number, byteCount: number): number => c.mmu.readLinear(base + offset, byteCount, true);
  incoming.eip = read(layout.eip, layout.width);
  incoming.eflags = read(layout.eflags, layout.width) | 0;
  for (let i = 0; i < 8; i++) incoming.gpr[i] = read(layout.gpr + i * layout.width, layout.width);
  for (let i = 0; i < 6; i++) {
    incoming.segments[i] = i < layout.segmentCount ? read(layout.segments + i * layout.width, 2) : 0;
  }
  incoming.ldt = read(layout.ldt, 2);
  incoming.cr3 = layout === TSS32 ? read(TSS32_CR3, 4) | 0 : 0;
  incoming.trap = layout === TSS32 ? read(TSS32_TRAP, 2) : 0;
}

function saveTask(c: SystemContext, base: number, layout: TssLayout, eip: number, clearNested: boolean): void {
  const { state, mmu } = c;
  const write = (offset: number, byteCount: number, value: number): void => {
    mmu.writeLinear(base + offset, byteCount, value, true);
  };
  write(layout.eip, layout.width, eip);
  write(layout.eflags, layout.width, clearNested ? state.eflags & ~EFLAGS.nt : state.eflags);
  for (let i = 0; i < 8; i++) write(layout.gpr + i * layout.width, layout.width, state.gpr(i));
  for (let i = 0; i < layout.segmentCount; i++) write(layout.segments + i * layout.width, 2, state.selector(i));
}

/** The busy bit in the GDT. Both writes were checked. */
function setBusy(c: SystemContext, selector: number, busy: boolean): void {
  const at = c.descriptorAt(selector) + 4;
  const high = c.mmu.readLinear(at, 4, true);
  const bit = TSS_BUSY << 8;
  c.mmu.writeLinear(at, 4, busy ? high | bit : high & ~bit, true);
}

function loadAddressSpace(c: SystemContext, layout: TssLayout): boolean {
  const { state, mmu } = c;
  // All selectors are in place, and unusable, before the first descriptor is looked at.
  for (let seg = 0; seg < 6; seg++) c.setNull(seg, incoming.segments[seg]);
  c.setNull(SEG.ldtr, incoming.ldt);
  c.setCpl(state.eflags & EFLAGS.vm ? 3 : incoming.segments[SEG.cs] & 3);
  if (layout === TSS32 && state.get(STATE.cr0) & CR0.pg) {
    const pae = (state.get(STATE.cr4) & CR4.pae) !== 0;
    if (pae && !mmu.loadPdptes(incoming.cr3)) return c.fault(EXCEPTION.gp, c.ext);
    state.set(STATE.cr3, incoming.cr3);
    mmu.flush((state.get(STATE.cr4) & CR4.pge) !== 0);
  }
  return true;
}

function loadSegments(c: SystemContext, layout: TssLayout): boolean {
  if (!loadLdt(c)) return false;
  const { segments } = incoming;
  if (c.virtual8086) {
    for (let seg = 0; seg < 6; seg++) c.setReal(seg, segments[seg]);
  } else {
    if (!loadCode(c, segments[SEG.cs]) || !loadStack(c, segments[SEG.ss])) return false;
    if (!loadData(c, SEG.ds, segments[SEG.ds]) || !loadData(c, SEG.es, segments[SEG.es])) return false;
    if (layout === TSS32) {
      if (!loadData(c, SEG.fs, segments[SEG.fs]) || !loadData(c, SEG.gs, segments[SEG.gs])) return false;
    }
  }
  return incoming.eip <= c.state.limit(SEG.cs) || c.generalProtection();
}

function loadLdt(c: SystemContext): boolean {
  const selector = incoming.ldt;
  if (isNullSelector(selector)) return true;
  if (selector & 4) return c.faultSelector(EXCEPTION.ts, selector);
  if (!c.readDescriptor(selector, EXCEPTION.ts)) return false;
  const access = descriptorAccess(c.high);
  if (systemType(access) !== SYSTEM_TYPE.ldt || !isPresent(access)) return c.faultSelector(EXCEPTION.ts, selector);
  c.setSegmentFrom(SEG.ldtr, selector, c.low, c.high);
  return true;
}

function loadCode(c: SystemContext, selector: number): boolean {
  if (isNullSelector(selector)) return c.faultSelector(EXCEPTION.ts, selector);
  if (!c.readDescriptor(selector, EXCEPTION.ts)) return false;
  const access = descriptorAccess(c.high);
  const dpl = descriptorDpl(access);
  const rpl = selector & 3;
  if (!isCode(access) || (isConformingCode(access) ? dpl > rpl : dpl !== rpl)) {
    return c.faultSelector(EXCEPTION.ts, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  return commit(c, SEG.cs, selector);
}

function loadStack(c: SystemContext, selector: number): boolean {
  if (isNullSelector(selector)) return c.faultSelector(EXCEPTION.ts, selector);
  if (!c.readDescriptor(selector, EXCEPTION.ts)) return false;
  const access = descriptorAccess(c.high);
  if (!isWritableData(access) || descriptorDpl(access) !== c.cpl || (selector & 3) !== c.cpl) {
    return c.faultSelector(EXCEPTION.ts, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.ss, selector);
  return commit(c, SEG.ss, selector);
}

function loadData(c: SystemContext, seg: number, selector: number): boolean {
  if (isNullSelector(selector)) return true;
  if (!c.readDescriptor(selector, EXCEPTION.ts)) return false;
  const access = descriptorAccess(c.high);
  if (!isReadable(access)) return c.faultSelector(EXCEPTION.ts, selector);
  if (!isConformingCode(access) && Math.max(selector & 3, c.cpl) > descriptorDpl(access)) {
    return c.faultSelector(EXCEPTION.ts, selector);
  }
  if (!isPresent(access)) return c.faultSelector(EXCEPTION.np, selector);
  return commit(c, seg, selector);
}

function commit(c: SystemContext, seg: number, selector: number): boolean {
  const { low, high } = c;
  if (!c.setAccessed(selector, high)) return false;
  c.setSegmentFrom(seg, selector, low, high | 0x100);
  return true;
}

/** Pushes the error code of the exception that switched to this task. @returns false: fault was set */
export function pushTaskError(c: SystemContext, errorCode: number): boolean {
  const byteCount = c.state.access(SEG.tr) & 8 ? 4 : 2;
  c.stack.useCurrent();
  if (!c.stack.reserve(1, byteCount)) return false;
  c.stack.push(byteCount, errorCode);
  c.setStackPointer(c.stack.pointer);
  return true;
}
