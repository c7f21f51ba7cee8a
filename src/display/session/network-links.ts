/** The cables of one machine's network cards: their rings, where they lead, and how that goes. */
import { type Signal, signal } from '@preact/signals';
import type * as Comlink from 'comlink';
import { macFrom, type NetworkCardConfig } from '#emu/host/network-card.ts';
import { createPacketRing } from '#emu/host/packet-ring.ts';
import type { NetworkCardSpec } from '#emu/workers/machine-protocol.ts';
import type { MachineSettings } from '#storage/settings/machine-settings.ts';
import type { RelayState } from '../../net-relay/transports/relay-client.ts';
import type { NetworkEvent, NetworkService } from '../../net-relay/worker/network-service.ts';
import type { RelayAddress } from '../../net-relay/worker/relay-carrier.ts';

/** The page's way to networks; the worker is started when a machine first needs it. */
export interface Networks {
  readonly service: () => Comlink.Remote<NetworkService>;
  readonly relay: RelayAddress;
}

export class NetworkLinks {
  /** Cards as they are attached now, by slot. */
  readonly cards: Signal<readonly NetworkCardConfig[]>;
  /** How the relay sees each card; a card that is not attached is not there. */
  readonly states: Signal<ReadonlyMap<number, RelayState>> = signal(new Map());
  /** Cards of other tabs that are reached without the relay, by slot. */
  readonly directPeers: Signal<ReadonlyMap<number, number>> = signal(new Map());
  /** The guest's IPv4 addresses, by slot. */
  readonly addresses: Signal<ReadonlyMap<number, string>> = signal(new Map());
  readonly #machine: string;
  readonly #networks: Networks;
  readonly #doorbell: SharedArrayBuffer;
  readonly #rings = new Map<number, SharedArrayBuffer>();

  #groups: MachineSettings['bandwidthGroups'];

  constructor(
    machine: string,
    { networkCards, bandwidthGroups }: Pick<MachineSettings, 'networkCards' | 'bandwidthGroups'>,
    networks: Networks,
    doorbell: SharedArrayBuffer,
  ) {
    this.#groups = bandwidthGroups;
    this.#machine = machine;
    this.#networks = networks;
    this.#doorbell = doorbell;
    this.cards = signal(networkCards);
  }

  /** For the machine to start with; every card has a ring, so that it can be attached later. */
  specs(): NetworkCardSpec[] {
    return this.cards.value.map((config) => {
      const ring = createPacketRing();
      this.#rings.set(config.slot, ring);
      return { config, ring, farDoorbell: undefined };
    });
  }

  /** Leads every cable to its network. */
  async plug(): Promise<void> {
    if (this.cards.value.length > 0) await this.setBandwidthGroups(this.#groups);
    for (const card of this.cards.value) {
      const ring = this.#rings.get(card.slot);
      if (!ring) continue;
      const { relay } = this.#networks;
      await this.#networks.service().plug({ machine: this.#machine, card, ring, doorbell: this.#doorbell, relay });
    }
  }

  /** Limits that cards share; those that are at work follow at once. */
  async setBandwidthGroups(groups: MachineSettings['bandwidthGroups']): Promise<void> {
    this.#groups = groups;
    if (this.#rings.size > 0) await this.#networks.service().setBandwidthGroups(this.#machine, groups);
  }

  /** A card's settings are these now, whatever has come of it. */
  note(card: NetworkCardConfig): void {
    if (!this.#rings.has(card.slot)) return;
    this.cards.value = this.cards.value.map((one) => (one.slot === card.slot ? card : one));
  }

  /** A card's settings have changed, or a refused one is to be tried again. Cards that are not there wait for a restart. */
  async replug(card: NetworkCardConfig): Promise<void> {
    if (!this.#rings.has(card.slot)) return;
    this.note(card);
    await this.#networks.service().replug(this.#machine, card, this.#networks.relay);
  }

  async unplug(): Promise<void> {
    if (this.#rings.size === 0) return;
    this.#rings.clear();
    this.states.value = new Map();
    await this.#networks.service().unplug(this.#machine);
  }

  onEvent({ machine, slot, state, directPeers, address }: NetworkEvent): void {
    if (machine !== this.#machine || !this.#rings.has(slot)) return;
    this.directPeers.value = new Map(this.directPeers.value).set(slot, directPeers);
    if (this.addresses.value.get(slot) !== address) {
      const addresses = new Map(this.addresses.value);
      if (address === undefined) addresses.delete(slot);
      else addresses.set(slot, address);
      this.addresses.value = addresses;
    }
    const states = new Map(this.states.value);
    if (state.kind === 'closed') states.delete(slot);
    else states.set(slot, state);
    this.states.value = states;
  }
}

/** VirtualBox's first card of a new machine, in the first slot that is free; undefined: there is none. */
export function newCard(cards: readonly NetworkCardConfig[]): NetworkCardConfig | undefined {
  const slot = [1, 2, 3, 4, 5, 6, 7, 8].find((one) => cards.every((card) => card.slot !== one));
  if (slot === undefined) return undefined;
  return {
    ...{ slot, type: '82540EM', cableConnected: true },
    mac: macFrom(crypto.getRandomValues(new Uint8Array(3))),
    attachment: { kind: 'nat', network: '', forwards: [] },
  };
}
