// ICMP and ICMPv6 messages with their checksum. Source: RFC 792, RFC 4443 2.1.

import { concat, put16, put32, u16 } from './bytes.ts';
import { checksum, isIntact, pseudoHeader } from './checksum.ts';
import { PROTOCOL } from './ip.ts';

export const ICMP = { echoReply: 0, unreachable: 3, echo: 8, timeExceeded: 11 } as const;
export const ICMP_UNREACHABLE = { net: 0, host: 1, port: 3, fragmentationNeeded: 4, prohibited: 13 } as const;
export const ICMPV6 = {
  unreachable: 1,
  packetTooBig: 2,
  echo: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
} as const;
export const ICMPV6_UNREACHABLE = { noRoute: 0, prohibited: 1, address: 3, port: 4 } as const;

export interface Icmp {
  readonly type: number;
  readonly code: number;
  /** What follows the checksum; a view when decoded. */
  readonly body: Uint8Array;
}

/** @param addresses of the IPv6 header, 32 bytes; undefined: ICMP for IPv4 */
export function encodeIcmp({ type, code, body }: Icmp, addresses?: Uint8Array): Uint8Array {
  const b = new Uint8Array(4 + body.length);
  b[0] = type;
  b[1] = code;
  b.set(body, 4);
  const sum = addresses ? pseudoHeader(addresses, 0, 32, PROTOCOL.icmpv6, b.length) : 0;
  put16(b, 2, checksum(b, 0, b.length, sum));
  return b;
}

/** @param at, end the IP payload. @param addressAt of the IPv6 addresses in `b`, or -1 for IPv4 */
export function decodeIcmp(b: Uint8Array, at: number, end: number, addressAt: number): Icmp | undefined {
  if (end < at + 4) return undefined;
  const sum = addressAt < 0 ? 0 : pseudoHeader(b, addressAt, 32, PROTOCOL.icmpv6, end - at);
  if (!isIntact(b, at, end, sum)) return undefined;
  return { type: b[at], code: b[at + 1], body: b.subarray(at + 4, end) };
}

/** An error about a packet: an unused word (or the MTU) and as much of the packet as is useful. */
export function icmpError(type: number, code: number, packet: Uint8Array, word = 0): Icmp {
  const head = new Uint8Array(4);
  put32(head, 0, word);
  // RFC 792 wants the header and 64 bits; RFC 4443 as much as fits into 1,280 bytes.
  return { type, code, body: concat(head, packet.subarray(0, 548)) };
}

/** Identifier of an echo or its reply. */
export const echoIdentifier = ({ body }: Icmp): number => (body.length < 4 ? 0 : u16(body, 0));
