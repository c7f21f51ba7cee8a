/** Addresses of the memory that cases see, and the records that go to and come from `native/oracle.c`. */

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

/** Bytes of an FXSAVE image that are compared: all but the reserved rest. */
export const FX_BYTES = 288;
/** Offsets in an FXSAVE image (SDM Vol. 1, table 10-2). */
export const FX = { control: 0, status: 2, tags: 4, opcode: 6, ip: 8, dp: 16, mxcsr: 24, st: 32, xmm: 160 } as const;

/** Offsets in a case (`given`); patches of the data window follow: u16 offset, u16 bytes, the bytes. */
export const GIVEN = {
  code: 0,
  eip: 16,
  gpr: 20,
  eflags: 52,
  fx: 56,
  codeBytes: 344,
  repeats: 345,
  patches: 346,
  bytes: 348,
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
  changes: 344,
  bytes: 348,
} as const;

export const COMPLETED = 1;
export const PAGE_FAULT = 14;

/** A result in either representation: the fixed part, and the changed bytes of the data window. */
export interface Outcome {
  readonly view: DataView;
  /** Pairs of offset and value, ascending. */
  readonly changes: Uint16Array;
}
