/**
 * Files a machine can start without a boot loader. Sources: Linux Documentation/arch/x86/boot.rst (setup header),
 * Multiboot 0.6.96 section 3.1, Multiboot2 2.0 section 3.1, System V ABI chapter 4 (ELF header).
 */
import type { ByteView } from './bytes.ts';

export interface KernelContent {
  readonly format: 'bzimage' | 'zimage' | 'elf';
  readonly multiboot: 0 | 1 | 2;
  /** Linux's version string, when it lies within the given bytes. */
  readonly version: string;
  readonly bits: 32 | 64;
  /** False for an ELF of another processor. */
  readonly x86: boolean;
}

const LOADED_HIGH = 1;
const XLF_KERNEL_64 = 1;
const EM_386 = 3;
const EM_X86_64 = 62;

export function readKernel(head: ByteView): KernelContent | undefined {
  return readLinux(head) ?? readElf(head);
}

function readLinux(head: ByteView): KernelContent | undefined {
  if (head.u16(0x1fe) !== 0xaa55 || !head.has(0x202, 'HdrS')) return undefined;
  const high = (head.u8(0x211) & LOADED_HIGH) !== 0;
  const versionAt = head.u16(0x20e);
  // Boot protocol 2.12 has xloadflags; older kernels are taken for 32-bit ones.
  const bits = head.u16(0x206) >= 0x20c && (head.u16(0x236) & XLF_KERNEL_64) !== 0 ? 64 : 32;
  const version = versionAt === 0 ? '' : (head.text(versionAt + 0x200, 128).split(' ')[0] ?? '');
  return { format: high ? 'bzimage' : 'zimage', multiboot: 0, version, bits, x86: true };
}

function readElf(head: ByteView): KernelContent | undefined {
  if (!head.has(0, '\x7fELF')) return undefined;
  const machine = head.u16(18);
  const bits = head.u8(4) === 2 ? 64 : 32;
  const x86 = head.u8(5) === 1 && (machine === EM_386 || machine === EM_X86_64);
  return { format: 'elf', multiboot: multibootOf(head), version: '', bits, x86 };
}

function multibootOf(head: ByteView): 0 | 1 | 2 {
  const end = Math.min(head.bytes.length, 32_768);
  for (let at = 0; at < end; at += 8) {
    const sum = head.u32(at) + head.u32(at + 4) + head.u32(at + 8) + head.u32(at + 12);
    if (head.u32(at) === 0xe852_50d6 && sum % 0x1_0000_0000 === 0) return 2;
  }
  for (let at = 0; at < Math.min(end, 8192); at += 4) {
    const sum = head.u32(at) + head.u32(at + 4) + head.u32(at + 8);
    if (head.u32(at) === 0x1bad_b002 && sum % 0x1_0000_0000 === 0) return 1;
  }
  return 0;
}
