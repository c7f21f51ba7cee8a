// Links to one session: who may come in, as what, how often and how long.

import { randomBytes } from 'node:crypto';
import { CodedError } from '#base/errors.ts';
import { ANY_NUMBER_OF_USES, type BodyOf, type Link, MAX_LINKS, type Role } from '#display/stream/messages.ts';
import { type JoinTokens, MOST_LIFE_SECONDS } from '../relay/join-tokens.ts';

export type LinkError = 'link-revoked' | 'link-expired' | 'link-used-up' | 'too-many-links';

/** What a link's token grants under `rights.session`. */
export interface LinkRights {
  readonly session: string;
  readonly link: string;
}

interface KnownLink {
  readonly id: string;
  readonly label: string;
  readonly token: string;
  readonly role: Role;
  /** Milliseconds since 1970; infinite when only the end of the session ends it. */
  readonly expiresAt: number;
  usesLeft: number;
}

const ID_BYTES = 9;

export class SessionLinks {
  readonly #session: string;
  readonly #tokens: JoinTokens;
  readonly #links = new Map<string, KnownLink>();

  constructor(session: string, tokens: JoinTokens) {
    this.#session = session;
    this.#tokens = tokens;
  }

  /** @throws CodedError<'too-many-links'> */
  async make({ label, role, lifetime, uses }: BodyOf<'makeLink'>): Promise<void> {
    if (this.#links.size >= MAX_LINKS) {
      throw new CodedError<LinkError>('too-many-links', `a session has at most ${MAX_LINKS} links; revoke one first`);
    }
    const id = randomBytes(ID_BYTES).toString('base64url');
    const expiresAt = lifetime === 0 ? Number.POSITIVE_INFINITY : Date.now() + lifetime * 1000;
    const rights: LinkRights = { session: this.#session, link: id };
    const lifeSeconds = lifetime === 0 ? MOST_LIFE_SECONDS : Math.min(lifetime, MOST_LIFE_SECONDS);
    const token = await this.#tokens.issue({ subject: this.#session, rights: { session: rights }, lifeSeconds });
    this.#links.set(id, { id, label, token, role, expiresAt, usesLeft: Math.max(1, uses) });
  }

  /**
   * The link of a token.
   * @throws CodedError<LinkError> it can no longer be used
   */
  check(id: string): { readonly role: Role } {
    const link = this.#links.get(id);
    if (!link) throw new CodedError<LinkError>('link-revoked', 'this link is no longer valid; ask for another');
    if (link.expiresAt <= Date.now()) {
      throw new CodedError<LinkError>('link-expired', 'this link has expired; ask for another');
    }
    return link;
  }

  /** Somebody new comes in with it. @throws CodedError<LinkError> */
  use(id: string): void {
    this.check(id);
    const link = this.#links.get(id) as KnownLink;
    if (link.usesLeft === 0) {
      throw new CodedError<LinkError>('link-used-up', 'this link has been used as often as it may; ask for another');
    }
    if (link.usesLeft !== ANY_NUMBER_OF_USES) link.usesLeft--;
  }

  /** @returns false: there was none */
  revoke(id: string): boolean {
    return this.#links.delete(id);
  }

  /** Forgets links whose time is over. @returns their ids */
  expire(): string[] {
    const over = [...this.#links.values()].filter(({ expiresAt }) => expiresAt <= Date.now()).map(({ id }) => id);
    for (const id of over) this.#links.delete(id);
    return over;
  }

  /** @param peopleOf how many are here by a link */
  list(peopleOf: (id: string) => number): Link[] {
    return [...this.#links.values()].map(({ id, label, token, role, expiresAt, usesLeft }) => ({
      ...{ id, label, token, role, usesLeft, people: peopleOf(id) },
      expires: Number.isFinite(expiresAt) ? Math.ceil(expiresAt / 1000) : 0,
    }));
  }
}
