// Cables between a machine's thread and the main thread, which has the networks.

import type { NetworkCardConfig } from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { createPacketRing, PacketRingEnd } from '#emu/host/packet-ring.ts';

/** One card's cable, for the main thread to attach. */
export interface CardCable {
  readonly card: NetworkCardConfig;
  readonly ring: SharedArrayBuffer;
}

export interface CardCables {
  /** The machine's ends, by slot. */
  readonly ports: Readonly<Record<number, PacketPort>>;
  readonly cables: readonly CardCable[];
  /** Lets the cards have what came; to be called often. */
  poll(): void;
}

export function createCables(cards: readonly NetworkCardConfig[]): CardCables {
  const cables = cards.map((card) => ({ card, ring: createPacketRing() }));
  const ends = cables.map(({ card, ring }) => [card.slot, new PacketRingEnd(ring, 'card')] as const);
  return {
    ports: Object.fromEntries(ends),
    cables,
    poll: () => {
      for (const [, end] of ends) end.poll();
    },
  };
}
