/**
 * Registers, status bits and commands of the 82077AA.
 * Source: Intel 82077AA CHMOS Single-Chip Floppy Disk Controller data sheet (290166), sections 2.1, 5 and 6.
 */

/** Offsets from 3F0h. */
export const FDC_REG = { sra: 0, srb: 1, dor: 2, tdr: 3, msr: 4, fifo: 5 } as const;

export const DOR = { drive: 0x03, notReset: 1 << 2, dmaGate: 1 << 3 } as const;
export const DSR = { rate: 0x03, softwareReset: 1 << 7 } as const;
export const MSR = { driveBusy: 0x0f, commandBusy: 1 << 4, nonDma: 1 << 5, toHost: 1 << 6, request: 1 << 7 } as const;
export const DIR_CHANGED = 1 << 7;

export const ST0 = {
  head: 1 << 2,
  equipmentCheck: 1 << 4,
  seekEnd: 1 << 5,
  abnormal: 1 << 6,
  invalid: 2 << 6,
  /** Ready changed during polling: what follows a reset. */
  readyChanged: 3 << 6,
} as const;
export const ST1 = {
  missingAddressMark: 1 << 0,
  notWritable: 1 << 1,
  noData: 1 << 2,
  overrun: 1 << 4,
  dataError: 1 << 5,
  endOfCylinder: 1 << 7,
} as const;
export const ST2 = {
  badCylinder: 1 << 1,
  wrongCylinder: 1 << 4,
  dataErrorInData: 1 << 5,
  controlMark: 1 << 6,
} as const;
export const ST3 = { head: 1 << 2, always: (1 << 3) | (1 << 5), track0: 1 << 4, writeProtected: 1 << 6 } as const;

export type FdcCommand =
  | 'readData'
  | 'readDeleted'
  | 'readTrack'
  | 'writeData'
  | 'writeDeleted'
  | 'verify'
  | 'formatTrack'
  | 'readId'
  | 'recalibrate'
  | 'seek'
  | 'relativeSeek'
  | 'senseInterrupt'
  | 'senseDrive'
  | 'specify'
  | 'version'
  | 'configure'
  | 'dumpReg'
  | 'perpendicular'
  | 'lock';

export interface CommandRow {
  readonly command: FdcCommand;
  /** First byte under `mask`. */
  readonly code: number;
  readonly mask: number;
  /** Bytes that follow the first one. */
  readonly parameters: number;
}

/** Table 5-1. A first byte that matches no row is an invalid command; PART ID (18h) of later parts is one here. */
const COMMANDS: readonly CommandRow[] = [
  { command: 'readData', code: 0x06, mask: 0x1f, parameters: 8 },
  { command: 'readDeleted', code: 0x0c, mask: 0x1f, parameters: 8 },
  { command: 'writeData', code: 0x05, mask: 0x3f, parameters: 8 },
  { command: 'writeDeleted', code: 0x09, mask: 0x3f, parameters: 8 },
  { command: 'readTrack', code: 0x02, mask: 0xbf, parameters: 8 },
  { command: 'verify', code: 0x16, mask: 0x1f, parameters: 8 },
  { command: 'version', code: 0x10, mask: 0xff, parameters: 0 },
  { command: 'formatTrack', code: 0x0d, mask: 0xbf, parameters: 5 },
  { command: 'recalibrate', code: 0x07, mask: 0xff, parameters: 1 },
  { command: 'senseInterrupt', code: 0x08, mask: 0xff, parameters: 0 },
  { command: 'specify', code: 0x03, mask: 0xff, parameters: 2 },
  { command: 'senseDrive', code: 0x04, mask: 0xff, parameters: 1 },
  { command: 'seek', code: 0x0f, mask: 0xff, parameters: 2 },
  { command: 'configure', code: 0x13, mask: 0xff, parameters: 3 },
  { command: 'relativeSeek', code: 0x8f, mask: 0xbf, parameters: 2 },
  { command: 'dumpReg', code: 0x0e, mask: 0xff, parameters: 0 },
  { command: 'readId', code: 0x0a, mask: 0xbf, parameters: 1 },
  { command: 'perpendicular', code: 0x12, mask: 0xff, parameters: 1 },
  { command: 'lock', code: 0x14, mask: 0x7f, parameters: 0 },
];

export function decodeCommand(first: number): CommandRow | undefined {
  return COMMANDS.find((row) => (first & row.mask) === row.code);
}
