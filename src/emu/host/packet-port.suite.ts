/** What every cable does: run by the wire inside a thread and by the shared-memory ring. */
import { describe, expect, it } from 'vitest';
import type { PacketPort, PacketReceiver } from './packet-port.ts';

export interface CableUnderTest {
  readonly card: PacketPort;
  readonly network: PacketPort;
  /** Lets what is under way arrive. */
  settle(): void;
}

/** A receiver that can be full. */
export class Inbox implements PacketReceiver {
  readonly frames: Uint8Array[] = [];
  room: number = Number.POSITIVE_INFINITY;
  resumed = 0;
  linkChanges = 0;

  receive(frame: Uint8Array): boolean {
    if (this.room <= 0) return false;
    this.room--;
    this.frames.push(frame.slice());
    return true;
  }
  resume(): void {
    this.resumed++;
  }
  linkChanged(): void {
    this.linkChanges++;
  }
}

export const frameOf = (byteCount: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: byteCount }, (_, i) => seed * 31 + i);

export function describeCable(name: string, make: () => CableUnderTest): void {
  const plugged = () => {
    const cable = make();
    const [card, network] = [new Inbox(), new Inbox()];
    cable.card.connect(card);
    cable.network.connect(network);
    cable.card.setLink(true);
    cable.network.setLink(true);
    cable.settle();
    return { ...cable, cardInbox: card, networkInbox: network };
  };

  describe(`${name} as a cable`, () => {
    it('carries frames both ways in order', () => {
      const { card, network, settle, cardInbox, networkInbox } = plugged();
      const frames = [frameOf(60, 1), frameOf(61, 2), frameOf(14, 3), frameOf(1514, 4), frameOf(16_384, 5)];
      for (const frame of frames) expect(card.send(frame)).toBe(true);
      for (const frame of frames) expect(network.send(frame)).toBe(true);
      settle();
      expect(networkInbox.frames).toEqual(frames);
      expect(cardInbox.frames).toEqual(frames);
    });

    it('tells each end of the other one’s link', () => {
      const { card, network, settle, cardInbox, networkInbox } = plugged();
      expect([card.linkUp, network.linkUp]).toEqual([true, true]);
      expect([cardInbox.linkChanges, networkInbox.linkChanges]).toEqual([1, 1]);
      network.setLink(false);
      settle();
      expect([card.linkUp, network.linkUp]).toEqual([false, true]);
      expect([cardInbox.linkChanges, networkInbox.linkChanges]).toEqual([2, 1]);
      card.setLink(false);
      card.setLink(false);
      settle();
      expect([cardInbox.linkChanges, networkInbox.linkChanges]).toEqual([2, 2]);
    });

    it('loses what is sent without a link', () => {
      const { card, network, settle, networkInbox } = plugged();
      network.setLink(false);
      settle();
      expect(card.send(frameOf(60, 1))).toBe(true);
      network.setLink(true);
      settle();
      expect(networkInbox.frames).toEqual([]);
    });

    it('holds a sender back while the receiver is full, and loses nothing', () => {
      const { card, network, settle, cardInbox, networkInbox } = plugged();
      networkInbox.room = 3;
      const sent: Uint8Array[] = [];
      let refused: Uint8Array | undefined;
      for (let i = 0; i < 20_000 && !refused; i++) {
        const frame = frameOf(60 + (i % 1400), i);
        settle();
        if (card.send(frame)) sent.push(frame);
        else refused = frame;
      }
      expect(refused).toBeDefined();
      settle();
      expect(networkInbox.frames.length).toBe(3);
      expect(cardInbox.resumed).toBe(0);
      networkInbox.room = Number.POSITIVE_INFINITY;
      network.resume();
      settle();
      expect(cardInbox.resumed).toBeGreaterThan(0);
      expect(card.send(refused ?? frameOf(60, 0))).toBe(true);
      settle();
      expect(networkInbox.frames.length).toBe(sent.length + 1);
      expect(networkInbox.frames.slice(0, -1)).toEqual(sent);
    });
  });
}
