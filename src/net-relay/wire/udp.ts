// UDP. Source: RFC 768; RFC 8200 8.1 (over IPv6 the checksum is mandatory).

import { put16, u16 } from './bytes.ts';
import { checksum, isIntact, pseudoHeader } from './checksum.ts';
import { PROTOCOL } from './ip.ts';

export const UDP_HEADER_BYTES = 8;

export interface Udp {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** A view, not a copy. */
  readonly data: Uint8Array;
}

/**
 * @param at, end the IP payload
 * @param addressAt, addressBytes where `b` has the addresses; -1: the checksum was verified elsewhere
 * @returns undefined when it is short or the checksum is wrong
 */
export function decodeUdp(
  b: Uint8Array,
  at: number,
  end: number,
  addressAt: number,
  addressBytes: number,
): Udp | undefined {
  if (end < at + UDP_HEADER_BYTES) return undefined;
  const bytes = u16(b, at + 4);
  if (bytes < UDP_HEADER_BYTES || end < at + bytes) return undefined;
  const hasChecksum = u16(b, at + 6) !== 0;
  if (!hasChecksum && addressBytes === 32) return undefined;
  if (hasChecksum && addressAt >= 0) {
    if (!isIntact(b, at, at + bytes, pseudoHeader(b, addressAt, addressBytes, PROTOCOL.udp, bytes))) return undefined;
  }
  return {
    sourcePort: u16(b, at),
    destinationPort: u16(b, at + 2),
    data: b.subarray(at + UDP_HEADER_BYTES, at + bytes),
  };
}

/** The IP payload. @param addresses source and destination, 8 or 32 bytes */
export function encodeUdp(udp: Udp, addresses: Uint8Array): Uint8Array {
  const b = new Uint8Array(UDP_HEADER_BYTES + udp.data.length);
  put16(b, 0, udp.sourcePort);
  put16(b, 2, udp.destinationPort);
  put16(b, 4, b.length);
  b.set(udp.data, UDP_HEADER_BYTES);
  const sum = checksum(b, 0, b.length, pseudoHeader(addresses, 0, addresses.length, PROTOCOL.udp, b.length));
  // Zero would mean none.
  put16(b, 6, sum === 0 ? 0xffff : sum);
  return b;
}
