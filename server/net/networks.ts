/**
 * What cards can be attached to, on this host: the one place that knows all kinds. Internal networks and NAT networks
 * live as long as somebody is attached.
 */
import { CodedError } from '#base/errors.ts';
import type { NetworkCardConfig, PromiscuousPolicy } from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import type { NatRights } from '../../src/net-relay/nat/address-policy.ts';
import { type DhcpServerSettings, dhcpServerSettings } from '../../src/net-relay/nat/dhcp-station.ts';
import { LimitedPort } from '../../src/net-relay/switch/bandwidth-group.ts';
import { BandwidthGroups } from '../../src/net-relay/switch/bandwidth-groups.ts';
import type { EthernetSwitch, SwitchPort } from '../../src/net-relay/switch/ethernet-switch.ts';
import { type HostOnlyInterface, openHostOnly, TAP_HELPER, usualInterface } from './host-only.ts';
import type { NatDriver } from './nat-driver.ts';
import { NatNetworks } from './nat-networks.ts';
import { openNat } from './open-nat.ts';
import { joinRelay, type RelayPlace } from './relay-link.ts';
import { type OpenHost, SharedNetwork } from './shared-network.ts';
import { openTap } from './tap.ts';
import { parseUdpTunnel, UdpTunnel } from './udp-tunnel.ts';
import { openVde } from './vde.ts';

const ALL_RIGHTS: NatRights = { loopback: true, private: true, public: true };
const now = (): number => performance.now();

/** A card's place in a network. */
export interface Attachment {
  /** Of a card with NAT, or of the NAT network that it shares. */
  readonly nat: NatDriver | undefined;
  /** On an internal network. */
  readonly place: Place | undefined;
  /** What of the host is there, for people; '': nothing that its kind does not say. */
  readonly about: string;
  /** Moves the card to a bandwidth group, or out of all. */
  setBandwidthGroup(name: string | undefined): void;
  close(): void;
}

export interface Place {
  readonly network: EthernetSwitch;
  readonly port: SwitchPort;
}

interface Joined {
  readonly nat: NatDriver | undefined;
  readonly place?: Place;
  readonly about?: string;
  close(): void;
}

/** A switch for as long as somebody uses it. */
interface Shared {
  users: number;
  readonly ready: Promise<SharedNetwork>;
}

/** What a card asks for at a network that it shares. */
interface Wishes {
  readonly promiscuous: PromiscuousPolicy;
  readonly dhcp: DhcpServerSettings | undefined;
  readonly open: OpenHost | undefined;
}

export class Networks {
  readonly natNetworks: NatNetworks = new NatNetworks();
  readonly groups: BandwidthGroups = new BandwidthGroups({
    now,
    after: (ms, call) => {
      const timer = setTimeout(call, ms);
      timer.unref();
      return () => clearTimeout(timer);
    },
  });
  readonly #shared = new Map<string, Shared>();
  readonly #dhcpServers = new Map<string, DhcpServerSettings>();
  readonly #interfaces = new Map<string, HostOnlyInterface>();
  readonly #relay: RelayPlace | undefined;

  /** @param relay where cards of internal and NAT networks meet others; undefined: they meet here */
  constructor(relay?: RelayPlace) {
    this.#relay = relay;
  }

  /**
   * Leads a card's cable to what it is attached to.
   * @param cable its end on the network's side
   * @param most what NAT may reach at most, whatever the card's settings say
   * @throws CodedError<'no-network' | 'bad-network' | 'bad-rule' | 'no-tap' | ...> what is wrong, why, what to do
   */
  async attach(card: NetworkCardConfig, cable: PacketPort, most: NatRights = ALL_RIGHTS): Promise<Attachment> {
    const port = new LimitedPort(cable, undefined, now, () => this.groups.arm());
    const joined = await this.#join(card, port, most);
    const setBandwidthGroup = (name: string | undefined): void => {
      port.group = name === undefined ? undefined : this.groups.get(name);
    };
    if (card.bandwidthGroup !== undefined) setBandwidthGroup(card.bandwidthGroup);
    return {
      get nat() {
        return joined.nat;
      },
      ...{ place: joined.place, about: joined.about ?? '', setBandwidthGroup, close: () => joined.close() },
    };
  }

  async #join(card: NetworkCardConfig, port: PacketPort, most: NatRights): Promise<Joined> {
    const { slot, attachment, promiscuous = 'deny' } = card;
    if (this.#relay && (attachment.kind === 'intnet' || attachment.kind === 'natnetwork')) {
      return { nat: undefined, close: joinRelay(card, port, this.#relay) };
    }
    switch (attachment.kind) {
      case 'null':
        return { nat: undefined, close: () => port.setLink(false) };
      case 'nat': {
        const nat = await openNat(slot - 1, attachment, port, most);
        return { nat, close: () => nat.close() };
      }
      case 'intnet': {
        const dhcp = attachment.dhcpServer && dhcpServerSettings(attachment.dhcpServer);
        return this.#joinShared(`intnet ${attachment.network}`, port, { promiscuous, dhcp, open: undefined });
      }
      case 'natnetwork': {
        const { network } = attachment;
        const open: OpenHost = (end) => this.natNetworks.open(network, end);
        return this.#joinShared(`natnetwork ${network}`, port, { promiscuous, dhcp: undefined, open });
      }
      case 'hostonly': {
        const { adapter } = attachment;
        const name = `hostonly ${adapter}`;
        const dhcp = attachment.dhcpServer && dhcpServerSettings(attachment.dhcpServer);
        const anyDhcp = dhcp ?? this.#dhcpServers.get(name);
        const own = this.#interfaces.get(adapter) ?? usualInterface(adapter, anyDhcp);
        const open: OpenHost = (end) => openHostOnly(end, adapter, own, anyDhcp?.pool[0]);
        return this.#joinShared(name, port, { promiscuous, dhcp, open });
      }
      case 'bridged': {
        const tap = await openTap(port, { interface: attachment.adapter, helper: TAP_HELPER });
        return { nat: undefined, close: () => tap.close() };
      }
      case 'generic':
        return await openGeneric(attachment.driver, attachment.properties, port);
    }
  }

  async #joinShared(name: string, cable: PacketPort, { promiscuous, dhcp, open }: Wishes): Promise<Joined> {
    const shared = this.#shared.get(name) ?? { users: 0, ready: SharedNetwork.open(open, this.#dhcpServers.get(name)) };
    this.#shared.set(name, shared);
    // Counted before it is there: nobody who leaves meanwhile takes it away.
    shared.users++;
    const leave = (): boolean => {
      if (--shared.users > 0) return false;
      this.#shared.delete(name);
      return true;
    };
    const opened = await shared.ready.catch((cause: unknown) => {
      leave();
      throw cause;
    });
    const { network, host } = opened;
    const port = network.plug(cable, { kind: 'machine', promiscuous });
    const endDhcp = dhcp && opened.askForDhcp(dhcp);
    return {
      get nat() {
        return host?.nat;
      },
      ...{ about: host?.about ?? '' },
      // Where there is nobody but machines they may meet past the switch.
      ...(open ? {} : { place: { network, port } }),
      close: () => {
        port.close();
        endDhcp?.();
        if (leave()) opened.close();
      },
    };
  }

  /**
   * Gives an internal network, or a host-only one, a DHCP server, whether somebody is there or not yet.
   * @param name `intnet NAME` or `hostonly INTERFACE` @param settings undefined: none
   */
  setDhcpServer(name: string, settings: DhcpServerSettings | undefined): void {
    if (settings) this.#dhcpServers.set(name, settings);
    else this.#dhcpServers.delete(name);
    void this.#shared.get(name)?.ready.then((network) => {
      network.standingDhcp = settings;
    });
  }

  get dhcpServers(): ReadonlyMap<string, DhcpServerSettings> {
    return this.#dhcpServers;
  }

  /** The host's address on a host-only interface that is not there yet. */
  setHostOnlyInterface(adapter: string, own: HostOnlyInterface): void {
    this.#interfaces.set(adapter, own);
  }
}

async function openGeneric(
  driver: string,
  properties: Readonly<Record<string, string>>,
  port: PacketPort,
): Promise<{ readonly nat: undefined; close(): void }> {
  const name = driver.toLowerCase();
  if (name === 'udptunnel') {
    const tunnel = await UdpTunnel.open(port, parseUdpTunnel(properties));
    return { nat: undefined, close: () => tunnel.close() };
  }
  if (name === 'vde') {
    const pipe = await openVde(port, properties['network'] ?? '');
    return { nat: undefined, close: () => pipe.close() };
  }
  throw new CodedError('no-network', `there is no generic driver '${driver}'; take UDPTunnel or VDE`);
}
