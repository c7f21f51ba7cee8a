import { describe, expect, it } from 'vitest';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { DirectHub } from './direct-hub.ts';

class End {
  readonly port: PacketPort;
  readonly got: string[] = [];
  hasRoom = true;
  resumed = 0;
  constructor(port: PacketPort) {
    this.port = port;
    port.connect({
      receive: (frame) => {
        if (this.hasRoom) this.got.push(Buffer.from(frame.subarray(14)).toString());
        return this.hasRoom;
      },
      resume: () => {
        this.resumed++;
      },
      linkChanged: () => {},
    });
    port.setLink(true);
  }
  /** @param to, from numbers of stations; 255: everybody */
  send(to: number, from: number, text: string): boolean {
    const high = to === 255 ? 255 : 2;
    const header = [...new Array(5).fill(high), to, ...new Array(5).fill(2), from, 0x88, 0xb5];
    return this.port.send(Buffer.from([...header, ...Buffer.from(text)]));
  }
}

function lab() {
  const wires = Array.from({ length: 4 }, () => createWire());
  const [card, relay, b, c] = wires.map(([near]) => new End(near));
  const hub = new DirectHub(wires[0][1], wires[1][1]);
  const source = 0x0202_0202_020b;
  const removeB = hub.addPeer(wires[2][1], source);
  hub.addPeer(wires[3][1], undefined);
  return { hub, card, relay, b, c, removeB };
}
const B = 0x0b;
const C = 0x0c;

describe('a card with a relay and peers', () => {
  it('reaches everybody once, and those that spoke by the way they spoke', () => {
    const { card, relay, b, c } = lab();
    card.send(255, 1, 'who is there');
    expect([relay.got, b.got, c.got]).toEqual([['who is there'], ['who is there'], ['who is there']]);
    b.send(1, B, 'b');
    relay.send(1, 9, 'nine');
    expect(card.got).toEqual(['b', 'nine']);
    card.send(B, 1, 'to b');
    card.send(9, 1, 'to nine');
    card.send(C, 1, 'to c, unknown yet');
    expect(b.got.slice(1)).toEqual(['to b', 'to c, unknown yet']);
    expect(relay.got.slice(1)).toEqual(['to nine', 'to c, unknown yet']);
    expect(c.got.slice(1)).toEqual(['to c, unknown yet']);
  });

  it('passes nothing from one way to another', () => {
    const { relay, b, c, card } = lab();
    b.send(255, B, 'hello');
    expect([card.got, relay.got, c.got]).toEqual([['hello'], [], []]);
  });

  it('takes a peer’s frames from its own address only', () => {
    const { hub, b, c, card } = lab();
    b.send(1, C, 'forged');
    c.send(1, C, 'from anywhere');
    expect([card.got, hub.spoofed]).toEqual([['from anywhere'], 1]);
  });

  it('waits for the way that a frame takes, and for the card', () => {
    const { card, relay, b } = lab();
    b.send(1, B, 'b');
    b.hasRoom = false;
    expect(card.send(B, 1, 'kept by the card')).toBe(false);
    expect(card.send(9, 1, 'others are not held up')).toBe(true);
    expect(relay.got).toEqual(['others are not held up']);
    b.hasRoom = true;
    b.port.resume();
    expect(card.resumed).toBe(1);
    // The copy for all came first.
    expect(b.got).toEqual(['others are not held up']);
    expect(card.send(B, 1, 'kept by the card')).toBe(true);

    card.hasRoom = false;
    expect(relay.send(1, 9, 'later')).toBe(false);
    card.hasRoom = true;
    card.port.resume();
    expect(relay.resumed).toBe(1);
  });

  it('has the relay’s link, and goes through it when a peer is gone', () => {
    const { hub, card, relay, b, removeB } = lab();
    b.send(1, B, 'b');
    removeB();
    expect([hub.peers, b.port.linkUp]).toEqual([1, false]);
    card.send(B, 1, 'through the relay');
    expect(relay.got).toEqual(['through the relay']);
    relay.port.setLink(false);
    expect(card.port.linkUp).toBe(false);
    relay.port.setLink(true);
    expect(card.port.linkUp).toBe(true);
  });
});
