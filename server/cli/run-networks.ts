// The networks of `tabbox run`: what its cards are attached to, and the monitor's commands for it.

import { CodedError } from '#base/errors.ts';
import { type NetworkCardConfig, USUAL_DHCP } from '#emu/host/network-card.ts';
import { PacketRingEnd } from '#emu/host/packet-ring.ts';
import { dhcpServerSettings, dhcpServerWords } from '../../src/net-relay/nat/dhcp-station.ts';
import { describeNatNetwork } from '../../src/net-relay/nat/nat-network-settings.ts';
import { formatForwardRule, parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { formatLimit, parseLimit } from '../../src/net-relay/switch/bandwidth-group.ts';
import { type Attachment, Networks } from '../net/networks.ts';
import { pumpRing } from '../net/ring-pump.ts';
import type { DhcpServerCommand } from './dhcp-server-command.ts';
import type { NetworkCommand } from './monitor-commands.ts';
import type { NatNetworkCommand } from './nat-network-command.ts';
import type { CardCable } from './network-ports.ts';
import { relayPlace } from './relay-options.ts';
import type { RunOptions } from './run-options.ts';
import { type SharedNetworkOptions, setUpNetworks } from './shared-network-options.ts';

type NicCommand = Extract<NetworkCommand, { readonly verb: 'nic' | 'nicpromisc' | 'nicproperty' }>;
export const isNicCommand = (command: NetworkCommand): command is NicCommand => command.verb.startsWith('nic');

interface AttachedCard {
  card: NetworkCardConfig;
  readonly end: PacketRingEnd;
  /** Undefined: what it was last to be attached to did not work. */
  attachment: Attachment | undefined;
}

/** A card as a command wants it. @throws CodedError<'bad-command'> */
function changed(card: NetworkCardConfig, command: NicCommand): NetworkCardConfig {
  if (command.verb === 'nicpromisc') return { ...card, promiscuous: command.policy };
  const { attachment: old } = card;
  if (command.verb === 'nic') {
    const { attachment } = command;
    const isSameNat = attachment.kind === 'nat' && old.kind === 'nat';
    const isSameDriver = attachment.kind === 'generic' && old.kind === 'generic' && attachment.driver === old.driver;
    if (isSameNat) return { ...card, attachment: { ...old, network: attachment.network || old.network } };
    return { ...card, attachment: isSameDriver ? old : attachment };
  }
  if (old.kind !== 'generic') {
    throw new CodedError(
      'bad-command',
      `network card ${card.slot} has no generic driver; nic${card.slot} generic first`,
    );
  }
  return { ...card, attachment: { ...old, properties: { ...old.properties, [command.name]: command.value } } };
}

type NetworksOptions = SharedNetworkOptions & Pick<RunOptions, 'bandwidthGroups' | 'relay'>;

export class RunNetworks {
  readonly #networks: Networks;
  readonly #cards = new Map<number, AttachedCard>();
  readonly #closers: (() => void)[] = [];
  readonly #doorbell: Int32Array;
  readonly #say: (text: string) => void;
  #ready: Promise<void> = Promise.resolve();

  /** @param doorbell of the machine, rung at index 0 @param say what the person is to know */
  constructor(doorbell: Int32Array, options: NetworksOptions, say: (text: string) => void) {
    this.#doorbell = doorbell;
    this.#say = say;
    this.#networks = new Networks(options.relay && relayPlace(options.relay, say));
    setUpNetworks(this.#networks, options);
    for (const { name, bytesPerSecond } of options.bandwidthGroups) this.#networks.groups.set(name, bytesPerSecond);
  }

  /** @throws CodedError what a card cannot be attached to */
  attach(cables: readonly CardCable[]): Promise<void> {
    this.#ready = this.#attachAll(cables);
    return this.#ready;
  }

  async #attachAll(cables: readonly CardCable[]): Promise<void> {
    for (const { card, ring } of cables) {
      const end = new PacketRingEnd(ring, 'network', this.#doorbell);
      const attachment = await this.#attach(card, end);
      this.#cards.set(card.slot, { card, end, attachment });
      this.#closers.push(pumpRing(end), () => this.#cards.get(card.slot)?.attachment?.close());
    }
  }

  async #attach(card: NetworkCardConfig, end: PacketRingEnd): Promise<Attachment> {
    const attachment = await this.#networks.attach(card, end).catch((cause: unknown) => {
      if (!(cause instanceof CodedError)) throw cause;
      throw new CodedError(cause.code, `network card ${card.slot}: ${cause.message}`, cause.details, cause);
    });
    if (attachment.about !== '') {
      this.#say(`network card ${card.slot}: ${card.attachment.kind} is ${attachment.about}`);
    }
    return attachment;
  }

  /**
   * Leads a card's cable elsewhere while its machine runs; the guest sees a lost link. When that fails the card
   * has no link. A NAT keeps what the card's first one was allowed.
   * @returns what the machine is to note @throws CodedError
   */
  async reattach(command: NicCommand): Promise<Extract<NetworkCommand, { readonly verb: 'nic' }>> {
    await this.#ready.catch(() => {});
    const one = this.#card(command.slot);
    const card = changed(one.card, command);
    one.attachment?.close();
    one.attachment = undefined;
    one.end.setLink(false);
    // Also when it fails: a driver may lack properties that the next commands bring.
    one.card = card;
    one.attachment = await this.#attach(card, one.end);
    return { verb: 'nic', slot: card.slot, attachment: card.attachment, promiscuous: card.promiscuous };
  }

  #card(slot: number): AttachedCard {
    const one = this.#cards.get(slot);
    if (one) return one;
    throw new CodedError('no-card', `there is no network card ${slot}; start the machine with --nic${slot}`);
  }

  /** @returns lines to print @throws CodedError */
  async execute(command: Exclude<NetworkCommand, NicCommand>): Promise<readonly string[]> {
    await this.#ready.catch(() => {});
    if (command.verb === 'bandwidthctl') return this.#bandwidth(command);
    if (command.verb === 'natnetwork') return this.#natNetwork(command);
    if (command.verb === 'dhcpserver') return this.#dhcpServer(command);
    const nat = this.#cards.get(command.slot)?.attachment?.nat;
    if (!nat)
      throw new CodedError(
        'bad-command',
        `network card ${command.slot} has no NAT; start it with --nic${command.slot} nat`,
      );
    if (command.verb === 'natpfdelete') await nat.forwards.delete(command.name);
    else if (command.verb === 'natpf') {
      const rule = await nat.forwards.add(parseForwardRule(command.rule));
      return [formatForwardRule(rule)];
    } else return nat.forwards.rules.map(formatForwardRule);
    return [];
  }

  async #natNetwork({ action, name, words }: NatNetworkCommand): Promise<readonly string[]> {
    const { natNetworks } = this.#networks;
    switch (action) {
      case 'add':
        natNetworks.add(name, words);
        return [];
      case 'modify':
        await natNetworks.modify(name, words);
        return [];
      case 'remove':
        natNetworks.remove(name);
        return [];
      case 'start':
        await natNetworks.start(name);
        return [];
      case 'stop':
        natNetworks.stop(name);
        return [];
      case 'list': {
        const found = natNetworks.all.filter((one) => one.name.startsWith(name));
        const count = `${found.length} ${found.length === 1 ? 'network' : 'networks'}`;
        return ['NAT Networks:', '', ...found.flatMap((one) => [...describeNatNetwork(one), '']), count];
      }
    }
  }

  #dhcpServer({ action, network, words }: DhcpServerCommand): readonly string[] {
    const { dhcpServers } = this.#networks;
    if (action === 'list') {
      return [...dhcpServers].flatMap(([name, server]) => {
        const { serverIp, lowerIp, upperIp, netmask } = dhcpServerWords(server);
        const rows = [
          ...[
            `NetworkName:    ${name.split(/ (.*)/s)[1]}`,
            `Dhcpd IP:       ${serverIp}`,
            `LowerIPAddress: ${lowerIp}`,
          ],
          ...[`UpperIPAddress: ${upperIp}`, `NetworkMask:    ${netmask}`, 'Enabled:        Yes', ''],
        ];
        return rows;
      });
    }
    const known = dhcpServers.get(network);
    if (action === 'add' && known) {
      throw new CodedError('bad-command', `the network has a DHCP server already; modify or remove it`);
    }
    if (action !== 'add' && !known) {
      throw new CodedError('bad-command', `the network has no DHCP server of dhcpserver's; add it first`);
    }
    const before = known ? dhcpServerWords(known) : USUAL_DHCP;
    const settings = action === 'remove' ? undefined : dhcpServerSettings({ ...before, ...words });
    this.#networks.setDhcpServer(network, settings);
    return [];
  }

  #bandwidth({ action, name, limit }: Extract<NetworkCommand, { readonly verb: 'bandwidthctl' }>): readonly string[] {
    const { groups } = this.#networks;
    const isKnown = groups.has(name);
    if (action === 'list') {
      return groups.all.map(
        (group) => `Name: '${group.name}', Type: Network, Limit: ${formatLimit(group.bytesPerSecond)}`,
      );
    }
    if (action === 'add' && isKnown)
      throw new CodedError('bad-command', `there is a bandwidth group '${name}' already`);
    if (action === 'set' && !isKnown)
      throw new CodedError('no-group', `there is no bandwidth group '${name}'; add it first`);
    if (action === 'remove') groups.remove(name);
    else groups.set(name, parseLimit(limit));
    return [];
  }

  close(): void {
    for (const close of this.#closers.splice(0).reverse()) close();
  }
}
