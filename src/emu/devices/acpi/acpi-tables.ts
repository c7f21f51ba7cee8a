/**
 * The set of ACPI tables of a machine, with the linker script that ties them together.
 * Source: ACPI Specification 2.0, section 5.2.
 */
import type { AcpiConfig } from './acpi-config.ts';
import { dsdt } from './dsdt.ts';
import { FADT, facs, fadt, hpetTable, madt, RSDP, RSDP_BYTES, rsdp, rsdt, waet, xsdt } from './fixed-tables.ts';
import { CHECKSUM_AT, TABLE_HEADER_BYTES } from './table.ts';
import type { LoaderCommand } from './table-loader.ts';

/** Names under which firmware finds the parts. */
export const ACPI_FILES = {
  tables: 'etc/acpi/tables',
  rsdp: 'etc/acpi/rsdp',
  loader: 'etc/table-loader',
} as const;

export interface AcpiTables {
  /** Every table but the RSDP, one after the other; pointers hold offsets in this file until linked. */
  readonly tables: Uint8Array;
  readonly rsdp: Uint8Array;
  readonly commands: readonly LoaderCommand[];
}

/** The FACS must be aligned on 64 bytes; so is the file, and every table for readers of dumps. */
const ALIGNMENT = 64;
const RSDP_ALIGNMENT = 16;

class TablesFile {
  readonly #chunks: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  readonly #commands: LoaderCommand[];
  #end = 0;

  constructor(commands: LoaderCommand[]) {
    this.#commands = commands;
  }

  /** @returns offset of the table in the file */
  add(bytes: Uint8Array): number {
    const at = this.#end;
    this.#chunks.push({ at, bytes });
    this.#end = Math.ceil((at + bytes.length) / ALIGNMENT) * ALIGNMENT;
    return at;
  }

  /** Points the field of the table at `table` to the table at `target`. */
  point(table: number, fieldOffset: number, byteCount: 4 | 8, target: number): void {
    const chunk = this.#chunks.find((c) => c.at === table);
    if (!chunk) return;
    new DataView(chunk.bytes.buffer).setUint32(fieldOffset, target, true);
    const file = ACPI_FILES.tables;
    this.#commands.push({ kind: 'add-pointer', file, source: file, offset: table + fieldOffset, byteCount });
  }

  /** Checksums the table once its pointers are final. */
  seal(table: number): void {
    const chunk = this.#chunks.find((c) => c.at === table);
    if (!chunk) return;
    chunk.bytes[CHECKSUM_AT] = 0;
    this.#commands.push({
      kind: 'add-checksum',
      file: ACPI_FILES.tables,
      offset: table + CHECKSUM_AT,
      start: table,
      byteCount: chunk.bytes.length,
    });
  }

  bytes(): Uint8Array {
    const file = new Uint8Array(this.#end);
    for (const { at, bytes } of this.#chunks) file.set(bytes, at);
    return file;
  }
}

export function acpiTables(config: AcpiConfig): AcpiTables {
  const commands: LoaderCommand[] = [
    { kind: 'allocate', file: ACPI_FILES.tables, alignment: ALIGNMENT, zone: 'high' },
    { kind: 'allocate', file: ACPI_FILES.rsdp, alignment: RSDP_ALIGNMENT, zone: 'fseg' },
  ];
  const file = new TablesFile(commands);
  const facsAt = file.add(facs());
  const dsdtAt = file.add(dsdt(config));
  const fadtAt = file.add(fadt(config));
  file.point(fadtAt, FADT.firmwareControl, 4, facsAt);
  file.point(fadtAt, FADT.dsdt, 4, dsdtAt);
  // The FACS is named once: a reader that finds both fields set would take it for two.
  if (config.fadtRevision === 3) file.point(fadtAt, FADT.xDsdt, 8, dsdtAt);
  file.seal(fadtAt);
  const listed = [fadtAt];
  const apic = madt(config);
  if (apic) listed.push(file.add(apic));
  const hpet = hpetTable(config);
  if (hpet) listed.push(file.add(hpet));
  listed.push(file.add(waet()));
  const rsdtAt = root(file, rsdt(listed.length), 4, listed);
  const root64 = config.fadtRevision === 3 ? root(file, xsdt(listed.length), 8, listed) : undefined;
  return { tables: file.bytes(), rsdp: linkRsdp(config, commands, rsdtAt, root64), commands };
}

/** Adds a root table that points to each of `listed`. */
function root(file: TablesFile, table: Uint8Array, pointerBytes: 4 | 8, listed: readonly number[]): number {
  const at = file.add(table);
  listed.forEach((target, i) => {
    file.point(at, TABLE_HEADER_BYTES + i * pointerBytes, pointerBytes, target);
  });
  file.seal(at);
  return at;
}

function linkRsdp(config: AcpiConfig, commands: LoaderCommand[], rsdtAt: number, xsdtAt?: number): Uint8Array {
  const bytes = rsdp(config.fadtRevision);
  const view = new DataView(bytes.buffer);
  const file = ACPI_FILES.rsdp;
  const source = ACPI_FILES.tables;
  view.setUint32(RSDP.rsdtAddress, rsdtAt, true);
  bytes[RSDP.checksum] = 0;
  commands.push({ kind: 'add-pointer', file, source, offset: RSDP.rsdtAddress, byteCount: 4 });
  if (xsdtAt !== undefined) {
    view.setUint32(RSDP.xsdtAddress, xsdtAt, true);
    bytes[RSDP.extendedChecksum] = 0;
    commands.push({ kind: 'add-pointer', file, source, offset: RSDP.xsdtAddress, byteCount: 8 });
  }
  commands.push({ kind: 'add-checksum', file, offset: RSDP.checksum, start: 0, byteCount: RSDP_BYTES[1] });
  if (xsdtAt !== undefined) {
    commands.push({ kind: 'add-checksum', file, offset: RSDP.extendedChecksum, start: 0, byteCount: RSDP_BYTES[3] });
  }
  return bytes;
}
