/**
 * The page's networks, and the whole surface the page has to them. A card's frames go through its packet ring; what is
 * said here is which ring leads where, and how that goes.
 */
import * as Comlink from 'comlink';
import { CodedError } from '#base/errors.ts';
import { macBytes, type NetworkCardConfig } from '#emu/host/network-card.ts';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { PacketRingEnd } from '#emu/host/packet-ring.ts';
import { type BandwidthGroup, LimitedPort, parseLimit } from '../switch/bandwidth-group.ts';
import { BandwidthGroups } from '../switch/bandwidth-groups.ts';
import { DirectHub } from '../switch/direct-hub.ts';
import { GuestAddress } from '../transports/guest-address.ts';
import { OrphanedConnections } from '../transports/orphaned-connections.ts';
import { RelayClient, type RelayState } from '../transports/relay-client.ts';
import type { PeerMessage } from '../wire/relay.ts';
import { DirectPeers, type PeerRequest } from './direct-peers.ts';
import { pumpRing } from './pump-ring.ts';
import { openRelay, type RelayAddress } from './relay-carrier.ts';

/** A card's cable, to be led to what its settings say. */
export interface PlugRequest {
  /** Names the machine towards the relay. */
  readonly machine: string;
  readonly card: NetworkCardConfig;
  /** The card's packet ring; the side `network` is used here. */
  readonly ring: SharedArrayBuffer;
  /** Of the machine, rung at index 0. */
  readonly doorbell: SharedArrayBuffer;
  readonly relay: RelayAddress;
}

export interface NetworkEvent {
  readonly machine: string;
  readonly slot: number;
  readonly state: RelayState;
  /** Cards of the same internal network that are reached without the relay. */
  readonly directPeers: number;
  /** IPv4, of the guest's own packets; undefined: none was seen yet. */
  readonly address: string | undefined;
}

/** What the thread can do. */
export interface NetworkThread {
  yieldNow(): Promise<void>;
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
}

interface Plugged {
  readonly end: PacketRingEnd;
  /** The same, with the limit of the card's bandwidth group. */
  readonly limited: LimitedPort;
  readonly stopPump: () => void;
  client: RelayClient;
  card: NetworkCardConfig;
}

export class NetworkService {
  readonly #thread: NetworkThread;
  readonly #listeners: ((event: NetworkEvent) => void)[] = [];
  readonly #plugged = new Map<string, Plugged>();
  /** By machine. */
  readonly #groups = new Map<string, BandwidthGroups>();
  readonly #decoder = new TextDecoder();
  #connectPeer: ((request: PeerRequest) => void) | undefined;

  constructor(thread: NetworkThread) {
    this.#thread = thread;
  }

  /** @param listener from another thread, through `Comlink.proxy` */
  subscribe(listener: (event: NetworkEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Without this, cards reach each other through the relay only. @param connect makes WebRTC connections */
  usePeers(connect: (request: PeerRequest) => void): void {
    this.#connectPeer = connect;
  }

  /** @throws CodedError<'bad-network'> the card has a cable already */
  plug(request: PlugRequest): void {
    const { machine, card, ring, doorbell } = request;
    const key = keyOf(machine, card.slot);
    if (this.#plugged.has(key)) {
      throw new CodedError('bad-network', `network card ${card.slot} of ${machine} has its cable already`);
    }
    const end = new PacketRingEnd(ring, 'network', new Int32Array(doorbell));
    const groups = this.#groupsOf(machine);
    const limited = new LimitedPort(
      end,
      groupOf(groups, card),
      () => this.#thread.now(),
      () => groups.arm(),
    );
    const client = this.#connect(limited, request);
    this.#plugged.set(key, { end, limited, client, card, stopPump: pumpRing(end, () => this.#thread.yieldNow()) });
  }

  /**
   * The bandwidth groups of a machine, in place of those that it had; cards follow at once.
   * @throws CodedError<'bad-limit'>
   */
  setBandwidthGroups(machine: string, wanted: readonly { readonly name: string; readonly limit: string }[]): void {
    const groups = this.#groupsOf(machine);
    const limits = wanted.map(({ name, limit }) => [name, parseLimit(limit)] as const);
    for (const { name } of groups.all) if (!limits.some(([other]) => other === name)) groups.remove(name);
    for (const [name, bytesPerSecond] of limits) groups.set(name, bytesPerSecond);
  }

  #groupsOf(machine: string): BandwidthGroups {
    const groups = this.#groups.get(machine) ?? new BandwidthGroups({ now: () => this.#thread.now(), after });
    this.#groups.set(machine, groups);
    return groups;
  }

  /** Leads a cable elsewhere; also tries again where the relay had refused. No cable: nothing happens. */
  replug(machine: string, card: NetworkCardConfig, relay: RelayAddress): void {
    const plugged = this.#plugged.get(keyOf(machine, card.slot));
    if (!plugged) return;
    const { card: before } = plugged;
    plugged.card = card;
    if (before.bandwidthGroup !== card.bandwidthGroup) plugged.limited.group = groupOf(this.#groupsOf(machine), card);
    // Connections of the guest outlive what changes nothing of the way.
    if (wayOf(before) === wayOf(card) && JSON.stringify(before) !== JSON.stringify(card)) {
      const [old, now] = [forwardsOf(before), forwardsOf(card)];
      if (now && old?.join('\n') !== now.join('\n'))
        plugged.client.change(json({ forwards: now }), requestOf(card, false));
      return;
    }
    plugged.client.close();
    plugged.client = this.#connect(plugged.limited, { machine, card, relay });
  }

  /** Takes all cables of a machine out, for good. */
  unplug(machine: string): void {
    for (const [key, { client, stopPump }] of this.#plugged) {
      if (!key.startsWith(`${machine} `)) continue;
      this.#plugged.delete(key);
      client.close();
      stopPump();
    }
    this.#groups.delete(machine);
  }

  #connect(end: PacketPort, { machine, card, relay }: Pick<PlugRequest, 'machine' | 'card' | 'relay'>): RelayClient {
    const { slot, attachment } = card;
    const connectPeer = attachment.kind === 'intnet' ? this.#connectPeer : undefined;
    let state: RelayState = { kind: 'closed' };
    let address: string | undefined;
    const tell = (): void => this.#tell({ machine, slot, state, directPeers: peers?.open ?? 0, address });
    const watched = new GuestAddress(end, macBytes(card.mac), (seen) => {
      address = seen;
      tell();
    });
    const readText = (bytes: Uint8Array): string => this.#decoder.decode(bytes);
    const [hubEnd, clientEnd] = createWire();
    const peers =
      connectPeer &&
      new DirectPeers({
        hub: new DirectHub(watched, hubEnd),
        connect: (request) => connectPeer(Comlink.transfer(request, [request.port])),
        send: (message) => client.sendPeer(message),
        changed: tell,
        readText,
      });
    const isNat = attachment.kind === 'nat' || attachment.kind === 'natnetwork';
    const cable = isNat ? new OrphanedConnections(watched, after) : peers ? clientEnd : watched;
    const client = new RelayClient(cable, {
      request: requestOf(card, peers !== undefined),
      open: (events) => openRelay(relay, machine, events),
      after,
      // Frames of one turn of the pump go in one message.
      soon: (flush) => queueMicrotask(flush),
      readText,
      random: () => this.#thread.random(),
      onState: (now) => {
        state = now;
        if (now.kind !== 'attached') peers?.clear();
        tell();
      },
      ...(peers ? { onPeer: (message: PeerMessage) => peers.take(message) } : {}),
    });
    if (attachment.kind === 'null') tell();
    else client.start();
    return client;
  }

  #tell(event: NetworkEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

const after = (ms: number, call: () => void): (() => void) => {
  const timer = setTimeout(call, ms);
  return () => clearTimeout(timer);
};

/** A group that is not there limits nothing. */
const groupOf = (groups: BandwidthGroups, { bandwidthGroup: name }: NetworkCardConfig): BandwidthGroup | undefined =>
  name !== undefined && groups.has(name) ? groups.get(name) : undefined;

const forwardsOf = ({ attachment }: NetworkCardConfig): readonly string[] | undefined =>
  attachment.kind === 'nat' ? attachment.forwards : undefined;

/** What the relay has to know from the beginning; the rest can change meanwhile. */
function wayOf({ slot, type, mac, attachment, promiscuous }: NetworkCardConfig): string {
  const way = attachment.kind === 'nat' ? { ...attachment, forwards: [] } : attachment;
  return JSON.stringify([slot, type, mac, way, promiscuous]);
}

const keyOf = (machine: string, slot: number): string => `${machine} ${slot}`;
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const requestOf = (card: NetworkCardConfig, direct: boolean): Uint8Array => json({ card, direct });
