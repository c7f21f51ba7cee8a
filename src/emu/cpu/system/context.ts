/**
 * What all parts of the system side share: registers, faults, descriptors, stacks and the mode word.
 *
 * Source: SDM Vol. 3A, chapters 3, 5 and 6. A guest fault is a value: `fault` notes it in the state block and returns
 * false, and every caller passes that on before anything visible has changed.
 */

import { EventHistory } from '../debug/event-history.ts';
import { EXCEPTION } from '../isa/ops.ts';
import type { Mmu } from '../mmu/mmu.ts';
import { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, MODE, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { CR0, cr4Known, DR7 } from './control-bits.ts';
import type { CpuFeatures } from './cpu-features.ts';
import {
  ACCESS_RIGHTS,
  descriptorAccess,
  descriptorBase,
  descriptorLimit,
  isCode,
  isReadable,
  isWritableData,
  selectorError,
  withinLimit,
} from './descriptors.ts';

/** Access rights of segments in virtual-8086 mode: read-write data, accessed, present, DPL 3. */
const V86_ACCESS = 0xf3;
const REAL_ACCESS = 0x93;

export class SystemContext {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly stack: PushStack;
  readonly features: CpuFeatures;
  /** CR4 bits that can be set. */
  readonly cr4Known: number;
  readonly history = new EventHistory();

  /** 1 while an event that the program did not ask for is delivered: the EXT bit of error codes. */
  ext = 0;
  /** The descriptor `readDescriptor` found. */
  low = 0;
  high = 0;

  constructor(state: CpuState, mmu: Mmu, features: CpuFeatures) {
    this.state = state;
    this.mmu = mmu;
    this.features = features;
    this.cr4Known = cr4Known(features);
    this.stack = new PushStack(this);
  }

  // Modes.

  get cpl(): number {
    return this.state.get(STATE.cpl);
  }
  get iopl(): number {
    return (this.state.get(STATE.eflags) >> 12) & 3;
  }
  /** CR0.PE, in virtual-8086 mode too. */
  get protectionEnabled(): boolean {
    return (this.state.get(STATE.cr0) & CR0.pe) !== 0;
  }
  get virtual8086(): boolean {
    return (this.state.get(STATE.eflags) & EFLAGS.vm) !== 0;
  }
  /** Segments come from descriptors. */
  get protectedMode(): boolean {
    return this.protectionEnabled && !this.virtual8086;
  }
  /** The rights of data accesses at this privilege level. */
  get supervisor(): boolean {
    return this.state.get(STATE.cpl) !== 3;
  }
  get stack32(): boolean {
    return (this.state.access(SEG.ss) & ACCESS_RIGHTS.big) !== 0;
  }

  // Faults.

  fault(vector: number, errorCode: number): false {
    this.state.set(STATE.faultVector, vector);
    this.state.set(STATE.faultErrorCode, errorCode);
    this.state.set(STATE.faultHasErrorCode, 1);
    this.state.set(STATE.faultIsSoftware, 0);
    return false;
  }
  /** An exception that has no error code. */
  faultPlain(vector: number): false {
    this.fault(vector, 0);
    this.state.set(STATE.faultHasErrorCode, 0);
    return false;
  }
  /** Error code: the selector, and EXT. */
  faultSelector(vector: number, selector: number): false {
    return this.fault(vector, selectorError(selector) | this.ext);
  }
  /** #GP(0), with EXT during the delivery of an event. */
  generalProtection(): false {
    return this.fault(EXCEPTION.gp, this.ext);
  }

  // Descriptors.

  /**
   * Reads the descriptor that a selector names into `low` and `high`.
   * @param vector raised with the selector when it lies outside its table
   */
  readDescriptor(selector: number, vector: number): boolean {
    const index = selector & 0xfff8;
    let table: number;
    let limit: number;
    if (selector & 4) {
      if (this.state.access(SEG.ldtr) === 0) return this.faultSelector(vector, selector);
      table = this.state.base(SEG.ldtr);
      limit = this.state.limit(SEG.ldtr);
    } else {
      table = this.state.get(STATE.gdtBase);
      limit = this.state.get(STATE.gdtLimit);
    }
    if (index + 7 > limit) return this.faultSelector(vector, selector);
    const low = this.mmu.readLinear(table + index, 4, true);
    if (low < 0) return false;
    const high = this.mmu.readLinear(table + index + 4, 4, true);
    if (high < 0) return false;
    this.low = low | 0;
    this.high = high | 0;
    return true;
  }

  /** Linear address of a descriptor whose selector was read before. */
  descriptorAt(selector: number): number {
    const table = selector & 4 ? this.state.base(SEG.ldtr) : this.state.get(STATE.gdtBase);
    return (table + (selector & 0xfff8)) | 0;
  }

  /** Sets the accessed bit of a code or data descriptor whose second word is `high`. @returns false: fault was set */
  setAccessed(selector: number, high: number): boolean {
    if (high & 0x100) return true;
    return this.mmu.writeLinear(this.descriptorAt(selector) + 4, 4, high | 0x100, true);
  }

  // Segment registers.

  /** Fills a segment register, hidden part included. The caller updates the mode afterwards. */
  setSegment(seg: number, selector: number, base: number, limit: number, access: number): void {
    const i = CpuState.segment(seg) >> 2;
    const words = this.state.i32;
    words[i] = base;
    words[i + 1] = 0;
    words[i + (SEGMENT.limit >> 2)] = limit;
    words[i + (SEGMENT.access >> 2)] = access;
    words[i + (SEGMENT.selector >> 2)] = selector & 0xffff;
    this.#setFastChecks(seg);
  }

  setSegmentFrom(seg: number, selector: number, low: number, high: number): void {
    this.setSegment(seg, selector, descriptorBase(low, high), descriptorLimit(low, high), descriptorAccess(high));
  }

  /** A null selector: the register is unusable. */
  setNull(seg: number, selector: number): void {
    this.setSegment(seg, selector, 0, 0, 0);
  }

  /** Loads a segment register as real-address or virtual-8086 mode does. */
  setReal(seg: number, selector: number): void {
    if (this.virtual8086) {
      this.setSegment(seg, selector, (selector & 0xffff) << 4, 0xffff, V86_ACCESS);
      return;
    }
    // Limit and attributes stay what protected mode left ("unreal" mode); an unusable register becomes usable.
    const access = this.state.access(seg);
    const limit = access === 0 ? 0xffff : this.state.limit(seg);
    this.setSegment(seg, selector, (selector & 0xffff) << 4, limit, access === 0 ? REAL_ACCESS : access);
  }

  #setFastChecks(seg: number): void {
    const i = CpuState.segment(seg) >> 2;
    const access = this.state.access(seg);
    const ordinary = access !== 0 && (access & 0x1c) !== 0x14;
    const anything = !this.protectedMode;
    this.state.i32[i + (SEGMENT.readable >> 2)] = ordinary && (anything || isReadable(access)) ? 1 : 0;
    this.state.i32[i + (SEGMENT.writable >> 2)] = ordinary && (anything || isWritableData(access)) ? 1 : 0;
  }

  /** Recomputes what depends on CR0.PE and EFLAGS.VM in all segment registers. */
  protectionChanged(): void {
    for (let seg = 0; seg < 6; seg++) this.#setFastChecks(seg);
    this.updateMode();
  }

  /** Changes the privilege level; the caller updates the mode afterwards. */
  setCpl(cpl: number): void {
    this.mmu.setPrivilege(cpl);
  }

  /** Recomputes STATE.mode after a change of segments, EFLAGS.TF, debug registers or privilege. */
  updateMode(): void {
    const state = this.state;
    let mode = 0;
    if (state.access(SEG.cs) & ACCESS_RIGHTS.big) mode |= MODE.code32;
    if (state.access(SEG.ss) & ACCESS_RIGHTS.big) mode |= MODE.stack32;
    if (
      this.#isFlat(SEG.cs) &&
      this.#isFlat(SEG.ds) &&
      this.#isFlat(SEG.ss) &&
      this.#isFlat(SEG.es) &&
      isCode(state.access(SEG.cs))
    ) {
      mode |= MODE.flat;
    }
    if (
      state.get(STATE.eflags) & EFLAGS.tf ||
      state.get(STATE.dr7) & DR7.enables ||
      state.get(STATE.pendingDebug) !== 0
    ) {
      mode |= MODE.step;
    }
    state.set(STATE.mode, mode);
    const protection = (this.protectionEnabled ? 1 << 8 : 0) | (this.virtual8086 ? 1 << 9 : 0);
    this.mmu.modeChanged(mode | protection, state.base(SEG.cs) | 0);
  }

  #isFlat(seg: number): boolean {
    const i = CpuState.segment(seg) >> 2;
    const words = this.state.i32;
    return (
      words[i] === 0 &&
      words[i + (SEGMENT.limit >> 2)] === -1 &&
      words[i + ((seg === SEG.cs ? SEGMENT.readable : SEGMENT.writable) >> 2)] === 1
    );
  }

  // Flags, stack pointer, stack reads.

  /** Replaces the EFLAGS bits of `mask`. */
  setFlags(value: number, mask: number): void {
    this.state.eflags = (this.state.eflags & ~mask) | (value & mask);
  }

  /** Writes ESP, or SP on a 16-bit stack. */
  setStackPointer(value: number): void {
    if (this.stack32) this.state.setGpr(GPR.esp, value);
    else this.state.setGpr16(GPR.esp, value);
  }

  /**
   * Reads the stack at `offset` bytes above its top.
   * @returns unsigned value, -1 = fault was set
   */
  peek(offset: number, byteCount: number): number {
    const state = this.state;
    const sp = state.gpr(GPR.esp) + offset;
    const at = this.stack32 ? sp >>> 0 : sp & 0xffff;
    if (!withinLimit(state.access(SEG.ss), state.limit(SEG.ss), at, byteCount)) {
      this.fault(EXCEPTION.ss, this.ext);
      return -1;
    }
    return this.mmu.readLinear((state.base(SEG.ss) + at) | 0, byteCount, this.supervisor);
  }
}

/** A stack to push a frame on: the current one, or one that becomes current once nothing can fail any more. */
export class PushStack {
  readonly #context: SystemContext;
  #base = 0;
  #limit = 0;
  #access = 0;
  #supervisor = true;
  /** Error code of #SS. */
  #errorCode = 0;
  #mask = 0;
  /** The stack pointer. */
  pointer = 0;

  constructor(context: SystemContext) {
    this.#context = context;
  }

  useCurrent(): void {
    const { state, ext, supervisor } = this.#context;
    this.use(state.base(SEG.ss), state.limit(SEG.ss), state.access(SEG.ss), state.gpr(GPR.esp), supervisor, ext);
  }

  /** @param errorCode of #SS when a frame does not fit */
  use(base: number, limit: number, access: number, pointer: number, supervisor: boolean, errorCode: number): void {
    this.#base = base;
    this.#limit = limit;
    this.#access = access;
    this.#mask = access & ACCESS_RIGHTS.big ? -1 : 0xffff;
    this.#supervisor = supervisor;
    this.#errorCode = errorCode;
    this.pointer = pointer;
  }

  /** Makes sure that `count` items of `byteCount` bytes can be pushed. @returns false: fault was set */
  reserve(count: number, byteCount: number): boolean {
    for (let i = 1; i <= count; i++) {
      const at = ((this.pointer - i * byteCount) & this.#mask) >>> 0;
      if (!withinLimit(this.#access, this.#limit, at, byteCount)) {
        return this.#context.fault(EXCEPTION.ss, this.#errorCode);
      }
      if (!this.#context.mmu.checkWrite((this.#base + at) | 0, byteCount, this.#supervisor)) return false;
    }
    return true;
  }

  /** After `reserve`. */
  push(byteCount: number, value: number): void {
    const at = ((this.pointer - byteCount) & this.#mask) >>> 0;
    this.#context.mmu.writeLinear((this.#base + at) | 0, byteCount, value, this.#supervisor);
    // On a 16-bit stack the upper half of ESP stays.
    this.pointer = (this.pointer & ~this.#mask) | at | 0;
  }
}
