/**
 * SMBIOS tables: what a management tool reads about the machine.
 * Source: DMTF DSP0134, SMBIOS Reference Specification 2.8.0, chapters 5 and 7.
 * Present: types 0, 1, 3, 4, 16, 17, 19, 32, 127.
 */
import { CodedError } from '#base/errors.ts';
import { KIB, MIB } from '#base/units.ts';
import { checksum, putAscii } from './table.ts';

export const SMBIOS_FILES = { anchor: 'etc/smbios/smbios-anchor', tables: 'etc/smbios/smbios-tables' } as const;

export interface SmbiosConfig {
  readonly manufacturer: string;
  readonly product: string;
  readonly version: string;
  readonly serialNumber: string;
  /** 16 bytes in the order of the text form (RFC 4122). */
  readonly uuid: Uint8Array;
  readonly biosVendor: string;
  readonly biosVersion: string;
  /** mm/dd/yyyy. */
  readonly biosDate: string;
  readonly cpuName: string;
  readonly cpuCount: number;
  readonly cpuMhz: number;
  /** CPUID leaf 1: EAX and EDX. */
  readonly cpuSignature: number;
  readonly cpuFeatures: number;
  readonly ramBytes: number;
}

export interface SmbiosTables {
  /** Entry point structure, 31 bytes; the table address at offset 18h is left zero, with its checksums, for `linkAnchor`. */
  readonly anchor: Uint8Array;
  readonly tables: Uint8Array;
}

const ANCHOR_BYTES = 31;
/** Offsets in the entry point structure. */
const ANCHOR = { checksum: 4, length: 5, major: 6, minor: 7, maxSize: 8, intermediate: 16, tableAddress: 24 } as const;

const HANDLE = {
  bios: 0x0000,
  system: 0x0100,
  chassis: 0x0300,
  processor: 0x0400,
  memoryArray: 0x1000,
  memoryDevice: 0x1100,
  memoryMapping: 0x1300,
  boot: 0x2000,
  end: 0x7f00,
} as const;

/** Formatted area and strings of one structure. */
class Structure {
  readonly #bytes: number[];
  readonly #strings: string[] = [];

  constructor(type: number, handle: number) {
    this.#bytes = [type, 0, handle & 0xff, handle >> 8];
  }

  /** Little-endian. */
  put(byteCount: 1 | 2 | 4 | 8, value: number): this {
    for (let i = 0, rest = value; i < byteCount; i++, rest = Math.floor(rest / 256)) this.#bytes.push(rest % 256);
    return this;
  }

  putBytes(bytes: Iterable<number>): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** Number of the string in the set after the formatted area; 0 for none. */
  putString(value: string): this {
    // Characters outside ASCII would change the length that readers compute.
    const clean = value.replace(/[^\x20-\x7e]/g, '?').slice(0, 64);
    if (clean === '') return this.put(1, 0);
    this.#strings.push(clean);
    return this.put(1, this.#strings.length);
  }

  encode(): number[] {
    const formatted = [...this.#bytes];
    formatted[1] = formatted.length;
    const strings = this.#strings.flatMap((s) => [...[...s].map((c) => c.charCodeAt(0)), 0]);
    return [...formatted, ...(strings.length > 0 ? strings : [0]), 0];
  }
}

/** @throws CodedError<'bad-uuid'> */
export function smbiosTables(config: SmbiosConfig): SmbiosTables {
  if (config.uuid.length !== 16) {
    throw new CodedError('bad-uuid', 'the machine id is 16 bytes', { byteCount: config.uuid.length });
  }
  const structures = [
    bios(config),
    system(config),
    chassis(config),
    ...processors(config),
    memoryArray(config),
    ...memoryDevices(config),
    memoryMapping(config),
    new Structure(32, HANDLE.boot).putBytes([0, 0, 0, 0, 0, 0]).put(1, 0),
    new Structure(127, HANDLE.end),
  ].map((s) => s.encode());
  const tables = Uint8Array.from(structures.flat());
  const largest = Math.max(...structures.map((s) => s.length));
  return { anchor: entryPoint(tables.length, structures.length, largest), tables };
}

function entryPoint(tableBytes: number, structureCount: number, largest: number): Uint8Array {
  const anchor = new Uint8Array(ANCHOR_BYTES);
  const view = new DataView(anchor.buffer);
  putAscii(anchor, 0, '_SM_');
  anchor[ANCHOR.length] = ANCHOR_BYTES;
  anchor[ANCHOR.major] = 2;
  anchor[ANCHOR.minor] = 8;
  view.setUint16(ANCHOR.maxSize, largest, true);
  putAscii(anchor, ANCHOR.intermediate, '_DMI_');
  view.setUint16(22, tableBytes, true);
  view.setUint16(28, structureCount, true);
  anchor[30] = 0x28;
  return anchor;
}

/** The entry point for tables at a guest-physical address, with both checksums. */
export function linkAnchor(anchor: Uint8Array, tableAddress: number): Uint8Array {
  const linked = anchor.slice();
  new DataView(linked.buffer).setUint32(ANCHOR.tableAddress, tableAddress, true);
  linked[ANCHOR.intermediate + 5] = 0;
  linked[ANCHOR.intermediate + 5] = checksum(linked.subarray(ANCHOR.intermediate));
  linked[ANCHOR.checksum] = 0;
  linked[ANCHOR.checksum] = checksum(linked);
  return linked;
}

function bios(config: SmbiosConfig): Structure {
  const NOT_SUPPORTED = 1 << 3;
  const ACPI_SUPPORTED = 1;
  const VIRTUAL_MACHINE_AND_TARGETED = 0x14;
  return new Structure(0, HANDLE.bios)
    .putString(config.biosVendor)
    .putString(config.biosVersion)
    .put(2, 0xe800)
    .putString(config.biosDate)
    .put(1, 0)
    .put(8, NOT_SUPPORTED)
    .putBytes([ACPI_SUPPORTED, VIRTUAL_MACHINE_AND_TARGETED])
    .putBytes([0, 0, 0xff, 0xff]);
}

function system(config: SmbiosConfig): Structure {
  const u = config.uuid;
  // The first three fields are little-endian since 2.6.
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const POWER_SWITCH = 6;
  return new Structure(1, HANDLE.system)
    .putString(config.manufacturer)
    .putString(config.product)
    .putString(config.version)
    .putString(config.serialNumber)
    .putBytes(order.map((i) => u[i]))
    .put(1, POWER_SWITCH)
    .putString('')
    .putString('Virtual Machine');
}

function chassis(config: SmbiosConfig): Structure {
  const OTHER = 1;
  const SAFE = 3;
  return new Structure(3, HANDLE.chassis)
    .putString(config.manufacturer)
    .put(1, OTHER)
    .putString(config.version)
    .putString('')
    .putString('')
    .putBytes([SAFE, SAFE, SAFE, 2])
    .put(4, 0)
    .putBytes([0, 1, 0, 0])
    .putString('');
}

function processors(config: SmbiosConfig): Structure[] {
  const list: Structure[] = [];
  for (let i = 0; i < config.cpuCount; i++) {
    const CENTRAL = 3;
    const OTHER_FAMILY = 1;
    const POPULATED_AND_ENABLED = 0x41;
    list.push(
      new Structure(4, HANDLE.processor + i)
        .putString(`CPU ${i}`)
        .putBytes([CENTRAL, OTHER_FAMILY])
        .putString(config.manufacturer)
        .put(4, config.cpuSignature)
        .put(4, config.cpuFeatures)
        .putString(config.cpuName)
        .put(1, 0)
        .put(2, 0)
        .put(2, config.cpuMhz)
        .put(2, config.cpuMhz)
        .putBytes([POPULATED_AND_ENABLED, 1])
        .putBytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) // No cache structures.
        .putString('')
        .putString('')
        .putString('')
        .putBytes([1, 1, 1]) // One core, enabled, one thread.
        .put(2, 0x0004)
        .put(2, OTHER_FAMILY),
    );
  }
  return list;
}

/** Sizes of the memory modules: 16 GB each but the last. */
function modules(config: SmbiosConfig): number[] {
  const MODULE = 16 * 1024 * MIB;
  const sizes: number[] = [];
  for (let left = config.ramBytes; left > 0; left -= MODULE) sizes.push(Math.min(left, MODULE));
  return sizes;
}

function memoryArray(config: SmbiosConfig): Structure {
  const SYSTEM_BOARD = 3;
  const SYSTEM_MEMORY = 3;
  const NO_ECC = 3;
  return new Structure(16, HANDLE.memoryArray)
    .putBytes([SYSTEM_BOARD, SYSTEM_MEMORY, NO_ECC])
    .put(4, Math.floor(config.ramBytes / KIB))
    .put(2, 0xfffe)
    .put(2, modules(config).length)
    .put(8, 0);
}

function memoryDevices(config: SmbiosConfig): Structure[] {
  return modules(config).map((byteCount, i) => {
    const megabytes = Math.floor(byteCount / MIB);
    const DIMM = 9;
    const RAM = 7;
    return new Structure(17, HANDLE.memoryDevice + i)
      .put(2, HANDLE.memoryArray)
      .put(2, 0xfffe)
      .put(2, 64)
      .put(2, 64)
      .put(2, Math.min(megabytes, 0x7fff))
      .putBytes([DIMM, 0])
      .putString(`DIMM ${i}`)
      .putString('')
      .put(1, RAM)
      .put(2, 0x0002)
      .put(2, 0)
      .putString(config.manufacturer)
      .putString('')
      .putString('')
      .putString('')
      .put(1, 0)
      .put(4, megabytes > 0x7ffe ? megabytes : 0)
      .put(2, 0)
      .putBytes([0, 0, 0, 0, 0, 0]);
  });
}

function memoryMapping(config: SmbiosConfig): Structure {
  return new Structure(19, HANDLE.memoryMapping)
    .put(4, 0)
    .put(4, Math.max(0, Math.floor(config.ramBytes / KIB) - 1))
    .put(2, HANDLE.memoryArray)
    .put(1, 1)
    .put(8, 0)
    .put(8, 0);
}
