/**
 * Diskette images that end where their content does, as rescue disks are published: the rest of the diskette is blank.
 * They are write-protected, since there is no place for what would be written behind their end.
 */
import { SECTOR_BYTES } from '#base/units.ts';
import { FLOPPY_DRIVES, type FloppyDriveType, geometryOf } from '#emu/devices/storage/floppy/floppy-geometry.ts';
import type { BlockPort, BlockRequest } from '#emu/host/block.ts';

/** Sectors of the formats that short images are taken for: 1.44 MB and 2.88 MB. */
const FORMATS = [2880, 5760] as const;

/** The medium itself when it has the size of a diskette, or is too large for one. */
export function wholeDiskette(medium: BlockPort, type: FloppyDriveType): BlockPort {
  if (isDiskette(medium.sectorCount)) return medium;
  const room = FLOPPY_DRIVES[type].capacitySectors;
  const format = FORMATS.find((sectors) => medium.sectorCount < sectors && sectors <= room);
  return format === undefined ? medium : new ShortDiskette(medium, format);
}

function isDiskette(sectorCount: number): boolean {
  try {
    geometryOf(sectorCount, '2.88M');
    return true;
  } catch {
    return false;
  }
}

class ShortDiskette implements BlockPort {
  readonly sectorCount: number;
  readonly writable = false;
  readonly #image: BlockPort;

  constructor(image: BlockPort, sectorCount: number) {
    this.#image = image;
    this.sectorCount = sectorCount;
  }

  submit(request: BlockRequest): void {
    const { kind, sector, bytes, done } = request;
    const present = Math.max(0, Math.min(bytes.length, (this.#image.sectorCount - sector) * SECTOR_BYTES));
    if (kind === 'write') done('read-only');
    else if (kind === 'flush' || present === bytes.length) this.#image.submit(request);
    else {
      bytes.fill(0, present);
      if (present === 0) done('ok');
      else this.#image.submit({ kind, sector, bytes: bytes.subarray(0, present), done });
    }
  }
}
