// NAT of cards whose connection was lost: kept for a while, so that connections of the guest go on when it comes back.

import type { NetworkCardConfig } from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import type { Attachment } from '../net/networks.ts';
import type { NetRights } from './net-rights.ts';

/** A page tries again within half of this at first. */
export const KEEP_MS = 30_000;
const MOST = 256;

/** Whose card it is; a card that comes with all of it the same is the same card. */
export interface CardOwner {
  readonly subject: string;
  readonly rights: NetRights;
  readonly config: NetworkCardConfig;
}

export interface JoinedNetwork {
  /** The relay's end of the card's cable. */
  readonly near: PacketPort;
  readonly attachment: Attachment;
  /** For good. */
  readonly close: () => void;
}

interface Parked extends JoinedNetwork {
  readonly owner: string;
  readonly timer: NodeJS.Timeout;
}

export class ParkedNetworks {
  readonly #parked = new Map<string, Parked>();
  readonly #keepMs: number;

  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  get size(): number {
    return this.#parked.size;
  }

  /** @param network its cable is unplugged; it is closed when nobody asks for it in time */
  park(owner: CardOwner, network: JoinedNetwork): void {
    const key = keyOf(owner);
    this.#drop(key);
    const timer = setTimeout(() => this.#drop(key), this.#keepMs);
    timer.unref();
    this.#parked.set(key, { ...network, timer, owner: JSON.stringify(owner) });
    for (const oldest of this.#parked.keys()) {
      if (this.#parked.size <= MOST) return;
      this.#drop(oldest);
    }
  }

  /** @returns undefined when there is none, or when the card or its rights are not the same any more */
  take(owner: CardOwner): JoinedNetwork | undefined {
    const key = keyOf(owner);
    const found = this.#parked.get(key);
    if (found === undefined) return undefined;
    if (found.owner !== JSON.stringify(owner)) {
      this.#drop(key);
      return undefined;
    }
    clearTimeout(found.timer);
    this.#parked.delete(key);
    return found;
  }

  #drop(key: string): void {
    const found = this.#parked.get(key);
    if (found === undefined) return;
    this.#parked.delete(key);
    clearTimeout(found.timer);
    found.close();
  }

  close(): void {
    for (const key of [...this.#parked.keys()]) this.#drop(key);
  }
}

/** One card has one place, however its settings change. */
const keyOf = ({ subject, config }: CardOwner): string => `${config.slot} ${config.mac} ${subject}`;
