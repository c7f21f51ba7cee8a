/**
 * `/relay/net`: network cards of machines in pages. One connection is one card's cable; `wire/relay` of net-relay has the
 * messages.
 *
 *   state      message     next      done
 *   new        attach      joining   settings and rights are checked, the network is joined
 *   joining    (none may come; the network is there)   attached   status `attached`
 *   attached   frames, credit                          attached   `FrameChannel` has them
 *   any        anything else, 10 s without attach      closed
 */
import { CodedError } from '#base/errors.ts';
import { macBytes, type NetworkCardConfig, type NicAttachment } from '#emu/host/network-card.ts';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { parseNetworkCard } from '#storage/settings/machine-settings.ts';
import { parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { FrameChannel } from '../../src/net-relay/transports/frame-channel.ts';
import {
  decodeRelay,
  encodePeer,
  encodeStatus,
  FIRST_CREDIT,
  MOST_MESSAGE_BYTES,
  type RelayStatus,
} from '../../src/net-relay/wire/relay.ts';
import type { NatDriver } from '../net/nat-driver.ts';
import { type Attachment, Networks, type Place } from '../net/networks.ts';
import { type FrameFigures, GuardedPort } from './guarded-port.ts';
import { type MeetingGuest, Meetings } from './meetings.ts';
import { type MetricFamily, metric } from './metrics.ts';
import { checkCard, type NetRights, OWN_PAGE_RIGHTS, parseNetRights } from './net-rights.ts';
import { CLOSE, type ConnectionHandler, type RelayConnection, type RelayService } from './service.ts';

const ATTACH_MS = 10_000;
const BYTE_BITS = 8;
const MOST_FORWARDS = 64;

const readText = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
const status = (value: RelayStatus): Uint8Array => encodeStatus(Buffer.from(JSON.stringify(value)));

export class NetService implements RelayService {
  readonly name = 'net';
  readonly mostMessageBytes: number = MOST_MESSAGE_BYTES;
  // Credit bounds what is on its way in frames; the rest is small.
  readonly mostBufferedBytes: number = 2 * FIRST_CREDIT;
  readonly #networks = new Networks();
  readonly #cards = new Set<CardConnection>();
  readonly #meetings = new Meetings();
  readonly #figures: FrameFigures = { framesFromCards: 0, framesToCards: 0, spoofed: 0 };

  connect(connection: RelayConnection): ConnectionHandler {
    const rights = parseNetRights(connection.claims.rights[this.name]);
    const { subject } = connection.claims;
    const others = [...this.#cards].filter((card) => card.subject === subject).length;
    if (others >= rights.cards)
      throw new CodedError('too-many-cards', `${subject} has ${others} cards here already; its token allows no more`);
    const card = new CardConnection(connection, rights, {
      join: (config, cable) => this.#join(subject, rights, config, cable),
      meetings: this.#meetings,
      figures: this.#figures,
      closed: () => this.#cards.delete(card),
    });
    this.#cards.add(card);
    return card;
  }

  async #join(subject: string, rights: NetRights, card: NetworkCardConfig, cable: PacketPort): Promise<Attachment> {
    const { bandwidthGroup: _, ...rest } = card;
    const nat = rights.nat ?? { loopback: false, private: false, public: false };
    if (rights.bitsPerSecond === undefined) return this.#networks.attach(rest, cable, nat);
    const group = `token ${subject}`;
    this.#networks.setGroup(group, rights.bitsPerSecond / BYTE_BITS);
    return this.#networks.attach({ ...rest, bandwidthGroup: group }, cable, nat);
  }

  ownPageRights(): unknown {
    return OWN_PAGE_RIGHTS;
  }

  metrics(): MetricFamily[] {
    const kinds = ['null', 'nat', 'intnet', 'natnetwork', 'hostonly', 'bridged', 'generic'] as const;
    const { framesFromCards, framesToCards, spoofed } = this.#figures;
    const attached = [...this.#cards].map(({ kind }) => kind);
    return [
      {
        ...{ type: 'gauge', name: 'tabbox_net_cards', help: 'Cards that are attached.' },
        samples: kinds.map((kind) => ({
          labels: { attachment: kind },
          value: attached.filter((one) => one === kind).length,
        })),
      },
      {
        ...{ type: 'counter', name: 'tabbox_net_frames', help: 'Frames from and to cards.' },
        samples: [
          { labels: { direction: 'from' }, value: framesFromCards },
          { labels: { direction: 'to' }, value: framesToCards },
        ],
      },
      metric('gauge', 'tabbox_net_direct_pairs', 'Pairs of cards that need no relay.', this.#meetings.directPairs),
      metric('counter', 'tabbox_net_spoofed_frames', 'Frames that were dropped for their source address.', spoofed),
    ];
  }

  close(): void {
    for (const card of [...this.#cards]) card.closed();
  }
}

interface CardParts {
  join(card: NetworkCardConfig, cable: PacketPort): Promise<Attachment>;
  readonly meetings: Meetings;
  readonly figures: FrameFigures;
  closed(): void;
}

class CardConnection implements ConnectionHandler {
  readonly subject: string;
  readonly #connection: RelayConnection;
  readonly #rights: NetRights;
  readonly #parts: CardParts;
  readonly #timer: NodeJS.Timeout;
  #state: 'new' | 'joining' | 'attached' | 'closed' = 'new';
  #channel: FrameChannel | undefined;
  #attachment: Attachment | undefined;
  #guest: MeetingGuest | undefined;
  /** Rules that are in force, as they were given, and those that are to be. */
  #forwards: readonly string[] | undefined;
  #wanted: readonly string[] | undefined;
  #isChanging = false;
  /** Undefined until it is attached. */
  kind: NicAttachment['kind'] | undefined;

  constructor(connection: RelayConnection, rights: NetRights, parts: CardParts) {
    this.#connection = connection;
    this.#rights = rights;
    this.#parts = parts;
    this.subject = connection.claims.subject;
    this.#timer = setTimeout(() => connection.close(CLOSE.protocol, 'no-attach: nothing was asked for'), ATTACH_MS);
    this.#timer.unref();
  }

  message(message: Uint8Array | string): void {
    if (this.#state === 'attached' && typeof message !== 'string') {
      this.#channel?.take(message);
      return;
    }
    const decoded = typeof message === 'string' ? undefined : decodeRelay(message, readText);
    if (this.#state !== 'new' || decoded?.kind !== 'attach') {
      throw new CodedError('bad-message', 'not a message that may come now');
    }
    this.#state = 'joining';
    clearTimeout(this.#timer);
    this.#attach(decoded.request).catch((cause: unknown) => {
      if (!(cause instanceof CodedError)) {
        console.error(`relay: net failed for ${this.subject}:`, cause);
        this.#connection.close(CLOSE.internal, 'internal: the relay failed; its log says more');
        return;
      }
      const { code, message: why } = cause;
      this.#connection.send(status({ kind: 'refused', code, message: why }));
      this.#connection.close(CLOSE.rights, `${code}: ${why}`);
    });
  }

  async #attach(request: unknown): Promise<void> {
    const { card, direct } = (request ?? {}) as { readonly card?: unknown; readonly direct?: unknown };
    const config = parseNetworkCard(card);
    checkCard(this.#rights, config);
    const [near, far] = createWire();
    const attachment = await this.#parts.join(config, far);
    if (this.#state === 'closed') {
      attachment.close();
      return;
    }
    this.#attachment = attachment;
    this.kind = config.attachment.kind;
    const source = this.#rights.otherMacs ? undefined : macBytes(config.mac);
    this.#channel = new FrameChannel(new GuardedPort(near, source, this.#parts.figures), {
      send: (message) => this.#connection.send(message),
      // What the sockets bring in one turn of the event loop goes in one message.
      soon: (flush) => setImmediate(flush),
      readText,
      onStatus: () => this.#broken('a status, which is for the relay to send'),
      onChange: (change) => this.#change(config, change),
      onPeer: (message) => this.#guest?.take(message),
      onBroken: (why) => this.#broken(why),
    });
    this.#state = 'attached';
    this.#connection.send(status({ kind: 'attached', network: describe(config) }));
    near.setLink(true);
    if (attachment.place) this.#meet(config, attachment.place, direct === true);
  }

  /** Forwarded ports change while connections go on; of several changes at once the last one counts. */
  #change(config: NetworkCardConfig, change: unknown): void {
    const nat = this.#attachment?.nat;
    const { attachment } = config;
    const { forwards } = (change ?? {}) as { readonly forwards?: unknown };
    if (!nat || attachment.kind !== 'nat') throw new CodedError('bad-message', 'this card has no forwarded ports');
    const wanted = parseNetworkCard({ ...config, attachment: { ...attachment, forwards } });
    checkCard(this.#rights, wanted);
    const rules = wanted.attachment.kind === 'nat' ? wanted.attachment.forwards : [];
    if (rules.length > MOST_FORWARDS) throw new CodedError('bad-message', `more than ${MOST_FORWARDS} forwarded ports`);
    this.#wanted = rules;
    this.#forwards ??= attachment.forwards;
    if (this.#isChanging) return;
    this.#isChanging = true;
    this.#followRules(nat)
      .then(
        () => '',
        (cause: unknown) => (cause instanceof CodedError ? cause.message : String(cause)),
      )
      .then((message) => {
        this.#isChanging = false;
        this.#connection.send(status({ kind: 'note', message }));
      });
  }

  async #followRules(nat: NatDriver): Promise<void> {
    for (let wanted = this.#wanted; wanted; wanted = this.#wanted) {
      this.#wanted = undefined;
      for (const text of this.#forwards ?? []) {
        if (wanted.includes(text)) continue;
        this.#forwards = this.#forwards?.filter((one) => one !== text);
        await nat.forwards.delete(parseForwardRule(text).name);
      }
      for (const text of wanted) {
        if (this.#forwards?.includes(text)) continue;
        await nat.forwards.add(parseForwardRule(text));
        this.#forwards = [...(this.#forwards ?? []), text];
      }
    }
  }

  #meet(config: NetworkCardConfig, place: Place, isWilling: boolean): void {
    const { direct, otherMacs, bitsPerSecond } = this.#rights;
    this.#guest = this.#parts.meetings.join({
      place,
      mac: otherMacs ? null : config.mac,
      // What goes around the relay is not counted by it.
      isWilling: isWilling && direct && bitsPerSecond === undefined,
      isNosy: (config.promiscuous ?? 'deny') !== 'deny',
      send: (message) => this.#connection.send(encodePeer(Buffer.from(JSON.stringify(message)))),
    });
  }

  #broken(why: string): void {
    this.#connection.close(CLOSE.protocol, `protocol: ${why}`);
  }

  closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.kind = undefined;
    clearTimeout(this.#timer);
    this.#guest?.leave();
    this.#channel?.close();
    this.#attachment?.close();
    this.#parts.closed();
  }
}

/** A few words for the page's status strip. */
function describe({ slot, attachment }: NetworkCardConfig): string {
  switch (attachment.kind) {
    case 'null':
      return 'not attached';
    case 'nat':
      return `nat ${attachment.network || `10.0.${slot + 1}.0/24`}`;
    case 'intnet':
    case 'natnetwork':
      return `${attachment.kind} ${attachment.network}`;
    case 'hostonly':
    case 'bridged':
      return `${attachment.kind} ${attachment.adapter}`;
    case 'generic':
      return attachment.driver;
  }
}
