// IPv4 and IPv6 headers, read and written in place. Source: RFC 791; RFC 8200; RFC 9293 for who carries what.
// Not modelled: IPv4 options (skipped); IPv6 routing headers (RFC 5095 forbids type 0) make a packet invalid.

import type { Ipv4 } from './address.ts';
import { put16, put32, u16, u32 } from './bytes.ts';
import { checksum, isIntact } from './checksum.ts';

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, ipv6Fragment: 44, icmpv6: 58, noNext: 59 } as const;
export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;
const EXTENSION = { hopByHop: 0, destination: 60 } as const;

/** What both versions say about a packet; offsets are into the buffer it was decoded from. */
export interface IpHeader {
  version: 4 | 6;
  /** Source and destination address lie side by side here... */
  addressAt: number;
  /** ...with 8 bytes together, or 32. */
  addressBytes: number;
  /** Of the payload: `PROTOCOL`, behind extension headers. */
  protocol: number;
  hopLimit: number;
  payloadAt: number;
  /** One behind the payload's last byte; padding of the frame is not part of it. */
  end: number;
  /** Fragments only. */
  isFragment: boolean;
  fragmentId: number;
  /** In bytes. */
  fragmentOffset: number;
  moreFragments: boolean;
}

export const ipHeader = (): IpHeader => ({
  version: 4,
  addressAt: 0,
  addressBytes: 8,
  protocol: 0,
  hopLimit: 0,
  payloadAt: 0,
  end: 0,
  isFragment: false,
  fragmentId: 0,
  fragmentOffset: 0,
  moreFragments: false,
});

/** @returns false when the packet is cut short, has a bad checksum or contradicts itself */
export function decodeIpv4(b: Uint8Array, at: number, into: IpHeader): boolean {
  if (b.length < at + IPV4_HEADER_BYTES || b[at] >>> 4 !== 4) return false;
  const headerBytes = (b[at] & 15) * 4;
  const end = at + u16(b, at + 2);
  if (headerBytes < IPV4_HEADER_BYTES || end < at + headerBytes || b.length < end) return false;
  if (!isIntact(b, at, at + headerBytes)) return false;
  const fragment = u16(b, at + 6);
  into.version = 4;
  into.addressAt = at + 12;
  into.addressBytes = 8;
  into.protocol = b[at + 9];
  into.hopLimit = b[at + 8];
  into.payloadAt = at + headerBytes;
  into.end = end;
  into.isFragment = (fragment & 0x3fff) !== 0;
  into.fragmentId = u16(b, at + 4);
  into.fragmentOffset = (fragment & 0x1fff) * 8;
  into.moreFragments = (fragment & 0x2000) !== 0;
  return true;
}

/** @returns false when the packet is cut short or has an extension header that is not understood */
export function decodeIpv6(b: Uint8Array, at: number, into: IpHeader): boolean {
  if (b.length < at + IPV6_HEADER_BYTES || b[at] >>> 4 !== 6) return false;
  const end = at + IPV6_HEADER_BYTES + u16(b, at + 4);
  if (b.length < end) return false;
  into.version = 6;
  into.addressAt = at + 8;
  into.addressBytes = 32;
  into.protocol = b[at + 6];
  into.hopLimit = b[at + 7];
  into.payloadAt = at + IPV6_HEADER_BYTES;
  into.end = end;
  into.isFragment = false;
  into.fragmentId = 0;
  into.fragmentOffset = 0;
  into.moreFragments = false;
  return skipExtensions(b, into);
}

function skipExtensions(b: Uint8Array, into: IpHeader): boolean {
  for (let headers = 0; headers < 8; headers++) {
    const { protocol, payloadAt } = into;
    const isOptions = protocol === EXTENSION.hopByHop || protocol === EXTENSION.destination;
    if (!isOptions && protocol !== PROTOCOL.ipv6Fragment) return protocol !== 43;
    if (into.end < payloadAt + 8) return false;
    into.protocol = b[payloadAt];
    if (isOptions) {
      into.payloadAt += (b[payloadAt + 1] + 1) * 8;
      if (into.end < into.payloadAt) return false;
      continue;
    }
    into.isFragment = true;
    into.fragmentOffset = u16(b, payloadAt + 2) & 0xfff8;
    into.moreFragments = (b[payloadAt + 3] & 1) !== 0;
    into.fragmentId = u32(b, payloadAt + 4);
    into.payloadAt += 8;
    // What follows in a later fragment is no header.
    if (into.fragmentOffset > 0) return true;
  }
  return false;
}

/** Writes a 20-byte header, checksum included. @param totalBytes header and payload */
export function writeIpv4(
  b: Uint8Array,
  at: number,
  header: {
    readonly totalBytes: number;
    readonly protocol: number;
    readonly source: Ipv4;
    readonly destination: Ipv4;
    readonly id?: number;
    /** Flags and offset as the field has them; undefined: may not be fragmented. */
    readonly fragment?: number;
    readonly hopLimit?: number;
  },
): void {
  b[at] = 0x45;
  b[at + 1] = 0;
  put16(b, at + 2, header.totalBytes);
  put16(b, at + 4, header.id ?? 0);
  put16(b, at + 6, header.fragment ?? 0x4000);
  b[at + 8] = header.hopLimit ?? 64;
  b[at + 9] = header.protocol;
  put16(b, at + 10, 0);
  put32(b, at + 12, header.source);
  put32(b, at + 16, header.destination);
  put16(b, at + 10, checksum(b, at, at + IPV4_HEADER_BYTES));
}

/** Writes a 40-byte header. @param addresses 32 bytes, source and destination */
export function writeIpv6(
  b: Uint8Array,
  at: number,
  header: {
    readonly payloadBytes: number;
    readonly protocol: number;
    readonly addresses: Uint8Array;
    readonly hopLimit?: number;
  },
): void {
  put32(b, at, 0x6000_0000);
  put16(b, at + 4, header.payloadBytes);
  b[at + 6] = header.protocol;
  b[at + 7] = header.hopLimit ?? 64;
  b.set(header.addresses, at + 8);
}
