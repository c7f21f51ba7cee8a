/**
 * Tables of fixed form: FADT, FACS, MADT, WAET, RSDT, XSDT, RSDP. Addresses of other tables are left zero for the linker.
 * Source: ACPI 1.0b, section 5.2; ACPI Specification 2.0, sections 5.2.4 to 5.2.10; Windows ACPI Emulated Devices
 * Table (WAET) specification, 1.0.
 */
import type { AcpiConfig } from './acpi-config.ts';
import { LINK_IRQS } from './acpi-config.ts';
import { checksum, putAscii, systemTable, TABLE_HEADER_BYTES } from './table.ts';

/** PIIX4 PM block: event, control and timer registers. */
const PM_BLOCK = { pm1Event: 0x00, pm1Control: 0x04, timer: 0x08 } as const;

/** FADT offsets that hold addresses. */
export const FADT = { firmwareControl: 36, dsdt: 40, xDsdt: 140 } as const;
const FADT_BYTES = { 1: 116, 3: 244 } as const;
const FADT_FLAGS = {
  wbinvd: 1 << 0,
  procC1: 1 << 2,
  sleepButtonNotFixed: 1 << 5,
  rtcNotFixed: 1 << 6,
  reset: 1 << 10,
} as const;
/** IA-PC boot architecture: ISA devices, 8042 present. */
const BOOT_ARCH = { legacyDevices: 1, keyboardController: 2 } as const;
/** Latency above this means "state not supported". */
const NO_C2 = 0xfff;
const NO_C3 = 0xfff;
const CMOS_CENTURY = 0x32;
const RESET_PORT = 0xcf9;
const RESET_VALUE = 0x0f;

/** Power button is a fixed button (flag PWR_BUTTON clear); there is no sleep button. */
export function fadt(config: AcpiConfig): Uint8Array {
  const body = new Uint8Array(FADT_BYTES[config.fadtRevision] - TABLE_HEADER_BYTES);
  const view = new DataView(body.buffer);
  const at = (offset: number): number => offset - TABLE_HEADER_BYTES;
  // ACPI 1.0 has INT_MODEL (1 = multiple APIC) at 44; 2.0 has the preferred profile (1 = desktop) at 45.
  if (config.fadtRevision === 1) body[at(44)] = config.apic ? 1 : 0;
  else body[at(45)] = 1;
  view.setUint16(at(46), config.sciIrq, true);
  view.setUint32(at(48), config.smiCommand.port, true);
  body[at(52)] = config.smiCommand.enable;
  body[at(53)] = config.smiCommand.disable;
  view.setUint32(at(56), config.pmBase + PM_BLOCK.pm1Event, true);
  view.setUint32(at(64), config.pmBase + PM_BLOCK.pm1Control, true);
  view.setUint32(at(76), config.pmBase + PM_BLOCK.timer, true);
  view.setUint32(at(80), config.gpe0Base, true);
  body[at(88)] = 4; // PM1_EVT_LEN
  body[at(89)] = 2; // PM1_CNT_LEN
  body[at(91)] = 4; // PM_TMR_LEN
  body[at(92)] = 4; // GPE0_BLK_LEN
  view.setUint16(at(96), NO_C2, true);
  view.setUint16(at(98), NO_C3, true);
  body[at(108)] = CMOS_CENTURY;
  let flags = FADT_FLAGS.wbinvd | FADT_FLAGS.procC1 | FADT_FLAGS.sleepButtonNotFixed | FADT_FLAGS.rtcNotFixed;
  if (config.fadtRevision === 3) {
    flags |= FADT_FLAGS.reset;
    view.setUint16(at(109), BOOT_ARCH.legacyDevices | (config.keyboard ? BOOT_ARCH.keyboardController : 0), true);
    putIoAddress(view, at(116), RESET_PORT, 8);
    body[at(128)] = RESET_VALUE;
    putIoAddress(view, at(148), config.pmBase + PM_BLOCK.pm1Event, 32);
    putIoAddress(view, at(172), config.pmBase + PM_BLOCK.pm1Control, 16);
    putIoAddress(view, at(208), config.pmBase + PM_BLOCK.timer, 32);
    putIoAddress(view, at(220), config.gpe0Base, 32);
  }
  view.setUint32(at(112), flags, true);
  return systemTable('FACP', config.fadtRevision, body);
}

/** Generic address structure in system I/O space. */
function putIoAddress(view: DataView, at: number, port: number, bits: number): void {
  view.setUint8(at, 1);
  view.setUint8(at + 1, bits);
  view.setUint32(at + 4, port, true);
}

/** Not a table with a checksum: 64 bytes, aligned on 64. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  putAscii(bytes, 0, 'FACS');
  bytes[4] = 64;
  return bytes;
}

/** MADT for local APICs and one I/O APIC, or undefined when the machine has none. */
export function madt(config: AcpiConfig): Uint8Array | undefined {
  const apic = config.apic;
  if (!apic) return undefined;
  const dword = (v: number): number[] => [v & 0xff, (v >>> 8) & 0xff, (v >>> 16) & 0xff, (v >>> 24) & 0xff];
  const PCAT_COMPAT = 1;
  const body = [...dword(apic.localApicBase), ...dword(PCAT_COMPAT)];
  apic.localApicIds.forEach((id, i) => {
    body.push(0, 8, i, id, ...dword(1));
  });
  body.push(1, 12, apic.ioApicId, 0, ...dword(apic.ioApicBase), ...dword(0));
  body.push(2, 10, 0, 0, ...dword(2), 0, 0); // The timer is on input 2.
  const LEVEL_ACTIVE_HIGH = 0x0d;
  for (const irq of [...new Set([...LINK_IRQS, config.sciIrq])].sort((a, b) => a - b)) {
    body.push(2, 10, 0, irq, ...dword(irq), LEVEL_ACTIVE_HIGH, 0);
  }
  body.push(4, 6, 0xff, 0, 0, 1); // NMI on LINT1 of every processor.
  return systemTable('APIC', 1, body);
}

/** Bytes of registers, and the smallest comparator step in ticks that a periodic timer keeps up with. */
const HPET_BYTES = 1024;
const HPET_MINIMUM_TICK = 2000;

/** Source: IA-PC HPET Specification 1.0a, section 3.2.4. Undefined when the machine has none. */
export function hpetTable(config: AcpiConfig): Uint8Array | undefined {
  if (!config.hpet) return undefined;
  const body = new Uint8Array(20);
  const view = new DataView(body.buffer);
  view.setUint32(0, config.hpet.id, true);
  // Generic address: system memory, 64 bits.
  body[5] = 64;
  view.setUint32(8, config.hpet.base, true);
  view.setUint16(17, HPET_MINIMUM_TICK, true);
  return systemTable('HPET', 1, body);
}

/** Registers of the HPET, for its device in the DSDT. */
export const hpetRange = (base: number): readonly [base: number, byteCount: number] => [base, HPET_BYTES];

/** The power management timer needs no double read. */
export function waet(): Uint8Array {
  const PM_TIMER_GOOD = 2;
  return systemTable('WAET', 1, [PM_TIMER_GOOD, 0, 0, 0]);
}

/** RSDT with room for 32-bit addresses. */
export const rsdt = (entryCount: number): Uint8Array => systemTable('RSDT', 1, new Uint8Array(4 * entryCount));
/** XSDT with room for 64-bit addresses. */
export const xsdt = (entryCount: number): Uint8Array => systemTable('XSDT', 1, new Uint8Array(8 * entryCount));

/** RSDP offsets. The first checksum covers 20 bytes, the extended one all 36. */
export const RSDP = { checksum: 8, rsdtAddress: 16, xsdtAddress: 24, extendedChecksum: 32 } as const;
export const RSDP_BYTES = { 1: 20, 3: 36 } as const;

export function rsdp(fadtRevision: 1 | 3): Uint8Array {
  const bytes = new Uint8Array(RSDP_BYTES[fadtRevision]);
  putAscii(bytes, 0, 'RSD PTR ');
  putAscii(bytes, 9, 'TABBOX');
  if (fadtRevision === 3) {
    bytes[15] = 2;
    bytes[20] = bytes.length;
    bytes[RSDP.checksum] = checksum(bytes.subarray(0, 20));
    bytes[RSDP.extendedChecksum] = checksum(bytes);
  } else bytes[RSDP.checksum] = checksum(bytes);
  return bytes;
}
