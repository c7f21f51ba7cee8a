// The networks of `tabbox run`: what its cards are attached to, and the monitor's commands for it.

import { CodedError } from '#base/errors.ts';
import { PacketRingEnd } from '#emu/host/packet-ring.ts';
import { formatForwardRule, parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { formatLimit, parseLimit } from '../../src/net-relay/switch/bandwidth-group.ts';
import { type Attachment, Networks } from '../net/networks.ts';
import { pumpRing } from '../net/ring-pump.ts';
import type { NetworkCommand } from './monitor-commands.ts';
import type { CardCable } from './network-ports.ts';
import type { RunOptions } from './run-options.ts';

export class RunNetworks {
  readonly #networks = new Networks();
  readonly #attachments = new Map<number, Attachment>();
  readonly #closers: (() => void)[] = [];
  readonly #doorbell: Int32Array;
  #ready: Promise<void> = Promise.resolve();

  /** @param doorbell of the machine, rung at index 0 */
  constructor(doorbell: Int32Array, groups: RunOptions['bandwidthGroups']) {
    this.#doorbell = doorbell;
    for (const { name, bytesPerSecond } of groups) this.#networks.setGroup(name, bytesPerSecond);
  }

  /** @throws CodedError what a card cannot be attached to */
  attach(cables: readonly CardCable[]): Promise<void> {
    this.#ready = this.#attachAll(cables);
    return this.#ready;
  }

  async #attachAll(cables: readonly CardCable[]): Promise<void> {
    for (const { card, ring } of cables) {
      const end = new PacketRingEnd(ring, 'network', this.#doorbell);
      const attachment = await this.#networks.attach(card, end).catch((cause: unknown) => {
        if (!(cause instanceof CodedError)) throw cause;
        throw new CodedError(cause.code, `network card ${card.slot}: ${cause.message}`, cause.details, cause);
      });
      this.#attachments.set(card.slot, attachment);
      this.#closers.push(pumpRing(end), () => attachment.close());
    }
  }

  /** @returns lines to print @throws CodedError */
  async execute(command: NetworkCommand): Promise<readonly string[]> {
    await this.#ready.catch(() => {});
    if (command.verb === 'bandwidthctl') return this.#bandwidth(command);
    const nat = this.#attachments.get(command.slot)?.nat;
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

  #bandwidth({ action, name, limit }: Extract<NetworkCommand, { readonly verb: 'bandwidthctl' }>): readonly string[] {
    const { groups } = this.#networks;
    const isKnown = groups.some((group) => group.name === name);
    if (action === 'list') {
      return groups.map((group) => `Name: '${group.name}', Type: Network, Limit: ${formatLimit(group.bytesPerSecond)}`);
    }
    if (action === 'add' && isKnown)
      throw new CodedError('bad-command', `there is a bandwidth group '${name}' already`);
    if (action === 'set' && !isKnown)
      throw new CodedError('no-group', `there is no bandwidth group '${name}'; add it first`);
    if (action === 'remove') this.#networks.removeGroup(name);
    else this.#networks.setGroup(name, parseLimit(limit));
    return [];
  }

  close(): void {
    for (const close of this.#closers.splice(0).reverse()) close();
  }
}
