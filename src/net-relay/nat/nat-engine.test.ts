// The NAT engine without any I/O: a fake host, frames by hand, time by hand. The Linux kernel is the guest in
// server/net/nat-kernel.test.ts.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BROADCAST_MAC, formatIp, type IpBytes, ipv4Bytes, parseIp, readMac, writeMac } from '../wire/address.ts';
import { ARP_OPERATION, encodeArp } from '../wire/arp.ts';
import { concat, u16, u32 } from '../wire/bytes.ts';
import { decodeEthernet, ETHERTYPE, ethernetFrame, ethernetHeader } from '../wire/ethernet.ts';
import { ipFrames } from '../wire/fragments.ts';
import { decodeIpv4, ipHeader, PROTOCOL } from '../wire/ip.ts';
import {
  decodeTcp,
  TCP,
  TCP_HEADER_BYTES,
  type TcpSegment,
  tcpOptionBytes,
  tcpSegment,
  writeTcp,
} from '../wire/tcp.ts';
import { encodeUdp } from '../wire/udp.ts';
import { addressKind, mayReach } from './address-policy.ts';
import { NAT_LIMITS, natConfig } from './nat-config.ts';
import { NatEngine } from './nat-engine.ts';
import type { HostDatagrams, NatHost, StreamTarget } from './nat-host.ts';
import { formatForwardRule, parseForwardRule } from './port-forwarding.ts';
import type { HostStream, TcpConnection } from './tcp/tcp-connection.ts';

const GUEST_MAC = 0x0800_2700_0001;
const GUEST = ipv4Bytes(0x0a00_020f);
const OUTSIDE = Uint8Array.of(93, 184, 216, 34);

class FakeStream implements HostStream {
  readonly connection: TcpConnection;
  readonly target: StreamTarget;
  written = 0;
  state: 'open' | 'ended' | 'destroyed' = 'open';
  isPaused = true;
  constructor(connection: TcpConnection, target: StreamTarget) {
    this.connection = connection;
    this.target = target;
  }
  write(bytes: Uint8Array): void {
    this.written += bytes.length;
  }
  end(): void {
    this.state = 'ended';
  }
  destroy(): void {
    this.state = 'destroyed';
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
}

class FakeHost implements NatHost {
  readonly frames: Uint8Array[] = [];
  readonly streams: FakeStream[] = [];
  readonly datagrams: { bytes: number; address: string; port: number }[] = [];
  openSockets = 0;
  isLinkReady = true;
  rights = { loopback: false, private: true, public: true };
  send(frame: Uint8Array): void {
    this.frames.push(frame.slice());
  }
  mayReach(address: IpBytes): boolean {
    return mayReach(this.rights, address, () => false);
  }
  connect(connection: TcpConnection, target: StreamTarget): HostStream {
    const stream = new FakeStream(connection, target);
    this.streams.push(stream);
    return stream;
  }
  openDatagrams(): HostDatagrams {
    this.openSockets++;
    const close = (): void => {
      this.openSockets--;
    };
    return {
      close,
      send: (bytes, address, port) => this.datagrams.push({ bytes: bytes.length, address: formatIp(address), port }),
    };
  }
  resolve(query: Uint8Array, answer: (nowMs: number, reply: Uint8Array | undefined) => void): void {
    answer(0, query);
  }
  ping(_address: IpBytes, answer: (nowMs: number, isAlive: boolean) => void): void {
    answer(0, false);
  }
  openFile(): undefined {}
  random32(): number {
    return 0x8000_0000;
  }
}

function network(limits = {}) {
  const host = new FakeHost();
  const engine = new NatEngine(natConfig(0, undefined, { limits: { ...NAT_LIMITS, ...limits } }), host);
  return { host, engine };
}

function tcpFrame(
  fields: Partial<TcpSegment>,
  data = new Uint8Array(0),
  to: IpBytes = OUTSIDE,
  from: IpBytes = GUEST,
): Uint8Array {
  const segment = { ...tcpSegment(), sourcePort: 1000, destinationPort: 80, window: 65_535, ...fields };
  const addresses = concat(from, to);
  const headerBytes = TCP_HEADER_BYTES + tcpOptionBytes(segment);
  const b = concat(addresses, new Uint8Array(headerBytes), data);
  writeTcp(b, 8, b.length, 0, 8, segment);
  const link = { destination: natConfig(0).mac, source: GUEST_MAC, mtu: 65_535 };
  return ipFrames(link, addresses, PROTOCOL.tcp, b.subarray(8), 1)[0];
}

function udpFrame(to: IpBytes, port: number, data = new Uint8Array(10), from = GUEST): Uint8Array {
  const addresses = concat(from, to);
  const payload = encodeUdp({ sourcePort: 2000, destinationPort: port, data }, addresses);
  return ipFrames(
    { destination: natConfig(0).mac, source: GUEST_MAC, mtu: 65_535 },
    addresses,
    PROTOCOL.udp,
    payload,
    1,
  )[0];
}

/** The TCP segments that the engine sent since the last call. */
function segments(host: FakeHost): (TcpSegment & { readonly dataBytes: number })[] {
  return host.frames.splice(0).flatMap((frame) => {
    const header = ipHeader();
    const segment = tcpSegment();
    expect(decodeEthernet(frame, ethernetHeader())).toBe(true);
    if (!decodeIpv4(frame, 14, header) || header.protocol !== PROTOCOL.tcp) return [];
    expect(decodeTcp(frame, header.payloadAt, header.end, header.addressAt, 8, segment)).toBe(true);
    return [{ ...segment, dataBytes: segment.end - segment.dataAt }];
  });
}

/** A guest's connection with everything agreed; the guest's next sequence number is 101, ours 0x80000001. */
function established(limits = {}) {
  const { host, engine } = network(limits);
  engine.receive(0, tcpFrame({ flags: TCP.syn, sequence: 100, mss: 1460, windowScale: 7, sackPermitted: true }));
  const [stream] = host.streams;
  stream.connection.hostConnected(1);
  const [answer] = segments(host);
  expect(answer).toMatchObject({ flags: TCP.syn | TCP.ack, acknowledgment: 101, mss: 1460, sackPermitted: true });
  engine.receive(2, tcpFrame({ flags: TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 512 }));
  engine.flush(2);
  expect(stream.isPaused).toBe(false);
  return { host, engine, stream };
}

describe('TCP for a guest', () => {
  it('answers SYN only when the host is connected, and resets when it is not', () => {
    const { host, engine } = network();
    engine.receive(0, tcpFrame({ flags: TCP.syn, sequence: 100 }));
    expect(segments(host)).toEqual([]);
    host.streams[0].connection.hostFailed(5);
    expect(segments(host)).toMatchObject([{ flags: TCP.rst | TCP.ack, acknowledgment: 101 }]);
    expect(engine.tcp.size).toBe(0);
  });

  it('sends a window of data, and no more before it is acknowledged', () => {
    const { host, stream } = established();
    stream.connection.hostReceived(3, new Uint8Array(100_000));
    const first = segments(host);
    expect(first.map(({ dataBytes }) => dataBytes)).toEqual(new Array(10).fill(1460));
    expect(first[0].sequence).toBe(0x8000_0001);
  });

  it('pauses the host when the guest does not read, and probes a closed window', () => {
    const { host, engine, stream } = established();
    engine.receive(4, tcpFrame({ flags: TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 0 }));
    let fed = 0;
    for (; !stream.isPaused && fed < 100; fed++) stream.connection.hostReceived(5, new Uint8Array(65_536));
    expect(fed).toBe(NAT_LIMITS.tcpSendBytes / 65_536);
    expect(segments(host)).toEqual([]);
    const probes: number[] = [];
    for (let ms = 5; ms < 20_000; ms += 50) {
      engine.tick(ms);
      for (const { dataBytes } of segments(host)) {
        expect(dataBytes).toBe(1);
        probes.push(ms);
        engine.receive(ms, tcpFrame({ flags: TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 0 }));
      }
    }
    expect(probes.length).toBeGreaterThan(3);
    expect(probes[3] - probes[2]).toBeGreaterThan((probes[1] - probes[0]) * 2);
    engine.receive(20_000, tcpFrame({ flags: TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 512 }));
    engine.flush(20_000);
    expect(segments(host).length).toBeGreaterThan(5);
  });

  it('closes the window when the host does not take, and opens it when it does', () => {
    const { host, engine, stream } = established();
    let sequence = 101;
    let edge = 101 + 65_535;
    const data = new Uint8Array(1460);
    for (let n = 0; n < 2000 && sequence + data.length <= edge; n++) {
      engine.receive(n, tcpFrame({ flags: TCP.ack, sequence, acknowledgment: 0x8000_0001, window: 512 }, data));
      engine.flush(n);
      sequence += data.length;
      for (const { acknowledgment, window } of segments(host)) {
        const scale = Math.ceil(Math.log2(NAT_LIMITS.tcpReceiveBytes / 65_535));
        edge = Math.max(edge, acknowledgment + window * 2 ** scale);
      }
    }
    expect(stream.written).toBeGreaterThan(NAT_LIMITS.tcpReceiveBytes * 0.95);
    expect(stream.written).toBeLessThanOrEqual(NAT_LIMITS.tcpReceiveBytes + 16);
    stream.connection.hostDrained(3000, stream.written);
    expect(segments(host).at(-1)?.window).toBeGreaterThan(30_000);
  });

  it('asks for what is missing with SACK, and delivers in order', () => {
    const { host, engine, stream } = established();
    const part = (n: number) =>
      tcpFrame(
        { flags: TCP.ack, sequence: 101 + n * 1000, acknowledgment: 0x8000_0001, window: 512 },
        new Uint8Array(1000).fill(n),
      );
    engine.receive(3, part(2));
    engine.flush(3);
    engine.receive(3, part(4));
    engine.flush(3);
    const acks = segments(host);
    expect(acks.map(({ acknowledgment, sackCount }) => [acknowledgment, sackCount])).toEqual([
      [101, 1],
      [101, 2],
    ]);
    expect(acks[1].sack.slice(0, 4)).toEqual([4101, 5101, 2101, 3101]);
    expect(stream.written).toBe(0);
    for (const n of [0, 1, 3]) engine.receive(4, part(n));
    engine.flush(4);
    expect(stream.written).toBe(5000);
    expect(segments(host).at(-1)).toMatchObject({ acknowledgment: 5101, sackCount: 0 });
  });

  it('sends again at once after three duplicates, and what SACK names only', () => {
    const { host, engine, stream } = established();
    stream.connection.hostReceived(3, new Uint8Array(14_600));
    expect(segments(host)).toHaveLength(10);
    const una = 0x8000_0001;
    for (let n = 1; n <= 3; n++) {
      const sack = [una + 1460, una + 1460 * (n + 1), 0, 0, 0, 0, 0, 0];
      engine.receive(
        4,
        tcpFrame({ flags: TCP.ack, sequence: 101, acknowledgment: una, window: 512, sack, sackCount: 1 }),
      );
      engine.flush(4);
    }
    expect(segments(host).map(({ sequence }) => sequence)).toEqual([una]);
  });

  it('backs off when nobody answers, and gives up', () => {
    const { host, engine, stream } = established();
    stream.connection.hostReceived(3, new Uint8Array(100));
    const times = [3];
    for (let ms = 3; engine.tcp.size > 0 && ms < 3_600_000; ms += 20) {
      host.frames.length = 0;
      engine.tick(ms);
      if (segments(host).some(({ dataBytes }) => dataBytes > 0)) times.push(ms);
    }
    const gaps = times.slice(1).map((ms, n) => ms - times[n]);
    expect(gaps.length).toBe(12);
    for (let n = 1; n < 7; n++) expect(gaps[n] / gaps[n - 1]).toBeCloseTo(2, 0);
    expect(stream.state).toBe('destroyed');
  });

  it('asks a silent guest whether it is there, and gives up one that is not (RFC 1122, 4.2.3.6)', () => {
    const { host, engine, stream } = established();
    const probes = (from: number, to: number, answer: boolean): number => {
      let count = 0;
      for (let ms = from; ms < to; ms += 1000) {
        engine.tick(ms);
        // Below the window, and so to be answered.
        const asked = segments(host).filter(({ sequence, dataBytes }) => sequence === 0x8000_0000 && dataBytes === 0);
        count += asked.length;
        const ack = { flags: TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 512 };
        if (answer && asked.length > 0) engine.receive(ms, tcpFrame(ack));
      }
      return count;
    };
    const hour = 3_600_000;
    expect(probes(1000, hour, true)).toBeGreaterThan(3);
    expect(stream.state).toBe('open');
    expect(probes(hour, 2 * hour, false)).toBe(8);
    expect([stream.state, engine.tcp.size]).toEqual(['destroyed', 0]);
  });

  it('ends one direction after the other', () => {
    const { host, engine, stream } = established();
    engine.receive(5, tcpFrame({ flags: TCP.fin | TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 512 }));
    engine.flush(5);
    expect(stream.state).toBe('ended');
    expect(segments(host)).toMatchObject([{ flags: TCP.ack, acknowledgment: 102 }]);
    stream.connection.hostReceived(6, new Uint8Array(10));
    stream.connection.hostEnded(7);
    expect(segments(host).map(({ flags }) => flags & TCP.fin)).toEqual([0, TCP.fin]);
    engine.receive(8, tcpFrame({ flags: TCP.ack, sequence: 102, acknowledgment: 0x8000_0001 + 11, window: 512 }));
    expect(engine.tcp.size).toBe(0);
  });

  it('ignores resets and SYNs that only pretend (RFC 5961)', () => {
    const { host, engine, stream } = established();
    engine.receive(5, tcpFrame({ flags: TCP.rst, sequence: 5000 }));
    engine.receive(5, tcpFrame({ flags: TCP.syn, sequence: 5000 }));
    engine.flush(5);
    expect(segments(host)).toMatchObject([{ flags: TCP.ack, acknowledgment: 101 }]);
    engine.receive(6, tcpFrame({ flags: TCP.rst, sequence: 101 }));
    expect(stream.state).toBe('destroyed');
  });

  it('survives ten thousand half-open connections', () => {
    const { host, engine } = network();
    for (let n = 0; n < 10_000; n++) {
      engine.receive(n / 100, tcpFrame({ flags: TCP.syn, sequence: n, sourcePort: 1024 + n, destinationPort: 80 }));
    }
    expect(engine.tcp.halfOpen).toBe(NAT_LIMITS.tcpHalfOpen);
    expect(host.streams.length).toBe(NAT_LIMITS.tcpHalfOpen);
    for (const { connection } of host.streams) connection.hostConnected(200);
    for (let ms = 200; ms < 120_000; ms += 100) engine.tick(ms);
    expect([engine.tcp.size, engine.tcp.halfOpen]).toEqual([0, 0]);
    expect(host.streams.every(({ state }) => state === 'destroyed')).toBe(true);
    engine.receive(120_000, tcpFrame({ flags: TCP.syn, sequence: 1 }));
    expect(engine.tcp.size).toBe(1);
  });
});

describe('where guests may go', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['2002:7f00:1::', 'loopback'],
    ['10.1.2.3', 'private'],
    ['169.254.169.254', 'private'],
    ['100.64.0.1', 'private'],
    ['fe80::1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:192.168.1.1', 'private'],
    ['0.0.0.0', 'invalid'],
    ['224.0.0.1', 'invalid'],
    ['255.255.255.255', 'invalid'],
    ['ff02::1', 'invalid'],
    ['::', 'invalid'],
    ['93.184.216.34', 'public'],
    ['2606:2800:220:1::1', 'public'],
  ] as const)('%s is %s', (ip, kind) => {
    expect(addressKind(parseIp(ip) ?? new Uint8Array(4))).toBe(kind);
  });

  it("not to the host's loopback, unless allowed", () => {
    const { host, engine } = network();
    const gateway = ipv4Bytes(engine.config.gateway);
    engine.receive(0, tcpFrame({ flags: TCP.syn, sequence: 1 }, undefined, gateway));
    engine.receive(0, tcpFrame({ flags: TCP.syn, sequence: 1 }, undefined, Uint8Array.of(127, 0, 0, 1)));
    engine.receive(0, udpFrame(gateway, 9));
    expect([host.streams.length, host.openSockets]).toEqual([0, 0]);
    expect(segments(host).map(({ flags }) => flags)).toEqual([TCP.rst | TCP.ack, TCP.rst | TCP.ack]);
    host.rights = { ...host.rights, loopback: true };
    engine.receive(1, tcpFrame({ flags: TCP.syn, sequence: 1 }, undefined, gateway));
    expect(host.streams[0].target).toMatchObject({ port: 80, address: Uint8Array.of(127, 0, 0, 1) });
  });

  it('and answers only who it has written to', () => {
    const { host, engine } = network();
    engine.receive(0, udpFrame(OUTSIDE, 53));
    expect(host.datagrams).toEqual([{ bytes: 10, address: '93.184.216.34', port: 53 }]);
  });

  it('nobody can send as somebody else', () => {
    const { host, engine } = network();
    for (const from of [engine.config.gateway, 0x0808_0808, 0x0a00_0310]) {
      engine.receive(0, tcpFrame({ flags: TCP.syn, sequence: 1 }, undefined, OUTSIDE, ipv4Bytes(from)));
      engine.receive(0, udpFrame(OUTSIDE, 53, undefined, ipv4Bytes(from)));
    }
    expect([host.streams.length, host.datagrams.length, host.frames.length]).toEqual([0, 0, 0]);
    expect(engine.statistics.dropped).toBe(6);
  });

  it('a packet from elsewhere takes nobody his address: the link is asked', () => {
    const { host, engine } = network();
    const MAC = { owner: GUEST_MAC, thief: 0x0800_2700_0666 };
    const { mac, dns, gateway } = natConfig(0);
    const query = (source: number): Uint8Array => {
      const frame = udpFrame(ipv4Bytes(dns), 53);
      writeMac(frame, 6, source);
      return frame;
    };
    const sent = (): string[] =>
      host.frames
        .splice(0)
        .map((frame) => `${u16(frame, 12) === ETHERTYPE.arp ? 'asks' : 'answers'} ${readMac(frame, 0)}`);
    engine.receive(1000, query(MAC.owner));
    expect(sent()).toEqual([`answers ${MAC.owner}`]);
    for (let n = 0; n < 100; n++) engine.receive(1001 + n, query(MAC.thief));
    expect(new Set(sent())).toEqual(new Set([`asks ${BROADCAST_MAC}`, `answers ${MAC.owner}`]));
    // ARP moves it.
    const arp = encodeArp({
      ...{ operation: ARP_OPERATION.reply, senderMac: MAC.thief, senderIp: u32(GUEST, 0) },
      ...{ targetMac: mac, targetIp: gateway },
    });
    engine.receive(1200, ethernetFrame(mac, MAC.thief, ETHERTYPE.arp, arp));
    engine.receive(1201, query(MAC.thief));
    expect(sent()).toEqual([`answers ${MAC.thief}`]);
  });

  it('UDP flows are bounded, the idle ones go first', () => {
    const { host, engine } = network({ udpFlows: 16 });
    for (let n = 0; n < 1000; n++) {
      const frame = udpFrame(OUTSIDE, 53, undefined, ipv4Bytes(0x0a00_0210 + (n % 200)));
      engine.receive(n, frame);
    }
    expect([engine.udpFlows, host.openSockets]).toEqual([16, 16]);
    for (let ms = 1000; ms < 70_000; ms += 1000) engine.tick(ms);
    expect([engine.udpFlows, host.openSockets]).toEqual([0, 0]);
  });
});

describe('rules of port forwarding', () => {
  it.each(['ssh,tcp,,2222,,22', 'web,udp,127.0.0.1,8080,10.0.2.15,80', 'six,tcp,::1,0,,80'])('%s', (text) => {
    expect(formatForwardRule(parseForwardRule(text))).toBe(text);
  });
  it.each(['', 'a,b', 'x,icmp,,1,,2', 'x,tcp,,70000,,2', 'x,tcp,,1,,0', 'x,tcp,1.2.3,1,,2', 'x,tcp,,,,22'])(
    "'%s' is none",
    (text) => {
      expect(() => parseForwardRule(text)).toThrow(/port forwarding rule/);
    },
  );
});

/** Seconds of noise: a short run always, a long one with `npm run fuzz:net`. FUZZ_SEED makes the same noise again. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 2);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x7fff_0000);

describe('hostile frames', () => {
  it(`change nothing but counters (${SECONDS} s of noise, seed ${SEED})`, { timeout: SECONDS * 2000 + 30_000 }, () => {
    const seeds = [
      tcpFrame({ flags: TCP.syn, sequence: 100, mss: 1460, windowScale: 7, sackPermitted: true, hasTimestamps: true }),
      tcpFrame({ flags: TCP.ack, sequence: 101, acknowledgment: 0x8000_0001, window: 9 }, new Uint8Array(100)),
      tcpFrame({
        flags: TCP.fin | TCP.ack,
        sequence: 101,
        acknowledgment: 0x8000_0001,
        sack: [1, 2, 3, 4, 5, 6, 7, 8],
        sackCount: 3,
      }),
      udpFrame(OUTSIDE, 53),
      udpFrame(ipv4Bytes(0x0a00_0202), 67, new Uint8Array(300)),
      udpFrame(ipv4Bytes(0x0a00_0204), 69, new TextEncoder().encode('\0\u0001a\0octet\0blksize\0' + '9\0')),
      ethernetFrame(0xffff_ffff_ffff, GUEST_MAC, ETHERTYPE.arp, new Uint8Array(28)),
      ethernetFrame(0x3333_0000_0001, GUEST_MAC, ETHERTYPE.ipv6, new Uint8Array(80)),
    ];
    const { host, engine } = network();
    const end = performance.now() + SECONDS * 1000;
    let nowMs = 0;
    let rounds = 0;
    const mutation = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 });
    // Fixed checksums let mutations get past them.
    const step = fc.property(
      fc.nat(seeds.length - 1),
      mutation,
      fc.nat(2000),
      fc.uint8Array({ maxLength: 200 }),
      (n, changes, cut, tail) => {
        const frame = concat(seeds[n].subarray(0, cut), changes.length === 6 ? tail : new Uint8Array(0)).slice();
        for (const [at, value] of changes) if (frame.length > 0) frame[at % frame.length] = value;
        repair(frame);
        nowMs += 1;
        engine.receive(nowMs, frame);
        if (nowMs % 4 === 0) engine.flush(nowMs);
        if (nowMs % 16 === 0) engine.tick(nowMs);
        const stream = host.streams[nowMs % Math.max(host.streams.length, 1)];
        if (stream && nowMs % 8 === 0) stream.connection.hostConnected(nowMs);
        if (stream && nowMs % 32 === 0) stream.connection.hostReceived(nowMs, tail);
        if (stream && nowMs % 128 === 0) stream.connection.hostEnded(nowMs);
        if (host.streams.length > 600) host.streams.shift();
        host.frames.length = 0;
      },
    );
    while (performance.now() < end) fc.assert(step, { seed: SEED + rounds++, numRuns: 500 });
    expect(rounds).toBeGreaterThan(0);
    expect(engine.tcp.size).toBeLessThanOrEqual(NAT_LIMITS.tcpConnections);
    expect(engine.udpFlows).toBeLessThanOrEqual(NAT_LIMITS.udpFlows);
    // It still works.
    engine.close(nowMs);
    engine.receive(nowMs, udpFrame(OUTSIDE, 7, new Uint8Array(77)));
    expect(host.datagrams.at(-1)).toEqual({ bytes: 77, address: '93.184.216.34', port: 7 });
  });
});

/** Makes the IPv4 header's checksum right, and TCP's, where there is one. */
function repair(frame: Uint8Array): void {
  if (frame.length < 34 || frame[12] !== 8 || frame[13] !== 0) return;
  frame[14] = 0x45;
  frame[16] = (frame.length - 14) >>> 8;
  frame[17] = frame.length - 14;
  const sum = (from: number, to: number, start: number): number => {
    let total = start;
    for (let at = from; at < to; at += 2) total += (frame[at] << 8) | (at + 1 < to ? frame[at + 1] : 0);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return ~total & 0xffff;
  };
  const put = (at: number, value: number): void => {
    frame[at] = value >>> 8;
    frame[at + 1] = value;
  };
  put(24, 0);
  put(24, sum(14, 34, 0));
  if (frame[23] !== 6 || frame.length < 54) return;
  put(50, 0);
  let pseudo = 6 + frame.length - 34;
  for (let at = 26; at < 34; at += 2) pseudo += (frame[at] << 8) | frame[at + 1];
  put(50, sum(34, frame.length, pseudo));
}
