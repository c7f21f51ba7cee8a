// ARP for IPv4 over Ethernet. Source: RFC 826. Not modelled: other hardware and protocol types.

import { type Ipv4, type Mac, readMac, writeMac } from './address.ts';
import { put16, put32, u16, u32 } from './bytes.ts';

export const ARP_OPERATION = { request: 1, reply: 2 } as const;
const ARP_BYTES = 28;

export interface Arp {
  readonly operation: number;
  readonly senderMac: Mac;
  readonly senderIp: Ipv4;
  readonly targetMac: Mac;
  readonly targetIp: Ipv4;
}

export function encodeArp(arp: Arp): Uint8Array {
  const b = new Uint8Array(ARP_BYTES);
  put16(b, 0, 1); // Ethernet.
  put16(b, 2, 0x0800);
  b[4] = 6;
  b[5] = 4;
  put16(b, 6, arp.operation);
  writeMac(b, 8, arp.senderMac);
  put32(b, 14, arp.senderIp);
  writeMac(b, 18, arp.targetMac);
  put32(b, 24, arp.targetIp);
  return b;
}

/** @returns undefined when it is short or not IPv4 over Ethernet */
export function decodeArp(b: Uint8Array, at: number): Arp | undefined {
  if (b.length < at + ARP_BYTES) return undefined;
  if (u16(b, at) !== 1 || u16(b, at + 2) !== 0x0800 || b[at + 4] !== 6 || b[at + 5] !== 4) return undefined;
  return {
    operation: u16(b, at + 6),
    senderMac: readMac(b, at + 8),
    senderIp: u32(b, at + 14),
    targetMac: readMac(b, at + 18),
    targetIp: u32(b, at + 24),
  };
}
