/**
 * The network device.
 * Source: VIRTIO 1.2, section 5.1.
 *
 * Offloads checksums and TCP segmentation of what is sent; marks received packets whose checksum it found right, and joins
 * TCP segments that come together.
 * Not modelled: several queue pairs, announcements, receive hashes.
 */
import { MAX_FRAME_BYTES, type PacketPort } from '#emu/host/packet-port.ts';
import { CHECKED, checkFrame } from '../net/offload/frame-check.ts';
import { getU16, onesSum, putU16 } from '../net/offload/internet-checksum.ts';
import { type SegmentLayout, segmentCount, writeSegment } from '../net/offload/segmentation.ts';
import { NetFilter, type NetFilterState } from './net-filter.ts';
import {
  GSO,
  getU16le,
  HEADER,
  HEADER_BYTES,
  HEADER_FLAG,
  NET_FEATURE,
  putU16le,
  SHORT_HEADER_BYTES,
} from './net-header.ts';
import { type JoinedSegments, LARGEST_JOINED, SegmentJoiner } from './segment-joiner.ts';
import { FEATURE, type Features, type VirtioDevice, type VirtioTransport } from './virtio-device.ts';

const QUEUE = { receive: 0, transmit: 1, control: 2 } as const;
/** The largest packet that a driver may have cut, with its header. */
const PACKET_BYTES = 0x1_1000;
const CONTROL_BYTES = 0x4000;
/** Of a driver that takes packets in several: one holds the usual frame. */
const LEAST_BUFFER_BYTES = 1514;
const TCP_CHECKSUM_AT = 16;
const LINK_UP = 1;
const PROTOCOL_TCP = 6;

export interface VirtioNetParts {
  readonly transport: VirtioTransport;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly port: PacketPort;
}

export interface VirtioNetState {
  readonly features: Features;
  readonly filter: NetFilterState;
  readonly filtersVlans: boolean;
  readonly filtersAddresses: boolean;
  /** Header and packet that wait for the cable. */
  readonly packet: Uint8Array;
  /** Next frame of it to send; -1: none. */
  readonly nextFrame: number;
  readonly linkUp: boolean;
  /** Received segments that wait for room; left out: none. */
  readonly joined?: JoinedSegments | undefined;
}

export class VirtioNet implements VirtioDevice {
  readonly deviceId = 1;
  readonly classCode = 0x02_0000;
  readonly queueSizes = [256, 256, 64] as const;
  readonly configBytes = 12;
  readonly features: Features = [Object.values(NET_FEATURE).reduce((all, bit) => all | bit, 0), 0];
  readonly #parts: VirtioNetParts;
  readonly #filter: NetFilter;
  /** Header and packet, both ways. What is joined has the long header. */
  readonly #received: Uint8Array = new Uint8Array(HEADER_BYTES + LARGEST_JOINED);
  readonly #joiner: SegmentJoiner = new SegmentJoiner(this.#received.subarray(HEADER_BYTES));
  readonly #packet: Uint8Array = new Uint8Array(HEADER_BYTES + PACKET_BYTES);
  readonly #frame: Uint8Array = new Uint8Array(MAX_FRAME_BYTES);
  readonly #ack: Uint8Array = new Uint8Array(1);
  #features: Features = [0, 0];
  #packetBytes = 0;
  #nextFrame = -1;
  #sending = false;
  #refused = false;
  #linkSeen = false;

  constructor(parts: VirtioNetParts) {
    this.#parts = parts;
    this.#filter = new NetFilter(parts.mac);
    parts.port.connect({
      receive: (frame, more) => this.#receive(frame, more === true),
      resume: () => this.#transmit(),
      linkChanged: () => this.#checkLink(),
    });
    this.#linkSeen = parts.port.linkUp;
  }

  readConfig(offset: number): number {
    if (offset < 6) return this.#filter.mac[offset];
    if (offset === 6) return this.#parts.port.linkUp ? LINK_UP : 0;
    // One pair of queues.
    return offset === 8 ? 1 : 0;
  }

  /** Old drivers change the address here. */
  writeConfig(offset: number, value: number): void {
    if (offset < 6 && (this.#features[1] & FEATURE.version1) === 0) this.#filter.mac[offset] = value;
  }

  start(features: Features): void {
    this.#features = [...features];
    this.#filter.filtersVlans = this.#has(NET_FEATURE.controlVlan);
    this.#filter.filtersAddresses = this.#has(NET_FEATURE.controlReceive);
    const { queues } = this.#parts.transport;
    queues[QUEUE.receive].wantsNotify = false;
  }

  notify(queue: number): void {
    if (queue === QUEUE.receive) this.#room();
    else if (queue === QUEUE.transmit) this.#transmit();
    else this.#control();
  }

  reset(): void {
    this.#features = [0, 0];
    this.#filter.reset();
    this.#packetBytes = 0;
    this.#nextFrame = -1;
    this.#joiner.clear();
    // What the sender keeps for a driver that is gone is lost.
    this.#room();
  }

  save(): VirtioNetState {
    return {
      features: [...this.#features],
      filter: this.#filter.save(),
      filtersVlans: this.#filter.filtersVlans,
      filtersAddresses: this.#filter.filtersAddresses,
      packet: this.#packet.slice(0, this.#packetBytes),
      nextFrame: this.#nextFrame,
      linkUp: this.#linkSeen,
      joined: this.#joiner.save(),
    };
  }

  restore(state: VirtioNetState): void {
    this.#features = [...state.features];
    this.#filter.restore(state.filter);
    this.#filter.filtersVlans = state.filtersVlans;
    this.#filter.filtersAddresses = state.filtersAddresses;
    this.#packet.set(state.packet);
    this.#packetBytes = state.packet.length;
    this.#nextFrame = state.nextFrame;
    this.#linkSeen = state.linkUp;
    if (state.joined) {
      this.#joiner.restore(state.joined);
      this.#refused = true;
    }
    this.#checkLink();
    this.#room();
  }

  #has(feature: number): boolean {
    return (this.#features[0] & feature) !== 0;
  }

  get #headerBytes(): number {
    const isLong = (this.#features[1] & FEATURE.version1) !== 0 || this.#has(NET_FEATURE.mergeBuffers);
    return isLong ? HEADER_BYTES : SHORT_HEADER_BYTES;
  }

  #checkLink(): void {
    if (this.#parts.port.linkUp === this.#linkSeen) return;
    this.#linkSeen = this.#parts.port.linkUp;
    this.#parts.transport.raiseConfigInterrupt();
  }

  #receive(frame: Uint8Array, more: boolean): boolean {
    const { transport } = this.#parts;
    const joiner = this.#joiner;
    // Nothing may pass a packet that waits for room.
    if (this.#refused && !this.#deliverJoined()) return false;
    if (!transport.running || frame.length > MAX_FRAME_BYTES || !this.#filter.accepts(frame)) {
      // What was joined waited for this one.
      if (!more) this.#deliverJoined();
      return true;
    }
    const isGood = this.#has(NET_FEATURE.guestChecksum) && isSound(frame);
    if (joiner.count > 0) {
      const added = isGood ? joiner.append(frame) : 'no';
      if (added === 'more' && more) return true;
      const delivered = this.#deliverJoined();
      if (added !== 'no') return true;
      if (!delivered) return false;
    }
    if (more && isGood && this.#mayJoin(frame) && joiner.begin(frame, this.#longest)) return true;
    const header = this.#headerBytes;
    const buffer = this.#received;
    buffer.fill(0, 0, header);
    if (isGood) buffer[HEADER.flags] = HEADER_FLAG.dataValid;
    buffer.set(frame, header);
    return this.#deliver(header + frame.length);
  }

  /** The driver takes segments of this kind joined, in as many buffers as it needs. */
  #mayJoin(frame: Uint8Array): boolean {
    const kind = frame[14] >> 4 === 6 ? NET_FEATURE.guestTso6 : NET_FEATURE.guestTso4;
    return this.#has(NET_FEATURE.mergeBuffers) && this.#has(kind);
  }

  /** Of a joined packet: what the driver's ring takes at any time. */
  get #longest(): number {
    return Math.min(LARGEST_JOINED, (this.#parts.transport.queues[QUEUE.receive].size >> 2) * LEAST_BUFFER_BYTES);
  }

  /** @returns false when it has to wait for room */
  #deliverJoined(): boolean {
    const joiner = this.#joiner;
    if (joiner.count === 0) return true;
    const buffer = this.#received;
    buffer.fill(0, 0, HEADER_BYTES);
    joiner.finish();
    buffer[HEADER.flags] = HEADER_FLAG.dataValid;
    if (joiner.count > 1) {
      // The driver has to take the checksum for a sum to be completed, as of a packet that is yet to be cut.
      buffer[HEADER.flags] = HEADER_FLAG.needsChecksum;
      buffer[HEADER.gsoType] = joiner.isV6 ? GSO.tcp6 : GSO.tcp4;
      putU16le(buffer, HEADER.headerLength, joiner.headerBytes);
      putU16le(buffer, HEADER.gsoSize, joiner.segmentBytes);
      putU16le(buffer, HEADER.sumStart, joiner.transportAt);
      putU16le(buffer, HEADER.sumOffset, TCP_CHECKSUM_AT);
    }
    if (!this.#deliver(HEADER_BYTES + joiner.byteCount)) return false;
    joiner.clear();
    return true;
  }

  /** Hands `#received` to the driver. @returns false when there is no room: nothing was taken */
  #deliver(total: number): boolean {
    const { transport } = this.#parts;
    const queue = transport.queues[QUEUE.receive];
    let chains = this.#chainsFor(total);
    if (chains === 0) {
      // Asked to be told, the driver may have come meanwhile.
      queue.wantsNotify = true;
      chains = this.#chainsFor(total);
    }
    if (queue.broken) {
      transport.needsReset();
      return true;
    }
    if (chains < 0) return true;
    if (chains === 0) {
      this.#refused = true;
      return false;
    }
    const buffer = this.#received;
    if (this.#headerBytes === HEADER_BYTES) putU16le(buffer, HEADER.buffers, chains);
    for (let done = 0; done < total && queue.pop(); ) {
      const here = Math.min(queue.writeBytes, total - done);
      queue.write(buffer.subarray(done, done + here));
      queue.push(here);
      done += here;
    }
    if (queue.publish()) transport.raiseQueueInterrupt();
    return true;
  }

  /** @returns how many chains hold so many bytes; 0: there are not enough; -1: the driver cannot take such a packet */
  #chainsFor(byteCount: number): number {
    const queue = this.#parts.transport.queues[QUEUE.receive];
    const { mark } = queue;
    let chains = 0;
    let room = 0;
    while (room < byteCount) {
      if (!queue.pop()) {
        queue.rewind(mark);
        return 0;
      }
      room += queue.writeBytes;
      chains++;
      const canMerge = this.#has(NET_FEATURE.mergeBuffers) && chains < queue.size;
      if (room < byteCount && !canMerge) {
        queue.rewind(mark);
        return -1;
      }
    }
    queue.rewind(mark);
    return chains;
  }

  #room(): void {
    if (!this.#refused) return;
    this.#refused = false;
    const { transport, port } = this.#parts;
    if (transport.running) {
      transport.queues[QUEUE.receive].wantsNotify = false;
      if (!this.#deliverJoined()) return;
    }
    port.resume();
  }

  #transmit(): void {
    const { transport } = this.#parts;
    // An answer to a frame may come inside, and lead here again.
    if (this.#sending || !transport.running) return;
    this.#sending = true;
    const queue = transport.queues[QUEUE.transmit];
    let pushed = false;
    if (this.#nextFrame < 0 || this.#sendFrames()) {
      while (queue.pop()) {
        this.#packetBytes = queue.read(this.#packet);
        const isWhole = queue.readBytes <= this.#packet.length;
        queue.push(0);
        pushed = true;
        if (!isWhole || this.#packetBytes < this.#headerBytes + 14) continue;
        this.#nextFrame = 0;
        if (!this.#sendFrames()) break;
      }
      if (this.#nextFrame < 0) queue.wantsNotify = true;
    }
    this.#sending = false;
    if (queue.broken) transport.needsReset();
    if (pushed && queue.publish()) transport.raiseQueueInterrupt();
  }

  /** @returns false when the cable is full */
  #sendFrames(): boolean {
    const header = this.#headerBytes;
    const packet = this.#packet.subarray(header, this.#packetBytes);
    const layout = this.#segmentation(packet);
    if (!layout && packet.length > MAX_FRAME_BYTES) {
      this.#nextFrame = -1;
      return true;
    }
    const count = layout ? segmentCount(packet.length, layout) : 1;
    for (; this.#nextFrame < count; this.#nextFrame++) {
      const length = layout ? this.#buildSegment(packet, layout) : this.#buildWhole(packet);
      if (!this.#parts.port.send(this.#frame.subarray(0, length))) return false;
    }
    this.#nextFrame = -1;
    return true;
  }

  /** Undefined: the packet is one frame. */
  #segmentation(packet: Uint8Array): SegmentLayout | undefined {
    const header = this.#packet;
    const kind = header[HEADER.gsoType] & ~GSO.ecn;
    if (kind !== GSO.tcp4 && kind !== GSO.tcp6) return undefined;
    const transportAt = getU16le(header, HEADER.sumStart);
    const ipAt = getU16(packet, 12) === 0x8100 ? 18 : 14;
    const mss = getU16le(header, HEADER.gsoSize);
    if (mss === 0 || transportAt <= ipAt || transportAt + 20 > packet.length) return undefined;
    const headerBytes = transportAt + (packet[transportAt + 12] >> 4) * 4;
    if (headerBytes > packet.length || headerBytes + mss > MAX_FRAME_BYTES) return undefined;
    return { headerBytes, mss, ipAt, transportAt, protocol: 'tcp' };
  }

  #buildSegment(packet: Uint8Array, layout: SegmentLayout): number {
    const frame = this.#frame;
    const { ipAt, transportAt } = layout;
    const length = writeSegment(packet, packet.length, layout, this.#nextFrame, frame);
    const isV6 = frame[ipAt] >> 4 === 6;
    if (!isV6) {
      putU16(frame, ipAt + 10, 0);
      putU16(frame, ipAt + 10, onesSum(frame, ipAt, ipAt + (frame[ipAt] & 15) * 4) ^ 0xffff);
    }
    const addresses = isV6 ? onesSum(frame, ipAt + 8, ipAt + 40) : onesSum(frame, ipAt + 12, ipAt + 20);
    putU16(frame, transportAt + 16, 0);
    const sum = onesSum(frame, transportAt, length, addresses + PROTOCOL_TCP + length - transportAt);
    putU16(frame, transportAt + 16, sum ^ 0xffff);
    return length;
  }

  #buildWhole(packet: Uint8Array): number {
    const frame = this.#frame;
    const header = this.#packet;
    frame.set(packet);
    if ((header[HEADER.flags] & HEADER_FLAG.needsChecksum) === 0) return packet.length;
    const start = getU16le(header, HEADER.sumStart);
    const at = start + getU16le(header, HEADER.sumOffset);
    if (start >= packet.length || at + 2 > packet.length) return packet.length;
    const sum = onesSum(frame, start, packet.length) ^ 0xffff;
    // A zero would mean that a datagram has no checksum.
    putU16(frame, at, sum === 0 ? 0xffff : sum);
    return packet.length;
  }

  #control(): void {
    const { transport } = this.#parts;
    const queue = transport.queues[QUEUE.control];
    let pushed = false;
    while (queue.pop()) {
      const request = new Uint8Array(Math.min(queue.readBytes, CONTROL_BYTES));
      queue.read(request);
      this.#ack[0] = this.#filter.control(request) ? 0 : 1;
      queue.push(queue.write(this.#ack));
      pushed = true;
    }
    queue.wantsNotify = true;
    if (queue.broken) transport.needsReset();
    if (pushed && queue.publish()) transport.raiseQueueInterrupt();
  }
}

/** The transport checksum was looked at and is right. */
function isSound(frame: Uint8Array): boolean {
  const checked = checkFrame(frame, frame.length);
  return (checked & (CHECKED.transport | CHECKED.transportBad)) === CHECKED.transport;
}
