/**
 * The machine's side of a relay: keeps a WebSocket to it, and a cable plugged in while it is there. When the relay goes
 * away the link goes down, and comes back when the relay does; the machine notices a pulled cable and nothing else.
 *
 *   state        event                    next          done
 *   idle         start                    connecting
 *   connecting   opened                   connecting    asks to be attached
 *                status `attached`        attached      link up, back-off begins anew
 *                refused                  refused       a person has to do something: no more tries
 *                closed, 15 s             waiting
 *   attached     closed, broken           waiting       link down
 *   waiting      time (0.5 s to 30 s)     connecting
 */
import type { PacketPort } from '#emu/host/packet-port.ts';
import { encodeAttach, encodeChange, type PeerMessage, type RelayStatus } from '../wire/relay.ts';
import { FrameChannel } from './frame-channel.ts';

/** What is needed of a WebSocket, the page's or Node's. */
export interface Carrier {
  send(message: Uint8Array): void;
  close(): void;
}

/** Why a relay does not want a connection, now or later. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

export interface CarrierEvents {
  opened(): void;
  message(bytes: Uint8Array): void;
  /** Called once. @param refusal undefined: it may work later */
  closed(refusal?: Refusal): void;
}

export interface RelayClientParts {
  /** What the card is to be attached to, for the relay: JSON as UTF-8. */
  readonly request: Uint8Array;
  /** Opens a connection to the relay. */
  open(events: CarrierEvents): Carrier;
  /** Calls back after a time. @returns stops that */
  after(ms: number, call: () => void): () => void;
  soon(flush: () => void): void;
  readText(bytes: Uint8Array): string;
  /** From 0 to 1: spreads the tries of many pages after a relay's restart. */
  random(): number;
  onState(state: RelayState): void;
  /** Other cards of the network that can be reached directly. Left out: the relay says nothing of them. */
  onPeer?(message: PeerMessage): void;
}

export type RelayState =
  | { readonly kind: 'connecting' }
  /** @property note what went wrong with the last change; '': nothing */
  | { readonly kind: 'attached'; readonly network: string; readonly note?: string }
  | { readonly kind: 'waiting'; readonly ms: number; readonly tries: number }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'closed' };

const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 30_000;
const ATTACH_MS = 15_000;

export class RelayClient {
  readonly #cable: PacketPort;
  readonly #parts: RelayClientParts;
  #carrier: Carrier | undefined;
  #channel: FrameChannel | undefined;
  #stopTimer: () => void = () => {};
  #tries = 0;
  #isOver = false;
  #request: Uint8Array;
  /** Of the relay that the card is attached to. */
  #network: string | undefined;

  /** @param cable its end on the network's side */
  constructor(cable: PacketPort, parts: RelayClientParts) {
    this.#cable = cable;
    this.#parts = parts;
    this.#request = parts.request;
  }

  start(): void {
    if (this.#isOver) return;
    this.#parts.onState({ kind: 'connecting' });
    // Events of a connection that was given up mean nothing.
    let isCurrent = true;
    const lost = (refusal?: Refusal): void => {
      if (!isCurrent) return;
      isCurrent = false;
      if (refusal) this.#refused(refusal);
      else this.#lost();
    };
    const { onPeer } = this.#parts;
    const channel = new FrameChannel(this.#cable, {
      send: (message) => this.#carrier?.send(message),
      soon: (flush) => this.#parts.soon(flush),
      readText: (bytes) => this.#parts.readText(bytes),
      onStatus: (status) => this.#status(status),
      ...(onPeer ? { onPeer: (message: PeerMessage) => onPeer(message) } : {}),
      onBroken: () => lost(),
    });
    this.#channel = channel;
    this.#carrier = this.#parts.open({
      opened: () => {
        if (isCurrent) this.#carrier?.send(encodeAttach(this.#request));
      },
      message: (bytes) => {
        if (isCurrent) channel.take(bytes);
      },
      closed: lost,
    });
    this.#stopTimer = this.#parts.after(ATTACH_MS, () => lost());
  }

  /** Says something to or about a peer. @param message as `encodePeer` has it */
  sendPeer(message: Uint8Array): void {
    this.#carrier?.send(message);
  }

  /**
   * Changes something without a new connection.
   * @param change for the relay, JSON as UTF-8 @param request what to ask for the next time, as `RelayClientParts` has it
   */
  change(change: Uint8Array, request: Uint8Array): void {
    this.#request = request;
    // Before that, the request may have been sent already; then it is refused as a change of nothing at worst.
    if (this.#network !== undefined) this.#carrier?.send(encodeChange(change));
  }

  #status(status: RelayStatus): void {
    this.#stopTimer();
    if (status.kind === 'note') {
      const network = this.#network ?? '';
      this.#parts.onState({ kind: 'attached', network, note: status.message });
      return;
    }
    if (status.kind === 'attached') {
      this.#tries = 0;
      this.#network = status.network;
      this.#parts.onState(status);
      this.#cable.setLink(true);
      return;
    }
    this.#refused(status);
  }

  #refused({ code, message }: Refusal): void {
    this.#stopTimer();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#drop();
    this.#parts.onState({ kind: 'refused', code, message });
  }

  #lost(): void {
    this.#stopTimer();
    this.#drop();
    if (this.#isOver) return;
    const most = Math.min(FIRST_WAIT_MS * 2 ** this.#tries++, MOST_WAIT_MS);
    const ms = Math.round(most / 2 + (most / 2) * this.#parts.random());
    this.#parts.onState({ kind: 'waiting', ms, tries: this.#tries });
    this.#stopTimer = this.#parts.after(ms, () => this.start());
  }

  #drop(): void {
    this.#network = undefined;
    this.#channel?.close();
    this.#channel = undefined;
    const carrier = this.#carrier;
    this.#carrier = undefined;
    carrier?.close();
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer();
    this.#drop();
    this.#parts.onState({ kind: 'closed' });
  }
}
