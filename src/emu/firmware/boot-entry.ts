/**
 * The state in which a directly booted kernel starts: what the machine puts into CPU 0 instead of its reset state.
 * Source: SDM vol. 3A, sections 3.4.5 (segment descriptors) and 9.8 (protected mode without paging).
 * A20 is open, interrupts are off, there is no IDT.
 */
import type { DmaMemory } from '#emu/bus/wires.ts';

/** A segment register with what its descriptor says. */
export interface BootSegment {
  readonly selector: number;
  readonly base: number;
  /** Last valid byte. */
  readonly limit: number;
  /** Bits 8..23 of the descriptor's second dword, shifted down by 8: type, S, DPL, P, limit 19:16, AVL, L, D/B, G. */
  readonly attributes: number;
}

export interface BootEntry {
  readonly eip: number;
  readonly registers: {
    readonly eax: number;
    readonly ebx: number;
    readonly ecx: number;
    readonly edx: number;
    readonly esp: number;
    readonly ebp: number;
    readonly esi: number;
    readonly edi: number;
  };
  /** Only the bit that is always one: interrupts and direction clear. */
  readonly eflags: number;
  /** Protected mode, no paging. */
  readonly cr0: number;
  readonly gdt: { readonly base: number; readonly limit: number };
  readonly idt: { readonly base: number; readonly limit: number };
  readonly cs: BootSegment;
  /** DS, ES, FS, GS and SS. */
  readonly data: BootSegment;
  /** Where memory of devices begins: the processor's memory types are set as firmware sets them. */
  readonly deviceMemoryBase?: number;
}

export const BOOT_EFLAGS = 0x0000_0002;
/** PE and ET. */
export const BOOT_CR0 = 0x0000_0011;
export const BOOT_CODE_SELECTOR = 0x10;
export const BOOT_DATA_SELECTOR = 0x18;

const FLAT_LIMIT = 0xffff_ffff;
const ATTRIBUTES = { code: 0xcf9b, data: 0xcf93 } as const;
const GDT_ENTRIES = 4;
export const BOOT_GDT_BYTES: number = GDT_ENTRIES * 8;

/** Writes a table with flat code at 10h and flat data at 18h. */
export function writeFlatGdt(memory: DmaMemory, at: number): void {
  const bytes = new Uint8Array(BOOT_GDT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(BOOT_CODE_SELECTOR, 0x0000_ffff, true);
  view.setUint32(BOOT_CODE_SELECTOR + 4, ATTRIBUTES.code << 8, true);
  view.setUint32(BOOT_DATA_SELECTOR, 0x0000_ffff, true);
  view.setUint32(BOOT_DATA_SELECTOR + 4, ATTRIBUTES.data << 8, true);
  memory.write(at, bytes);
}

/** A flat 32-bit protected mode entry; registers not named are zero. */
export function flatEntry(eip: number, gdtAt: number, registers: Partial<BootEntry['registers']>): BootEntry {
  return {
    eip,
    registers: { eax: 0, ebx: 0, ecx: 0, edx: 0, esp: 0, ebp: 0, esi: 0, edi: 0, ...registers },
    eflags: BOOT_EFLAGS,
    cr0: BOOT_CR0,
    gdt: { base: gdtAt, limit: BOOT_GDT_BYTES - 1 },
    idt: { base: 0, limit: 0 },
    cs: { selector: BOOT_CODE_SELECTOR, base: 0, limit: FLAT_LIMIT, attributes: ATTRIBUTES.code },
    data: { selector: BOOT_DATA_SELECTOR, base: 0, limit: FLAT_LIMIT, attributes: ATTRIBUTES.data },
  };
}
