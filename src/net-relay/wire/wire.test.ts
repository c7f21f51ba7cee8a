import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatIp,
  formatIpv4,
  formatMac,
  ipv4Bytes,
  parseIp,
  parseIpv4Network,
  parseIpv6,
  parseMac,
} from './address.ts';
import { ARP_OPERATION, decodeArp, encodeArp } from './arp.ts';
import { concat, put16, u16 } from './bytes.ts';
import { checksum, isIntact, updateChecksum } from './checksum.ts';
import { decodeDhcp, encodeDhcp } from './dhcp.ts';
import { decodeEthernet, ETHERTYPE, ethernetFrame, ethernetHeader } from './ethernet.ts';
import { ipFrames, Reassembler } from './fragments.ts';
import { decodeIcmp, encodeIcmp } from './icmp.ts';
import { decodeIpv4, decodeIpv6, ipHeader, PROTOCOL } from './ip.ts';
import { decodeNeighbor, encodeNeighborSolicitation } from './neighbor-discovery.ts';
import { decodeTcp, TCP, TCP_HEADER_BYTES, tcpOptionBytes, tcpSegment, writeTcp } from './tcp.ts';
import { decodeTftp, encodeTftp, type TftpPacket } from './tftp.ts';
import { decodeUdp, encodeUdp } from './udp.ts';

const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const u32s = fc.integer({ min: 0, max: 0xffff_ffff });
const u16s = fc.integer({ min: 0, max: 0xffff });
const macs = fc.integer({ min: 0, max: 0xffff_ffff_ffff });
const bytes = (maxLength: number, minLength = 0) => fc.uint8Array({ minLength, maxLength });
const addresses = fc.oneof(bytes(8, 8), bytes(32, 32));
const latin = (maxLength: number) =>
  fc.string({ maxLength, unit: fc.integer({ min: 33, max: 126 }).map((c) => String.fromCharCode(c)) });

describe('addresses', () => {
  it.each([
    // RFC 5952, sections 2 and 4.
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::ffff:192.0.2.128', '::ffff:c000:280'],
    ['2001:DB8:A::', '2001:db8:a::'],
  ])('%s is %s', (text, canonical) => {
    expect(formatIp(parseIp(text) ?? new Uint8Array(4))).toBe(canonical);
  });

  it.each([
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1::2::3',
    ':1',
    '1:',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'fe80::1%eth0',
    '',
  ])('%s is none', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it('come back from their text', () => {
    fc.assert(
      fc.property(bytes(16, 16), (ip) => {
        expect(parseIpv6(formatIp(ip))).toEqual(ip);
      }),
    );
    fc.assert(
      fc.property(u32s, (ip) => {
        expect(parseIp(formatIpv4(ip))).toEqual(ipv4Bytes(ip));
      }),
    );
    fc.assert(
      fc.property(macs, (mac) => {
        expect(parseMac(formatMac(mac))).toBe(mac);
      }),
    );
  });

  it('of machines may be written as VirtualBox does', () => {
    expect(parseMac('0800270A0B0C')).toBe(0x0800_270a_0b0c);
    expect(parseMac('08:00-27:0a:0b:0c')).toBeUndefined();
    expect(parseIpv4Network('10.0.2.7/24')).toEqual({ address: 0x0a00_0200, prefix: 24 });
  });
});

describe('the checksum', () => {
  it('of the example in RFC 1071, section 3', () => {
    expect(checksum(fromHex('0001 f203 f4f5 f6f7'), 0, 8)).toBe(~0xddf2 & 0xffff);
  });

  it('verifies what it made, and not what changed', () => {
    fc.assert(
      fc.property(bytes(200, 4), fc.nat(), fc.integer({ min: 1, max: 255 }), (b, at, flip) => {
        put16(b, 0, 0);
        put16(b, 0, checksum(b, 0, b.length));
        expect(isIntact(b, 0, b.length)).toBe(true);
        b[at % b.length] ^= flip;
        expect(isIntact(b, 0, b.length)).toBe(false);
      }),
    );
  });

  it('can be updated', () => {
    fc.assert(
      fc.property(bytes(40, 6), u16s, (b, word) => {
        put16(b, 0, 0);
        const before = checksum(b, 0, b.length);
        const old = u16(b, 2);
        put16(b, 2, word);
        put16(b, 0, updateChecksum(before, old, word));
        expect(isIntact(b, 0, b.length)).toBe(true);
      }),
    );
  });
});

/** Packets that other programs made: Linux 6.1, dhclient and iPXE, seen by tcpdump. */
const SYN = fromHex(
  `52 54 00 12 35 02 08 00 27 0a 0b 0c 08 00 45 00 00 3c 1c 46 40 00 40 06 06 63 0a 00 02 0f 0a 00 02 02
   b0 1e 1f 90 7a 3d 10 01 00 00 00 00 a0 02 fa f0 00 00 00 00 02 04 05 b4 04 02 08 0a 9c 1e 21 07 00 00 00 00
   01 03 03 07`,
);

describe('a SYN of Linux', () => {
  it('is read with all its options', () => {
    const ip = ipHeader();
    const frame = SYN.slice();
    // The capture was taken before the card filled in the checksums.
    put16(frame, 24, 0);
    put16(frame, 24, checksum(frame, 14, 34));
    const ethernet = ethernetHeader();
    expect(decodeEthernet(frame, ethernet)).toBe(true);
    expect(ethernet).toMatchObject({ destination: 0x5254_0012_3502, source: 0x0800_270a_0b0c, etherType: 0x0800 });
    expect(decodeIpv4(frame, 14, ip)).toBe(true);
    expect(ip).toMatchObject({ protocol: PROTOCOL.tcp, hopLimit: 64, payloadAt: 34, end: frame.length });
    const tcp = tcpSegment();
    expect(decodeTcp(frame, 34, frame.length, 26, 8, tcp)).toBe(false);
    put16(frame, 50, 0);
    writeBackChecksum(frame);
    expect(decodeTcp(frame, 34, frame.length, 26, 8, tcp)).toBe(true);
    expect(tcp).toMatchObject({ sourcePort: 45_086, destinationPort: 8080, sequence: 0x7a3d_1001, flags: TCP.syn });
    expect(tcp).toMatchObject({ window: 64_240, mss: 1460, windowScale: 7, sackPermitted: true, hasTimestamps: true });
  });
});

function writeBackChecksum(frame: Uint8Array): void {
  const pseudo = concat(frame.subarray(26, 34), Uint8Array.of(0, 6, 0, frame.length - 34), frame.subarray(34));
  put16(frame, 50, checksum(pseudo, 0, pseudo.length));
}

describe('Ethernet', () => {
  it('is looked at behind tags', () => {
    const tagged = concat(new Uint8Array(12), fromHex('81 00 60 2a 88 a8 00 07 08 06'), new Uint8Array(46));
    const header = ethernetHeader();
    expect(decodeEthernet(tagged, header)).toBe(true);
    expect(header).toMatchObject({ vlan: 0x2a, etherType: ETHERTYPE.arp, payloadAt: 22 });
    expect(decodeEthernet(tagged.subarray(0, 17), header)).toBe(false);
  });
});

describe('messages come back from their bytes', () => {
  it('ARP', () => {
    const all = fc.record({ operation: u16s, senderMac: macs, senderIp: u32s, targetMac: macs, targetIp: u32s });
    fc.assert(
      fc.property(all, (arp) => {
        expect(decodeArp(encodeArp(arp), 0)).toEqual(arp);
      }),
    );
  });

  it('UDP', () => {
    fc.assert(
      fc.property(addresses, u16s, u16s, bytes(100), (ips, sourcePort, destinationPort, data) => {
        const b = concat(ips, encodeUdp({ sourcePort, destinationPort, data }, ips));
        expect(decodeUdp(b, ips.length, b.length, 0, ips.length)).toEqual({ sourcePort, destinationPort, data });
      }),
    );
  });

  it('ICMP', () => {
    fc.assert(
      fc.property(fc.option(bytes(32, 32), { nil: undefined }), bytes(100), (ips, body) => {
        const b = concat(ips ?? new Uint8Array(0), encodeIcmp({ type: 8, code: 0, body }, ips));
        expect(decodeIcmp(b, ips?.length ?? 0, b.length, ips ? 0 : -1)).toEqual({ type: 8, code: 0, body });
      }),
    );
  });

  it('TCP', () => {
    const segments = fc.record({
      ...{ sourcePort: u16s, destinationPort: u16s, sequence: u32s, acknowledgment: u32s, window: u16s },
      flags: fc.integer({ min: 0, max: 63 }),
      ...{ hasTimestamps: fc.boolean(), timestamp: u32s, timestampEcho: u32s },
      sack: fc.array(u32s, { minLength: 8, maxLength: 8 }),
      sackCount: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(addresses, segments, bytes(60), (ips, fields, data) => {
        const isSyn = (fields.flags & TCP.syn) !== 0;
        const syn = isSyn ? { mss: 1460, windowScale: 3, sackPermitted: true, sackCount: 0 } : {};
        const stamps = fields.hasTimestamps ? {} : { timestamp: 0, timestampEcho: 0 };
        const segment = { ...tcpSegment(), ...fields, ...stamps, ...syn };
        const at = ips.length;
        const dataAt = at + TCP_HEADER_BYTES + tcpOptionBytes(segment);
        const b = concat(ips, new Uint8Array(dataAt - at), data);
        writeTcp(b, at, b.length, 0, at, segment);
        const read = tcpSegment();
        expect(decodeTcp(b, at, b.length, 0, at, read)).toBe(true);
        const sack = segment.sack.slice(0, segment.sackCount * 2);
        expect({ ...read, sack: read.sack.slice(0, read.sackCount * 2) }).toEqual({
          ...segment,
          sack,
          dataAt,
          end: b.length,
        });
      }),
    );
  });

  it('DHCP', () => {
    const codes = fc.integer({ min: 1, max: 254 }).filter((code) => code !== 52);
    const messages = fc.record({
      ...{ operation: fc.constantFrom(1, 2), transactionId: u32s, seconds: u16s, wantsBroadcast: fc.boolean() },
      ...{ clientIp: u32s, yourIp: u32s, serverIp: u32s, relayIp: u32s, clientMac: macs },
      ...{ serverName: latin(63), bootFile: latin(127) },
      options: fc.array(fc.tuple(codes, bytes(300)), { maxLength: 6 }).map((list) => new Map(list)),
    });
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeDhcp(encodeDhcp(message))).toEqual(message);
      }),
    );
  });

  it('TFTP', () => {
    const options = fc.array(
      fc.tuple(
        latin(12).map((s) => `o${s.toLowerCase()}`),
        latin(12),
      ),
      { maxLength: 4 },
    );
    const packets: fc.Arbitrary<TftpPacket> = fc.oneof(
      fc.record({
        kind: fc.constantFrom('read' as const, 'write' as const),
        file: latin(40),
        mode: fc.constant('octet'),
        options: options.map((list) => new Map(list)),
      }),
      fc.record({ kind: fc.constant('data' as const), block: u16s, data: bytes(600) }),
      fc.record({ kind: fc.constant('ack' as const), block: u16s }),
      fc.record({ kind: fc.constant('error' as const), code: u16s, message: latin(40) }),
    );
    fc.assert(
      fc.property(packets, (packet) => {
        expect(decodeTftp(encodeTftp(packet))).toEqual(packet);
      }),
    );
  });

  it('datagrams in fragments, in any order', () => {
    fc.assert(
      fc.property(
        addresses,
        bytes(5000, 1),
        fc.integer({ min: 576, max: 1600 }),
        fc.integer({ min: 0, max: 1000 }),
        (ips, payload, mtu, seed) => {
          const frames = ipFrames({ destination: 1, source: 2, mtu }, ips, PROTOCOL.udp, payload, 77);
          const shuffled = frames.map((frame, n) => ({ frame, key: (seed * (n + 1) * 7919) % 1009 }));
          shuffled.sort((a, b) => a.key - b.key);
          const all = new Reassembler();
          const wholes = shuffled.flatMap(({ frame }) => {
            const header = ipHeader();
            const decode = ips.length === 8 ? decodeIpv4 : decodeIpv6;
            expect(frame.length).toBeLessThanOrEqual(mtu + 14);
            expect(decode(frame, 14, header)).toBe(true);
            if (!header.isFragment) return [{ protocol: header.protocol, payload: frame.slice(header.payloadAt) }];
            return all.add(0, frame, header) ?? [];
          });
          expect(wholes).toEqual([{ protocol: PROTOCOL.udp, payload }]);
          expect(all.waiting).toBe(0);
        },
      ),
    );
  });
});

describe('what is cut short or random', () => {
  const decoders: readonly ((b: Uint8Array) => unknown)[] = [
    (b) => decodeArp(b, 0),
    (b) => decodeEthernet(b, ethernetHeader()),
    (b) => decodeIpv4(b, 0, ipHeader()),
    (b) => decodeIpv6(b, 0, ipHeader()),
    (b) => decodeUdp(b, 0, b.length, -1, 8),
    (b) => decodeTcp(b, 0, b.length, 0, 8, tcpSegment()),
    (b) => decodeIcmp(b, 0, b.length, -1),
    (b) => decodeDhcp(b),
    (b) => decodeTftp(b),
    (b) => decodeNeighbor({ type: 135, code: 0, body: b }),
  ];

  it('never throws', () => {
    fc.assert(
      fc.property(bytes(400), (b) => {
        for (const decode of decoders) expect(() => decode(b)).not.toThrow();
      }),
    );
  });

  it('is no message', () => {
    const arp = encodeArp({ operation: ARP_OPERATION.request, senderMac: 1, senderIp: 2, targetMac: 3, targetIp: 4 });
    for (let n = 0; n < arp.length; n++) expect(decodeArp(arp.subarray(0, n), 0)).toBeUndefined();
    const ips = new Uint8Array(8);
    const udp = encodeUdp({ sourcePort: 1, destinationPort: 2, data: Uint8Array.of(3, 4) }, ips);
    for (let n = 0; n < udp.length; n++) expect(decodeUdp(udp, 0, n, -1, 8)).toBeUndefined();
    const { body } = encodeNeighborSolicitation(new Uint8Array(16), 5);
    for (let n = 0; n < 20; n++)
      expect(decodeNeighbor({ type: 135, code: 0, body: body.subarray(0, n) })).toBeUndefined();
    const frame = ethernetFrame(1, 2, 3, new Uint8Array(0));
    for (let n = 0; n < 14; n++) expect(decodeEthernet(frame.subarray(0, n), ethernetHeader())).toBe(false);
  });

  it('keeps the reassembler bounded', () => {
    const all = new Reassembler();
    for (let id = 0; id < 10_000; id++) {
      const [first] = ipFrames(
        { destination: 1, source: 2, mtu: 576 },
        new Uint8Array(8),
        17,
        new Uint8Array(1000),
        id,
      );
      const header = ipHeader();
      expect(decodeIpv4(first, 14, header)).toBe(true);
      all.add(id, first, header);
    }
    expect(all.waiting).toBeLessThanOrEqual(64);
  });
});
