/**
 * Places ROM images where a CPU and a PCI bus expect them.
 * Source: SDM vol. 3A, section 9.1.4 (first instruction at FFFFFFF0h); PCI Firmware Specification 3.0, section 5.1
 * (expansion ROM header and PCI data structure).
 */
import { CodedError } from '#base/errors.ts';
import { KIB, MIB, PAGE_BYTES } from '#base/units.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';

/** Size of the ROM window below 1 MB. */
const LEGACY_BYTES = 128 * KIB;
const LEGACY_BASE = 0xe_0000;
const SYSTEM_ROM_MAX = 16 * MIB;
const SMALLEST_OPTION_ROM_BAR = 2048;

export type RomErrorCode = 'bad-system-rom' | 'bad-option-rom';

/** A ROM in linear memory, and where the first megabyte sees it. */
export interface PlacedSystemRom {
  /** Guest-physical base of the whole image, below 4 GB. */
  readonly base: number;
  readonly byteCount: number;
  /** The last 128 KB (or the whole, when smaller) at E0000h-FFFFFh: a `LegacyRom` for the host bridge. */
  readonly legacy: { readonly base: number; readonly byteCount: number; readonly offset: number };
}

/**
 * Copies a BIOS or UEFI image into linear memory and maps it below 4 GB. The host bridge maps the legacy part.
 * @param at byte offset in linear memory, page-aligned, with room for the image
 * @throws CodedError<'bad-system-rom'> when the image cannot be a BIOS
 */
export function placeSystemRom(memory: PhysicalMemory, image: Uint8Array, at: number): PlacedSystemRom {
  const byteCount = image.length;
  if (byteCount < 64 * KIB || byteCount > SYSTEM_ROM_MAX || byteCount % PAGE_BYTES !== 0) {
    throw new CodedError<RomErrorCode>(
      'bad-system-rom',
      'a system ROM is whole pages of 4 KB, 64 KB to 16 MB in all; give an image such as bios-256k.bin',
      { byteCount },
    );
  }
  // The reset vector of every PC BIOS is a jump; UEFI has NOPs before it.
  const first = image[byteCount - 16];
  if (first !== 0xea && first !== 0xe9 && first !== 0xeb && first !== 0x90) {
    throw new CodedError<RomErrorCode>(
      'bad-system-rom',
      'the image has no jump at its reset vector, so it is not a PC BIOS; check the file',
      { firstByte: first },
    );
  }
  const base = 0x1_0000_0000 - byteCount;
  memory.bytes.set(image, at);
  memory.mapBacked(base, byteCount, at, 'rom');
  const legacyBytes = Math.min(byteCount, LEGACY_BYTES);
  return {
    base,
    byteCount,
    legacy: {
      base: LEGACY_BASE + LEGACY_BYTES - legacyBytes,
      byteCount: legacyBytes,
      offset: at + byteCount - legacyBytes,
    },
  };
}

/** What an expansion ROM says about itself. */
export interface OptionRomInfo {
  /** Bytes that the header declares. */
  readonly byteCount: number;
  /** From the PCI data structure; undefined for an ISA ROM. */
  readonly vendorId: number | undefined;
  readonly deviceId: number | undefined;
}

/** @throws CodedError<'bad-option-rom'> */
export function parseOptionRom(image: Uint8Array): OptionRomInfo {
  if (image.length < 512 || image[0] !== 0x55 || image[1] !== 0xaa) {
    throw new CodedError<RomErrorCode>('bad-option-rom', 'an expansion ROM starts with 55 AA; check the file', {
      byteCount: image.length,
    });
  }
  const byteCount = image[2] * 512;
  if (byteCount === 0 || byteCount > image.length) {
    throw new CodedError<RomErrorCode>(
      'bad-option-rom',
      'the expansion ROM is shorter than its header says; the file is cut off',
      { byteCount: image.length, declared: byteCount },
    );
  }
  let sum = 0;
  for (let i = 0; i < byteCount; i++) sum += image[i];
  if ((sum & 0xff) !== 0) {
    throw new CodedError<RomErrorCode>('bad-option-rom', 'the expansion ROM fails its checksum; the file is damaged', {
      sum: sum & 0xff,
    });
  }
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const at = view.getUint16(0x18, true);
  const hasPciData = at !== 0 && at + 24 <= byteCount && view.getUint32(at, false) === 0x5043_4952; // "PCIR"
  return {
    byteCount,
    vendorId: hasPciData ? view.getUint16(at + 4, true) : undefined,
    deviceId: hasPciData ? view.getUint16(at + 6, true) : undefined,
  };
}

/** Size of the ROM BAR for an image: a power of two of whole pages, in bytes. */
export function optionRomBarBytes(image: Uint8Array): number {
  return Math.max(PAGE_BYTES, SMALLEST_OPTION_ROM_BAR, 2 ** Math.ceil(Math.log2(image.length)));
}

/**
 * Copies an expansion ROM into linear memory for the ROM BAR of a PCI function; the rest of the BAR reads as ones.
 * @param at byte offset in linear memory, page-aligned, with room for `optionRomBarBytes(image)`
 * @throws CodedError<'bad-option-rom'> also when the image is for another PCI device
 */
export function placeOptionRom(
  memory: PhysicalMemory,
  image: Uint8Array,
  at: number,
  forDevice?: { readonly vendorId: number; readonly deviceId: number },
): { readonly byteCount: number; readonly offset: number } {
  const info = parseOptionRom(image);
  if (forDevice && (info.vendorId !== forDevice.vendorId || info.deviceId !== forDevice.deviceId)) {
    throw new CodedError<RomErrorCode>(
      'bad-option-rom',
      'the expansion ROM is for another PCI device, so firmware would not run it; use the ROM of this adapter',
      { vendorId: info.vendorId ?? 0, deviceId: info.deviceId ?? 0, ...prefixed(forDevice) },
    );
  }
  const byteCount = optionRomBarBytes(image);
  memory.bytes.fill(0xff, at, at + byteCount);
  memory.bytes.set(image, at);
  return { byteCount, offset: at };
}

function prefixed(device: { readonly vendorId: number; readonly deviceId: number }): Record<string, number> {
  return { wantedVendorId: device.vendorId, wantedDeviceId: device.deviceId };
}
