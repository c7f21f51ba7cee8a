/** Starts a kernel without firmware, in the order that firmware/README.md gives. */

import { CpuFeatures } from '#emu/cpu/system/cpu-features.ts';
import { ACPI_BOARD } from '#emu/devices/acpi/acpi-config.ts';
import { layTablesIntoRam } from '#emu/firmware/acpi-in-ram.ts';
import type { BootEntry } from '#emu/firmware/boot-entry.ts';
import { initialiseChipsetForDirectBoot, PIRQ_IRQS } from '#emu/firmware/direct-boot-chipset.ts';
import { prepareLinuxBoot } from '#emu/firmware/linux-boot.ts';
import { directBootMemoryMap } from '#emu/firmware/memory-map.ts';
import { prepareMultiboot } from '#emu/firmware/multiboot.ts';
import { isMultiboot } from '#emu/firmware/multiboot-image.ts';
import { fontInVideoBios, setVgaTextMode } from '#emu/firmware/vga-text-mode.ts';
import type { Board } from './board.ts';
import { type DirectKernelConfig, type MachineConfig, pciHoleOf } from './config.ts';
import type { MachineTables } from './firmware-setup.ts';
import { APIC_ADDRESS } from './interrupts.ts';

/**
 * Brings a board that was just reset into the state in which a boot loader leaves it, with the kernel in memory.
 * @returns the state in which the CPU starts
 * @throws CodedError what is wrong with the kernel, or that the memory is too small
 */
export function prepareDirectBoot(
  board: Board,
  config: MachineConfig,
  kernel: DirectKernelConfig,
  ramBytes: number,
  tables: MachineTables,
): BootEntry {
  const { memory, ports, pci } = board;
  const pciHole = pciHoleOf(config.memoryMb);
  initialiseChipsetForDirectBoot(
    { bus: pci, ports, memory },
    {
      pciHole,
      pmBase: ACPI_BOARD.pmBase,
      smbusBase: ACPI_BOARD.smbusBase,
      sciIrq: ACPI_BOARD.sciIrq,
      pirqIrqs: PIRQ_IRQS,
      localApicBase: config.platform.apic ? APIC_ADDRESS.local : undefined,
    },
  );
  const font = config.firmware.video ? fontInVideoBios(config.firmware.video) : undefined;
  if (font) setVgaTextMode({ ports, memory }, font);
  const laid = layTablesIntoRam(memory, ramBytes, tables);
  const memoryMap = directBootMemoryMap(ramBytes, laid.reserved);
  const { image, commandLine, modules } = kernel;
  const deviceMemoryBase = pciHole.first;
  if (isMultiboot(image)) {
    return { ...prepareMultiboot(memory, { kernel: image, modules, commandLine, memoryMap }), deviceMemoryBase };
  }
  const entry = prepareLinuxBoot(memory, {
    kernel: image,
    commandLine,
    memoryMap,
    cpuHasLongMode: new CpuFeatures(config.cpu).has('lm'),
    ...(modules.length > 0 ? { initrd: joined(modules.map((module) => module.bytes)) } : {}),
    ...(laid.rsdpAddress === undefined ? {} : { rsdpAddress: laid.rsdpAddress }),
  });
  return { ...entry, deviceMemoryBase };
}

/** Several archives one after the other, each on a border of four bytes, as the kernel unpacks them. */
function joined(archives: readonly Uint8Array[]): Uint8Array {
  const [only, second] = archives;
  if (only && !second) return only;
  const sizes = archives.map((archive) => Math.ceil(archive.length / 4) * 4);
  const all = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  archives.forEach((archive, i) => {
    all.set(archive, at);
    at += sizes[i];
  });
  return all;
}
