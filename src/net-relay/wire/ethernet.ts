// Ethernet II frames without FCS, with 802.1Q tags. Source: IEEE 802.3-2018 3.1, IEEE 802.1Q-2018 9.3.
// Not modelled: 802.3 length fields (such frames are carried, not looked into).

import { BROADCAST_MAC, type Mac, readMac, writeMac } from './address.ts';
import { put16, u16 } from './bytes.ts';

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, serviceVlan: 0x88a8 } as const;
export const ETHERNET_HEADER_BYTES = 14;
/** Least bytes of a frame without FCS; shorter ones are padded by whoever puts them on a wire. */
export const MIN_FRAME_BYTES = 60;
/** What any link here carries: a jumbo or offloaded packet with header and two tags. */
export const MAX_FRAME_BYTES = 65_535 + ETHERNET_HEADER_BYTES + 8;

/** Where the parts of a frame are; filled by `decodeEthernet`. */
export interface EthernetHeader {
  destination: Mac;
  source: Mac;
  /** Behind tags. */
  etherType: number;
  /** VLAN of the outermost tag, 0 for none or a priority tag. */
  vlan: number;
  payloadAt: number;
}

export const ethernetHeader = (): EthernetHeader => ({
  destination: BROADCAST_MAC,
  source: 0,
  etherType: 0,
  vlan: 0,
  payloadAt: ETHERNET_HEADER_BYTES,
});

/** @returns false when the frame is too short for its header and tags */
export function decodeEthernet(frame: Uint8Array, into: EthernetHeader): boolean {
  if (frame.length < ETHERNET_HEADER_BYTES) return false;
  into.destination = readMac(frame, 0);
  into.source = readMac(frame, 6);
  into.etherType = u16(frame, 12);
  into.vlan = 0;
  into.payloadAt = ETHERNET_HEADER_BYTES;
  for (let tags = 0; into.etherType === ETHERTYPE.vlan || into.etherType === ETHERTYPE.serviceVlan; tags++) {
    if (tags === 2 || frame.length < into.payloadAt + 4) return false;
    if (tags === 0) into.vlan = u16(frame, into.payloadAt) & 0xfff;
    into.etherType = u16(frame, into.payloadAt + 2);
    into.payloadAt += 4;
  }
  return true;
}

export function writeEthernet(frame: Uint8Array, destination: Mac, source: Mac, etherType: number): void {
  writeMac(frame, 0, destination);
  writeMac(frame, 6, source);
  put16(frame, 12, etherType);
}

/** A frame around a payload, not padded. */
export function ethernetFrame(destination: Mac, source: Mac, etherType: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_BYTES + payload.length);
  writeEthernet(frame, destination, source, etherType);
  frame.set(payload, ETHERNET_HEADER_BYTES);
  return frame;
}
