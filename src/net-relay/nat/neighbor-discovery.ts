// The router of a guest network's IPv6 side: advertisements, solicitations. Source: RFC 4861 6.2 and 7.2, RFC 8106.

import { type IpBytes, isGroupMac, type Mac } from '../wire/address.ts';
import { concat, sameBytes } from '../wire/bytes.ts';
import { ipFrames } from '../wire/fragments.ts';
import { decodeIcmp, encodeIcmp, ICMPV6, type Icmp } from '../wire/icmp.ts';
import { type IpHeader, PROTOCOL } from '../wire/ip.ts';
import {
  decodeNeighbor,
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  encodeRouterAdvertisement,
} from '../wire/neighbor-discovery.ts';
import { IPV6_OF_OURS, inPrefix, ROUTER_LINK_LOCAL } from './nat-config.ts';
import type { Neighbors } from './neighbors.ts';

const ADVERTISE_MS = 200_000;
const LIFETIME_SECONDS = 1800;
const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

export interface RouterParts {
  /** A /64. */
  readonly prefix: IpBytes;
  readonly mac: Mac;
  readonly mtu: number;
  readonly isDefaultRouter: boolean;
}

export class NeighborDiscovery {
  readonly #prefix: IpBytes;
  readonly #mac: Mac;
  readonly #mtu: number;
  readonly #isDefaultRouter: boolean;
  readonly #neighbors: Neighbors;
  readonly #ours: readonly IpBytes[];
  /** Nothing is advertised on a network where nobody has spoken IPv6. */
  #advertiseAtMs: number | undefined;

  constructor(router: RouterParts, neighbors: Neighbors) {
    const { prefix } = router;
    this.#prefix = prefix;
    this.#mac = router.mac;
    this.#mtu = router.mtu;
    this.#isDefaultRouter = router.isDefaultRouter;
    this.#neighbors = neighbors;
    this.#ours = [ROUTER_LINK_LOCAL, ...Object.values(IPV6_OF_OURS).map((last) => inPrefix(prefix, last))];
  }

  get deadlineMs(): number | undefined {
    return this.#advertiseAtMs;
  }

  tick(nowMs: number): readonly Uint8Array[] {
    if (this.#advertiseAtMs === undefined || nowMs < this.#advertiseAtMs) return [];
    this.#advertiseAtMs = nowMs + ADVERTISE_MS;
    return this.#advertise();
  }

  /** Whether a source address can be a guest's: link-local, or of our prefix, and not ours. */
  mayBeGuest(b: Uint8Array, at: number): boolean {
    const ip = b.subarray(at, at + 16);
    const isLinkLocal = ip[0] === 0xfe && (ip[1] & 0xc0) === 0x80;
    if (!isLinkLocal && !sameBytes(ip.subarray(0, 8), this.#prefix.subarray(0, 8))) return false;
    return !this.#ours.some((one) => sameBytes(one, ip));
  }

  /** @returns frames to send when the packet was Neighbor Discovery's, undefined when it is something else */
  receive(nowMs: number, b: Uint8Array, header: IpHeader, source: Mac): readonly Uint8Array[] | undefined {
    const message = decodeIcmp(b, header.payloadAt, header.end, header.addressAt);
    if (!message) return [];
    if (message.type < ICMPV6.routerSolicitation || ICMPV6.neighborAdvertisement < message.type) return undefined;
    // Source: RFC 4861, section 6.1 and 7.1: such a message has never been routed.
    if (header.hopLimit !== 255 || message.code !== 0) return [];
    switch (message.type) {
      case ICMPV6.routerSolicitation:
        this.#advertiseAtMs ??= nowMs + ADVERTISE_MS;
        return this.#advertise();
      case ICMPV6.neighborSolicitation:
        return this.#solicited(b, header, message, source);
      case ICMPV6.neighborAdvertisement:
        return this.#advertised(message);
      default:
        return [];
    }
  }

  #solicited(b: Uint8Array, header: IpHeader, message: Icmp, source: Mac): readonly Uint8Array[] {
    const neighbor = decodeNeighbor(message);
    if (!neighbor || !this.#ours.some((one) => sameBytes(one, neighbor.target))) return [];
    const asker = b.slice(header.addressAt, header.addressAt + 16);
    const isProbe = asker.every((byte) => byte === 0);
    if (!isProbe && !this.mayBeGuest(asker, 0)) return [];
    if (!isProbe) this.#neighbors.learn(asker, 0, 16, neighbor.mac ?? source);
    const answer = encodeNeighborAdvertisement(neighbor.target, this.#mac, !isProbe);
    return this.#frames(neighbor.target, isProbe ? ALL_NODES : asker, isProbe ? undefined : source, answer);
  }

  #advertised(message: Icmp): readonly Uint8Array[] {
    const neighbor = decodeNeighbor(message);
    if (!neighbor || neighbor.mac === undefined || isGroupMac(neighbor.mac)) return [];
    if (!this.mayBeGuest(neighbor.target, 0)) return [];
    const waiting = this.#neighbors.learn(neighbor.target, 0, 16, neighbor.mac);
    return waiting.map((frame) => withDestination(frame, neighbor.mac as Mac));
  }

  /** Asks who has an address. */
  solicit(target: IpBytes): readonly Uint8Array[] {
    const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]);
    return this.#frames(ROUTER_LINK_LOCAL, group, undefined, encodeNeighborSolicitation(target, this.#mac));
  }

  #advertise(): readonly Uint8Array[] {
    const dns = [inPrefix(this.#prefix, IPV6_OF_OURS.dns)];
    const routerLifetime = this.#isDefaultRouter ? LIFETIME_SECONDS : 0;
    const lifetimes = { lifetime: LIFETIME_SECONDS, routerLifetime };
    const parts = { mac: this.#mac, prefix: this.#prefix, dns, mtu: this.#mtu, ...lifetimes };
    return this.#frames(ROUTER_LINK_LOCAL, ALL_NODES, undefined, encodeRouterAdvertisement(parts));
  }

  /** @param mac undefined: the group's */
  #frames(from: IpBytes, to: IpBytes, mac: Mac | undefined, message: Icmp): readonly Uint8Array[] {
    const addresses = concat(from, to);
    // Source: RFC 2464, section 7.
    const group = 0x3333_0000_0000 + (((to[12] << 24) | (to[13] << 16) | (to[14] << 8) | to[15]) >>> 0);
    const link = { destination: mac ?? group, source: this.#mac, mtu: this.#mtu };
    return ipFrames(link, addresses, PROTOCOL.icmpv6, encodeIcmp(message, addresses), 0, 255);
  }
}

function withDestination(frame: Uint8Array, mac: Mac): Uint8Array {
  for (let n = 0; n < 6; n++) frame[n] = Math.floor(mac / 2 ** (40 - n * 8)) & 255;
  return frame;
}
