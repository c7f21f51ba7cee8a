/**
 * Whether the checksums inside a received frame are right.
 * Source: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 768 (UDP).
 *
 * Not modelled: IPv6 packets with extension headers and IPv4 fragments, whose transport checksum is left unchecked.
 */
import { getU16, onesSum } from './internet-checksum.ts';

/** Bits of a result. */
export const CHECKED = {
  /** The IPv4 header was summed, and is wrong. */
  ip: 1,
  ipBad: 2,
  /** The TCP or UDP checksum was summed, and is wrong. */
  transport: 4,
  transportBad: 8,
  udp: 16,
} as const;

const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100 } as const;
const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** @param frame from the destination address on; its first `length` bytes count */
export function checkFrame(frame: Uint8Array, length: number): number {
  const at = getU16(frame, 12) === ETHERTYPE.vlan ? 18 : 14;
  const type = getU16(frame, at - 2);
  if (type === ETHERTYPE.ipv4) return checkIpv4(frame, at, length);
  if (type === ETHERTYPE.ipv6) return checkIpv6(frame, at, length);
  return 0;
}

function checkIpv4(frame: Uint8Array, at: number, length: number): number {
  const headerBytes = (frame[at] & 15) * 4;
  const end = at + getU16(frame, at + 2);
  if (frame[at] >> 4 !== 4 || headerBytes < 20 || at + headerBytes > end || end > length) return 0;
  const good = onesSum(frame, at, at + headerBytes) === 0xffff;
  const result = CHECKED.ip | (good ? 0 : CHECKED.ipBad);
  const isFragment = (getU16(frame, at + 6) & 0x3fff) !== 0;
  if (!good || isFragment) return result;
  return result | checkTransport(frame, at + headerBytes, end, frame[at + 9], onesSum(frame, at + 12, at + 20));
}

function checkIpv6(frame: Uint8Array, at: number, length: number): number {
  const end = at + 40 + getU16(frame, at + 4);
  if (at + 40 > length || frame[at] >> 4 !== 6 || end > length) return 0;
  return checkTransport(frame, at + 40, end, frame[at + 6], onesSum(frame, at + 8, at + 40));
}

/** @param addresses sum of the pseudo-header's addresses */
function checkTransport(frame: Uint8Array, at: number, end: number, protocol: number, addresses: number): number {
  if (protocol === PROTOCOL.tcp ? end - at < 20 : protocol !== PROTOCOL.udp || end - at < 8) return 0;
  const isUdp = protocol === PROTOCOL.udp;
  // The sender of a datagram may leave its checksum out.
  if (isUdp && getU16(frame, at + 6) === 0) return 0;
  const sum = onesSum(frame, at, end, addresses + protocol + (end - at));
  return CHECKED.transport | (sum === 0xffff ? 0 : CHECKED.transportBad) | (isUdp ? CHECKED.udp : 0);
}
