// The connections of a network: which segment belongs to which, and how one becomes a frame.

import type { IpBytes } from '../wire/address.ts';
import { put16, u32 } from '../wire/bytes.ts';
import { ETHERNET_HEADER_BYTES, MAX_FRAME_BYTES } from '../wire/ethernet.ts';
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpHeader, PROTOCOL, writeIpv4, writeIpv6 } from '../wire/ip.ts';
import { TCP, TCP_HEADER_BYTES, type TcpSegment, tcpOptionBytes, tcpSegment, writeTcp } from '../wire/tcp.ts';
import { FlowTable, flowKey } from './flow-table.ts';
import type { NatConfig } from './nat-config.ts';
import { DeadlineHeap } from './tcp/deadline-heap.ts';
import type { HostStream } from './tcp/tcp-connection.ts';
import { TcpConnection, type TcpEnvironment, type TcpOptions } from './tcp/tcp-connection.ts';

export interface TcpFlowParts {
  readonly config: NatConfig;
  readonly isLinkReady: () => boolean;
  /**
   * Sends an IP packet that is in a frame already, without Ethernet addresses; the destination's address is at `at`.
   * The frame is valid during the call only.
   */
  send(nowMs: number, frame: Uint8Array, at: number, bytes: number): void;
  /** Connects the host's side of a guest's connection, or refuses it. */
  connect(connection: TcpConnection, b: Uint8Array, header: IpHeader, port: number): HostStream | undefined;
  random32(): number;
}

export class TcpFlows implements TcpEnvironment {
  readonly #parts: TcpFlowParts;
  readonly #table = new FlowTable<TcpConnection>();
  readonly #deadlines = new DeadlineHeap<TcpConnection>();
  readonly #touched: TcpConnection[] = [];
  readonly #blocked = new Set<TcpConnection>();
  /** Those that are not established yet. */
  readonly #halfOpen = new Set<TcpConnection>();
  readonly #out = tcpSegment();
  readonly #frame = new Uint8Array(MAX_FRAME_BYTES);
  /** Its beginning, as long as the last segment was. */
  #cut = this.#frame;
  #nowMs = 0;
  /** Of connections that are over. */
  #retransmissions = 0;

  constructor(parts: TcpFlowParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#table.size;
  }

  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** Segments that went out more than once, of all connections there ever were. */
  get retransmissions(): number {
    let sum = this.#retransmissions;
    for (const { sender } of this.#table.values()) sum += sender.retransmissions;
    return sum;
  }

  get isLinkReady(): boolean {
    return this.#parts.isLinkReady();
  }

  get deadlineMs(): number | undefined {
    return this.#deadlines.earliestMs;
  }

  /** A segment with a correct checksum. Output waits for `flush`. */
  receive(nowMs: number, b: Uint8Array, header: IpHeader, segment: TcpSegment): void {
    this.#nowMs = nowMs;
    const { addressAt, addressBytes, payloadAt } = header;
    const known = this.#table.find(b, addressAt, addressBytes, payloadAt);
    const isSyn = (segment.flags & (TCP.syn | TCP.ack | TCP.rst)) === TCP.syn;
    if (known && !(isSyn && known.maySucceed(segment))) {
      known.receive(nowMs, segment, b);
      this.#touch(known);
      return;
    }
    if (known) this.closed(known);
    if (isSyn) this.#accept(nowMs, b, header, segment);
    else if ((segment.flags & TCP.rst) === 0) this.#refuse(nowMs, b, header, segment);
  }

  #accept(nowMs: number, b: Uint8Array, header: IpHeader, syn: TcpSegment): void {
    const { limits } = this.#parts.config;
    // Silence: the guest will ask again, and by then others may have been answered.
    if (this.#halfOpen.size >= limits.tcpHalfOpen) return;
    if (this.#table.size >= limits.tcpConnections) {
      this.#refuse(nowMs, b, header, syn);
      return;
    }
    const key = flowKey(b, header.addressAt, header.addressBytes, header.payloadAt);
    const options = this.#options(header.version);
    const connection = TcpConnection.accept(nowMs, key, syn, this.#parts.random32(), options, this.#out, this);
    const host = this.#parts.connect(connection, b, header, syn.destinationPort);
    if (!host) {
      this.#refuse(nowMs, b, header, syn);
      return;
    }
    connection.attach(host);
    this.#add(connection);
  }

  /**
   * Opens a connection to a guest, for a forwarded port.
   * @param key addresses and ports as the guest's packets will have them: the guest's first
   * @returns undefined when the key is in use or there are too many
   */
  open(nowMs: number, key: Uint8Array, host: HostStream): TcpConnection | undefined {
    this.#nowMs = nowMs;
    const { limits } = this.#parts.config;
    if (this.#table.size >= limits.tcpConnections || this.#halfOpen.size >= limits.tcpHalfOpen) return undefined;
    if (this.#table.has(key)) return undefined;
    const options = this.#options(key.length === 12 ? 4 : 6);
    const connection = TcpConnection.open(nowMs, key, host, this.#parts.random32(), options, this.#out, this);
    this.#add(connection);
    return connection;
  }

  #options(version: 4 | 6): TcpOptions {
    const { mtu, limits } = this.#parts.config;
    const ip = version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    return {
      mtu,
      headerBytes: ip + TCP_HEADER_BYTES,
      receiveBytes: limits.tcpReceiveBytes,
      sendBytes: limits.tcpSendBytes,
    };
  }

  #add(connection: TcpConnection): void {
    this.#table.add(connection);
    this.#halfOpen.add(connection);
    this.#deadlines.update(connection);
  }

  #touch(connection: TcpConnection): void {
    if (connection.isTouched) return;
    connection.isTouched = true;
    this.#touched.push(connection);
  }

  /** Output of everything that received segments. */
  flush(nowMs: number): void {
    this.#nowMs = nowMs;
    for (let n = 0; n < this.#touched.length; n++) {
      const connection = this.#touched[n];
      connection.isTouched = false;
      connection.flush(nowMs);
    }
    this.#touched.length = 0;
  }

  linkReady(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const connection of [...this.#blocked]) {
      if (!this.isLinkReady) return;
      this.#blocked.delete(connection);
      connection.flush(nowMs);
    }
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (let due = this.#deadlines.takeExpired(nowMs); due; due = this.#deadlines.takeExpired(nowMs)) {
      due.tick(nowMs);
      // One whose deadline has not moved waits for the link; it is called again in a moment.
      if (due.state !== 'closed') this.#deadlines.update(due);
      if ((due.deadlineMs ?? Number.POSITIVE_INFINITY) <= nowMs) break;
    }
    this.flush(nowMs);
  }

  /** Resets everything: the network is taken away. */
  close(nowMs: number): void {
    for (const connection of [...this.#table.values()]) connection.abort(nowMs);
  }

  // What connections ask for.

  changed(connection: TcpConnection): void {
    if (!connection.isHalfOpen) this.#halfOpen.delete(connection);
    if (connection.state !== 'closed') this.#deadlines.update(connection);
  }

  blocked(connection: TcpConnection): void {
    this.#blocked.add(connection);
  }

  closed(connection: TcpConnection): void {
    this.#table.delete(connection);
    this.#deadlines.remove(connection);
    this.#blocked.delete(connection);
    this.#halfOpen.delete(connection);
    this.#retransmissions += connection.sender.retransmissions;
  }

  transmit(connection: TcpConnection, segment: TcpSegment, bytes: number, offset: number): void {
    const { key } = connection;
    const isV4 = key.length === 12;
    const at = ETHERNET_HEADER_BYTES;
    const ipBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const optionBytes = tcpOptionBytes(segment);
    const tcpBytes = TCP_HEADER_BYTES + optionBytes + bytes;
    const frame = this.#frameOf(at + ipBytes + tcpBytes);
    const addresses = reverse(key);
    if (isV4) writeIpv4Tcp(frame, at, ipBytes + tcpBytes, addresses);
    else writeIpv6(frame, at, { payloadBytes: tcpBytes, protocol: PROTOCOL.tcp, addresses });
    const tcpAt = at + ipBytes;
    if (bytes > 0) connection.sender.queue.copy(offset, bytes, frame, tcpAt + TCP_HEADER_BYTES + optionBytes);
    segment.sourcePort = (key[key.length - 2] << 8) | key[key.length - 1];
    segment.destinationPort = (key[key.length - 4] << 8) | key[key.length - 3];
    const addressBytes = key.length - 4;
    const addressAt = at + (isV4 ? 12 : 8);
    writeTcp(frame, tcpAt, frame.length, addressAt, addressBytes, segment);
    this.#parts.send(this.#nowMs, frame, addressAt + addressBytes / 2, addressBytes / 2);
  }

  /** The scratch frame at a length. Most segments of a transfer have one, and a view costs as much as its header. */
  #frameOf(bytes: number): Uint8Array {
    if (this.#cut.length !== bytes) this.#cut = this.#frame.subarray(0, bytes);
    return this.#cut;
  }

  /** A segment that belongs to nothing. Source: RFC 9293 3.10.7.1. */
  #refuse(nowMs: number, b: Uint8Array, header: IpHeader, segment: TcpSegment): void {
    const { addressAt, addressBytes, payloadAt, version } = header;
    const key = flowKey(b, addressAt, addressBytes, payloadAt);
    const at = ETHERNET_HEADER_BYTES;
    const ipBytes = version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const frame = new Uint8Array(at + ipBytes + TCP_HEADER_BYTES);
    const addresses = reverse(key);
    if (version === 4) writeIpv4Tcp(frame, at, ipBytes + TCP_HEADER_BYTES, addresses);
    else writeIpv6(frame, at, { payloadBytes: TCP_HEADER_BYTES, protocol: PROTOCOL.tcp, addresses });
    const length = segment.end - segment.dataAt + (segment.flags & TCP.syn ? 1 : 0) + (segment.flags & TCP.fin ? 1 : 0);
    const hasAck = (segment.flags & TCP.ack) !== 0;
    const reset = tcpSegment();
    reset.sourcePort = segment.destinationPort;
    reset.destinationPort = segment.sourcePort;
    reset.flags = hasAck ? TCP.rst : TCP.rst | TCP.ack;
    reset.sequence = hasAck ? segment.acknowledgment : 0;
    reset.acknowledgment = hasAck ? 0 : (segment.sequence + length) >>> 0;
    const replyAt = at + (version === 4 ? 12 : 8);
    writeTcp(frame, at + ipBytes, frame.length, replyAt, addressBytes, reset);
    this.#parts.send(nowMs, frame, replyAt + addressBytes / 2, addressBytes / 2);
  }
}

/** Source and destination of an answer. A scratch: valid until the next call. */
function reverse(key: Uint8Array): Uint8Array {
  const half = (key.length - 4) / 2;
  const to = half === 4 ? V4_SCRATCH : V6_SCRATCH;
  for (let n = 0; n < half; n++) {
    to[n] = key[half + n];
    to[half + n] = key[n];
  }
  return to;
}

const V4_SCRATCH = new Uint8Array(8);
const V6_SCRATCH = new Uint8Array(32);

function writeIpv4Tcp(frame: Uint8Array, at: number, totalBytes: number, addresses: Uint8Array): void {
  const [source, destination] = [u32(addresses, 0), u32(addresses, 4)];
  writeIpv4(frame, at, { totalBytes, protocol: PROTOCOL.tcp, source, destination });
}

/** Key of a connection to a guest. */
export function forwardKey(guest: IpBytes, guestPort: number, remote: IpBytes, remotePort: number): Uint8Array {
  const key = new Uint8Array(guest.length * 2 + 4);
  key.set(guest);
  key.set(remote, guest.length);
  put16(key, guest.length * 2, guestPort);
  put16(key, guest.length * 2 + 2, remotePort);
  return key;
}
