/**
 * Raw CD-ROM Mode 1 sectors from their user data.
 * Source: ECMA-130, clause 14 (sector), 14.3 (EDC) and annex A (error correction by P and Q parity).
 *
 *   0 sync 12 | 12 header 4 | 16 user data 2048 | 2064 EDC 4 | 2068 zero 8 | 2076 P 172 | 2248 Q 104 | 2352
 */
export const RAW_SECTOR_BYTES = 2352;
export const USER_DATA_BYTES = 2048;
/** Sectors before logical block 0: two seconds. */
export const PREGAP_SECTORS = 150;
export const SECTORS_PER_SECOND = 75;

const HEADER_AT = 12;
const EDC_AT = 2064;
const P_AT = 2076;
const Q_AT = 2248;

/** Minute, second and frame of an absolute sector number, packed 0x00MMSSFF in binary. */
export function msfOf(sector: number): number {
  const seconds = Math.floor(sector / SECTORS_PER_SECOND);
  return (Math.floor(seconds / 60) << 16) | ((seconds % 60) << 8) | (sector % SECTORS_PER_SECOND);
}

/** Writes the whole sector around the user data that is already at `at + 16`. */
export function encodeMode1(into: Uint8Array, at: number, lba: number): void {
  into.fill(0xff, at, at + 12);
  into[at] = 0;
  into[at + 11] = 0;
  const msf = msfOf(lba + PREGAP_SECTORS);
  into[at + HEADER_AT] = bcd(msf >> 16);
  into[at + HEADER_AT + 1] = bcd((msf >> 8) & 0xff);
  into[at + HEADER_AT + 2] = bcd(msf & 0xff);
  into[at + HEADER_AT + 3] = 1;
  const edc = edcOf(into.subarray(at, at + EDC_AT));
  for (let i = 0; i < 4; i++) into[at + EDC_AT + i] = edc >>> (i * 8);
  into.fill(0, at + EDC_AT + 4, at + P_AT);
  encodeParity(into.subarray(at, at + RAW_SECTOR_BYTES));
}

const bcd = (n: number): number => (Math.floor(n / 10) << 4) | (n % 10);

/** EDC table of P(x) = (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), least significant bit first. */
const EDC_TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xd801_8001 : 0);
  return crc >>> 0;
});

function edcOf(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = (crc >>> 8) ^ EDC_TABLE[(crc ^ byte) & 0xff];
  return crc >>> 0;
}

/** Multiplication by alpha in GF(2^8) of x^8 + x^4 + x^3 + x^2 + 1. */
const TIMES_ALPHA: Uint8Array = Uint8Array.from({ length: 256 }, (_, x) => (x << 1) ^ (x & 0x80 ? 0x11d : 0));
/** Division by alpha + 1: the factor that solves the two parity equations. */
const OVER_ALPHA_PLUS_1: Uint8Array = new Uint8Array(256);
for (let x = 0; x < 256; x++) OVER_ALPHA_PLUS_1[TIMES_ALPHA[x] ^ x] = x;

/**
 * Annex A: bytes 12..2075 are 1032 words of two bytes in 43 columns of 24; P codes columns of 24, Q diagonals of 43
 * that run over the P bytes too.
 */
function encodeParity(sector: Uint8Array): void {
  for (let column = 0; column < 86; column++) parity(sector, column, 24, 86, 2064, P_AT + column, 86);
  for (let diagonal = 0; diagonal < 52; diagonal++) {
    const start = (diagonal >> 1) * 86 + (diagonal & 1);
    parity(sector, start, 43, 88, 2236, Q_AT + diagonal, 52);
  }
}

/**
 * One Reed-Solomon word with two check bytes, so that the sum of all its bytes and the sum weighted by descending
 * powers of alpha are zero.
 */
function parity(
  sector: Uint8Array,
  start: number,
  count: number,
  step: number,
  wrap: number,
  checkAt: number,
  checkStep: number,
): void {
  let weighted = 0;
  let plain = 0;
  for (let i = 0, at = start; i < count; i++, at = (at + step) % wrap) {
    const byte = sector[HEADER_AT + at];
    weighted = TIMES_ALPHA[weighted ^ byte];
    plain ^= byte;
  }
  // Unknown c1, c0 with c1 + c0 = plain and alpha * c1 + c0 = alpha * weighted.
  const first = OVER_ALPHA_PLUS_1[TIMES_ALPHA[weighted] ^ plain];
  sector[checkAt] = first;
  sector[checkAt + checkStep] = first ^ plain;
}
