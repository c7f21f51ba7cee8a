/**
 * A cable in front of a NAT that can be lost with its connections, as a relay's is when it is killed: TCP connections of
 * the guest that nobody knows any more are reset, instead of waiting for data that will never come.
 *
 * Theory of operation. A guest that sends learns by itself: the new NAT does not know its connection and resets it. One
 * that only receives has nothing to say. So SYNs to the guest are noted, and when the cable has been plugged in again a
 * segment that lies outside of any window makes the guest acknowledge (RFC 9293 3.10.7.4); the NAT answers that with a
 * reset, or, when it still has the connection, does nothing. The probes are repeated until an answer takes a connection
 * off the list, because a guest's driver needs time to see that it has a link again.
 */
import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { NO_RECEIVER } from '#emu/host/packet-port.ts';
import { hex, u16, u32 } from '../wire/bytes.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE } from '../wire/ethernet.ts';
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, PROTOCOL, writeIpv4, writeIpv6 } from '../wire/ip.ts';
import { TCP, TCP_HEADER_BYTES, tcpSegment, writeTcp } from '../wire/tcp.ts';

/** Connections that are remembered; the oldest are forgotten first. */
const MOST = 2048;
/** When to probe after the cable was plugged in, in milliseconds: drivers look for a link every two seconds. */
const PROBE_AFTER_MS = [0, 1000, 3000, 6000, 12_000] as const;

interface Connection {
  /** A segment to the guest, complete but for its sequence number. */
  readonly probe: Uint8Array;
  readonly tcpAt: number;
  readonly sequence: number;
  /** Who has sent FIN: 1 the guest, 2 the other side. */
  ended: number;
}

export class OrphanedConnections implements PacketPort {
  readonly #port: PacketPort;
  readonly #after: (ms: number, call: () => void) => () => void;
  #receiver: PacketReceiver = NO_RECEIVER;
  #known = new Map<string, Connection>();
  /** Of before the cable was pulled. */
  #orphans = new Map<string, Connection>();
  #stops: (() => void)[] = [];

  /**
   * @param port the network's end of the cable
   * @param after calls back after milliseconds; returns what stops that
   */
  constructor(port: PacketPort, after: (ms: number, call: () => void) => () => void) {
    this.#port = port;
    this.#after = after;
  }

  get linkUp(): boolean {
    return this.#port.linkUp;
  }

  connect(receiver: PacketReceiver): void {
    this.#receiver = receiver;
    this.#port.connect({
      receive: (frame) => {
        if (!this.#receiver.receive(frame)) return false;
        this.#note(frame, true);
        return true;
      },
      resume: () => this.#receiver.resume(),
      linkChanged: () => this.#receiver.linkChanged(),
    });
  }

  send(frame: Uint8Array): boolean {
    if (!this.#port.send(frame)) return false;
    this.#note(frame, false);
    return true;
  }

  resume(): void {
    this.#port.resume();
  }

  setLink(up: boolean): void {
    this.#port.setLink(up);
    for (const stop of this.#stops.splice(0)) stop();
    if (!up) {
      for (const [key, one] of this.#known) this.#orphans.set(key, one);
      this.#known = new Map();
      return;
    }
    if (this.#orphans.size === 0) return;
    this.#stops = PROBE_AFTER_MS.map((ms) => this.#after(ms, () => this.#probe()));
    this.#stops.push(this.#after(PROBE_AFTER_MS[PROBE_AFTER_MS.length - 1] + 1000, () => this.#orphans.clear()));
  }

  #probe(): void {
    for (const { probe, tcpAt, sequence } of this.#orphans.values()) {
      // Whatever the guest has received by now: no window reaches from one to the other.
      for (const distance of [0, 0x8000_0000]) {
        writeSequence(probe, tcpAt, (sequence + distance) >>> 0);
        this.#port.send(probe);
      }
    }
  }

  /** Runs for every frame, so looks at as little as it can. */
  #note(frame: Uint8Array, isFromGuest: boolean): void {
    const at = ETHERNET_HEADER_BYTES;
    const type = u16(frame, 12);
    let tcpAt = 0;
    if (type === ETHERTYPE.ipv4 && frame[at + 9] === PROTOCOL.tcp) tcpAt = at + (frame[at] & 15) * 4;
    else if (type === ETHERTYPE.ipv6 && frame[at + 6] === PROTOCOL.tcp) tcpAt = at + IPV6_HEADER_BYTES;
    if (tcpAt === 0 || frame.length < tcpAt + TCP_HEADER_BYTES) return;
    const flags = frame[tcpAt + 13];
    if ((flags & (TCP.syn | TCP.fin | TCP.rst)) === 0) return;
    const isV4 = type === ETHERTYPE.ipv4;
    // A later fragment has no TCP header.
    if (isV4 && (u16(frame, at + 6) & 0x1fff) !== 0) return;
    const key = keyOf(frame, isV4, tcpAt, isFromGuest);
    if ((flags & TCP.rst) !== 0) {
      this.#known.delete(key);
      this.#orphans.delete(key);
    } else if ((flags & TCP.fin) !== 0) this.#end(key, isFromGuest ? 1 : 2);
    else if (!isFromGuest) this.#add(key, frame, isV4, tcpAt);
  }

  #end(key: string, who: number): void {
    const one = this.#known.get(key);
    if (one === undefined) return;
    one.ended |= who;
    if (one.ended === 3) this.#known.delete(key);
  }

  #add(key: string, frame: Uint8Array, isV4: boolean, tcpAt: number): void {
    this.#orphans.delete(key);
    this.#known.delete(key);
    this.#known.set(key, probeOf(frame, isV4, tcpAt));
    if (this.#known.size <= MOST) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}

/** Addresses and ports, the guest's first. */
function keyOf(frame: Uint8Array, isV4: boolean, tcpAt: number, isFromGuest: boolean): string {
  const bytes = isV4 ? 4 : 16;
  const at = ETHERNET_HEADER_BYTES + (isV4 ? 12 : 8);
  const source = hex(frame.subarray(at, at + bytes)) + u16(frame, tcpAt);
  const destination = hex(frame.subarray(at + bytes, at + 2 * bytes)) + u16(frame, tcpAt + 2);
  return isFromGuest ? `${source} ${destination}` : `${destination} ${source}`;
}

function probeOf(syn: Uint8Array, isV4: boolean, synTcpAt: number): Connection {
  const at = ETHERNET_HEADER_BYTES;
  const ipBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  const tcpAt = at + ipBytes;
  const probe = new Uint8Array(tcpAt + TCP_HEADER_BYTES);
  probe.set(syn.subarray(0, at));
  const addressAt = at + (isV4 ? 12 : 8);
  if (isV4) {
    const [source, destination] = [u32(syn, addressAt), u32(syn, addressAt + 4)];
    writeIpv4(probe, at, { totalBytes: probe.length - at, protocol: PROTOCOL.tcp, source, destination });
  } else {
    const addresses = syn.subarray(addressAt, addressAt + 32);
    writeIpv6(probe, at, { payloadBytes: TCP_HEADER_BYTES, protocol: PROTOCOL.tcp, addresses });
  }
  probe.set(syn.subarray(synTcpAt, synTcpAt + 4), tcpAt);
  return { probe, tcpAt, sequence: u32(syn, synTcpAt + 4), ended: 0 };
}

function writeSequence(probe: Uint8Array, tcpAt: number, sequence: number): void {
  const isV4 = u16(probe, 12) === ETHERTYPE.ipv4;
  const segment = tcpSegment();
  segment.sourcePort = u16(probe, tcpAt);
  segment.destinationPort = u16(probe, tcpAt + 2);
  segment.flags = TCP.ack;
  segment.sequence = sequence;
  segment.acknowledgment = 0;
  const addressBytes = isV4 ? 8 : 32;
  writeTcp(probe, tcpAt, probe.length, tcpAt - addressBytes, addressBytes, segment);
}
