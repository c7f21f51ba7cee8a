/** What every network card does for its driver. Each model brings a small driver, written from its data sheet. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Width } from '#emu/bus/io-bus.ts';
import { CardBench, type CardParts, MAC, type TestedCard } from './card-bench.suite.ts';

export interface CardDriver {
  /** Sets the card up: rings, addresses, receiver and transmitter on, interrupts unmasked. */
  start(): void;
  /** The address as the hardware tells it. */
  readMac(): Uint8Array;
  linkUp(): boolean;
  /** Hands a frame to the card, which may take it now or later. */
  send(frame: Uint8Array): void;
  /** Frames the card is done with since the start. */
  sentCount(): number;
  /** Takes what has come in and gives the buffers back. */
  receive(): Uint8Array[];
  /** As `receive`, and keeps the buffers. */
  receiveAndHold(): Uint8Array[];
  /** Gives back what was held. */
  release(): void;
  /** Reads and clears the reasons of the interrupt. */
  acknowledge(): void;
  setPromiscuous(on: boolean): void;
  /** Lets through one multicast group. */
  addMulticast(address: Uint8Array): void;
  /** Frames that the receiver can take without `receive`. */
  readonly ringSize: number;
}

export interface CardUnderTest {
  readonly make: (parts: CardParts) => TestedCard;
  readonly driver: (bench: CardBench, bases: readonly number[]) => CardDriver;
  /** Vendor in the low half, device in the high half. */
  readonly id: number;
}

const BROADCAST = Uint8Array.of(255, 255, 255, 255, 255, 255);
const OTHER = Uint8Array.of(0x08, 0, 0x27, 9, 9, 9);
const GROUP = Uint8Array.of(0x01, 0, 0x5e, 0x01, 0x02, 0x03);

/** A frame whose bytes tell frames apart. */
export function ethernetFrame(to: Uint8Array, byteCount: number, seed = 1): Uint8Array {
  const frame = Uint8Array.from({ length: byteCount }, (_, i) => i * 7 + seed * 13);
  frame.set(to, 0);
  frame.set(OTHER, 6);
  // An experimental type (IEEE 802): nothing looks inside.
  frame.set([0x88, 0xb5], 12);
  return frame;
}

/** Time for a link to come up and delayed interrupts to come. */
const SETTLE_NS = 1_000_000_000;

export function describeNetworkCard(name: string, card: CardUnderTest): void {
  const started = () => {
    const bench = new CardBench(card.make);
    bench.pass(SETTLE_NS);
    const driver = card.driver(bench, bench.enable());
    driver.start();
    bench.pass(SETTLE_NS);
    driver.acknowledge();
    return { bench, driver };
  };

  describe(`${name} as a network card`, () => {
    it('names itself and its address', () => {
      const { bench, driver } = started();
      expect(bench.card.readConfig(0, 4).toString(16)).toBe(card.id.toString(16));
      expect(bench.card.readConfig(8, 4) >>> 16).toBe(0x0200);
      expect(bench.card.readConfig(0x3d, 1)).toBe(1);
      expect(driver.readMac()).toEqual(MAC);
    });

    it('sends frames as they are, in order, and says when', () => {
      const { bench, driver } = started();
      const before = bench.interrupts;
      const frames = [60, 61, 590, 1514].map((length, i) => ethernetFrame(OTHER, length, i));
      for (const frame of frames) driver.send(frame);
      bench.pass(SETTLE_NS);
      expect(bench.inbox.frames).toEqual(frames);
      expect(driver.sentCount()).toBe(4);
      expect(bench.interrupts).toBeGreaterThan(before);
      driver.acknowledge();
      expect(bench.interrupt).toBe(false);
    });

    it('sends many times round its ring', () => {
      const { bench, driver } = started();
      const frames = Array.from({ length: 100 }, (_, i) => ethernetFrame(OTHER, 60 + i * 13, i));
      for (const frame of frames) driver.send(frame);
      expect(bench.inbox.frames).toEqual(frames);
    });

    it('receives what is for it, and says so', () => {
      const { bench, driver } = started();
      const mine = [MAC, BROADCAST].map((to, i) => ethernetFrame(to, 60 + i * 1454, i));
      for (const frame of mine) expect(bench.far.send(frame)).toBe(true);
      for (const to of [OTHER, GROUP]) bench.far.send(ethernetFrame(to, 100));
      bench.pass(SETTLE_NS);
      expect(bench.interrupt).toBe(true);
      expect(driver.receive()).toEqual(mine);
      driver.acknowledge();
      expect(bench.interrupt).toBe(false);
    });

    it('receives a group that was asked for, and all when promiscuous', () => {
      const { bench, driver } = started();
      driver.addMulticast(GROUP);
      bench.far.send(ethernetFrame(GROUP, 100, 1));
      bench.far.send(ethernetFrame(OTHER, 100, 2));
      expect(driver.receive()).toEqual([ethernetFrame(GROUP, 100, 1)]);
      driver.setPromiscuous(true);
      bench.far.send(ethernetFrame(OTHER, 100, 3));
      expect(driver.receive()).toEqual([ethernetFrame(OTHER, 100, 3)]);
      driver.setPromiscuous(false);
      bench.far.send(ethernetFrame(OTHER, 100, 4));
      expect(driver.receive()).toEqual([]);
    });

    it('keeps a sender waiting while its driver has no buffers, and loses nothing', () => {
      const { bench, driver } = started();
      const got: Uint8Array[] = [];
      const sent: Uint8Array[] = [];
      let refused: Uint8Array | undefined;
      for (let i = 0; i < driver.ringSize * 3 && !refused; i++) {
        const frame = ethernetFrame(MAC, 60 + i, i);
        if (bench.far.send(frame)) sent.push(frame);
        else refused = frame;
      }
      expect(sent.length).toBeLessThanOrEqual(driver.ringSize);
      expect(sent.length).toBeGreaterThanOrEqual(driver.ringSize - 2);
      expect(refused).toBeDefined();
      expect(bench.far.send(refused ?? BROADCAST)).toBe(false);
      const resumed = bench.inbox.resumed;
      got.push(...driver.receiveAndHold());
      expect(bench.inbox.resumed).toBe(resumed);
      driver.release();
      expect(bench.inbox.resumed).toBeGreaterThan(resumed);
      expect(bench.far.send(refused ?? BROADCAST)).toBe(true);
      got.push(...driver.receive());
      expect(got).toEqual([...sent, refused]);
    });

    it('goes round its ring for ever', () => {
      const { bench, driver } = started();
      for (let i = 0; i < driver.ringSize * 4; i++) {
        const frame = ethernetFrame(MAC, 60 + ((i * 97) % 1455), i);
        expect(bench.far.send(frame)).toBe(true);
        expect(driver.receive()).toEqual([frame]);
      }
    });

    it('waits while the cable is full, and loses nothing', () => {
      const { bench, driver } = started();
      bench.inbox.room = 2;
      const frames = Array.from({ length: 5 }, (_, i) => ethernetFrame(OTHER, 100 + i, i));
      for (const frame of frames) driver.send(frame);
      bench.pass(SETTLE_NS);
      expect(bench.inbox.frames.length).toBe(2);
      bench.inbox.room = Number.POSITIVE_INFINITY;
      bench.far.resume();
      bench.pass(SETTLE_NS);
      expect(bench.inbox.frames).toEqual(frames);
      expect(driver.sentCount()).toBe(5);
    });

    it('sees the cable go and come', () => {
      const { bench, driver } = started();
      expect(driver.linkUp()).toBe(true);
      bench.cable.connected = false;
      bench.pass(SETTLE_NS);
      expect(driver.linkUp()).toBe(false);
      driver.acknowledge();
      bench.far.send(ethernetFrame(MAC, 60));
      driver.send(ethernetFrame(OTHER, 60));
      bench.pass(SETTLE_NS);
      driver.acknowledge();
      bench.cable.connected = true;
      bench.pass(SETTLE_NS);
      expect(driver.linkUp()).toBe(true);
      expect(driver.receive()).toEqual([]);
      const after = ethernetFrame(OTHER, 70);
      driver.send(after);
      expect(bench.inbox.frames.at(-1)).toEqual(after);
    });

    it('goes on in another machine where it was saved', () => {
      const { bench, driver } = started();
      bench.inbox.room = 1;
      const frames = Array.from({ length: 4 }, (_, i) => ethernetFrame(OTHER, 100 + i, i));
      for (const frame of frames) driver.send(frame);
      bench.far.send(ethernetFrame(MAC, 80, 1));
      const state = structuredClone(bench.card.save());
      const interrupt = bench.interrupt;

      const other = new CardBench(card.make);
      other.clock.advance(bench.clock.now());
      other.memory.bytes.set(
        bench.memory.bytes.subarray(bench.memory.bytes.length - 0x40_0000),
        other.memory.bytes.length - 0x40_0000,
      );
      other.card.restore(state);
      expect(other.interrupt).toBe(interrupt);
      expect(other.card.save()).toEqual(state);
      const again = card.driver(other, other.enable());
      Object.assign(again, structuredClone({ ...driver, bench: undefined }), { bench: other });
      other.far.resume();
      other.pass(SETTLE_NS);
      expect([...bench.inbox.frames, ...other.inbox.frames]).toEqual(frames);
      expect(again.receive()).toEqual([ethernetFrame(MAC, 80, 1)]);
      const more = ethernetFrame(OTHER, 200, 9);
      again.send(more);
      expect(other.inbox.frames.at(-1)).toEqual(more);
      expect(other.far.send(ethernetFrame(MAC, 90, 3))).toBe(true);
      expect(again.receive()).toEqual([ethernetFrame(MAC, 90, 3)]);
    });

    it('is silent after a reset', () => {
      const { bench, driver } = started();
      bench.far.send(ethernetFrame(MAC, 60));
      bench.pass(SETTLE_NS);
      expect(bench.interrupt).toBe(true);
      bench.card.reset();
      expect(bench.interrupt).toBe(false);
      expect(bench.far.send(ethernetFrame(MAC, 60))).toBe(true);
      bench.pass(SETTLE_NS);
      expect(bench.interrupt).toBe(false);
      void driver;
    });

    it('survives whatever a guest writes, and what comes meanwhile', () => {
      const access = fc.record({
        bar: fc.nat({ max: 5 }),
        offset: fc.oneof(fc.nat({ max: 0x40 }), fc.nat({ max: 0x6000 })),
        width: fc.constantFrom<Width>(1, 2, 4),
        value: fc.oneof(
          fc.nat({ max: 0xff }),
          fc.nat({ max: 0x10_0000 }),
          fc.maxSafeNat().map((n) => n % 2 ** 32),
        ),
        what: fc.constantFrom('read', 'write', 'write', 'write', 'frame', 'time', 'cable'),
      });
      fc.assert(
        fc.property(fc.array(access, { maxLength: 300 }), (accesses) => {
          const { bench } = started();
          const bases = bench.enable();
          // Descriptors of noise.
          const noise = Uint8Array.from({ length: 4096 }, (_, i) => (i * i * 31) >> 3);
          bench.memory.write(0x1_0000, noise);
          for (const { bar, offset, width, value, what } of accesses) {
            const base = bases[bar];
            const at = base + (offset & -width);
            if (what === 'frame') bench.far.send(ethernetFrame(MAC, 60 + (value % 1455)));
            else if (what === 'time') bench.pass(value);
            else if (what === 'cable') bench.cable.connected = value % 2 === 0;
            else if (base === 0) continue;
            else if (base < 0x1_0000) {
              const port = base + (offset & 0x1f & -width);
              if (what === 'read') expect(bench.ports.read(port, width)).toBeLessThan(2 ** (8 * width));
              else bench.ports.write(port, width, value % 2 ** (8 * width));
            } else if (what === 'read') expect(bench.memory.readSized(at, width)).toBeLessThan(2 ** (8 * width));
            else bench.memory.writeSized(at, width, value % 2 ** (8 * width));
          }
          const state = bench.card.save();
          bench.card.restore(structuredClone(state));
          expect(bench.card.save()).toEqual(state);
        }),
        { numRuns: 20 },
      );
    });
  });
}
