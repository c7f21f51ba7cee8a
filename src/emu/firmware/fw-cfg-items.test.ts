import { describe, expect, it } from 'vitest';
import { ACPI_BOARD } from '#emu/devices/acpi/acpi-config.ts';
import { acpiTables } from '#emu/devices/acpi/acpi-tables.ts';
import { smbiosTables } from '#emu/devices/acpi/smbios.ts';
import { FW_CFG_KEY, FwCfg } from '#emu/devices/chipset/fw-cfg.ts';
import { bootPath, setFirmwareItems } from './fw-cfg-items.ts';
import { ram } from './ram.suite.ts';

const RAM = 0x10_0000;

function filled() {
  const device = new FwCfg({ memory: ram(RAM) });
  const uuid = new Uint8Array(16).fill(7);
  setFirmwareItems(device, {
    ramBytes: RAM,
    cpuCount: 2,
    uuid,
    acpi: acpiTables({
      ...ACPI_BOARD,
      ramBytes: RAM,
      cpuCount: 2,
      pciHole: { first: 0xe000_0000, last: 0xfebf_ffff },
      serialPorts: [],
      floppy: false,
      keyboard: true,
      mouse: false,
    }),
    smbios: smbiosTables({
      manufacturer: 'm',
      product: 'p',
      version: 'v',
      serialNumber: 's',
      uuid,
      biosVendor: 'b',
      biosVersion: '1',
      biosDate: '01/01/2020',
      cpuName: 'c',
      cpuCount: 2,
      cpuMhz: 1,
      cpuSignature: 0,
      cpuFeatures: 0,
      ramBytes: RAM,
    }),
    bootOrder: [bootPath.floppy(1, 0), bootPath.ide(1, 1, 1, 0), bootPath.ethernet(3, 0)],
    bootMenu: { waitMs: 3000 },
    bootFailWaitMs: 5000,
    hasIoApic: false,
  });
  const item = (key: number, byteCount: number) => {
    device.registers.write(0, 2, key);
    return Array.from({ length: byteCount }, () => device.registers.read(1, 1));
  };
  return { device, item };
}

describe('what SeaBIOS reads', () => {
  const { device, item } = filled();

  it('numbered items: memory, processors, menu', () => {
    expect(item(FW_CFG_KEY.ramBytes, 8)).toEqual([0, 0, 0x10, 0, 0, 0, 0, 0]);
    expect(item(FW_CFG_KEY.cpuCount, 2)).toEqual([2, 0]);
    expect(item(FW_CFG_KEY.maxCpus, 2)).toEqual([2, 0]);
    expect(item(FW_CFG_KEY.bootMenu, 2)).toEqual([1, 0]);
    expect(item(FW_CFG_KEY.numa, 8)).toEqual(new Array(8).fill(0));
  });

  it('the boot order as lines with a terminating zero', () => {
    const text = Buffer.from(device.file('bootorder') ?? []).toString('latin1');
    expect(text).toBe(
      '/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n/pci@i0cf8/ide@1,1/drive@1/disk@0\n/pci@i0cf8/ethernet@3/ethernet-phy@0\n\0',
    );
  });

  it('one e820 entry of RAM', () => {
    expect([...(device.file('etc/e820') ?? [])]).toEqual([
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 1, 0, 0, 0,
    ]);
  });

  it('soft off only, and tables with their linker script', () => {
    const states = device.file('etc/system-states') ?? new Uint8Array();
    expect([...states].map((s) => s >> 7)).toEqual([1, 0, 0, 0, 0, 1]);
    expect((device.file('etc/table-loader') ?? []).length % 128).toBe(0);
    for (const name of ['etc/acpi/tables', 'etc/acpi/rsdp', 'etc/smbios/smbios-anchor', 'etc/smbios/smbios-tables']) {
      expect(device.file(name)?.length).toBeGreaterThan(0);
    }
  });
});
