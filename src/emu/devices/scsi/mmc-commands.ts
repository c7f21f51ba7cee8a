/**
 * Operation codes of a CD/DVD reader, and what must hold before each may run.
 * Source: MMC-3 (T10/1363-D), table 247; SPC-3 (T10/1416-D), annex D.3.
 */
export const OP = {
  testUnitReady: 0x00,
  requestSense: 0x03,
  inquiry: 0x12,
  modeSelect6: 0x15,
  modeSense6: 0x1a,
  startStopUnit: 0x1b,
  preventAllow: 0x1e,
  readCapacity: 0x25,
  read10: 0x28,
  seek10: 0x2b,
  readSubChannel: 0x42,
  readToc: 0x43,
  getConfiguration: 0x46,
  getEventStatusNotification: 0x4a,
  readDiscInformation: 0x51,
  readTrackInformation: 0x52,
  modeSelect10: 0x55,
  modeSense10: 0x5a,
  read12: 0xa8,
  readDvdStructure: 0xad,
  readCdMsf: 0xb9,
  setCdSpeed: 0xbb,
  mechanismStatus: 0xbd,
  readCd: 0xbe,
} as const;

/** Commands that run, and leave it pending, while a unit attention is (SPC-3, 4.5.6; MMC-3, 4.1.6). */
export const IGNORES_ATTENTION: ReadonlySet<number> = new Set<number>([
  OP.inquiry,
  OP.requestSense,
  OP.getConfiguration,
  OP.getEventStatusNotification,
]);

/** Commands that need a readable disc. */
export const NEEDS_DISC: ReadonlySet<number> = new Set<number>([
  OP.testUnitReady,
  OP.readCapacity,
  OP.read10,
  OP.read12,
  OP.seek10,
  OP.readSubChannel,
  OP.readToc,
  OP.readDiscInformation,
  OP.readTrackInformation,
  OP.readDvdStructure,
  OP.readCd,
  OP.readCdMsf,
]);
