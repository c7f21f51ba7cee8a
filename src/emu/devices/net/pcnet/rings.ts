/**
 * Where a PCnet card's rings are and how far it has got in them.
 * Source: Am79C970A data sheet, "Initialization block", CSR72 to CSR78.
 */
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';
import { BCR, CSR, STYLE } from './registers.ts';

export interface RingsParts {
  readonly memory: DmaMemory;
  readonly csr: Uint16Array;
  readonly bcr: Uint16Array;
}

export interface RingsState {
  readonly receiveIndex: number;
  readonly transmitIndex: number;
}

export class PcnetRings implements Saveable<RingsState> {
  readonly #memory: DmaMemory;
  readonly #csr: Uint16Array;
  readonly #bcr: Uint16Array;
  /** Below the lengths. */
  receiveIndex = 0;
  transmitIndex = 0;

  constructor(parts: RingsParts) {
    this.#memory = parts.memory;
    this.#csr = parts.csr;
    this.#bcr = parts.bcr;
  }

  get style(): number {
    return this.#bcr[BCR.softwareStyle];
  }

  /** What stands above the 24-bit addresses of 16-bit structures, in place. */
  get high(): number {
    return ((this.#csr[CSR.initHigh] & 0xff00) << 16) >>> 0;
  }

  get receiveBase(): number {
    return this.#pair(CSR.receiveBase);
  }

  get transmitBase(): number {
    return this.#pair(CSR.transmitBase);
  }

  /** 1 to 65536. */
  get receiveLength(): number {
    return 0x1_0000 - this.#csr[CSR.receiveLength];
  }

  get transmitLength(): number {
    return 0x1_0000 - this.#csr[CSR.transmitLength];
  }

  /** Counts down to 1 at the ring's end. */
  get receiveCounter(): number {
    return (this.receiveLength - this.receiveIndex) & 0xffff;
  }

  get transmitCounter(): number {
    return (this.transmitLength - this.transmitIndex) & 0xffff;
  }

  setCounter(csr: number, value: number): void {
    if (csr === CSR.receiveCounter) this.receiveIndex = (this.receiveLength - value) & 0xffff;
    else this.transmitIndex = (this.transmitLength - value) & 0xffff;
  }

  reset(): void {
    this.receiveIndex = 0;
    this.transmitIndex = 0;
  }

  readInitBlock(): void {
    const at = ((this.#csr[CSR.initHigh] << 16) | this.#csr[CSR.initLow]) >>> 0;
    if ((this.style & STYLE.wide) === 0) this.#readNarrow(at);
    else this.#readWide(at);
    this.reset();
  }

  save(): RingsState {
    return { receiveIndex: this.receiveIndex, transmitIndex: this.transmitIndex };
  }

  restore(state: RingsState): void {
    this.receiveIndex = state.receiveIndex;
    this.transmitIndex = state.transmitIndex;
  }

  #readNarrow(at: number): void {
    const memory = this.#memory;
    const csr = this.#csr;
    csr[CSR.mode] = memory.readU16(at);
    for (let i = 0; i < 3; i++) csr[CSR.physicalAddress + i] = memory.readU16(at + 2 + i * 2);
    for (let i = 0; i < 4; i++) csr[CSR.logicalAddress + i] = memory.readU16(at + 8 + i * 2);
    const [receive, receiveHigh] = [memory.readU16(at + 16), memory.readU16(at + 18)];
    const [transmit, transmitHigh] = [memory.readU16(at + 20), memory.readU16(at + 22)];
    this.#setPair(CSR.receiveBase, (this.high | ((receiveHigh & 0xff) << 16) | (receive & 0xfff8)) >>> 0);
    this.#setPair(CSR.transmitBase, (this.high | ((transmitHigh & 0xff) << 16) | (transmit & 0xfff8)) >>> 0);
    this.#setLengths(receiveHigh >> 13, transmitHigh >> 13);
  }

  #readWide(at: number): void {
    const memory = this.#memory;
    const csr = this.#csr;
    const first = memory.readU32(at);
    csr[CSR.mode] = first;
    for (let i = 0; i < 3; i++) csr[CSR.physicalAddress + i] = memory.readU16(at + 4 + i * 2);
    for (let i = 0; i < 4; i++) csr[CSR.logicalAddress + i] = memory.readU16(at + 12 + i * 2);
    this.#setPair(CSR.receiveBase, memory.readU32(at + 20) & ~15);
    this.#setPair(CSR.transmitBase, memory.readU32(at + 24) & ~15);
    this.#setLengths((first >>> 20) & 15, (first >>> 28) & 15);
  }

  /** Powers of two, up to 512. */
  #setLengths(receive: number, transmit: number): void {
    const csr = this.#csr;
    csr[CSR.ringLengths] = (transmit << 12) | (receive << 8);
    csr[CSR.receiveLength] = 0x1_0000 - (1 << Math.min(receive, 9));
    csr[CSR.transmitLength] = 0x1_0000 - (1 << Math.min(transmit, 9));
  }

  #pair(at: number): number {
    return ((this.#csr[at + 1] << 16) | this.#csr[at]) >>> 0;
  }

  #setPair(at: number, value: number): void {
    this.#csr[at] = value;
    this.#csr[at + 1] = value >>> 16;
  }
}
