// Where a guest may connect to. Source: RFC 6890 and the IANA registries of special-purpose addresses it began.

import { type IpBytes, type Ipv4Network, inNetwork, parseIpv4Network } from '../wire/address.ts';
import { u32 } from '../wire/bytes.ts';

/**
 * `loopback`: the host itself. `private`: a network that is not the Internet's (RFC 1918, carrier-grade NAT, link-local,
 * unique local). `public`. `invalid`: nothing that one connects to.
 */
export type AddressKind = 'loopback' | 'private' | 'public' | 'invalid';

const KINDS: readonly (readonly [Ipv4Network, AddressKind])[] = (
  [
    ['0.0.0.0/8', 'invalid'],
    ['127.0.0.0/8', 'loopback'],
    ['10.0.0.0/8', 'private'],
    ['100.64.0.0/10', 'private'],
    ['169.254.0.0/16', 'private'],
    ['172.16.0.0/12', 'private'],
    ['192.0.0.0/24', 'private'],
    ['192.168.0.0/16', 'private'],
    ['198.18.0.0/15', 'private'],
    ['224.0.0.0/3', 'invalid'],
  ] as const
).map(([network, kind]) => [parseIpv4Network(network) as Ipv4Network, kind]);

export function addressKind(ip: IpBytes): AddressKind {
  if (ip.length === 4) {
    const v4 = u32(ip, 0);
    return KINDS.find(([network]) => inNetwork(v4, network))?.[1] ?? 'public';
  }
  // Mapped (::ffff:0:0/96), translated (64:ff9b::/96) and 6to4 (2002::/16) addresses lead to an IPv4 one.
  const isLow = ip.subarray(0, 10).every((b) => b === 0);
  if (isLow && ip[10] === 0xff && ip[11] === 0xff) return addressKind(ip.subarray(12));
  if (isLow && ip[10] === 0 && ip[11] === 0) return lowKind(ip);
  if (ip[0] === 0 && ip[1] === 0x64 && ip[2] === 0xff && ip[3] === 0x9b) return addressKind(ip.subarray(12));
  if (ip[0] === 0x20 && ip[1] === 0x02) return addressKind(ip.subarray(2, 6));
  if (ip[0] === 0xff) return 'invalid';
  if ((ip[0] & 0xfe) === 0xfc) return 'private';
  if (ip[0] === 0xfe && (ip[1] & 0x80) === 0x80) return 'private'; // fe80::/10 and the deprecated fec0::/10.
  return 'public';
}

function lowKind(ip: IpBytes): AddressKind {
  const last = u32(ip, 12);
  return last === 1 ? 'loopback' : last === 0 ? 'invalid' : addressKind(ip.subarray(12));
}

/** What a network's guests may reach besides the Internet. */
export interface NatRights {
  /** The host's loopback, as the gateway's address. `--nat-localhostreachable`. */
  readonly loopback: boolean;
  /** Private networks, and the host's own addresses in them. */
  readonly private: boolean;
  /** The Internet. */
  readonly public: boolean;
}

/** @param own whether an address is one of the host's, which counts as private whatever it looks like */
export function mayReach(rights: NatRights, ip: IpBytes, own: (ip: IpBytes) => boolean): boolean {
  const kind = addressKind(ip);
  if (kind === 'invalid') return false;
  return kind === 'public' && own(ip) ? rights.private : rights[kind];
}
