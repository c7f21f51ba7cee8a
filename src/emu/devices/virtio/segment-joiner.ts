/**
 * Joins TCP segments that follow each other into one packet, which costs the driver's kernel as much as one segment.
 * Source: VIRTIO 1.2, section 5.1.6.4 (large receive); RFC 9293 (TCP), RFC 791, RFC 8200.
 *
 * Only what can be taken apart again is joined: same addresses, ports, acknowledgement, window and options, the payload of
 * each following at once and as long as the first one's, the last one at most as long.
 */
import { getU16, getU32, onesSum, putU16 } from '../net/offload/internet-checksum.ts';

const ETHERNET = 14;
const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const PROTOCOL_TCP = 6;
const FLAG = { psh: 8, ack: 16 } as const;
/** Offsets in a TCP header. */
const TCP = { sequence: 4, acknowledgement: 8, offset: 12, flags: 13, window: 14, checksum: 16, options: 20 } as const;
/** What an IP length can say, with the frame's header. */
export const LARGEST_JOINED = ETHERNET + 0xffff;

/** What was joined, to be saved. */
export interface JoinedSegments {
  readonly packet: Uint8Array;
  readonly count: number;
  readonly isV6: boolean;
  readonly transportAt: number;
  readonly headerBytes: number;
  readonly segmentBytes: number;
}

export class SegmentJoiner {
  /** What was joined so far: the first `byteCount` bytes. Lengths and checksums are right after `finish`. */
  readonly packet: Uint8Array;
  byteCount = 0;
  /** How many frames it is made of; 0: none. */
  count = 0;
  isV6 = false;
  transportAt = 0;
  headerBytes = 0;
  /** Payload of each segment but the last, in bytes. */
  segmentBytes = 0;
  #limit = 0;
  #nextSequence = 0;

  /** @param packet where to join, `LARGEST_JOINED` bytes */
  constructor(packet: Uint8Array) {
    this.packet = packet;
  }

  /**
   * Starts with a frame whose checksums are right.
   * @param limit how long the packet may become, in bytes, at most `LARGEST_JOINED`
   * @returns false when nothing can follow it: it was not taken
   */
  begin(frame: Uint8Array, limit: number): boolean {
    if (!this.#understand(frame) || (frame[this.transportAt + TCP.flags] & FLAG.psh) !== 0) return false;
    this.#limit = limit;
    this.packet.set(frame);
    this.byteCount = frame.length;
    this.count = 1;
    this.segmentBytes = frame.length - this.headerBytes;
    this.#nextSequence = (getU32(frame, this.transportAt + TCP.sequence) + this.segmentBytes) >>> 0;
    return true;
  }

  /**
   * Adds a frame whose checksums are right.
   * @returns `more`: taken; `last`: taken, and nothing may follow; `no`: not taken
   */
  append(frame: Uint8Array): 'more' | 'last' | 'no' {
    const { packet, transportAt: at, headerBytes } = this;
    const payloadBytes = frame.length - headerBytes;
    if (payloadBytes <= 0 || payloadBytes > this.segmentBytes || this.byteCount + payloadBytes > this.#limit)
      return 'no';
    if (!this.#isAlike(frame) || getU32(frame, at + TCP.sequence) !== this.#nextSequence) return 'no';
    packet.set(frame.subarray(headerBytes), this.byteCount);
    this.byteCount += payloadBytes;
    this.count++;
    this.#nextSequence = (this.#nextSequence + payloadBytes) >>> 0;
    const pushes = (frame[at + TCP.flags] & FLAG.psh) !== 0;
    if (pushes) packet[at + TCP.flags] |= FLAG.psh;
    return pushes || payloadBytes < this.segmentBytes ? 'last' : 'more';
  }

  /** Makes a joined packet's headers right; the TCP checksum is then the pseudo-header's sum, not complemented. */
  finish(): void {
    if (this.count < 2) return;
    const { packet, byteCount, transportAt } = this;
    if (this.isV6) putU16(packet, ETHERNET + 4, byteCount - ETHERNET - 40);
    else {
      putU16(packet, ETHERNET + 2, byteCount - ETHERNET);
      putU16(packet, ETHERNET + 10, 0);
      putU16(packet, ETHERNET + 10, onesSum(packet, ETHERNET, transportAt) ^ 0xffff);
    }
    const addressesAt = ETHERNET + (this.isV6 ? 8 : 12);
    const addresses = onesSum(packet, addressesAt, transportAt);
    const sum = onesSum(packet, 0, 0, addresses + PROTOCOL_TCP + byteCount - transportAt);
    putU16(packet, transportAt + TCP.checksum, sum);
  }

  clear(): void {
    this.byteCount = 0;
    this.count = 0;
  }

  /** @returns undefined when there is nothing; what goes on after `restore` is delivered, not joined further */
  save(): JoinedSegments | undefined {
    if (this.count === 0) return undefined;
    const { count, isV6, transportAt, headerBytes, segmentBytes } = this;
    return { packet: this.packet.slice(0, this.byteCount), count, isV6, transportAt, headerBytes, segmentBytes };
  }

  restore(saved: JoinedSegments): void {
    this.packet.set(saved.packet);
    this.byteCount = saved.packet.length;
    this.count = saved.count;
    this.isV6 = saved.isV6;
    this.transportAt = saved.transportAt;
    this.headerBytes = saved.headerBytes;
    this.segmentBytes = saved.segmentBytes;
  }

  /** Finds the headers. @returns false when it is no TCP segment with data and nothing but ACK and PSH */
  #understand(frame: Uint8Array): boolean {
    const type = getU16(frame, ETHERNET - 2);
    this.isV6 = type === ETHERTYPE.ipv6;
    const at = ETHERNET + (this.isV6 ? 40 : 20);
    if (frame.length < at + 20) return false;
    if (this.isV6) {
      if (frame[ETHERNET + 6] !== PROTOCOL_TCP || getU16(frame, ETHERNET + 4) !== frame.length - at) return false;
    } else {
      const whole = type === ETHERTYPE.ipv4 && frame[ETHERNET] === 0x45 && frame[ETHERNET + 9] === PROTOCOL_TCP;
      if (!whole || getU16(frame, ETHERNET + 2) !== frame.length - ETHERNET) return false;
      if ((getU16(frame, ETHERNET + 6) & 0x3fff) !== 0) return false;
    }
    const flags = frame[at + TCP.flags];
    if ((flags & ~FLAG.psh) !== FLAG.ack || (frame[at + TCP.offset] & 15) !== 0) return false;
    this.transportAt = at;
    this.headerBytes = at + (frame[at + TCP.offset] >> 4) * 4;
    return this.headerBytes >= at + 20 && this.headerBytes < frame.length;
  }

  /** Are the headers the first frame's, but for what may differ from segment to segment? */
  #isAlike(frame: Uint8Array): boolean {
    const { packet, transportAt: at } = this;
    const same = (from: number, end: number): boolean => {
      for (let i = from; i < end; i++) if (frame[i] !== packet[i]) return false;
      return true;
    };
    if (!same(0, ETHERNET)) return false;
    if (this.isV6) {
      const length = getU16(frame, ETHERNET + 4);
      if (!same(ETHERNET, ETHERNET + 4) || !same(ETHERNET + 6, at) || length !== frame.length - at) return false;
    } else {
      // Version, length of the header, type of service; then the identification may differ; flags to protocol; addresses.
      const length = getU16(frame, ETHERNET + 2);
      if (!same(ETHERNET, ETHERNET + 2) || length !== frame.length - ETHERNET) return false;
      if (!same(ETHERNET + 6, ETHERNET + 10) || !same(ETHERNET + 12, at)) return false;
    }
    const flags = frame[at + TCP.flags];
    return (
      (flags & ~FLAG.psh) === FLAG.ack &&
      same(at, at + TCP.sequence) &&
      same(at + TCP.acknowledgement, at + TCP.flags) &&
      same(at + TCP.window, at + TCP.checksum) &&
      same(at + TCP.options - 2, this.headerBytes)
    );
  }
}
