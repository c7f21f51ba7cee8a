// The options of `tabbox run` for network cards: VBoxManage modifyvm's, in its old and its hyphenated spelling.

import {
  MAX_NETWORK_CARDS,
  NIC_TYPES,
  type NicAttachment,
  type NicType,
  type PromiscuousPolicy,
  parseMac,
} from '#emu/host/network-card.ts';
import { NAT_OPTIONS, natOf, refuseNotModelled } from './nat-options.ts';
import { CardValues, NIC_OPTIONS, type NicOption, usage, type Values } from './nic-values.ts';

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

/** They may be given several times. */
const MULTIPLE: readonly NicOption[] = ['natForward', 'genericProperty'];
/** What each attachment has of its own. */
const OF_ATTACHMENT: Readonly<Record<NicAttachment['kind'], readonly NicOption[]>> = {
  null: [],
  nat: NAT_OPTIONS,
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
    --natdnsproxyN on|off    DHCP names the network's name server, not the host's (default: on)
    --natdnspassdomainN on|off  DHCP names the host's domain (default: on)
    --natbindipN IP          the host's address that the guest's connections come from
    --natsettingsN MTU,0,0,SEND,RECEIVE   bytes, and KB that TCP holds to and from the guest; 0: the usual
    --nattftpprefixN FOLDER, --nattftpfileN FILE, --nattftpserverN IP   what TFTP serves at 10.0.2.4, what network
                             boot loads (default: NAME.pxe of that folder), and from where
    --nicpromiscN deny|allow-vms|allow-all, --nicbandwidthgroupN NAME
    --bandwidthgroup NAME=LIMIT        20m, 100k, ... bits a second; shared by the cards of the group
    --natnetwork NAME[,network=NET][,dhcp=on|off][,ipv6=on|off][,ipv6-prefix=PREFIX][,ipv6-default=on|off]
      [,port-forward-4=RULE][,port-forward-6=RULE][,loopback-4=IP=OFFSET][,loopback-6=IP=OFFSET]
                             a NAT network; RULE is NAME:tcp|udp:[HOSTIP]:HOSTPORT:[GUESTIP]:GUESTPORT
    --hostonlyif IF,ip=IP[,netmask=MASK]   the host's address on a host-only interface (default: 192.168.56.1)
    --dhcpserver interface=IF|network=NAME[,server-ip=IP,netmask=MASK,lower-ip=IP,upper-ip=IP]
                             for a host-only or an internal network
    --nictraceN on|off, --nictracefileN FILE   write what passes as pcap
`;

const slots: readonly number[] = Array.from({ length: MAX_NETWORK_CARDS }, (_, i) => i + 1);

/** For node:util's parseArgs. */
export function networkOptions(): Record<string, { readonly type: 'string'; readonly multiple: true }> {
  const spellings = Object.values(NIC_OPTIONS).flat();
  return Object.fromEntries(
    slots.flatMap((slot) => spellings.map((name) => [`${name}${slot}`, { type: 'string', multiple: true }])),
  );
}

/** @throws CodedError<'usage'> */
export function parseNetworkCards(values: Values): NicOptions[] {
  return slots.flatMap((slot) => {
    const card = parseCard(new CardValues(values, slot));
    return card ? [card] : [];
  });
}

function parseCard(given: CardValues): NicOptions | undefined {
  const kind = given.one('nic') ?? 'none';
  const others = (Object.keys(NIC_OPTIONS) as NicOption[]).filter(
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
  refuseNotModelled(given);
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

function needed(given: CardValues, option: NicOption, kind: string): string {
  const text = given.one(option);
  if (text !== undefined) return text;
  throw usage(`${given.name('nic')} ${kind} needs ${given.name(option)}; give both`);
}

function parseProperty(given: CardValues, text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw usage(`${given.name('genericProperty')} takes NAME=VALUE, not '${text}'`);
}
