/**
 * What CPUID says of a local APIC. Source: SDM Vol. 2A, CPUID, leaves 1 and 6; Vol. 3A, 10.4.3 (while IA32_APIC_BASE.EN
 * is clear the processor seems to have none).
 */
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import type { CpuFeatures, CpuidResult } from './cpu-features.ts';

/** Leaf 1, EDX and ECX. */
const FEATURE = { apic: 1 << 9, x2apic: 1 << 21 } as const;

/** Adds it to the answer of a leaf. */
export function announceApic(result: CpuidResult, leaf: number, apic: LocalApicPort, features: CpuFeatures): void {
  if (leaf === 1) {
    result[1] |= apic.initialId << 24;
    if (!apic.enabled) return;
    result[2] |= features.word(1, 0, 'ecx', true) & ~(apic.offersX2 ? 0 : FEATURE.x2apic);
    result[3] |= FEATURE.apic;
  } else if (leaf === 6 && features.leaves[0] >= 6) result[0] |= features.word(6, 0, 'eax', true);
}
