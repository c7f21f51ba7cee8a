/** Segment and gate descriptors, as two 32-bit words. Source: SDM Vol. 3A, 3.4.5, 3.5, 5.8.3, 6.11, 7.2. */

/** Bits of an `access` word (see SEGMENT in state/layout.ts). */
export const ACCESS_RIGHTS = {
  accessed: 1 << 0,
  /** Data: may be written. */
  writable: 1 << 1,
  /** Code: may be read. */
  readable: 1 << 1,
  expandDown: 1 << 2,
  conforming: 1 << 2,
  code: 1 << 3,
  /** S: not a system descriptor. */
  segment: 1 << 4,
  present: 1 << 7,
  /** L: 64-bit code, where EFER.LMA. */
  long: 1 << 13,
  big: 1 << 14,
} as const;

/** Access rights of flat segments: code and data, 4 GB, accessed, by DPL. */
export const flatCode = (dpl: number, long: boolean): number =>
  (long ? 0x809b | ACCESS_RIGHTS.long : 0xc09b) | (dpl << 5);
export const flatData = (dpl: number): number => 0xc093 | (dpl << 5);

/** Types of system descriptors: the low five bits with S = 0. */
export const SYSTEM_TYPE = {
  tss16: 1,
  ldt: 2,
  tss16Busy: 3,
  callGate16: 4,
  taskGate: 5,
  interruptGate16: 6,
  trapGate16: 7,
  tss32: 9,
  tss32Busy: 11,
  callGate32: 12,
  interruptGate32: 14,
  trapGate32: 15,
} as const;

/** Set in a TSS type when a task runs in it or waits for one that it called. */
export const TSS_BUSY = 2;

export const descriptorBase = (low: number, high: number): number =>
  ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000)) >>> 0;

/** In bytes, granularity applied; unsigned. */
export const descriptorLimit = (low: number, high: number): number => {
  const limit = (low & 0xffff) | (high & 0xf_0000);
  return high & (1 << 23) ? ((limit << 12) | 0xfff) >>> 0 : limit;
};

export const descriptorAccess = (high: number): number => (high >>> 8) & 0xf0ff;

/** Type with S as bit 4: equal to a SYSTEM_TYPE for system descriptors. */
export const systemType = (access: number): number => access & 0x1f;
export const descriptorDpl = (access: number): number => (access >> 5) & 3;
export const isPresent = (access: number): boolean => (access & ACCESS_RIGHTS.present) !== 0;
export const isCode = (access: number): boolean => (access & 0x18) === 0x18;
export const isConformingCode = (access: number): boolean => (access & 0x1c) === 0x1c;
/** Code that runs in 64-bit mode, where EFER.LMA: L set, and D (which must not go with it) clear. */
export const isLongCode = (access: number): boolean =>
  (access & (ACCESS_RIGHTS.long | ACCESS_RIGHTS.big)) === ACCESS_RIGHTS.long;
export const isWritableData = (access: number): boolean => (access & 0x1a) === 0x12;
/** Data, or code that may be read. */
export const isReadable = (access: number): boolean =>
  (access & 0x10) !== 0 && ((access & ACCESS_RIGHTS.code) === 0 || (access & ACCESS_RIGHTS.readable) !== 0);
const isExpandDown = (access: number): boolean => (access & 0x1c) === 0x14;

/** Is [offset, offset + byteCount) inside the segment? All unsigned. */
export function withinLimit(access: number, limit: number, offset: number, byteCount: number): boolean {
  const last = offset + byteCount - 1;
  if (isExpandDown(access)) return offset > limit && last <= (access & ACCESS_RIGHTS.big ? 0xffff_ffff : 0xffff);
  // A segment of the whole 4 GB has no end to run over: addresses wrap.
  return last <= limit || limit === 0xffff_ffff;
}

export const isNullSelector = (selector: number): boolean => (selector & 0xfffc) === 0;
/** The error code that names a selector. */
export const selectorError = (selector: number): number => selector & 0xfffc;
