/**
 * The Internet checksum.
 * Source: RFC 1071 (sum and carries), RFC 768 (UDP's zero), RFC 8200 section 8.1 (pseudo-header of IPv6).
 */

/**
 * Ones' complement sum of big-endian 16-bit words, folded to 16 bits and not complemented. An odd last byte counts as
 * the high half of a word.
 * @param end behind the last byte
 * @param start what was summed before
 */
export function onesSum(bytes: Uint8Array, from: number, end: number, start = 0): number {
  let sum = start;
  let i = from;
  for (; i + 4 <= end; i += 4) {
    sum += ((bytes[i] << 8) | bytes[i + 1]) + ((bytes[i + 2] << 8) | bytes[i + 3]);
  }
  for (; i + 2 <= end; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if (i < end) sum += bytes[i] << 8;
  return fold(sum);
}

/** @param sum below 2^47 */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x1_0000);
  return folded;
}

export const getU16 = (bytes: Uint8Array, at: number): number => (bytes[at] << 8) | bytes[at + 1];

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export const getU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  putU16(bytes, at, value >>> 16);
  putU16(bytes, at + 2, value & 0xffff);
}
