/**
 * CPUID: what this processor says it is.
 *
 * Source: SDM Vol. 2A, CPUID; Vol. 4 for IA32_MISC_ENABLE. Family 6, model 1Ch: an in-order 32-bit core without
 * speculation, which is what an interpreter is, so that guests do not arm themselves against side channels it has not.
 * Not announced, since absent: local APIC, MTRR, MCE, VME, PSE-36, MONITOR.
 */
import { PHYSICAL_BITS } from '../mmu/page-walk.ts';

export const VENDOR = 'GenuineIntel';
export const BRAND = 'TabBox virtual CPU';
/** Stepping 10, model 1Ch, family 6. */
export const SIGNATURE = 0x0001_06ca;

/** Leaf 1, EDX. */
const FEATURES_EDX = {
  fpu: 0,
  de: 2,
  pse: 3,
  tsc: 4,
  msr: 5,
  pae: 6,
  cx8: 8,
  sep: 11,
  pge: 13,
  cmov: 15,
  pat: 16,
  clfsh: 19,
  mmx: 23,
  fxsr: 24,
  sse: 25,
  sse2: 26,
} as const;
/** Leaf 1, ECX. */
const FEATURES_ECX = {
  sse3: 0,
  pclmulqdq: 1,
  ssse3: 9,
  sse41: 19,
  sse42: 20,
  movbe: 22,
  popcnt: 23,
  aes: 25,
} as const;
/** Only with a source of random numbers. */
const RANDOM_ECX = { rdrand: 30 } as const;
/** Leaf 7, subleaf 0. */
const STRUCTURED_EBX = { adx: 19, clflushopt: 23, clwb: 24, sha: 29 } as const;
const RANDOM_EBX = { rdseed: 18 } as const;
/** Leaf 80000001h, EDX. */
const EXTENDED_EDX = { nx: 20 } as const;
/** Leaf 80000001h, ECX. */
const EXTENDED_ECX = { lzcnt: 5 } as const;

const bits = (features: Record<string, number>): number =>
  Object.values(features).reduce((word, bit) => word | (1 << bit), 0);

/** Four characters of a string as a little-endian word, zero-padded. */
const word = (text: string, at: number): number =>
  [0, 1, 2, 3].reduce((w, i) => w | ((text.charCodeAt(at + i) || 0) << (i * 8)), 0);

const CLFLUSH_BYTES = 64;
/** Leaf 2: L1 and L2 caches as leaf 4 describes them, 128-entry TLBs, 64-byte prefetch. */
const LEAF2 = [0x02b3_b001, 0x0000_00f0, 0, 0x2c04_307d] as const;
const WAYS = 8;
/** Leaf 4 by subleaf: type (1 data, 2 code, 3 unified), level, sets. */
const CACHES = [
  { type: 1, level: 1, sets: 64 },
  { type: 2, level: 1, sets: 64 },
  { type: 3, level: 2, sets: 4096 },
] as const;

const TSC_HZ = 1_000_000_000;
const MAX_LEAF = 0x15;
const MAX_LEAF_LIMITED = 3;
const MAX_EXTENDED_LEAF = 0x8000_0008;

/** EAX, EBX, ECX, EDX; 32-bit patterns. */
export type CpuidResult = [number, number, number, number];

/**
 * @param leaf EAX as an unsigned number; above the highest leaf the highest basic leaf answers
 * @param limited IA32_MISC_ENABLE bit 22: no basic leaf above 3
 * @param random there is a source for RDRAND and RDSEED
 */
export function cpuid(leaf: number, subleaf: number, limited: boolean, random = false): CpuidResult {
  const maxLeaf = limited ? MAX_LEAF_LIMITED : MAX_LEAF;
  if (leaf >= 0x8000_0000 && leaf <= MAX_EXTENDED_LEAF) return extended(leaf);
  return basic(Math.min(leaf, maxLeaf), subleaf, maxLeaf, random);
}

function basic(leaf: number, subleaf: number, maxLeaf: number, random: boolean): CpuidResult {
  switch (leaf) {
    case 0:
      return [maxLeaf, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4)];
    case 1:
      return [
        SIGNATURE,
        (CLFLUSH_BYTES / 8) << 8,
        bits(FEATURES_ECX) | (random ? bits(RANDOM_ECX) : 0),
        bits(FEATURES_EDX),
      ];
    case 2:
      return [...LEAF2];
    case 4: {
      const cache = CACHES[subleaf];
      if (!cache) return [0, 0, 0, 0];
      // Bit 8: self-initializing.
      const kind = cache.type | (cache.level << 5) | (1 << 8);
      return [kind, ((WAYS - 1) << 22) | (CLFLUSH_BYTES - 1), cache.sets - 1, 0];
    }
    case 7:
      if (subleaf !== 0) return [0, 0, 0, 0];
      return [0, bits(STRUCTURED_EBX) | (random ? bits(RANDOM_EBX) : 0), 0, 0];
    case 0x15:
      // The TSC is the crystal: one tick a nanosecond of guest time. Spares kernels a calibration against other timers.
      return [1, 1, TSC_HZ, 0];
    default:
      return [0, 0, 0, 0];
  }
}

function extended(leaf: number): CpuidResult {
  const brandAt = (leaf - 0x8000_0002) * 16;
  switch (leaf) {
    case 0x8000_0000:
      return [MAX_EXTENDED_LEAF | 0, 0, 0, 0];
    case 0x8000_0001:
      return [0, 0, bits(EXTENDED_ECX), bits(EXTENDED_EDX)];
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004:
      return [word(BRAND, brandAt), word(BRAND, brandAt + 4), word(BRAND, brandAt + 8), word(BRAND, brandAt + 12)];
    case 0x8000_0006:
      // L2: 2048 KB, 8-way (code 6), 64-byte lines.
      return [0, 0, (2048 << 16) | (6 << 12) | CLFLUSH_BYTES, 0];
    case 0x8000_0007:
      // Invariant TSC: guest time drives it.
      return [0, 0, 0, 1 << 8];
    case 0x8000_0008:
      return [(32 << 8) | PHYSICAL_BITS, 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
}
