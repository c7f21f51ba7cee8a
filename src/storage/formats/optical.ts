/**
 * CD and DVD images. Sources: ECMA-119 sections 8.1 to 8.4 (volume descriptors), El Torito 1.0 figure 7 (boot record),
 * ECMA-167 2/9 (volume recognition sequence of UDF).
 * Not modelled: sessions, files.
 */
import type { ByteView } from './bytes.ts';

export interface OpticalContent {
  readonly format: 'iso9660' | 'udf';
  readonly label: string;
  /** What the volume says its size is, in bytes; 0 when it does not say. */
  readonly volumeBytes: number;
  /** Has an El Torito boot record. */
  readonly bootable: boolean;
}

const CD_SECTOR_BYTES = 2048;
const DESCRIPTORS_AT = 16 * CD_SECTOR_BYTES;
const MOST_DESCRIPTORS = 16;

export function readOptical(head: ByteView): OpticalContent | undefined {
  let primary: number | undefined;
  let bootable = false;
  let udf = false;
  for (let i = 0; i < MOST_DESCRIPTORS; i++) {
    const at = DESCRIPTORS_AT + i * CD_SECTOR_BYTES;
    udf ||= head.has(at + 1, 'NSR02') || head.has(at + 1, 'NSR03');
    if (!head.has(at + 1, 'CD001')) continue;
    const type = head.u8(at);
    if (type === 1) primary ??= at;
    bootable ||= type === 0 && head.has(at + 7, 'EL TORITO SPECIFICATION');
  }
  if (primary !== undefined) {
    const label = head.text(primary + 40, 32);
    return { format: 'iso9660', label, volumeBytes: head.u32(primary + 80) * CD_SECTOR_BYTES, bootable };
  }
  return udf ? { format: 'udf', label: '', volumeBytes: 0, bootable } : undefined;
}
