import { CodedError } from '#base/errors.ts';

/**
 * What a diskette image of each size is, and which drive takes it.
 * Source: ISO/IEC 9529 and ECMA-125/147 (3.5 inch), ECMA-78/99 (5.25 inch): tracks, sides, sectors, data rates.
 */

/** Data rate as CCR and DSR code it. */
export const RATE = { kbps500: 0, kbps300: 1, kbps250: 2, kbps1000: 3 } as const;
export type Rate = (typeof RATE)[keyof typeof RATE];

export interface FloppyGeometry {
  readonly cylinders: number;
  /** 1 or 2 */
  readonly heads: number;
  /** Sectors of 512 bytes a track, numbered from 1. */
  readonly sectorsPerTrack: number;
  /** Rates at which a controller finds address marks. Double density turns faster in a 1.2 MB drive: 300 kb/s. */
  readonly rates: readonly Rate[];
}

const DOUBLE: readonly Rate[] = [RATE.kbps250, RATE.kbps300];
const HIGH: readonly Rate[] = [RATE.kbps500];
const EXTRA: readonly Rate[] = [RATE.kbps1000];

const GEOMETRIES: readonly FloppyGeometry[] = [
  { cylinders: 40, heads: 1, sectorsPerTrack: 8, rates: DOUBLE }, // 160 KB
  { cylinders: 40, heads: 1, sectorsPerTrack: 9, rates: DOUBLE }, // 180 KB
  { cylinders: 40, heads: 2, sectorsPerTrack: 8, rates: DOUBLE }, // 320 KB
  { cylinders: 40, heads: 2, sectorsPerTrack: 9, rates: DOUBLE }, // 360 KB
  { cylinders: 80, heads: 2, sectorsPerTrack: 8, rates: DOUBLE }, // 640 KB
  { cylinders: 80, heads: 2, sectorsPerTrack: 9, rates: DOUBLE }, // 720 KB
  { cylinders: 80, heads: 2, sectorsPerTrack: 15, rates: HIGH }, // 1.2 MB
  { cylinders: 80, heads: 2, sectorsPerTrack: 18, rates: HIGH }, // 1.44 MB
  { cylinders: 80, heads: 2, sectorsPerTrack: 21, rates: HIGH }, // 1.68 MB (distribution format)
  { cylinders: 82, heads: 2, sectorsPerTrack: 21, rates: HIGH }, // 1.72 MB
  { cylinders: 80, heads: 2, sectorsPerTrack: 36, rates: EXTRA }, // 2.88 MB
];

/** The drives a PC could have; `cmosType` is the nibble in CMOS byte 10h. */
export const FLOPPY_DRIVES = {
  '360K': { cmosType: 1, cylinders: 42, capacitySectors: 720 },
  '1.2M': { cmosType: 2, cylinders: 84, capacitySectors: 2400 },
  '720K': { cmosType: 3, cylinders: 84, capacitySectors: 1440 },
  '1.44M': { cmosType: 4, cylinders: 84, capacitySectors: 3444 },
  '2.88M': { cmosType: 5, cylinders: 84, capacitySectors: 5760 },
} as const;
export type FloppyDriveType = keyof typeof FLOPPY_DRIVES;

export const sectorsOf = (g: FloppyGeometry): number => g.cylinders * g.heads * g.sectorsPerTrack;

/**
 * The geometry of an image.
 * @throws CodedError<'unsupported-size'> when no format has that size, CodedError<'too-large'> when the drive cannot
 */
export function geometryOf(sectorCount: number, type: FloppyDriveType): FloppyGeometry {
  const geometry = GEOMETRIES.find((g) => sectorsOf(g) === sectorCount);
  if (!geometry) {
    const sizes = GEOMETRIES.map((g) => `${sectorsOf(g) / 2}`).join(', ');
    throw new CodedError('unsupported-size', `a diskette image has ${sizes} KB: choose another image`, { sectorCount });
  }
  if (sectorCount > FLOPPY_DRIVES[type].capacitySectors) {
    throw new CodedError('too-large', `a ${type} drive cannot read this diskette: choose a larger drive type`, {
      sectorCount,
    });
  }
  return geometry;
}
