/**
 * Register bits and command codes of the AT Attachment interface.
 * Source: ATA/ATAPI-6 (T13/1410D), clause 7 (interface registers) and clause 8 (commands).
 */

/** Offsets in the command block. Offset 0 is the 16-bit data port. */
export const REG = {
  data: 0,
  /** Write: Features. */
  error: 1,
  sectorCount: 2,
  lbaLow: 3,
  lbaMid: 4,
  lbaHigh: 5,
  device: 6,
  /** Write: Command. */
  status: 7,
} as const;

export const STATUS = {
  /** An error: the Error register says which. CHK for packet devices. */
  err: 1 << 0,
  /** Data request: a word may be moved through the data port. */
  drq: 1 << 3,
  /** Drive seek complete (ATA-3 and before); service for packet devices. */
  dsc: 1 << 4,
  /** Device fault. */
  df: 1 << 5,
  drdy: 1 << 6,
  bsy: 1 << 7,
} as const;

export const ERROR = {
  abrt: 1 << 2,
  /** ID not found: an address outside the medium. */
  idnf: 1 << 4,
  /** Uncorrectable data (reads). */
  unc: 1 << 6,
  /** Write protected: the same bit, for writes. */
  wp: 1 << 6,
} as const;

export const DEVICE = {
  /** Head number, or LBA 27:24. */
  head: 0x0f,
  /** Which of the two devices is selected. */
  dev: 1 << 4,
  /** Bits 7 and 5 were constant ones before ATA-6. */
  obsolete: 0xa0,
  lba: 1 << 6,
} as const;

export const CONTROL = {
  nien: 1 << 1,
  srst: 1 << 2,
  hob: 1 << 7,
} as const;

/** Interrupt reason, read in Sector Count of packet devices. */
export const REASON = {
  /** Command packet rather than data. */
  cd: 1 << 0,
  /** To the host. */
  io: 1 << 1,
} as const;

export const COMMAND = {
  nop: 0x00,
  deviceReset: 0x08,
  recalibrate: 0x10,
  readSectors: 0x20,
  readSectorsNoRetry: 0x21,
  readSectorsExt: 0x24,
  readDmaExt: 0x25,
  readNativeMaxExt: 0x27,
  readMultipleExt: 0x29,
  writeSectors: 0x30,
  writeSectorsNoRetry: 0x31,
  writeSectorsExt: 0x34,
  writeDmaExt: 0x35,
  writeMultipleExt: 0x39,
  writeDmaFuaExt: 0x3d,
  readVerify: 0x40,
  readVerifyNoRetry: 0x41,
  readVerifyExt: 0x42,
  seek: 0x70,
  executeDeviceDiagnostic: 0x90,
  initializeDeviceParameters: 0x91,
  packet: 0xa0,
  identifyPacketDevice: 0xa1,
  readMultiple: 0xc4,
  writeMultiple: 0xc5,
  setMultipleMode: 0xc6,
  readDma: 0xc8,
  readDmaNoRetry: 0xc9,
  writeDma: 0xca,
  writeDmaNoRetry: 0xcb,
  writeMultipleFuaExt: 0xce,
  standbyImmediate: 0xe0,
  idleImmediate: 0xe1,
  standby: 0xe2,
  idle: 0xe3,
  checkPowerMode: 0xe5,
  sleep: 0xe6,
  flushCache: 0xe7,
  flushCacheExt: 0xea,
  identifyDevice: 0xec,
  setFeatures: 0xef,
  readNativeMax: 0xf8,
  /** Power commands as ATA-1 numbered them. */
  standbyImmediateOld: 0x94,
  idleImmediateOld: 0x95,
  standbyOld: 0x96,
  idleOld: 0x97,
  checkPowerModeOld: 0x98,
  sleepOld: 0x99,
} as const;

/** SET FEATURES subcommands. */
export const FEATURE = {
  enableWriteCache: 0x02,
  setTransferMode: 0x03,
  disableLookAhead: 0x55,
  keepSettingsOnReset: 0x66,
  disableWriteCache: 0x82,
  enableLookAhead: 0xaa,
  revertOnReset: 0xcc,
} as const;

/** What the power commands count as. */
export const POWER_COMMANDS: ReadonlyMap<number, PowerCommand> = new Map<number, PowerCommand>([
  [COMMAND.standbyImmediate, 'standby'],
  [COMMAND.standbyImmediateOld, 'standby'],
  [COMMAND.standby, 'standby'],
  [COMMAND.standbyOld, 'standby'],
  [COMMAND.idleImmediate, 'idle'],
  [COMMAND.idleImmediateOld, 'idle'],
  [COMMAND.idle, 'idle'],
  [COMMAND.idleOld, 'idle'],
  [COMMAND.checkPowerMode, 'check'],
  [COMMAND.checkPowerModeOld, 'check'],
  [COMMAND.sleep, 'sleep'],
  [COMMAND.sleepOld, 'sleep'],
]);

export type PowerCommand = 'standby' | 'idle' | 'check' | 'sleep';

/** Transfer modes a device takes: PIO 0-4, multiword DMA 0-2, Ultra DMA 0-5. */
export interface TransferModes {
  /** Multiword DMA mode 0..2 or -1 when an Ultra mode is selected. */
  multiword: number;
  /** Ultra DMA mode 0..5, or -1. */
  ultra: number;
}

/**
 * Applies the Sector Count of SET FEATURES / set transfer mode.
 * @returns false for a mode the device has not, which the command must abort
 */
export function selectTransferMode(modes: TransferModes, count: number): boolean {
  const kind = count >> 3;
  const mode = count & 7;
  if (kind === 0) return mode <= 1;
  if (kind === 1) return mode <= 4;
  if (kind === 4 && mode <= 2) {
    modes.multiword = mode;
    modes.ultra = -1;
    return true;
  }
  if (kind === 8 && mode <= 5) {
    modes.ultra = mode;
    modes.multiword = -1;
    return true;
  }
  return false;
}
