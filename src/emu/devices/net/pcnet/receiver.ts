/**
 * The receive side of the PCnet family. Source: Am79C970A data sheet, "Receive descriptor table entry", "Address matching",
 * "Automatic pad stripping".
 *
 * A frame for which there are no descriptors stays with the sender, as if the FIFO held it.
 */
import { crc32 } from '#base/crc32.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '#emu/host/packet-port.ts';
import { PcnetDescriptor } from './descriptors.ts';
import { CSR, FEATURE, FLAG, MODE, STATUS } from './registers.ts';
import type { PcnetRings } from './rings.ts';

const FCS_BYTES = 4;
const HEADER_BYTES = 14;
/** MCNT has 12 bits. */
const LONGEST = 4095;

export interface ReceiverParts {
  readonly memory: DmaMemory;
  readonly csr: Uint16Array;
  readonly bcr: Uint16Array;
  readonly rings: PcnetRings;
  readonly raise: (causes: number) => void;
}

export class PcnetReceiver {
  readonly #parts: ReceiverParts;
  readonly #descriptor: PcnetDescriptor;
  readonly #buffer: Uint8Array = new Uint8Array(MAX_FRAME_BYTES + FCS_BYTES);

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#descriptor = new PcnetDescriptor(parts.memory);
  }

  /** @returns false: there is no room in the ring */
  receive(frame: Uint8Array): boolean {
    const match = this.#match(frame);
    if (match === 0) return true;
    const length = this.#store(frame);
    if (length > LONGEST) return true;
    const count = this.#needed(length);
    if (count === 0) return false;
    if (count > this.#parts.rings.receiveLength) {
      this.#parts.csr[CSR.missedFrames]++;
      this.#parts.raise(STATUS.missed);
      return true;
    }
    this.#write(length, match);
    this.#parts.raise(STATUS.received);
    return true;
  }

  /** @returns which comparison let the frame through, as descriptor flags; 0: none */
  #match(frame: Uint8Array): number {
    const { csr } = this.#parts;
    const mode = csr[CSR.mode];
    if ((frame[0] & 1) === 0) {
      if (this.#isOwn(frame) && (mode & MODE.noPhysical) === 0) return FLAG.physicalMatch;
    } else if (isBroadcast(frame)) {
      if ((mode & MODE.noBroadcast) === 0) return FLAG.broadcastMatch;
    } else {
      // The upper six bits of the CRC before its complement.
      const hash = ~crc32(frame, 6) >>> 26;
      if (((csr[CSR.logicalAddress + (hash >> 4)] >> (hash & 15)) & 1) !== 0) return FLAG.logicalMatch;
    }
    return (mode & MODE.promiscuous) !== 0 ? FLAG.physicalMatch : 0;
  }

  #isOwn(frame: Uint8Array): boolean {
    const { csr } = this.#parts;
    for (let i = 0; i < 3; i++) {
      if ((frame[i * 2] | (frame[i * 2 + 1] << 8)) !== csr[CSR.physicalAddress + i]) return false;
    }
    return true;
  }

  /** @returns the bytes to be written, with padding to the least length and FCS unless they are stripped */
  #store(frame: Uint8Array): number {
    const buffer = this.#buffer;
    buffer.set(frame);
    const field = (frame[12] << 8) | frame[13];
    const isShort = field < MIN_FRAME_BYTES - HEADER_BYTES;
    if (isShort && (this.#parts.csr[CSR.features] & FEATURE.stripPad) !== 0) return HEADER_BYTES + field;
    const length = Math.max(frame.length, MIN_FRAME_BYTES);
    buffer.fill(0, frame.length, length);
    const fcs = crc32(buffer, length);
    for (let i = 0; i < FCS_BYTES; i++) buffer[length + i] = fcs >>> (i * 8);
    return length + FCS_BYTES;
  }

  /** @returns descriptors that hold so many bytes; 0: not all are the card's; more than the ring has: it never will */
  #needed(byteCount: number): number {
    const { rings } = this.#parts;
    const descriptor = this.#descriptor;
    const length = rings.receiveLength;
    let left = byteCount;
    for (let n = 0; n < length; n++) {
      descriptor.fetch(rings.receiveBase, (rings.receiveIndex + n) % length, rings.style, rings.high);
      if ((descriptor.flags & FLAG.own) === 0) return 0;
      left -= descriptor.byteCount;
      if (left <= 0) return n + 1;
    }
    return length + 1;
  }

  #write(byteCount: number, match: number): void {
    const { rings, memory } = this.#parts;
    const descriptor = this.#descriptor;
    const length = rings.receiveLength;
    for (let done = 0; done < byteCount; ) {
      descriptor.fetch(rings.receiveBase, rings.receiveIndex, rings.style, rings.high);
      const here = Math.min(descriptor.byteCount, byteCount - done);
      memory.write(descriptor.buffer, this.#buffer.subarray(done, done + here));
      const isFirst = done === 0;
      done += here;
      const isLast = done === byteCount;
      const flags = (isFirst ? FLAG.start : 0) | (isLast ? FLAG.end | match : 0);
      descriptor.finishReceive(flags, isLast ? byteCount : 0);
      rings.receiveIndex = (rings.receiveIndex + 1) % length;
    }
  }
}

function isBroadcast(frame: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return false;
  return true;
}
