// The options of `tabbox run` for network cards: VBoxManage modifyvm's, in its old and its hyphenated spelling.

import { CodedError } from '#base/errors.ts';
import {
  MAX_NETWORK_CARDS,
  NIC_TYPES,
  type NicAttachment,
  type NicType,
  type PromiscuousPolicy,
  parseMac,
} from '#emu/host/network-card.ts';
import { type DhcpServerSettings, prefixOf } from '../../src/net-relay/nat/dhcp-station.ts';
import { inNetwork, netmask, parseIpv4 } from '../../src/net-relay/wire/address.ts';

export interface NicOptions {
  /** 1 to 8. */
  readonly slot: number;
  readonly type: NicType;
  /** 12 digits; undefined: by chance. */
  readonly mac: string | undefined;
  readonly cableConnected: boolean;
  readonly attachment: NicAttachment;
  /** Where to write what passes; undefined: no trace. */
  readonly traceFile: string | undefined;
  readonly promiscuous: PromiscuousPolicy | undefined;
  readonly bandwidthGroup: string | undefined;
}

/** Values of node:util's parseArgs. */
type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Without the card's number; the first spelling is the one that messages use. */
const OPTIONS = {
  nic: ['nic'],
  type: ['nictype', 'nic-type'],
  mac: ['macaddress', 'mac-address'],
  cable: ['cableconnected', 'cable-connected'],
  trace: ['nictrace', 'nic-trace'],
  traceFile: ['nictracefile', 'nic-trace-file'],
  natNetwork: ['natnet', 'nat-net'],
  natForward: ['natpf', 'nat-pf'],
  natLocalhost: ['nat-localhostreachable', 'natlocalhostreachable'],
  natHostResolver: ['natdnshostresolver', 'nat-dns-host-resolver'],
  natTftpFolder: ['nattftpprefix', 'nat-tftp-prefix'],
  natBootFile: ['nattftpfile', 'nat-tftp-file'],
  promiscuous: ['nicpromisc', 'nic-promisc'],
  bandwidthGroup: ['nicbandwidthgroup', 'nic-bandwidth-group'],
  internalNetwork: ['intnet'],
  bridgeAdapter: ['bridgeadapter', 'bridge-adapter'],
  hostOnlyAdapter: ['hostonlyadapter', 'host-only-adapter'],
  sharedNatNetwork: ['nat-network', 'natnetwork'],
  genericDriver: ['nicgenericdrv', 'nic-generic-drv'],
  genericProperty: ['nicproperty', 'nic-property'],
} as const;
type Option = keyof typeof OPTIONS;
/** They may be given several times. */
const MULTIPLE: readonly Option[] = ['natForward', 'genericProperty'];
/** What each attachment has of its own. */
const OF_ATTACHMENT: Readonly<Record<NicAttachment['kind'], readonly Option[]>> = {
  null: [],
  nat: ['natNetwork', 'natForward', 'natLocalhost', 'natHostResolver', 'natTftpFolder', 'natBootFile'],
  intnet: ['internalNetwork'],
  bridged: ['bridgeAdapter'],
  hostonly: ['hostOnlyAdapter'],
  natnetwork: ['sharedNatNetwork'],
  generic: ['genericDriver', 'genericProperty'],
};

export const NETWORK_HELP = `  Network cards, N from 1 to 8; options as of VBoxManage modifyvm
    --nicN WHAT              none, null, nat, intnet, bridged, hostonly, natnetwork or generic (default: none)
    --nictypeN TYPE          ${NIC_TYPES.join(', ')} (default: 82540EM)
    --macaddressN MAC        12 hexadecimal digits, or auto (default)
    --cableconnectedN on|off (default: on)
    --natnetN NETWORK, --natpfN RULE, --intnetN NAME, --bridgeadapterN IF, --hostonlyadapterN IF, --nat-networkN NAME,
    --nicgenericdrvN DRIVER, --nicpropertyN NAME=VALUE   UDPTunnel (dest, sport, dport) or VDE (network)
    --nat-localhostreachableN on|off   the guest reaches the host's loopback at the gateway's address (default: off)
    --natdnshostresolverN on|off       names are resolved as the host does, its hosts file and all (default: off)
    --nattftpprefixN FOLDER, --nattftpfileN FILE   what TFTP serves at 10.0.2.4, and what network boot loads
    --nicpromiscN deny|allow-vms|allow-all, --nicbandwidthgroupN NAME
    --bandwidthgroup NAME=LIMIT        20m, 100k, ... bits a second; shared by the cards of the group
    --dhcpserver interface=IF|network=NAME[,server-ip=IP,netmask=MASK,lower-ip=IP,upper-ip=IP]
                             for a host-only or an internal network
    --nictraceN on|off, --nictracefileN FILE   write what passes as pcap
`;

/** A DHCP server of an internal or a host-only network. */
export interface DhcpServerOptions {
  /** `intnet NAME` or `hostonly INTERFACE`. */
  readonly network: string;
  readonly settings: DhcpServerSettings;
}

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);
const slots: readonly number[] = Array.from({ length: MAX_NETWORK_CARDS }, (_, i) => i + 1);

/** For node:util's parseArgs. */
export function networkOptions(): Record<string, { readonly type: 'string'; readonly multiple: true }> {
  const spellings = Object.values(OPTIONS).flat();
  return Object.fromEntries(
    slots.flatMap((slot) => spellings.map((name) => [`${name}${slot}`, { type: 'string', multiple: true }])),
  );
}

/** The names are those of `VBoxManage dhcpserver add`, the defaults VirtualBox's for vboxnet0. @throws CodedError<'usage'> */
export function parseDhcpServer(text: string): DhcpServerOptions {
  const parts = new Map(text.split(',').map((part) => part.split(/=(.*)/s, 2) as [string, string | undefined]));
  const take = (name: string, standard = ''): string => {
    const value = parts.get(name) ?? standard;
    parts.delete(name);
    return value;
  };
  const [adapter, intnet] = [take('interface'), take('network')];
  const names = ['server-ip', 'lower-ip', 'upper-ip'] as const;
  const given = [take(names[0], '192.168.56.100'), take(names[1], '192.168.56.101'), take(names[2], '192.168.56.254')];
  const mask = take('netmask', '255.255.255.0');
  const wrong = (what: string): CodedError<'usage'> => usage(`--dhcpserver ${text}: ${what}`);
  if ((adapter === '') === (intnet === '')) throw wrong('give an interface or a network');
  const [stray] = parts.keys();
  if (stray !== undefined) throw wrong(`takes interface, network, netmask, ${names.join(', ')}, not '${stray}'`);
  const [serverIp, lower, upper] = given.map((ip, i) => {
    const parsed = parseIpv4(ip);
    if (parsed === undefined) throw wrong(`${names[i]} takes an address, not '${ip}'`);
    return parsed;
  });
  const prefix = prefixOf(mask);
  if (prefix === undefined) throw wrong(`netmask takes one such as 255.255.255.0, not '${mask}'`);
  const network = { address: (serverIp & netmask(prefix)) >>> 0, prefix };
  if (lower > upper || !inNetwork(lower, network) || !inNetwork(upper, network)) {
    throw wrong('lower-ip to upper-ip is no part of the network of server-ip');
  }
  if (lower <= serverIp && serverIp <= upper) throw wrong('server-ip is among those that it gives away');
  const name = adapter === '' ? `intnet ${intnet}` : `hostonly ${adapter}`;
  return { network: name, settings: { serverIp, network, pool: [lower, upper] } };
}

/** @throws CodedError<'usage'> */
export function parseNetworkCards(values: Values): NicOptions[] {
  return slots.flatMap((slot) => {
    const card = parseCard(new CardValues(values, slot));
    return card ? [card] : [];
  });
}

/** What the command line says of one card. */
class CardValues {
  readonly slot: number;
  readonly #values: Values;

  constructor(values: Values, slot: number) {
    this.#values = values;
    this.slot = slot;
  }

  name(option: Option): string {
    return `--${OPTIONS[option][0]}${this.slot}`;
  }

  all(option: Option): string[] {
    return OPTIONS[option].flatMap((name) => {
      const given = this.#values[`${name}${this.slot}`];
      return Array.isArray(given) ? given.map(String) : [];
    });
  }

  /** The last one counts, as for VBoxManage. */
  one(option: Option): string | undefined {
    return this.all(option).at(-1);
  }

  flag(option: Option): boolean | undefined {
    const text = this.one(option);
    if (text === undefined || text === 'on' || text === 'off') return text === undefined ? undefined : text === 'on';
    throw usage(`${this.name(option)} takes on or off, not '${text}'`);
  }
}

function parseCard(given: CardValues): NicOptions | undefined {
  const kind = given.one('nic') ?? 'none';
  const others = (Object.keys(OPTIONS) as Option[]).filter(
    (option) => option !== 'nic' && given.all(option).length > 0,
  );
  if (kind === 'none') {
    // A card that is switched off may keep its settings, as in a script that lists all.
    if (given.one('nic') !== undefined || others.length === 0) return undefined;
    throw usage(`${given.name(others[0])} needs ${given.name('nic')}; give both`);
  }
  if (!Object.hasOwn(OF_ATTACHMENT, kind)) {
    throw usage(`${given.name('nic')} takes none, ${Object.keys(OF_ATTACHMENT).join(', ')}, not '${kind}'`);
  }
  const attachment = parseAttachment(kind as NicAttachment['kind'], given);
  return {
    slot: given.slot,
    type: parseType(given),
    mac: parseAddress(given),
    cableConnected: given.flag('cable') ?? true,
    attachment,
    traceFile: parseTrace(given),
    promiscuous: parsePromiscuous(given),
    bandwidthGroup: given.one('bandwidthGroup'),
  };
}

function parseType(given: CardValues): NicType {
  const text = given.one('type') ?? '82540EM';
  const type = NIC_TYPES.find((name) => name.toLowerCase() === text.toLowerCase());
  if (type) return type;
  throw usage(`${given.name('type')} takes ${NIC_TYPES.join(', ')}, not '${text}'`);
}

function parseAddress(given: CardValues): string | undefined {
  const text = given.one('mac');
  if (text === undefined || text === 'auto') return undefined;
  const mac = parseMac(text);
  if (mac) return mac;
  throw usage(`${given.name('mac')} takes auto or 12 hexadecimal digits, the second one even, not '${text}'`);
}

function parsePromiscuous(given: CardValues): PromiscuousPolicy | undefined {
  const text = given.one('promiscuous');
  if (text === undefined || text === 'deny' || text === 'allow-vms' || text === 'allow-all') return text;
  throw usage(`${given.name('promiscuous')} takes deny, allow-vms or allow-all, not '${text}'`);
}

function parseTrace(given: CardValues): string | undefined {
  const file = given.one('traceFile');
  if (given.flag('trace') !== true) return undefined;
  if (file) return file;
  throw usage(`${given.name('trace')} needs ${given.name('traceFile')}; give both`);
}

function parseAttachment(kind: NicAttachment['kind'], given: CardValues): NicAttachment {
  for (const [other, options] of Object.entries(OF_ATTACHMENT)) {
    const stray = other === kind ? undefined : options.find((option) => given.all(option).length > 0);
    if (stray) throw usage(`${given.name(stray)} goes with ${given.name('nic')} ${other}, not ${kind}`);
  }
  for (const option of OF_ATTACHMENT[kind]) {
    if (!MULTIPLE.includes(option) && given.all(option).includes('')) throw usage(`${given.name(option)} takes a name`);
  }
  switch (kind) {
    case 'null':
      return { kind };
    case 'nat':
      return natOf(given);
    case 'intnet':
      return { kind, network: given.one('internalNetwork') ?? 'intnet' };
    case 'bridged':
      return { kind, adapter: needed(given, 'bridgeAdapter', kind) };
    case 'hostonly':
      return { kind, adapter: given.one('hostOnlyAdapter') ?? 'vboxnet0' };
    case 'natnetwork':
      return { kind, network: given.one('sharedNatNetwork') ?? 'NatNetwork' };
    case 'generic':
      return {
        kind,
        driver: needed(given, 'genericDriver', kind),
        properties: Object.fromEntries(given.all('genericProperty').map((text) => parseProperty(given, text))),
      };
  }
}

function natOf(given: CardValues): NicAttachment {
  const [localhostReachable, hostResolver, tftpFolder, bootFile] = [
    given.flag('natLocalhost'),
    given.flag('natHostResolver'),
    given.one('natTftpFolder'),
    given.one('natBootFile'),
  ];
  return {
    kind: 'nat',
    network: given.one('natNetwork') ?? '',
    forwards: given.all('natForward'),
    ...(localhostReachable === undefined ? {} : { localhostReachable }),
    ...(hostResolver === undefined ? {} : { hostResolver }),
    ...(tftpFolder === undefined ? {} : { tftpFolder }),
    ...(bootFile === undefined ? {} : { bootFile }),
  };
}

function needed(given: CardValues, option: Option, kind: string): string {
  const text = given.one(option);
  if (text !== undefined) return text;
  throw usage(`${given.name('nic')} ${kind} needs ${given.name(option)}; give both`);
}

function parseProperty(given: CardValues, text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw usage(`${given.name('genericProperty')} takes NAME=VALUE, not '${text}'`);
}
