import { describe, expect, it } from 'vitest';
import { ACPI_BOARD } from '#emu/devices/acpi/acpi-config.ts';
import { acpiTables } from '#emu/devices/acpi/acpi-tables.ts';
import { smbiosTables } from '#emu/devices/acpi/smbios.ts';
import { layTablesIntoRam } from './acpi-in-ram.ts';
import { directBootMemoryMap, extendedMemoryEnd } from './memory-map.ts';
import { bytesAt, ram } from './ram.suite.ts';

const RAM = 4 * 1024 * 1024;
const acpi = acpiTables({
  ...ACPI_BOARD,
  fadtRevision: 3,
  ramBytes: RAM,
  cpuCount: 1,
  pciHole: { first: 0xe000_0000, last: 0xfebf_ffff },
  serialPorts: [true],
  floppy: true,
  keyboard: true,
  mouse: true,
});
const smbios = smbiosTables({
  manufacturer: 'TabBox',
  product: 'PC',
  version: '1',
  serialNumber: '',
  uuid: new Uint8Array(16),
  biosVendor: 'none',
  biosVersion: '1',
  biosDate: '01/01/2020',
  cpuName: 'CPU',
  cpuCount: 1,
  cpuMhz: 100,
  cpuSignature: 0,
  cpuFeatures: 0,
  ramBytes: RAM,
});
const sum = (bytes: Uint8Array) => bytes.reduce((total, b) => total + b, 0) & 0xff;
const ascii = (bytes: Uint8Array) => String.fromCharCode(...bytes);

describe('tables in RAM', () => {
  const memory = ram(RAM);
  const laid = layTablesIntoRam(memory, RAM, { acpi, smbios });

  /** Scans as an operating system does. */
  function scan(signature: string): number {
    for (let at = 0xf_0000; at < 0x10_0000; at += 16) {
      if (ascii(bytesAt(memory, at, signature.length)) === signature) return at;
    }
    return -1;
  }

  it('is found by a scan of the F segment, with valid checksums all the way down', () => {
    const rsdp = scan('RSD PTR ');
    expect(rsdp).toBe(laid.rsdpAddress);
    expect(sum(bytesAt(memory, rsdp, 20))).toBe(0);
    expect(sum(bytesAt(memory, rsdp, 36))).toBe(0);
    const rsdt = memory.readU32(rsdp + 16);
    const xsdt = memory.readU32(rsdp + 24);
    expect(memory.readU32(xsdt + 36)).toBe(memory.readU32(rsdt + 36));
    const fadt = memory.readU32(rsdt + 36);
    const facs = memory.readU32(fadt + 36);
    expect([facs % 64, ascii(bytesAt(memory, facs, 4))]).toEqual([0, 'FACS']);
    const names = [rsdt, xsdt, fadt, memory.readU32(fadt + 40)].map((at) => {
      expect(sum(bytesAt(memory, at, memory.readU32(at + 4)))).toBe(0);
      return ascii(bytesAt(memory, at, 4));
    });
    expect(names).toEqual(['RSDT', 'XSDT', 'FACP', 'DSDT']);
  });

  it('links the SMBIOS anchor', () => {
    const anchor = scan('_SM_');
    expect(sum(bytesAt(memory, anchor, 31))).toBe(0);
    expect(memory.readSized(memory.readU32(anchor + 24), 1)).toBe(0);
    expect(memory.readSized(memory.readU32(anchor + 24) + 1, 1)).toBe(0x18);
  });

  it('reserves exactly the pages that hold tables', () => {
    expect(laid.reserved).toHaveLength(1);
    const [range] = laid.reserved;
    expect(range.base % 4096).toBe(0);
    expect(range.base + range.byteCount).toBe(RAM);
    expect(memory.readU32(scan('_SM_') + 24)).toBeGreaterThanOrEqual(range.base);
    expect(extendedMemoryEnd(directBootMemoryMap(RAM, laid.reserved))).toBe(range.base);
  });
});

it('does nothing without tables', () => {
  expect(layTablesIntoRam(ram(RAM), RAM, {})).toEqual({ rsdpAddress: undefined, reserved: [] });
});

it('refuses a machine too small for its tables and a script that names nothing', () => {
  expect(() => layTablesIntoRam(ram(0x10_0000), 0x10_0000, { acpi })).toThrow(
    expect.objectContaining({ code: 'no-room' }),
  );
  const broken = { ...acpi, commands: [{ kind: 'allocate', file: 'x', alignment: 1, zone: 'high' } as const] };
  expect(() => layTablesIntoRam(ram(RAM), RAM, { acpi: broken })).toThrow(
    expect.objectContaining({ code: 'bad-loader-command' }),
  );
});
