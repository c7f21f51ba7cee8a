/**
 * Linear memory accesses: the slow path of generated code, and the accesses of system code.
 *
 * A linear address is any 32-bit integer, signed or not, where code has 32-bit addresses, and a signed number where it has
 * 64-bit ones (-2^47 <= n < 2^47; what lies beyond is not canonical). System code uses the latter while EFER.LMA is set,
 * in compatibility mode too.
 *
 * Source: SDM Vol. 3A, chapter 4 (paging), 17.2 (debug registers); Vol. 1, 3.3.7.1 (canonical addresses).
 * Not modelled: alignment checks (#AC), caching by PAT and CR0.CD. Under SMAP an access to a descriptor table or TSS while
 * CPL < 3 and EFLAGS.AC = 1 counts as explicit.
 */
import { PAGE, type PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { EXCEPTION } from '../isa/ops.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { jumpCacheAt, MODE, STATE } from '../state/layout.ts';
import { type CodeWatch, type SlowMemory, STACK_ACCESS, STATUS, type Status } from '../system/calls.ts';
import { CR4, EFER } from '../system/control-bits.ts';
import { DataBreakpoints, type DataWatch } from './data-breakpoints.ts';
import { JumpCaches } from './jump-caches.ts';
import { ACCESS, PageWalk } from './page-walk.ts';
import { TlbBank } from './tlb.ts';

export interface MmuParts {
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
}

const MAP_FRAMES = 1 << 20;
const PAGE_MASK = 0xfff;
/** Canonical addresses lie in [-CANONICAL_END, CANONICAL_END). */
export const CANONICAL_END = 2 ** 47;

/** The banks of one width. */
interface TlbBanks {
  readonly supervisor: TlbBank;
  readonly user: TlbBank;
  readonly strict: TlbBank;
}

/**
 * Wiring: the code cache sets `codeWatch` and calls `protectCode` after `PhysicalMemory.markCode`; the machine has
 * `PhysicalMemory.onMapChanged` call `flush(false)`.
 */
export class Mmu implements SlowMemory {
  readonly #state: CpuState;
  readonly #physical: PhysicalMemory;
  readonly #walk: PageWalk;
  /** For 32-bit addresses of code outside 64-bit mode. */
  readonly #narrow: TlbBanks;
  /** For 64-bit code, and for system code while EFER.LMA is set. */
  readonly #wide: TlbBanks;
  readonly #banks: readonly TlbBank[];
  readonly jumps: JumpCaches;
  readonly #breakpoints: DataBreakpoints;
  readonly #scratch: number;
  /** CR4.SMAP. */
  #smap = false;
  /** ACCESS.long while EFER.LMA is set. */
  #wideSystem = 0;
  /** Where `commitWrite` puts the two parts of what is in scratch. */
  #commitFrame = 0;
  #commitNextFrame = 0;
  #codeWatch: CodeWatch = { beforeStore: () => 'go' };

  /** Set when a store of system code hit the block that runs; the System then leaves that block. */
  codeTouched = false;
  /** What `readQuad` found, as signed 32-bit halves. */
  low = 0;
  high = 0;

  constructor(parts: MmuParts) {
    const { state, physical } = parts;
    this.#state = state;
    this.#physical = physical;
    this.#walk = new PageWalk(state, physical);
    const buffer = physical.bytes.buffer;
    const banks = (wide: boolean): TlbBanks => ({
      supervisor: new TlbBank(buffer, state.at, 'supervisor', wide),
      user: new TlbBank(buffer, state.at, 'user', wide),
      strict: new TlbBank(buffer, state.at, 'strict', wide),
    });
    this.#narrow = banks(false);
    this.#wide = banks(true);
    this.#banks = [this.#narrow, this.#wide].flatMap(({ supervisor, user, strict }) => [supervisor, user, strict]);
    this.jumps = new JumpCaches(buffer, state.at);
    this.#breakpoints = new DataBreakpoints(state);
    this.#scratch = state.at + STATE.scratch;
    this.reset();
  }

  set codeWatch(watch: CodeWatch) {
    this.#codeWatch = watch;
    this.#walk.codeWatch = watch;
  }

  /** CPUID announces 1 GB pages. */
  set hugePages(announced: boolean) {
    this.#walk.hugePages = announced;
  }

  /** Forgets everything cached and takes breakpoints and privilege from the state block: after a reset or a restore. */
  reset(): void {
    for (const bank of this.#banks) bank.reset();
    this.jumps.reset();
    this.codeTouched = false;
    this.breakpointsChanged();
    this.rightsChanged();
  }

  // Accesses of generated code.

  readSlow(linear: number, byteCount: number): number {
    return this.#read(linear, byteCount, this.#codeAccess);
  }
  writeSlow(linear: number, byteCount: number): Status {
    return this.#write(linear, byteCount, this.#codeAccess | ACCESS.write);
  }
  modifySlow(linear: number, byteCount: number): number {
    return this.#modify(linear, byteCount, this.#codeAccess | ACCESS.write);
  }
  probeSlow(linear: number, byteCount: number): Status {
    return this.#check(linear, byteCount, this.#codeAccess | ACCESS.write) ? STATUS.next : STATUS.fault;
  }

  readSlow64(linear: number, byteCount: number): number {
    if (!this.#isCanonical(linear, byteCount)) return 0;
    return this.#read(linear, byteCount & ~STACK_ACCESS, this.#codeAccess | ACCESS.long);
  }
  writeSlow64(linear: number, byteCount: number): Status {
    if (!this.#isCanonical(linear, byteCount)) return STATUS.fault;
    return this.#write(linear, byteCount & ~STACK_ACCESS, this.#codeAccess | ACCESS.long | ACCESS.write);
  }
  modifySlow64(linear: number, byteCount: number): number {
    if (!this.#isCanonical(linear, byteCount)) return 0;
    return this.#modify(linear, byteCount & ~STACK_ACCESS, this.#codeAccess | ACCESS.long | ACCESS.write);
  }
  probeSlow64(linear: number, byteCount: number): Status {
    if (!this.#isCanonical(linear, byteCount)) return STATUS.fault;
    const access = this.#codeAccess | ACCESS.long | ACCESS.write;
    return this.#check(linear, byteCount & ~STACK_ACCESS, access) ? STATUS.next : STATUS.fault;
  }

  commitWrite(): void {
    this.#scatter(this.#state.get(STATE.commitAddress), this.#state.get(STATE.commitBytes));
  }

  /**
   * Guest-physical address of code at `linear` (a 64-bit address in 64-bit mode), at the current privilege level; -1 =
   * fault was set.
   * INVARIANT: nobody puts a block into a jump cache without having asked here for its pages since the last flush.
   */
  translateCode(linear: number): number {
    const state = this.#state;
    const smep = state.get(STATE.cr4) & CR4.smep ? ACCESS.strict : 0;
    let access: number = ACCESS.fetch | (state.get(STATE.cpl) === 3 ? ACCESS.user : smep);
    if (state.get(STATE.mode) & MODE.long) {
      if (!this.#isCanonical(linear, 1)) return -1;
      access |= ACCESS.long;
    }
    const frame = this.#walk.walk(linear, access);
    if (frame < 0) return this.#pageFault(linear, access);
    this.jumps.expectCode(linear, this.#walk.global, this.#walk.large);
    return frame * 4096 + (linear & PAGE_MASK);
  }

  /** The same without leaving a fault behind: whoever asks may not need the code. */
  translateCodeQuietly(linear: number): number {
    const state = this.#state;
    const low = state.get(STATE.cr2);
    const high = state.get(STATE.cr2 + 4);
    const vector = state.get(STATE.faultVector);
    const physical = this.translateCode(linear);
    if (physical < 0) {
      state.set(STATE.cr2, low);
      state.set(STATE.cr2 + 4, high);
      state.set(STATE.faultVector, vector);
    }
    return physical;
  }

  // Accesses of system code.

  /**
   * @param byteCount 1, 2 or 4
   * @param supervisor false: with the rights of CPL 3
   * @returns unsigned value; -1 = fault was set
   */
  readLinear(linear: number, byteCount: number, supervisor: boolean): number {
    const at = this.#locate(linear, byteCount, supervisor ? this.#supervisorAccess : this.#userAccess);
    if (at < 0) return -1;
    if (byteCount === 4) return this.#physical.view.getUint32(at, true);
    return byteCount === 2 ? this.#physical.view.getUint16(at, true) : this.#physical.bytes[at];
  }

  /** Reads 8 bytes into `low` and `high`. @returns false: fault was set */
  readQuad(linear: number, supervisor: boolean): boolean {
    const at = this.#locate(linear, 8, supervisor ? this.#supervisorAccess : this.#userAccess);
    if (at < 0) return false;
    this.low = this.#physical.view.getInt32(at, true);
    this.high = this.#physical.view.getInt32(at + 4, true);
    return true;
  }

  /** @param byteCount 1, 2 or 4. @returns false: fault was set, nothing was written */
  writeLinear(linear: number, byteCount: number, value: number, supervisor: boolean): boolean {
    const access = (supervisor ? this.#supervisorAccess : this.#userAccess) | ACCESS.write;
    const at = this.#bank(access).findWrite(linear, linear + byteCount - 1);
    if (at >= 0) {
      this.#put(at, byteCount, value);
      return true;
    }
    if (!this.#prepareSystemWrite(linear, byteCount, access)) return false;
    this.#put(this.#scratch, byteCount, value);
    this.#scatter(linear, byteCount);
    return true;
  }

  /** Writes 8 bytes, given as halves. @returns false: fault was set, nothing was written */
  writeQuad(linear: number, low: number, high: number, supervisor: boolean): boolean {
    const access = (supervisor ? this.#supervisorAccess : this.#userAccess) | ACCESS.write;
    const at = this.#bank(access).findWrite(linear, linear + 7);
    const to = at < 0 ? this.#scratch : at;
    if (at < 0 && !this.#prepareSystemWrite(linear, 8, access)) return false;
    this.#put(to, 4, low);
    this.#put(to + 4, 4, high);
    if (at < 0) this.#scatter(linear, 8);
    return true;
  }

  /** Can [linear, linear + byteCount) be written? byteCount <= 4096. @returns false: fault was set */
  checkWrite(linear: number, byteCount: number, supervisor: boolean): boolean {
    const access = (supervisor ? this.#supervisorAccess : this.#userAccess) | ACCESS.write;
    return this.#check(linear, byteCount, access);
  }

  checkRead(linear: number, byteCount: number, supervisor: boolean): boolean {
    return this.#check(linear, byteCount, supervisor ? this.#supervisorAccess : this.#userAccess);
  }

  /** A word of linear memory itself (a decoded record), not of the guest. */
  readOwn16(at: number): number {
    return this.#physical.view.getUint16(at, true);
  }

  /** See PageWalk. */
  loadPdptes(cr3: number): boolean {
    return this.#walk.loadPdptes(cr3);
  }

  /** Lets somebody outside the guest see accesses to data, or nobody any more. */
  watchData(watch: DataWatch | undefined): void {
    if (watch === undefined && this.#breakpoints.watch === undefined) return;
    this.#breakpoints.watch = watch;
    this.breakpointsChanged();
  }

  // What changes translations.

  /** @param keepGlobal keep global pages (MOV CR3 with CR4.PGE) */
  flush(keepGlobal: boolean): void {
    for (const bank of this.#banks) bank.flush(keepGlobal);
    this.jumps.flush(keepGlobal);
  }

  invalidatePage(linear: number): void {
    for (const bank of this.#banks) bank.invalidatePage(linear);
    this.jumps.invalidatePage(linear);
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
    this.rightsChanged();
  }

  /**
   * Chooses the banks again: CPL, EFLAGS.AC, MODE.long, EFER.LMA or a right that CR4 keeps have changed. Generated code does
   * the same where only CPL and EFLAGS.AC change (isa/ring-changes.ts).
   */
  rightsChanged(): void {
    const state = this.#state;
    const user = state.get(STATE.cpl) === 3;
    if (user) state.set(STATE.userRan, 1);
    const long = (state.get(STATE.mode) & MODE.long) !== 0;
    this.#wideSystem = state.get(STATE.efer) & EFER.lma ? ACCESS.long : 0;
    this.#smap = (state.get(STATE.cr4) & CR4.smap) !== 0;
    state.set(STATE.tlbBase, this.#bank(this.#codeAccess | (long ? ACCESS.long : 0)).at);
    state.set(STATE.jumpCacheBase, jumpCacheAt(state.at, user ? 1 : 0, long));
  }

  /** ACCESS bits of the code that runs. */
  get #codeAccess(): number {
    if (this.#state.get(STATE.cpl) === 3) return ACCESS.user;
    return this.#smap && !(this.#state.get(STATE.eflags) & EFLAGS.ac) ? ACCESS.strict : 0;
  }
  /** ACCESS bits of system code as supervisor: at CPL 3 EFLAGS.AC does not count. */
  get #supervisorAccess(): number {
    const explicit = this.#state.get(STATE.eflags) & EFLAGS.ac && this.#state.get(STATE.cpl) !== 3;
    return ACCESS.system | this.#wideSystem | (this.#smap && !explicit ? ACCESS.strict : 0);
  }
  get #userAccess(): number {
    return ACCESS.system | ACCESS.user | this.#wideSystem;
  }

  /**
   * Tells what code is decoded as from now on, after STATE.mode and privilege are set; a jump cache made for something
   * else is dropped.
   * @param mode anything that tells modes apart
   */
  modeChanged(mode: number, csBase: number): void {
    this.rightsChanged();
    this.jumps.modeChanged(mode, csBase);
  }

  /** See DataBreakpoints. @param linear of an instruction */
  breaksIn(linear: number): boolean {
    return this.#breakpoints.breaksIn(this.#state.long ? linear : linear >>> 0);
  }

  /** DR0-DR3 or DR7 changed. */
  breakpointsChanged(): void {
    if (this.#breakpoints.changed()) this.flush(false);
  }

  /** The reader of the dirty map cleared it: stores to tracked pages must be seen again. */
  flushTracked(): void {
    for (const bank of this.#banks) bank.flushTracked();
  }

  /** A page was marked as holding decoded code: stores to it must take the slow path. @param physical any address in it */
  protectCode(physical: number): void {
    const host = this.#physical.entry(physical) & ~PAGE_MASK;
    for (const bank of this.#banks) bank.protect(host);
  }

  #bank(access: number): TlbBank {
    const banks = access & ACCESS.long ? this.#wide : this.#narrow;
    if (access & ACCESS.user) return banks.user;
    return access & ACCESS.strict ? banks.strict : banks.supervisor;
  }

  /** Tells the breakpoints of an access. @returns true: the instruction is to be run again, alone */
  #isPutOff(linear: number, byteCount: number, access: number, write: boolean): boolean {
    const mayPutOff = !(access & ACCESS.system);
    if (this.#breakpoints.check(fullAddress(linear, access), byteCount, write, mayPutOff)) {
      this.#state.set(STATE.faultVector, -1);
      return true;
    }
    // The trap comes right after the instruction: its block must not go on.
    if (!mayPutOff && this.#state.get(STATE.pendingDebug) !== 0) this.codeTouched = true;
    return false;
  }

  #page(frame: number): number {
    return frame < MAP_FRAMES ? this.#physical.pageMap[frame] : 0;
  }

  /** @param byteCount with STACK_ACCESS: #SS(0) instead of #GP(0) */
  #isCanonical(linear: number, byteCount: number): boolean {
    if (-CANONICAL_END <= linear && linear < CANONICAL_END) return true;
    this.#fault(byteCount & STACK_ACCESS ? EXCEPTION.ss : EXCEPTION.gp, 0);
    return false;
  }

  /** Page frame of `linear`, filling the TLB; -1 = fault was set. */
  #frame(linear: number, access: number): number {
    if (access & ACCESS.long && !this.#isCanonical(linear, 0)) return -1;
    const walk = this.#walk;
    const frame = walk.walk(linear, access);
    if (frame < 0) return this.#pageFault(linear, access);
    const page = this.#page(frame);
    if (!(page & PAGE.backed) || this.#breakpoints.watches(fullAddress(linear, access))) return frame;
    const tracked = (page & PAGE.tracked) !== 0;
    if (tracked && access & ACCESS.write) this.#physical.dirtyMap[page >>> 12] = 1;
    const write =
      walk.writable &&
      walk.dirty &&
      (page & (PAGE.writable | PAGE.code)) === PAGE.writable &&
      (!tracked || this.#physical.dirtyMap[page >>> 12] === 1);
    this.#bank(access).fill(linear, page & ~PAGE_MASK, write, walk.global, tracked, walk.large);
    return frame;
  }

  #pageFault(linear: number, access: number): number {
    this.#state.setAddress(STATE.cr2, fullAddress(linear, access));
    this.#fault(EXCEPTION.pf, this.#walk.errorCode);
    return -1;
  }

  #fault(vector: number, errorCode: number): void {
    const state = this.#state;
    state.set(STATE.faultVector, vector);
    state.set(STATE.faultErrorCode, errorCode);
    state.set(STATE.faultHasErrorCode, 1);
    state.set(STATE.faultIsSoftware, 0);
  }

  #read(linear: number, byteCount: number, access: number): number {
    const offset = linear & PAGE_MASK;
    const frame = this.#frame(linear, access);
    if (frame < 0) return 0;
    if (offset + byteCount <= 4096) {
      if (this.#breakpoints.any && this.#isPutOff(linear, byteCount, access, false)) return 0;
      const page = this.#page(frame);
      if (page & PAGE.backed) return (page & ~PAGE_MASK) + offset;
      this.#gather(frame * 4096 + offset, byteCount, this.#scratch);
      return this.#scratch;
    }
    const first = 4096 - offset;
    const next = this.#frame(linear + first, access);
    if (next < 0) return 0;
    if (this.#breakpoints.any && this.#isPutOff(linear, byteCount, access, false)) return 0;
    this.#gather(frame * 4096 + offset, first, this.#scratch);
    this.#gather(next * 4096, byteCount - first, this.#scratch + first);
    return this.#scratch;
  }

  #write(linear: number, byteCount: number, access: number): Status {
    const status = this.#prepareWrite(linear, byteCount, access);
    if (status === STATUS.next) this.#scatter(linear, byteCount);
    return status;
  }

  #modify(linear: number, byteCount: number, access: number): number {
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
    // Only the offset in the page is asked for later.
    this.#state.set(STATE.commitAddress, linear);
    this.#state.set(STATE.commitBytes, byteCount);
    return this.#scratch;
  }

  /** Linear-memory address where the bytes can be read: in place or in scratch; -1 = fault was set. */
  #locate(linear: number, byteCount: number, access: number): number {
    const at = this.#bank(access).findRead(linear, linear + byteCount - 1);
    if (at >= 0) return at;
    const offset = linear & PAGE_MASK;
    const frame = this.#frame(linear, access);
    if (frame < 0) return -1;
    const first = 4096 - offset;
    const next = byteCount > first ? this.#frame(linear + first, access) : 0;
    if (next < 0) return -1;
    if (this.#breakpoints.any) this.#isPutOff(linear, byteCount, access, false);
    this.#gather(frame * 4096 + offset, Math.min(first, byteCount), this.#scratch);
    if (byteCount > first) this.#gather(next * 4096, byteCount - first, this.#scratch + first);
    return this.#scratch;
  }

  #check(linear: number, byteCount: number, access: number): boolean {
    const bank = this.#bank(access);
    const last = linear + byteCount - 1;
    if ((access & ACCESS.write ? bank.findWrite(linear, last) : bank.findRead(linear, last)) >= 0) return true;
    if (this.#frame(linear, access) < 0) return false;
    const first = 4096 - (linear & PAGE_MASK);
    return byteCount <= first || this.#frame(linear + first, access) >= 0;
  }

  /** System code cannot be run again: it writes, and the System leaves the block. @returns false: fault was set */
  #prepareSystemWrite(linear: number, byteCount: number, access: number): boolean {
    const status = this.#prepareWrite(linear, byteCount, access);
    if (status === STATUS.restart) this.codeTouched = true;
    return status !== STATUS.fault;
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
    if (this.#breakpoints.any && this.#isPutOff(linear, byteCount, access, true)) return STATUS.restart;
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
    // What is read may be a clock, to be compared with the time-stamp counter.
    this.#state.set(STATE.tscHolds, 0);
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
}

/** The address as breakpoints and CR2 have it: 32-bit ones unsigned. */
const fullAddress = (linear: number, access: number): number => (access & ACCESS.long ? linear : linear >>> 0);
