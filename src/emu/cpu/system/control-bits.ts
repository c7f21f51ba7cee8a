/** Bits of control and debug registers and EFER. Source: SDM Vol. 3A, 2.2.1, 2.5, 17.2. */
import type { CpuFeatures, Feature } from './cpu-features.ts';

export const CR0 = {
  pe: 1 << 0,
  mp: 1 << 1,
  em: 1 << 2,
  ts: 1 << 3,
  et: 1 << 4,
  ne: 1 << 5,
  wp: 1 << 16,
  am: 1 << 18,
  nw: 1 << 29,
  cd: 1 << 30,
  pg: 1 << 31,
} as const;

export const CR4 = {
  vme: 1 << 0,
  pvi: 1 << 1,
  tsd: 1 << 2,
  de: 1 << 3,
  pse: 1 << 4,
  pae: 1 << 5,
  mce: 1 << 6,
  pge: 1 << 7,
  pce: 1 << 8,
  osfxsr: 1 << 9,
  osxmmexcpt: 1 << 10,
  umip: 1 << 11,
  fsgsbase: 1 << 16,
  pcide: 1 << 17,
  osxsave: 1 << 18,
  smep: 1 << 20,
  smap: 1 << 21,
} as const;

/** The feature that lets each CR4 bit be set; without it setting the bit is #GP(0). */
const CR4_NEEDS: readonly (readonly [number, Feature])[] = [
  [CR4.tsd, 'tsc'],
  [CR4.de, 'de'],
  [CR4.pse, 'pse'],
  [CR4.pae, 'pae'],
  [CR4.mce, 'mce'],
  [CR4.pge, 'pge'],
  [CR4.osfxsr, 'fxsr'],
  [CR4.osxmmexcpt, 'sse'],
  [CR4.umip, 'umip'],
  [CR4.fsgsbase, 'fsgsbase'],
  [CR4.pcide, 'pcid'],
  [CR4.smep, 'smep'],
  [CR4.smap, 'smap'],
  [CR4.osxsave, 'xsave'],
];

export const cr4Known = (features: CpuFeatures): number =>
  CR4_NEEDS.reduce((known, [bit, feature]) => (features.has(feature) ? known | bit : known), CR4.pce as number);

export const EFER = { sce: 1 << 0, lme: 1 << 8, lma: 1 << 10, nxe: 1 << 11 } as const;

/** What SYSRET takes from R11: all flags but RF, VM and the reserved ones. */
export const SYSRET_FLAGS = 0x003c_7fd7;

export const DR6 = {
  /** B0 to B3. */
  hits: 0xf,
  bd: 1 << 13,
  bs: 1 << 14,
  bt: 1 << 15,
  /** Bits that always read as 1. */
  ones: 0xffff_0ff0 | 0,
} as const;

export const DR7 = {
  /** L0, G0 ... L3, G3. */
  enables: 0xff,
  /** L0 to L3 and LE. */
  locals: 0x155,
  gd: 1 << 13,
  ones: 1 << 10,
  /** Bits that always read as 0: 11, 12, 14, 15. */
  zeros: 0xd800,
} as const;

/** R/W field of breakpoint `n` (0..3): 0 execute, 1 write, 2 I/O, 3 read or write. */
export const breakpointKind = (dr7: number, n: number): number => (dr7 >>> (16 + n * 4)) & 3;
/** Length of breakpoint `n` in bytes: 1, 2, 8 or 4 by its LEN field. */
export const breakpointBytes = (dr7: number, n: number): number => [1, 2, 8, 4][(dr7 >>> (18 + n * 4)) & 3];
/** Is a breakpoint on I/O enabled? */
export const watchesPorts = (dr7: number): boolean =>
  (dr7 & DR7.enables) !== 0 && [0, 1, 2, 3].some((n) => breakpointEnabled(dr7, n) && breakpointKind(dr7, n) === 2);
export const breakpointEnabled = (dr7: number, n: number): boolean => ((dr7 >>> (n * 2)) & 3) !== 0;
