/**
 * VirtualBox's NAT: one network whose guests reach the outside through sockets of the host. Frames in, frames out; the
 * driver (`NatHost`) owns sockets, files and the clock. One card has such a network for itself, or several machines
 * share one ("NAT network").
 * Source: VirtualBox manual 6.3 and 9.8 for what it offers; RFC 1122 for hosts, RFC 4787 and RFC 5382 for NAT.
 *
 * Not modelled: ICMP other than echo, multicast and broadcast to the outside, IP options, path MTU discovery behind us.
 *
 * Theory of operation. `receive` takes a frame apart: ARP and Neighbor Discovery are answered here, fragments are
 * collected, and UDP and TCP go to their flows. What is addressed to us is served here (DHCP, DNS, TFTP, echo), the rest
 * is handed to the host when `mayReach` allows it. TCP output waits for `flush`, so that a batch of segments is
 * acknowledged once; everything else is answered at once.
 */
import { CodedError } from '#base/errors.ts';
import {
  BROADCAST_MAC,
  formatIp,
  type IpBytes,
  type Ipv4,
  inNetwork,
  ipv4Bytes,
  isGroupMac,
  type Mac,
  parseIp,
  writeMac,
} from '../wire/address.ts';
import { ARP_OPERATION, decodeArp, encodeArp } from '../wire/arp.ts';
import { concat, put16, sameBytes, u16, u32 } from '../wire/bytes.ts';
import { DHCP_PORT, decodeDhcp } from '../wire/dhcp.ts';
import { decodeEthernet, ETHERNET_HEADER_BYTES, ETHERTYPE, ethernetFrame, ethernetHeader } from '../wire/ethernet.ts';
import { ipFrames, Reassembler } from '../wire/fragments.ts';
import { encodeIcmp, ICMP, ICMP_UNREACHABLE, ICMPV6, ICMPV6_UNREACHABLE, icmpError } from '../wire/icmp.ts';
import { decodeIpv4, decodeIpv6, type IpHeader, ipHeader, PROTOCOL } from '../wire/ip.ts';
import { decodeTcp, tcpSegment } from '../wire/tcp.ts';
import { decodeUdp, encodeUdp, type Udp } from '../wire/udp.ts';
import { dhcpFrames } from './dhcp-frames.ts';
import { DhcpServer, type Lease } from './dhcp-server.ts';
import { EchoService } from './echo-service.ts';
import { IPV6_OF_OURS, inPrefix, LOOPBACK_V6, type NatConfig } from './nat-config.ts';
import type { HostDatagrams, NatHost, StreamTarget } from './nat-host.ts';
import { NeighborDiscovery } from './neighbor-discovery.ts';
import { Neighbors } from './neighbors.ts';
import type { HostStream, TcpConnection } from './tcp/tcp-connection.ts';
import { forwardKey, TcpFlows } from './tcp-flows.ts';
import { TftpServer } from './tftp-server.ts';
import { type UdpFlow, UdpFlows } from './udp-flows.ts';

const LEASE_SECONDS = 86_400;
const PORT = { dns: 53, tftp: 69 } as const;

/** What a packet is for. */
type Role = 'gateway' | 'dns' | 'tftp' | 'host';

export interface NatStatistics {
  framesReceived: number;
  bytesReceived: number;
  framesSent: number;
  bytesSent: number;
  /** Not understood, spoofed, or refused by a limit. */
  dropped: number;
}

export class NatEngine {
  readonly config: NatConfig;
  readonly statistics: NatStatistics = { framesReceived: 0, bytesReceived: 0, framesSent: 0, bytesSent: 0, dropped: 0 };
  readonly #host: NatHost;
  readonly #ours: ReadonlyMap<string, Role>;
  readonly #oursV4: ReadonlySet<Ipv4>;
  /** The host's address by ours. */
  readonly #hostAt: ReadonlyMap<string, IpBytes>;
  readonly #neighbors = new Neighbors();
  readonly #discovery: NeighborDiscovery | undefined;
  readonly #dhcp: DhcpServer;
  readonly #tftp: TftpServer;
  readonly #echo: EchoService;
  readonly #udp: UdpFlows;
  readonly tcp: TcpFlows;
  readonly #reassembler = new Reassembler();
  readonly #ethernet = ethernetHeader();
  readonly #header = ipHeader();
  readonly #segment = tcpSegment();
  #nowMs = 0;
  #nextId = 1;
  #dnsQueries = 0;

  constructor(config: NatConfig, host: NatHost) {
    this.config = config;
    this.#host = host;
    this.#ours = ourAddresses(config);
    const hostsV4 = config.hostAt.flatMap(({ inside }) => (inside.length === 4 ? [u32(inside, 0)] : []));
    this.#oursV4 = new Set([config.gateway, config.dns, config.tftp, ...hostsV4]);
    this.#hostAt = new Map(config.hostAt.map(({ inside, outside }) => [formatIp(inside), outside]));
    this.#dhcp = new DhcpServer({
      ...{ network: config.network, server: config.gateway, router: config.gateway },
      dns: config.nameServers.length > 0 ? config.nameServers : [config.dns],
      ...{ pool: config.pool, leaseSeconds: LEASE_SECONDS, domain: config.domain, mtu: config.mtu },
      ...{ bootFile: config.bootFile, bootServer: config.bootServer || config.tftp },
    });
    const tftp = {
      openFile: (name: string) => host.openFile(name),
      send: (client: string, packet: Uint8Array) => this.#sendTftp(client, packet),
    };
    this.#tftp = new TftpServer(tftp, config.mtu, config.limits.tftpTransfers);
    this.#udp = new UdpFlows(config.limits.udpFlows, (flow, bytes, address, port) =>
      this.#udpToGuest(flow.guest, flow.guestPort, this.#asSeenInside(address), port, bytes),
    );
    this.#echo = new EchoService(config.limits.pings, host);
    this.tcp = new TcpFlows({
      config,
      isLinkReady: () => host.isLinkReady,
      send: (nowMs, frame, at, bytes) => this.#sendPacket(nowMs, frame, at, bytes),
      connect: (connection, b, header, port) => this.#connect(connection, b, header, port),
      random32: () => host.random32(),
    });
    if (config.prefix) this.#discovery = new NeighborDiscovery({ ...config, prefix: config.prefix }, this.#neighbors);
  }

  get leases(): readonly Lease[] {
    return this.#dhcp.leases;
  }

  get udpFlows(): number {
    return this.#udp.size;
  }

  /** When to call `tick`, in milliseconds; undefined: not before something happens. */
  get deadlineMs(): number | undefined {
    const least = earlier(this.tcp.deadlineMs, this.#udp.deadlineMs);
    return earlier(least, earlier(this.#tftp.deadlineMs, this.#discovery?.deadlineMs));
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.tcp.tick(nowMs);
    this.#udp.tick(nowMs);
    this.#tftp.tick(nowMs);
    for (const frame of this.#discovery?.tick(nowMs) ?? []) this.#send(frame);
  }

  /** Ends what the last calls of `receive` have begun: to be called once after a batch. */
  flush(nowMs: number): void {
    this.#nowMs = nowMs;
    this.tcp.flush(nowMs);
  }

  /** The link takes frames again. */
  linkReady(nowMs: number): void {
    this.#nowMs = nowMs;
    this.tcp.linkReady(nowMs);
  }

  close(nowMs: number): void {
    this.tcp.close(nowMs);
    this.#udp.close();
    this.#tftp.close();
  }

  /** One frame from a guest; valid during the call only. */
  receive(nowMs: number, frame: Uint8Array): void {
    this.#nowMs = nowMs;
    this.statistics.framesReceived++;
    this.statistics.bytesReceived += frame.length;
    if (!this.#receiveFrame(nowMs, frame)) this.statistics.dropped++;
  }

  #receiveFrame(nowMs: number, frame: Uint8Array): boolean {
    const ethernet = this.#ethernet;
    if (!decodeEthernet(frame, ethernet) || ethernet.vlan !== 0 || isGroupMac(ethernet.source)) return false;
    const isForUs = ethernet.destination === this.config.mac;
    if (!isForUs && !isGroupMac(ethernet.destination)) return true;
    switch (ethernet.etherType) {
      case ETHERTYPE.arp:
        return this.#receiveArp(frame);
      case ETHERTYPE.ipv4:
        if (!decodeIpv4(frame, ethernet.payloadAt, this.#header)) return false;
        return this.#receiveIpv4(nowMs, frame, isForUs);
      case ETHERTYPE.ipv6:
        if (!this.#discovery || !decodeIpv6(frame, ethernet.payloadAt, this.#header)) return false;
        return this.#receiveIpv6(nowMs, frame, this.#discovery);
      default:
        return false;
    }
  }

  #receiveArp(frame: Uint8Array): boolean {
    const arp = decodeArp(frame, this.#ethernet.payloadAt);
    if (!arp || arp.senderMac !== this.#ethernet.source) return false;
    const sender = ipv4Bytes(arp.senderIp);
    // A probe (RFC 5227) has no sender yet.
    if (arp.senderIp !== 0) {
      if (!this.#mayBeGuest(arp.senderIp)) return false;
      this.#learn(sender, 0, 4, arp.senderMac);
    }
    if (arp.operation !== ARP_OPERATION.request || !this.#oursV4.has(arp.targetIp)) return true;
    const { mac } = this.config;
    const reply = encodeArp({
      ...{ operation: ARP_OPERATION.reply, senderMac: mac, senderIp: arp.targetIp },
      ...{ targetMac: arp.senderMac, targetIp: arp.senderIp },
    });
    this.#send(ethernetFrame(arp.senderMac, mac, ETHERTYPE.arp, reply));
    return true;
  }

  /** An address of the network that is not one of ours. */
  #mayBeGuest(ip: Ipv4): boolean {
    return inNetwork(ip, this.config.network) && !this.#oursV4.has(ip);
  }

  #learn(b: Uint8Array, at: number, bytes: number, mac: Mac): void {
    for (const frame of this.#neighbors.learn(b, at, bytes, mac)) {
      writeMac(frame, 0, mac);
      this.#send(frame);
    }
  }

  /** A packet came from an address. */
  #seen(nowMs: number, b: Uint8Array, at: number, bytes: number): void {
    const { source } = this.#ethernet;
    const known = this.#neighbors.macOf(b, at, bytes);
    if (known === source) return;
    if (known === undefined) this.#learn(b, at, bytes, source);
    else if (this.#neighbors.doubt(nowMs, b, at, bytes)) this.#ask(b.slice(at, at + bytes));
  }

  /** Asks the link who has an address. */
  #ask(address: IpBytes): void {
    if (address.length === 16) {
      for (const one of this.#discovery?.solicit(address) ?? []) this.#send(one);
      return;
    }
    const arp = encodeArp({
      ...{ operation: ARP_OPERATION.request, senderMac: this.config.mac, senderIp: this.config.gateway },
      ...{ targetMac: 0, targetIp: u32(address, 0) },
    });
    this.#send(ethernetFrame(BROADCAST_MAC, this.config.mac, ETHERTYPE.arp, arp));
  }

  #receiveIpv4(nowMs: number, frame: Uint8Array, isForUs: boolean): boolean {
    const header = this.#header;
    const source = u32(frame, header.addressAt);
    const isDhcp =
      header.protocol === PROTOCOL.udp &&
      header.end >= header.payloadAt + 8 &&
      u16(frame, header.payloadAt + 2) === DHCP_PORT.server;
    if (source !== 0 || !isDhcp) {
      // A spoofed address would make us answer somebody else.
      if (!this.#mayBeGuest(source)) return false;
      this.#seen(nowMs, frame, header.addressAt, 4);
    }
    if (!isForUs && !isDhcp) return true;
    return this.#receivePacket(nowMs, frame, header);
  }

  #receiveIpv6(nowMs: number, frame: Uint8Array, discovery: NeighborDiscovery): boolean {
    const header = this.#header;
    if (header.protocol === PROTOCOL.icmpv6 && !header.isFragment) {
      const frames = discovery.receive(nowMs, frame, header, this.#ethernet.source);
      if (frames) {
        for (const one of frames) this.#send(one);
        return true;
      }
    }
    if (!discovery.mayBeGuest(frame, header.addressAt)) return false;
    this.#seen(nowMs, frame, header.addressAt, 16);
    if (this.#ethernet.destination !== this.config.mac) return true;
    return this.#receivePacket(nowMs, frame, header);
  }

  #receivePacket(nowMs: number, frame: Uint8Array, header: IpHeader): boolean {
    if (!header.isFragment) return this.#receivePayload(nowMs, frame, header, header.protocol);
    const whole = this.#reassembler.add(nowMs, frame, header);
    if (!whole) return true;
    // The payload behind its addresses, as if it had come in one piece.
    const addresses = frame.subarray(header.addressAt, header.addressAt + header.addressBytes);
    const b = concat(addresses, whole.payload);
    const at = header.addressBytes;
    const joined = { ...header, addressAt: 0, payloadAt: at, end: b.length, isFragment: false };
    return this.#receivePayload(nowMs, b, joined, whole.protocol);
  }

  #receivePayload(nowMs: number, b: Uint8Array, header: IpHeader, protocol: number): boolean {
    const { addressAt, addressBytes, payloadAt, end } = header;
    switch (protocol) {
      case PROTOCOL.tcp:
        if (!decodeTcp(b, payloadAt, end, addressAt, addressBytes, this.#segment)) return false;
        this.tcp.receive(nowMs, b, header, this.#segment);
        return true;
      case PROTOCOL.udp: {
        const udp = decodeUdp(b, payloadAt, end, addressAt, addressBytes);
        return udp !== undefined && this.#receiveUdp(nowMs, b, header, udp);
      }
      case PROTOCOL.icmp:
      case PROTOCOL.icmpv6:
        return this.#echo.receive(b, header, this.#target(b, header), (addresses, packet) =>
          this.#sendIp(addresses, protocol, packet),
        );
      default:
        return false;
    }
  }

  #role(b: Uint8Array, header: IpHeader): Role | undefined {
    const half = header.addressBytes / 2;
    const at = header.addressAt + half;
    return this.#ours.get(formatIp(b.subarray(at, at + half)));
  }

  /** Where a packet's destination is in the host's world; `undefined` where it may not go. */
  #target(b: Uint8Array, header: IpHeader): IpBytes | 'us' | undefined {
    const half = header.addressBytes / 2;
    const address = b.subarray(header.addressAt + half, header.addressAt + header.addressBytes);
    if (this.#role(b, header)) return 'us';
    if (half === 4 && inNetwork(u32(address, 0), this.config.network)) return undefined;
    if (half === 16 && this.config.prefix && sameBytes(address.subarray(0, 8), this.config.prefix.subarray(0, 8))) {
      return undefined;
    }
    return this.#host.mayReach(address) ? address.slice() : undefined;
  }

  /** Where a packet to one of our addresses is in the host's world, if that is the host and it may be reached. */
  #hostTarget(b: Uint8Array, header: IpHeader): IpBytes | undefined {
    const half = header.addressBytes / 2;
    const at = header.addressAt + half;
    const address = this.#hostAt.get(formatIp(b.subarray(at, at + half)));
    return address && this.#host.mayReach(address) ? address : undefined;
  }

  /** Whether an address is that of a service: one address may have several. */
  #serves(role: Role | undefined, service: 'dns' | 'tftp'): boolean {
    const { gateway, serves } = this.config;
    return serves[service] && (role === service || (role === 'gateway' && this.config[service] === gateway));
  }

  #connect(connection: TcpConnection, b: Uint8Array, header: IpHeader, port: number): HostStream | undefined {
    const target = this.#streamTarget(b, header, port);
    return target && this.#host.connect(connection, target);
  }

  #streamTarget(b: Uint8Array, header: IpHeader, port: number): StreamTarget | undefined {
    const role = this.#role(b, header);
    if (port === PORT.dns && this.#serves(role, 'dns')) return { kind: 'nameserver' };
    const address = role ? this.#hostTarget(b, header) : this.#target(b, header);
    return address === undefined || address === 'us' ? undefined : { kind: 'address', address, port };
  }

  #receiveUdp(nowMs: number, b: Uint8Array, header: IpHeader, udp: Udp): boolean {
    if (header.version === 4 && udp.destinationPort === DHCP_PORT.server) {
      return this.config.serves.dhcp && this.#receiveDhcp(nowMs, udp);
    }
    const half = header.addressBytes / 2;
    const guest = b.slice(header.addressAt, header.addressAt + half);
    const role = this.#role(b, header);
    const ours = b.slice(header.addressAt + half, header.addressAt + header.addressBytes);
    if (udp.destinationPort === PORT.dns && this.#serves(role, 'dns')) return this.#receiveDns(guest, ours, udp);
    const isGateway = role === 'gateway' && this.config.serves.tftp;
    if (udp.destinationPort === PORT.tftp && (isGateway || this.#serves(role, 'tftp'))) {
      this.#tftp.receive(nowMs, `${formatIp(guest)} ${udp.sourcePort} ${formatIp(ours)}`, udp.data);
      return true;
    }
    const target = role ? this.#hostTarget(b, header) : this.#target(b, header);
    if (target === undefined || target === 'us') {
      this.#sendUnreachable(b, header);
      return false;
    }
    const flow = this.#udp.of(nowMs, guest, udp.sourcePort);
    flow.send(nowMs, udp.data, target, udp.destinationPort, () => this.#host.openDatagrams(flow, header.version));
    return true;
  }

  #receiveDhcp(nowMs: number, udp: Udp): boolean {
    const message = decodeDhcp(udp.data);
    const reply = message && this.#dhcp.receive(nowMs, message);
    if (!reply) return message !== undefined;
    const { mac, gateway: ip, mtu } = this.config;
    for (const frame of dhcpFrames({ mac, ip, mtu }, reply, this.#id())) this.#send(frame);
    return true;
  }

  #receiveDns(guest: IpBytes, ours: IpBytes, udp: Udp): boolean {
    if (this.#dnsQueries >= this.config.limits.dnsQueries) return false;
    this.#dnsQueries++;
    const { sourcePort } = udp;
    this.#host.resolve(udp.data.slice(), (nowMs, reply) => {
      this.#dnsQueries--;
      this.#nowMs = nowMs;
      if (reply) this.#udpToGuest(guest, sourcePort, ours, PORT.dns, reply);
    });
    return true;
  }

  #sendTftp(client: string, packet: Uint8Array): void {
    const [guest, port, ours] = client.split(' ');
    const [to, from] = [parseIp(guest), parseIp(ours)];
    // RFC 1350 wants a new port; boot ROMs behind a firewall and we both do with the old one.
    if (to && from) this.#udpToGuest(to, Number(port), from, PORT.tftp, packet);
  }

  #sendUnreachable(b: Uint8Array, header: IpHeader): void {
    // Only for packets that came in one piece, because their header is needed.
    if (header.addressAt < ETHERNET_HEADER_BYTES) return;
    const isV4 = header.version === 4;
    const packet = b.subarray(isV4 ? header.addressAt - 12 : header.addressAt - 8, header.end);
    const half = header.addressBytes / 2;
    const guest = b.subarray(header.addressAt, header.addressAt + half);
    const gateway = this.#gateway(header.version);
    const addresses = concat(gateway, guest);
    const error = isV4
      ? icmpError(ICMP.unreachable, ICMP_UNREACHABLE.prohibited, packet)
      : icmpError(ICMPV6.unreachable, ICMPV6_UNREACHABLE.prohibited, packet);
    const protocol = isV4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
    this.#sendIp(addresses, protocol, encodeIcmp(error, isV4 ? undefined : addresses));
  }

  #gateway(version: 4 | 6): IpBytes {
    if (version === 4 || !this.config.prefix) return ipv4Bytes(this.config.gateway);
    return inPrefix(this.config.prefix, IPV6_OF_OURS.gateway);
  }

  /** What is the host to a guest: an address of ours that leads there, or the gateway. */
  #asSeenInside(address: IpBytes): IpBytes {
    const known = this.config.hostAt.find(({ outside }) => sameBytes(outside, address));
    if (known) return known.inside;
    if (address.length === 4) return address[0] === 127 ? this.#gateway(4) : address;
    return sameBytes(address, LOOPBACK_V6) ? this.#gateway(6) : address;
  }

  #udpToGuest(guest: IpBytes, guestPort: number, from: IpBytes, fromPort: number, data: Uint8Array): void {
    if (from.length !== guest.length) return;
    const addresses = concat(from, guest);
    this.#sendIp(
      addresses,
      PROTOCOL.udp,
      encodeUdp({ sourcePort: fromPort, destinationPort: guestPort, data }, addresses),
    );
  }

  #sendIp(addresses: Uint8Array, protocol: number, payload: Uint8Array): void {
    const { mac, mtu } = this.config;
    const at = ETHERNET_HEADER_BYTES + (addresses.length === 8 ? 16 : 24);
    const to = { destination: 0, source: mac, mtu };
    for (const frame of ipFrames(to, addresses, protocol, payload, this.#id())) {
      this.#sendPacket(this.#nowMs, frame, at, addresses.length / 2);
    }
  }

  #id(): number {
    this.#nextId = (this.#nextId + 1) & 0xffff;
    return this.#nextId;
  }

  /** Sends an IP packet in a frame without Ethernet addresses. The destination's IP address is at `at`. */
  #sendPacket(nowMs: number, frame: Uint8Array, at: number, bytes: number): void {
    const mac = this.#neighbors.macOf(frame, at, bytes);
    writeMac(frame, 6, this.config.mac);
    put16(frame, 12, bytes === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6);
    if (mac !== undefined) {
      writeMac(frame, 0, mac);
      this.#send(frame);
      return;
    }
    const address = frame.slice(at, at + bytes);
    if (this.#neighbors.wait(nowMs, address, 0, bytes, frame)) this.#ask(address);
  }

  #send(frame: Uint8Array): void {
    this.statistics.framesSent++;
    this.statistics.bytesSent += frame.length;
    this.#host.send(frame);
  }

  // Forwarded ports. The driver owns the listening sockets.

  /** Address of the guest that a rule means. @throws CodedError<'bad-rule'> when it is none of this network */
  forwardAddress(guestIp: string): IpBytes {
    const ip = guestIp === '' ? ipv4Bytes(this.config.pool[0]) : parseIp(guestIp);
    const fits = ip?.length === 4 ? this.#mayBeGuest(u32(ip, 0)) : ip !== undefined && this.config.prefix !== undefined;
    if (ip && fits) return ip;
    const why = `no guest of this network can have the address '${guestIp}'; leave it empty or take one from the network`;
    throw new CodedError('bad-rule', why);
  }

  /**
   * Connects a stream that came in at a forwarded port. It must be paused.
   * @returns undefined when there are too many connections; then the stream is the driver's to destroy
   */
  openForward(
    nowMs: number,
    guest: IpBytes,
    guestPort: number,
    remote: IpBytes,
    remotePort: number,
    host: HostStream,
  ): TcpConnection | undefined {
    this.#nowMs = nowMs;
    const inside = this.#asSeenInside(remote);
    const from = inside.length === guest.length ? inside : this.#gateway(guest.length === 4 ? 4 : 6);
    // Two clients can have one port when both are seen as the gateway; ports from 49152 are free for anybody.
    for (let n = 0; n < 64; n++) {
      const port = n === 0 ? remotePort : 49_152 + (this.#host.random32() % 16_384);
      const connection = this.tcp.open(nowMs, forwardKey(guest, guestPort, from, port), host);
      if (connection) return connection;
    }
    return undefined;
  }

  /** A datagram that came in at a forwarded port through `via`. */
  receiveForward(
    nowMs: number,
    guest: IpBytes,
    guestPort: number,
    via: HostDatagrams,
    bytes: Uint8Array,
    remote: IpBytes,
    remotePort: number,
  ): void {
    this.#nowMs = nowMs;
    this.#udp.of(nowMs, guest, guestPort).receivedForward(nowMs, via, bytes, remote, remotePort);
  }

  closeForward(via: HostDatagrams): void {
    this.#udp.forget(via);
  }

  /** A datagram for a flow's own socket. */
  receiveDatagram(nowMs: number, flow: UdpFlow, bytes: Uint8Array, remote: IpBytes, remotePort: number): void {
    this.#nowMs = nowMs;
    flow.received(nowMs, bytes, remote, remotePort);
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return b === undefined || (a !== undefined && a < b) ? a : b;
}

function ourAddresses(config: NatConfig): Map<string, Role> {
  const ours = new Map<string, Role>(config.hostAt.map(({ inside }) => [formatIp(inside), 'host']));
  for (const role of ['tftp', 'dns', 'gateway'] as const) {
    ours.set(formatIp(ipv4Bytes(config[role])), role);
    if (config.prefix) ours.set(formatIp(inPrefix(config.prefix, IPV6_OF_OURS[role])), role);
  }
  return ours;
}
