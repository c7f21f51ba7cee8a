/**
 * Lays firmware tables out in guest memory when no firmware runs: the part of a BIOS that follows the linker script.
 * Source: QEMU documentation, fw_cfg file "etc/table-loader"; ACPI Specification 2.0, section 5.2.4.1 (where the root
 * pointer is searched); SMBIOS 2.8.0, section 5.2.1.
 */
import { CodedError } from '#base/errors.ts';
import { PAGE_BYTES } from '#base/units.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';
import { ACPI_FILES, type AcpiTables } from '#emu/devices/acpi/acpi-tables.ts';
import { linkAnchor, type SmbiosTables } from '#emu/devices/acpi/smbios.ts';
import { checksum } from '#emu/devices/acpi/table.ts';
import type { LoaderCommand } from '#emu/devices/acpi/table-loader.ts';
import { E820, type MemoryMapEntry } from './memory-map.ts';

export type TableLayoutErrorCode = 'no-room' | 'bad-loader-command';

export interface TablesToLay {
  readonly acpi?: AcpiTables | undefined;
  readonly smbios?: SmbiosTables;
}

export interface LaidTables {
  /** Guest-physical address of the root pointer, when there are ACPI tables. */
  readonly rsdpAddress: number | undefined;
  /** Ranges at the end of RAM that now hold tables, for `directBootMemoryMap`. */
  readonly reserved: readonly MemoryMapEntry[];
}

const F_SEGMENT = { first: 0xf_0000, end: 0x10_0000 } as const;
/** Both roots are searched for on 16-byte borders. */
const ROOT_ALIGNMENT = 16;

/** Hands out addresses: the F segment upwards, the end of RAM downwards. */
class Allocator {
  #high: number;
  #fseg: number = F_SEGMENT.first;

  constructor(ramBytes: number) {
    this.#high = ramBytes;
  }

  take(zone: 'high' | 'fseg', byteCount: number, alignment: number): number {
    if (zone === 'fseg') {
      const at = Math.ceil(this.#fseg / alignment) * alignment;
      if (at + byteCount > F_SEGMENT.end) this.#full(byteCount);
      this.#fseg = at + byteCount;
      return at;
    }
    const at = Math.floor((this.#high - byteCount) / alignment) * alignment;
    if (at < F_SEGMENT.end) this.#full(byteCount);
    this.#high = at;
    return at;
  }

  /** What was taken from the end of RAM, in whole pages. */
  taken(ramBytes: number): MemoryMapEntry[] {
    const base = Math.floor(this.#high / PAGE_BYTES) * PAGE_BYTES;
    return base < ramBytes ? [{ base, byteCount: ramBytes - base, type: E820.reserved }] : [];
  }

  #full(byteCount: number): never {
    throw new CodedError<TableLayoutErrorCode>('no-room', 'no room for firmware tables; give the machine more memory', {
      byteCount,
    });
  }
}

/**
 * Places and links the tables. The range F0000h-FFFFFh must be writable RAM (see `initialiseChipsetForDirectBoot`).
 * @param ramBytes RAM below 4 GB
 * @throws CodedError<TableLayoutErrorCode>
 */
export function layTablesIntoRam(memory: DmaMemory, ramBytes: number, tables: TablesToLay): LaidTables {
  const allocator = new Allocator(ramBytes);
  const rsdpAddress = tables.acpi ? layAcpi(memory, allocator, tables.acpi) : undefined;
  if (tables.smbios) {
    const at = allocator.take('high', tables.smbios.tables.length, ROOT_ALIGNMENT);
    memory.write(at, tables.smbios.tables);
    const anchor = linkAnchor(tables.smbios.anchor, at);
    memory.write(allocator.take('fseg', anchor.length, ROOT_ALIGNMENT), anchor);
  }
  return { rsdpAddress, reserved: allocator.taken(ramBytes) };
}

interface PlacedFile {
  readonly at: number;
  readonly bytes: Uint8Array;
}

function layAcpi(memory: DmaMemory, allocator: Allocator, acpi: AcpiTables): number | undefined {
  const contents: Readonly<Record<string, Uint8Array>> = {
    [ACPI_FILES.tables]: acpi.tables,
    [ACPI_FILES.rsdp]: acpi.rsdp,
  };
  const placed = new Map<string, PlacedFile>();
  for (const command of acpi.commands) {
    if (command.kind === 'allocate') {
      const bytes = contents[command.file]?.slice() ?? refuse(command);
      placed.set(command.file, { at: allocator.take(command.zone, bytes.length, command.alignment), bytes });
    } else run(command, placed);
  }
  for (const file of placed.values()) memory.write(file.at, file.bytes);
  return placed.get(ACPI_FILES.rsdp)?.at;
}

function run(command: Exclude<LoaderCommand, { kind: 'allocate' }>, placed: ReadonlyMap<string, PlacedFile>): void {
  const file = placed.get(command.file) ?? refuse(command);
  const view = new DataView(file.bytes.buffer, file.bytes.byteOffset, file.bytes.byteLength);
  if (command.kind === 'add-pointer') {
    const source = placed.get(command.source) ?? refuse(command);
    if (command.offset + command.byteCount > file.bytes.length) refuse(command);
    // Addresses are below 4 GB, so the high half of a 64-bit pointer stays zero.
    view.setUint32(command.offset, view.getUint32(command.offset, true) + source.at, true);
    return;
  }
  if (command.offset >= file.bytes.length || command.start + command.byteCount > file.bytes.length) refuse(command);
  const covered = file.bytes.subarray(command.start, command.start + command.byteCount);
  file.bytes[command.offset] += checksum(covered);
}

function refuse(command: LoaderCommand): never {
  throw new CodedError<TableLayoutErrorCode>(
    'bad-loader-command',
    'a table linker command names a file or a place that does not exist; the tables are inconsistent',
    { kind: command.kind, file: command.file },
  );
}
