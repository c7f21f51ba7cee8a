/** Registers and bits of the PCnet family. Source: Am79C970A (19436) and Am79C973 (21510) data sheets, "User accessible registers". */

/** Control and status registers, by number. */
export const CSR = {
  status: 0,
  initLow: 1,
  initHigh: 2,
  masks: 3,
  features: 4,
  extended: 5,
  ringLengths: 6,
  logicalAddress: 8,
  physicalAddress: 12,
  mode: 15,
  initLowAlias: 16,
  initHighAlias: 17,
  receiveBase: 24,
  transmitBase: 30,
  pollInterval: 47,
  softwareStyle: 58,
  receiveCounter: 72,
  transmitCounter: 74,
  receiveLength: 76,
  transmitLength: 78,
  chipIdLow: 88,
  chipIdHigh: 89,
  missedFrames: 112,
} as const;
export const CSR_COUNT = 128;

/** CSR0. */
export const STATUS = {
  init: 1 << 0,
  start: 1 << 1,
  stop: 1 << 2,
  transmitDemand: 1 << 3,
  transmitterOn: 1 << 4,
  receiverOn: 1 << 5,
  interruptEnable: 1 << 6,
  interrupt: 1 << 7,
  initDone: 1 << 8,
  transmitted: 1 << 9,
  received: 1 << 10,
  memoryError: 1 << 11,
  missed: 1 << 12,
  collisionError: 1 << 13,
  babble: 1 << 14,
  error: 1 << 15,
} as const;
/** Reasons that CSR3 masks at the same position. */
export const MASKABLE: number =
  STATUS.initDone | STATUS.transmitted | STATUS.received | STATUS.memoryError | STATUS.missed | STATUS.babble;
/** Bits of CSR0 that a one clears. */
export const STATUS_ONE_CLEARS: number = MASKABLE | STATUS.collisionError;

/** CSR4. */
export const FEATURE = {
  jabberMask: 1 << 0,
  jabber: 1 << 1,
  transmitStartMask: 1 << 2,
  transmitStart: 1 << 3,
  collisionOverflowMask: 1 << 4,
  collisionOverflow: 1 << 5,
  userInterrupt: 1 << 6,
  userInterruptCommand: 1 << 7,
  missedOverflowMask: 1 << 8,
  missedOverflow: 1 << 9,
  stripPad: 1 << 10,
  padTransmit: 1 << 11,
  disablePolling: 1 << 12,
} as const;
export const FEATURES_ONE_CLEARS: number =
  FEATURE.jabber | FEATURE.transmitStart | FEATURE.collisionOverflow | FEATURE.userInterrupt | FEATURE.missedOverflow;

/** CSR5. */
export const EXTENDED = {
  suspend: 1 << 0,
  magicInterrupt: 1 << 4,
  sleepInterrupt: 1 << 9,
  systemInterruptEnable: 1 << 10,
  systemInterrupt: 1 << 11,
  interruptAtLast: 1 << 14,
  noInterruptAtDone: 1 << 15,
} as const;
export const EXTENDED_ONE_CLEARS: number = EXTENDED.magicInterrupt | EXTENDED.sleepInterrupt | EXTENDED.systemInterrupt;

/** CSR15. */
export const MODE = {
  receiverOff: 1 << 0,
  transmitterOff: 1 << 1,
  loopback: 1 << 2,
  noFcs: 1 << 3,
  noPhysical: 1 << 13,
  noBroadcast: 1 << 14,
  promiscuous: 1 << 15,
} as const;

/** Bus configuration registers, by number. */
export const BCR = {
  misc: 2,
  linkStatus: 4,
  led1: 5,
  led2: 6,
  led3: 7,
  fullDuplex: 9,
  burst: 18,
  eeprom: 19,
  softwareStyle: 20,
  latency: 22,
  miiControl: 32,
  miiAddress: 33,
  miiData: 34,
} as const;
export const BCR_COUNT = 64;

/** BCR2: the address PROM takes writes. */
export const MISC_PROM_WRITE = 1 << 8;
/** BCR4 and the LED registers: the pin's level. */
export const LED_OUT = 1 << 15;
/** BCR18: the registers are addressed as double words. */
export const BURST_DWIO = 1 << 7;
/** BCR20. */
export const STYLE = { mask: 0xff, wide: 1 << 8, csrPcnet: 1 << 9 } as const;

/** Bits 31 to 16 of a descriptor's flags. */
export const FLAG = {
  own: 1 << 15,
  error: 1 << 14,
  addFcs: 1 << 13,
  lastInterrupt: 1 << 12,
  buffer: 1 << 10,
  start: 1 << 9,
  end: 1 << 8,
  physicalMatch: 1 << 6,
  logicalMatch: 1 << 5,
  broadcastMatch: 1 << 4,
} as const;
/** Transmit errors as TMD2 of the 32-bit styles has them, bits 31 to 16. */
export const TRANSMIT_ERROR = { lossOfCarrier: 1 << 11 } as const;
