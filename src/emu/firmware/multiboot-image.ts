/**
 * Reads a Multiboot 1 image: header, then either its address fields or its ELF program headers.
 * Source: Multiboot Specification 0.6.96, section 3.1; System V ABI, chapter 5 (program headers).
 */
import { CodedError } from '#base/errors.ts';

export type MultibootErrorCode =
  | 'not-multiboot'
  | 'multiboot-feature'
  | 'multiboot-image'
  | 'kernel-outside-ram'
  | 'modules-too-big';

/** Bytes to load at a guest-physical address; zeros follow up to `memoryBytes`. */
export interface LoadSegment {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
}

export interface LoadPlan {
  readonly segments: readonly LoadSegment[];
  /** Guest-physical. */
  readonly entry: number;
}

const HEADER_MAGIC = 0x1bad_b002;
const SEARCH_BYTES = 8192;
const FLAG = { pageAlignModules: 1 << 0, memoryInfo: 1 << 1, videoMode: 1 << 2, addresses: 1 << 16 } as const;
/** Bits 0 to 15 are requirements: a loader that does not know one must refuse. */
const KNOWN_REQUIREMENTS = FLAG.pageAlignModules | FLAG.memoryInfo | FLAG.videoMode;
const EGA_TEXT = 1;

const fail = (code: MultibootErrorCode, message: string, details: Record<string, number> = {}): never => {
  throw new CodedError<MultibootErrorCode>(code, message, details);
};

/** True when the file has a Multiboot 1 header. */
export function isMultiboot(kernel: Uint8Array): boolean {
  return findHeader(kernel) !== undefined;
}

/** @throws CodedError<MultibootErrorCode> */
export function planMultiboot(kernel: Uint8Array): LoadPlan {
  const header = findHeader(kernel);
  if (header === undefined) {
    return fail('not-multiboot', 'the file has no Multiboot header in its first 8 KB; give a Multiboot 1 kernel');
  }
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.byteLength);
  const flags = view.getUint32(header + 4, true);
  const unknown = flags & 0xffff & ~KNOWN_REQUIREMENTS;
  if (unknown)
    fail('multiboot-feature', 'the kernel requires a Multiboot feature that is not supported', { flags: unknown });
  if (flags & FLAG.videoMode) checkVideoMode(kernel, view, header);
  return flags & FLAG.addresses ? planAddresses(kernel, view, header) : planElf(kernel, view);
}

function findHeader(kernel: Uint8Array): number | undefined {
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.byteLength);
  const last = Math.min(kernel.length, SEARCH_BYTES) - 12;
  for (let at = 0; at <= last; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const sum = HEADER_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true);
    if (sum % 2 ** 32 === 0) return at;
  }
  return undefined;
}

function checkVideoMode(kernel: Uint8Array, view: DataView, header: number): void {
  if (header + 48 > kernel.length || view.getUint32(header + 32, true) !== EGA_TEXT) {
    fail('multiboot-feature', 'the kernel requires a graphics mode from its loader; boot it from a disk with a loader');
  }
}

/** Address fields in the header ("a.out kludge"). */
function planAddresses(kernel: Uint8Array, view: DataView, header: number): LoadPlan {
  if (header + 32 > kernel.length) fail('multiboot-image', 'the Multiboot header is cut off');
  const headerAddress = view.getUint32(header + 12, true);
  const loadAddress = view.getUint32(header + 16, true);
  const loadEnd = view.getUint32(header + 20, true);
  const bssEnd = view.getUint32(header + 24, true);
  const entry = view.getUint32(header + 28, true);
  const fileAt = header - (headerAddress - loadAddress);
  const byteCount = loadEnd === 0 ? kernel.length - fileAt : loadEnd - loadAddress;
  if (fileAt < 0 || byteCount <= 0 || fileAt + byteCount > kernel.length) {
    fail('multiboot-image', 'the addresses in the Multiboot header point outside the file; it is damaged or cut off', {
      fileAt,
      byteCount,
    });
  }
  const memoryBytes = Math.max(byteCount, bssEnd === 0 ? 0 : bssEnd - loadAddress);
  return { segments: [{ at: loadAddress, bytes: kernel.subarray(fileAt, fileAt + byteCount), memoryBytes }], entry };
}

function planElf(kernel: Uint8Array, view: DataView): LoadPlan {
  if (kernel.length < 52 || view.getUint32(0, false) !== 0x7f45_4c46) {
    fail('multiboot-image', 'the kernel has neither load addresses nor an ELF header');
  }
  const isElf32 = kernel[4] === 1 && kernel[5] === 1;
  const isExecutable386 = view.getUint16(16, true) === 2 && view.getUint16(18, true) === 3;
  if (!isElf32 || !isExecutable386) {
    fail('multiboot-image', 'the kernel is not a 32-bit x86 ELF executable, which Multiboot 1 needs', {
      elfClass: kernel[4],
      machine: view.getUint16(18, true),
    });
  }
  const entry = view.getUint32(24, true);
  const tableAt = view.getUint32(28, true);
  const entryBytes = view.getUint16(42, true);
  const count = view.getUint16(44, true);
  if (entryBytes < 32 || tableAt + count * entryBytes > kernel.length) {
    fail('multiboot-image', 'the ELF program headers lie outside the file; it is cut off', { tableAt, count });
  }
  const segments: LoadSegment[] = [];
  let physicalEntry = entry;
  for (let i = 0; i < count; i++) {
    const at = tableAt + i * entryBytes;
    const PT_LOAD = 1;
    if (view.getUint32(at, true) !== PT_LOAD || view.getUint32(at + 20, true) === 0) continue;
    const segment = elfSegment(kernel, view, at);
    segments.push(segment);
    // The entry is a virtual address; paging is off when it runs.
    const virtual = view.getUint32(at + 8, true);
    if (virtual <= entry && entry < virtual + segment.memoryBytes) physicalEntry = entry - virtual + segment.at;
  }
  if (segments.length === 0) fail('multiboot-image', 'the ELF file has nothing to load');
  return { segments, entry: physicalEntry };
}

function elfSegment(kernel: Uint8Array, view: DataView, at: number): LoadSegment {
  const fileAt = view.getUint32(at + 4, true);
  const physical = view.getUint32(at + 12, true);
  const fileBytes = view.getUint32(at + 16, true);
  const memoryBytes = view.getUint32(at + 20, true);
  if (fileAt + fileBytes > kernel.length || fileBytes > memoryBytes) {
    fail('multiboot-image', 'an ELF segment lies outside the file; it is cut off', { fileAt, fileBytes });
  }
  return { at: physical, bytes: kernel.subarray(fileAt, fileAt + fileBytes), memoryBytes };
}
