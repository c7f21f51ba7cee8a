/**
 * What all parts of the system side share: registers, faults, descriptors, stacks and the mode word.
 *
 * Source: SDM Vol. 3A, chapters 3, 5 and 6. A guest fault is a value: `fault` notes it in the state block and returns
 * false, and every caller passes that on before anything visible has changed.
 */

import { EventHistory } from '../debug/event-history.ts';
import { EXCEPTION } from '../isa/ops.ts';
import { CANONICAL_END, type Mmu } from '../mmu/mmu.ts';
import { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, JUMP_MODE, LONG_MODE, MODE, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import { CR0, cr4Known, EFER, watchesPorts } from './control-bits.ts';
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

/** Does an address have a 64-bit form whose bits 47 to 63 are alike? @param at a signed number */
export const isCanonical = (at: number): boolean => -CANONICAL_END <= at && at < CANONICAL_END;

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
  /** Bits 32 to 63 of the base or offset in the system descriptor that `readUpper` found. */
  upper = 0;
  /** What `readItem` found, as signed halves. */
  itemLow = 0;
  itemHigh = 0;

  constructor(state: CpuState, mmu: Mmu, features: CpuFeatures) {
    this.state = state;
    this.mmu = mmu;
    this.features = features;
    this.cr4Known = cr4Known(features);
    this.stack = new PushStack(this);
    mmu.hugePages = features.has('pdpe1gb');
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
  /** EFER.LMA: 64-bit or compatibility mode. */
  get longMode(): boolean {
    return (this.state.get(STATE.efer) & EFER.lma) !== 0;
  }
  /** The rights of data accesses at this privilege level. */
  get supervisor(): boolean {
    return this.state.get(STATE.cpl) !== 3;
  }
  get stack32(): boolean {
    return (this.state.access(SEG.ss) & ACCESS_RIGHTS.big) !== 0;
  }

  /** EIP or RIP of this instruction; unsigned outside 64-bit mode. */
  get eip(): number {
    return this.state.address(STATE.eip);
  }
  get linearEip(): number {
    // In 64-bit mode the base is 0.
    return this.state.long ? this.eip : (this.state.base(SEG.cs) + this.eip) >>> 0;
  }
  /** The address after this instruction. */
  get nextEip(): number {
    return this.state.address(STATE.nextEip);
  }
  /** Goes to the next instruction, after something that changes what its bytes mean. */
  advance(): Status {
    this.state.setAddress(STATE.eip, this.state.address(STATE.nextEip));
    return STATUS.jumped;
  }
  /** Upper half of 64-bit argument `n` of the system call that runs; 0 outside 64-bit mode. */
  argumentHigh(n: number): number {
    return this.state.long ? this.state.get(STATE.wideArgument + n * 8 + 4) : 0;
  }
  /** Argument `n` as an address. @param low the argument as it came */
  argumentAddress(n: number, low: number): number {
    return this.state.long ? this.state.address(STATE.wideArgument + n * 8) : low >>> 0;
  }
  /** No interrupt and no debug trap before this instruction: STI or MOV SS came before it. */
  get inhibited(): boolean {
    const { state } = this;
    if (state.get(STATE.inhibitEip) !== state.get(STATE.eip)) return false;
    return !state.long || state.get(STATE.inhibitEip + 4) === state.get(STATE.eip + 4);
  }
  clearInhibit(): void {
    this.state.set(STATE.inhibitEip, -1);
    this.state.set(STATE.inhibitEip + 4, -1);
  }
  /** Holds interrupts and debug traps off for one instruction. */
  inhibitNext(): void {
    this.state.set(STATE.inhibitEip, this.state.get(STATE.nextEip));
    this.state.set(STATE.inhibitEip + 4, this.state.get(STATE.nextEip + 4));
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
    const limit = this.#tableLimit(selector);
    // A limit of -1: no LDT.
    if (index + 7 > limit) return this.faultSelector(vector, selector);
    const at = this.descriptorAt(selector);
    if (!this.mmu.readQuad(at, true)) return false;
    this.low = this.mmu.low;
    this.high = this.mmu.high;
    return true;
  }

  /**
   * Reads the second half of a 16-byte system descriptor into `upper`, after `readDescriptor`.
   * @param vector raised with the selector when it is outside its table or no system descriptor
   */
  readUpper(selector: number, vector: number): boolean {
    if ((selector & 0xfff8) + 15 > this.#tableLimit(selector)) return this.faultSelector(vector, selector);
    if (!this.mmu.readQuad(this.descriptorAt(selector) + 8, true)) return false;
    // The place of the type must hold 0, so that the half is no descriptor of its own (SDM Vol. 3A, 5.8.3.1).
    if (this.mmu.high & 0x1f00) return this.faultSelector(vector, selector);
    this.upper = this.mmu.low;
    return true;
  }

  #tableLimit(selector: number): number {
    if (!(selector & 4)) return this.state.get(STATE.gdtLimit);
    return this.state.access(SEG.ldtr) === 0 ? -1 : this.state.limit(SEG.ldtr);
  }

  /** Linear address of a descriptor whose selector was read before. */
  descriptorAt(selector: number): number {
    const table = selector & 4 ? CpuState.segment(SEG.ldtr) : STATE.gdtBase;
    return this.state.address(table) + (selector & 0xfff8);
  }

  /** Sets the accessed bit of a code or data descriptor whose second word is `high`. @returns false: fault was set */
  setAccessed(selector: number, high: number): boolean {
    if (high & 0x100) return true;
    return this.mmu.writeLinear(this.descriptorAt(selector) + 4, 4, high | 0x100, true);
  }

  // Segment registers.

  /** Fills a segment register, hidden part included. The caller updates the mode afterwards. @param base unsigned or signed 64 bits */
  setSegment(seg: number, selector: number, base: number, limit: number, access: number): void {
    const i = CpuState.segment(seg) >> 2;
    const words = this.state.i32;
    words[i] = base;
    words[i + 1] = Math.floor(base / 0x1_0000_0000);
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

  /** Recomputes STATE.mode after a change of segments, EFLAGS, debug registers or privilege. */
  updateMode(): void {
    const state = this.state;
    const cs = state.access(SEG.cs);
    const long = this.longMode && (cs & ACCESS_RIGHTS.long) !== 0;
    if (state.long !== long) this.setLong(long);
    let mode = long ? LONG_MODE : this.#narrowMode(cs);
    if (
      state.get(STATE.eflags) & EFLAGS.tf ||
      watchesPorts(state.get(STATE.dr7)) ||
      state.get(STATE.pendingDebug) !== 0
    ) {
      mode |= MODE.step;
    }
    state.set(STATE.mode, mode);
    // RF is for one instruction. Only where it can be met by a breakpoint somebody clears it later.
    if (state.get(STATE.eflags) & EFLAGS.rf && !this.mmu.breaksIn(this.linearEip)) {
      state.set(STATE.eflags, state.get(STATE.eflags) & ~EFLAGS.rf);
    }
    const protection =
      (this.protectionEnabled ? JUMP_MODE.protectedMode : 0) | (this.virtual8086 ? JUMP_MODE.virtual8086 : 0);
    this.mmu.modeChanged(mode | protection, long ? 0 : state.base(SEG.cs) | 0);
  }

  #narrowMode(cs: number): number {
    const flat =
      this.#isFlat(SEG.cs) && this.#isFlat(SEG.ds) && this.#isFlat(SEG.ss) && this.#isFlat(SEG.es) && isCode(cs);
    return (cs & ACCESS_RIGHTS.big ? MODE.code32 : 0) | (this.stack32 ? MODE.stack32 : 0) | (flat ? MODE.flat : 0);
  }

  /**
   * Enters or leaves 64-bit mode as far as registers are concerned: before RIP and RSP of the new mode are set, after those
   * of the old one were saved. `updateMode` follows.
   */
  setLong(long: boolean): void {
    const { state } = this;
    if (state.long === long) return;
    state.switchLong(long);
    state.set(STATE.mode, long ? LONG_MODE : state.get(STATE.mode) & ~MODE.long);
    // Code outside 64-bit mode writes the low halves only.
    for (const field of [STATE.eip, STATE.nextEip, STATE.blockEip]) state.set(field + 4, 0);
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

  /** Writes RSP in 64-bit mode (a canonical address), else ESP, or SP on a 16-bit stack. */
  setStackPointer(value: number): void {
    if (this.state.long) this.state.setAddress(STATE.gpr + GPR.esp * 8, value);
    else if (this.stack32) this.state.setGpr(GPR.esp, value);
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
    return this.mmu.readLinear((state.base(SEG.ss) + at) >>> 0, byteCount, this.supervisor);
  }

  /** RSP as a number, or ESP zero-extended. */
  get stackPointer(): number {
    const field = STATE.gpr + GPR.esp * 8;
    return this.state.long ? this.state.address(field) : this.state.get(field) >>> 0;
  }

  /**
   * Reads an item of the stack into `itemLow` and `itemHigh`, `offset` bytes above its top, in any mode.
   * @param byteCount 2, 4 or 8 (only in 64-bit mode). @returns false: fault was set
   */
  readItem(offset: number, byteCount: number): boolean {
    this.itemHigh = 0;
    if (!this.state.long) {
      const value = this.peek(offset, byteCount);
      this.itemLow = value | 0;
      return value >= 0;
    }
    const at = this.stackPointer + offset;
    if (!isCanonical(at) || !isCanonical(at + byteCount - 1)) return this.fault(EXCEPTION.ss, this.ext);
    if (byteCount === 8) {
      if (!this.mmu.readQuad(at, this.supervisor)) return false;
      this.itemLow = this.mmu.low;
      this.itemHigh = this.mmu.high;
      return true;
    }
    const value = this.mmu.readLinear(at, byteCount, this.supervisor);
    this.itemLow = value | 0;
    return value >= 0;
  }
  /** The item as an address: signed 64 bits when it has so many, else unsigned. */
  get itemAddress(): number {
    return this.itemHigh * 0x1_0000_0000 + (this.itemLow >>> 0);
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
      if (!this.#context.mmu.checkWrite((this.#base + at) >>> 0, byteCount, this.#supervisor)) return false;
    }
    return true;
  }

  /** After `reserve`. */
  push(byteCount: number, value: number): void {
    const at = ((this.pointer - byteCount) & this.#mask) >>> 0;
    this.#context.mmu.writeLinear((this.#base + at) >>> 0, byteCount, value, this.#supervisor);
    // On a 16-bit stack the upper half of ESP stays.
    this.pointer = (this.pointer & ~this.#mask) | at | 0;
  }
}
