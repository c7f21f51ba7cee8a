/**
 * I/O instructions.
 *
 * Source: SDM Vol. 1, 18.5 (protection of I/O), Vol. 2A IN, INS, OUT, OUTS; Vol. 3A, 17.2.4 (I/O breakpoints).
 */
import type { IoBus, Width } from '#emu/bus/io-bus.ts';
import { EXCEPTION } from '../isa/ops.ts';
import { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, RECORD, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STATUS, STRING_IO, type Status } from './calls.ts';
import type { SystemContext } from './context.ts';
import { breakpointBytes, breakpointEnabled, breakpointKind, CR4, DR7 } from './control-bits.ts';
import { SYSTEM_TYPE, systemType } from './descriptors.ts';
import { checkSegment } from './segments.ts';

const PERMISSION_MAP_BASE = 0x66;
/** Iterations of a repeated INS or OUTS between two looks at interrupts: a disk sector's worth. */
const BURST = 256;

/** May this code access `byteCount` ports from `port`? @returns false: #GP(0) was set */
export function checkPort(c: SystemContext, port: number, byteCount: number): boolean {
  if (!c.protectionEnabled || (!c.virtual8086 && c.cpl <= c.iopl)) return true;
  const { state, mmu } = c;
  const limit = state.limit(SEG.tr);
  const type = systemType(state.access(SEG.tr));
  if (type !== SYSTEM_TYPE.tss32 && type !== SYSTEM_TYPE.tss32Busy) return c.fault(EXCEPTION.gp, 0);
  if (limit < PERMISSION_MAP_BASE + 1) return c.fault(EXCEPTION.gp, 0);
  const map = mmu.readLinear((state.base(SEG.tr) + PERMISSION_MAP_BASE) | 0, 2, true);
  if (map < 0) return false;
  // Two bytes are always read, so that an access may straddle.
  const at = map + (port >> 3);
  if (at + 1 > limit) return c.fault(EXCEPTION.gp, 0);
  const bits = mmu.readLinear((state.base(SEG.tr) + at) | 0, 2, true);
  if (bits < 0) return false;
  return ((bits >> (port & 7)) & ((1 << byteCount) - 1)) === 0 || c.fault(EXCEPTION.gp, 0);
}

function noteBreakpoints(c: SystemContext, port: number, byteCount: number): void {
  const { state } = c;
  const dr7 = state.get(STATE.dr7);
  if (!(dr7 & DR7.enables) || !(state.get(STATE.cr4) & CR4.de)) return;
  for (let n = 0; n < 4; n++) {
    if (!breakpointEnabled(dr7, n) || breakpointKind(dr7, n) !== 2) continue;
    const bytes = breakpointBytes(dr7, n);
    const from = state.get(STATE.dr + n * 8) & -bytes;
    if (port < from + bytes && from < port + byteCount) {
      state.set(STATE.pendingDebug, state.get(STATE.pendingDebug) | (1 << n));
    }
  }
}

export function portIn(c: SystemContext, bus: IoBus, port: number, bits: number): Status {
  const byteCount = (bits >> 3) as Width;
  const at = port & 0xffff;
  if (!checkPort(c, at, byteCount)) return STATUS.fault;
  noteBreakpoints(c, at, byteCount);
  c.state.set(STATE.queryResult, bus.read(at, byteCount));
  return STATUS.next;
}

export function portOut(c: SystemContext, bus: IoBus, port: number, bits: number, value: number): Status {
  const byteCount = (bits >> 3) as Width;
  const at = port & 0xffff;
  if (!checkPort(c, at, byteCount)) return STATUS.fault;
  noteBreakpoints(c, at, byteCount);
  bus.write(at, byteCount, bits === 32 ? value >>> 0 : value & (bits === 16 ? 0xffff : 0xff));
  return STATUS.next;
}

/** A count or index register, cut to the address size. */
const indexOf = (c: SystemContext, register: number, wide: boolean): number =>
  wide ? c.state.gpr(register) >>> 0 : c.state.gpr(register) & 0xffff;

function setIndex(c: SystemContext, register: number, wide: boolean, value: number): void {
  if (wide) c.state.setGpr(register, value);
  else c.state.setGpr16(register, value);
}

/** Runs `one` as often as the repeat prefix says; registers are exact after each iteration. */
function repeat(c: SystemContext, how: number, byteCount: number, index: number, one: (at: number) => boolean): Status {
  const { state } = c;
  const wide = (how & STRING_IO.address32) !== 0;
  const step = state.get(STATE.eflags) & EFLAGS.df ? -byteCount : byteCount;
  const repeated = (how & STRING_IO.repeat) !== 0;
  let left = repeated ? indexOf(c, GPR.ecx, wide) : 1;
  for (let burst = 0; left > 0; burst++) {
    if (burst === BURST || state.get(STATE.pendingDebug) !== 0) {
      // The instruction goes on from its registers, after whatever waits.
      state.set(STATE.budget, state.get(STATE.budget) - burst);
      return STATUS.jumped;
    }
    if (!one(indexOf(c, index, wide))) return STATUS.fault;
    setIndex(c, index, wide, indexOf(c, index, wide) + step);
    left--;
    if (repeated) setIndex(c, GPR.ecx, wide, left);
  }
  return STATUS.next;
}

/** INS. The port is read only once the destination is known to take the value. */
export function inString(c: SystemContext, bus: IoBus, bits: number, how: number): Status {
  const byteCount = (bits >> 3) as Width;
  const port = c.state.gpr(GPR.edx) & 0xffff;
  if (!checkPort(c, port, byteCount)) return STATUS.fault;
  return repeat(c, how, byteCount, GPR.edi, (at) => {
    if (checkSegment(c, SEG.es, at, byteCount, true) !== STATUS.next) return false;
    const linear = (c.state.base(SEG.es) + at) | 0;
    if (!c.mmu.checkWrite(linear, byteCount, c.supervisor)) return false;
    noteBreakpoints(c, port, byteCount);
    c.mmu.writeLinear(linear, byteCount, bus.read(port, byteCount), c.supervisor);
    return true;
  });
}

/** OUTS. @param base of the source segment, which a prefix may have chosen */
export function outString(c: SystemContext, bus: IoBus, bits: number, how: number, base: number): Status {
  const byteCount = (bits >> 3) as Width;
  const port = c.state.gpr(GPR.edx) & 0xffff;
  if (!checkPort(c, port, byteCount)) return STATUS.fault;
  const seg = sourceSegment(c);
  return repeat(c, how, byteCount, GPR.esi, (at) => {
    if (checkSegment(c, seg, at, byteCount, false) !== STATUS.next) return false;
    const value = c.mmu.readLinear((base + at) | 0, byteCount, c.supervisor);
    if (value < 0) return false;
    noteBreakpoints(c, port, byteCount);
    bus.write(port, byteCount, value);
    return true;
  });
}

/** The segment the record names; where code is flat a record may name none, and DS is as good as any. */
function sourceSegment(c: SystemContext): number {
  const slot = c.mmu.readOwn16(c.state.get(STATE.record) + RECORD.segment) - c.state.at - CpuState.segment(0);
  const seg = slot / SEGMENT.bytes;
  return Number.isInteger(seg) && seg >= 0 && seg < 6 ? seg : SEG.ds;
}
