/**
 * Where everything lives in the machine's one linear memory, and the fields of a virtual CPU's state block.
 *
 * Both the generated WebAssembly and the TypeScript around it take their offsets from here and nowhere else.
 * Register slots are 8 bytes wide so that long mode needs no second layout; in 32-bit modes only the low half counts.
 */
import { crc32 } from '#base/crc32.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES } from '#emu/memory/physical-memory.ts';

/** Numbers of the general registers, in the order of their encoding. */
export const GPR = { eax: 0, ecx: 1, edx: 2, ebx: 3, esp: 4, ebp: 5, esi: 6, edi: 7 } as const;
/** Numbers of the segment registers, in the order of their encoding; LDTR and TR follow in the same shape. */
/** STATE.halted. `mwaitMasked`: interrupts end it even while IF is clear. */
export const HALTED = { no: 0, hlt: 1, mwait: 2, mwaitMasked: 3 } as const;

export const SEG = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, ldtr: 6, tr: 7 } as const;

/** A segment register's slot: the selector and the hidden part (SDM Vol. 3A, 3.4.3). */
export const SEGMENT = {
  bytes: 32,
  /** 8 bytes, linear. */
  base: 0,
  /** Limit in bytes, granularity applied: the last valid offset (expand-up) or the first invalid one below (expand-down). */
  limit: 8,
  /** Descriptor bytes 5 and 6 high nibble: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15; 0 = unusable (null). */
  access: 12,
  /** 16 bits used. */
  selector: 16,
  /** 1 when the segment is an ordinary expand-up one that may be read; SEGCHECK's fast path. */
  readable: 20,
  /** 1 when it may be written, likewise. */
  writable: 24,
} as const;

/** What a load of a segment register was made from, and what it made: the same again makes the same. */
export const SEGMENT_LOAD = {
  bytes: 48,
  /** A copy of the register: see SEGMENT. */
  register: 0,
  /** 8 bytes: the descriptor in its table; 0 = there was no such load. */
  descriptor: 32,
} as const;

let at = 0;
const field = (bytes: number, align = Math.min(bytes, 16)): number => {
  at = Math.ceil(at / align) * align;
  const here = at;
  at += bytes;
  return here;
};

/** Offsets in a vCPU's state block. Comments give the width where it is not 4 bytes. */
export const STATE = {
  /** Sixteen slots of 8 bytes: EAX ECX EDX EBX ESP EBP ESI EDI R8-R15. */
  gpr: field(16 * 8, 16),
  /** A slot that always reads 0: the missing base, index or segment base of an address. */
  zero: field(8),
  /** A slot that always reads 2^31: the index of RIP-relative addresses whose displacement does not fit a record. */
  two31: field(8),
  /** 8 bytes. Exact only outside the interpreter: inside, `blockEip` plus the record's offset is the truth. */
  eip: field(8),
  /** EIP after the instruction that calls into TypeScript; set together with `eip` before the call. 8 bytes. */
  nextEip: field(8),
  /** What a system call answers to `query`; 8 bytes for `query64`. */
  queryResult: field(8),
  /** 64-bit arguments of a system call, whole: argument n at 8 * n. Only those that are 64 bits wide are stored. */
  wideArgument: field(4 * 8, 8),
  /** EIP of the first instruction of the block that runs. 8 bytes. */
  blockEip: field(8),
  /** Address of the header record of the block that runs. */
  block: field(4),
  /** After the interpreter left for a block it did not know: the record of the direct branch that wants it, or 0. */
  linkFrom: field(4),
  /** The record being executed whenever code outside the interpreter's main function can look. */
  record: field(4),
  /** EFLAGS without CF, PF, AF, ZF, SF and OF, which are in `flagResult` and `flagAux` (see flags.ts); bit 1 is set. */
  eflags: field(4),
  flagAux: field(4),
  /** 8 bytes; all of them count in 64-bit code, the low 4 elsewhere. */
  flagResult: field(8),
  /** ES CS SS DS FS GS LDTR TR, each `SEGMENT.bytes`. */
  segments: field(8 * SEGMENT.bytes, 16),
  cr0: field(8),
  cr2: field(8),
  cr3: field(8),
  cr4: field(8),
  gdtBase: field(8),
  gdtLimit: field(4),
  idtLimit: field(4),
  idtBase: field(8),
  /** DR0-DR3, 8 bytes each. */
  dr: field(4 * 8, 8),
  dr6: field(4),
  dr7: field(4),
  /** Current privilege level 0..3 (3 in virtual-8086 mode). */
  cpl: field(4),
  /** Mode bits that choose how code is decoded: see MODE. */
  mode: field(4),
  /** Linear-memory address of the TLB bank in use (supervisor or user). */
  tlbBase: field(4),
  /** Linear-memory address of the jump-cache bank in use. */
  jumpCacheBase: field(4),
  /** Non-zero: leave the interpreter at the next block. Bits of ATTENTION. Written by any thread with Atomics. */
  attention: field(4),
  /** Instructions left of this slice; goes negative when it is used up. */
  budget: field(4),
  /** Instructions retired before this slice, as f64 (exact below 2^53). 8 bytes. */
  retired: field(8),
  /** A fault waiting to be delivered: vector, or -1. */
  faultVector: field(4),
  faultErrorCode: field(4),
  /** 1 when `faultErrorCode` is to be pushed. */
  faultHasErrorCode: field(4),
  /** 1: the program said INT n/INT3/INTO, so DPL is checked and EIP is after the instruction. */
  faultIsSoftware: field(4),
  /** EIP before which maskable interrupts and debug traps are held off for one instruction (STI, MOV SS); else -1. 8 bytes. */
  inhibitEip: field(8),
  /** DR6 bits of a debug trap to be delivered before the next instruction; 0 = none. */
  pendingDebug: field(4),
  /** 1 from the delivery of an NMI to the next IRET. */
  nmiBlocked: field(4),
  /** Of HALTED: not 0 while HLT or MWAIT waits. */
  halted: field(4),
  /** 1: an INIT/shutdown (triple fault) happened. */
  shutdown: field(4),
  a20Mask: field(4),
  tscOffset: field(8),
  sysenterCs: field(8),
  sysenterEsp: field(8),
  sysenterEip: field(8),
  /** IA32_EFER. 8 bytes. */
  efer: field(8),
  /** IA32_STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE, TSC_AUX; 8 bytes each. The bases of FS and GS are in their slots. */
  star: field(8),
  lstar: field(8),
  cstar: field(8),
  fmask: field(8),
  kernelGsBase: field(8),
  tscAux: field(8),
  xcr0: field(8),
  /** CR8: the task priority class, 0..15, where no local APIC keeps it. */
  cr8: field(4),
  pat: field(8),
  miscEnable: field(8),
  apicBase: field(8),
  /** PAE page-directory-pointer registers, loaded with CR3 (SDM Vol. 3A, 4.4.1). */
  pdpte: field(4 * 8, 8),
  /** Slow memory accesses pass their data through here: 64 bytes. */
  scratch: field(64, 16),
  /** Bits of `scratch` commits in flight: linear address and size of a write that `commitWrite` finishes. */
  commitAddress: field(8),
  commitBytes: field(4),
  /** 1: the single instruction that runs may write its own code (it is thrown away after). */
  selfModifyOk: field(4),
  /** x87: eight registers by physical number, 16 bytes each: significand (8 bytes), sign and exponent (2 bytes), padding. */
  fpr: field(8 * 16, 16),
  fpuControl: field(4),
  /** Status word without TOP (bits 11-13 are 0). */
  fpuStatus: field(4),
  /** 0..7. */
  fpuTop: field(4),
  /** Bit n set: physical register n is not empty. The full 2-bit tags are made when they are stored. */
  fpuTags: field(4),
  fpuOpcode: field(4),
  fpuIp: field(4),
  fpuCs: field(4),
  fpuDp: field(4),
  fpuDs: field(4),
  mxcsr: field(4),
  /** Sixteen XMM registers, 64 bytes each so that YMM and ZMM fit; XMM in the low 16. */
  xmm: field(16 * 64, 16),
  /** Arguments and results of code that needs memory of its own. */
  spare: field(16),
  /** Free for kernels: results wider than a WebAssembly value. 64 bytes. */
  kernelScratch: field(64, 16),
  /** What MONITOR armed; unused otherwise. */
  monitor: field(8),
  /** MTRRs: the eleven fixed ones, eight pairs of base and mask, the default type. 8 bytes each. */
  mtrrFixed: field(11 * 8, 8),
  mtrrVariable: field(16 * 8),
  mtrrDefault: field(8),
  mcgStatus: field(8),
  /** IA32_MC0_CTL to IA32_MC3_CTL. */
  mcControl: field(4 * 8),
  /** IA32_TSC_ADJUST: what software has added to the time-stamp counter. 8 bytes. */
  tscAdjust: field(8),
  /** Number of the region of tier 1 that was entered last. */
  region: field(4),
  /** Two words, supervisor and user: one changes whenever its translations of code may have. See jit/tier1.ts. */
  codeEpoch: field(2 * 4),
  /** After EXIT.site: which of the region's exits, and what STATE.eip and the lazy flags are made from. */
  exitSite: field(4),
  /** 8 bytes. */
  exitBase: field(8),
  /** The operands of the flags, 8 bytes each. */
  exitFlagX: field(8),
  exitFlagY: field(8),
  /** Bytes into LINEAR.branchTrace where the next entry goes. */
  branchTraceNext: field(4),
  /** ES CS SS DS FS GS, each `SEGMENT_LOAD.bytes`: the last load of a descriptor through MOV, POP and the like. */
  segmentLoads: field(6 * SEGMENT_LOAD.bytes, 16),
  /** By jump cache (supervisor, user, the same for 64-bit code): the modes its entries are good in. See JUMP_MODE. */
  jumpModes: field(4 * 4),
  /** 1: code of privilege level 3 was about to run; whoever has seen it clears it. */
  userRan: field(4),
  /** Of the last reading of the clock: the time-stamp counter, and the budget then. 8 and 4 bytes. */
  tscRead: field(8),
  tscBudget: field(4),
  /** For how many instructions after it one tick each is added instead; 0: not at all. */
  tscHolds: field(4),
  /** What the program was told last: never less is said. 8 bytes. */
  tscTold: field(8),
  end: field(16),
} as const;

/** Which fields there are and where: the same number only for the same layout. */
export const STATE_LAYOUT = crc32(Uint8Array.from(JSON.stringify(STATE), (c) => c.charCodeAt(0)));

/** Slots of `STATE.fpr` and `STATE.xmm`. */
export const FPR_BYTES = 16;
export const XMM_BYTES = 64;

/** Bits of `STATE.mode`: everything that the meaning of code bytes depends on besides CR0.PE and friends. */
export const MODE = {
  /** CS.D: operands and addresses are 32 bits by default. */
  code32: 1 << 0,
  /** SS.B: the stack pointer is ESP. */
  stack32: 1 << 1,
  /** ES, CS, SS and DS are all flat 4 GB, read-write (CS readable): no segment checks, all bases 0. */
  flat: 1 << 2,
  /** Tracing: TF, an instruction breakpoint or a watch is on; blocks hold one instruction and are not chained. */
  step: 1 << 3,
  /** 64-bit mode: EFER.LMA and CS.L. Compatibility mode does not have it. */
  long: 1 << 4,
} as const;

/** All that 64-bit mode has, and 32-bit code in flat segments: full speed. */
export const LONG_MODE: number = MODE.long | MODE.code32 | MODE.stack32 | MODE.flat;
export const FLAT32: number = MODE.code32 | MODE.stack32 | MODE.flat;

/** Added to STATE.mode in `STATE.jumpModes`. */
export const JUMP_MODE = {
  protectedMode: 1 << 8,
  virtual8086: 1 << 9,
  /** The base of CS is not 0. */
  based: 1 << 10,
} as const;

/** Bits of `STATE.attention`. */
export const ATTENTION = {
  /** Leave the interpreter after one instruction: somebody runs it alone. */
  alone: 1 << 0,
  nmi: 1 << 1,
  /** The machine wants its thread back (timer, control call). */
  yield: 1 << 2,
  /** An interrupt controller requests an interrupt. The bit of EFLAGS.IF, so that one AND tells whether it counts. */
  interrupt: 1 << 9,
} as const;

/** Bytes of one vCPU's block; the first 4 KB hold `STATE`. */
export const STATE_BLOCK_BYTES = 4096;
export const MAX_VCPUS = 8;

/**
 * A TLB entry: read tag, write tag (page address, or 1 = never matches), addend (linear memory minus virtual), and a word
 * of mmu/'s own. Entry number = bits 12-23 of the linear address: 16 MB that lie together do not share entries.
 */
export const TLB = {
  entries: 4096,
  entryBytes: 16,
  readTag: 0,
  writeTag: 4,
  addend: 8,
  note: 12,
  /** A value no page address equals, in 8 bytes too. */
  invalidTag: 1,
} as const;

/** The same for 64-bit code: tags are 8 bytes, sign-extended page addresses. Entry number = bits 12-23 as well. */
export const TLB64 = { entries: 4096, entryBytes: 32, readTag: 0, writeTag: 8, addend: 16, note: 20 } as const;

/**
 * A jump-cache entry: EIP tag (plus CS base is implied by the flush on a mode change), pointer to the block's header record.
 * A flush zeroes it: an entry whose record is 0 is a miss whatever its tag. Entry number = bits 0-13 xor 12-25 of EIP, or
 * its neighbour, whose number differs in bit 0. `region` and `regionOffset` are the header's, so that a region is entered
 * without a look at the header, which is rarely in the host's cache; a region of 0 says nothing.
 */
export const JUMP_CACHE = { entries: 16384, entryBytes: 16, tag: 0, record: 4, region: 8, regionOffset: 12 } as const;
/** The same for 64-bit code: the tag is all of RIP. */
export const JUMP_CACHE64 = {
  entries: 16384,
  entryBytes: 32,
  tag: 0,
  record: 8,
  region: 12,
  regionOffset: 16,
} as const;

const KIB = 1024;
let linearEnd = 0;
const region = (bytes: number, align = 64 * KIB): number => {
  linearEnd = Math.ceil(linearEnd / align) * align;
  const here = linearEnd;
  linearEnd += bytes;
  return here;
};
/** The first page stays empty, so that a zero pointer is recognised. */
region(4096, 1);
/** Regions of tier 1 that may be alive at once, and slots of their table. */
export const MAX_REGIONS = 4096;
/** A power of two. */
export const BRANCH_TRACE_BYTES = 32 * KIB;
const RECORD_BYTES = 24 * 1024 * KIB;

/**
 * Linear memory below guest RAM. A vCPU has three banks of each TLB (supervisor, user, supervisor kept from user pages by
 * SMAP) and two of each jump cache (supervisor, user).
 */
export const LINEAR = {
  states: region(MAX_VCPUS * STATE_BLOCK_BYTES, 4096),
  tlb: region(MAX_VCPUS * 3 * TLB.entries * TLB.entryBytes),
  tlbBankBytes: TLB.entries * TLB.entryBytes,
  jumpCache: region(MAX_VCPUS * 2 * JUMP_CACHE.entries * JUMP_CACHE.entryBytes),
  jumpCacheBankBytes: JUMP_CACHE.entries * JUMP_CACHE.entryBytes,
  tlb64: region(MAX_VCPUS * 3 * TLB64.entries * TLB64.entryBytes),
  tlb64BankBytes: TLB64.entries * TLB64.entryBytes,
  jumpCache64: region(MAX_VCPUS * 2 * JUMP_CACHE64.entries * JUMP_CACHE64.entryBytes),
  jumpCache64BankBytes: JUMP_CACHE64.entries * JUMP_CACHE64.entryBytes,
  /** jit/tier1.ts: 16 bytes a region. */
  regionDescriptors: region(MAX_REGIONS * 16),
  /** The last indirect jumps and calls of tier 0: from and to, 8 bytes each, in a ring. */
  branchTrace: region(BRANCH_TRACE_BYTES),
  pageMap: region(PAGE_MAP_BYTES),
  dirtyMap: region(DIRTY_MAP_BYTES),
  records: region(RECORD_BYTES),
  recordBytes: RECORD_BYTES,
  /** Guest RAM, then video memory, then ROMs begin here; a multiple of 64 KB. */
  guest: region(0),
} as const;

/** TLB banks of a vCPU: `supervisor` may use user pages, `strict` is kept from them by SMAP. */
export const TLB_BANK = { supervisor: 0, user: 1, strict: 2 } as const;

const vcpuOf = (stateAt: number): number => (stateAt - LINEAR.states) / STATE_BLOCK_BYTES;
/** Linear-memory address of a TLB bank. @param long of 64-bit code */
export function tlbBankAt(stateAt: number, bank: number, long: boolean): number {
  const n = vcpuOf(stateAt) * 3 + bank;
  return long ? LINEAR.tlb64 + n * LINEAR.tlb64BankBytes : LINEAR.tlb + n * LINEAR.tlbBankBytes;
}
/** Linear-memory address of a jump cache. @param user 1: of privilege level 3, else 0 */
export function jumpCacheAt(stateAt: number, user: number, long: boolean): number {
  const n = vcpuOf(stateAt) * 2 + user;
  return long ? LINEAR.jumpCache64 + n * LINEAR.jumpCache64BankBytes : LINEAR.jumpCache + n * LINEAR.jumpCacheBankBytes;
}
/** The field of STATE that says what modes a jump cache is good in. */
export const jumpModesAt = (user: number, long: boolean): number => STATE.jumpModes + (Number(long) * 2 + user) * 4;

/** A block's header record, where it is not as RECORD: `imm` is the number of instructions, `disp` the offset in the page. */
export const HEADER = {
  /** i32: since when its entries are counted, in the time of jit/hotness.ts. */
  since: 0,
  /** i32: table slot << 16 | entry number of the region that begins here, or 0. */
  region: 4,
  /** i32: entries until the block is hot; counts down past 0. */
  heat: 8,
  /** i32: bytes from the region's base to this block. */
  regionOffset: 12,
} as const;

/** A decoded instruction: 32 bytes, read by the interpreter's cases. Slots are absolute addresses below 64 KB. */
export const RECORD = {
  bytes: 32,
  /** u16: number of the interpreter's case. */
  op: 0,
  /** u8: length of the instruction in bytes. */
  length: 2,
  /** u8: scale of the index as a shift count, 0..3. In 64-bit code bit 5 cuts the address to 32 bits. */
  shift: 3,
  /** u16: slot of the register that ModRM.reg (or the opcode) names. */
  reg: 4,
  /** u16: slot of the register that ModRM.rm names. */
  rm: 6,
  /** u16: slot of the base register, or the zero slot. */
  base: 8,
  /** u16: slot of the index register, or the zero slot. */
  index: 10,
  /** u16: slot of the segment (its base comes first). */
  segment: 12,
  /** u16: offset of the instruction from the block's first byte. */
  offset: 14,
  /** i32; with `imm` above it a 64-bit moffs address. */
  disp: 16,
  /** i32: immediate; for relative branches the target as an offset from the block's first byte. With `imm2` a 64-bit one. */
  imm: 20,
  /**
   * i32: second immediate, far selector, u16 slot of VEX.vvvv and u16 slot of a vector index, or the header record a direct
   * branch is chained to (0 = not yet).
   */
  imm2: 24,
  /** i32: 0xffff or -1, applied to base + index + disp (not in 64-bit code). */
  mask: 28,
} as const;
