// What a token's owner may send: a bandwidth group for all cards of a subject, as long as there are any.

import type { BandwidthGroups } from '../../src/net-relay/switch/bandwidth-groups.ts';

/** A group that is made anew may send a burst at once: who comes again so soon has the one it had. */
const KEEP_MS = 60_000;
const BYTE_BITS = 8;

interface Limit {
  cards: number;
  /** Runs while there is no card. */
  timer: NodeJS.Timeout | undefined;
}

export class TokenLimits {
  readonly #groups: BandwidthGroups;
  readonly #limits = new Map<string, Limit>();

  constructor(groups: BandwidthGroups) {
    this.#groups = groups;
  }

  /** One card more. @returns the group it is in, and what is to be called when it has gone */
  join(subject: string, bitsPerSecond: number): { readonly group: string; readonly leave: () => void } {
    const group = `token ${subject}`;
    this.#groups.set(group, bitsPerSecond / BYTE_BITS);
    const limit = this.#limits.get(group) ?? { cards: 0, timer: undefined };
    this.#limits.set(group, limit);
    clearTimeout(limit.timer);
    limit.cards++;
    return { group, leave: () => this.#leave(group, limit) };
  }

  #leave(group: string, limit: Limit): void {
    limit.cards--;
    if (limit.cards > 0) return;
    limit.timer = setTimeout(() => {
      this.#limits.delete(group);
      if (this.#groups.has(group)) this.#groups.remove(group);
    }, KEEP_MS);
    limit.timer.unref();
  }

  close(): void {
    for (const { timer } of this.#limits.values()) clearTimeout(timer);
  }
}
