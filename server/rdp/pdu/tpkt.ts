/**
 * How packets follow each other in the stream.
 * Source: RFC 1006 section 6 (TPKT); [MS-RDPBCGR] 2.2.8.1.2 and 2.2.9.1.2 (fast path); [MS-RDPBCGR] 5.4.2 (which is which).
 */
import { PduError } from './bytes.ts';

const VERSION = 3;
export const TPKT_HEADER_BYTES = 4;
/** TPKT header and the shortest TPDU. */
const SHORTEST_TPKT = 7;
const SHORTEST_FAST_PATH = 2;

export const isTpkt = (packet: Uint8Array): boolean => packet[0] === VERSION;

/**
 * Length of the packet at the start of `bytes`, header included.
 * @returns undefined when more bytes are needed to tell
 * @throws PduError when no packet begins like this
 */
export function packetLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 2) return undefined;
  if (isTpkt(bytes)) {
    if (bytes.length < TPKT_HEADER_BYTES) return undefined;
    const length = (bytes[2] << 8) | bytes[3];
    if (length < SHORTEST_TPKT) throw new PduError('a TPKT packet is too short', { length });
    return length;
  }
  if ((bytes[0] & 3) !== 0) throw new PduError('this is no RDP packet', { first: bytes[0] });
  if ((bytes[1] & 0x80) === 0) return atLeast(bytes[1], SHORTEST_FAST_PATH);
  if (bytes.length < 3) return undefined;
  return atLeast(((bytes[1] & 0x7f) << 8) | bytes[2], SHORTEST_FAST_PATH + 1);
}

function atLeast(length: number, least: number): number {
  if (length < least) throw new PduError('a fast-path packet is too short', { length });
  return length;
}
