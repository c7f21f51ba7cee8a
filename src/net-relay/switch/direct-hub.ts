/**
 * One card with several ways out: the relay, and peers of its internal network that it reaches directly.
 *
 * A frame of the card to a station that a peer has sent from goes to that peer; one to a station of the relay's to the
 * relay; anything else to all. Nothing is passed from one way to another, so there are no loops: the relay's switch
 * passes nothing between cards that have met. Flow control is that of the way that a frame takes; copies for all are
 * queued, and dropped when a way stays full, as by a switch.
 */
import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { isGroupMac, type Mac, readMac } from '../wire/address.ts';
import { FrameQueue } from './frame-queue.ts';

const QUEUE_BYTES = 256 * 1024;
const MOST_STATIONS = 1024;

class Way implements PacketReceiver {
  readonly port: PacketPort;
  readonly queue: FrameQueue;
  /** The only source that its frames may have; undefined: any. */
  readonly source: Mac | undefined;
  /** It refused a frame of the card's. */
  hasRefused = false;
  /** The card refused a frame of its. */
  waits = false;
  readonly #hub: DirectHub;

  constructor(hub: DirectHub, port: PacketPort, source: Mac | undefined) {
    this.#hub = hub;
    this.port = port;
    this.source = source;
    this.queue = new FrameQueue(port, QUEUE_BYTES);
    port.connect(this);
    port.setLink(true);
  }

  receive(frame: Uint8Array): boolean {
    return this.#hub.fromWay(this, frame);
  }

  resume(): void {
    if (!this.queue.resume() || !this.hasRefused) return;
    this.hasRefused = false;
    this.#hub.cardMaySend();
  }

  linkChanged(): void {
    if (!this.port.linkUp) this.queue.clear();
    this.#hub.wayChanged(this);
    this.resume();
  }
}

export class DirectHub implements PacketReceiver {
  readonly #card: PacketPort;
  readonly #relay: Way;
  readonly #peers = new Set<Way>();
  readonly #stations = new Map<Mac, Way>();
  /** Frames of peers with another source than theirs. */
  spoofed = 0;

  /** @param card its cable's end on this side @param relay the end of a cable that leads to the relay */
  constructor(card: PacketPort, relay: PacketPort) {
    this.#card = card;
    this.#relay = new Way(this, relay, undefined);
    card.connect(this);
    card.setLink(relay.linkUp);
  }

  /**
   * @param port the end of a cable that leads to the peer
   * @param source the only one that its frames may have
   * @returns takes it out
   */
  addPeer(port: PacketPort, source: Mac | undefined): () => void {
    const way = new Way(this, port, source);
    this.#peers.add(way);
    return () => {
      if (!this.#peers.delete(way)) return;
      this.#forget(way);
      port.setLink(false);
      if (way.hasRefused) this.cardMaySend();
    };
  }

  get peers(): number {
    return this.#peers.size;
  }

  // The card.

  receive(frame: Uint8Array): boolean {
    const to = readMac(frame, 0);
    const known = isGroupMac(to) ? undefined : this.#stations.get(to);
    if (known) {
      // What waits in the queue came first.
      if (known.queue.isReady && known.port.send(frame)) return true;
      known.hasRefused = true;
      return false;
    }
    this.#relay.queue.send(frame, false);
    for (const peer of this.#peers) peer.queue.send(frame, false);
    return true;
  }

  resume(): void {
    for (const way of [this.#relay, ...this.#peers]) {
      if (!way.waits) continue;
      way.waits = false;
      way.port.resume();
    }
  }

  linkChanged(): void {
    this.resume();
  }

  // The ways.

  /** @internal */
  fromWay(way: Way, frame: Uint8Array): boolean {
    const source = readMac(frame, 6);
    if (way.source !== undefined && source !== way.source) {
      this.spoofed++;
      return true;
    }
    if (!this.#card.send(frame)) {
      way.waits = true;
      return false;
    }
    if (isGroupMac(source) || this.#stations.get(source) === way) return true;
    if (this.#stations.size >= MOST_STATIONS) this.#stations.clear();
    this.#stations.set(source, way);
    return true;
  }

  /** @internal */
  cardMaySend(): void {
    this.#card.resume();
  }

  /** @internal */
  wayChanged(way: Way): void {
    // The card's link is the relay's: without it nobody knows who else is there.
    if (way === this.#relay) this.#card.setLink(way.port.linkUp);
    if (!way.port.linkUp) this.#forget(way);
  }

  #forget(way: Way): void {
    for (const [mac, at] of this.#stations) if (at === way) this.#stations.delete(mac);
  }
}
