// Who is in a session: names, roles, and how somebody comes back as the same person.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import {
  type BodyOf,
  HOST,
  MAX_NAME_BYTES,
  MAX_PEOPLE,
  type Person,
  type Role,
  type VideoForms,
} from '#display/stream/messages.ts';
import type { PictureFeed } from '#display/stream/picture-fan.ts';
import type { RelayConnection } from '../relay/service.ts';

/** One who watches. */
export interface Viewer {
  readonly id: number;
  readonly name: string;
  readonly role: Role;
  readonly link: string;
  readonly connection: RelayConnection;
  /** Undefined while pictures come to it directly. */
  feed: PictureFeed | undefined;
  /** What sound it can play now. */
  plays: BodyOf<'soundForms'>;
  /** What video it can show; undefined: it has not said yet. */
  shows: VideoForms | undefined;
}

interface Former {
  readonly id: number;
  readonly name: string;
  readonly link: string;
  readonly key: string;
  /** Milliseconds since 1970; undefined while here. */
  leftAt: number | undefined;
}

const KEY_BYTES = 18;
/** How long a place is kept for somebody whose network went away. */
const KEPT_MS = 10 * 60_000;

export const newKey = (): string => randomBytes(KEY_BYTES).toString('base64url');

/** In constant time, so that a key cannot be found character by character. */
export function isSameKey(given: string, key: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(key)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * A name as others may see it: one line, nothing that turns text around or hides it.
 * @param given whatever somebody typed
 */
export function cleanName(given: string, fallback: string): string {
  const visible = given
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/g, ' ')
    .trim();
  let name = visible;
  while (Buffer.byteLength(name) > MAX_NAME_BYTES - 8) name = [...name].slice(0, -1).join('');
  return name === '' ? fallback : name;
}

/** Numbers and names of a session's people. */
export class People {
  readonly #former = new Map<number, Former>();
  #next = HOST + 1;

  /**
   * Gives a place to somebody who comes in, the former one to somebody with its key.
   * @returns undefined: there is no place left
   */
  enter(
    name: string,
    key: string,
    link: string,
  ): { readonly id: number; readonly name: string; key: string } | undefined {
    const before = this.returning(key, link);
    if (before) {
      before.leftAt = undefined;
      return before;
    }
    this.#forget();
    if (this.#former.size >= MAX_PEOPLE) return undefined;
    while (this.#next === HOST || this.#former.has(this.#next)) this.#next = (this.#next + 1) % 0xfff0;
    const person = { id: this.#next++, name: this.#unlike(cleanName(name, 'Guest')), link, key: newKey() };
    this.#former.set(person.id, { ...person, leftAt: undefined });
    return person;
  }

  /** Whoever has been here by this link and with this key. */
  returning(key: string, link: string): Former | undefined {
    return [...this.#former.values()].find((one) => one.link === link && isSameKey(key, one.key));
  }

  leave(id: number): void {
    const person = this.#former.get(id);
    if (person) person.leftAt = Date.now();
  }

  /** Sent away: there is no coming back. */
  forget(id: number): void {
    this.#former.delete(id);
  }

  #forget(): void {
    const now = Date.now();
    for (const [id, { leftAt }] of this.#former) {
      if (leftAt !== undefined && now - leftAt > KEPT_MS) this.#former.delete(id);
    }
  }

  /** Two people of one name get numbers. */
  #unlike(name: string): string {
    const names = new Set([...this.#former.values()].map((one) => one.name));
    if (!names.has(name)) return name;
    let number = 2;
    while (names.has(`${name} (${number})`)) number++;
    return `${name} (${number})`;
  }
}

export const personOf = ({ id, name, role, link }: Viewer, isTrusted: boolean): Person => ({
  ...{ id, name, role },
  link: isTrusted ? link : '',
});
