/** Logical destinations. Source: SDM Vol. 3A, 10.6.2.2 (flat and cluster model), 10.12.10 (x2APIC). */

/**
 * xAPIC mode.
 * @param destination 8 bits
 * @param ldr logical ID in bits 31..24
 * @param dfr model in bits 31..28: Fh flat, 0 cluster
 */
export function matchesLogical(destination: number, ldr: number, dfr: number): boolean {
  const mine = ldr >>> 24;
  if (dfr >>> 28 === 0xf) return (destination & mine & 0xff) !== 0;
  const cluster = (destination >> 4) & 0xf;
  return (cluster === 0xf || cluster === mine >> 4) && (destination & mine & 0xf) !== 0;
}

/** The logical ID that follows from an x2APIC ID: cluster in the upper half, one bit in the lower. */
export const x2LogicalId = (id: number): number => (((id & ~0xf) << 12) | (1 << (id & 0xf))) >>> 0;

/** @param destination 32 bits */
export function matchesLogicalX2(destination: number, id: number): boolean {
  const mine = x2LogicalId(id);
  return destination >>> 16 === mine >>> 16 && (destination & mine & 0xffff) !== 0;
}
