// The monitor's `dhcpserver`, as VBoxManage has it, in old spellings as well.
// Not modelled: servers that are there and disabled; DHCP options, groups and single machines.

import type { DhcpServerWords } from '#emu/host/network-card.ts';
import { bad, parseOptions, splitWords } from './monitor-words.ts';

const ACTIONS = ['add', 'modify', 'remove', 'list'] as const;

export interface DhcpServerCommand {
  readonly verb: 'dhcpserver';
  readonly action: (typeof ACTIONS)[number];
  /** `intnet NAME` or `hostonly INTERFACE`; of `list` ''. */
  readonly network: string;
  /** What is given; the rest is as usual, or as it was. */
  readonly words: Partial<DhcpServerWords>;
}

const FIELDS: Readonly<Record<string, keyof DhcpServerWords>> = {
  ...{ 'server-ip': 'serverIp', ip: 'serverIp', netmask: 'netmask' },
  ...{ 'lower-ip': 'lowerIp', lowerip: 'lowerIp', 'upper-ip': 'upperIp', upperip: 'upperIp' },
};
const PLACES: Readonly<Record<string, 'intnet' | 'hostonly'>> = {
  ...{ network: 'intnet', netname: 'intnet', interface: 'hostonly', ifname: 'hostonly' },
};
const KNOWN = {
  verb: 'dhcpserver',
  options: [...Object.keys(PLACES), ...Object.keys(FIELDS), 'enable'],
  flags: ['enable'],
  deletable: [],
} as const;

/** @param text behind `dhcpserver` @throws CodedError<'bad-command'> */
export function parseDhcpServerCommand(text: string): DhcpServerCommand {
  const [action = '', ...rest] = splitWords(text);
  const known = ACTIONS.find((one) => one === action);
  if (!known) throw bad(`dhcpserver takes ${ACTIONS.join(', ')}, not '${action}'`);
  const given = parseOptions(rest, KNOWN);
  const places = given.filter(({ option }) => Object.hasOwn(PLACES, option));
  if (places.length !== (known === 'list' ? 0 : 1)) {
    throw bad(`dhcpserver ${known} takes ${known === 'list' ? 'nothing' : '--network NAME or --interface NAME'}`);
  }
  const network = places.map(({ option, value }) => `${PLACES[option]} ${value}`)[0] ?? '';
  const fields = given.flatMap(({ option, value }) => (Object.hasOwn(FIELDS, option) ? [[FIELDS[option], value]] : []));
  if (fields.length > 0 && known !== 'add' && known !== 'modify') {
    throw bad(`dhcpserver ${known} takes no addresses`);
  }
  return { verb: 'dhcpserver', action: known, network, words: Object.fromEntries(fields) };
}
