/**
 * NAT networks that machines share, in the words of `VBoxManage natnetwork`.
 * Source: VirtualBox manual, VBoxManage natnetwork.
 */
import { CodedError } from '#base/errors.ts';
import { formatIp, formatIpv4, type IpBytes, parseIp } from '../wire/address.ts';
import { addressKind } from './address-policy.ts';
import {
  IPV6_OF_OURS,
  MOST_LOOPBACK_OFFSET,
  type NatConfig,
  natNetwork,
  natNetworkConfig,
  natPrefix,
} from './nat-config.ts';
import { type ForwardRule, parseForwardRule } from './port-forwarding.ts';

export interface NatNetworkSettings {
  readonly name: string;
  readonly isEnabled: boolean;
  /** `ADDRESS/PREFIX`. */
  readonly network: string;
  readonly dhcp: boolean;
  readonly ipv6: boolean;
  /** `ADDRESS/64`; '': one made from `network`. */
  readonly ipv6Prefix: string;
  /** Whether the guests' default IPv6 route is through it. */
  readonly ipv6Default: boolean;
  /** `name:tcp|udp:[hostip]:hostport:[guestip]:guestport`. */
  readonly forwards4: readonly string[];
  readonly forwards6: readonly string[];
  /** `ADDRESS=OFFSET`: an address of the host's loopback, and where guests find it from the network's first address. */
  readonly loopbacks4: readonly string[];
  readonly loopbacks6: readonly string[];
}

/** What a network has that nobody has set up: VirtualBox's. */
export const usualNatNetwork = (name: string): NatNetworkSettings => ({
  ...{ name, isEnabled: true, network: '10.0.2.0/24', dhcp: true, ipv6: false, ipv6Prefix: '', ipv6Default: false },
  ...{ forwards4: [], forwards6: [], loopbacks4: [], loopbacks6: [] },
});

const bad = (message: string): CodedError<'bad-network'> => new CodedError('bad-network', message);

const RULE = /^([^:]*):(tcp|udp):\[([^\]]*)\]:(\d+):\[([^\]]*)\]:(\d+)$/i;

/** @throws CodedError<'bad-network' | 'bad-rule'> */
export function parseNatNetworkRule(text: string): ForwardRule {
  const parts = RULE.exec(text)?.slice(1);
  if (parts) return parseForwardRule(parts.join(','));
  throw bad(`port forwarding rule '${text}' is not NAME:tcp|udp:[HOSTIP]:HOSTPORT:[GUESTIP]:GUESTPORT`);
}

interface Loopback {
  readonly outside: IpBytes;
  readonly offset: number;
}

function parseLoopback(text: string, family: 4 | 6): Loopback {
  const [, address, digits] = /^([\d.:a-f]+)=(\d{1,3})$/i.exec(text) ?? [];
  const outside = parseIp(address ?? '');
  const most = family === 4 ? MOST_LOOPBACK_OFFSET : IPV6_OF_OURS.gateway;
  const offset = Number(digits);
  const isOf =
    outside !== undefined && addressKind(outside) === 'loopback' && outside.length === (family === 4 ? 4 : 16);
  if (isOf && 2 <= offset && offset <= most) return { outside, offset };
  const example = family === 4 ? '127.0.0.1=2' : '::1=2';
  throw bad(`loopback mapping '${text}' is not ADDRESS=OFFSET with an offset from 2 to ${most}, as ${example}`);
}

function prefixOf({ ipv6, ipv6Prefix, network }: NatNetworkSettings): IpBytes | undefined {
  if (!ipv6) return undefined;
  if (ipv6Prefix === '') return natPrefix((natNetwork(network).address >>> 8) & 0xffff);
  const [text, bits, ...rest] = ipv6Prefix.split('/');
  const prefix = parseIp(text);
  const fits = prefix?.length === 16 && bits === '64' && rest.length === 0 && prefix.subarray(8).every((b) => b === 0);
  if (prefix && fits && ['public', 'private'].includes(addressKind(prefix))) return prefix;
  throw bad(`'${ipv6Prefix}' is no IPv6 prefix of 64 bits, such as fd17:625c:f037:2::/64`);
}

/** @throws CodedError<'bad-network'> what is wrong with the settings */
export function natNetworkConfigOf(settings: NatNetworkSettings): NatConfig {
  const { network, dhcp, ipv6Default, loopbacks4, loopbacks6 } = settings;
  const prefix = prefixOf(settings);
  const loopbacks = [
    ...loopbacks4.map((text) => parseLoopback(text, 4)),
    ...loopbacks6.map((text) => parseLoopback(text, 6)),
  ];
  return natNetworkConfig(natNetwork(network), prefix, loopbacks, {
    serves: { dhcp, dns: true, tftp: false },
    isDefaultRouter: ipv6Default,
  });
}

/** An option of `natnetwork add` and `modify`, without its hyphens. */
export interface NatNetworkWord {
  readonly option: string;
  readonly value: string;
  /** Of rules and mappings: take it away. */
  readonly isDelete?: boolean;
}

const SWITCHES = { dhcp: 'dhcp', ipv6: 'ipv6', 'ipv6-default': 'ipv6Default' } as const;
const LISTS = {
  ...{ 'port-forward-4': 'forwards4', 'port-forward-6': 'forwards6' },
  ...{ 'loopback-4': 'loopbacks4', 'loopback-6': 'loopbacks6' },
} as const satisfies Readonly<Record<string, keyof NatNetworkSettings>>;
type List = 'forwards4' | 'forwards6' | 'loopbacks4' | 'loopbacks6';
export const NAT_NETWORK_OPTIONS: readonly string[] = [
  ...['enable', 'disable', 'network', 'ipv6-prefix'],
  ...[...Object.keys(SWITCHES), ...Object.keys(LISTS)],
];

/** @throws CodedError<'bad-network' | 'bad-rule'> */
export function changeNatNetwork(settings: NatNetworkSettings, words: readonly NatNetworkWord[]): NatNetworkSettings {
  const changed = words.reduce(changeOne, settings);
  natNetworkConfigOf(changed);
  return changed;
}

function changeOne(settings: NatNetworkSettings, { option, value, isDelete }: NatNetworkWord): NatNetworkSettings {
  if (option === 'enable' || option === 'disable') return { ...settings, isEnabled: option === 'enable' };
  if (option === 'network') return { ...settings, network: value };
  if (option === 'ipv6-prefix') return { ...settings, ipv6Prefix: value };
  if (Object.hasOwn(SWITCHES, option)) {
    if (value !== 'on' && value !== 'off') throw bad(`${option} takes on or off, not '${value}'`);
    return { ...settings, [SWITCHES[option as keyof typeof SWITCHES]]: value === 'on' };
  }
  if (!Object.hasOwn(LISTS, option)) throw bad(`'${option}' is none of ${NAT_NETWORK_OPTIONS.join(', ')}`);
  const list: List = LISTS[option as keyof typeof LISTS];
  const nameOf = (text: string): string => (list.startsWith('forwards') ? parseNatNetworkRule(text).name : text);
  const before = settings[list];
  const name = isDelete ? value : nameOf(value);
  if (isDelete) {
    const kept = before.filter((text) => nameOf(text) !== name);
    if (kept.length === before.length) throw bad(`the network '${settings.name}' has no ${option} '${value}'`);
    return { ...settings, [list]: kept };
  }
  if (before.some((text) => nameOf(text) === name)) {
    throw bad(`the network '${settings.name}' has ${option} '${name}' already; delete it first`);
  }
  return { ...settings, [list]: [...before, value] };
}

/** As `natnetwork list` prints it. */
export function describeNatNetwork(settings: NatNetworkSettings): string[] {
  const config = natNetworkConfigOf({ ...settings, ipv6: true });
  const yes = (is: boolean): string => (is ? 'Yes' : 'No');
  const rows: readonly (readonly [string, string])[] = [
    ['Name', settings.name],
    ['Enabled', yes(settings.isEnabled)],
    ['Network', settings.network],
    ['Gateway', formatIpv4(config.gateway)],
    ['DHCP Server', yes(settings.dhcp)],
    ['IPv6', yes(settings.ipv6)],
    ['IPv6 Prefix', `${formatIp(config.prefix ?? new Uint8Array(16))}/64`],
    ['IPv6 Default', yes(settings.ipv6Default)],
  ];
  const list = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [title, ...lines.map((line) => `        ${line}`)];
  return [
    ...rows.map(([name, value]) => `${`${name}:`.padEnd(14)}${value}`),
    ...list('Port-forwarding (ipv4)', settings.forwards4),
    ...list('Port-forwarding (ipv6)', settings.forwards6),
    ...list('loopback mappings (ipv4)', settings.loopbacks4),
    ...list('loopback mappings (ipv6)', settings.loopbacks6),
  ];
}
