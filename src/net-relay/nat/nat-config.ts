// What one NAT network is: addresses, limits, rights.

import { CodedError } from '#base/errors.ts';
import { type IpBytes, type Ipv4, type Ipv4Network, ipv4Bytes, type Mac, parseIpv4Network } from '../wire/address.ts';

export interface NatConfig {
  readonly network: Ipv4Network;
  readonly gateway: Ipv4;
  readonly dns: Ipv4;
  readonly tftp: Ipv4;
  /** First and last address that DHCP gives out. */
  readonly pool: readonly [first: Ipv4, last: Ipv4];
  /** A /64; undefined: no IPv6. */
  readonly prefix: IpBytes | undefined;
  /** Of the gateway and everything else that answers here. */
  readonly mac: Mac;
  /** Largest IP packet, 576 to 65,535 bytes (1,280 at least with IPv6). */
  readonly mtu: number;
  readonly domain: string;
  /** What DHCP names in place of `dns`; empty: that. */
  readonly nameServers: readonly Ipv4[];
  /** Addresses of this network that are the host, and what they are in its own world: reached when `mayReach` allows. */
  readonly hostAt: readonly HostAddress[];
  /** What the gateway's side answers besides ARP and echo. */
  readonly serves: { readonly dhcp: boolean; readonly dns: boolean; readonly tftp: boolean };
  /** Whether router advertisements make the gateway the guests' default router. */
  readonly isDefaultRouter: boolean;
  readonly bootFile: string;
  /** 0: `tftp`. */
  readonly bootServer: Ipv4;
  readonly limits: NatLimits;
}

export interface HostAddress {
  readonly inside: IpBytes;
  readonly outside: IpBytes;
}

/** Bounds on what one network's guests can make us hold. */
export interface NatLimits {
  readonly tcpConnections: number;
  /** Of them, not yet established. */
  readonly tcpHalfOpen: number;
  readonly udpFlows: number;
  readonly pings: number;
  readonly dnsQueries: number;
  readonly tftpTransfers: number;
  /** Bytes of a TCP connection on their way to the host, and to the guest (a power of two). */
  readonly tcpReceiveBytes: number;
  readonly tcpSendBytes: number;
}

export const NAT_LIMITS: NatLimits = {
  tcpConnections: 4096,
  tcpHalfOpen: 512,
  udpFlows: 512,
  pings: 8,
  dnsQueries: 64,
  tftpTransfers: 8,
  tcpReceiveBytes: 512 * 1024,
  tcpSendBytes: 512 * 1024,
};

/**
 * VirtualBox's NAT of one card: 10.0.2.0/24 for the first, 10.0.3.0/24 for the second and so on, or a network of choice;
 * gateway at .2, DNS at .3, TFTP at .4, guests from .15.
 * @param card 0 to 7
 * @param network as `--natnet` has it; undefined: the card's own
 * @throws CodedError<'bad-network'>
 */
export function natConfig(card: number, network?: string, changes: Partial<NatConfig> = {}): NatConfig {
  const net = natNetwork(network ?? `10.0.${2 + card}.0/24`);
  const at = (n: number): Ipv4 => (net.address + n) >>> 0;
  const prefix = natPrefix(2 + card);
  return {
    ...PLAIN,
    ...{ network: net, gateway: at(2), dns: at(3), tftp: at(4), pool: poolFrom(net, FIRST_GUEST), prefix },
    hostAt: [
      { inside: ipv4Bytes(at(2)), outside: LOOPBACK_V4 },
      { inside: inPrefix(prefix, IPV6_OF_OURS.gateway), outside: LOOPBACK_V6 },
    ],
    ...changes,
  };
}

const FIRST_GUEST = 15;
const MOST_GUESTS = 1024;
/** What networks have in common. */
const PLAIN = {
  ...{ mac: 0x5254_0012_3502, mtu: 1500, domain: '', nameServers: [], bootFile: '', bootServer: 0 },
  ...{ serves: { dhcp: true, dns: true, tftp: true }, isDefaultRouter: true, limits: NAT_LIMITS },
} as const;

/** @throws CodedError<'bad-network'> */
export function natNetwork(text: string): Ipv4Network {
  const net = parseIpv4Network(text);
  if (net && net.prefix >= 8 && net.prefix <= 27) return net;
  const why = `'${text}' is not a network for NAT; give an address and a prefix of 8 to 27 bits, as in 192.168.7.0/24`;
  throw new CodedError('bad-network', why);
}

/** VirtualBox's IPv6 prefix. @param number 16 bits, for 10.0.2.0 the 0.2 in the middle */
export const natPrefix = (number: number): IpBytes =>
  Uint8Array.from([0xfd, 0x17, 0x62, 0x5c, 0xf0, 0x37, number >>> 8, number, 0, 0, 0, 0, 0, 0, 0, 0]);

function poolFrom(net: Ipv4Network, first: number): readonly [Ipv4, Ipv4] {
  const most = Math.min(2 ** (32 - net.prefix) - 2, first + MOST_GUESTS - 1);
  return [(net.address + first) >>> 0, (net.address + most) >>> 0];
}

/** First guest of a NAT network that machines share. */
const FIRST_SHARED = 4;
/** Guests' addresses begin behind it: the offsets that a loopback mapping can have. */
export const MOST_LOOPBACK_OFFSET: number = FIRST_SHARED - 1;

/**
 * VirtualBox's NAT network: gateway, DNS and TFTP at .1, guests from .4; the host's loopback is where mappings say.
 * @param prefix a /64; undefined: no IPv6
 * @param loopbacks the host's address and where it is, as an offset from the network's first address
 */
export function natNetworkConfig(
  network: Ipv4Network,
  prefix: IpBytes | undefined,
  loopbacks: readonly { readonly outside: IpBytes; readonly offset: number }[],
  changes: Partial<NatConfig> = {},
): NatConfig {
  const at = (n: number): Ipv4 => (network.address + n) >>> 0;
  const hostAt = loopbacks.flatMap(({ outside, offset }) => {
    if (outside.length === 4) return [{ inside: ipv4Bytes(at(offset)), outside }];
    return prefix ? [{ inside: inPrefix(prefix, offset), outside }] : [];
  });
  return {
    ...PLAIN,
    ...{ network, gateway: at(1), dns: at(1), tftp: at(1), pool: poolFrom(network, FIRST_SHARED), prefix, hostAt },
    ...changes,
  };
}

export interface HostNetwork {
  readonly network: Ipv4Network;
  /** The host's on it. */
  readonly address: Ipv4;
  readonly mac: Mac;
  /** Where its servers are in the host's world; undefined: nowhere. */
  readonly outside: IpBytes | undefined;
  /** Whom forwarded ports without an address lead to. */
  readonly firstGuest: Ipv4;
}

/** A network whose gateway is the host and nothing else: a host-only network without an interface of the host. */
export function hostNetworkConfig({ network, address, mac, outside, firstGuest }: HostNetwork): NatConfig {
  return {
    ...PLAIN,
    ...{ network, gateway: address, dns: address, tftp: address, prefix: undefined, mac },
    pool: [firstGuest, firstGuest],
    serves: { dhcp: false, dns: false, tftp: false },
    hostAt: outside ? [{ inside: ipv4Bytes(address), outside }] : [],
  };
}

/** The addresses of ours in the IPv6 prefix. */
export function inPrefix(prefix: IpBytes, last: number): IpBytes {
  const ip = prefix.slice();
  ip[15] = last;
  return ip;
}

export const LOOPBACK_V4: IpBytes = Uint8Array.of(127, 0, 0, 1);
export const LOOPBACK_V6: IpBytes = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
export const IPV6_OF_OURS = { gateway: 2, dns: 3, tftp: 4 } as const;
/** The router's link-local address, fe80::2. */
export const ROUTER_LINK_LOCAL = Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
