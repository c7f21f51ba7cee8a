// A card's NAT, as its settings have it.

import { getServers } from 'node:dns';
import { CodedError } from '#base/errors.ts';
import type { NicAttachment } from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { addressKind, type NatRights } from '../../src/net-relay/nat/address-policy.ts';
import { NAT_LIMITS, type NatConfig, natConfig } from '../../src/net-relay/nat/nat-config.ts';
import { parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { formatIp, type IpBytes, type Ipv4, ipv4Bytes, parseIp, parseIpv4 } from '../../src/net-relay/wire/address.ts';
import { NAT_RIGHTS, NatDriver } from './nat-driver.ts';
import { hostDomain, ownAddresses } from './own-addresses.ts';

type NatSettings = Extract<NicAttachment, { readonly kind: 'nat' }>;

const KB = 1024;
/** Where forwarded ports listen that name no address. */
export const FORWARD_HOST_IP = '127.0.0.1';

/** @param card 0 to 7 @param most what it may reach at most @throws CodedError<'bad-network' | 'bad-address' | 'bad-rule' | ...> */
export async function openNat(
  card: number,
  settings: NatSettings,
  port: PacketPort,
  most: NatRights,
): Promise<NatDriver> {
  const { network, forwards, localhostReachable = false, hostResolver = false, tftpFolder, bindIp } = settings;
  const rules = forwards.map(parseForwardRule);
  const rights = {
    loopback: localhostReachable && most.loopback,
    private: NAT_RIGHTS.private && most.private,
    public: NAT_RIGHTS.public && most.public,
  };
  const nat = new NatDriver(port, {
    config: natConfig(card, network || undefined, changesOf(settings, rights)),
    rights,
    // The host's names are what it keeps to itself.
    resolver: { asHost: hostResolver && most.private },
    tftpFolder,
    bindIp: bindIp === undefined ? undefined : ownAddress(bindIp),
    forwardHostIp: FORWARD_HOST_IP,
  });
  try {
    for (const rule of rules) await nat.forwards.add(rule);
    return nat;
  } catch (cause) {
    nat.close();
    throw cause;
  }
}

function changesOf(settings: NatSettings, rights: NatRights): Partial<NatConfig> {
  const { dnsProxy = true, passDomain = true, bootFile = '', tftpServer, mtu, tcpSendKb, tcpReceiveKb } = settings;
  return {
    bootFile,
    domain: passDomain && rights.private ? hostDomain() : '',
    nameServers: dnsProxy ? [] : hostNameServers(rights),
    ...(tftpServer === undefined ? {} : { bootServer: bootServer(tftpServer) }),
    ...(mtu ? { mtu } : {}),
    limits: {
      ...NAT_LIMITS,
      ...(tcpReceiveKb ? { tcpReceiveBytes: tcpReceiveKb * KB } : {}),
      ...(tcpSendKb ? { tcpSendBytes: 2 ** Math.ceil(Math.log2(tcpSendKb * KB)) } : {}),
    },
  };
}

/** Those that a guest can ask itself; none: it asks us. */
function hostNameServers(rights: NatRights): Ipv4[] {
  return getServers().flatMap((text) => {
    const ip = parseIpv4(text);
    if (ip === undefined) return [];
    const kind = addressKind(ipv4Bytes(ip));
    return kind === 'public' || (kind === 'private' && rights.private) ? [ip] : [];
  });
}

function bootServer(text: string): Ipv4 {
  const ip = parseIpv4(text);
  if (ip !== undefined) return ip;
  throw new CodedError(
    'bad-address',
    `'${text}' is no IPv4 address of a TFTP server; leave it out for the network's own`,
  );
}

function ownAddress(text: string): IpBytes {
  const ip = parseIp(text);
  const own = ownAddresses().map(formatIp);
  if (ip && own.includes(formatIp(ip))) return ip;
  const why = `connections of the guest cannot come from '${text}', which is none of the host's addresses; those are ${own.join(', ')}`;
  throw new CodedError('bad-address', why);
}
