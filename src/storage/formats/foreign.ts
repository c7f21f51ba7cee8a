/**
 * Formats that are recognised to say what they are, not read.
 * Sources: RFC 1952 (gzip), RFC 8878 (zstd), the .xz format 1.2.1, APPNOTE 6.3.10 (zip), POSIX ustar;
 * VirtualBox VDI header, VMware Virtual Disk Format 5.0, Microsoft VHD 1.0 and VHDX (MS-VHDX), QEMU docs/interop
 * qcow2 and qed_spec; ECMA-130 section 14 (sync field of raw CD sectors).
 */
import type { ByteView } from './bytes.ts';

export interface ForeignFormat {
  readonly format: string;
  /** As in "this is ...". */
  readonly name: string;
  /** What to do about it. */
  readonly remedy: string;
}

interface Signature extends ForeignFormat {
  readonly at: number;
  readonly bytes: string | readonly number[];
  /** In the last 512 bytes instead of the first ones. */
  readonly tail?: boolean;
}

const unpack = (tool: string): string => `unpack it first, for example with ${tool}`;
const convert = (format: string): string =>
  `only raw images work so far: convert it, for example with qemu-img convert -f ${format} -O raw`;

const SIGNATURES: readonly Signature[] = [
  { format: 'gzip', name: 'gzip-compressed data', at: 0, bytes: [0x1f, 0x8b], remedy: unpack('gunzip') },
  { format: 'xz', name: 'xz-compressed data', at: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], remedy: unpack('unxz') },
  { format: 'zip', name: 'a zip archive', at: 0, bytes: 'PK\x03\x04', remedy: unpack('unzip') },
  { format: 'bzip2', name: 'bzip2-compressed data', at: 0, bytes: 'BZh', remedy: unpack('bunzip2') },
  { format: 'zstd', name: 'zstd-compressed data', at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], remedy: unpack('unzstd') },
  { format: 'lz4', name: 'lz4-compressed data', at: 0, bytes: [0x04, 0x22, 0x4d, 0x18], remedy: unpack('lz4 -d') },
  { format: '7z', name: 'a 7-Zip archive', at: 0, bytes: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], remedy: unpack('7z x') },
  { format: 'rar', name: 'a RAR archive', at: 0, bytes: 'Rar!\x1a\x07', remedy: unpack('unrar') },
  {
    format: 'tar',
    name: 'a tar archive (an OVA appliance is one too)',
    at: 257,
    bytes: 'ustar',
    remedy: unpack('tar -x'),
  },
  { format: 'vdi', name: 'a VirtualBox disk (VDI)', at: 0x40, bytes: [0x7f, 0x10, 0xda, 0xbe], remedy: convert('vdi') },
  { format: 'vmdk', name: 'a VMware disk (VMDK)', at: 0, bytes: 'KDMV', remedy: convert('vmdk') },
  { format: 'vmdk', name: 'a VMware disk (VMDK, COWD)', at: 0, bytes: 'COWD', remedy: convert('vmdk') },
  {
    format: 'vmdk',
    name: 'the description of a VMware disk (VMDK), without its data',
    at: 0,
    bytes: '# Disk DescriptorFile',
    remedy: `take the file with the data; ${convert('vmdk')}`,
  },
  { format: 'vhd', name: 'a Virtual PC disk (VHD)', at: 0, bytes: 'conectix', remedy: convert('vpc') },
  {
    format: 'vhd',
    name: 'a fixed Virtual PC disk (VHD)',
    at: 0,
    bytes: 'conectix',
    tail: true,
    remedy: convert('vpc'),
  },
  { format: 'vhdx', name: 'a Hyper-V disk (VHDX)', at: 0, bytes: 'vhdxfile', remedy: convert('vhdx') },
  {
    format: 'qcow',
    name: 'a QEMU disk (QCOW)',
    at: 0,
    bytes: [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1],
    remedy: convert('qcow'),
  },
  { format: 'qcow2', name: 'a QEMU disk (QCOW2)', at: 0, bytes: [0x51, 0x46, 0x49, 0xfb], remedy: convert('qcow2') },
  { format: 'qed', name: 'a QEMU disk (QED)', at: 0, bytes: 'QED\0', remedy: convert('qed') },
  { format: 'parallels', name: 'a Parallels disk', at: 0, bytes: 'WithoutFreeSpace', remedy: convert('parallels') },
  { format: 'parallels', name: 'a Parallels disk', at: 0, bytes: 'WithouFreSpacExt', remedy: convert('parallels') },
  { format: 'dmg', name: 'an Apple disk image (DMG)', at: 0, bytes: 'koly', tail: true, remedy: convert('dmg') },
  {
    format: 'wim',
    name: 'a Windows image (WIM), not a disk',
    at: 0,
    bytes: 'MSWIM\0\0\0',
    remedy: 'use the ISO it came on',
  },
  {
    format: 'bin-cue',
    name: 'a raw CD image with 2352-byte sectors (BIN/CUE)',
    at: 0,
    bytes: [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
    remedy: 'convert it to ISO, for example with bchunk',
  },
];

/** @param tail the last 512 bytes of the file, when known */
export function recogniseForeign(head: ByteView, tail: ByteView | undefined): ForeignFormat | undefined {
  const found = SIGNATURES.find((s) => (s.tail ? tail : head)?.has(s.at, s.bytes));
  if (found) return found;
  if (/^[\s?]*<(!doctype html|html)/i.test(head.text(0, 200))) {
    return {
      format: 'html',
      name: 'a web page',
      remedy: 'the server probably answered with an error or a download page: use the address of the image itself',
    };
  }
  return undefined;
}
