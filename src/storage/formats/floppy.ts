/** Diskettes as PCs format them. Source: ECMA-125 and the IBM PC formats behind each BPB media byte; DMF for 1680 KiB. */
export interface FloppyGeometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
}

const GEOMETRIES: readonly FloppyGeometry[] = [
  { cylinders: 40, heads: 1, sectorsPerTrack: 8 }, // 160 KiB
  { cylinders: 40, heads: 1, sectorsPerTrack: 9 }, // 180 KiB
  { cylinders: 40, heads: 2, sectorsPerTrack: 8 }, // 320 KiB
  { cylinders: 40, heads: 2, sectorsPerTrack: 9 }, // 360 KiB
  { cylinders: 80, heads: 2, sectorsPerTrack: 9 }, // 720 KiB
  { cylinders: 80, heads: 2, sectorsPerTrack: 15 }, // 1200 KiB
  { cylinders: 80, heads: 2, sectorsPerTrack: 18 }, // 1440 KiB
  { cylinders: 80, heads: 2, sectorsPerTrack: 21 }, // 1680 KiB
  { cylinders: 82, heads: 2, sectorsPerTrack: 21 }, // 1722 KiB
  { cylinders: 80, heads: 2, sectorsPerTrack: 36 }, // 2880 KiB
];

/** The only sign of a diskette is its size. @param bytes exact size of the image */
export function floppyOfSize(bytes: number): FloppyGeometry | undefined {
  return GEOMETRIES.find((g) => floppyBytes(g) === bytes);
}

export function floppyBytes(geometry: FloppyGeometry): number {
  return geometry.cylinders * geometry.heads * geometry.sectorsPerTrack * 512;
}
