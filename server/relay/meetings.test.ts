import { describe, expect, it } from 'vitest';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { EthernetSwitch } from '../../src/net-relay/switch/ethernet-switch.ts';
import type { PeerMessage } from '../../src/net-relay/wire/relay.ts';
import { type MeetingGuest, Meetings } from './meetings.ts';

interface Card {
  readonly guest: MeetingGuest;
  readonly heard: PeerMessage[];
  readonly got: string[];
  readonly port: PacketPort;
  shout(text: string): void;
}

function lab() {
  const network = new EthernetSwitch(() => 0);
  const meetings = new Meetings();
  const join = (station: number, options: { isWilling?: boolean; isNosy?: boolean } = {}): Card => {
    const [port, far] = createWire();
    const { isWilling = true, isNosy = false } = options;
    const place = network.plug(far, { kind: 'machine', promiscuous: isNosy ? 'allow-all' : 'deny' });
    const [heard, got]: [PeerMessage[], string[]] = [[], []];
    port.connect({
      receive: (frame) => {
        got.push(Buffer.from(frame.subarray(14)).toString());
        return true;
      },
      resume: () => {},
      linkChanged: () => {},
    });
    port.setLink(true);
    const mac = `02000000000${station}`;
    const send = (message: PeerMessage): void => void heard.push(message);
    const guest = meetings.join({ place: { network, port: place }, mac, isWilling, isNosy, send });
    const shout = (text: string): void => {
      const header = [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, station, 0x88, 0xb5];
      port.send(Buffer.from([...header, ...Buffer.from(text)]));
    };
    return { guest, heard, got, port, shout };
  };
  return { meetings, join };
}

describe('cards of an internal network', () => {
  it('are introduced, and what they signal reaches the other', () => {
    const { join } = lab();
    const [a, b] = [join(1), join(2)];
    expect(a.heard).toEqual([{ kind: 'meet', peer: b.guest.number, isInitiator: false, mac: '020000000002' }]);
    expect(b.heard).toEqual([{ kind: 'meet', peer: a.guest.number, isInitiator: true, mac: '020000000001' }]);
    b.guest.take({ kind: 'signal', peer: a.guest.number, data: { sdp: 'x' } });
    expect(a.heard.at(-1)).toEqual({ kind: 'signal', peer: b.guest.number, data: { sdp: 'x' } });
    // Neither to strangers, nor what is for the relay to say.
    b.guest.take({ kind: 'signal', peer: 99, data: 1 });
    expect(() => b.guest.take({ kind: 'part', peer: a.guest.number })).toThrow(/for the relay to say/);
  });

  it('are passed nothing by the switch while both have the direct way', () => {
    const { meetings, join } = lab();
    const [a, b, c] = [join(1), join(2), join(3, { isWilling: false })];
    expect(c.heard).toEqual([]);
    a.guest.take({ kind: 'direct', peer: b.guest.number, on: true });
    a.shout('one says so');
    expect([b.got, c.got]).toEqual([['one says so'], ['one says so']]);
    b.guest.take({ kind: 'direct', peer: a.guest.number, on: true });
    expect(meetings.directPairs).toBe(1);
    a.shout('both say so');
    b.shout('and back');
    expect([a.got, b.got]).toEqual([[], ['one says so']]);
    expect(c.got).toEqual(['one says so', 'both say so', 'and back']);
    b.guest.take({ kind: 'direct', peer: a.guest.number, on: false });
    a.shout('it is gone');
    expect(b.got.at(-1)).toBe('it is gone');
    expect(meetings.directPairs).toBe(0);
  });

  it('part when one leaves, or when somebody comes who may look', () => {
    const { meetings, join } = lab();
    const [a, b] = [join(1), join(2)];
    for (const [one, other] of [
      [a, b],
      [b, a],
    ]) {
      one.guest.take({ kind: 'direct', peer: other.guest.number, on: true });
    }
    const nosy = join(3, { isNosy: true });
    expect(a.heard.at(-1)).toEqual({ kind: 'part', peer: b.guest.number });
    expect(meetings.directPairs).toBe(0);
    a.shout('seen');
    expect([b.got.at(-1), nosy.got.at(-1)]).toEqual(['seen', 'seen']);
    nosy.guest.leave();
    expect(a.heard.at(-1)).toMatchObject({ kind: 'meet', peer: b.guest.number });
    b.guest.leave();
    expect(a.heard.at(-1)).toEqual({ kind: 'part', peer: b.guest.number });
    expect(a.guest.peers.size).toBe(0);
  });

  it('have a bounded number of direct ways', () => {
    const { join } = lab();
    const cards = Array.from({ length: 20 }, (_, n) => join(n));
    expect(Math.max(...cards.map(({ guest }) => guest.peers.size))).toBe(8);
  });
});
