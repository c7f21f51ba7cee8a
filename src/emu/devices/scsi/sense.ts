/**
 * Sense keys and additional sense codes.
 * Source: SPC-3 (T10/1416-D), 4.5 (sense data) and annex D.2; MMC-3 (T10/1363-D), annex F.
 */
export interface Sense {
  /** 0..15 */
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
  /** Logical block address in error, when there is one. */
  readonly information?: number;
}

export const SENSE_KEY = {
  noSense: 0x0,
  recoveredError: 0x1,
  notReady: 0x2,
  mediumError: 0x3,
  hardwareError: 0x4,
  illegalRequest: 0x5,
  unitAttention: 0x6,
  dataProtect: 0x7,
  abortedCommand: 0xb,
} as const;

export const SENSE = {
  noSense: { key: 0x0, asc: 0x00, ascq: 0x00 },
  becomingReady: { key: 0x2, asc: 0x04, ascq: 0x01 },
  mediumNotPresentTrayClosed: { key: 0x2, asc: 0x3a, ascq: 0x01 },
  mediumNotPresentTrayOpen: { key: 0x2, asc: 0x3a, ascq: 0x02 },
  unrecoveredReadError: { key: 0x3, asc: 0x11, ascq: 0x00 },
  parameterListLengthError: { key: 0x5, asc: 0x1a, ascq: 0x00 },
  invalidOpcode: { key: 0x5, asc: 0x20, ascq: 0x00 },
  lbaOutOfRange: { key: 0x5, asc: 0x21, ascq: 0x00 },
  invalidFieldInCdb: { key: 0x5, asc: 0x24, ascq: 0x00 },
  invalidFieldInParameterList: { key: 0x5, asc: 0x26, ascq: 0x00 },
  savingParametersNotSupported: { key: 0x5, asc: 0x39, ascq: 0x00 },
  mediumRemovalPrevented: { key: 0x5, asc: 0x53, ascq: 0x02 },
  illegalModeForThisTrack: { key: 0x5, asc: 0x64, ascq: 0x00 },
  mediumMayHaveChanged: { key: 0x6, asc: 0x28, ascq: 0x00 },
  powerOnOrReset: { key: 0x6, asc: 0x29, ascq: 0x00 },
} as const satisfies Readonly<Record<string, Sense>>;

/** Bytes of fixed format sense data (SPC-3, 4.5.3). */
export const FIXED_SENSE_BYTES = 18;

/** Encodes fixed format, current errors. */
export function encodeFixedSense(into: Uint8Array, sense: Sense): void {
  into.fill(0, 0, FIXED_SENSE_BYTES);
  into[0] = 0x70;
  into[2] = sense.key;
  into[7] = FIXED_SENSE_BYTES - 8;
  into[12] = sense.asc;
  into[13] = sense.ascq;
  if (sense.information !== undefined) {
    into[0] |= 0x80;
    new DataView(into.buffer, into.byteOffset).setUint32(3, sense.information, false);
  }
}
