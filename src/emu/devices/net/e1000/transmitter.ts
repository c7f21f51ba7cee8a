/**
 * The transmit side of the 8254x: the descriptor ring, checksum insertion, TCP segmentation, VLAN tags.
 * Source: 8254x SDM (317453), sections 3.3 (descriptors), 3.4 (ring), 3.5 (segmentation), 3.6 (checksums), 9.2 (VLAN).
 *
 * A descriptor's data is fetched and the descriptor written back at once; the frame waits inside while the cable is full.
 * Not modelled: prefetch and write-back thresholds (TXDCTL), TXD_LOW, collisions, early transmit, report packet sent.
 */
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '#emu/host/packet-port.ts';
import { fold, getU16, onesSum, putU16 } from '../offload/internet-checksum.ts';
import { type SegmentLayout, segmentCount, writeSegment } from '../offload/segmentation.ts';
import { CTRL, ICR, REG, TCTL } from './registers.ts';

const DESCRIPTOR_BYTES = 16;
/** The largest packet that a driver may have cut: 64 KiB of IP, headers, and some. */
const PACKET_BYTES = 0x1_1000;
const TAG_BYTES = 4;

const COMMAND = {
  endOfPacket: 1 << 0,
  /** Legacy descriptors: insert a checksum. Extended ones: segment. */
  insertChecksum: 1 << 2,
  segment: 1 << 2,
  reportStatus: 1 << 3,
  extended: 1 << 5,
  vlan: 1 << 6,
  delayInterrupt: 1 << 7,
} as const;
const CONTEXT_TCP = 1 << 0;
const DESCRIPTOR_TYPE_DATA = 1;
const DONE = 1;
const OPTION = { ip: 1, transport: 2 } as const;

/** Where a checksum is summed and stored. `end` is the last byte, 0: of the packet. */
interface ChecksumPlace {
  readonly start: number;
  readonly at: number;
  readonly end: number;
}

/** What a context descriptor says. */
interface Context {
  readonly ip: ChecksumPlace;
  readonly transport: ChecksumPlace;
  readonly layout: SegmentLayout;
}

export interface TransmitterParts {
  readonly memory: DmaMemory;
  readonly words: Uint32Array;
  /** @returns false: keep it and come again with `pump` */
  readonly send: (frame: Uint8Array) => boolean;
  readonly raise: (causes: number) => void;
  /** Descriptors were written back. @param delayed all of them let the interrupt wait */
  readonly writtenBack: (delayed: boolean) => void;
  readonly onSegmented: () => void;
}

export interface TransmitterState {
  /** Four words of the last context without and with segmentation. */
  readonly contexts: Uint32Array;
  /** Bytes gathered of a packet. */
  readonly packet: Uint8Array;
  readonly flags: number;
  readonly options: number;
  readonly legacyChecksum: number;
  readonly tag: number;
  /** Next frame to send of a complete packet; -1: it is still being gathered. */
  readonly nextFrame: number;
}

const FLAG = { begun: 1, segment: 2, tag: 4, tooLong: 8, extended: 16, checksum: 32 } as const;

export class E1000Transmitter implements Saveable<TransmitterState> {
  readonly #parts: TransmitterParts;
  readonly #words: Uint32Array;
  readonly #contextWords: Uint32Array = new Uint32Array(8);
  #contexts: [Context, Context];
  readonly #packet: Uint8Array = new Uint8Array(PACKET_BYTES);
  readonly #out: Uint8Array = new Uint8Array(TAG_BYTES + MAX_FRAME_BYTES);
  /** Where frames are built: room for a tag before. */
  readonly #frame: Uint8Array = this.#out.subarray(TAG_BYTES);
  readonly #statusByte: Uint8Array = new Uint8Array(1);
  #length = 0;
  #flags = 0;
  #options = 0;
  /** CSO and CSS of a legacy descriptor, 8 bits each. */
  #legacyChecksum = 0;
  #tag = 0;
  #nextFrame = -1;
  #pumping = false;

  constructor(parts: TransmitterParts) {
    this.#parts = parts;
    this.#words = parts.words;
    this.#contexts = [contextOf(this.#contextWords, 0), contextOf(this.#contextWords, 4)];
  }

  reset(): void {
    this.#contextWords.fill(0);
    this.#contexts = [contextOf(this.#contextWords, 0), contextOf(this.#contextWords, 4)];
    this.#startPacket();
  }

  /** Works through the ring until it is empty or the cable full. */
  pump(): void {
    // A frame sent may be answered at once, and the answer's interrupt is not ours to wait for.
    if (this.#pumping) return;
    this.#pumping = true;
    this.#work();
    this.#pumping = false;
  }

  save(): TransmitterState {
    return {
      contexts: this.#contextWords.slice(),
      packet: this.#packet.slice(0, this.#length),
      flags: this.#flags,
      options: this.#options,
      legacyChecksum: this.#legacyChecksum,
      tag: this.#tag,
      nextFrame: this.#nextFrame,
    };
  }

  restore(state: TransmitterState): void {
    this.#contextWords.set(state.contexts);
    this.#contexts = [contextOf(this.#contextWords, 0), contextOf(this.#contextWords, 4)];
    this.#packet.set(state.packet);
    this.#length = state.packet.length;
    this.#flags = state.flags;
    this.#options = state.options;
    this.#legacyChecksum = state.legacyChecksum;
    this.#tag = state.tag;
    this.#nextFrame = state.nextFrame;
  }

  #work(): void {
    const words = this.#words;
    if (this.#nextFrame >= 0 && !this.#sendFrames()) return;
    if ((words[REG.tctl >> 2] & TCTL.enable) === 0) return;
    const count = Math.floor(words[REG.tdlen >> 2] / DESCRIPTOR_BYTES);
    const base = words[REG.tdbah >> 2] * 0x1_0000_0000 + words[REG.tdbal >> 2];
    const head = REG.tdh >> 2;
    const tail = words[REG.tdt >> 2];
    if (tail >= count || words[head] >= count || words[head] === tail) return;
    let reported = false;
    let delayed = true;
    let room = true;
    while (room && words[head] !== tail) {
      const at = base + words[head] * DESCRIPTOR_BYTES;
      const command = this.#take(at);
      if ((command & COMMAND.reportStatus) !== 0) {
        reported = true;
        if ((command & COMMAND.delayInterrupt) === 0) delayed = false;
      }
      words[head] = words[head] + 1 === count ? 0 : words[head] + 1;
      if (this.#nextFrame >= 0) room = this.#sendFrames();
    }
    if (words[head] === tail) this.#parts.raise(ICR.transmitQueueEmpty);
    if (reported) this.#parts.writtenBack(delayed);
  }

  /** @returns its command byte */
  #take(at: number): number {
    const { memory } = this.#parts;
    const lower = memory.readU32(at + 8);
    const command = lower >>> 24;
    const upper = memory.readU32(at + 12);
    if ((command & COMMAND.extended) === 0) this.#takeLegacy(at, lower, upper);
    else if (((lower >>> 20) & 15) === DESCRIPTOR_TYPE_DATA) this.#takeData(at, lower, upper);
    else this.#takeContext(at, lower, upper);
    if ((command & COMMAND.reportStatus) !== 0) {
      this.#statusByte[0] = upper | DONE;
      memory.write(at + 12, this.#statusByte);
    }
    return command;
  }

  #takeContext(at: number, lower: number, upper: number): void {
    const { memory } = this.#parts;
    const index = ((lower >>> 24) & COMMAND.segment) !== 0 ? 4 : 0;
    this.#contextWords[index] = memory.readU32(at);
    this.#contextWords[index + 1] = memory.readU32(at + 4);
    this.#contextWords[index + 2] = lower;
    this.#contextWords[index + 3] = upper;
    this.#contexts[index >> 2] = contextOf(this.#contextWords, index);
  }

  #takeLegacy(at: number, lower: number, upper: number): void {
    const command = lower >>> 24;
    this.#flags |= FLAG.begun;
    this.#gather(at, lower & 0xffff);
    if ((command & COMMAND.insertChecksum) !== 0) {
      this.#flags |= FLAG.checksum;
      this.#legacyChecksum = ((lower >>> 16) & 0xff) | (upper & 0xff00);
    }
    this.#endDescriptor(command, upper);
  }

  #takeData(at: number, lower: number, upper: number): void {
    const command = lower >>> 24;
    if ((this.#flags & FLAG.begun) === 0) {
      // Options and segmentation are the first descriptor's to say.
      this.#flags |= FLAG.begun | FLAG.extended | ((command & COMMAND.segment) !== 0 ? FLAG.segment : 0);
      this.#options = (upper >>> 8) & 0xff;
    }
    this.#gather(at, lower & 0xf_ffff);
    this.#endDescriptor(command, upper);
  }

  #gather(at: number, byteCount: number): void {
    const { memory } = this.#parts;
    const taken = Math.min(byteCount, PACKET_BYTES - this.#length);
    if (taken < byteCount) this.#flags |= FLAG.tooLong;
    if (taken === 0) return;
    const address = memory.readU32(at) + memory.readU32(at + 4) * 0x1_0000_0000;
    memory.read(address, this.#packet.subarray(this.#length, this.#length + taken));
    this.#length += taken;
  }

  #endDescriptor(command: number, upper: number): void {
    if ((command & COMMAND.endOfPacket) === 0) return;
    if ((command & COMMAND.vlan) !== 0 && (this.#words[REG.ctrl >> 2] & CTRL.vlanMode) !== 0) {
      this.#flags |= FLAG.tag;
      this.#tag = upper >>> 16;
    }
    const limit = (this.#flags & FLAG.segment) !== 0 ? PACKET_BYTES : MAX_FRAME_BYTES;
    if ((this.#flags & FLAG.tooLong) !== 0 || this.#length < 14 || this.#length > limit) this.#startPacket();
    else {
      this.#nextFrame = 0;
      if ((this.#flags & FLAG.segment) !== 0) this.#parts.onSegmented();
    }
  }

  #startPacket(): void {
    this.#length = 0;
    this.#flags = 0;
    this.#options = 0;
    this.#nextFrame = -1;
  }

  /** Sends what is left of the packet. @returns false when the cable is full */
  #sendFrames(): boolean {
    const layout = this.#segmentation();
    const count = layout ? segmentCount(this.#length, layout) : 1;
    for (; this.#nextFrame < count; this.#nextFrame++) {
      const length = layout ? this.#buildSegment(layout) : this.#buildWhole();
      if (!this.#parts.send(this.#finished(length))) return false;
    }
    this.#startPacket();
    return true;
  }

  /** Undefined: the packet is one frame. */
  #segmentation(): SegmentLayout | undefined {
    if ((this.#flags & FLAG.segment) === 0) return undefined;
    const { layout } = this.#contexts[1];
    const { headerBytes, mss, transportAt, ipAt } = layout;
    const isPossible =
      mss > 0 && ipAt >= 14 && transportAt > ipAt && headerBytes > transportAt && headerBytes + mss <= MAX_FRAME_BYTES;
    return isPossible && headerBytes <= this.#length ? layout : undefined;
  }

  #buildSegment(layout: SegmentLayout): number {
    const context = this.#contexts[1];
    const length = writeSegment(this.#packet, this.#length, layout, this.#nextFrame, this.#frame);
    const { at, start } = context.transport;
    // The driver summed the pseudo-header without the length, which differs from frame to frame.
    if ((this.#options & OPTION.transport) !== 0 && at + 2 <= length) {
      putU16(this.#frame, at, fold(getU16(this.#frame, at) + length - start));
    }
    this.#insertChecksums(context, length);
    return length;
  }

  #buildWhole(): number {
    const length = Math.min(this.#length, MAX_FRAME_BYTES);
    this.#frame.set(this.#packet.subarray(0, length), 0);
    if ((this.#flags & FLAG.extended) !== 0) {
      this.#insertChecksums(this.#contexts[(this.#flags & FLAG.segment) !== 0 ? 1 : 0], length);
    } else if ((this.#flags & FLAG.checksum) !== 0) {
      this.#insert(length, this.#legacyChecksum >> 8, this.#legacyChecksum & 0xff, 0, false);
    }
    return length;
  }

  #insertChecksums(context: Context, length: number): void {
    const { ip, transport, layout } = context;
    if ((this.#options & OPTION.ip) !== 0) {
      // A segment's header has a new length, so the old sum does not count.
      if ((this.#flags & FLAG.segment) !== 0 && ip.at + 2 <= length) putU16(this.#frame, ip.at, 0);
      this.#insert(length, ip.start, ip.at, ip.end, false);
    }
    if ((this.#options & OPTION.transport) !== 0) {
      this.#insert(length, transport.start, transport.at, transport.end, layout.protocol === 'udp');
    }
  }

  /** @param last the last byte summed, 0: of the frame; @param isUdp a sum of zero is sent as ones */
  #insert(length: number, start: number, at: number, last: number, isUdp: boolean): void {
    const end = last === 0 ? length : Math.min(last + 1, length);
    if (start >= end || at + 2 > length) return;
    const sum = onesSum(this.#frame, start, end) ^ 0xffff;
    putU16(this.#frame, at, sum === 0 && isUdp ? 0xffff : sum);
  }

  /** The frame as it goes out: padded, with its VLAN tag. */
  #finished(byteCount: number): Uint8Array {
    let length = byteCount;
    if (length < MIN_FRAME_BYTES && (this.#words[REG.tctl >> 2] & TCTL.padShort) !== 0) {
      this.#frame.fill(0, length, MIN_FRAME_BYTES);
      length = MIN_FRAME_BYTES;
    }
    if ((this.#flags & FLAG.tag) === 0) return this.#frame.subarray(0, length);
    const out = this.#out;
    out.copyWithin(0, TAG_BYTES, TAG_BYTES + 12);
    putU16(out, 12, this.#words[REG.vet >> 2] & 0xffff);
    putU16(out, 14, this.#tag);
    return out.subarray(0, Math.min(length + TAG_BYTES, MAX_FRAME_BYTES));
  }
}

function contextOf(words: Uint32Array, index: number): Context {
  const [ip, transport, lower, upper] = words.subarray(index, index + 4);
  const ipPlace = { start: ip & 0xff, at: (ip >>> 8) & 0xff, end: ip >>> 16 };
  const place = { start: transport & 0xff, at: (transport >>> 8) & 0xff, end: transport >>> 16 };
  return {
    ip: ipPlace,
    transport: place,
    layout: {
      headerBytes: (upper >>> 8) & 0xff,
      mss: upper >>> 16,
      ipAt: ipPlace.start,
      transportAt: place.start,
      protocol: ((lower >>> 24) & CONTEXT_TCP) !== 0 ? 'tcp' : 'udp',
    },
  };
}
