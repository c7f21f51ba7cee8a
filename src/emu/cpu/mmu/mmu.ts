/**
 * Linear memory accesses: the slow path of generated code, and the accesses of system code.
 *
 * Source: SDM Vol. 3A, chapter 4 (paging), 17.2 (debug registers).
 * Not modelled: alignment checks (#AC), caching by PAT and CR0.CD.
 */
import { PAGE, type PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { EXCEPTION } from '../isa/ops.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { JUMP_CACHE, LINEAR, STATE, STATE_BLOCK_BYTES } from '../state/layout.ts';
import { type CodeWatch, type SlowMemory, STATUS, type Status } from '../system/calls.ts';
import { breakpointBytes, breakpointEnabled, breakpointKind } from '../system/control-bits.ts';
import { ACCESS, PageWalk } from './page-walk.ts';
import { TlbBank } from './tlb.ts';

export interface MmuParts {
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
}

const MAP_FRAMES = 1 << 20;
const PAGE_MASK = 0xfff;
/** Copied, not filled: `fill` on shared memory takes twice as long (2.3 -> 1.2 us a bank). */
const EMPTY_JUMPS = new Int32Array((JUMP_CACHE.entries * JUMP_CACHE.entryBytes) / 4);

/** The jump cache of one privilege bank, and the code mode its entries were made in. */
interface JumpBank {
  readonly at: number;
  readonly words: Int32Array;
  mode: number;
  csBase: number;
}

/**
 * Wiring: the code cache sets `codeWatch` and calls `protectCode` after `PhysicalMemory.markCode`; the machine has
 * `PhysicalMemory.onMapChanged` call `flush(false)`.
 */
export class Mmu implements SlowMemory {
  readonly #state: CpuState;
  readonly #physical: PhysicalMemory;
  readonly #walk: PageWalk;
  readonly #supervisor: TlbBank;
  readonly #user: TlbBank;
  readonly #jumpSupervisor: JumpBank;
  readonly #jumpUser: JumpBank;
  readonly #scratch: number;
  /** Pages with an enabled data breakpoint (page addresses as signed integers). */
  readonly #watchedPages: number[] = [];
  /** Where `commitWrite` puts the two parts of what is in scratch. */
  #commitFrame = 0;
  #commitNextFrame = 0;
  /** By page number modulo 4096: 1 when `translateCode` was asked for such a page since the jump caches were emptied. */
  readonly #codePages = new Uint8Array(4096);
  #codeWatch: CodeWatch = { beforeStore: () => 'go' };

  /** Set when a store of system code hit the block that runs; the System then leaves that block. */
  codeTouched = false;

  constructor(parts: MmuParts) {
    const { state, physical } = parts;
    this.#state = state;
    this.#physical = physical;
    this.#walk = new PageWalk(state, physical);
    const buffer = physical.bytes.buffer;
    this.#supervisor = new TlbBank(buffer, state.at, false);
    this.#user = new TlbBank(buffer, state.at, true);
    this.#scratch = state.at + STATE.scratch;
    const vcpu = (state.at - LINEAR.states) / STATE_BLOCK_BYTES;
    const jumpBank = (user: number): JumpBank => {
      const at = LINEAR.jumpCache + (vcpu * 2 + user) * LINEAR.jumpCacheBankBytes;
      const words = new Int32Array(buffer, at, (JUMP_CACHE.entries * JUMP_CACHE.entryBytes) / 4);
      return { at, words, mode: -1, csBase: 0 };
    };
    this.#jumpSupervisor = jumpBank(0);
    this.#jumpUser = jumpBank(1);
    this.reset();
  }

  set codeWatch(watch: CodeWatch) {
    this.#codeWatch = watch;
    this.#walk.codeWatch = watch;
  }

  /** Forgets everything cached and takes breakpoints and privilege from the state block: after a reset or a restore. */
  reset(): void {
    this.#supervisor.reset();
    this.#user.reset();
    this.#flushJumps();
    this.codeTouched = false;
    this.breakpointsChanged();
    this.setPrivilege(this.#state.get(STATE.cpl));
  }

  // Accesses of generated code.

  readSlow(linear: number, byteCount: number): number {
    const access = this.#state.get(STATE.cpl) === 3 ? ACCESS.user : 0;
    const offset = linear & PAGE_MASK;
    const frame = this.#frame(linear, access);
    if (frame < 0) return 0;
    if (offset + byteCount <= 4096) {
      if (this.#watchedPages.length > 0) this.#checkBreakpoints(linear, byteCount, false);
      const page = this.#page(frame);
      if (page & PAGE.backed) return (page & ~PAGE_MASK) + offset;
      this.#gather(frame * 4096 + offset, byteCount, this.#scratch);
      return this.#scratch;
    }
    const first = 4096 - offset;
    const next = this.#frame(linear + first, access);
    if (next < 0) return 0;
    if (this.#watchedPages.length > 0) this.#checkBreakpoints(linear, byteCount, false);
    this.#gather(frame * 4096 + offset, first, this.#scratch);
    this.#gather(next * 4096, byteCount - first, this.#scratch + first);
    return this.#scratch;
  }

  writeSlow(linear: number, byteCount: number): Status {
    const access = ACCESS.write | (this.#state.get(STATE.cpl) === 3 ? ACCESS.user : 0);
    const status = this.#prepareWrite(linear, byteCount, access);
    if (status === STATUS.next) this.#scatter(linear, byteCount);
    return status;
  }

  modifySlow(linear: number, byteCount: number): number {
    const access = ACCESS.write | (this.#state.get(STATE.cpl) === 3 ? ACCESS.user : 0);
    if (this.#prepareWrite(linear, byteCount, access) !== STATUS.next) return 0;
    const offset = linear & PAGE_MASK;
    const first = 4096 - offset;
    if (byteCount <= first) {
      const page = this.#page(this.#commitFrame);
      if (page & PAGE.writable) return (page & ~PAGE_MASK) + offset;
      this.#gather(this.#commitFrame * 4096 + offset, byteCount, this.#scratch);
    } else {
      this.#gather(this.#commitFrame * 4096 + offset, first, this.#scratch);
      this.#gather(this.#commitNextFrame * 4096, byteCount - first, this.#scratch + first);
    }
    this.#state.set(STATE.commitAddress, linear);
    this.#state.set(STATE.commitBytes, byteCount);
    return this.#scratch;
  }

  commitWrite(): void {
    this.#scatter(this.#state.get(STATE.commitAddress), this.#state.get(STATE.commitBytes));
  }

  probeSlow(linear: number, byteCount: number): Status {
    return this.checkWrite(linear, byteCount, this.#state.get(STATE.cpl) !== 3) ? STATUS.next : STATUS.fault;
  }

  /**
   * Guest-physical address of code at `linear`, at the current privilege level; -1 = fault was set.
   * INVARIANT: nobody puts a block into a jump cache without having asked here for its pages since the last flush.
   */
  translateCode(linear: number): number {
    this.#codePages[(linear >>> 12) & 0xfff] = 1;
    const access = ACCESS.fetch | (this.#state.get(STATE.cpl) === 3 ? ACCESS.user : 0);
    const frame = this.#walk.walk(linear, access);
    if (frame < 0) return this.#pageFault(linear);
    return frame * 4096 + (linear & PAGE_MASK);
  }

  // Accesses of system code.

  /**
   * @param byteCount 1, 2 or 4
   * @param supervisor false: with the rights of CPL 3
   * @returns unsigned value; -1 = fault was set
   */
  readLinear(linear: number, byteCount: number, supervisor: boolean): number {
    const bank = supervisor ? this.#supervisor : this.#user;
    let at = bank.findRead(linear, linear + byteCount - 1);
    if (at < 0) {
      const access = supervisor ? 0 : ACCESS.user;
      const offset = linear & PAGE_MASK;
      const frame = this.#frame(linear, access);
      if (frame < 0) return -1;
      const first = 4096 - offset;
      const next = byteCount > first ? this.#frame(linear + first, access) : 0;
      if (next < 0) return -1;
      if (this.#watchedPages.length > 0) this.#checkBreakpoints(linear, byteCount, false);
      at = this.#scratch;
      this.#gather(frame * 4096 + offset, Math.min(first, byteCount), at);
      if (byteCount > first) this.#gather(next * 4096, byteCount - first, at + first);
    }
    if (byteCount === 4) return this.#physical.view.getUint32(at, true);
    return byteCount === 2 ? this.#physical.view.getUint16(at, true) : this.#physical.bytes[at];
  }

  /** @param byteCount 1, 2 or 4. @returns false: fault was set, nothing was written */
  writeLinear(linear: number, byteCount: number, value: number, supervisor: boolean): boolean {
    const bank = supervisor ? this.#supervisor : this.#user;
    const at = bank.findWrite(linear, linear + byteCount - 1);
    if (at >= 0) {
      this.#put(at, byteCount, value);
      return true;
    }
    const access = ACCESS.write | (supervisor ? 0 : ACCESS.user);
    const status = this.#prepareWrite(linear, byteCount, access);
    if (status === STATUS.fault) return false;
    if (status === STATUS.restart) this.codeTouched = true;
    this.#put(this.#scratch, byteCount, value);
    this.#scatter(linear, byteCount);
    return true;
  }

  /** Can [linear, linear + byteCount) be written? byteCount <= 4096. @returns false: fault was set */
  checkWrite(linear: number, byteCount: number, supervisor: boolean): boolean {
    return this.#check(linear, byteCount, ACCESS.write | (supervisor ? 0 : ACCESS.user));
  }

  checkRead(linear: number, byteCount: number, supervisor: boolean): boolean {
    return this.#check(linear, byteCount, supervisor ? 0 : ACCESS.user);
  }

  /** A word of linear memory itself (a decoded record), not of the guest. */
  readOwn16(at: number): number {
    return this.#physical.view.getUint16(at, true);
  }

  /** See PageWalk. */
  loadPdptes(cr3: number): boolean {
    return this.#walk.loadPdptes(cr3);
  }

  // What changes translations.

  /** @param keepGlobal keep global pages (MOV CR3 with CR4.PGE) */
  flush(keepGlobal: boolean): void {
    this.#supervisor.flush(keepGlobal);
    this.#user.flush(keepGlobal);
    this.#flushJumps();
  }

  invalidatePage(linear: number): void {
    const largeSupervisor = this.#supervisor.invalidatePage(linear);
    const largeUser = this.#user.invalidatePage(linear);
    // Most INVLPG are for data: then the jump caches, which take longer to fill again, stay.
    if (largeSupervisor || largeUser || this.#codePages[(linear >>> 12) & 0xfff]) this.#flushJumps();
  }

  /** The A20 gate. */
  setA20(enabled: boolean): void {
    const mask = enabled ? -1 : ~(1 << 20);
    if (this.#state.get(STATE.a20Mask) === mask) return;
    this.#state.set(STATE.a20Mask, mask);
    this.flush(false);
  }

  /** Chooses the banks of TLB and jump cache. */
  setPrivilege(cpl: number): void {
    this.#state.set(STATE.cpl, cpl);
    const user = cpl === 3;
    this.#state.set(STATE.tlbBase, (user ? this.#user : this.#supervisor).at);
    this.#state.set(STATE.jumpCacheBase, (user ? this.#jumpUser : this.#jumpSupervisor).at);
  }

  /**
   * Tells what code is decoded as from now on, after `setPrivilege`; a jump cache made for something else is dropped.
   * @param mode anything that tells modes apart
   */
  modeChanged(mode: number, csBase: number): void {
    const bank = this.#state.get(STATE.cpl) === 3 ? this.#jumpUser : this.#jumpSupervisor;
    if (bank.mode === mode && bank.csBase === csBase) return;
    bank.mode = mode;
    bank.csBase = csBase;
    bank.words.set(EMPTY_JUMPS);
  }

  /** DR0-DR3 or DR7 changed. */
  breakpointsChanged(): void {
    const dr7 = this.#state.get(STATE.dr7);
    const before = this.#watchedPages.length;
    this.#watchedPages.length = 0;
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n) || !(breakpointKind(dr7, n) & 1)) continue;
      this.#watchedPages.push(this.#state.get(STATE.dr + n * 8) & ~PAGE_MASK);
    }
    if (before > 0 || this.#watchedPages.length > 0) this.flush(false);
  }

  /** The reader of the dirty map cleared it: stores to tracked pages must be seen again. */
  flushTracked(): void {
    this.#supervisor.flushTracked();
    this.#user.flushTracked();
  }

  /** A page was marked as holding decoded code: stores to it must take the slow path. @param physical any address in it */
  protectCode(physical: number): void {
    const host = this.#physical.entry(physical) & ~PAGE_MASK;
    this.#supervisor.protect(host);
    this.#user.protect(host);
  }

  #flushJumps(): void {
    this.#jumpSupervisor.words.set(EMPTY_JUMPS);
    this.#jumpUser.words.set(EMPTY_JUMPS);
    this.#codePages.fill(0);
  }

  #page(frame: number): number {
    return frame < MAP_FRAMES ? this.#physical.pageMap[frame] : 0;
  }

  /** Page frame of `linear`, filling the TLB; -1 = fault was set. */
  #frame(linear: number, access: number): number {
    const walk = this.#walk;
    const frame = walk.walk(linear, access);
    if (frame < 0) return this.#pageFault(linear);
    const page = this.#page(frame);
    if (!(page & PAGE.backed) || this.#isWatched(linear)) return frame;
    const tracked = (page & PAGE.tracked) !== 0;
    if (tracked && access & ACCESS.write) this.#physical.dirtyMap[page >>> 12] = 1;
    const write =
      walk.writable &&
      walk.dirty &&
      (page & (PAGE.writable | PAGE.code)) === PAGE.writable &&
      (!tracked || this.#physical.dirtyMap[page >>> 12] === 1);
    const bank = access & ACCESS.user ? this.#user : this.#supervisor;
    bank.fill(linear, page & ~PAGE_MASK, write, walk.global, tracked, walk.large);
    return frame;
  }

  #pageFault(linear: number): number {
    const state = this.#state;
    state.set(STATE.cr2, linear);
    state.set(STATE.faultVector, EXCEPTION.pf);
    state.set(STATE.faultErrorCode, this.#walk.errorCode);
    state.set(STATE.faultHasErrorCode, 1);
    state.set(STATE.faultIsSoftware, 0);
    return -1;
  }

  #check(linear: number, byteCount: number, access: number): boolean {
    const bank = access & ACCESS.user ? this.#user : this.#supervisor;
    const last = linear + byteCount - 1;
    if ((access & ACCESS.write ? bank.findWrite(linear, last) : bank.findRead(linear, last)) >= 0) return true;
    if (this.#frame(linear, access) < 0) return false;
    const first = 4096 - (linear & PAGE_MASK);
    return byteCount <= first || this.#frame(linear + first, access) >= 0;
  }

  /** Translates a write and asks the code watch; the frames are then in #commitFrame and #commitNextFrame. */
  #prepareWrite(linear: number, byteCount: number, access: number): Status {
    const offset = linear & PAGE_MASK;
    const first = 4096 - offset;
    const frame = this.#frame(linear, access);
    if (frame < 0) return STATUS.fault;
    this.#commitFrame = frame;
    let restart = false;
    if (byteCount <= first) {
      if (this.#page(frame) & PAGE.code) {
        restart = this.#codeWatch.beforeStore(frame * 4096 + offset, byteCount) === 'restart';
      }
    } else {
      const next = this.#frame(linear + first, access);
      if (next < 0) return STATUS.fault;
      this.#commitNextFrame = next;
      if (this.#page(frame) & PAGE.code) {
        restart = this.#codeWatch.beforeStore(frame * 4096 + offset, first) === 'restart';
      }
      if (this.#page(next) & PAGE.code) {
        restart = this.#codeWatch.beforeStore(next * 4096, byteCount - first) === 'restart' || restart;
      }
    }
    if (restart) {
      this.#state.set(STATE.faultVector, -1);
      return STATUS.restart;
    }
    if (this.#watchedPages.length > 0) this.#checkBreakpoints(linear, byteCount, true);
    return STATUS.next;
  }

  /** Writes scratch to the frames that #prepareWrite found. */
  #scatter(linear: number, byteCount: number): void {
    const offset = linear & PAGE_MASK;
    const first = Math.min(4096 - offset, byteCount);
    this.#deliver(this.#scratch, this.#commitFrame * 4096 + offset, first);
    if (byteCount > first) this.#deliver(this.#scratch + first, this.#commitNextFrame * 4096, byteCount - first);
  }

  /** Copies guest memory inside one page to linear memory. */
  #gather(physical: number, byteCount: number, to: number): void {
    const memory = this.#physical;
    const page = memory.entry(physical);
    if (page & PAGE.backed) {
      const from = ((page & ~PAGE_MASK) >>> 0) + (physical & PAGE_MASK);
      for (let i = 0; i < byteCount; i++) memory.bytes[to + i] = memory.bytes[from + i];
      return;
    }
    let done = 0;
    for (; byteCount - done >= 4; done += 4) this.#put(to + done, 4, memory.readSized(physical + done, 4));
    if (byteCount - done >= 2) {
      this.#put(to + done, 2, memory.readSized(physical + done, 2));
      done += 2;
    }
    if (byteCount > done) memory.bytes[to + done] = memory.readSized(physical + done, 1);
  }

  /** Copies linear memory to guest memory inside one page. The code watch was asked before. */
  #deliver(from: number, physical: number, byteCount: number): void {
    const memory = this.#physical;
    const page = memory.entry(physical);
    if (page & PAGE.writable) {
      if (page & PAGE.tracked) memory.dirtyMap[page >>> 12] = 1;
      const to = ((page & ~PAGE_MASK) >>> 0) + (physical & PAGE_MASK);
      for (let i = 0; i < byteCount; i++) memory.bytes[to + i] = memory.bytes[from + i];
      return;
    }
    let done = 0;
    for (; byteCount - done >= 4; done += 4) {
      memory.writeSized(physical + done, 4, memory.view.getUint32(from + done, true));
    }
    if (byteCount - done >= 2) {
      memory.writeSized(physical + done, 2, memory.view.getUint16(from + done, true));
      done += 2;
    }
    if (byteCount > done) memory.writeSized(physical + done, 1, memory.bytes[from + done]);
  }

  #put(at: number, byteCount: number, value: number): void {
    if (byteCount === 4) this.#physical.view.setInt32(at, value, true);
    else if (byteCount === 2) this.#physical.view.setInt16(at, value, true);
    else this.#physical.bytes[at] = value;
  }

  #isWatched(linear: number): boolean {
    return this.#watchedPages.length > 0 && this.#watchedPages.includes(linear & ~PAGE_MASK);
  }

  /** A data breakpoint is a trap: remembered here, delivered after the instruction. */
  #checkBreakpoints(linear: number, byteCount: number, write: boolean): void {
    const state = this.#state;
    const dr7 = state.get(STATE.dr7);
    for (let n = 0; n < 4; n++) {
      if (!breakpointEnabled(dr7, n)) continue;
      const kind = breakpointKind(dr7, n);
      if (kind !== 3 && !(kind === 1 && write)) continue;
      const bytes = breakpointBytes(dr7, n);
      const from = (state.get(STATE.dr + n * 8) & -bytes) >>> 0;
      const at = linear >>> 0;
      if (at < from + bytes && from < at + byteCount) {
        state.set(STATE.pendingDebug, state.get(STATE.pendingDebug) | (1 << n));
      }
    }
  }
}
