// The options of `tabbox run` and `tabbox serve` for networks that cards share, in words of VBoxManage dhcpserver,
// hostonlyif and natnetwork.

import { CodedError } from '#base/errors.ts';
import { USUAL_DHCP } from '#emu/host/network-card.ts';
import { type DhcpServerSettings, dhcpServerSettings, prefixOf } from '../../src/net-relay/nat/dhcp-station.ts';
import {
  changeNatNetwork,
  NAT_NETWORK_OPTIONS,
  type NatNetworkWord,
  usualNatNetwork,
} from '../../src/net-relay/nat/nat-network-settings.ts';
import { parseIpv4 } from '../../src/net-relay/wire/address.ts';
import type { HostOnlyInterface } from '../net/host-only.ts';
import type { Networks } from '../net/networks.ts';
import { usage } from './nic-values.ts';

/** A DHCP server of an internal or a host-only network. */
export interface DhcpServerOptions {
  /** `intnet NAME` or `hostonly INTERFACE`. */
  readonly network: string;
  readonly settings: DhcpServerSettings;
}

export interface HostOnlyOptions {
  readonly adapter: string;
  readonly own: HostOnlyInterface;
}

export interface NatNetworkOptions {
  readonly name: string;
  readonly words: readonly NatNetworkWord[];
}

/** `A=B,C=D`; a part without `=` has no value. */
const partsOf = (text: string): [string, string | undefined][] =>
  text.split(',').map((part) => part.split(/=(.*)/s, 2) as [string, string | undefined]);

/** The defaults are VirtualBox's for vboxnet0. @throws CodedError<'usage'> */
export function parseDhcpServer(text: string): DhcpServerOptions {
  const parts = new Map(partsOf(text));
  const take = (name: string, standard = ''): string => {
    const value = parts.get(name) ?? standard;
    parts.delete(name);
    return value;
  };
  const [adapter, intnet] = [take('interface'), take('network')];
  const words = {
    serverIp: take('server-ip', USUAL_DHCP.serverIp),
    lowerIp: take('lower-ip', USUAL_DHCP.lowerIp),
    upperIp: take('upper-ip', USUAL_DHCP.upperIp),
    netmask: take('netmask', USUAL_DHCP.netmask),
  };
  const wrong = (what: string): CodedError<'usage'> => usage(`--dhcpserver ${text}: ${what}`);
  if ((adapter === '') === (intnet === '')) throw wrong('give an interface or a network');
  const [stray] = parts.keys();
  if (stray !== undefined) {
    throw wrong(`takes interface, network, netmask, server-ip, lower-ip, upper-ip, not '${stray}'`);
  }
  const name = adapter === '' ? `intnet ${intnet}` : `hostonly ${adapter}`;
  return { network: name, settings: asUsage(`--dhcpserver ${text}`, () => dhcpServerSettings(words)) };
}

/** @throws CodedError<'usage'> */
export function parseHostOnlyInterface(text: string): HostOnlyOptions {
  const [[adapter], ...rest] = partsOf(text);
  const parts = new Map(rest);
  const ip = parseIpv4(parts.get('ip') ?? '');
  const prefix = prefixOf(parts.get('netmask') ?? '255.255.255.0');
  const stray = [...parts.keys()].find((name) => name !== 'ip' && name !== 'netmask');
  if (adapter === '' || ip === undefined || prefix === undefined || prefix === 0 || stray !== undefined) {
    throw usage(`--hostonlyif takes INTERFACE,ip=IP[,netmask=MASK], not '${text}'`);
  }
  return { adapter, own: { ip, prefix } };
}

/** @throws CodedError<'usage'> */
export function parseNatNetwork(text: string): NatNetworkOptions {
  const [[name, nothing], ...rest] = partsOf(text);
  if (name === '' || nothing !== undefined) throw usage(`--natnetwork takes NAME and what it has, not '${text}'`);
  const words = rest.map(([option, value = '']): NatNetworkWord => {
    if (NAT_NETWORK_OPTIONS.includes(option)) return { option, value };
    throw usage(`--natnetwork ${name} takes ${NAT_NETWORK_OPTIONS.join(', ')}, not '${option}'`);
  });
  asUsage(`--natnetwork ${name}`, () => changeNatNetwork(usualNatNetwork(name), words));
  return { name, words };
}

export interface SharedNetworkOptions {
  readonly dhcpServers: readonly DhcpServerOptions[];
  readonly hostOnlyInterfaces: readonly HostOnlyOptions[];
  readonly natNetworks: readonly NatNetworkOptions[];
}

/** Makes networks that nobody is on yet as the options say. @throws CodedError<'network-exists'> */
export function setUpNetworks(
  networks: Networks,
  { dhcpServers, hostOnlyInterfaces, natNetworks }: SharedNetworkOptions,
): void {
  for (const { name, words } of natNetworks) networks.natNetworks.add(name, words);
  for (const { adapter, own } of hostOnlyInterfaces) networks.setHostOnlyInterface(adapter, own);
  for (const { network, settings } of dhcpServers) networks.setDhcpServer(network, settings);
}

function asUsage<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    throw usage(`${option}: ${cause.message}`);
  }
}
