/**
 * Fills the firmware configuration device with what SeaBIOS reads from it.
 * Source: QEMU fw_cfg specification; SeaBIOS documentation, "Runtime configuration" (etc/... files and bootorder).
 */
import { ACPI_FILES, type AcpiTables } from '#emu/devices/acpi/acpi-tables.ts';
import { SMBIOS_FILES, type SmbiosTables } from '#emu/devices/acpi/smbios.ts';
import { encodeLoaderScript } from '#emu/devices/acpi/table-loader.ts';
import { asciiZ, FW_CFG_KEY, type FwCfg, littleEndian } from '#emu/devices/chipset/fw-cfg.ts';
import { E820, encodeE820 } from './memory-map.ts';

export interface FirmwareItems {
  /** RAM below 4 GB, in bytes. */
  readonly ramBytes: number;
  readonly cpuCount: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** Undefined: firmware is to find no ACPI. */
  readonly acpi: AcpiTables | undefined;
  readonly smbios: SmbiosTables;
  /** Boot paths in order, from `bootPath`. */
  readonly bootOrder: readonly string[];
  /** Show a menu before booting, and for how long. */
  readonly bootMenu?: { readonly waitMs: number };
  /** Restart when nothing boots, after so long; left out: stay. */
  readonly bootFailWaitMs?: number;
  /** Interrupts go through an I/O APIC whose input 2 is the timer. */
  readonly hasIoApic: boolean;
}

/** Boot paths as firmware spells them (IEEE 1275 style); `device` and `fn` are PCI numbers. */
export const bootPath = {
  ide: (device: number, fn: number, channel: number, unit: number): string =>
    `/pci@i0cf8/ide@${place(device, fn)}/drive@${channel}/disk@${unit}`,
  floppy: (device: number, drive: number): string => `/pci@i0cf8/isa@${device}/fdc@03f0/floppy@${drive}`,
  ethernet: (device: number, fn: number): string => `/pci@i0cf8/ethernet@${place(device, fn)}/ethernet-phy@0`,
  scsi: (device: number, fn: number, target: number, lun: number): string =>
    `/pci@i0cf8/scsi@${place(device, fn)}/channel@0/disk@${target},${lun}`,
  ahci: (device: number, fn: number, port: number): string =>
    `/pci@i0cf8/pci8086,2922@${place(device, fn)}/drive@${port}/disk@0`,
} as const;

const place = (device: number, fn: number): string =>
  fn === 0 ? device.toString(16) : `${device.toString(16)},${fn.toString(16)}`;

/** S0 to S5: bit 7 supported, the rest is the sleep type. Only S0 and S5 are supported. */
const SYSTEM_STATES = [0x80, 0x00, 0x00, 0x01, 0x02, 0x80] as const;

export function setFirmwareItems(fwCfg: FwCfg, items: FirmwareItems): void {
  fwCfg.setItem(FW_CFG_KEY.uuid, items.uuid);
  fwCfg.setItem(FW_CFG_KEY.ramBytes, littleEndian(items.ramBytes, 8));
  fwCfg.setItem(FW_CFG_KEY.cpuCount, littleEndian(items.cpuCount, 2));
  fwCfg.setItem(FW_CFG_KEY.maxCpus, littleEndian(items.cpuCount, 2));
  fwCfg.setItem(FW_CFG_KEY.noGraphic, littleEndian(0, 2));
  fwCfg.setItem(FW_CFG_KEY.numa, littleEndian(0, 8));
  fwCfg.setItem(FW_CFG_KEY.bootMenu, littleEndian(items.bootMenu ? 1 : 0, 2));
  fwCfg.setItem(FW_CFG_KEY.irq0Override, littleEndian(items.hasIoApic ? 1 : 0, 4));
  fwCfg.setFile('etc/e820', encodeE820([{ base: 0, byteCount: items.ramBytes, type: E820.ram }]));
  fwCfg.setFile('bootorder', asciiZ(items.bootOrder.map((path) => `${path}\n`).join('')));
  fwCfg.setFile('etc/system-states', Uint8Array.from(SYSTEM_STATES));
  fwCfg.setFile('etc/screen-and-debug', littleEndian(0, 4));
  if (items.bootMenu) fwCfg.setFile('etc/boot-menu-wait', littleEndian(items.bootMenu.waitMs, 8));
  if (items.bootFailWaitMs !== undefined) fwCfg.setFile('etc/boot-fail-wait', littleEndian(items.bootFailWaitMs, 4));
  if (items.acpi) {
    fwCfg.setFile(ACPI_FILES.tables, items.acpi.tables);
    fwCfg.setFile(ACPI_FILES.rsdp, items.acpi.rsdp);
    fwCfg.setFile(ACPI_FILES.loader, encodeLoaderScript(items.acpi.commands));
  }
  fwCfg.setFile(SMBIOS_FILES.anchor, items.smbios.anchor);
  fwCfg.setFile(SMBIOS_FILES.tables, items.smbios.tables);
}
