/**
 * Cylinder, head, sector addresses of a hard disk.
 * Source: ATA/ATAPI-6, annex E (CHS translation) and 6.2 (sector addressing).
 */
export interface AtaGeometry {
  /** 1..16383 */
  readonly cylinders: number;
  /** 1..16 */
  readonly heads: number;
  /** 1..255; the first sector of a track is 1 */
  readonly sectorsPerTrack: number;
}

/** The default translation: 16 heads of 63 sectors, at most 16383 cylinders (annex E.2). */
export function defaultGeometry(sectorCount: number): AtaGeometry {
  const cylinders = Math.floor(sectorCount / (16 * 63));
  return { cylinders: Math.max(1, Math.min(16383, cylinders)), heads: 16, sectorsPerTrack: 63 };
}

/** Cylinders that a translation set by INITIALIZE DEVICE PARAMETERS reaches: 0..65535. */
export function cylindersOf(sectorCount: number, heads: number, sectorsPerTrack: number): number {
  if (sectorsPerTrack === 0) return 0;
  // Word 1 of IDENTIFY ends CHS at 16514064 sectors, whatever the translation.
  return Math.min(65535, Math.floor(Math.min(sectorCount, 16514064) / (heads * sectorsPerTrack)));
}

/** @returns the sector number, or undefined for an address the translation has not */
export function chsToLba(
  cylinder: number,
  head: number,
  sector: number,
  heads: number,
  sectorsPerTrack: number,
): number | undefined {
  if (sector < 1 || sectorsPerTrack < sector || heads <= head) return undefined;
  return (cylinder * heads + head) * sectorsPerTrack + sector - 1;
}
