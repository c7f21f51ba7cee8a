/**
 * The system part of a virtual CPU: what instructions ask of it through SYSTEM_CALLS, and events from outside.
 *
 * Source: SDM Vol. 2 (each instruction) and Vol. 3A; 9.1.1 for the state after reset.
 * Not modelled: system-management mode, errors that machine checks report, performance counters, virtual-mode extensions,
 * alignment checks. MONITOR and MWAIT are not announced and raise #UD.
 */
import type { IoBus } from '#emu/bus/io-bus.ts';
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import type { InterruptSource } from '#emu/bus/wires.ts';
import type { EventHistory } from '../debug/event-history.ts';
import { EXCEPTION } from '../isa/ops.ts';
import type { Mmu } from '../mmu/mmu.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, HALTED, SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status, SYSTEM_CALLS, type SystemCall } from './calls.ts';
import { SystemContext } from './context.ts';
import * as control from './control.ts';
import { breakpointEnabled, breakpointKind, CR0, DR6, DR7 } from './control-bits.ts';
import { CpuFeatures } from './cpu-features.ts';
import { cpuid } from './cpuid.ts';
import { announceApic } from './cpuid-apic.ts';
import { mayInterrupt, NO_ERROR_CODE, raiseEvent, raisePending, softwareInterrupt } from './events.ts';
import { setXcr0, XCR0 } from './extended-state.ts';
import * as fast from './fast-calls.ts';
import { MISC_ENABLE, PAT_RESET, readMsr, readTsc, readTscAndAux, writeMsr } from './msr.ts';
import { resetRanges, setRangesAsFirmware } from './mtrr.ts';
import { inString, outString, portIn, portOut } from './ports.ts';
import { RandomNumbers } from './random-numbers.ts';
import { farReturn, interruptReturn } from './returns.ts';
import * as segments from './segments.ts';
import { farCall, farJump } from './transfers.ts';

/** MWAIT, ECX: interrupts end it even while IF is clear. */
const MWAIT_BREAKS_MASKED = 1;

export interface SystemParts {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly ports: IoBus;
  readonly interrupts: InterruptSource;
  /** Left out: the processor has none. */
  readonly localApic?: LocalApicPort | undefined;
  /** Ticks of the time-stamp counter since power-on: an integer below 2^53 that never runs backwards. */
  readonly tsc: () => number;
  /** See CpuParts. */
  readonly tscHolds?: number | undefined;
  /** Overwrites the bytes, at most 65 536, from a secure source; without one RDRAND and RDSEED are not announced. */
  readonly random?: ((into: Uint8Array) => void) | undefined;
  /** The x87 functions that are not rows: see float/. */
  readonly x87Transcendental: (which: number) => void;
  /** Default: all of them. */
  readonly features?: CpuFeatures;
  readonly callbacks?: SystemCallbacks;
}

export interface SystemCallbacks {
  /** HLT or MWAIT was executed. */
  readonly onHalt?: () => void;
  /** Triple fault: the board decides (usually a reset). */
  readonly onShutdown?: () => void;
  /**
   * An unmasked x87 exception with CR0.NE = 0: FERR# is asserted (IRQ 13).
   * @returns true when IGNNE# is asserted, so that the instruction runs all the same
   */
  readonly onFloatError?: () => boolean;
}

/** A handler takes up to four signed 32-bit arguments. */
type Handler = (a: number, b: number, c: number, d: number) => Status;

export class System {
  readonly #context: SystemContext;
  readonly #state: CpuState;
  readonly #mmu: Mmu;
  readonly #parts: SystemParts;
  readonly #handlers: readonly Handler[];
  readonly #random: RandomNumbers | undefined;
  /** TF was set when the instruction of this step began. */
  #stepArmed = false;

  constructor(parts: SystemParts) {
    this.#parts = parts;
    this.#random = parts.random && new RandomNumbers(parts.random);
    this.#state = parts.state;
    this.#mmu = parts.mmu;
    const features = parts.features ?? new CpuFeatures();
    const possible = parts.random ? features : features.without('rdrand', 'rdseed');
    this.#context = new SystemContext(parts.state, parts.mmu, possible);
    const handlers = this.#makeHandlers();
    this.#handlers = SYSTEM_CALLS.map((name) => handlers[name]);
  }

  get features(): CpuFeatures {
    return this.#context.features;
  }

  /** The exceptions that were delivered. */
  get history(): EventHistory {
    return this.#context.history;
  }

  /** Runs one system call by its number; STATE.eip and STATE.nextEip are those of the instruction. */
  call(number: number, a: number, b: number, c: number, d: number): Status {
    const status = this.#handlers[number](a, b, c, d);
    if (!this.#mmu.codeTouched) return status;
    this.#mmu.codeTouched = false;
    if (status !== STATUS.next) return status;
    // The block that runs was written to: leave it.
    return this.#context.advance();
  }

  /** State after power-on or RESET#: real mode, CS base FFFF0000h, EIP FFF0h. The A20 gate and the TSC stay. */
  reset(): void {
    const c = this.#context;
    const state = this.#state;
    for (let i = 0; i < 16; i++) state.setGpr(i, 0);
    state.setGpr(GPR.edx, c.features.signature);
    state.eflags = EFLAGS.reserved1;
    for (const field of ZERO_AT_RESET) state.set(field, 0);
    for (const field of WIDE_ZERO_AT_RESET) state.setAddress(field, 0);
    state.set(STATE.cr0, CR0.cd | CR0.nw | CR0.et);
    state.set(STATE.xcr0, XCR0.x87);
    state.set(STATE.idtLimit, 0xffff);
    state.set(STATE.gdtLimit, 0xffff);
    state.set(STATE.dr6, DR6.ones);
    state.set(STATE.dr7, DR7.ones);
    for (let n = 0; n < 4; n++) state.setAddress(STATE.dr + n * 8, 0);
    for (let i = 0; i < 8; i++) state.set(STATE.pdpte + i * 4, 0);
    state.set(STATE.pat, PAT_RESET);
    state.set(STATE.pat + 4, PAT_RESET);
    state.set(STATE.miscEnable, MISC_ENABLE.fastStrings | MISC_ENABLE.btsUnavailable | MISC_ENABLE.pebsUnavailable);
    resetRanges(state);
    state.set(STATE.faultVector, -1);
    c.clearInhibit();
    state.set(STATE.mode, 0);
    if (state.get(STATE.a20Mask) === 0) state.set(STATE.a20Mask, -1);
    for (let seg = 0; seg < 6; seg++) c.setSegment(seg, 0, 0, 0xffff, 0x93);
    c.setSegment(SEG.cs, 0xf000, 0xffff_0000, 0xffff, 0x93);
    c.setSegment(SEG.ldtr, 0, 0, 0xffff, 0x82);
    c.setSegment(SEG.tr, 0, 0, 0xffff, 0x8b);
    state.setAddress(STATE.eip, 0xfff0);
    state.setAddress(STATE.nextEip, 0);
    state.setAddress(STATE.blockEip, 0);
    state.set(STATE.xcr0, 1);
    this.#resetFloat();
    this.#stepArmed = false;
    this.#mmu.reset();
    c.updateMode();
  }

  /** x87 as FNINIT leaves it, MXCSR at its default, all data registers 0. */
  #resetFloat(): void {
    const state = this.#state;
    state.set(STATE.fpuControl, 0x37f);
    for (const field of FLOAT_ZERO) state.set(field, 0);
    state.set(STATE.mxcsr, 0x1f80);
    state.i32.fill(0, STATE.fpr >> 2, (STATE.fpr + 8 * 16) >> 2);
    state.i32.fill(0, STATE.xmm >> 2, (STATE.xmm + 16 * 64) >> 2);
  }

  /** Sets the memory type ranges as firmware does; see `setRangesAsFirmware`. */
  setMemoryTypes(deviceBase: number): void {
    setRangesAsFirmware(this.#state, deviceBase);
  }

  /** Takes everything derived from the state block anew: after a restore, or after registers were set from outside. */
  reload(): void {
    this.#stepArmed = false;
    this.#mmu.reset();
    this.#context.protectionChanged();
  }

  /** Loads a segment register in real mode's way, for firmware and boot entries. */
  loadRealSegment(seg: number, selector: number): void {
    this.#context.setReal(seg, selector);
    this.#context.updateMode();
  }

  /**
   * Loads a segment register's hidden part directly, for boot entries.
   * @param limit in bytes; `access`: see SEGMENT in state/layout.ts
   */
  setSegment(seg: number, selector: number, base: number, limit: number, access: number): void {
    this.#context.setSegment(seg, selector, base, limit, access);
    this.#context.updateMode();
  }

  /** Recomputes STATE.mode, after flags, segments or debug registers were changed from outside. */
  updateMode(): void {
    this.#context.updateMode();
  }

  // Events.

  /** Delivers STATE.fault*, and what its delivery raises. */
  deliverFault(): void {
    this.#stepArmed = false;
    this.#ended(raisePending(this.#context));
  }

  /**
   * Is a maskable interrupt taken now? Where STI or MOV SS holds it off the answer is no once: run on before asking again.
   */
  mayInterrupt(): boolean {
    return mayInterrupt(this.#context);
  }

  /** Delivers a maskable interrupt whose vector is known. */
  deliverInterrupt(vector: number): void {
    this.#raise(vector, 'external');
  }

  /** The INTA cycle, and the delivery. */
  acceptInterrupt(): void {
    this.deliverInterrupt(this.#parts.interrupts.acknowledge() & 0xff);
  }

  /** @returns false when NMIs are blocked until the next IRET: the caller keeps it pending */
  deliverNmi(): boolean {
    if (this.#state.get(STATE.nmiBlocked)) return false;
    this.#state.set(STATE.nmiBlocked, 1);
    this.#raise(EXCEPTION.nmi, 'external');
    return true;
  }

  /** Raises a #DB trap. @param cause DR6 bits */
  debugTrap(cause: number): void {
    const state = this.#state;
    state.set(STATE.dr6, state.get(STATE.dr6) | cause);
    state.set(STATE.pendingDebug, 0);
    this.#raise(EXCEPTION.db, 'trap');
    this.#context.updateMode();
  }

  /**
   * Before each instruction while MODE.step is set: delivers pending debug traps and instruction breakpoints.
   * @returns true when an exception was delivered: STATE.eip is its handler's
   */
  beginStep(): boolean {
    const state = this.#state;
    if (!this.#context.inhibited) {
      const pending = state.get(STATE.pendingDebug);
      if (pending !== 0) {
        this.debugTrap(pending);
        return true;
      }
    }
    if (!(state.get(STATE.eflags) & EFLAGS.rf)) {
      const hits = this.#instructionBreakpoints();
      if (hits !== 0) {
        this.debugTrap(hits);
        return true;
      }
    }
    this.#stepArmed = (state.get(STATE.eflags) & EFLAGS.tf) !== 0;
    // The shadow of the instruction before covers just this one.
    if (this.#context.inhibited) this.#context.clearInhibit();
    // RF holds for one instruction; one that loads it anew (IRET) does so after this.
    state.set(STATE.eflags, state.get(STATE.eflags) & ~EFLAGS.rf);
    return false;
  }

  /**
   * After an instruction that `beginStep` let run has completed without a fault.
   * @returns true when #DB was delivered
   */
  endStep(): boolean {
    const state = this.#state;
    if (this.#stepArmed) {
      this.#stepArmed = false;
      state.set(STATE.pendingDebug, state.get(STATE.pendingDebug) | DR6.bs);
    }
    const pending = state.get(STATE.pendingDebug);
    if (pending === 0) return false;
    if (this.#context.inhibited) return false;
    this.debugTrap(pending);
    return true;
  }

  #instructionBreakpoints(): number {
    const state = this.#state;
    const dr7 = state.get(STATE.dr7);
    if (!(dr7 & DR7.enables)) return 0;
    const { linearEip, longMode } = this.#context;
    let hits = 0;
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n) || breakpointKind(dr7, n) !== 0) continue;
      const at = longMode ? state.address(STATE.dr + n * 8) : state.get(STATE.dr + n * 8) >>> 0;
      if (at === linearEip) hits |= 1 << n;
    }
    return hits;
  }

  #raise(vector: number, kind: 'external' | 'trap'): void {
    this.#stepArmed = false;
    this.#ended(raiseEvent(this.#context, vector, NO_ERROR_CODE, kind, this.#context.eip));
  }

  #ended(delivered: boolean): void {
    // Handlers run in a new block anyway.
    this.#mmu.codeTouched = false;
    if (!delivered) this.#parts.callbacks?.onShutdown?.();
  }

  #software(vector: number, kind: 'int' | 'intTrap' | 'trap'): Status {
    const status = softwareInterrupt(this.#context, vector, kind);
    // INT clears TF, so a debugger's step ends in the handler without a trap (17.3.1.4).
    if (status === STATUS.jumped) this.#stepArmed = false;
    return status;
  }

  #makeHandlers(): Record<SystemCall, Handler> {
    const c = this.#context;
    const { ports, tsc, tscHolds = 0, localApic, x87Transcendental } = this.#parts;
    return {
      loadSegment: (seg, selector) => segments.loadSegment(c, seg, selector),
      popSegment: (seg, bits) => segments.popSegment(c, seg, bits),
      loadFarPointer: (seg, selector, gpr, offset) => segments.loadFarPointer(c, seg, selector, gpr, offset),
      farJump: (selector, offset, bits) => farJump(c, selector, offset, bits),
      farCall: (selector, offset, bits) => farCall(c, selector, offset, bits),
      farReturn: (bits, release) => farReturn(c, bits, release),
      interruptReturn: (bits) => interruptReturn(c, bits),
      softwareInterrupt: (vector) => this.#software(vector & 0xff, 'int'),
      int3: () => this.#software(EXCEPTION.bp, 'intTrap'),
      into: () => (this.#state.eflags & EFLAGS.of ? this.#software(EXCEPTION.of, 'intTrap') : STATUS.next),
      int1: () => this.#software(EXCEPTION.db, 'trap'),
      popFlags: (bits) => control.popFlags(c, bits),
      halt: () => this.#halt(),
      in: (port, bits) => portIn(c, ports, port, bits),
      out: (port, bits, value) => portOut(c, ports, port, bits, value),
      inString: (bits, how) => inString(c, ports, bits, how),
      outString: (bits, how, base) => outString(c, ports, bits, how, base),
      movToCr: (number, value) => control.moveToControl(c, number, value, localApic),
      movFromCr: (number) => control.moveFromControl(c, number, localApic),
      movToDr: (number, value) => control.moveToDebug(c, number, value),
      movFromDr: (number) => control.moveFromDebug(c, number),
      clts: () => control.clearTaskSwitched(c),
      lmsw: (value) => control.loadMachineStatus(c, value),
      loadGdt: (limit, base) => control.loadTable(c, 'gdt', limit, base),
      loadIdt: (limit, base) => control.loadTable(c, 'idt', limit, base),
      loadLdt: (selector) => segments.loadLdt(c, selector & 0xffff),
      loadTr: (selector) => segments.loadTr(c, selector & 0xffff),
      lar: (selector) => segments.descriptorQuery(c, selector, 'access'),
      lsl: (selector) => segments.descriptorQuery(c, selector, 'limit'),
      verr: (selector) => segments.verify(c, selector, false),
      verw: (selector) => segments.verify(c, selector, true),
      invlpg: (linear) => control.invalidatePage(c, linear),
      invpcid: (type, pcid) => control.invalidatePcid(c, type, pcid),
      // Caches are coherent and not modelled: only the privilege check is left.
      invd: () => this.#privileged(),
      wbinvd: () => this.#privileged(),
      cpuid: () => this.#cpuid(),
      rdtsc: () => readTsc(c, tsc(), tscHolds),
      rdtscp: () => readTscAndAux(c, tsc(), tscHolds),
      rdmsr: () => readMsr(c, tsc(), localApic),
      wrmsr: () => writeMsr(c, tsc(), localApic),
      // No counter is announced, so every ECX is invalid.
      rdpmc: () => this.#generalProtection(),
      sysenter: () => fast.sysenter(c),
      sysexit: (bits) => fast.sysexit(c, bits),
      syscall: () => fast.syscall(c),
      sysret: (bits) => fast.sysret(c, bits),
      clac: () => control.setAlignmentCheck(c, false),
      stac: () => control.setAlignmentCheck(c, true),
      monitor: () => this.#monitor(0),
      mwait: () => this.#monitor(MWAIT_BREAKS_MASKED) || this.#wait(),
      checkSegment: (seg, offset, byteCount, write) => segments.checkSegment(c, seg, offset, byteCount, write !== 0),
      checkStack: (byteCount, push) => segments.checkStack(c, byteCount, push !== 0),
      floatError: () => this.#floatError(),
      xsetbv: () => setXcr0(c),
      random: () => this.#randomWord(),
      x87Transcendental: (which) => {
        x87Transcendental(which);
        return STATUS.next;
      },
    };
  }

  #halt(): Status {
    const state = this.#state;
    if (state.get(STATE.cpl) !== 0) return this.#generalProtection();
    state.set(STATE.halted, HALTED.hlt);
    this.#parts.callbacks?.onHalt?.();
    return this.#context.advance();
  }

  /**
   * What MONITOR and MWAIT check. The line that MONITOR names is not watched: whatever might write to it wakes MWAIT, for
   * which software has to be prepared (SDM Vol. 3A, 9.10.4, false wakeups).
   * @param extensions the bits that ECX may have
   */
  #monitor(extensions: number): Status {
    const state = this.#state;
    const enabled = (state.get(STATE.miscEnable) & MISC_ENABLE.monitor) !== 0;
    if (!enabled || state.get(STATE.cpl) !== 0) return this.#plainFault(EXCEPTION.ud);
    return state.gpr(GPR.ecx) & ~extensions ? this.#generalProtection() : STATUS.next;
  }

  /** MWAIT; the hint in EAX changes nothing, every sleep is C1. */
  #wait(): Status {
    const state = this.#state;
    state.set(STATE.halted, state.gpr(GPR.ecx) & MWAIT_BREAKS_MASKED ? HALTED.mwaitMasked : HALTED.mwait);
    this.#parts.callbacks?.onHalt?.();
    return this.#context.advance();
  }

  #cpuid(): Status {
    const state = this.#state;
    const limited = (state.get(STATE.miscEnable) & MISC_ENABLE.limitCpuid) !== 0;
    const leaf = state.gpr(GPR.eax) >>> 0;
    const subleaf = state.gpr(GPR.ecx) >>> 0;
    const { features } = this.#context;
    const monitor = (state.get(STATE.miscEnable) & MISC_ENABLE.monitor) !== 0;
    const now = { cr4: state.get(STATE.cr4), xcr0: state.get(STATE.xcr0), monitor };
    const answer = cpuid(features, leaf, subleaf, limited, now);
    const { localApic } = this.#parts;
    if (localApic && !features.override(leaf, subleaf)) announceApic(answer, leaf, localApic, features);
    const [eax, ebx, ecx, edx] = answer;
    state.setGpr(GPR.eax, eax);
    state.setGpr(GPR.ebx, ebx);
    state.setGpr(GPR.ecx, ecx);
    state.setGpr(GPR.edx, edx);
    return STATUS.next;
  }

  #floatError(): Status {
    if (this.#state.get(STATE.cr0) & CR0.ne) return this.#plainFault(EXCEPTION.mf);
    if (this.#parts.callbacks?.onFloatError?.()) return STATUS.next;
    // The processor waits in front of the instruction for the interrupt (SDM Vol. 1, 8.7.2).
    return STATUS.jumped;
  }

  #randomWord(): Status {
    if (this.#random === undefined) return this.#plainFault(EXCEPTION.ud);
    this.#state.set(STATE.queryResult, this.#random.next());
    return STATUS.next;
  }

  #privileged(): Status {
    return this.#state.get(STATE.cpl) === 0 ? STATUS.next : this.#generalProtection();
  }
  #generalProtection(): Status {
    this.#context.fault(EXCEPTION.gp, 0);
    return STATUS.fault;
  }
  #plainFault(vector: number): Status {
    this.#context.faultPlain(vector);
    return STATUS.fault;
  }
}

const ZERO_AT_RESET: readonly number[] = [
  STATE.cpl,
  STATE.halted,
  STATE.shutdown,
  STATE.pendingDebug,
  STATE.nmiBlocked,
  STATE.selfModifyOk,
  STATE.cr8,
];

/** 8 bytes each. */
const WIDE_ZERO_AT_RESET: readonly number[] = [
  STATE.cr2,
  STATE.cr3,
  STATE.cr4,
  STATE.gdtBase,
  STATE.idtBase,
  STATE.efer,
  STATE.tscAdjust,
  STATE.sysenterCs,
  STATE.sysenterEsp,
  STATE.sysenterEip,
  STATE.star,
  STATE.lstar,
  STATE.cstar,
  STATE.fmask,
  STATE.kernelGsBase,
  STATE.tscAux,
  STATE.xcr0,
];

const FLOAT_ZERO: readonly number[] = [
  STATE.fpuStatus,
  STATE.fpuTop,
  STATE.fpuTags,
  STATE.fpuOpcode,
  STATE.fpuIp,
  STATE.fpuCs,
  STATE.fpuDp,
  STATE.fpuDs,
];
