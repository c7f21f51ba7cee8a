// What one NAT network is: addresses, limits, rights.

import { CodedError } from '#base/errors.ts';
import { type IpBytes, type Ipv4, type Ipv4Network, type Mac, parseIpv4Network } from '../wire/address.ts';

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
  readonly bootFile: string;
  /** 0: `tftp`. */
  readonly bootServer: Ipv4;
  readonly limits: NatLimits;
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
  const net = parseIpv4Network(network ?? `10.0.${2 + card}.0/24`);
  if (!net || net.prefix < 8 || net.prefix > 27) {
    const why = `'${network}' is not a network for NAT; give an address and a prefix of 8 to 27 bits, as in 192.168.7.0/24`;
    throw new CodedError('bad-network', why);
  }
  const size = 2 ** (32 - net.prefix);
  const at = (n: number): Ipv4 => (net.address + n) >>> 0;
  return {
    network: net,
    gateway: at(2),
    dns: at(3),
    tftp: at(4),
    pool: [at(15), at(Math.min(size - 2, 15 + 1023))],
    prefix: Uint8Array.from([0xfd, 0x17, 0x62, 0x5c, 0xf0, 0x37, 0, 2 + card, 0, 0, 0, 0, 0, 0, 0, 0]),
    mac: 0x5254_0012_3502,
    mtu: 1500,
    domain: '',
    bootFile: '',
    bootServer: 0,
    limits: NAT_LIMITS,
    ...changes,
  };
}

/** The addresses of ours in the IPv6 prefix. */
export function inPrefix(prefix: IpBytes, last: number): IpBytes {
  const ip = prefix.slice();
  ip[15] = last;
  return ip;
}

export const IPV6_OF_OURS = { gateway: 2, dns: 3, tftp: 4 } as const;
/** The router's link-local address, fe80::2. */
export const ROUTER_LINK_LOCAL = Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
