import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import {
  decodeRelay,
  encodeAttach,
  encodeChange,
  encodeCredit,
  encodeFrames,
  encodePeer,
  encodeStatus,
  FIRST_CREDIT,
  type RelayStatus,
} from '../wire/relay.ts';
import { FrameChannel } from './frame-channel.ts';
import { type Carrier, type CarrierEvents, RelayClient, type RelayState } from './relay-client.ts';

const readText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const status = (value: RelayStatus): Uint8Array => encodeStatus(new TextEncoder().encode(JSON.stringify(value)));
const frame = (n: number, bytes = 1514): Uint8Array => new Uint8Array(bytes).fill(n & 255);

/** A card at the end of a cable. */
class Card {
  readonly got: number[] = [];
  readonly cable: PacketPort;
  hasRoom = true;
  resumed = 0;
  constructor(cable: PacketPort) {
    this.cable = cable;
    cable.connect({
      receive: (bytes) => {
        if (this.hasRoom) this.got.push(bytes[0]);
        return this.hasRoom;
      },
      resume: () => {
        this.resumed++;
      },
      linkChanged: () => {},
    });
    cable.setLink(true);
  }
}

/** Two cards whose cables meet through messages. */
function pair() {
  const jobs: (() => void)[] = [];
  const broken: string[] = [];
  const messages: Uint8Array[] = [];
  const ends: FrameChannel[] = [];
  const cards = [0, 1].map((side) => {
    const [near, far] = createWire();
    ends.push(
      new FrameChannel(far, {
        send: (message) => {
          messages.push(message);
          jobs.push(() => ends[1 - side].take(message));
        },
        soon: (flush) => jobs.push(flush),
        readText,
        onStatus: () => {},
        onBroken: (why) => broken.push(why),
      }),
    );
    far.setLink(true);
    return new Card(near);
  });
  const run = (): void => {
    for (let job = jobs.shift(); job; job = jobs.shift()) job();
  };
  return { cards, ends, broken, messages, run };
}

describe('relay messages', () => {
  it('come back from their bytes', () => {
    const frames = fc.array(fc.uint8Array({ minLength: 14, maxLength: 300 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(frames, (list) => {
        const cost = list.reduce((sum, one) => sum + one.length + 2, 0);
        expect(decodeRelay(encodeFrames(list), readText)).toEqual({ kind: 'frames', frames: list, cost });
      }),
    );
    expect(decodeRelay(encodeCredit(70_000), readText)).toEqual({ kind: 'credit', bytes: 70_000 });
    const request = { card: { slot: 1 } };
    const attach = encodeAttach(new TextEncoder().encode(JSON.stringify(request)));
    expect(decodeRelay(attach, readText)).toEqual({ kind: 'attach', request });
    const change = encodeChange(new TextEncoder().encode(JSON.stringify(request)));
    expect(decodeRelay(change, readText)).toEqual({ kind: 'change', request });
    for (const message of [
      { kind: 'meet', peer: 3, isInitiator: true, mac: '080027000001' },
      { kind: 'meet', peer: 3, isInitiator: false, mac: null },
      { kind: 'signal', peer: 0, data: { sdp: 'x' } },
      { kind: 'direct', peer: 7, on: false },
      { kind: 'part', peer: 7 },
    ]) {
      const bytes = encodePeer(new TextEncoder().encode(JSON.stringify(message)));
      expect(decodeRelay(bytes, readText)).toEqual({ kind: 'peer', message });
    }
    for (const bad of [{ kind: 'part', peer: -1 }, { kind: 'meet', peer: 1, isInitiator: true, mac: 'x' }, [], 5]) {
      expect(decodeRelay(encodePeer(new TextEncoder().encode(JSON.stringify(bad))), readText)).toBeUndefined();
    }
    const refused: RelayStatus = { kind: 'refused', code: 'expired', message: 'ask for a new link' };
    expect(decodeRelay(status(refused), readText)).toEqual({ kind: 'status', status: refused });
  });

  it('that are none are no exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => decodeRelay(bytes, readText)).not.toThrow();
      }),
    );
    for (const bad of [[], [1], [1, 0, 3, 1, 2, 3], [1, 0, 60, 1], [2, 0, 0], [3, 123], [9, 9]]) {
      expect(decodeRelay(Uint8Array.from(bad), readText)).toBeUndefined();
    }
  });
});

describe('a cable through messages', () => {
  it('carries frames both ways, in order and in batches', () => {
    const { cards, messages, run, broken } = pair();
    for (let n = 0; n < 20; n++) expect(cards[0].cable.send(frame(n))).toBe(true);
    cards[1].cable.send(frame(99));
    run();
    expect(cards[1].got).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(cards[0].got).toEqual([99]);
    expect(messages.length).toBeLessThan(5);
    expect(broken).toEqual([]);
  });

  it('stops at the credit while the far card takes nothing, and loses none', () => {
    const { cards, run, broken } = pair();
    cards[1].hasRoom = false;
    let sent = 0;
    for (let n = 0; n < 2000; n++) {
      if (!cards[0].cable.send(frame(sent))) break;
      sent++;
      if (n % 16 === 0) run();
    }
    run();
    expect(sent * 1516).toBeLessThanOrEqual(FIRST_CREDIT);
    expect(sent * 1516).toBeGreaterThan(FIRST_CREDIT - 2 * 1516);
    expect(cards[0].cable.send(frame(0))).toBe(false);
    cards[1].hasRoom = true;
    cards[1].cable.resume();
    run();
    expect(cards[0].resumed).toBe(1);
    expect(cards[1].got).toEqual(Array.from({ length: sent }, (_, n) => n & 255));
    expect(broken).toEqual([]);
    // For ever, not just for the first credit.
    for (let n = 0; n < 3000; n++) {
      if (!cards[0].cable.send(frame(n))) throw new Error(`refused at ${n}`);
      run();
    }
  });

  it('ends with one that sends without credit, grants too much, or talks nonsense', () => {
    const attach = encodeAttach(new TextEncoder().encode('{}'));
    for (const bad of [encodeCredit(1), attach, Uint8Array.of(7, 7), new Uint8Array(100_000)]) {
      const { ends, broken, cards } = pair();
      ends[0].take(bad);
      expect(broken).toHaveLength(1);
      expect(cards[0].cable.linkUp).toBe(false);
    }
    const { ends, broken, cards } = pair();
    cards[0].hasRoom = false;
    const flood = encodeFrames(new Array(40).fill(frame(1)));
    for (let n = 0; n < 10 && broken.length === 0; n++) ends[0].take(flood);
    expect(broken).toEqual(['frames without credit']);
  });
});

describe('a relay client', () => {
  class FakeRelay {
    readonly tries: { readonly events: CarrierEvents; isOpen: boolean; readonly sent: Uint8Array[] }[] = [];
    readonly states: RelayState[] = [];
    readonly timers: { readonly ms: number; readonly call: () => void; isOn: boolean }[] = [];
    readonly client: RelayClient;
    readonly card: Card;
    constructor() {
      const [near, far] = createWire();
      this.card = new Card(near);
      this.client = new RelayClient(far, {
        request: new TextEncoder().encode('{"card":1}'),
        open: (events): Carrier => {
          const one = { events, isOpen: true, sent: [] as Uint8Array[] };
          this.tries.push(one);
          return {
            send: (message) => one.sent.push(message),
            close: () => {
              one.isOpen = false;
            },
          };
        },
        after: (ms, call) => {
          const timer = { ms, call, isOn: true };
          this.timers.push(timer);
          return () => {
            timer.isOn = false;
          };
        },
        soon: (flush) => flush(),
        readText,
        random: () => 1,
        onState: (state) => this.states.push(state),
      });
    }
    get last() {
      return this.tries[this.tries.length - 1];
    }
    fire(): number {
      const timer = this.timers.filter(({ isOn }) => isOn).at(-1);
      if (!timer) throw new Error('no timer');
      timer.isOn = false;
      timer.call();
      return timer.ms;
    }
  }

  it('plugs the cable in when the relay says so, pulls it with the relay, and comes back', () => {
    const relay = new FakeRelay();
    relay.client.start();
    expect(relay.last.sent).toEqual([]);
    relay.last.events.opened();
    expect(relay.last.sent.map((one) => decodeRelay(one, readText))).toEqual([
      { kind: 'attach', request: { card: 1 } },
    ]);
    expect(relay.card.cable.linkUp).toBe(false);
    relay.last.events.message(status({ kind: 'attached', network: 'nat' }));
    expect(relay.card.cable.linkUp).toBe(true);
    relay.card.cable.send(frame(5));
    expect(relay.last.sent).toHaveLength(2);

    relay.last.events.closed();
    expect(relay.card.cable.linkUp).toBe(false);
    expect(relay.card.cable.send(frame(6))).toBe(true);
    const waits: number[] = [];
    for (let n = 0; n < 10; n++) {
      waits.push(relay.fire());
      relay.last.events.closed();
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    relay.fire();
    relay.last.events.message(status({ kind: 'attached', network: 'nat' }));
    expect(relay.card.cable.linkUp).toBe(true);
    relay.last.events.closed();
    expect(relay.fire()).toBe(500);
    expect(relay.timers.filter(({ isOn }) => isOn)).toHaveLength(1);
  });

  it('gives up a relay that says nothing, and does not ask again one that refuses', () => {
    const relay = new FakeRelay();
    relay.client.start();
    expect(relay.fire()).toBe(15_000);
    expect(relay.tries[0].isOpen).toBe(false);
    relay.tries[0].events.closed();
    relay.fire();
    expect(relay.tries).toHaveLength(2);
    relay.last.events.message(status({ kind: 'refused', code: 'expired', message: 'ask for a new link' }));
    expect(relay.states.at(-1)).toEqual({ kind: 'refused', code: 'expired', message: 'ask for a new link' });
    relay.last.events.closed();
    expect(relay.timers.filter(({ isOn }) => isOn)).toEqual([]);
    expect(relay.tries).toHaveLength(2);
  });

  it('does not ask again where a connection was refused', () => {
    const relay = new FakeRelay();
    relay.client.start();
    relay.last.events.closed({ code: 'token-expired', message: 'get a new one' });
    expect(relay.states.at(-1)).toEqual({ kind: 'refused', code: 'token-expired', message: 'get a new one' });
    expect(relay.timers.filter(({ isOn }) => isOn)).toEqual([]);
    expect(relay.tries[0].isOpen).toBe(false);
  });

  it('drops a relay that breaks the protocol', () => {
    const relay = new FakeRelay();
    relay.client.start();
    relay.last.events.message(status({ kind: 'attached', network: 'nat' }));
    relay.last.events.message(Uint8Array.of(9, 9, 9));
    expect(relay.tries[0].isOpen).toBe(false);
    expect(relay.card.cable.linkUp).toBe(false);
    expect(relay.states.at(-1)).toMatchObject({ kind: 'waiting', tries: 1 });
  });
});
