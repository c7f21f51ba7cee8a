/**
 * Memory map handed to firmware and kernels, and the low-memory facts a BIOS leaves behind.
 * Source: ACPI Specification 2.0, chapter 14 (INT 15h, AX=E820h); IBM PC/AT BIOS data area (40:0Eh, 40:13h).
 */
import { KIB, MIB } from '#base/units.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';

export const E820 = { ram: 1, reserved: 2, acpiData: 3, acpiNvs: 4 } as const;

export interface MemoryMapEntry {
  readonly base: number;
  readonly byteCount: number;
  readonly type: (typeof E820)[keyof typeof E820];
}

/** Conventional memory ends here; the last kilobyte of 640 KB is the extended BIOS data area. */
export const CONVENTIONAL_KB = 639;

/**
 * Map of a machine booted without firmware.
 * @param ramBytes RAM below 4 GB
 * @param reserved ranges at the end of RAM that hold tables
 */
export function directBootMemoryMap(ramBytes: number, reserved: readonly MemoryMapEntry[] = []): MemoryMapEntry[] {
  const inRam = reserved.filter((r) => r.base >= MIB).sort((a, b) => a.base - b.base);
  const map: MemoryMapEntry[] = [
    { base: 0, byteCount: CONVENTIONAL_KB * KIB, type: E820.ram },
    { base: CONVENTIONAL_KB * KIB, byteCount: KIB, type: E820.reserved },
    { base: 0xe_0000, byteCount: 0x2_0000, type: E820.reserved },
  ];
  let at = MIB;
  for (const range of inRam) {
    if (range.base > at) map.push({ base: at, byteCount: range.base - at, type: E820.ram });
    map.push(range);
    at = range.base + range.byteCount;
  }
  if (ramBytes > at) map.push({ base: at, byteCount: ramBytes - at, type: E820.ram });
  return map;
}

/** First byte after the usable RAM that starts at 1 MB; 1 MB when there is none. */
export function extendedMemoryEnd(map: readonly MemoryMapEntry[]): number {
  const entry = map.find((e) => e.type === E820.ram && e.base <= MIB && e.base + e.byteCount > MIB);
  return entry ? entry.base + entry.byteCount : MIB;
}

/** Entries of 20 bytes: base and length of 64 bits, type of 32. */
export function encodeE820(map: readonly MemoryMapEntry[]): Uint8Array {
  const bytes = new Uint8Array(map.length * 20);
  const view = new DataView(bytes.buffer);
  map.forEach((entry, i) => {
    view.setBigUint64(i * 20, BigInt(entry.base), true);
    view.setBigUint64(i * 20 + 8, BigInt(entry.byteCount), true);
    view.setUint32(i * 20 + 16, entry.type, true);
  });
  return bytes;
}

/** Tells kernels that look in the BIOS data area where conventional memory ends. */
export function writeBiosDataArea(memory: DmaMemory): void {
  const word = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >>> 8);
  memory.write(0x40e, word((CONVENTIONAL_KB * KIB) >>> 4));
  memory.write(0x413, word(CONVENTIONAL_KB));
}
