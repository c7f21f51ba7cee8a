/**
 * The page's networks, and the whole surface the page has to them. A card's frames go through its packet ring; what is
 * said here is which ring leads where, and how that goes.
 */
import * as Comlink from 'comlink';
import { CodedError } from '#base/errors.ts';
import { macBytes, type NetworkCardConfig } from '#emu/host/network-card.ts';
import { createWire } from '#emu/host/packet-port.ts';
import { PacketRingEnd } from '#emu/host/packet-ring.ts';
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
  random(): number;
}

interface Plugged {
  readonly end: PacketRingEnd;
  readonly stopPump: () => void;
  client: RelayClient;
  card: NetworkCardConfig;
}

export class NetworkService {
  readonly #thread: NetworkThread;
  readonly #listeners: ((event: NetworkEvent) => void)[] = [];
  readonly #plugged = new Map<string, Plugged>();
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
    const client = this.#connect(end, request);
    this.#plugged.set(key, { end, client, card, stopPump: pumpRing(end, () => this.#thread.yieldNow()) });
  }

  /** Leads a cable elsewhere; also tries again where the relay had refused. No cable: nothing happens. */
  replug(machine: string, card: NetworkCardConfig, relay: RelayAddress): void {
    const plugged = this.#plugged.get(keyOf(machine, card.slot));
    if (!plugged) return;
    const { card: before } = plugged;
    plugged.card = card;
    if (before.attachment.kind === 'nat' && card.attachment.kind === 'nat') {
      const { forwards } = card.attachment;
      const same = { ...before, attachment: { ...before.attachment, forwards } };
      if (JSON.stringify(same) === JSON.stringify(card) && JSON.stringify(before) !== JSON.stringify(card)) {
        // Connections of the guest outlive this.
        plugged.client.change(json({ forwards }), requestOf(card, false));
        return;
      }
    }
    plugged.client.close();
    plugged.client = this.#connect(plugged.end, { machine, card, relay });
  }

  /** Takes all cables of a machine out, for good. */
  unplug(machine: string): void {
    for (const [key, { client, stopPump }] of this.#plugged) {
      if (!key.startsWith(`${machine} `)) continue;
      this.#plugged.delete(key);
      client.close();
      stopPump();
    }
  }

  #connect(end: PacketRingEnd, { machine, card, relay }: Pick<PlugRequest, 'machine' | 'card' | 'relay'>): RelayClient {
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
    const after = (ms: number, call: () => void): (() => void) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    };
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

const keyOf = (machine: string, slot: number): string => `${machine} ${slot}`;
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const requestOf = (card: NetworkCardConfig, direct: boolean): Uint8Array => json({ card, direct });
