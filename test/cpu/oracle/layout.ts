/** Addresses of the memory that cases see, and the records that go to and come from the programs in `native/`. */

/** Linear addresses; outside these windows nothing is mapped from 1000_0000h to 2FFF_FFFFh and below 1_0000h. */
export const WINDOW = {
  code: 0x1000_0000,
  codeBytes: 0x2000,
  data: 0x2000_0000,
  dataBytes: 0x4000,
  /** From here on the data window is read-only. */
  readOnlyFrom: 0x3000,
  /** What the code window holds besides the instruction: HLT, which faults in user mode before it does anything. */
  fill: 0xf4,
} as const;

/** Where 64-bit cases see both windows, besides; nothing else is mapped within `reserved` bytes from `from`. */
export const HIGH_WINDOW = {
  from: 0x4d2f_8000_0000,
  reserved: 0x8000_0000,
  code: 0x4d2f_a000_0000,
  data: 0x4d2f_b000_0000,
} as const;

/** Where the virtual CPU's kernel lies: linear, supervisor pages, upwards from physical 0. */
export const KERNEL = 0xc000_0000;

/** A segment that cases run with. `access`: descriptor bits 8 to 23. */
export interface Segment {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly access: number;
  readonly wide: boolean;
  readonly expandDown: boolean;
}
const segment = (selector: number, base: number, limit: number, access: number): Segment => ({
  selector,
  base,
  limit,
  access,
  wide: (access & 0x4000) !== 0,
  expandDown: (access & 0x1c) === 0x14,
});
/** Linux's flat segments of 32-bit programs, and what oracle.c puts into the local descriptor table. */
export const SEGMENTS = {
  flatCode: segment(0x23, 0, 0xffff_ffff, 0xc0fb),
  flatData: segment(0x2b, 0, 0xffff_ffff, 0xc0f3),
  code16: segment(0x0f, WINDOW.code, 0xf_ffff, 0x00fb),
  code32: segment(0x17, WINDOW.code, 0xf_ffff, 0x40fb),
  data16: segment(0x1f, WINDOW.data, 0x3fff, 0x00f3),
  data32: segment(0x27, WINDOW.data, 0x27fa, 0x40f3),
  down32: segment(0x2f, WINDOW.data, 0x07ff, 0x40f7),
  readOnly: segment(0x37, WINDOW.data, 0x3fff, 0x40f1),
  down16: segment(0x3f, WINDOW.data, 0x07ff, 0x00f7),
} as const;
const BY_SELECTOR = new Map(Object.values(SEGMENTS).map((s) => [s.selector, s]));
/** @throws Error when cases have no such selector */
export function segmentOf(selector: number): Segment {
  const found = BY_SELECTOR.get(selector);
  if (found === undefined) throw new Error(`no segment has selector ${selector}`);
  return found;
}

/** Bytes of an FXSAVE image that are compared: all but the reserved rest. */
export const FX_BYTES = 288;
export const YMM_BYTES = 128;
/** Offsets in an FXSAVE image (SDM Vol. 1, table 10-2). */
export const FX = { control: 0, status: 2, tags: 4, opcode: 6, ip: 8, dp: 16, mxcsr: 24, st: 32, xmm: 160 } as const;

/** Offsets in a case (`given`); patches of the data window follow: u16 offset, u16 bytes, the bytes. */
export const GIVEN = {
  code: 0,
  /** Offset in the code segment. */
  eip: 16,
  gpr: 20,
  eflags: 52,
  fx: 56,
  codeBytes: 344,
  repeats: 345,
  cs: 346,
  ss: 348,
  ds: 350,
  es: 352,
  /** Upper halves of YMM0 to YMM7. */
  ymm: 354,
  patches: 482,
  bytes: 484,
} as const;

/** Offsets in a result; changed bytes of the data window follow: u16 offset, u16 value. Registers lie as in a case. */
export const RESULT = {
  /** Vector; 1 = the instruction completed. */
  trap: 0,
  error: 4,
  cr2: 8,
  eip: 12,
  /** Single-step traps until it completed. */
  steps: 16,
  gpr: 20,
  eflags: 52,
  fx: 56,
  ymm: 344,
  changes: 472,
  bytes: 476,
} as const;

/** Records of 64-bit cases: as above with 16 registers of 8 bytes; an FXSAVE image with 16 XMM registers. */
export const LONG_GIVEN = {
  code: 0,
  eip: 16,
  gpr: 24,
  fsBase: 152,
  gsBase: 160,
  eflags: 168,
  fx: 176,
  /** Upper halves of YMM0 to YMM15. */
  ymm: 592,
  codeBytes: 848,
  repeats: 849,
  patches: 850,
  bytes: 852,
} as const;
export const LONG_RESULT = {
  trap: 0,
  error: 4,
  cr2: 8,
  eip: 16,
  steps: 24,
  changes: 28,
  gpr: 32,
  eflags: 160,
  fx: 168,
  ymm: 584,
  bytes: 840,
} as const;

/** What records of one kind of code have in common. */
export interface Shape {
  /** Registers and addresses are 8 bytes. */
  readonly wide: boolean;
  /** General and XMM registers. */
  readonly gprs: 8 | 16;
  readonly xmms: 8 | 16;
  readonly given: Readonly<Record<keyof typeof LONG_GIVEN & keyof typeof GIVEN, number>>;
  readonly result: Readonly<Record<keyof typeof LONG_RESULT, number>>;
}
export const LEGACY_SHAPE: Shape = { wide: false, gprs: 8, xmms: 8, given: GIVEN, result: RESULT };
export const LONG_SHAPE: Shape = { wide: true, gprs: 16, xmms: 16, given: LONG_GIVEN, result: LONG_RESULT };

/** A linear address: unsigned 32 bits, or signed as CpuState.address gives it; far from canonical ones only roughly. */
export const addressAt = (shape: Shape, view: DataView, at: number): number =>
  shape.wide ? Number(view.getBigInt64(at, true)) : view.getUint32(at, true);
export const registerAt = (shape: Shape, view: DataView, at: number, n: number): number | bigint =>
  shape.wide ? view.getBigUint64(at + n * 8, true) : view.getUint32(at + n * 4, true);

export const COMPLETED = 1;
export const PAGE_FAULT = 14;

/** A result in either representation: the fixed part, and the changed bytes of the data window. */
export interface Outcome {
  readonly view: DataView;
  /** Pairs of offset and value, ascending. */
  readonly changes: Uint16Array;
}
