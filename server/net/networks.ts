/**
 * What cards can be attached to, on this host: the one place that knows all kinds. Internal networks and NAT networks
 * live as long as somebody is attached.
 */
import { fileURLToPath } from 'node:url';
import { CodedError } from '#base/errors.ts';
import type { NetworkCardConfig, NicAttachment, PromiscuousPolicy } from '#emu/host/network-card.ts';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import type { NatRights } from '../../src/net-relay/nat/address-policy.ts';
import { type DhcpServerSettings, DhcpStation } from '../../src/net-relay/nat/dhcp-station.ts';
import { natConfig } from '../../src/net-relay/nat/nat-config.ts';
import { parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { BandwidthGroup, LimitedPort } from '../../src/net-relay/switch/bandwidth-group.ts';
import { EthernetSwitch, type SwitchPort } from '../../src/net-relay/switch/ethernet-switch.ts';
import { NAT_RIGHTS, NatDriver } from './nat-driver.ts';
import { openTap } from './tap.ts';
import { parseUdpTunnel, UdpTunnel } from './udp-tunnel.ts';
import { openVde } from './vde.ts';

const TAP_HELPER = fileURLToPath(new URL('../../server/net/tap-helper.pl', import.meta.url));
const ALL_RIGHTS: NatRights = { loopback: true, private: true, public: true };
const now = (): number => performance.now();

/** A card's place in a network. */
export interface Attachment {
  /** Of a card with NAT, or of the NAT network that it shares. */
  readonly nat: NatDriver | undefined;
  /** On an internal network. */
  readonly place: Place | undefined;
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
  close(): void;
}

/** A switch with those that have nothing else, for as long as somebody uses it. */
interface Shared {
  users: number;
  readonly ready: Promise<Opened>;
}

interface Opened {
  readonly network: EthernetSwitch;
  readonly nat?: NatDriver;
  close(): void;
}

/** Whom the host has at a network. @param end the host's end of a cable to its switch */
type OpenHost = (end: PacketPort) => Promise<{ readonly nat?: NatDriver; close(): void }>;

export class Networks {
  readonly #shared = new Map<string, Shared>();
  readonly #dhcpServers = new Map<string, DhcpServerSettings>();
  readonly #groups = new Map<string, BandwidthGroup>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * Leads a card's cable to what it is attached to.
   * @param cable its end on the network's side
   * @param most what NAT may reach at most, whatever the card's settings say
   * @throws CodedError<'no-network' | 'bad-network' | 'bad-rule' | 'no-tap' | ...> what is wrong, why, what to do
   */
  async attach(card: NetworkCardConfig, cable: PacketPort, most: NatRights = ALL_RIGHTS): Promise<Attachment> {
    const port = new LimitedPort(cable, undefined, now, () => this.#armGroups());
    const { nat, place, close } = await this.#join(card, port, most);
    const setBandwidthGroup = (name: string | undefined): void => {
      port.group = name === undefined ? undefined : this.#group(name);
    };
    if (card.bandwidthGroup !== undefined) setBandwidthGroup(card.bandwidthGroup);
    return { nat, place, setBandwidthGroup, close };
  }

  async #join(
    { slot, attachment, promiscuous = 'deny' }: NetworkCardConfig,
    port: PacketPort,
    most: NatRights,
  ): Promise<Joined> {
    switch (attachment.kind) {
      case 'null':
        return { nat: undefined, close: () => port.setLink(false) };
      case 'nat': {
        const nat = await openNat(slot - 1, attachment, port, most);
        return { nat, close: () => nat.close() };
      }
      case 'intnet':
        return this.#joinShared(`intnet ${attachment.network}`, port, promiscuous, undefined, true);
      case 'natnetwork':
        return this.#joinShared(`natnetwork ${attachment.network}`, port, promiscuous, async (end) => {
          const nat = await openNat(0, { kind: 'nat', network: '', forwards: [] }, end, ALL_RIGHTS);
          return { nat, close: () => nat.close() };
        });
      case 'hostonly':
        return this.#joinShared(`hostonly ${attachment.adapter}`, port, promiscuous, (end) =>
          openTap(end, { interface: attachment.adapter, helper: TAP_HELPER }),
        );
      case 'bridged': {
        const tap = await openTap(port, { interface: attachment.adapter, helper: TAP_HELPER });
        return { nat: undefined, close: () => tap.close() };
      }
      case 'generic':
        return await openGeneric(attachment.driver, attachment.properties, port);
    }
  }

  /** @param hasPlace whether its cards may meet each other past the switch */
  async #joinShared(
    name: string,
    cable: PacketPort,
    promiscuous: PromiscuousPolicy,
    open: OpenHost | undefined,
    hasPlace = false,
  ): Promise<Joined> {
    const shared = this.#shared.get(name) ?? { users: 0, ready: openShared(open, this.#dhcpServers.get(name)) };
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
    const { network, nat } = opened;
    const port = network.plug(cable, { kind: 'machine', promiscuous });
    const close = (): void => {
      port.close();
      if (leave()) opened.close();
    };
    return { nat, ...(hasPlace ? { place: { network, port } } : {}), close };
  }

  /** Gives an internal network, or a host-only one, a DHCP server. @param name `intnet NAME` or `hostonly INTERFACE` */
  setDhcpServer(name: string, settings: DhcpServerSettings): void {
    this.#dhcpServers.set(name, settings);
  }

  // Bandwidth groups.

  /** Makes a group or changes its limit. @param bytesPerSecond 0: none */
  setGroup(name: string, bytesPerSecond: number): void {
    const group = this.#groups.get(name);
    if (group) group.setLimit(now(), bytesPerSecond);
    else this.#groups.set(name, new BandwidthGroup(name, bytesPerSecond, now()));
    this.#armGroups();
  }

  /** @throws CodedError<'no-group'> */
  removeGroup(name: string): void {
    const group = this.#group(name);
    group.setLimit(now(), 0);
    this.#groups.delete(name);
  }

  get groups(): readonly BandwidthGroup[] {
    return [...this.#groups.values()];
  }

  #group(name: string): BandwidthGroup {
    const group = this.#groups.get(name);
    if (group) return group;
    throw new CodedError('no-group', `there is no bandwidth group '${name}'; make it first`);
  }

  #armGroups(): void {
    if (this.#timer) return;
    const deadlines = this.groups.flatMap((group) => group.deadlineMs ?? []);
    if (deadlines.length === 0) return;
    const delayMs = Math.max(Math.ceil(Math.min(...deadlines) - now()), 1);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      for (const group of this.groups) group.tick(now());
      this.#armGroups();
    }, delayMs);
    this.#timer.unref();
  }
}

async function openShared(open: OpenHost | undefined, dhcp: DhcpServerSettings | undefined): Promise<Opened> {
  const network = new EthernetSwitch(now);
  if (dhcp) {
    const [near, far] = createWire();
    const station = new DhcpStation(dhcp, (frame) => far.send(frame));
    const receive = (frame: Uint8Array): boolean => {
      station.receive(now(), frame);
      return true;
    };
    far.connect({ receive, resume: () => {}, linkChanged: () => {} });
    far.setLink(true);
    network.plug(near, { kind: 'host', promiscuous: 'deny' });
  }
  if (!open) return { network, close: () => {} };
  const [near, far] = createWire();
  const host = await open(far);
  // The host's own interface may listen to all, as a bridge or a capture on it does.
  network.plug(near, { kind: 'host', promiscuous: host.nat ? 'deny' : 'allow-all' });
  return { network, ...(host.nat ? { nat: host.nat } : {}), close: () => host.close() };
}

async function openNat(
  card: number,
  attachment: Extract<NicAttachment, { readonly kind: 'nat' }>,
  port: PacketPort,
  most: NatRights,
): Promise<NatDriver> {
  const { network, forwards, localhostReachable = false, hostResolver = false, tftpFolder, bootFile = '' } = attachment;
  const rules = forwards.map(parseForwardRule);
  const nat = new NatDriver(port, {
    config: natConfig(card, network || undefined, { bootFile }),
    rights: {
      loopback: localhostReachable && most.loopback,
      private: NAT_RIGHTS.private && most.private,
      public: NAT_RIGHTS.public && most.public,
    },
    // The host's names are what it keeps to itself.
    resolver: { asHost: hostResolver && most.private },
    tftpFolder,
    forwardHostIp: '127.0.0.1',
  });
  try {
    for (const rule of rules) await nat.forwards.add(rule);
    return nat;
  } catch (cause) {
    nat.close();
    throw cause;
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
