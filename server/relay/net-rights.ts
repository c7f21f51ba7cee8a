// What a token says about networks, and whether a card's settings keep to it.

import * as v from 'valibot';
import { CodedError } from '#base/errors.ts';
import { MAX_NETWORK_CARDS, type NetworkCardConfig, parseMac } from '#emu/host/network-card.ts';

/** Names, or all of them. */
const names = v.union([v.literal('*'), v.array(v.pipe(v.string(), v.maxLength(200)))]);

const netRights = v.strictObject({
  /** Left out: no NAT. Whom it reaches, and whether ports of the relay's host may be forwarded. */
  nat: v.optional(
    v.strictObject({
      loopback: v.optional(v.boolean(), false),
      private: v.optional(v.boolean(), false),
      public: v.optional(v.boolean(), true),
      forwards: v.optional(v.boolean(), false),
    }),
  ),
  intnet: v.optional(names, []),
  natnetwork: v.optional(names, []),
  hostonly: v.optional(names, []),
  bridged: v.optional(names, []),
  generic: v.optional(v.array(v.picklist(['UDPTunnel', 'VDE'])), []),
  /** Policies beside `deny`. */
  promiscuous: v.optional(v.boolean(), false),
  /** Left out: any. */
  macs: v.optional(
    v.array(
      v.pipe(
        v.string(),
        v.check((mac) => parseMac(mac) === mac, '12 upper-case digits'),
      ),
    ),
  ),
  /** Frames may come from other addresses than the card's, as those of a bridge in the guest do. */
  otherMacs: v.optional(v.boolean(), false),
  /** Cards of an internal network may send to each other without the relay; they learn each other's IP addresses. */
  direct: v.optional(v.boolean(), false),
  cards: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_NETWORK_CARDS)), MAX_NETWORK_CARDS),
  /** What all cards of the token's subject may send together; left out: no limit. */
  bitsPerSecond: v.optional(v.pipe(v.number(), v.minValue(1))),
});

export type NetRights = v.InferOutput<typeof netRights>;

/** For pages of this server in browsers on this computer: whoever they are could start `tabbox run` as well. */
export const OWN_PAGE_RIGHTS: v.InferInput<typeof netRights> = {
  nat: { loopback: true, private: true, public: true, forwards: true },
  ...{ intnet: '*', natnetwork: '*', hostonly: '*', bridged: '*', generic: ['UDPTunnel', 'VDE'] },
  ...{ promiscuous: true, otherMacs: true, direct: true },
};

/** @throws CodedError<'bad-rights'> */
export function parseNetRights(rights: unknown): NetRights {
  const result = v.safeParse(netRights, rights);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const message = `rights.net.${v.getDotPath(issue) ?? ''} of the token: ${issue.message}`;
  throw new CodedError('bad-rights', message);
}

const includes = (allowed: NetRights['intnet'], name: string): boolean => allowed === '*' || allowed.includes(name);

/** @throws CodedError<'not-allowed'> */
export function checkCard(rights: NetRights, { attachment, promiscuous, mac, slot }: NetworkCardConfig): void {
  const refuse = (what: string): CodedError =>
    new CodedError('not-allowed', `network card ${slot}: the join token does not allow ${what}; ask for another`);
  if ((promiscuous ?? 'deny') !== 'deny' && !rights.promiscuous) throw refuse(`promiscuous mode ${promiscuous}`);
  if (rights.macs && !rights.macs.includes(mac)) throw refuse(`the address ${mac}`);
  switch (attachment.kind) {
    case 'null':
      return;
    case 'nat':
      if (!rights.nat) throw refuse('NAT');
      if (attachment.forwards.length > 0 && !rights.nat.forwards) throw refuse('port forwarding');
      if (attachment.localhostReachable && !rights.nat.loopback) throw refuse("the relay's loopback");
      if (attachment.hostResolver && !rights.nat.private) throw refuse("names of the relay's own network");
      if (attachment.bindIp && !rights.nat.private) throw refuse("an address of the relay's to connect from");
      // A page, or a machine that somebody handed to its user, has no business in the folders of this computer.
      if (attachment.tftpFolder) throw refuse('TFTP folders; tabbox run has them');
      return;
    case 'intnet':
      if (!includes(rights.intnet, attachment.network)) throw refuse(`the internal network '${attachment.network}'`);
      return;
    case 'natnetwork':
      // Its NAT is everybody's who is attached, and has the usual reach.
      if (!includes(rights.natnetwork, attachment.network) || !rights.nat?.private || !rights.nat.public)
        throw refuse(`the NAT network '${attachment.network}'`);
      return;
    case 'hostonly':
    case 'bridged':
      if (!includes(rights[attachment.kind], attachment.adapter))
        throw refuse(`${attachment.kind} networking on '${attachment.adapter}'`);
      return;
    case 'generic': {
      const { driver } = attachment;
      if (!rights.generic.some((one) => one.toLowerCase() === driver.toLowerCase()))
        throw refuse(`the generic driver '${driver}'`);
    }
  }
}
