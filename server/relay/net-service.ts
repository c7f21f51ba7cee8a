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
import { createWire } from '#emu/host/packet-port.ts';
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
import { Networks, type Place } from '../net/networks.ts';
import { type FrameFigures, GuardedPort } from './guarded-port.ts';
import { type MeetingGuest, Meetings } from './meetings.ts';
import { type MetricFamily, metric } from './metrics.ts';
import { checkCard, type NetRights, OWN_PAGE_RIGHTS, parseNetRights } from './net-rights.ts';
import { type CardOwner, type JoinedNetwork, KEEP_MS, ParkedNetworks } from './parked-networks.ts';
import { CLOSE, type ConnectionHandler, type RelayConnection, type RelayService } from './service.ts';
import { TokenLimits } from './token-limits.ts';

const ATTACH_MS = 10_000;
const MOST_FORWARDS = 64;

const readText = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
const status = (value: RelayStatus): Uint8Array => encodeStatus(Buffer.from(JSON.stringify(value)));

export class NetService implements RelayService {
  readonly name = 'net';
  readonly mostMessageBytes: number = MOST_MESSAGE_BYTES;
  // Credit bounds what is on its way in frames; the rest is small.
  readonly mostBufferedBytes: number = 2 * FIRST_CREDIT;
  readonly #networks: Networks;
  readonly #cards = new Set<CardConnection>();
  readonly #meetings = new Meetings();
  readonly #parked: ParkedNetworks;
  readonly #limits: TokenLimits;
  readonly #figures: FrameFigures = { framesFromCards: 0, framesToCards: 0, spoofed: 0 };

  /**
   * @param networks those that its owner has set up
   * @param keepMs how long NAT waits for a card that was lost
   */
  constructor(networks: Networks = new Networks(), keepMs: number = KEEP_MS) {
    this.#networks = networks;
    this.#parked = new ParkedNetworks(keepMs);
    this.#limits = new TokenLimits(networks.groups);
  }

  connect(connection: RelayConnection): ConnectionHandler {
    const rights = parseNetRights(connection.claims.rights[this.name]);
    const { subject } = connection.claims;
    const others = [...this.#cards].filter((card) => card.subject === subject).length;
    if (others >= rights.cards)
      throw new CodedError('too-many-cards', `${subject} has ${others} cards here already; its token allows no more`);
    const card = new CardConnection(connection, rights, {
      join: (config) => this.#join({ subject, rights, config }),
      park: (owner, network) => this.#parked.park(owner, network),
      meetings: this.#meetings,
      figures: this.#figures,
      closed: () => this.#cards.delete(card),
    });
    this.#cards.add(card);
    return card;
  }

  async #join(owner: CardOwner): Promise<JoinedNetwork> {
    const { subject, rights, config } = owner;
    // A card that comes again has lost its connection, whether we know that yet or not.
    for (const card of [...this.#cards]) if (card.isSame(owner)) card.lost();
    const parked = this.#parked.take(owner);
    if (parked) return parked;
    const [near, cable] = createWire();
    const { bandwidthGroup: _, ...rest } = config;
    const nat = rights.nat ?? { loopback: false, private: false, public: false };
    if (rights.bitsPerSecond === undefined) {
      const attachment = await this.#networks.attach(rest, cable, nat);
      return { near, attachment, close: () => attachment.close() };
    }
    const { group, leave } = this.#limits.join(subject, rights.bitsPerSecond);
    try {
      const attachment = await this.#networks.attach({ ...rest, bandwidthGroup: group }, cable, nat);
      const close = (): void => {
        attachment.close();
        leave();
      };
      return { near, attachment, close };
    } catch (cause) {
      leave();
      throw cause;
    }
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
      metric('gauge', 'tabbox_net_parked', 'Cards that were lost and may come back to their NAT.', this.#parked.size),
      metric('gauge', 'tabbox_net_direct_pairs', 'Pairs of cards that need no relay.', this.#meetings.directPairs),
      metric('counter', 'tabbox_net_spoofed_frames', 'Frames that were dropped for their source address.', spoofed),
    ];
  }

  close(): void {
    for (const card of [...this.#cards]) card.closed(false);
    this.#parked.close();
    this.#limits.close();
  }
}

interface CardParts {
  join(card: NetworkCardConfig): Promise<JoinedNetwork>;
  park(owner: CardOwner, network: JoinedNetwork): void;
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
  #config: NetworkCardConfig | undefined;
  #joined: JoinedNetwork | undefined;
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
    const joined = await this.#parts.join(config);
    const { near, attachment } = joined;
    if (this.#state === 'closed') {
      joined.close();
      return;
    }
    this.#config = config;
    this.#joined = joined;
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
    this.#connection.send(status({ kind: 'attached', network: describe(config, attachment.about) }));
    near.setLink(true);
    if (attachment.place) this.#meet(config, attachment.place, direct === true);
  }

  /** Forwarded ports change while connections go on; of several changes at once the last one counts. */
  #change(config: NetworkCardConfig, change: unknown): void {
    const nat = this.#joined?.attachment.nat;
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

  /** Whether it is this card, of the same machine. */
  isSame({ subject, config }: CardOwner): boolean {
    return this.subject === subject && this.#config?.slot === config.slot && this.#config.mac === config.mac;
  }

  /** The same card is here again, through another connection. */
  lost(): void {
    this.closed(true);
    this.#connection.close(CLOSE.goingAway, 'replaced: this card has come again');
  }

  closed(isLost: boolean): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.kind = undefined;
    clearTimeout(this.#timer);
    this.#guest?.leave();
    this.#channel?.close();
    this.#parts.closed();
    const [config, joined] = [this.#config, this.#joined];
    if (!config || !joined) return;
    const { attachment } = config;
    if (!isLost || attachment.kind !== 'nat' || this.#isChanging) {
      joined.close();
      return;
    }
    const forwards = this.#forwards ?? attachment.forwards;
    const owner = { ...config, attachment: { ...attachment, forwards } };
    this.#parts.park({ subject: this.subject, rights: this.#rights, config: owner }, joined);
  }
}

/** A few words for the page's status strip. @param about what of the host is there */
function describe({ slot, attachment }: NetworkCardConfig, about: string): string {
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
      return `${attachment.kind} ${attachment.adapter}${about === '' ? '' : `: ${about}`}`;
    case 'generic':
      return attachment.driver;
  }
}
