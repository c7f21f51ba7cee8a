/**
 * The transmit side of the PCnet family. Source: Am79C970A data sheet, "Transmit descriptor table entry", "Transmit operation".
 *
 * A frame that the cable does not take stays in its descriptors, which remain the card's.
 * Not modelled: retries, deferral, transmit start points.
 */
import type { DmaMemory } from '#emu/bus/wires.ts';
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '#emu/host/packet-port.ts';
import { PcnetDescriptor } from './descriptors.ts';
import { CSR, EXTENDED, FEATURE, FLAG, MODE, STATUS, TRANSMIT_ERROR } from './registers.ts';
import type { PcnetRings } from './rings.ts';

export interface TransmitterParts {
  readonly memory: DmaMemory;
  readonly csr: Uint16Array;
  readonly bcr: Uint16Array;
  readonly rings: PcnetRings;
  readonly linkUp: () => boolean;
  /** @returns false: no room */
  readonly send: (frame: Uint8Array) => boolean;
  /** Into the own receiver. */
  readonly loop: (frame: Uint8Array) => boolean;
  readonly raise: (causes: number) => void;
}

export class PcnetTransmitter {
  readonly #parts: TransmitterParts;
  readonly #descriptor: PcnetDescriptor;
  readonly #buffer: Uint8Array = new Uint8Array(MAX_FRAME_BYTES);
  #length = 0;
  #pumping = false;
  /** Goes up with every frame. */
  found = 0;

  constructor(parts: TransmitterParts) {
    this.#parts = parts;
    this.#descriptor = new PcnetDescriptor(parts.memory);
  }

  /** Sends what the ring has. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // A driver that fills the ring as fast as it is emptied gets the rest of its time too.
    for (let frames = this.#parts.rings.transmitLength; frames > 0 && this.#sendOne(); frames--) this.found++;
    this.#pumping = false;
  }

  /** @returns false when there is no complete frame, or no room for it */
  #sendOne(): boolean {
    const count = this.#gather();
    if (count === 0) return false;
    const isLoop = (this.#parts.csr[CSR.mode] & MODE.loopback) !== 0;
    const isCut = isLoop || this.#parts.linkUp();
    const frame = this.#buffer.subarray(0, this.#padded());
    if (isLoop) this.#parts.loop(frame);
    else if (isCut && frame.length >= 14 && !this.#parts.send(frame)) return false;
    this.#finish(count, isCut ? 0 : TRANSMIT_ERROR.lossOfCarrier);
    return true;
  }

  /** Copies a frame together. @returns how many descriptors it has; 0: not all are the card's yet */
  #gather(): number {
    const { rings, memory } = this.#parts;
    const descriptor = this.#descriptor;
    const length = rings.transmitLength;
    this.#length = 0;
    for (let n = 0; n < length; n++) {
      descriptor.fetch(rings.transmitBase, (rings.transmitIndex + n) % length, rings.style, rings.high);
      if ((descriptor.flags & FLAG.own) === 0) return 0;
      const taken = Math.min(descriptor.byteCount, MAX_FRAME_BYTES - this.#length);
      memory.read(descriptor.buffer, this.#buffer.subarray(this.#length, this.#length + taken));
      this.#length += taken;
      if ((descriptor.flags & FLAG.end) !== 0) return n + 1;
    }
    return 0;
  }

  #padded(): number {
    if ((this.#parts.csr[CSR.features] & FEATURE.padTransmit) === 0) return this.#length;
    this.#buffer.fill(0, this.#length, MIN_FRAME_BYTES);
    return Math.max(this.#length, MIN_FRAME_BYTES);
  }

  #finish(count: number, errors: number): void {
    const { rings, csr, raise } = this.#parts;
    const descriptor = this.#descriptor;
    const length = rings.transmitLength;
    let wantsInterrupt = false;
    for (let n = 0; n < count; n++) {
      descriptor.fetch(rings.transmitBase, rings.transmitIndex, rings.style, rings.high);
      const isLast = n === count - 1;
      const onlyOnRequest = (csr[CSR.extended] & EXTENDED.interruptAtLast) !== 0;
      if (isLast) wantsInterrupt = !onlyOnRequest || (descriptor.flags & FLAG.lastInterrupt) !== 0;
      const flags = descriptor.flags & ~(FLAG.own | FLAG.error | FLAG.lastInterrupt);
      descriptor.finishTransmit(flags | (isLast && errors !== 0 ? FLAG.error : 0), isLast ? errors : 0);
      rings.transmitIndex = (rings.transmitIndex + 1) % length;
    }
    if ((csr[CSR.extended] & EXTENDED.noInterruptAtDone) !== 0) return;
    if (wantsInterrupt) raise(STATUS.transmitted);
  }
}
