/**
 * Says what a file is, from its first bytes, its size and its name; no I/O. Content decides, the name only hints.
 * Never throws on content: what cannot be used carries a `refusal`.
 */
import { MIB, SECTOR_BYTES } from '#base/units.ts';
import { type StorageErrorCode, sectorsFor, storageError } from '../block/block-store.ts';
import { ByteView } from './bytes.ts';
import { type FloppyGeometry, floppyOfSize } from './floppy.ts';
import { recogniseForeign } from './foreign.ts';
import { type KernelContent, readKernel } from './kernels.ts';
import { readOptical } from './optical.ts';
import { type DiskContent, isGptForLargeSectors, type Partition, readDiskContent } from './partitions.ts';

/** Read this much of a file's start for `describeImage`; less only makes it see less. */
export const HEAD_BYTES = 65_536;
/** Read this much of its end to recognise formats that end in a footer. */
export const TAIL_BYTES = 512;

/** Which drive or slot of a machine the file belongs in. */
export type Medium = 'hard-disk' | 'optical' | 'floppy' | 'kernel' | 'none';

export interface ImageDescription {
  readonly medium: Medium;
  /** `raw`, `iso9660`, `udf`, `bzimage`, `zimage`, `elf`, or the name of a refused format such as `qcow2`. */
  readonly format: string;
  readonly sizeBytes: number;
  /** Sectors the machine sees: the size rounded up. */
  readonly sectorCount: number;
  /** Zero bytes the machine sees behind the end of the file. */
  readonly padBytes: number;
  /** The volume's own name, or ''. */
  readonly label: string;
  /** One line for a person, such as "CD or DVD image, 700.0 MB, bootable". */
  readonly summary: string;
  /** Whether a BIOS finds something to start; undefined when the head does not tell. */
  readonly bootable: boolean | undefined;
  readonly partitions: readonly Partition[];
  readonly floppy: FloppyGeometry | undefined;
  readonly kernel: KernelContent | undefined;
  /** Odd but usable. */
  readonly advice: readonly string[];
  /** Why it cannot be used, and what to do. */
  readonly refusal: { readonly code: StorageErrorCode; readonly message: string } | undefined;
}

/**
 * @param head the first `HEAD_BYTES` bytes, or all of a smaller file
 * @param size of the whole file, in bytes
 * @param name of the file, without or with its path
 * @param tail the last `TAIL_BYTES` bytes, when they can be had
 */
export function describeImage(head: Uint8Array, size: number, name: string, tail?: Uint8Array): ImageDescription {
  const view = new ByteView(head);
  if (size === 0) return refused('empty', size, `${name} is empty (0 bytes): the download or copy did not finish`);
  const foreign = recogniseForeign(view, tail && new ByteView(tail));
  if (foreign) return refused(foreign.format, size, `${name} is ${foreign.name}: ${foreign.remedy}`);
  return describeOptical(view, size, name) ?? describeKernel(view, size, name) ?? describeDisk(view, size, name);
}

/** @throws CodedError<'bad-image'> with the refusal's message, if there is one */
export function requireUsable(description: ImageDescription): void {
  const { refusal, format, sizeBytes } = description;
  if (refusal) throw storageError(refusal.code, refusal.message, { format, sizeBytes });
}

function describeOptical(view: ByteView, size: number, name: string): ImageDescription | undefined {
  const optical = readOptical(view);
  if (!optical) return undefined;
  const advice: string[] = [];
  if (optical.volumeBytes > size) {
    advice.push(`${name} is shorter than its volume (${megabytes(optical.volumeBytes)}): the download did not finish`);
  }
  const disk = readDiskContent(view);
  if (disk.table !== 'none') advice.push('it is a hybrid: it also works as a hard disk or USB stick');
  const boot = optical.bootable ? 'bootable' : 'not bootable';
  return {
    ...plain(size, name, advice),
    medium: 'optical',
    format: optical.format,
    label: optical.label,
    bootable: optical.bootable,
    partitions: disk.partitions,
    summary: line('CD or DVD image', optical.label && `"${optical.label}"`, megabytes(size), boot),
  };
}

function describeKernel(view: ByteView, size: number, name: string): ImageDescription | undefined {
  const kernel = readKernel(view);
  if (!kernel) return undefined;
  if (!kernel.x86) return refused(kernel.format, size, `${name} is a program for another processor than x86`);
  const what = kernel.format === 'elf' ? elfName(kernel) : `Linux kernel ${kernel.version}`.trim();
  return {
    ...plain(size, name, []),
    medium: 'kernel',
    format: kernel.format,
    kernel,
    bootable: kernel.format !== 'elf' || kernel.multiboot !== 0,
    // A kernel is loaded byte by byte: it is no disk, and nothing is padded.
    advice: [],
    summary: line(what, `${kernel.bits}-bit`, megabytes(size)),
  };
}

function elfName(kernel: KernelContent): string {
  return kernel.multiboot === 0 ? 'ELF program' : `Multiboot${kernel.multiboot === 2 ? '2' : ''} kernel`;
}

function describeDisk(view: ByteView, size: number, name: string): ImageDescription {
  const disk = readDiskContent(view);
  const floppy = disk.table === 'none' ? floppyOfSize(size) : undefined;
  const advice = diskAdvice(view, disk, size, name);
  return {
    ...plain(size, name, advice),
    medium: floppy ? 'floppy' : 'hard-disk',
    floppy,
    partitions: disk.partitions,
    bootable: disk.bootSignature,
    summary: line(floppy ? 'floppy disk image' : 'raw hard disk image', contentName(disk), megabytes(size)),
  };
}

function contentName(disk: DiskContent): string {
  const count = disk.partitions.length;
  const partitions = `${count} partition${count === 1 ? '' : 's'}`;
  if (disk.table === 'gpt') return `GPT with ${partitions}`;
  if (disk.table === 'mbr') return `MBR with ${partitions}`;
  return disk.fileSystem ? `${disk.fileSystem} file system` : '';
}

function diskAdvice(view: ByteView, disk: DiskContent, size: number, name: string): string[] {
  const advice: string[] = [];
  if (/\.iso$/i.test(name)) advice.push(`${name} has no ISO 9660 volume in it, in spite of its name`);
  if (isGptForLargeSectors(view)) {
    advice.push('its partition table is for 4096-byte sectors; disks here have 512-byte sectors and will not show it');
  }
  const end = Math.max(0, ...disk.partitions.filter((p) => p.type !== 'ee').map((p) => p.firstSector + p.sectorCount));
  if (end > sectorsFor(size)) {
    advice.push(
      `its partitions reach to ${megabytes(end * SECTOR_BYTES)}, behind the end of the file: it may be cut off`,
    );
  }
  if (disk.table === 'none' && disk.fileSystem === 'ext2/3/4') {
    advice.push('it is a file system without a partition table: start it with a kernel and root=/dev/sda');
  }
  return advice;
}

/** What every usable file has in common; a plain hard disk unless more is known. */
function plain(size: number, name: string, advice: readonly string[]): ImageDescription {
  const sectorCount = sectorsFor(size);
  const padBytes = sectorCount * SECTOR_BYTES - size;
  const odd = `the size of ${name} is not a multiple of 512 bytes: ${padBytes} zero bytes are added at the end`;
  return {
    medium: 'hard-disk',
    format: 'raw',
    sizeBytes: size,
    sectorCount,
    padBytes,
    label: '',
    summary: '',
    bootable: undefined,
    partitions: [],
    floppy: undefined,
    kernel: undefined,
    advice: padBytes > 0 ? [...advice, odd] : advice,
    refusal: undefined,
  };
}

function refused(format: string, size: number, message: string): ImageDescription {
  return {
    ...plain(size, '', []),
    medium: 'none',
    format,
    advice: [],
    bootable: false,
    summary: message,
    refusal: { code: 'bad-image', message },
  };
}

function line(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(', ');
}

function megabytes(bytes: number): string {
  return bytes < MIB ? `${(bytes / 1024).toFixed(0)} KB` : `${(bytes / MIB).toFixed(1)} MB`;
}
