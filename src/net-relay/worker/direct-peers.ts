/**
 * The direct ways of one card on an internal network: WebRTC data channels to other tabs. WebRTC itself is the page's,
 * because workers have none; what it has to say and its messages go through a `MessagePort` for each peer.
 *
 *   relay: meet      the page is asked for a connection
 *   page: signal     to the peer, through the relay; and back
 *   page: open       the hub has another way; the relay hears `direct`
 *   page: closed, a broken protocol, relay: part, relay lost      the way is gone, the relay hears it and carries all
 */
import { macBytes } from '#emu/host/network-card.ts';
import { createWire } from '#emu/host/packet-port.ts';
import type { DirectHub } from '../switch/direct-hub.ts';
import { FrameChannel } from '../transports/frame-channel.ts';
import { readMac } from '../wire/address.ts';
import { encodePeer, type PeerMessage } from '../wire/relay.ts';

/** A connection that the page is to make. */
export interface PeerRequest {
  readonly isInitiator: boolean;
  /** Carries `PeerNews` from the page and `PeerOrder` to it; either way a message of the channel is an ArrayBuffer. */
  readonly port: MessagePort;
}

export type PeerNews =
  | { readonly kind: 'signal'; readonly data: unknown }
  | { readonly kind: 'open' }
  | { readonly kind: 'closed' }
  | ArrayBuffer;

export type PeerOrder = { readonly kind: 'signal'; readonly data: unknown } | { readonly kind: 'close' } | ArrayBuffer;

export interface DirectPeersParts {
  readonly hub: DirectHub;
  connect(request: PeerRequest): void;
  /** To the relay. */
  send(message: Uint8Array): void;
  readText(bytes: Uint8Array): string;
  /** `open` is another. */
  changed(): void;
}

interface Peer {
  readonly port: MessagePort;
  readonly channel: FrameChannel;
  /** Undefined until the channel is open. */
  remove: (() => void) | undefined;
  readonly open: () => void;
}

export class DirectPeers {
  readonly #parts: DirectPeersParts;
  readonly #peers = new Map<number, Peer>();

  constructor(parts: DirectPeersParts) {
    this.#parts = parts;
  }

  /** Channels that carry frames. */
  get open(): number {
    return [...this.#peers.values()].filter(({ remove }) => remove !== undefined).length;
  }

  take(message: PeerMessage): void {
    const { peer } = message;
    if (message.kind === 'meet') this.#meet(message);
    else if (message.kind === 'signal') {
      this.#order(this.#peers.get(peer)?.port, { kind: 'signal', data: message.data });
    } else if (message.kind === 'part') this.#end(peer, false);
  }

  /** The relay is lost: who else is there is not known any more. */
  clear(): void {
    for (const peer of [...this.#peers.keys()]) this.#end(peer, false);
  }

  #meet({ peer, isInitiator, mac }: Extract<PeerMessage, { readonly kind: 'meet' }>): void {
    this.#end(peer, false);
    const { port1: port, port2 } = new MessageChannel();
    const [near, far] = createWire();
    const channel = new FrameChannel(far, {
      send: (message) => {
        const { buffer } = message.slice();
        port.postMessage(buffer, [buffer]);
      },
      soon: (flush) => queueMicrotask(flush),
      readText: (bytes) => this.#parts.readText(bytes),
      onStatus: () => this.#end(peer, true),
      onBroken: () => this.#end(peer, true),
    });
    const source = mac === null ? undefined : readMac(macBytes(mac), 0);
    const open = (): void => {
      const entry = this.#peers.get(peer);
      if (!entry || entry.remove) return;
      entry.remove = this.#parts.hub.addPeer(near, source);
      far.setLink(true);
      this.#tell({ kind: 'direct', peer, on: true });
      this.#parts.changed();
    };
    this.#peers.set(peer, { port, channel, open, remove: undefined });
    port.onmessage = ({ data }: MessageEvent<PeerNews>) => this.#news(peer, data);
    this.#parts.connect({ isInitiator, port: port2 });
  }

  #news(number: number, news: PeerNews): void {
    const peer = this.#peers.get(number);
    if (!peer) return;
    if (news instanceof ArrayBuffer) {
      // The other side may have been open first.
      peer.open();
      peer.channel.take(new Uint8Array(news));
    } else if (news.kind === 'open') peer.open();
    else if (news.kind === 'signal') this.#tell({ kind: 'signal', peer: number, data: news.data });
    else this.#end(number, true);
  }

  #end(number: number, tell: boolean): void {
    const peer = this.#peers.get(number);
    if (!peer) return;
    this.#peers.delete(number);
    this.#order(peer.port, { kind: 'close' });
    peer.remove?.();
    peer.channel.close();
    peer.port.close();
    if (tell) this.#tell({ kind: 'direct', peer: number, on: false });
    this.#parts.changed();
  }

  #order(port: MessagePort | undefined, order: PeerOrder): void {
    port?.postMessage(order);
  }

  #tell(message: PeerMessage): void {
    this.#parts.send(encodePeer(new TextEncoder().encode(JSON.stringify(message))));
  }
}
