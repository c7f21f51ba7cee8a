import { describe, expect, it } from 'vitest';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { ethernetFrame } from '../wire/ethernet.ts';
import { BandwidthGroup, LimitedPort, parseLimit } from './bandwidth-group.ts';
import { EthernetSwitch, type SwitchPort, type SwitchPortOptions } from './ethernet-switch.ts';
import { FrameQueue } from './frame-queue.ts';

const BROADCAST = 0xffff_ffff_ffff;

/** A machine at the far end of a cable, which keeps what it gets. */
class Machine {
  readonly got: Uint8Array[] = [];
  hasRoom = true;
  refusals = 0;
  readonly cable: PacketPort;
  readonly port: SwitchPort;
  readonly mac: number;

  constructor(network: EthernetSwitch, mac: number, options: Partial<SwitchPortOptions> = {}) {
    const [near, far] = createWire();
    this.mac = mac;
    this.cable = near;
    near.connect({
      receive: (frame) => {
        if (this.hasRoom) this.got.push(frame.slice());
        else this.refusals++;
        return this.hasRoom;
      },
      resume: () => {},
      linkChanged: () => {},
    });
    near.setLink(true);
    this.port = network.plug(far, { kind: 'machine', promiscuous: 'deny', ...options });
  }

  send(to: number, from = this.mac): boolean {
    return this.cable.send(ethernetFrame(to, from, 0x88b5, new Uint8Array(46)));
  }

  take(): number {
    return this.got.splice(0).length;
  }
}

describe('a switch', () => {
  function three(options: Partial<SwitchPortOptions> = {}) {
    let nowMs = 0;
    const network = new EthernetSwitch(() => nowMs);
    const [a, b, c] = [new Machine(network, 2), new Machine(network, 4), new Machine(network, 6, options)];
    const wait = (ms: number): void => {
      nowMs += ms;
    };
    return { network, a, b, c, wait };
  }

  it('sends to all until it knows better, and to all again when it has forgotten', () => {
    const { a, b, c, wait } = three();
    a.send(b.mac);
    expect([b.take(), c.take()]).toEqual([1, 1]);
    b.send(a.mac);
    expect([a.take(), c.take()]).toEqual([1, 0]);
    a.send(b.mac);
    expect([b.take(), c.take()]).toEqual([1, 0]);
    a.send(BROADCAST);
    expect([b.take(), c.take()]).toEqual([1, 1]);
    wait(300_001);
    a.send(b.mac);
    expect([b.take(), c.take()]).toEqual([1, 1]);
  });

  it('follows a station that moves, and forgets one whose cable is pulled', () => {
    const { network, a, b, c } = three();
    b.send(a.mac);
    c.send(a.mac, b.mac);
    for (const one of [a, b, c]) one.take();
    a.send(b.mac);
    expect([b.take(), c.take()]).toEqual([0, 1]);
    expect(network.stations).toBe(2);
    c.cable.setLink(false);
    expect(network.stations).toBe(1);
  });

  it.each([
    ['deny', 0, 0],
    ['allow-vms', 1, 0],
    ['allow-all', 1, 1],
  ] as const)('%s: sees %d of machines and %d of the host', (promiscuous, machines, host) => {
    const { network, a, b, c } = three({ promiscuous });
    const outside = new Machine(network, 8, { kind: 'host' });
    for (const one of [a, b, outside]) one.send(BROADCAST);
    for (const one of [a, b, c]) one.take();
    a.send(b.mac);
    expect(c.take()).toBe(machines);
    a.send(outside.mac);
    expect(c.take()).toBe(host);
  });

  it('lets nobody speak for others, where that is forbidden', () => {
    const { a, c } = three({ stations: new Set([6]) });
    c.send(BROADCAST, 4);
    c.send(BROADCAST, 0x0100_0000_0002);
    expect(a.take()).toBe(0);
    expect(c.port.counts.refused).toBe(2);
    c.send(BROADCAST);
    expect(a.take()).toBe(1);
  });

  it('is not filled by one who invents addresses', () => {
    const { network, a, b, c } = three();
    b.send(a.mac);
    for (let n = 0; n < 20_000; n++) c.send(BROADCAST, 0x0200_0000_0000 + n * 2);
    expect(network.stations).toBeLessThanOrEqual(260);
    a.take();
    c.take();
    b.take();
    a.send(b.mac);
    expect([b.take(), c.take()]).toEqual([1, 0]);
  });

  it('drops for a port that takes nothing, and goes on when it does', () => {
    const { a, b } = three();
    b.hasRoom = false;
    for (let n = 0; n < 20_000; n++) a.send(b.mac);
    expect(b.port.dropped).toBeGreaterThan(1000);
    b.hasRoom = true;
    b.cable.resume();
    const kept = b.take();
    expect(kept + b.port.dropped).toBe(20_000);
    expect(kept * 60).toBeLessThanOrEqual(512 * 1024 + 60);
    a.send(b.mac);
    expect(b.take()).toBe(1);
  });
});

describe('a queue of frames', () => {
  it('keeps order, and always has room for one', () => {
    const [near, far] = createWire();
    const got: number[] = [];
    let room = 0;
    far.connect({
      receive: (frame) => {
        if (room > 0) got.push(frame[0]);
        return room-- > 0;
      },
      resume: () => {},
      linkChanged: () => {},
    });
    near.setLink(true);
    far.setLink(true);
    const queue = new FrameQueue(near, 100);
    for (let n = 0; n < 5; n++) queue.send(Uint8Array.of(n, ...new Uint8Array(49)), true);
    expect(queue.dropped).toBe(3);
    room = 1;
    expect(queue.resume()).toBe(false);
    room = 5;
    expect(queue.resume()).toBe(true);
    queue.send(Uint8Array.of(9, ...new Uint8Array(200)), true);
    expect(got).toEqual([0, 1, 9]);
  });
});

describe('bandwidth groups', () => {
  it.each([
    ['20m', 2_500_000],
    ['100k', 12_500],
    ['1g', 125_000_000],
    ['2K', 2048],
    ['3', 3 * 1024 * 1024],
    ['0', 0],
  ])('%s are %d bytes a second', (text, bytes) => {
    expect(parseLimit(text)).toBe(bytes);
  });

  it.each(['', 'm', '-1', '1.5m', '5x'])("'%s' is no limit", (text) => {
    expect(() => parseLimit(text)).toThrow(/is no limit/);
  });

  /** Two cards that send as much as they can; bytes of each after `seconds`. */
  function race(
    limit: string,
    frameBytes: number,
    seconds: number,
    change?: { readonly atMs: number; readonly limit: string },
  ) {
    let nowMs = 1000;
    const group = new BandwidthGroup('g', parseLimit(limit), nowMs);
    const sent = [0, 0];
    const frame = new Uint8Array(frameBytes);
    const cables = sent.map((_, n) => {
      const [near, far] = createWire();
      const port = new LimitedPort(
        far,
        group,
        () => nowMs,
        () => {},
      );
      port.connect({
        receive: (bytes) => {
          sent[n] += bytes.length;
          return true;
        },
        resume: () => {},
        linkChanged: () => {},
      });
      port.setLink(true);
      near.setLink(true);
      const push = (): void => {
        // A card has a ring of a few frames, and gets them anew when it may go on.
        for (let k = 0; k < 64 && near.send(frame); k++);
      };
      near.connect({ receive: () => true, resume: push, linkChanged: () => {} });
      return push;
    });
    for (const push of cables) push();
    const end = nowMs + seconds * 1000;
    while (nowMs < end) {
      // A timer that is up to 3 ms late.
      nowMs = Math.max(group.deadlineMs ?? nowMs + 1, nowMs) + 1 + ((nowMs * 7) % 2);
      if (change && nowMs >= change.atMs) group.setLimit(nowMs, parseLimit(change.limit));
      group.tick(nowMs);
      // What passed without waiting is followed by more.
      for (const push of cables) push();
    }
    return sent;
  }

  it.each([
    ['20m', 1514, 2_500_000],
    ['100k', 1514, 12_500],
    ['100k', 64, 12_500],
    ['20m', 9014, 2_500_000],
  ])('%s in frames of %d bytes: within 5 % over ten seconds, shared fairly', (limit, frameBytes, rate) => {
    const [first, second] = race(limit, frameBytes, 10);
    expect((first + second) / 10 / rate).toBeGreaterThan(0.95);
    expect((first + second) / 10 / rate).toBeLessThan(1.05);
    expect(Math.abs(first - second) / (first + second)).toBeLessThan(0.1);
  });

  it('can be changed while cards wait, and removed', () => {
    const [a, b] = race('100k', 1514, 10, { atMs: 6000, limit: '200k' });
    expect((a + b) / 10 / 18_750).toBeGreaterThan(0.95);
    expect((a + b) / 10 / 18_750).toBeLessThan(1.07);
    const group = new BandwidthGroup('g', 1000, 0);
    const [, far] = createWire();
    expect(group.take(0, 100_000, far)).toBe(true);
    expect(group.take(0, 1, far)).toBe(false);
    group.setLimit(0, 0);
    expect(group.deadlineMs).toBeUndefined();
    expect(group.take(0, 1_000_000, far)).toBe(true);
  });
});
