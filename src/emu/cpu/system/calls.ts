/**
 * The border between generated WebAssembly and the parts of the CPU written in TypeScript.
 *
 * Before a call the interpreter stores STATE.eip (this instruction) and STATE.nextEip. Arguments are signed 32-bit.
 * Of a 64-bit argument n (0..3) the low half is passed, and all of it is in STATE.wideArgument + 8 * n.
 */

/** What a system call did. */
export const STATUS = {
  /** Go on with the next instruction. */
  next: 0,
  /** STATE.eip was set (a far transfer, HLT, a mode change): look the next block up. */
  jumped: 1,
  /** STATE.faultVector and its companions were set. */
  fault: 2,
  /** Do this instruction again, alone (see SlowMemory). */
  restart: 3,
} as const;
export type Status = (typeof STATUS)[keyof typeof STATUS];

/** Names of the system calls, in the order of their numbers. system/ implements each; rows of isa/ use them. */
export const SYSTEM_CALLS = [
  'loadSegment', // (segment number, selector): MOV Sreg
  'popSegment', // (segment number, operand size bits)
  'loadFarPointer', // (segment number + 8 for 32-bit, + 16 for 64-bit operands, selector, general register number, offset): LDS and friends
  'farJump', // (selector, offset, operand size bits)
  'farCall', // (selector, offset, operand size bits)
  'farReturn', // (operand size bits, bytes to release)
  'interruptReturn', // (operand size bits)
  'softwareInterrupt', // (vector): INT n
  'int3',
  'into',
  'int1',
  'popFlags', // (operand size bits)
  'halt',
  'in', // query (port, bits)
  'out', // (port, bits, value)
  'inString', // (bits, STRING_IO bits): INS, all iterations of a repeat up to a bound, registers included
  'outString', // (bits, STRING_IO bits, linear base of the source segment)
  'movFromCr', // query64 (number), in 64-bit code
  'movToCr', // (number, value)
  'movToDr', // (number, value)
  'movFromDr', // query (number); query64 in 64-bit code
  'clts',
  'lmsw', // (value)
  'loadGdt', // (limit, base)
  'loadIdt', // (limit, base)
  'loadLdt', // (selector)
  'loadTr', // (selector)
  'lar', // query (selector): access rights; ZF set or cleared. When ZF is clear the answer is not to be written
  'lsl', // query (selector)
  'verr', // (selector)
  'verw', // (selector)
  'invlpg', // (linear address)
  'invd',
  'wbinvd',
  'cpuid',
  'rdtsc',
  'rdmsr',
  'wrmsr',
  'rdpmc',
  'sysenter',
  'sysexit', // (operand size bits)
  'syscall',
  'sysret', // (operand size bits)
  'clac',
  'stac',
  'rdtscp',
  'invpcid', // (type, PCID, linear address)
  'monitor',
  'mwait',
  'checkSegment', // (segment number, offset, bytes, 1 = write): limit and type checks that the fast path could not decide
  'checkStack', // (bytes, 1 = push): same for implicit stack accesses
  'floatError', // a pending x87 exception meets a waiting instruction: #MF or the external FERR# line
  'xsetbv', // XCR0 = EDX:EAX
  'random', // query (): 32 bits of the host's secure source; #UD without one
  'x87Transcendental', // (which: see float/transcendental.ts): F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS
] as const;
export type SystemCall = (typeof SYSTEM_CALLS)[number];

/** Second argument of inString and outString. */
export const STRING_IO = { address32: 1, repeat: 2, address64: 4 } as const;

/** Added to the byte count of a 64-bit access through SS: a non-canonical address is #SS(0) instead of #GP(0). */
export const STACK_ACCESS = 1 << 16;

/**
 * Accesses that missed the TLB. Implemented by mmu/; addresses are linear: 0 <= address < 2^32 as signed or unsigned; those of the functions for 64-bit code are signed numbers of any size, which fault unless canonical.
 */
export interface SlowMemory {
  /**
   * Makes `byteCount` bytes at `linear` readable: returns the linear-memory address where they are, either in place
   * (then the TLB has been filled when possible) or gathered in STATE.scratch (page crossing, MMIO); 0 = fault was set.
   */
  readSlow(linear: number, byteCount: number): number;
  /** Writes the bytes at STATE.scratch to guest memory. */
  writeSlow(linear: number, byteCount: number): Status;
  /**
   * Checks and reads for a read-modify-write: the place where the caller reads and writes, or 0 = fault or restart
   * (STATE.faultVector is -1 then). When it is STATE.scratch the caller calls `commitWrite` afterwards, which cannot fault.
   */
  modifySlow(linear: number, byteCount: number): number;
  commitWrite(): void;
  /** Checks that [linear, linear + byteCount) can be written, byteCount <= 4096. Changes nothing but A/D bits and the TLB. */
  probeSlow(linear: number, byteCount: number): Status;
  /** The same for 64-bit code. */
  readSlow64(linear: number, byteCount: number): number;
  writeSlow64(linear: number, byteCount: number): Status;
  modifySlow64(linear: number, byteCount: number): number;
  probeSlow64(linear: number, byteCount: number): Status;
}

/** What decoded code asks of stores. Implemented by the code cache. */
export interface CodeWatch {
  /**
   * Called before a store to a page marked `code`. Invalidates what it overlaps. `restart`: the running block is among it,
   * so the store must not happen now: the instruction is run again alone.
   */
  beforeStore(physical: number, byteCount: number): 'go' | 'restart';
}
