/**
 * Translation of linear addresses by the guest's page tables.
 *
 * Source: SDM Vol. 3A, 4.3 (32-bit paging), 4.4 (PAE paging), 4.5 (4-level paging), 4.6 (access rights), 4.7 (page-fault
 * error code), 4.8 (accessed and dirty flags).
 * Not modelled: PSE-36, protection keys, 5-level paging, caches of paging structures (every walk reads all levels).
 */
import { PAGE, type PhysicalMemory } from '#emu/memory/physical-memory.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { STATE } from '../state/layout.ts';
import type { CodeWatch } from '../system/calls.ts';
import { CR0, CR4, EFER } from '../system/control-bits.ts';

/** What an access is, and why it failed: bits of the page-fault error code, and above them some that no error code has. */
export const ACCESS = {
  present: 1,
  write: 2,
  user: 4,
  reserved: 8,
  fetch: 16,
  /** By the supervisor, who is kept from user pages (SMAP; for fetches SMEP). */
  strict: 1 << 8,
  /** The linear address is a 64-bit one: a number, sign-extended. Otherwise its low 32 bits count. */
  long: 1 << 9,
  /** By code of ours that acts for the guest. */
  system: 1 << 10,
} as const;

const PTE = { present: 1, writable: 2, user: 4, accessed: 32, dirty: 64, large: 128, global: 256 } as const;
/** Physical address width announced by CPUID leaf 80000008h. */
export const PHYSICAL_BITS = 40;
const FRAME_HIGH_MASK = (1 << (PHYSICAL_BITS - 32)) - 1;
/** Bits of the upper half of a PAE entry that must be 0, besides XD. */
const RESERVED_HIGH = 0x7fff_ffff & ~FRAME_HIGH_MASK;
/** The same with 4-level paging, where bits 52 to 62 are free. */
const RESERVED_HIGH_LONG = 0x000f_ffff & ~FRAME_HIGH_MASK;
const NO_EXECUTE = 1 << 31;
const RESERVED_LARGE_32 = 0x003f_e000;
const RESERVED_LARGE_PAE = 0x001f_e000;
const RESERVED_HUGE = 0x3fff_e000;
const RESERVED_PDPTE_LOW = 0x1e6;
const MAP_FRAMES = 1 << 20;

/** Page frame numbers are below 2^28, so that all of this stays in small integers. */
export class PageWalk {
  readonly #state: CpuState;
  readonly #physical: PhysicalMemory;
  readonly #words: Int32Array;
  codeWatch: CodeWatch = { beforeStore: () => 'go' };

  /** Why the last walk failed: a page-fault error code. */
  errorCode = 0;
  /** After a successful walk: may this privilege level write the page, whatever its dirty flag says? */
  writable = false;
  /** After a successful walk: the dirty flag, or nothing keeps one. */
  dirty = false;
  global = false;
  /** The page is larger than 4 KB. */
  large = false;
  /** CPUID announces 1 GB pages. */
  hugePages = true;

  constructor(state: CpuState, physical: PhysicalMemory) {
    this.#state = state;
    this.#physical = physical;
    this.#words = new Int32Array(physical.bytes.buffer);
  }

  /**
   * @param linear an integer of 32 bits, or a canonical address with `ACCESS.long`
   * @param access bits of ACCESS: write, user, fetch, strict, long
   * @returns the page frame number (physical address / 4096), A20 applied; -1: not allowed, see `errorCode`
   */
  walk(linear: number, access: number): number {
    const cr0 = this.#state.get(STATE.cr0);
    if (cr0 >= 0) {
      // CR0.PG is bit 31.
      this.writable = true;
      this.dirty = true;
      this.global = false;
      this.large = false;
      return this.#a20(linear >>> 12);
    }
    if (!(this.#state.get(STATE.cr4) & CR4.pae)) return this.#walk32(linear, access, cr0);
    if (!(this.#state.get(STATE.efer) & EFER.lma)) return this.#walkPae(linear, access, cr0);
    return this.#walkLong(Math.floor((access & ACCESS.long ? linear : linear >>> 0) / 4096), access, cr0);
  }

  /**
   * Reads the four page-directory-pointer entries that CR3 names into the registers.
   * @returns false when one has reserved bits set: nothing was loaded, MOV CR raises #GP(0)
   */
  loadPdptes(cr3: number): boolean {
    const frame = this.#a20(cr3 >>> 12);
    for (let i = 0; i < 4; i++) {
      const offset = (cr3 & 0xfe0) + i * 8;
      const low = this.#entry(frame, offset);
      const high = this.#entry(frame, offset + 4);
      if (low & PTE.present && (low & RESERVED_PDPTE_LOW || high & (RESERVED_HIGH | NO_EXECUTE))) return false;
    }
    for (let i = 0; i < 8; i++) {
      this.#state.set(STATE.pdpte + i * 4, this.#entry(frame, (cr3 & 0xfe0) + i * 4));
    }
    return true;
  }

  #walk32(linear: number, access: number, cr0: number): number {
    const cr4 = this.#state.get(STATE.cr4);
    const directory = this.#a20(this.#state.get(STATE.cr3) >>> 12);
    const pdeAt = (linear >>> 20) & 0xffc;
    const pde = this.#entry(directory, pdeAt);
    if (!(pde & PTE.present)) return this.#refuse(access, 0);
    if (pde & PTE.large && cr4 & CR4.pse) {
      if (pde & RESERVED_LARGE_32) return this.#refuse(access, ACCESS.present | ACCESS.reserved);
      if (!this.#allowed(pde, 0, access, cr0)) return this.#refuse(access, ACCESS.present);
      this.#use(directory, pdeAt, pde, access & ACCESS.write ? PTE.accessed | PTE.dirty : PTE.accessed);
      this.#remember(pde, access, cr4, true);
      return this.#a20(((pde >>> 12) & ~0x3ff) | ((linear >>> 12) & 0x3ff));
    }
    const table = this.#a20(pde >>> 12);
    const pteAt = (linear >>> 10) & 0xffc;
    const pte = this.#entry(table, pteAt);
    if (!(pte & PTE.present)) return this.#refuse(access, 0);
    if (!this.#allowed(pde & pte, 0, access, cr0)) return this.#refuse(access, ACCESS.present);
    this.#use(directory, pdeAt, pde, PTE.accessed);
    this.#use(table, pteAt, pte, access & ACCESS.write ? PTE.accessed | PTE.dirty : PTE.accessed);
    this.#remember(pte, access, cr4, false);
    return this.#a20(pte >>> 12);
  }

  #walkPae(linear: number, access: number, cr0: number): number {
    const cr4 = this.#state.get(STATE.cr4);
    const noExecute = this.#state.get(STATE.efer) & EFER.nxe;
    const reservedHigh = noExecute ? RESERVED_HIGH : RESERVED_HIGH | NO_EXECUTE;
    const pointer = STATE.pdpte + (linear >>> 30) * 8;
    const pdpte = this.#state.get(pointer);
    if (!(pdpte & PTE.present)) return this.#refuse(access, 0);
    const directory = this.#frame(pdpte, this.#state.get(pointer + 4));
    const pdeAt = (linear >>> 18) & 0xff8;
    const pde = this.#entry(directory, pdeAt);
    if (!(pde & PTE.present)) return this.#refuse(access, 0);
    const pdeHigh = this.#entry(directory, pdeAt + 4);
    if (pdeHigh & reservedHigh) return this.#refuse(access, ACCESS.present | ACCESS.reserved);
    if (pde & PTE.large) {
      if (pde & RESERVED_LARGE_PAE) return this.#refuse(access, ACCESS.present | ACCESS.reserved);
      if (!this.#allowed(pde, pdeHigh, access, cr0)) return this.#refuse(access, ACCESS.present);
      this.#use(directory, pdeAt, pde, access & ACCESS.write ? PTE.accessed | PTE.dirty : PTE.accessed);
      this.#remember(pde, access, cr4, true);
      return this.#a20((this.#frame(pde, pdeHigh) & ~0x1ff) | ((linear >>> 12) & 0x1ff));
    }
    const table = this.#frame(pde, pdeHigh);
    const pteAt = (linear >>> 9) & 0xff8;
    const pte = this.#entry(table, pteAt);
    if (!(pte & PTE.present)) return this.#refuse(access, 0);
    const pteHigh = this.#entry(table, pteAt + 4);
    if (pteHigh & reservedHigh) return this.#refuse(access, ACCESS.present | ACCESS.reserved);
    if (!this.#allowed(pde & pte, pdeHigh | pteHigh, access, cr0)) return this.#refuse(access, ACCESS.present);
    this.#use(directory, pdeAt, pde, PTE.accessed);
    this.#use(table, pteAt, pte, access & ACCESS.write ? PTE.accessed | PTE.dirty : PTE.accessed);
    this.#remember(pte, access, cr4, false);
    return this.#frame(pte, pteHigh);
  }

  /** @param page linear address / 4096, may be negative */
  #walkLong(page: number, access: number, cr0: number): number {
    const state = this.#state;
    const cr4 = state.get(STATE.cr4);
    const reservedHigh = state.get(STATE.efer) & EFER.nxe ? RESERVED_HIGH_LONG : RESERVED_HIGH_LONG | NO_EXECUTE;
    const reserved = ACCESS.present | ACCESS.reserved;
    const used = access & ACCESS.write ? PTE.accessed | PTE.dirty : PTE.accessed;
    // Bits 12 to 43 of the address.
    const low = page | 0;
    const top = this.#frame(state.get(STATE.cr3), state.get(STATE.cr3 + 4));
    const pml4eAt = (Math.floor(page / 0x800_0000) & 0x1ff) << 3;
    const pml4e = this.#entry(top, pml4eAt);
    if (!(pml4e & PTE.present)) return this.#refuse(access, 0);
    const pml4eHigh = this.#entry(top, pml4eAt + 4);
    if (pml4eHigh & reservedHigh || pml4e & PTE.large) return this.#refuse(access, reserved);

    const pointers = this.#frame(pml4e, pml4eHigh);
    const pdpteAt = (low >>> 15) & 0xff8;
    const pdpte = this.#entry(pointers, pdpteAt);
    if (!(pdpte & PTE.present)) return this.#refuse(access, 0);
    const pdpteHigh = this.#entry(pointers, pdpteAt + 4);
    if (pdpteHigh & reservedHigh) return this.#refuse(access, reserved);
    let rights = pml4e & pdpte;
    let high = pml4eHigh | pdpteHigh;
    if (pdpte & PTE.large) {
      if (pdpte & RESERVED_HUGE || !this.hugePages) return this.#refuse(access, reserved);
      if (!this.#allowed(rights, high, access, cr0)) return this.#refuse(access, ACCESS.present);
      this.#use(top, pml4eAt, pml4e, PTE.accessed);
      this.#use(pointers, pdpteAt, pdpte, used);
      this.#remember(pdpte, access, cr4, true);
      return this.#a20((this.#frame(pdpte, pdpteHigh) & ~0x3_ffff) | (low & 0x3_ffff));
    }

    const directory = this.#frame(pdpte, pdpteHigh);
    const pdeAt = (low >>> 6) & 0xff8;
    const pde = this.#entry(directory, pdeAt);
    if (!(pde & PTE.present)) return this.#refuse(access, 0);
    const pdeHigh = this.#entry(directory, pdeAt + 4);
    if (pdeHigh & reservedHigh) return this.#refuse(access, reserved);
    rights &= pde;
    high |= pdeHigh;
    if (pde & PTE.large) {
      if (pde & RESERVED_LARGE_PAE) return this.#refuse(access, reserved);
      if (!this.#allowed(rights, high, access, cr0)) return this.#refuse(access, ACCESS.present);
      this.#use(top, pml4eAt, pml4e, PTE.accessed);
      this.#use(pointers, pdpteAt, pdpte, PTE.accessed);
      this.#use(directory, pdeAt, pde, used);
      this.#remember(pde, access, cr4, true);
      return this.#a20((this.#frame(pde, pdeHigh) & ~0x1ff) | (low & 0x1ff));
    }

    const table = this.#frame(pde, pdeHigh);
    const pteAt = (low << 3) & 0xff8;
    const pte = this.#entry(table, pteAt);
    if (!(pte & PTE.present)) return this.#refuse(access, 0);
    const pteHigh = this.#entry(table, pteAt + 4);
    if (pteHigh & reservedHigh) return this.#refuse(access, reserved);
    if (!this.#allowed(rights & pte, high | pteHigh, access, cr0)) return this.#refuse(access, ACCESS.present);
    this.#use(top, pml4eAt, pml4e, PTE.accessed);
    this.#use(pointers, pdpteAt, pdpte, PTE.accessed);
    this.#use(directory, pdeAt, pde, PTE.accessed);
    this.#use(table, pteAt, pte, used);
    this.#remember(pte, access, cr4, false);
    return this.#frame(pte, pteHigh);
  }

  #allowed(rights: number, high: number, access: number, cr0: number): boolean {
    const user = (access & ACCESS.user) !== 0;
    this.writable = (rights & PTE.writable) !== 0 || (!user && (cr0 & CR0.wp) === 0);
    if (user && !(rights & PTE.user)) return false;
    if (access & ACCESS.strict && rights & PTE.user) return false;
    if (access & ACCESS.write && !this.writable) return false;
    // Without EFER.NXE a set XD bit was refused as reserved before.
    return !(access & ACCESS.fetch && high & NO_EXECUTE);
  }

  #remember(leaf: number, access: number, cr4: number, large: boolean): void {
    this.dirty = ((leaf & PTE.dirty) | (access & ACCESS.write)) !== 0;
    this.global = (leaf & PTE.global) !== 0 && (cr4 & CR4.pge) !== 0;
    this.large = large;
  }

  #refuse(access: number, cause: number): number {
    let code = (access & (ACCESS.write | ACCESS.user)) | cause;
    // The I/D bit is only reported where execute-disable or SMEP can be in force (SDM Vol. 3A, 4.7).
    if (access & ACCESS.fetch) {
      const cr4 = this.#state.get(STATE.cr4);
      if (cr4 & CR4.smep || (cr4 & CR4.pae && this.#state.get(STATE.efer) & EFER.nxe)) code |= ACCESS.fetch;
    }
    this.errorCode = code;
    return -1;
  }

  #frame(low: number, high: number): number {
    return this.#a20(((high & FRAME_HIGH_MASK) << 20) | (low >>> 12));
  }

  #a20(frame: number): number {
    return frame & (this.#state.get(STATE.a20Mask) >> 12);
  }

  #entry(frame: number, offset: number): number {
    const page = frame < MAP_FRAMES ? this.#physical.pageMap[frame] : 0;
    if (page & PAGE.backed) return this.#words[((page & ~0xfff) >>> 2) + (offset >> 2)];
    return this.#physical.readSized(frame * 4096 + offset, 4) | 0;
  }

  /** Sets flags of an entry that was used; other processors may write the same entry, so only these bits are touched. */
  #use(frame: number, offset: number, entry: number, flags: number): void {
    if ((entry & flags) === flags) return;
    const page = frame < MAP_FRAMES ? this.#physical.pageMap[frame] : 0;
    if (page & PAGE.writable) {
      // The guest's program does not see this store, so a block that lies here is only dropped, never run again.
      if (page & PAGE.code) this.codeWatch.beforeStore(frame * 4096 + offset, 4);
      if (page & PAGE.tracked) this.#physical.dirtyMap[page >>> 12] = 1;
      Atomics.or(this.#words, ((page & ~0xfff) >>> 2) + (offset >> 2), flags);
    } else this.#physical.writeSized(frame * 4096 + offset, 4, (entry | flags) >>> 0);
  }
}
