import { describe, expect, it } from 'vitest';
import { NetworkCable } from './network-cable.ts';
import { macBytes, macFrom, parseMac } from './network-card.ts';
import { describeCable, frameOf, Inbox } from './packet-port.suite.ts';
import { createWire } from './packet-port.ts';
import { pcapHeader, pcapRecord } from './pcap.ts';

describeCable('a wire', () => {
  const [card, network] = createWire();
  return { card, network, settle: () => {} };
});

describe('the cable in a socket', () => {
  const plugged = (connected = true) => {
    const [near, far] = createWire();
    const cable = new NetworkCable(near, connected);
    const [card, network] = [new Inbox(), new Inbox()];
    cable.connect(card);
    far.connect(network);
    far.setLink(true);
    return { cable, far, card, network };
  };

  it('is pulled and put back', () => {
    const { cable, far, card, network } = plugged();
    expect([cable.linkUp, far.linkUp, card.linkChanges]).toEqual([true, true, 1]);
    cable.connected = false;
    expect([cable.linkUp, far.linkUp, card.linkChanges, network.linkChanges]).toEqual([false, false, 2, 1]);
    cable.send(frameOf(60, 1));
    far.send(frameOf(60, 2));
    expect([network.frames, card.frames]).toEqual([[], []]);
    cable.connected = true;
    cable.send(frameOf(60, 1));
    far.send(frameOf(60, 2));
    expect([network.frames.length, card.frames.length]).toEqual([1, 1]);
  });

  it('lets a card go on that was held back when it is pulled', () => {
    const { cable, card, network } = plugged();
    network.room = 0;
    expect(cable.send(frameOf(60, 1))).toBe(false);
    cable.connected = false;
    expect(card.resumed).toBeGreaterThan(0);
    expect(cable.send(frameOf(60, 1))).toBe(true);
  });

  it('leads elsewhere, and the old end is out', () => {
    const { cable, far, card, network } = plugged();
    const [near, other] = createWire();
    const inbox = new Inbox();
    other.connect(inbox);
    cable.attach(near);
    expect([far.linkUp, other.linkUp, cable.linkUp]).toEqual([false, true, false]);
    other.setLink(true);
    cable.send(frameOf(60, 1));
    expect([network.frames.length, inbox.frames.length]).toEqual([0, 1]);
    far.setLink(false);
    far.setLink(true);
    expect([cable.linkUp, card.linkChanges]).toEqual([true, 3]);
  });

  it('counts and shows what passes, not what is lost or refused', () => {
    const { cable, far, card, network } = plugged();
    const seen: [number, string][] = [];
    cable.trace = (frame, direction) => seen.push([frame.length, direction]);
    cable.send(frameOf(60, 1));
    far.send(frameOf(100, 2));
    card.room = 0;
    network.room = 0;
    cable.send(frameOf(61, 1));
    far.send(frameOf(101, 2));
    cable.connected = false;
    cable.send(frameOf(62, 1));
    expect(seen).toEqual([
      [60, 'sent'],
      [100, 'received'],
    ]);
    expect(cable.counts).toEqual({ framesSent: 1, bytesSent: 60, framesReceived: 1, bytesReceived: 100 });
  });
});

describe('MAC addresses', () => {
  it.each([
    ['080027aBcdEf', '080027ABCDEF'],
    ['08:00:27:ab:cd:ef', '080027ABCDEF'],
    ['08-00-27-AB-CD-EF', '080027ABCDEF'],
    ['090027abcdef', undefined],
    ['000000000000', undefined],
    ['ffffffffffff', undefined],
    ['080027abcde', undefined],
  ])('%s', (text, mac) => expect(parseMac(text)).toBe(mac));

  it('are made from chance', () => {
    expect(macFrom(Uint8Array.of(1, 0xab, 0xf0))).toBe('08002701ABF0');
    expect([...macBytes('08002701ABF0')]).toEqual([8, 0, 0x27, 1, 0xab, 0xf0]);
  });
});

it('a capture file has the layout of the pcap draft', () => {
  expect([...pcapHeader()]).toEqual([
    ...[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0],
  ]);
  const record = pcapRecord(Uint8Array.of(1, 2, 3), 1_700_000_000_123.5);
  const view = new DataView(record.buffer);
  expect([0, 4, 8, 12].map((at) => view.getUint32(at, true))).toEqual([1_700_000_000, 123_500, 3, 3]);
  expect([...record.subarray(16)]).toEqual([1, 2, 3]);
});
