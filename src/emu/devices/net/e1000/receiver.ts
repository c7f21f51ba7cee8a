/**
 * The receive side of the 8254x: address filter, descriptor ring, checksum status, VLAN tags.
 * Source: 8254x SDM (317453), sections 3.2 (receive), 9.3 (VLAN), 13.5 (filter registers).
 *
 * A frame for which there are no descriptors stays with the sender, as if the packet buffer held it.
 * Not modelled: flow control frames (they pass as multicast), small packet detection, storing of bad packets, IP fragments'
 * partial sums.
 */
import { crc32 } from '#base/crc32.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';
import { MAX_FRAME_BYTES } from '#emu/host/packet-port.ts';
import { CHECKED, checkFrame } from '../offload/frame-check.ts';
import { getU16, onesSum } from '../offload/internet-checksum.ts';
import { CTRL, ICR, MTA_ENTRIES, RAH_VALID, RCTL, RECEIVE_ADDRESSES, REG, RXCSUM } from './registers.ts';
import type { E1000Statistics } from './statistics.ts';

const DESCRIPTOR_BYTES = 16;
const FCS_BYTES = 4;
const TAG_BYTES = 4;
/** With FCS; a VLAN tag may add four bytes. */
const LONGEST_STANDARD = 1522;
const STATUS = {
  done: 1 << 0,
  endOfPacket: 1 << 1,
  ignoreChecksum: 1 << 2,
  vlan: 1 << 3,
  transportChecked: 1 << 5,
  ipChecked: 1 << 6,
  passedInexact: 1 << 7,
} as const;
const ERROR = { transport: 1 << 5, ip: 1 << 6 } as const;

export interface ReceiverParts {
  readonly memory: DmaMemory;
  readonly words: Uint32Array;
  readonly statistics: E1000Statistics;
  readonly raise: (causes: number) => void;
  /** A frame is in memory. */
  readonly received: () => void;
}

/** How a frame passed the filter. */
type Match = 'none' | 'exact' | 'inexact';

export class E1000Receiver {
  readonly #parts: ReceiverParts;
  readonly #words: Uint32Array;
  readonly #buffer: Uint8Array = new Uint8Array(MAX_FRAME_BYTES + FCS_BYTES);
  readonly #writeBack: Uint8Array = new Uint8Array(8);

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#words = parts.words;
  }

  get enabled(): boolean {
    return (this.#control & RCTL.enable) !== 0;
  }

  /** @returns false: there is no room in the ring */
  receive(frame: Uint8Array): boolean {
    const { statistics } = this.#parts;
    if (!this.enabled || frame.length < 14 || frame.length > MAX_FRAME_BYTES) return true;
    const isTagged = getU16(frame, 12) === (this.#words[REG.vet >> 2] & 0xffff);
    const match = this.#match(frame, isTagged);
    const isLong = frame.length + FCS_BYTES > LONGEST_STANDARD;
    if (match === 'none' || (isLong && (this.#control & RCTL.longPackets) === 0)) {
      statistics.seen(frame.length);
      if (match !== 'none') statistics.oversize();
      return true;
    }
    const strips = isTagged && (this.#words[REG.ctrl >> 2] & CTRL.vlanMode) !== 0;
    const byteCount = frame.length - (strips ? TAG_BYTES : 0) + ((this.#control & RCTL.stripCrc) !== 0 ? 0 : FCS_BYTES);
    const needed = Math.ceil(byteCount / this.#bufferBytes);
    const count = Math.floor(this.#words[REG.rdlen >> 2] / DESCRIPTOR_BYTES);
    if (this.#free(count) < needed) {
      // More than the ring can ever hold is lost.
      if (needed < count || count === 0) return false;
      statistics.missed();
      return true;
    }
    statistics.seen(frame.length);
    statistics.received(frame);
    this.#store(frame, strips);
    this.#fillStatus(frame, match, strips);
    this.#writeDescriptors(byteCount, count);
    this.#parts.received();
    return true;
  }

  get #control(): number {
    return this.#words[REG.rctl >> 2];
  }

  /** BSIZE and BSEX. */
  get #bufferBytes(): number {
    const size = 2048 >> ((this.#control >>> RCTL.sizeShift) & 3);
    return (this.#control & RCTL.sizeExtension) !== 0 && size < 2048 ? size * 16 : size;
  }

  #free(count: number): number {
    const head = this.#words[REG.rdh >> 2];
    const tail = this.#words[REG.rdt >> 2];
    if (head >= count || tail >= count) return 0;
    return tail >= head ? tail - head : count - head + tail;
  }

  #match(frame: Uint8Array, isTagged: boolean): Match {
    const control = this.#control;
    if (isTagged && (control & RCTL.vlanFilter) !== 0 && !this.#wantsVlan(getU16(frame, 14) & 0xfff)) return 'none';
    if ((frame[0] & 1) === 0) {
      if (this.#isOwn(frame)) return 'exact';
      return (control & RCTL.unicastPromiscuous) !== 0 ? 'inexact' : 'none';
    }
    const low = (frame[0] | (frame[1] << 8) | (frame[2] << 16) | (frame[3] << 24)) >>> 0;
    const high = frame[4] | (frame[5] << 8);
    if (low === 0xffff_ffff && high === 0xffff && (control & RCTL.broadcast) !== 0) return 'exact';
    if (this.#isOwn(frame)) return 'exact';
    if ((control & RCTL.multicastPromiscuous) !== 0) return 'inexact';
    const offset = (control >>> RCTL.multicastShift) & 3;
    // Bits 47:36, 46:35, 45:34 or 43:32 of the address.
    const hash = (high >>> (offset === 3 ? 0 : 4 - offset)) & 0xfff;
    const word = this.#words[(REG.mta >> 2) + ((hash >> 5) & (MTA_ENTRIES - 1))];
    return ((word >>> (hash & 31)) & 1) !== 0 ? 'inexact' : 'none';
  }

  #isOwn(frame: Uint8Array): boolean {
    const low = (frame[0] | (frame[1] << 8) | (frame[2] << 16) | (frame[3] << 24)) >>> 0;
    const high = frame[4] | (frame[5] << 8);
    for (let i = 0; i < RECEIVE_ADDRESSES; i++) {
      const at = (REG.ral0 >> 2) + i * 2;
      const rah = this.#words[at + 1];
      if (this.#words[at] === low && (rah & 0xffff) === high && (rah & RAH_VALID) !== 0) return true;
    }
    return false;
  }

  #wantsVlan(id: number): boolean {
    return ((this.#words[(REG.vfta >> 2) + (id >> 5)] >>> (id & 31)) & 1) !== 0;
  }

  /** Puts the frame, without its tag and with its FCS, into the buffer. */
  #store(frame: Uint8Array, strips: boolean): void {
    const buffer = this.#buffer;
    let length = frame.length;
    if (strips) {
      buffer.set(frame.subarray(0, 12), 0);
      buffer.set(frame.subarray(12 + TAG_BYTES), 12);
      length -= TAG_BYTES;
    } else buffer.set(frame, 0);
    if ((this.#control & RCTL.stripCrc) !== 0) return;
    const fcs = crc32(frame);
    for (let i = 0; i < FCS_BYTES; i++) buffer[length + i] = fcs >>> (i * 8);
  }

  /** Everything of the write-back but length and end of packet. */
  #fillStatus(frame: Uint8Array, match: Match, strips: boolean): void {
    const record = this.#writeBack;
    const wanted = this.#words[REG.rxcsum >> 2];
    const start = wanted & 0xff;
    const checksum = start < frame.length ? onesSum(frame, start, frame.length) : 0;
    record[2] = checksum;
    record[3] = checksum >>> 8;
    let status = STATUS.done | (match === 'inexact' ? STATUS.passedInexact : 0);
    let errors = 0;
    if ((wanted & (RXCSUM.ip | RXCSUM.transport)) === 0) status |= STATUS.ignoreChecksum;
    else {
      const checked = checkFrame(frame, frame.length);
      if ((checked & CHECKED.ip) !== 0 && (wanted & RXCSUM.ip) !== 0) {
        status |= STATUS.ipChecked;
        if ((checked & CHECKED.ipBad) !== 0) errors |= ERROR.ip;
      }
      if ((checked & CHECKED.transport) !== 0 && (wanted & RXCSUM.transport) !== 0) {
        status |= STATUS.transportChecked;
        if ((checked & CHECKED.transportBad) !== 0) errors |= ERROR.transport;
      }
      if ((status & (STATUS.ipChecked | STATUS.transportChecked)) === 0) status |= STATUS.ignoreChecksum;
    }
    let tag = 0;
    if (strips) {
      status |= STATUS.vlan;
      tag = getU16(frame, 14);
    }
    record[4] = status;
    record[5] = errors;
    record[6] = tag;
    record[7] = tag >>> 8;
  }

  #writeDescriptors(byteCount: number, count: number): void {
    const { memory, raise } = this.#parts;
    const words = this.#words;
    const record = this.#writeBack;
    const base = words[REG.rdbah >> 2] * 0x1_0000_0000 + words[REG.rdbal >> 2];
    const size = this.#bufferBytes;
    const threshold = count >>> (1 + ((this.#control >>> RCTL.thresholdShift) & 3));
    const before = this.#free(count);
    for (let done = 0; done < byteCount; done += size) {
      const head = words[REG.rdh >> 2];
      const at = base + head * DESCRIPTOR_BYTES;
      const here = Math.min(size, byteCount - done);
      const address = memory.readU32(at) + memory.readU32(at + 4) * 0x1_0000_0000;
      // A null address is a descriptor without a buffer: its part of the frame is thrown away.
      if (address !== 0) memory.write(address, this.#buffer.subarray(done, done + here));
      record[0] = here;
      record[1] = here >>> 8;
      if (done + here === byteCount) record[4] |= STATUS.endOfPacket;
      memory.write(at + 8, record);
      words[REG.rdh >> 2] = head + 1 === count ? 0 : head + 1;
    }
    if (before >= threshold && this.#free(count) < threshold) raise(ICR.receiveMinimum);
  }
}
