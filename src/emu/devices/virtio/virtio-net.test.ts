import { describe, expect, it } from 'vitest';
import { createPacketRing, PacketRingEnd } from '#emu/host/packet-ring.ts';
import { CardBench, type CardParts, MAC } from '../net/card-bench.suite.ts';
import { type CardDriver, describeNetworkCard, ethernetFrame } from '../net/network-card.suite.ts';
import { createVirtioNet } from './create-virtio-net.ts';

/** What a driver asks for. */
interface Wishes {
  readonly modern: boolean;
  readonly merge: boolean;
  readonly event: boolean;
  /** VIRTIO_NET_F_GUEST_TSO4 and 6. */
  readonly join?: boolean;
}

const RING = 8;
const BUFFER_BYTES = 1600;
const BUFFERS = 0x10_0000;
const RECEIVE_RING = 0x2_0000;
const RINGS = [RECEIVE_RING, 0x3_0000, 0x4_0000] as const;
const LEGACY_SIZES = [256, 256, 64] as const;

const make = (parts: CardParts) => createVirtioNet(parts);

/** As VIRTIO 1.2 sections 3.1 and 5.1.5 have it. Receive chains are one buffer, transmit chains a header and a frame. */
class VirtioNetDriver implements CardDriver {
  bench: CardBench;
  readonly ringSize: number;
  readonly wishes: Wishes;
  readonly #io: number;
  readonly #memory: number;
  sizes: number[] = [];
  avail = [0, 0, 0];
  /** `avail` when the device was last told, or need not be. */
  kicked = [0, 0, 0];
  usedSeen = [0, 0, 0];
  held: number[] = [];
  negotiated = 0;

  constructor(bench: CardBench, bases: readonly number[], wishes: Wishes) {
    this.bench = bench;
    this.wishes = wishes;
    [this.#io] = bases;
    this.#memory = bases[4];
    this.ringSize = RING;
  }

  get headerBytes(): number {
    return this.wishes.modern || this.wishes.merge ? 12 : 10;
  }

  common(offset: number, width: 1 | 2 | 4, value?: number): number {
    if (value === undefined) return this.bench.read(this.#memory + offset, width);
    this.bench.write(this.#memory + offset, width, value);
    return 0;
  }
  port(offset: number, width: 1 | 2 | 4, value?: number): number {
    if (value === undefined) return this.bench.ports.read(this.#io + offset, width);
    this.bench.ports.write(this.#io + offset, width, value);
    return 0;
  }
  status(value?: number): number {
    return this.wishes.modern ? this.common(20, 1, value) : this.port(18, 1, value);
  }

  start(): void {
    const { wishes } = this;
    this.status(0);
    this.status(1);
    this.status(3);
    const wanted =
      (wishes.join ? 3 << 7 : 0) |
      (1 << 0) |
      (1 << 1) |
      (1 << 5) |
      (1 << 11) |
      (1 << 12) |
      (1 << 16) |
      (1 << 17) |
      (1 << 18) |
      (1 << 19) |
      (1 << 23);
    const features = (wanted | (wishes.merge ? 1 << 15 : 0) | (wishes.event ? 1 << 29 : 0) | (1 << 28)) >>> 0;
    if (wishes.modern) {
      this.common(0, 4, 1);
      expect(this.common(4, 4) & 1).toBe(1);
      this.common(0, 4, 0);
      this.negotiated = (this.common(4, 4) & features) >>> 0;
      this.common(8, 4, 0);
      this.common(12, 4, this.negotiated);
      this.common(8, 4, 1);
      this.common(12, 4, 1);
      this.status(11);
      expect(this.status() & 8).toBe(8);
    } else {
      this.negotiated = (this.port(0, 4) & features) >>> 0;
      this.port(4, 4, this.negotiated);
    }
    expect(this.negotiated).toBe(features);
    for (let q = 0; q < 3; q++) this.#setUpQueue(q);
    for (let i = 0; i < RING; i++) this.#giveReceive(i);
    this.status(wishes.modern ? 15 : 7);
    this.#kick(0);
  }

  #setUpQueue(q: number): void {
    if (this.wishes.modern) {
      this.common(22, 2, q);
      this.common(24, 2, q === 0 ? RING * 2 : 16);
      this.sizes[q] = this.common(24, 2);
      [RINGS[q], this.#availAt(q), this.#usedAt(q)].forEach((at, i) => {
        this.common(32 + i * 8, 4, at);
        this.common(36 + i * 8, 4, 0);
      });
      this.common(28, 2, 1);
    } else {
      this.port(14, 2, q);
      this.sizes[q] = this.port(12, 2);
      expect(this.sizes[q]).toBe(LEGACY_SIZES[q]);
      this.port(8, 4, RINGS[q] / 4096);
    }
  }

  #availAt(q: number): number {
    return RINGS[q] + this.sizes[q] * 16;
  }
  #usedAt(q: number): number {
    return Math.ceil((this.#availAt(q) + 6 + this.sizes[q] * 2) / 4096) * 4096;
  }

  #descriptor(q: number, index: number, address: number, length: number, flags: number, next: number): void {
    const at = RINGS[q] + index * 16;
    this.bench.write(at, 4, address);
    this.bench.write(at + 4, 4, 0);
    this.bench.write(at + 8, 4, length);
    this.bench.write(at + 12, 4, flags | (next << 16));
  }

  #offer(q: number, head: number): void {
    const { bench } = this;
    bench.write(this.#availAt(q) + 4 + (this.avail[q] % this.sizes[q]) * 2, 2, head);
    this.avail[q] = (this.avail[q] + 1) & 0xffff;
    // Every use is worth an interrupt: used_event one before what comes next.
    bench.write(this.#availAt(q) + 4 + this.sizes[q] * 2, 2, this.usedSeen[q]);
    bench.write(this.#availAt(q) + 2, 2, this.avail[q]);
  }

  /** Tells the device, unless it said that it need not be told. Source: VIRTIO 1.2, section 2.7.10. */
  #kick(q: number): void {
    const used = this.#usedAt(q);
    const before = this.kicked[q];
    this.kicked[q] = this.avail[q];
    if (this.wishes.event) {
      const wanted = this.bench.read(used + 4 + this.sizes[q] * 8, 2);
      if (((this.avail[q] - wanted - 1) & 0xffff) >= ((this.avail[q] - before) & 0xffff)) return;
    } else if ((this.bench.read(used, 2) & 1) !== 0) return;
    if (this.wishes.modern) this.common(0x3000 + q * 4, 2, q);
    else this.port(16, 2, q);
  }

  /** Heads and lengths used since the last look. */
  #used(q: number): [number, number][] {
    const found: [number, number][] = [];
    const end = this.bench.read(this.#usedAt(q) + 2, 2);
    while (this.usedSeen[q] !== end) {
      const at = this.#usedAt(q) + 4 + (this.usedSeen[q] % this.sizes[q]) * 8;
      found.push([this.bench.read(at, 4), this.bench.read(at + 4, 4)]);
      this.usedSeen[q] = (this.usedSeen[q] + 1) & 0xffff;
    }
    return found;
  }

  readMac(): Uint8Array {
    return Uint8Array.from({ length: 6 }, (_, i) => this.config(i));
  }
  config(offset: number): number {
    return this.wishes.modern ? this.common(0x2000 + offset, 1) : this.port(20 + offset, 1);
  }
  linkUp(): boolean {
    return (this.config(6) & 1) !== 0;
  }

  send(frame: Uint8Array): void {
    this.sendWith(new Uint8Array(this.headerBytes), frame);
  }

  sendWith(header: Uint8Array, frame: Uint8Array): void {
    const i = (this.avail[1] * 2) % (this.sizes[1] & ~1);
    const at = BUFFERS + 0x10_0000 + (this.avail[1] % 4) * 0x1_8000;
    this.bench.memory.write(at, header);
    this.bench.memory.write(at + 64, frame);
    this.#descriptor(1, i, at, this.headerBytes, 1, i + 1);
    this.#descriptor(1, i + 1, at + 64, frame.length, 0, 0);
    this.#offer(1, i);
    this.#kick(1);
  }

  sentCount(): number {
    return this.bench.read(this.#usedAt(1) + 2, 2);
  }

  /** Headers of what the last look found. */
  headers: Uint8Array[] = [];

  receive(): Uint8Array[] {
    const frames = this.receiveAndHold();
    this.release();
    return frames;
  }

  receiveAndHold(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    this.headers = [];
    const used = this.#used(0);
    for (let n = 0; n < used.length; ) {
      const header = this.bench.bytes(BUFFERS + used[n][0] * BUFFER_BYTES, this.headerBytes);
      const chains = this.headerBytes === 12 ? header[10] | (header[11] << 8) : 1;
      const parts = used.slice(n, n + chains).map(([i, length]) => {
        this.held.push(i);
        return this.bench.bytes(BUFFERS + i * BUFFER_BYTES, length);
      });
      this.headers.push(header);
      frames.push(Uint8Array.from(Buffer.concat(parts).subarray(this.headerBytes)));
      n += chains;
    }
    return frames;
  }

  release(): void {
    for (const i of this.held.splice(0)) this.#giveReceive(i);
    this.#kick(0);
  }

  #giveReceive(i: number): void {
    this.#descriptor(0, i, BUFFERS + i * BUFFER_BYTES, BUFFER_BYTES, 2, 0);
    this.#offer(0, i);
  }

  acknowledge(): void {
    if (this.wishes.modern) this.common(0x1000, 1);
    else this.port(19, 1);
  }

  control(kind: number, command: number, data: readonly number[]): number {
    const at = BUFFERS + 0xf_0000;
    this.bench.memory.write(at, Uint8Array.of(kind, command));
    this.bench.memory.write(at + 16, Uint8Array.from(data));
    this.bench.write(at + 512, 1, 0xff);
    // Indirect: three descriptors in a table of their own.
    [
      [at, 2, 1, 1],
      [at + 16, data.length, 1, 2],
      [at + 512, 1, 2, 0],
    ].forEach(([address, length, flags, next], i) => {
      const entry = at + 1024 + i * 16;
      this.bench.write(entry, 4, address);
      this.bench.write(entry + 4, 4, 0);
      this.bench.write(entry + 8, 4, length);
      this.bench.write(entry + 12, 4, flags | (next << 16));
    });
    this.#descriptor(2, 0, at + 1024, 48, 4, 0);
    this.#offer(2, 0);
    this.#kick(2);
    expect(this.#used(2)).toEqual([[0, 1]]);
    return this.bench.read(at + 512, 1);
  }

  setPromiscuous(on: boolean): void {
    expect(this.control(0, 0, [on ? 1 : 0])).toBe(0);
  }

  addMulticast(address: Uint8Array): void {
    expect(this.control(1, 0, [0, 0, 0, 0, 1, 0, 0, 0, ...address])).toBe(0);
  }
}

const VARIANTS: readonly (readonly [string, Wishes])[] = [
  ['legacy', { modern: false, merge: false, event: false }],
  ['legacy with merged buffers and event index', { modern: false, merge: true, event: true }],
  ['modern', { modern: true, merge: true, event: true }],
  ['modern without merged buffers and event index', { modern: true, merge: false, event: false }],
];
for (const [name, wishes] of VARIANTS) {
  describeNetworkCard(`virtio-net, ${name}`, {
    make,
    driver: (bench, bases) => new VirtioNetDriver(bench, bases, wishes),
    id: 0x1000_1af4,
  });
}

function running(wishes: Wishes = { modern: true, merge: true, event: true }) {
  const bench = new CardBench(make);
  const driver = new VirtioNetDriver(bench, bench.enable(), wishes);
  driver.start();
  driver.acknowledge();
  return { bench, driver };
}

const sum16 = (bytes: Uint8Array, start = 0): number => {
  let sum = start;
  bytes.forEach((byte, i) => {
    sum += i % 2 === 0 ? byte * 256 : byte;
  });
  return sum % 0xffff;
};

/** Headers of a TCP packet as Linux leaves them to the device: the pseudo-header's sum for the whole in TCP's place. */
function tcpPacket(payload: number, v6: boolean): Uint8Array {
  const ip = v6 ? 40 : 20;
  const frame = new Uint8Array(14 + ip + 20 + payload).map((_, i) => i * 5);
  frame.set([...MAC, ...MAC, ...(v6 ? [0x86, 0xdd] : [8, 0])]);
  const view = new DataView(frame.buffer);
  frame.fill(0, 14, 14 + ip);
  if (v6) {
    frame[14] = 0x60;
    view.setUint16(18, 20 + payload);
    frame.set([6, 64], 20);
    frame.fill(0xfe, 22, 54);
  } else {
    frame.set([0x45, 0], 14);
    view.setUint16(16, 40 + payload);
    frame.set([0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2], 18);
    view.setUint16(24, 0xffff - sum16(frame.subarray(14, 34)));
  }
  const addresses = v6 ? frame.subarray(22, 54) : frame.subarray(26, 34);
  frame.set([0, 1, 0, 2, 0, 0, 0, 100, 0, 0, 0, 7, 0x50, 0x19, 1, 0], 14 + ip);
  view.setUint16(14 + ip + 16, sum16(addresses, 6 + 20 + payload));
  view.setUint16(14 + ip + 18, 0);
  return frame;
}

const isSound = (frame: Uint8Array, v6: boolean): boolean => {
  const at = v6 ? 54 : 34;
  const addresses = v6 ? frame.subarray(22, 54) : frame.subarray(26, 34);
  const header = v6 ? 0 : sum16(frame.subarray(14, 34));
  return header === 0 && sum16(frame.subarray(at), sum16(addresses, 6 + frame.length - at)) === 0;
};

describe('virtio-net offloads', () => {
  it.each([false, true])('sum and cut TCP packets, IPv6: %s', (v6) => {
    const { bench, driver } = running();
    const at = v6 ? 54 : 34;
    driver.sendWith(Uint8Array.of(1, 0, 0, 0, 0, 0, at, 0, 16, 0, 0, 0), tcpPacket(100, v6));
    expect(isSound(bench.inbox.frames[0], v6)).toBe(true);

    const packet = tcpPacket(4000, v6);
    bench.inbox.room = 1;
    // NEEDS_CSUM, TCPV4 or TCPV6, no header length, gso_size 1400.
    driver.sendWith(Uint8Array.of(1, v6 ? 4 : 1, 0, 0, 0x78, 5, at, 0, 16, 0, 0, 0), packet);
    bench.inbox.room = 9;
    bench.far.resume();
    const frames = bench.inbox.frames.slice(1);
    expect(frames.map((frame) => frame.length - at - 20)).toEqual([1400, 1400, 1200]);
    for (const frame of frames) expect(isSound(frame, v6)).toBe(true);
    expect(frames.map((frame) => new DataView(frame.buffer).getUint32(at + 4))).toEqual([100, 1500, 2900]);
    expect(Buffer.concat(frames.map((frame) => frame.subarray(at + 20)))).toEqual(
      Buffer.from(packet.subarray(at + 20)),
    );
  });

  it('tell the driver which packets need no look at their checksum', () => {
    const { bench, driver } = running();
    driver.sendWith(Uint8Array.of(1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0), tcpPacket(100, false));
    const [good] = bench.inbox.frames;
    const bad = good.slice();
    bad[100] ^= 1;
    for (const frame of [good, bad, ethernetFrame(MAC, 60)]) bench.far.send(frame);
    driver.receive();
    expect(driver.headers.map((header) => header[0])).toEqual([2, 0, 0]);
  });

  it('spread a long frame over several buffers when those may be merged', () => {
    const frame = ethernetFrame(MAC, 6000);
    const { bench, driver } = running();
    bench.far.send(frame);
    expect(driver.receive()).toEqual([frame]);
    expect(driver.headers[0][10]).toBe(4);
    const other = running({ modern: true, merge: false, event: false });
    expect(other.bench.far.send(frame)).toBe(true);
    expect(other.driver.receive()).toEqual([]);
  });
});

describe('virtio-net control queue', () => {
  it('changes the address and filters VLANs', () => {
    const { bench, driver } = running();
    const address = [2, 0, 0, 1, 2, 3];
    expect(driver.control(1, 1, address)).toBe(0);
    expect([...driver.readMac()]).toEqual(address);
    const tagged = ethernetFrame(Uint8Array.from(address), 100);
    tagged.set([0x81, 0, 0, 7], 12);
    bench.far.send(tagged);
    expect(driver.receive()).toEqual([]);
    expect(driver.control(2, 0, [7, 0])).toBe(0);
    bench.far.send(tagged);
    expect(driver.receive()).toEqual([tagged]);
    expect(driver.control(2, 1, [7, 0])).toBe(0);
    bench.far.send(tagged);
    expect(driver.receive()).toEqual([]);
  });

  it('refuses what it does not know', () => {
    const { driver } = running();
    expect(driver.control(4, 0, [2, 0])).toBe(1);
    expect(driver.control(1, 0, [9, 0, 0, 0])).toBe(1);
  });
});

describe('joining of received segments', () => {
  const WISHES: Wishes = { modern: true, merge: true, event: true, join: true };

  /** As a device cuts it for the cable. */
  function segments(packet: Uint8Array, v6: boolean, mss: number): Uint8Array[] {
    const { bench, driver } = running();
    const headerBytes = v6 ? 74 : 54;
    const header = [1, v6 ? 4 : 1, headerBytes, 0, mss & 255, mss >> 8, headerBytes - 20, 0, 16, 0, 0, 0];
    driver.sendWith(Uint8Array.from(header), packet);
    return bench.inbox.frames.map((frame) => frame.slice());
  }

  /** The frames come in one batch. */
  function receive(frames: readonly Uint8Array[], wishes = WISHES) {
    const { bench, driver } = running(wishes);
    const ring = createPacketRing();
    const [card, network] = [new PacketRingEnd(ring, 'card'), new PacketRingEnd(ring, 'network')];
    bench.cable.attach(card);
    network.setLink(true);
    for (const frame of frames) expect(network.send(frame)).toBe(true);
    card.poll();
    return { bench, driver, card, network };
  }

  const data = (payload: number, v6: boolean): Uint8Array => {
    const packet = tcpPacket(payload, v6);
    packet[(v6 ? 54 : 34) + 13] = 0x18;
    return packet;
  };

  it.each([false, true])('gives back the packet that was cut, IPv6: %s', (v6) => {
    const packet = data(3500, v6);
    const cut = segments(packet, v6, 1000);
    expect(cut.map((frame) => frame.length - (v6 ? 74 : 54))).toEqual([1000, 1000, 1000, 500]);
    const { driver } = receive(cut);
    expect(driver.receive()).toEqual([packet]);
    const headerBytes = v6 ? 74 : 54;
    const expected = [1, v6 ? 4 : 1, headerBytes, 0, 1000 & 255, 1000 >> 8, headerBytes - 20, 0, 16, 0, 3, 0];
    expect([...driver.headers[0]]).toEqual(expected);
  });

  it('leaves frames alone for a driver that did not ask, or has one buffer a packet', () => {
    const cut = segments(data(3500, false), false, 1000);
    for (const wishes of [
      { ...WISHES, join: false },
      { ...WISHES, merge: false },
    ]) {
      const { driver } = receive(cut, wishes);
      expect(driver.receive()).toEqual(cut);
      expect(driver.headers.map((header) => header[0])).toEqual([2, 2, 2, 2]);
    }
  });

  it('joins nothing that could not be taken apart again', () => {
    const cut = segments(data(3000, false), false, 1000);
    // Of the second frame: type of service, fragment flags, TTL, port, sequence, acknowledgement, flags, window, payload.
    for (const at of [15, 20, 22, 35, 41, 45, 47, 49, 60]) {
      const changed = cut[1].slice();
      changed[at] ^= at === 47 ? 1 : 2;
      // All but the last with right sums.
      if (at !== 60) {
        changed.set([0, 0], 24);
        new DataView(changed.buffer).setUint16(24, 0xffff - sum16(changed.subarray(14, 34)));
        changed.set([0, 0], 50);
        const sum = sum16(changed.subarray(34), sum16(changed.subarray(26, 34), 6 + changed.length - 34));
        new DataView(changed.buffer).setUint16(50, 0xffff - sum);
      }
      const { driver } = receive([cut[0], changed, cut[2]]);
      expect(driver.receive(), `byte ${at}`).toEqual([cut[0], changed, cut[2]]);
    }
    const { driver } = receive([cut[1], cut[0], cut[2]]);
    expect(driver.receive().map((frame) => frame.length)).toEqual([1054, 1054, 1054]);
  });

  it('waits with what it has joined while there is no room, saved and restored meanwhile', () => {
    const first = segments(data(1000, false), false, 1000);
    const packet = data(4000, false);
    const cut = segments(packet, false, 1000);
    const { driver, card, network } = receive([...first, ...first, ...first, ...first, ...first, ...first]);
    expect(driver.receiveAndHold().length).toBe(6);
    for (const frame of [...cut, ...first]) expect(network.send(frame)).toBe(true);
    card.poll();
    // Two buffers are left, and three are needed.
    expect(driver.receiveAndHold()).toEqual([]);
    const { card: device } = driver.bench;
    device.restore(device.save());
    driver.release();
    card.poll();
    expect(driver.receive()).toEqual([packet, first[0]]);
  });
});

describe('virtio over PCI', () => {
  it('refuses features that were not offered', () => {
    const { driver } = running();
    driver.status(0);
    driver.status(3);
    driver.common(8, 4, 1);
    driver.common(12, 4, 3);
    driver.status(11);
    expect(driver.status() & 8).toBe(0);
  });

  it('asks for a reset when the driver breaks a ring', () => {
    const { bench, driver } = running();
    // A descriptor that leads to itself.
    bench.write(0x3_0000, 4, 0x1000);
    bench.write(0x3_0000 + 8, 4, 4);
    bench.write(0x3_0000 + 12, 4, 1);
    bench.write(0x3_0000 + 16 * 16 + 2, 2, 1);
    driver.common(0x3004, 2, 1);
    expect(driver.status() & 64).toBe(64);
    expect(bench.interrupt).toBe(true);
    bench.write(0x3_0000 + 16 * 16 + 2, 2, 0);
    driver.avail = [0, 0, 0];
    driver.start();
    expect(driver.status() & 64).toBe(0);
  });

  it('is reached through configuration space', () => {
    const { bench } = running();
    const find = (type: number): number => {
      for (let at = bench.card.readConfig(0x34, 1); at !== 0; at = bench.card.readConfig(at + 1, 1)) {
        if (bench.card.readConfig(at, 1) === 9 && bench.card.readConfig(at + 3, 1) === type) return at;
      }
      return 0;
    };
    const device = find(4);
    const access = find(5);
    bench.card.writeConfig(access + 4, 1, bench.card.readConfig(device + 4, 1));
    bench.card.writeConfig(access + 8, 4, bench.card.readConfig(device + 8, 4));
    bench.card.writeConfig(access + 12, 4, 4);
    expect(bench.card.readConfig(access + 16, 4)).toBe(0x1227_0008);
  });

  it('raises no interrupt that the driver does not want', () => {
    const { bench, driver } = running({ modern: false, merge: false, event: false });
    // VRING_AVAIL_F_NO_INTERRUPT.
    bench.write(RECEIVE_RING + 256 * 16, 2, 1);
    bench.far.send(ethernetFrame(MAC, 60));
    expect(bench.interrupt).toBe(false);
    bench.write(RECEIVE_RING + 256 * 16, 2, 0);
    bench.far.send(ethernetFrame(MAC, 60));
    expect(bench.interrupt).toBe(true);
    expect(driver.receive().length).toBe(2);
  });
});
