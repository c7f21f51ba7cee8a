// The monitor's `natnetwork`, as VBoxManage has it.

import { NAT_NETWORK_OPTIONS, type NatNetworkWord } from '../../src/net-relay/nat/nat-network-settings.ts';
import { bad, parseOptions, splitWords } from './monitor-words.ts';

const ACTIONS = ['add', 'modify', 'remove', 'start', 'stop', 'list'] as const;

export interface NatNetworkCommand {
  readonly verb: 'natnetwork';
  readonly action: (typeof ACTIONS)[number];
  /** Of `list`: the beginning of the names to list. */
  readonly name: string;
  readonly words: readonly NatNetworkWord[];
}

const KNOWN = {
  verb: 'natnetwork',
  options: ['netname', ...NAT_NETWORK_OPTIONS],
  flags: ['enable', 'disable'],
  deletable: ['port-forward-4', 'port-forward-6', 'loopback-4', 'loopback-6'],
} as const;

/** @param text behind `natnetwork` @throws CodedError<'bad-command'> */
export function parseNatNetworkCommand(text: string): NatNetworkCommand {
  const [action = '', ...rest] = splitWords(text);
  const known = ACTIONS.find((one) => one === action);
  if (!known) throw bad(`natnetwork takes ${ACTIONS.join(', ')}, not '${action}'`);
  if (known === 'list') {
    if (rest.length > 1) throw bad('natnetwork list takes the beginning of a name, or nothing');
    return { verb: 'natnetwork', action: known, name: rest[0] ?? '', words: [] };
  }
  const words = parseOptions(rest, KNOWN);
  const name = words.find(({ option }) => option === 'netname')?.value ?? '';
  const others = words.filter(({ option }) => option !== 'netname');
  if (name === '') throw bad(`natnetwork ${known} takes --netname NAME`);
  if (others.length > 0 && known !== 'add' && known !== 'modify') {
    throw bad(`natnetwork ${known} takes --netname NAME, and not --${others[0].option}`);
  }
  if (known === 'add' && !others.some(({ option }) => option === 'network')) {
    throw bad('natnetwork add takes --network NETWORK as well, such as 192.168.15.0/24');
  }
  return { verb: 'natnetwork', action: known, name, words: others };
}
