/**
 * Direct boot of a Linux kernel.
 * Source: Linux documentation, Documentation/arch/x86/boot.rst (boot protocol 2.02 to 2.15, 32-bit entry) and
 * zero-page.rst.
 * Not modelled: zImage (loaded low), the 16-bit and 64-bit entries, EFI handover, setup_data.
 */
import { CodedError } from '#base/errors.ts';
import { KIB, MIB, PAGE_BYTES } from '#base/units.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';
import { type BootEntry, flatEntry, writeFlatGdt } from './boot-entry.ts';
import { encodeE820, extendedMemoryEnd, type MemoryMapEntry, writeBiosDataArea } from './memory-map.ts';

export type LinuxBootErrorCode =
  | 'not-a-linux-kernel'
  | 'kernel-too-old'
  | 'kernel-truncated'
  | 'kernel-64-bit'
  | 'kernel-too-big'
  | 'initrd-too-big'
  | 'bad-command-line';

export interface LinuxBoot {
  /** A bzImage. */
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  /** ASCII. */
  readonly commandLine: string;
  readonly memoryMap: readonly MemoryMapEntry[];
  /** Guest-physical address of the ACPI root pointer, when tables were laid out. */
  readonly rsdpAddress?: number;
  /** False: a 64-bit kernel is refused here instead of halting without a word. */
  readonly cpuHasLongMode: boolean;
}

/** Where things go below 1 MB. */
const PLACE = {
  gdt: 0x1000,
  bootParams: 0x1_0000,
  commandLine: 0x2_0000,
  commandLineEnd: 0x9_0000,
  kernel: MIB,
} as const;

/** Offsets in the image, which are the same in boot_params. */
const HDR = {
  setupSectors: 0x1f1,
  systemParagraphs: 0x1f4,
  videoMode: 0x1fa,
  bootFlag: 0x1fe,
  jump: 0x200,
  magic: 0x202,
  version: 0x206,
  loaderType: 0x210,
  loadFlags: 0x211,
  code32Start: 0x214,
  ramdiskImage: 0x218,
  ramdiskSize: 0x21c,
  commandLinePointer: 0x228,
  initrdMax: 0x22c,
  extendedLoadFlags: 0x236,
  commandLineBytes: 0x238,
  preferredAddress: 0x258,
  initBytes: 0x260,
} as const;
const LOADED_HIGH = 1;
const XLF_KERNEL_64 = 1;
const LOADER_UNDEFINED = 0xff;
const VIDEO_NORMAL = 0xffff;
/** Limit of kernels that do not state one. */
const INITRD_MAX_DEFAULT = 0x37ff_ffff;
const COMMAND_LINE_DEFAULT = 255;

/** Offsets in boot_params outside the header. */
const ZERO_PAGE = {
  screenInfo: 0x000,
  rsdp: 0x070,
  altMemoryKb: 0x1e0,
  e820Count: 0x1e8,
  e820: 0x2d0,
  e820Max: 128,
} as const;

const fail = (code: LinuxBootErrorCode, message: string, details: Record<string, number> = {}): never => {
  throw new CodedError<LinuxBootErrorCode>(code, message, details);
};

/** What the setup header of an image says. */
export interface LinuxHeader {
  /** 0x020c for protocol 2.12. */
  readonly version: number;
  /** Start of the protected-mode code in the file. */
  readonly codeAt: number;
  readonly codeBytes: number;
  /** End of the header in the file, exclusive. */
  readonly headerEnd: number;
  readonly initrdMax: number;
  readonly commandLineMax: number;
  readonly is64Bit: boolean;
  /** First byte after what the kernel uses while it unpacks itself. */
  readonly runtimeEnd: number;
}

/** @throws CodedError<LinuxBootErrorCode> */
export function parseLinuxHeader(kernel: Uint8Array): LinuxHeader {
  if (kernel.length < 0x268) fail('not-a-linux-kernel', 'the file is too short for a Linux kernel; give a bzImage');
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.byteLength);
  if (view.getUint16(HDR.bootFlag, true) !== 0xaa55 || view.getUint32(HDR.magic, false) !== 0x4864_7253) {
    fail('not-a-linux-kernel', 'the file has no Linux setup header; give a bzImage, not a vmlinux or a disk image');
  }
  const version = view.getUint16(HDR.version, true);
  if (version < 0x202 || !(kernel[HDR.loadFlags] & LOADED_HIGH)) {
    fail(
      'kernel-too-old',
      'the kernel needs a boot loader of its time; boot protocol 2.02 and bzImage are the oldest',
      {
        version,
      },
    );
  }
  const codeAt = ((kernel[HDR.setupSectors] || 4) + 1) * 512;
  const paragraphs =
    version >= 0x204 ? view.getUint32(HDR.systemParagraphs, true) : view.getUint16(HDR.systemParagraphs, true);
  const codeBytes = kernel.length - codeAt;
  // The last paragraph may be partly filled.
  if (codeBytes <= 0 || codeBytes + 15 < paragraphs * 16) {
    fail('kernel-truncated', 'the kernel is shorter than its header says; the file is cut off', {
      byteCount: kernel.length,
      declared: codeAt + paragraphs * 16,
    });
  }
  const preferred = version >= 0x20a ? view.getUint32(HDR.preferredAddress, true) : PLACE.kernel;
  const initBytes = version >= 0x20a ? view.getUint32(HDR.initBytes, true) : 0;
  return {
    version,
    codeAt,
    codeBytes,
    headerEnd: Math.min(HDR.magic + kernel[HDR.jump + 1], ZERO_PAGE.e820 - 0x40),
    initrdMax: version >= 0x203 ? view.getUint32(HDR.initrdMax, true) : INITRD_MAX_DEFAULT,
    commandLineMax: version >= 0x206 ? view.getUint32(HDR.commandLineBytes, true) : COMMAND_LINE_DEFAULT,
    is64Bit: version >= 0x20c && (view.getUint16(HDR.extendedLoadFlags, true) & XLF_KERNEL_64) !== 0,
    runtimeEnd: Math.max(PLACE.kernel + codeBytes, Math.max(PLACE.kernel, preferred) + initBytes),
  };
}

/**
 * Puts a kernel, its command line and its initial RAM disk into guest memory.
 * @returns the state in which CPU 0 starts
 * @throws CodedError<LinuxBootErrorCode>; guest memory is untouched then
 */
export function prepareLinuxBoot(memory: DmaMemory, boot: LinuxBoot): BootEntry {
  const header = parseLinuxHeader(boot.kernel);
  if (header.is64Bit && !boot.cpuHasLongMode) {
    fail('kernel-64-bit', 'the kernel is 64-bit and the machine has a 32-bit CPU; give an i386 or i686 kernel');
  }
  const ramEnd = extendedMemoryEnd(boot.memoryMap);
  if (header.runtimeEnd > ramEnd) {
    fail('kernel-too-big', 'the kernel does not fit into the memory of the machine; give the machine more', {
      neededBytes: header.runtimeEnd,
      usableBytes: ramEnd,
    });
  }
  const commandLine = encodeCommandLine(boot.commandLine, header);
  const initrdAt = placeInitrd(boot.initrd, header, ramEnd);

  writeBiosDataArea(memory);
  writeFlatGdt(memory, PLACE.gdt);
  memory.write(PLACE.kernel, boot.kernel.subarray(header.codeAt));
  memory.write(PLACE.commandLine, commandLine);
  if (boot.initrd) memory.write(initrdAt, boot.initrd);
  memory.write(PLACE.bootParams, bootParams(boot, header, initrdAt));
  return flatEntry(PLACE.kernel, PLACE.gdt, { esi: PLACE.bootParams });
}

/** With its terminating zero. */
function encodeCommandLine(text: string, header: LinuxHeader): Uint8Array {
  const room = Math.min(header.commandLineMax, PLACE.commandLineEnd - PLACE.commandLine - 1);
  if (text.length > room) {
    fail('bad-command-line', 'the kernel command line is too long; shorten it', { length: text.length, most: room });
  }
  const bytes = new Uint8Array(text.length + 1);
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0 || c > 0x7e) {
      fail('bad-command-line', 'the kernel command line has a character outside ASCII; remove it', {
        at: i,
        character: c,
      });
    }
    bytes[i] = c;
  }
  return bytes;
}

/** As high as the kernel and the memory allow, so that the kernel can grow below it. */
function placeInitrd(initrd: Uint8Array | undefined, header: LinuxHeader, ramEnd: number): number {
  if (!initrd || initrd.length === 0) return 0;
  const end = Math.min(ramEnd, header.initrdMax + 1);
  const at = Math.floor((end - initrd.length) / PAGE_BYTES) * PAGE_BYTES;
  if (at < header.runtimeEnd) {
    fail('initrd-too-big', 'the initial RAM disk does not fit beside the kernel; give the machine more memory', {
      byteCount: initrd.length,
      roomBytes: Math.max(0, end - header.runtimeEnd),
    });
  }
  return at;
}

/** The zero page. */
function bootParams(boot: LinuxBoot, header: LinuxHeader, initrdAt: number): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  const view = new DataView(page.buffer);
  page.set(boot.kernel.subarray(HDR.setupSectors, header.headerEnd), HDR.setupSectors);
  const extendedKb = Math.floor((extendedMemoryEnd(boot.memoryMap) - MIB) / KIB);
  putScreenInfo(page, view, extendedKb);
  view.setUint32(ZERO_PAGE.rsdp, boot.rsdpAddress ?? 0, true);
  view.setUint32(ZERO_PAGE.altMemoryKb, extendedKb, true);
  const map = boot.memoryMap.slice(0, ZERO_PAGE.e820Max);
  page[ZERO_PAGE.e820Count] = map.length;
  view.setUint16(HDR.videoMode, VIDEO_NORMAL, true);
  page[HDR.loaderType] = LOADER_UNDEFINED;
  view.setUint32(HDR.code32Start, PLACE.kernel, true);
  view.setUint32(HDR.ramdiskImage, initrdAt, true);
  view.setUint32(HDR.ramdiskSize, initrdAt === 0 ? 0 : (boot.initrd?.length ?? 0), true);
  view.setUint32(HDR.commandLinePointer, PLACE.commandLine, true);
  page.set(encodeE820(map), ZERO_PAGE.e820);
  return page;
}

/** screen_info of colour text mode 3: 80 by 25, glyphs of 16 lines, cursor at the top. */
function putScreenInfo(page: Uint8Array, view: DataView, extendedKb: number): void {
  const at = ZERO_PAGE.screenInfo;
  view.setUint16(at + 2, Math.min(extendedKb, 0xffff), true);
  page[at + 6] = 3; // orig_video_mode
  page[at + 7] = 80; // orig_video_cols
  view.setUint16(at + 0xa, 3, true); // orig_video_ega_bx: 256 KB
  page[at + 0xe] = 25; // orig_video_lines
  page[at + 0xf] = 1; // orig_video_isVGA
  view.setUint16(at + 0x10, 16, true); // orig_video_points
}
