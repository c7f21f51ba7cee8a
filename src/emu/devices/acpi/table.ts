/**
 * System description table header and checksum.
 * Source: ACPI Specification 2.0, sections 5.2.3 and 5.2.5.
 */

/** Header fields at fixed offsets. */
export const TABLE_HEADER_BYTES = 36;
export const CHECKSUM_AT = 9;

const OEM_ID = 'TABBOX';
const OEM_TABLE_ID = 'TBPC    ';
const CREATOR_ID = 'TBBX';

/** Value that makes the bytes sum to zero modulo 256, when the checksum byte itself counts as zero. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

export function putAscii(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** A table with its header and a valid checksum. */
export function systemTable(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(TABLE_HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  putAscii(bytes, 0, signature);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  putAscii(bytes, 10, OEM_ID);
  putAscii(bytes, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  putAscii(bytes, 28, CREATOR_ID);
  view.setUint32(32, 1, true);
  bytes.set(body, TABLE_HEADER_BYTES);
  bytes[CHECKSUM_AT] = checksum(bytes);
  return bytes;
}
