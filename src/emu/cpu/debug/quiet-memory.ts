/**
 * Guest memory as a debugger sees it: through the guest's page tables, without leaving a trace. Nothing faults, no
 * accessed flag is set, and no device notices: only RAM and ROM are read.
 *
 * Source: SDM Vol. 3A, 4.3 (32-bit paging), 4.4 (PAE paging), 4.5 (4-level paging).
 * Not modelled: access rights (a debugger may look everywhere), reserved bits, PSE-36.
 */
import { PAGE, type PhysicalMemory } from '#emu/memory/physical-memory.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { STATE } from '../state/layout.ts';
import { CR0, CR4, EFER } from '../system/control-bits.ts';

const PRESENT = 1;
const LARGE = 128;
const TWO_32 = 0x1_0000_0000;
/** Physical addresses have at most 52 bits; what the CPU announces may be less. */
const HIGH_MASK = 0x000f_ffff;

/** One entry on the way, for a person who wants to see it. */
export interface WalkStep {
  readonly table: string;
  /** Guest-physical address of the entry. */
  readonly at: number;
  readonly entry: bigint;
}

export class QuietMemory {
  readonly #state: CpuState;
  readonly #physical: PhysicalMemory;

  constructor(state: CpuState, physical: PhysicalMemory) {
    this.#state = state;
    this.#physical = physical;
  }

  /**
   * @param linear any 32-bit number, or a canonical address in long mode
   * @param steps filled with the entries that were read
   * @returns guest-physical address; -1: not mapped
   */
  translate(linear: number, steps?: WalkStep[]): number {
    const state = this.#state;
    if ((state.get(STATE.cr0) & CR0.pg) === 0) return this.#a20(linear >>> 0);
    if (state.get(STATE.efer) & EFER.lma) return this.#walkLong(linear, steps);
    return state.get(STATE.cr4) & CR4.pae ? this.#walkPae(linear >>> 0, steps) : this.#walk32(linear >>> 0, steps);
  }

  /** @returns as many bytes as are mapped and are memory, from the front */
  read(linear: number, byteCount: number): Uint8Array {
    const into = new Uint8Array(byteCount);
    let done = 0;
    while (done < byteCount) {
      const physical = this.translate(linear + done);
      const here = Math.min(byteCount - done, 4096 - ((linear + done) & 4095));
      if (!this.#isMemory(physical)) break;
      this.#physical.read(physical, into.subarray(done, done + here));
      done += here;
    }
    return into.subarray(0, done);
  }

  /** Writes RAM only; code that was decoded from it is forgotten. @returns false: nothing was written */
  write(linear: number, bytes: Uint8Array): boolean {
    const parts: [physical: number, from: number, to: number][] = [];
    for (let done = 0; done < bytes.length; ) {
      const physical = this.translate(linear + done);
      const to = Math.min(bytes.length, done + 4096 - ((linear + done) & 4095));
      if (physical < 0 || !(this.#physical.entry(physical) & PAGE.writable)) return false;
      parts.push([physical, done, to]);
      done = to;
    }
    for (const [physical, from, to] of parts) this.#physical.write(physical, bytes.subarray(from, to));
    return true;
  }

  /** The same by guest-physical address. */
  readPhysical(physical: number, byteCount: number): Uint8Array {
    const into = new Uint8Array(byteCount);
    let done = 0;
    for (; done < byteCount && this.#isMemory(physical + done); ) {
      const here = Math.min(byteCount - done, 4096 - ((physical + done) % 4096));
      this.#physical.read(physical + done, into.subarray(done, done + here));
      done += here;
    }
    return into.subarray(0, done);
  }

  #isMemory(physical: number): boolean {
    return physical >= 0 && (this.#physical.entry(physical) & PAGE.backed) !== 0;
  }

  #a20(physical: number): number {
    const high = Math.floor(physical / TWO_32);
    return high * TWO_32 + (((physical | 0) & this.#state.get(STATE.a20Mask)) >>> 0);
  }

  #walk32(linear: number, steps?: WalkStep[]): number {
    const pde = this.#entry('PDE', (this.#state.get(STATE.cr3) & ~4095) >>> 0, linear >>> 22, 4, steps);
    if (!(pde.low & PRESENT)) return -1;
    if (pde.low & LARGE && this.#state.get(STATE.cr4) & CR4.pse) {
      return this.#a20(((pde.low & 0xffc0_0000) | (linear & 0x003f_ffff)) >>> 0);
    }
    const pte = this.#entry('PTE', (pde.low & ~4095) >>> 0, (linear >>> 12) & 1023, 4, steps);
    return pte.low & PRESENT ? this.#a20(((pte.low & ~4095) | (linear & 4095)) >>> 0) : -1;
  }

  #walkPae(linear: number, steps?: WalkStep[]): number {
    const at = STATE.pdpte + (linear >>> 30) * 8;
    const low = this.#state.get(at);
    if (!(low & PRESENT)) return -1;
    return this.#walkDown(linear, frameOf(low, this.#state.get(at + 4)), 1, steps);
  }

  #walkLong(linear: number, steps?: WalkStep[]): number {
    const state = this.#state;
    return this.#walkDown(linear, frameOf(state.get(STATE.cr3), state.get(STATE.cr3 + 4)), 3, steps);
  }

  /** @param level of the table at `table`: 3 PML4, 2 PDPT, 1 directory, 0 page table */
  #walkDown(linear: number, table: number, level: number, steps?: WalkStep[]): number {
    const span = 4096 * 512 ** level;
    const index = Math.floor(linear / span) & 511;
    const { low, high } = this.#entry(LEVELS[level], table, index, 8, steps);
    if (!(low & PRESENT)) return -1;
    const frame = frameOf(low, high);
    if (level > 0 && !(low & LARGE && level < 3)) return this.#walkDown(linear, frame, level - 1, steps);
    const offset = ((linear % span) + span) % span;
    return this.#a20(frame - (frame % span) + offset);
  }

  #entry(table: string, base: number, index: number, bytes: 4 | 8, steps?: WalkStep[]): { low: number; high: number } {
    const at = this.#a20(base) + index * bytes;
    const read = this.readPhysical(at, bytes);
    // A table outside memory reads as not present.
    if (read.length < bytes) return { low: 0, high: 0 };
    const view = new DataView(read.buffer, read.byteOffset, bytes);
    const entry = { low: view.getInt32(0, true), high: bytes === 8 ? view.getInt32(4, true) : 0 };
    steps?.push({ table, at, entry: (BigInt(entry.high >>> 0) << 32n) | BigInt(entry.low >>> 0) });
    return entry;
  }
}

const LEVELS = ['PTE', 'PDE', 'PDPTE', 'PML4E'] as const;

const frameOf = (low: number, high: number): number => (high & HIGH_MASK) * TWO_32 + ((low & ~4095) >>> 0);
