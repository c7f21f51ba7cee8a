// Neighbor Discovery and router advertisements. Source: RFC 4861 4.1-4.6, RFC 8106 5.1 (RDNSS), RFC 4862.
// Not modelled: redirects, DAD of our own addresses (they are nobody else's).

import { type IpBytes, type Mac, macBytes, readMac } from './address.ts';
import { concat, put32 } from './bytes.ts';
import { ICMPV6, type Icmp } from './icmp.ts';

const OPTION = { sourceLinkLayer: 1, targetLinkLayer: 2, prefix: 3, mtu: 5, rdnss: 25 } as const;

export interface RouterAdvertisement {
  readonly mac: Mac;
  /** 16 bytes, a /64. */
  readonly prefix: IpBytes;
  readonly dns: readonly IpBytes[];
  readonly mtu: number;
  /** Seconds that the prefix and the name servers may be used. */
  readonly lifetime: number;
  /** Seconds that the sender may be the default router; 0: it is none. */
  readonly routerLifetime: number;
}

export function encodeRouterAdvertisement(ra: RouterAdvertisement): Icmp {
  const head = new Uint8Array(12);
  head[0] = 64; // Hop limit.
  head[2] = ra.routerLifetime >>> 8;
  head[3] = ra.routerLifetime;
  const prefix = new Uint8Array(32);
  prefix.set([OPTION.prefix, 4, 64, 0xc0]); // On link, for autoconfiguration.
  put32(prefix, 4, ra.lifetime);
  put32(prefix, 8, ra.lifetime);
  prefix.set(ra.prefix.subarray(0, 8), 16);
  const mtu = new Uint8Array([OPTION.mtu, 1, 0, 0, 0, 0, 0, 0]);
  put32(mtu, 4, ra.mtu);
  const rdnss = new Uint8Array(8);
  rdnss.set([OPTION.rdnss, 1 + ra.dns.length * 2]);
  put32(rdnss, 4, ra.lifetime);
  const link = new Uint8Array([OPTION.sourceLinkLayer, 1, ...macBytes(ra.mac)]);
  const dns = ra.dns.length > 0 ? [rdnss, ...ra.dns] : [];
  return { type: ICMPV6.routerAdvertisement, code: 0, body: concat(head, link, mtu, prefix, ...dns) };
}

export interface Neighbor {
  readonly target: IpBytes;
  /** The link-layer address option that the message has, if any. */
  readonly mac: Mac | undefined;
}

/** Of a solicitation or an advertisement. @returns undefined when it is cut short or its options make no sense */
export function decodeNeighbor({ type, body }: Icmp): Neighbor | undefined {
  if (body.length < 20) return undefined;
  const wanted = type === ICMPV6.neighborSolicitation ? OPTION.sourceLinkLayer : OPTION.targetLinkLayer;
  const mac = linkLayerOption(body, 20, wanted);
  return mac === false ? undefined : { target: body.slice(4, 20), mac };
}

export function encodeNeighborSolicitation(target: IpBytes, mac: Mac): Icmp {
  const option = new Uint8Array([OPTION.sourceLinkLayer, 1, ...macBytes(mac)]);
  return { type: ICMPV6.neighborSolicitation, code: 0, body: concat(new Uint8Array(4), target, option) };
}

/** From a router that answers; overrides what was cached. */
export function encodeNeighborAdvertisement(target: IpBytes, mac: Mac, solicited: boolean): Icmp {
  const flags = new Uint8Array([0xa0 | (solicited ? 0x40 : 0), 0, 0, 0]);
  const option = new Uint8Array([OPTION.targetLinkLayer, 1, ...macBytes(mac)]);
  return { type: ICMPV6.neighborAdvertisement, code: 0, body: concat(flags, target, option) };
}

function linkLayerOption(b: Uint8Array, from: number, kind: number): Mac | undefined | false {
  let mac: Mac | undefined;
  for (let at = from; at < b.length; ) {
    const bytes = b[at + 1] * 8;
    if (b.length < at + 2 || bytes === 0 || b.length < at + bytes) return false;
    if (b[at] === kind) mac = readMac(b, at + 2);
    at += bytes;
  }
  return mac;
}
