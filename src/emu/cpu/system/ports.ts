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
  const tss = state.address(CpuState.segment(SEG.tr));
  const type = systemType(state.access(SEG.tr));
  if (type !== SYSTEM_TYPE.tss32 && type !== SYSTEM_TYPE.tss32Busy) return c.fault(EXCEPTION.gp, 0);
  if (limit < PERMISSION_MAP_BASE + 1) return c.fault(EXCEPTION.gp, 0);
  const map = mmu.readLinear(tss + PERMISSION_MAP_BASE, 2, true);
  if (map < 0) return false;
  // Two bytes are always read, so that an access may straddle.
  const at = map + (port >> 3);
  if (at + 1 > limit) return c.fault(EXCEPTION.gp, 0);
  const bits = mmu.readLinear(tss + at, 2, true);
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
  // What was read may be a clock, to be compared with this one.
  c.state.set(STATE.tscHolds, 0);
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

/** A count or index register, cut to the address size: signed with 64 bits, else unsigned. */
function indexOf(c: SystemContext, register: number, how: number): number {
  if (how & STRING_IO.address64) return c.state.address(STATE.gpr + register * 8);
  return how & STRING_IO.address32 ? c.state.gpr(register) >>> 0 : c.state.gpr(register) & 0xffff;
}

/** Adds to such a register, exactly whatever it holds. @param step between -2^31 and 2^31 */
function addToIndex(c: SystemContext, register: number, how: number, step: number): void {
  const { state } = c;
  const field = STATE.gpr + register * 8;
  if (how & STRING_IO.address64) {
    const sum = (state.get(field) >>> 0) + step;
    state.set(field, sum | 0);
    state.set(field + 4, (state.get(field + 4) + Math.floor(sum / 0x1_0000_0000)) | 0);
  } else if (how & STRING_IO.address32) state.setGpr(register, state.gpr(register) + step);
  else state.setGpr16(register, state.gpr(register) + step);
}

/** Runs `one` as often as the repeat prefix says; registers are exact after each iteration. */
function repeat(c: SystemContext, how: number, byteCount: number, index: number, one: (at: number) => boolean): Status {
  const { state } = c;
  const step = state.get(STATE.eflags) & EFLAGS.df ? -byteCount : byteCount;
  const repeated = (how & STRING_IO.repeat) !== 0;
  for (let burst = 0; !repeated || indexOf(c, GPR.ecx, how) !== 0; burst++) {
    if (burst === BURST || (burst > 0 && state.get(STATE.pendingDebug) !== 0)) {
      // The instruction goes on from its registers, after whatever waits.
      state.set(STATE.budget, state.get(STATE.budget) - burst);
      return STATUS.jumped;
    }
    if (!one(indexOf(c, index, how))) return STATUS.fault;
    addToIndex(c, index, how, step);
    if (!repeated) break;
    addToIndex(c, GPR.ecx, how, -1);
  }
  return STATUS.next;
}

/** INS. The port is read only once the destination is known to take the value. */
export function inString(c: SystemContext, bus: IoBus, bits: number, how: number): Status {
  const byteCount = (bits >> 3) as Width;
  const port = c.state.gpr(GPR.edx) & 0xffff;
  if (!checkPort(c, port, byteCount)) return STATUS.fault;
  return repeat(c, how, byteCount, GPR.edi, (at) => {
    const { long } = c.state;
    if (!long && checkSegment(c, SEG.es, at, byteCount, true) !== STATUS.next) return false;
    const linear = long ? at : (c.state.base(SEG.es) + at) >>> 0;
    if (!c.mmu.checkWrite(linear, byteCount, c.supervisor)) return false;
    noteBreakpoints(c, port, byteCount);
    c.mmu.writeLinear(linear, byteCount, bus.read(port, byteCount), c.supervisor);
    return true;
  });
}

/** OUTS. @param base of the source segment, which a prefix may have chosen; in 64-bit mode argument 2 */
export function outString(c: SystemContext, bus: IoBus, bits: number, how: number, base: number): Status {
  const byteCount = (bits >> 3) as Width;
  const port = c.state.gpr(GPR.edx) & 0xffff;
  if (!checkPort(c, port, byteCount)) return STATUS.fault;
  const { long } = c.state;
  const seg = long ? SEG.ds : sourceSegment(c);
  const wideBase = c.argumentAddress(2, base);
  return repeat(c, how, byteCount, GPR.esi, (at) => {
    if (!long && checkSegment(c, seg, at, byteCount, false) !== STATUS.next) return false;
    const linear = long ? wideBase + at : (base + at) >>> 0;
    const value = c.mmu.readLinear(linear, byteCount, c.supervisor);
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
