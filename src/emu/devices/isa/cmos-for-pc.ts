/**
 * The CMOS contents a PC BIOS finds after setup.
 * Source: Ralf Brown, CMOS memory map (CMOS.LST); the bytes SeaBIOS reads from a virtual machine (its `src/hw/rtc.h`):
 * memory above 16 MB in 34h/35h, above 4 GB in 5Bh..5Dh, boot order in 38h/3Dh, processors in 5Fh.
 * Not modelled: hard disk types and geometry (BIOSes ask the drives), EISA configuration.
 */
import { KIB, MIB } from '#base/units.ts';
import { CMOS_BYTES } from './rtc-cmos.ts';

export type CmosFloppyType = 'none' | '360K' | '1.2M' | '720K' | '1.44M' | '2.88M';
export type CmosBootDevice = 'floppy' | 'disk' | 'cdrom' | 'network';

export interface CmosConfig {
  /** RAM below 4 GB in bytes, a multiple of 64 KB, at least 1 MB. */
  readonly lowRamBytes: number;
  /** RAM above 4 GB in bytes, a multiple of 64 KB. */
  readonly highRamBytes: number;
  /** Drives A and B. */
  readonly floppies: readonly [CmosFloppyType, CmosFloppyType];
  /** Tried in order; up to three count. */
  readonly bootOrder: readonly CmosBootDevice[];
  /** 1..256. */
  readonly cpuCount: number;
  /** Let the BIOS refuse a floppy without the 55AAh signature. Default false: old boot floppies lack it. */
  readonly checkFloppySignature?: boolean;
}

const FLOPPY: Readonly<Record<CmosFloppyType, number>> = {
  none: 0,
  '360K': 1,
  '1.2M': 2,
  '720K': 3,
  '1.44M': 4,
  '2.88M': 5,
};
const BOOT: Readonly<Record<CmosBootDevice, number>> = { floppy: 1, disk: 2, cdrom: 3, network: 4 };
const EQUIPMENT = { floppyDrive: 1 << 0, fpu: 1 << 1, pointingDevice: 1 << 2, secondFloppy: 1 << 6 } as const;
const BASE_MEMORY_KIB = 640;
const MAX_WORD = 0xffff;

/** Contents for `RtcCmosParts.cmos`: 128 bytes with a valid checksum over 10h..2Dh. */
export function cmosForPc(config: CmosConfig): Uint8Array {
  const cmos = new Uint8Array(CMOS_BYTES);
  const word = (at: number, value: number): void => {
    cmos[at] = value & 0xff;
    cmos[at + 1] = (value >> 8) & 0xff;
  };
  cmos[0x0a] = 0x26; // 32.768 kHz time base, 1024 Hz.
  cmos[0x0b] = 0x02; // BCD, 24 hours.

  const [a, b] = config.floppies;
  cmos[0x10] = (FLOPPY[a] << 4) | FLOPPY[b];
  const drives = (a === 'none' ? 0 : 1) + (b === 'none' ? 0 : 1);
  cmos[0x14] =
    EQUIPMENT.fpu |
    EQUIPMENT.pointingDevice |
    (drives > 0 ? EQUIPMENT.floppyDrive : 0) |
    (drives > 1 ? EQUIPMENT.secondFloppy : 0);

  const extendedKib = Math.min(MAX_WORD, (config.lowRamBytes - MIB) / KIB);
  word(0x15, BASE_MEMORY_KIB);
  word(0x17, extendedKib);
  word(0x30, extendedKib);
  word(0x34, Math.min(MAX_WORD, Math.max(0, config.lowRamBytes - 16 * MIB) / (64 * KIB)));
  const highUnits = config.highRamBytes / (64 * KIB);
  word(0x5b, highUnits % 0x1_0000);
  cmos[0x5d] = Math.floor(highUnits / 0x1_0000) & 0xff;
  cmos[0x5f] = config.cpuCount - 1;

  const order = config.bootOrder.map((device) => BOOT[device]);
  cmos[0x3d] = (order[0] ?? 0) | ((order[1] ?? 0) << 4);
  cmos[0x38] = ((order[2] ?? 0) << 4) | (config.checkFloppySignature ? 0 : 1);

  let sum = 0;
  for (let at = 0x10; at <= 0x2d; at++) sum += cmos[at];
  cmos[0x2e] = (sum >> 8) & 0xff;
  cmos[0x2f] = sum & 0xff;
  return cmos;
}
