/**
 * What a raw disk holds: partition tables, or a file system without one.
 * Sources: UEFI 2.10 sections 5.2 (MBR) and 5.3 (GPT); Microsoft FAT specification 1.03 (BPB); ext2 superblock.
 * Not modelled: logical partitions inside an extended one, BSD labels, Apple partition maps.
 */
import { SECTOR_BYTES } from '#base/units.ts';
import type { ByteView } from './bytes.ts';

export interface Partition {
  /** Numbered from 1, as the table does. */
  readonly number: number;
  readonly firstSector: number;
  readonly sectorCount: number;
  /** MBR type in hexadecimal, or the GPT type GUID. */
  readonly type: string;
  readonly active: boolean;
  /** GPT only. */
  readonly name: string;
}

export interface DiskContent {
  readonly table: 'mbr' | 'gpt' | 'none';
  /** GPT: only those within the bytes that were given. */
  readonly partitions: readonly Partition[];
  /** Of a disk without table. */
  readonly fileSystem: string | undefined;
  /** Carries the 55 AA signature a BIOS asks for. */
  readonly bootSignature: boolean;
}

const MBR_TABLE_AT = 0x1be;
const MBR_ENTRY_BYTES = 16;
const PROTECTIVE = 0xee;

export function readDiskContent(head: ByteView): DiskContent {
  const bootSignature = head.u16(0x1fe) === 0xaa55;
  if (head.has(SECTOR_BYTES, 'EFI PART')) {
    return { table: 'gpt', partitions: gptPartitions(head), fileSystem: undefined, bootSignature };
  }
  // A FAT or NTFS boot sector ends in 55 AA too, with code where the table would be.
  const fileSystem = fileSystemOf(head);
  const partitions = bootSignature && fileSystem === undefined ? mbrPartitions(head) : [];
  return { table: partitions.length > 0 ? 'mbr' : 'none', partitions, fileSystem, bootSignature };
}

/** True for a GPT written for 4096-byte sectors, which a disk with 512-byte sectors does not show. */
export function isGptForLargeSectors(head: ByteView): boolean {
  return head.has(4096, 'EFI PART') && !head.has(SECTOR_BYTES, 'EFI PART');
}

/** Empty when the four entries are not a plausible table. */
function mbrPartitions(head: ByteView): Partition[] {
  const partitions: Partition[] = [];
  for (let number = 1; number <= 4; number++) {
    const at = MBR_TABLE_AT + (number - 1) * MBR_ENTRY_BYTES;
    const status = head.u8(at);
    const type = head.u8(at + 4);
    const firstSector = head.u32(at + 8);
    const sectorCount = head.u32(at + 12);
    if (status !== 0 && status !== 0x80) return [];
    if (type === 0 || sectorCount === 0) continue;
    if (firstSector === 0 && type !== PROTECTIVE) return [];
    const active = status === 0x80;
    partitions.push({ number, firstSector, sectorCount, type: type.toString(16).padStart(2, '0'), active, name: '' });
  }
  return partitions;
}

function gptPartitions(head: ByteView): Partition[] {
  const at = head.u64(SECTOR_BYTES + 72) * SECTOR_BYTES;
  const count = Math.min(head.u32(SECTOR_BYTES + 80), 128);
  const entryBytes = head.u32(SECTOR_BYTES + 84);
  const partitions: Partition[] = [];
  if (entryBytes < 128) return partitions;
  for (let i = 0; i < count && at + (i + 1) * entryBytes <= head.bytes.length; i++) {
    const entry = at + i * entryBytes;
    const type = guid(head, entry);
    if (type === '00000000-0000-0000-0000-000000000000') continue;
    const firstSector = head.u64(entry + 32);
    const sectorCount = head.u64(entry + 40) - firstSector + 1;
    // Attribute bit 2: legacy BIOS bootable.
    const active = (head.u8(entry + 48) & 4) !== 0;
    partitions.push({ number: i + 1, firstSector, sectorCount, type, active, name: utf16(head, entry + 56, 36) });
  }
  return partitions;
}

/** The first three fields of a GUID are little-endian. Source: UEFI 2.10 appendix A. */
function guid(head: ByteView, at: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const tail = Array.from({ length: 8 }, (_, i) => hex(head.u8(at + 8 + i), 2)).join('');
  return `${hex(head.u32(at), 8)}-${hex(head.u16(at + 4), 4)}-${hex(head.u16(at + 6), 4)}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}

function utf16(head: ByteView, at: number, characters: number): string {
  let text = '';
  for (let i = 0; i < characters; i++) {
    const unit = head.u16(at + 2 * i);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

function fileSystemOf(head: ByteView): string | undefined {
  if (head.u16(1024 + 56) === 0xef53) return 'ext2/3/4';
  if (head.has(3, 'NTFS    ')) return 'NTFS';
  return isFat(head) ? 'FAT' : undefined;
}

function isFat(head: ByteView): boolean {
  const jump = head.u8(0) === 0xeb || head.u8(0) === 0xe9;
  const sectorsPerCluster = head.u8(13);
  const powerOfTwo = sectorsPerCluster !== 0 && (sectorsPerCluster & (sectorsPerCluster - 1)) === 0;
  const fats = head.u8(16);
  const media = head.u8(21);
  return jump && head.u16(11) === SECTOR_BYTES && powerOfTwo && (fats === 1 || fats === 2) && media >= 0xf0;
}
