/**
 * Cards of one internal network come to know each other here, so that they can send frames without the relay. The relay
 * carries what WebRTC has to say (`PeerMessage` of wire/relay), and its switch stops passing frames between two cards
 * once both say that they have a direct way; as soon as one says that it is gone, it passes them again.
 *
 * A card that may look at others' frames sees only what goes through the switch, so nobody goes around it while there is
 * one on the network.
 */
import { CodedError } from '#base/errors.ts';
import type { EthernetSwitch } from '../../src/net-relay/switch/ethernet-switch.ts';
import type { PeerMessage } from '../../src/net-relay/wire/relay.ts';
import type { Place } from '../net/networks.ts';

export interface MeetingParts {
  readonly place: Place;
  /** The only source that its frames may have, as peers are told; null: any. */
  readonly mac: string | null;
  readonly isWilling: boolean;
  /** It may see frames that are not for it. */
  readonly isNosy: boolean;
  send(message: PeerMessage): void;
}

/** More would be a full mesh that costs a page more than the relay does. */
const MOST_PEERS = 8;

export class MeetingGuest {
  readonly number: number;
  readonly parts: MeetingParts;
  /** Whom it was introduced to, and whether it says that the way is direct. */
  readonly peers = new Map<MeetingGuest, boolean>();
  readonly #meetings: Meetings;

  constructor(meetings: Meetings, number: number, parts: MeetingParts) {
    this.#meetings = meetings;
    this.number = number;
    this.parts = parts;
  }

  /** @throws CodedError<'bad-message'> for what is the relay's to say */
  take(message: PeerMessage): void {
    if (message.kind === 'meet' || message.kind === 'part')
      throw new CodedError('bad-message', `'${message.kind}' is for the relay to say`);
    // It may have gone while this was on its way.
    const peer = [...this.peers.keys()].find(({ number }) => number === message.peer);
    if (!peer) return;
    if (message.kind === 'signal') peer.parts.send({ kind: 'signal', peer: this.number, data: message.data });
    else this.#meetings.setDirect(this, peer, message.on);
  }

  leave(): void {
    this.#meetings.leave(this);
  }
}

export class Meetings {
  readonly #guests = new Map<EthernetSwitch, Set<MeetingGuest>>();
  #last = 0;

  get directPairs(): number {
    let halves = 0;
    for (const guests of this.#guests.values())
      for (const one of guests) for (const other of one.peers.keys()) if (isDirect(one, other)) halves++;
    return halves / 2;
  }

  join(parts: MeetingParts): MeetingGuest {
    const guest = new MeetingGuest(this, ++this.#last, parts);
    const { network } = parts.place;
    const guests = this.#guests.get(network) ?? new Set();
    this.#guests.set(network, guests);
    guests.add(guest);
    if (parts.isNosy) this.#partAll(guests);
    else this.#introduce(guests, guest);
    return guest;
  }

  leave(guest: MeetingGuest): void {
    const { network } = guest.parts.place;
    const guests = this.#guests.get(network);
    if (!guests?.delete(guest)) return;
    for (const peer of [...guest.peers.keys()]) this.#part(guest, peer);
    if (guests.size === 0) this.#guests.delete(network);
    // The last one that looked has gone.
    else if (guest.parts.isNosy) for (const one of guests) this.#introduce(guests, one);
  }

  setDirect(from: MeetingGuest, to: MeetingGuest, on: boolean): void {
    from.peers.set(to, on);
    const { network, port } = from.parts.place;
    network.setDirect(port, to.parts.place.port, isDirect(from, to));
  }

  #introduce(guests: ReadonlySet<MeetingGuest>, guest: MeetingGuest): void {
    if (!guest.parts.isWilling || [...guests].some(({ parts }) => parts.isNosy)) return;
    for (const peer of guests) {
      if (peer === guest || !peer.parts.isWilling || guest.peers.has(peer)) continue;
      if (guest.peers.size >= MOST_PEERS || peer.peers.size >= MOST_PEERS) continue;
      guest.peers.set(peer, false);
      peer.peers.set(guest, false);
      guest.parts.send({ kind: 'meet', peer: peer.number, isInitiator: true, mac: peer.parts.mac });
      peer.parts.send({ kind: 'meet', peer: guest.number, isInitiator: false, mac: guest.parts.mac });
    }
  }

  #partAll(guests: ReadonlySet<MeetingGuest>): void {
    for (const one of guests) for (const peer of [...one.peers.keys()]) this.#part(one, peer);
  }

  #part(one: MeetingGuest, other: MeetingGuest): void {
    one.peers.delete(other);
    other.peers.delete(one);
    one.parts.place.network.setDirect(one.parts.place.port, other.parts.place.port, false);
    one.parts.send({ kind: 'part', peer: other.number });
    other.parts.send({ kind: 'part', peer: one.number });
  }
}

const isDirect = (a: MeetingGuest, b: MeetingGuest): boolean => a.peers.get(b) === true && b.peers.get(a) === true;
