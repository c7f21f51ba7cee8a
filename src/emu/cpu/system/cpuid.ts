/**
 * CPUID: what this processor says it is. Which features it has is in cpu-features.ts.
 *
 * Source: SDM Vol. 2A, CPUID; Vol. 4 for IA32_MISC_ENABLE.
 * Not announced, since absent: VME, PSE-36.
 */
import { PHYSICAL_BITS } from '../mmu/page-walk.ts';
import { CR4 } from './control-bits.ts';
import type { CpuFeatures, CpuidResult } from './cpu-features.ts';
import { extendedStateLeaf } from './extended-state.ts';

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

/** Leaf 1, ECX: the operating system has set CR4.OSXSAVE; IA32_MISC_ENABLE has MONITOR. */
const OSXSAVE = 1 << 27;
const MONITOR = 1 << 3;
/** Leaf 5: lines of 64 bytes; extensions listed, interrupts break MWAIT even while masked; one C1 sub-state. */
const LEAF5 = [CLFLUSH_BYTES, CLFLUSH_BYTES, 3, 1 << 4] as const;
const TSC_HZ = 1_000_000_000;
const MAX_LEAF_LIMITED = 3;

/**
 * @param leaf EAX as an unsigned number; above the highest leaf the highest basic leaf answers
 * @param limited IA32_MISC_ENABLE bit 22: no basic leaf above 3
 * @param now registers that show in what CPUID says
 */
export function cpuid(
  features: CpuFeatures,
  leaf: number,
  subleaf: number,
  limited: boolean,
  now: { readonly cr4: number; readonly xcr0: number; readonly monitor: boolean } = { cr4: 0, xcr0: 1, monitor: false },
): CpuidResult {
  const override = features.override(leaf, subleaf);
  if (override) return override;
  const [highest, highestExtended] = features.leaves;
  const maxLeaf = limited ? Math.min(MAX_LEAF_LIMITED, highest) : highest;
  if (leaf >= 0x8000_0000 && leaf <= highestExtended) return extended(features, leaf);
  const asked = Math.min(leaf, maxLeaf);
  if (asked === 0xd) return extendedStateLeaf(features, subleaf, now.xcr0);
  const answer = basic(features, asked, subleaf, maxLeaf);
  if (asked === 1 && now.cr4 & CR4.osxsave) answer[2] |= OSXSAVE;
  if (asked === 1 && !now.monitor) answer[2] &= ~MONITOR;
  if (asked === 5 && now.monitor) return [...LEAF5];
  return answer;
}

function basic(features: CpuFeatures, leaf: number, subleaf: number, maxLeaf: number): CpuidResult {
  const { vendor, signature } = features;
  switch (leaf) {
    case 0:
      return [maxLeaf, word(vendor, 0), word(vendor, 8), word(vendor, 4)];
    case 1:
      return [signature, (CLFLUSH_BYTES / 8) << 8, features.word(1, 0, 'ecx'), features.word(1, 0, 'edx')];
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
      return [0, features.word(7, 0, 'ebx'), features.word(7, 0, 'ecx'), features.word(7, 0, 'edx')];
    case 0x15:
      // The TSC is the crystal: one tick a nanosecond of guest time. Spares kernels a calibration against other timers.
      return [1, 1, TSC_HZ, 0];
    default:
      return [0, 0, 0, 0];
  }
}

function extended(features: CpuFeatures, leaf: number): CpuidResult {
  const { brand } = features;
  const brandAt = (leaf - 0x8000_0002) * 16;
  switch (leaf) {
    case 0x8000_0000:
      return [features.leaves[1] | 0, 0, 0, 0];
    case 0x8000_0001:
      return [0, 0, features.word(leaf, 0, 'ecx'), features.word(leaf, 0, 'edx')];
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004:
      return [word(brand, brandAt), word(brand, brandAt + 4), word(brand, brandAt + 8), word(brand, brandAt + 12)];
    case 0x8000_0006:
      // L2: 2048 KB, 8-way (code 6), 64-byte lines.
      return [0, 0, (2048 << 16) | (6 << 12) | CLFLUSH_BYTES, 0];
    case 0x8000_0007:
      return [0, 0, 0, features.word(leaf, 0, 'edx')];
    case 0x8000_0008:
      return [((features.has('lm') ? 48 : 32) << 8) | PHYSICAL_BITS, 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
}
