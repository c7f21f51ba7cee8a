/** What firmware, or a direct boot in its place, tells the guest about this machine. */

import { CpuFeatures } from '#emu/cpu/system/cpu-features.ts';
import { ACPI_BOARD, type AcpiConfig } from '#emu/devices/acpi/acpi-config.ts';
import { type AcpiTables, acpiTables } from '#emu/devices/acpi/acpi-tables.ts';
import { type SmbiosTables, smbiosTables } from '#emu/devices/acpi/smbios.ts';
import { HPET_ID } from '#emu/devices/apic/hpet.ts';
import type { FwCfg } from '#emu/devices/chipset/fw-cfg.ts';
import { bootPath, setFirmwareItems } from '#emu/firmware/fw-cfg-items.ts';
import { PCI_SLOT } from './board.ts';
import { type BootDevice, IDE_POSITIONS, type MachineConfig, pciHoleOf } from './config.ts';
import { APIC_ADDRESS, IO_APIC_ID } from './interrupts.ts';

/** The rate at which the time-stamp counter runs: one tick a nanosecond of guest time. */
export const TSC_MHZ = 1000;

/** Where OVMF puts the PIIX4's power management block; SeaBIOS and a direct boot use the board's usual place. */
const OVMF_PM_BASE = 0xb000;
/** CPUID leaf 1, EDX. */
const APIC_FEATURE = 1 << 9;

export interface MachineTables {
  /** Undefined: the machine is without. */
  readonly acpi: AcpiTables | undefined;
  readonly smbios: SmbiosTables;
}

export function machineTables(config: MachineConfig, ramBytes: number): MachineTables {
  const { platform } = config;
  const acpi: AcpiConfig = {
    ...ACPI_BOARD,
    ...(config.firmware.variables && !config.kernel ? { pmBase: OVMF_PM_BASE } : {}),
    ramBytes,
    cpuCount: 1,
    pciHole: pciHoleOf(config.memoryMb),
    serialPorts: [true, true, true, true],
    floppy: config.floppies.some((drive) => drive !== null),
    keyboard: true,
    mouse: true,
    ...(platform.ioApic
      ? {
          apic: {
            localApicBase: APIC_ADDRESS.local,
            ioApicBase: APIC_ADDRESS.io,
            ioApicId: IO_APIC_ID,
            localApicIds: [0],
          },
        }
      : {}),
    ...(platform.hpet ? { hpet: { base: APIC_ADDRESS.hpet, id: HPET_ID } } : {}),
  };
  const features = new CpuFeatures(config.cpu);
  return {
    acpi: platform.acpi ? acpiTables(acpi) : undefined,
    smbios: smbiosTables({
      manufacturer: 'TabBox',
      product: 'PC (i440FX)',
      version: '1',
      serialNumber: '0',
      uuid: config.uuid,
      biosVendor: 'SeaBIOS',
      biosVersion: '1',
      biosDate: '01/01/2024',
      cpuName: features.brand,
      cpuCount: 1,
      cpuMhz: TSC_MHZ,
      cpuSignature: features.signature,
      cpuFeatures: (features.word(1, 0, 'edx') | (platform.apic ? APIC_FEATURE : 0)) >>> 0,
      ramBytes,
    }),
  };
}

export function provideFirmwareItems(
  fwCfg: FwCfg,
  config: MachineConfig,
  ramBytes: number,
  tables: MachineTables,
): void {
  setFirmwareItems(fwCfg, {
    ramBytes,
    cpuCount: 1,
    uuid: config.uuid,
    ...tables,
    bootOrder: bootPaths(config),
    hasIoApic: config.platform.ioApic,
  });
}

/** Drives in the order in which firmware is to try them. */
export function bootPaths(config: MachineConfig): string[] {
  return config.bootOrder.flatMap((device) => pathsOf(config, device));
}

function pathsOf(config: MachineConfig, device: BootDevice): string[] {
  if (device === 'network') return [];
  if (device === 'floppy') {
    const present = ([0, 1] as const).filter((drive) => config.floppies[drive] !== null);
    return present.map((drive) => bootPath.floppy(PCI_SLOT.isaBridge.device, drive));
  }
  const { device: slot, fn } = PCI_SLOT.ide;
  return IDE_POSITIONS.flatMap((position, n) =>
    config.ide[position]?.kind === device ? [bootPath.ide(slot, fn, n >> 1, n & 1)] : [],
  );
}
