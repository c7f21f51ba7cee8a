/**
 * The analogue codec behind an AC'97 link: SigmaTel STAC9700, two channels at 48 kHz.
 * Source: Audio Codec '97 revision 2.3, section 5.7 (register set); SigmaTel STAC9700 data sheet, section 5 (reset values).
 * Not modelled: analogue inputs but for one that is microphone and line in at once, recording what is played, 3D stereo, variable rates (the STAC9700 has none), the beep input's way to the output
 * (the PC speaker is heard by itself).
 */
import type { Saveable } from '#emu/bus/wires.ts';

/** Offsets of 16-bit registers. */
const REG = {
  reset: 0x00,
  master: 0x02,
  headphone: 0x04,
  mono: 0x06,
  pcBeep: 0x0a,
  microphone: 0x0e,
  pcmOut: 0x18,
  recordSelect: 0x1a,
  recordGain: 0x1c,
  power: 0x26,
  frontRate: 0x2c,
  adcRate: 0x32,
  vendor1: 0x7c,
  vendor2: 0x7e,
} as const;

const MUTE = 0x8000;
const RATE = 48_000;
/** Register, value after a reset, bits that hold what is written. */
const REGISTERS: readonly (readonly [offset: number, reset: number, writable: number])[] = [
  [REG.reset, 0x6940, 0],
  [REG.master, 0x8000, 0x9f1f],
  [REG.headphone, 0x8000, 0x9f1f],
  [REG.mono, 0x8000, 0x801f],
  [REG.pcBeep, 0x0000, 0x801e],
  [0x0c, 0x8008, 0x801f],
  [REG.microphone, 0x8008, 0x805f],
  [0x10, 0x8808, 0x9f1f],
  [0x12, 0x8808, 0x9f1f],
  [0x14, 0x8808, 0x9f1f],
  [0x16, 0x8808, 0x9f1f],
  [REG.pcmOut, 0x8808, 0x9f1f],
  [REG.recordSelect, 0x0000, 0x0707],
  [REG.recordGain, 0x8000, 0x8f0f],
  [0x20, 0x0000, 0xa380],
  [0x22, 0x0000, 0x0003],
  [REG.power, 0x000f, 0xff00],
  [REG.frontRate, RATE, 0],
  [REG.adcRate, RATE, 0],
  [REG.vendor1, 0x8384, 0],
  [REG.vendor2, 0x7600, 0],
];
/** Volumes whose sixth bit, which this codec lacks, sets the other five (AC'97 2.3, 5.7.2). */
const FIVE_BIT_VOLUMES: ReadonlySet<number> = new Set([REG.master, REG.headphone, REG.mono]);
const STEP_DB = 1.5;
const PCM_OUT_MOST_DB = 12;
/** Inputs of 1Ah; the others are wired to nothing. */
const SOURCE = { microphone: 0, lineIn: 4 } as const;
/** Of 0Eh: 20 dB more. */
const BOOST = 0x40;
const BOOST_DB = 20;
/** Gains are fixed-point numbers with so many fraction bits. */
export const GAIN_BITS = 14;

export interface Stac9700State {
  readonly words: Uint16Array;
}

export class Stac9700 implements Saveable<Stac9700State> {
  readonly #words = new Uint16Array(64);
  readonly #writable = new Uint16Array(64);
  /** What PCM samples are multiplied with, left and right, in 1/2^GAIN_BITS. */
  readonly gains: Int32Array = new Int32Array(2);
  /** What recorded samples are multiplied with, likewise. */
  readonly recordGains: Int32Array = new Int32Array(2);

  constructor() {
    for (const [offset, , writable] of REGISTERS) this.#writable[offset >> 1] = writable;
    this.reset();
  }

  reset(): void {
    this.#words.fill(0);
    for (const [offset, value] of REGISTERS) this.#words[offset >> 1] = value;
    this.#update();
  }

  /** @param offset 0..7Eh, even */
  read(offset: number): number {
    if (offset === REG.power) return (this.#words[offset >> 1] & 0xff00) | readyBits(this.#words[offset >> 1]);
    return this.#words[offset >> 1];
  }

  write(offset: number, value: number): void {
    if (offset === REG.reset) {
      this.reset();
      return;
    }
    let given = value;
    if (FIVE_BIT_VOLUMES.has(offset)) {
      if (value & 0x2000) given |= 0x1f00;
      if (value & 0x0020) given |= 0x001f;
    }
    const writable = this.#writable[offset >> 1];
    this.#words[offset >> 1] = (this.#words[offset >> 1] & ~writable) | (given & writable);
    this.#update();
  }

  save(): Stac9700State {
    return { words: this.#words.slice() };
  }

  restore(state: Stac9700State): void {
    this.#words.set(state.words);
    this.#update();
  }

  #update(): void {
    const master = this.#words[REG.master >> 1];
    const pcm = this.#words[REG.pcmOut >> 1];
    const isOff = ((master | pcm) & MUTE) !== 0 || (readyBits(this.#words[REG.power >> 1]) & 0x6) !== 0x6;
    for (const [channel, shift] of [8, 0].entries()) {
      const db = PCM_OUT_MOST_DB - STEP_DB * (((pcm >> shift) & 0x1f) + ((master >> shift) & 0x1f));
      this.gains[channel] = isOff ? 0 : fixed(db);
    }
    this.#updateRecording();
  }

  #updateRecording(): void {
    const gain = this.#words[REG.recordGain >> 1];
    const select = this.#words[REG.recordSelect >> 1];
    const ready = readyBits(this.#words[REG.power >> 1]);
    const boost = this.#words[REG.microphone >> 1] & BOOST ? BOOST_DB : 0;
    for (const [channel, shift] of [8, 0].entries()) {
      const source = (select >> shift) & 7;
      const isHeard = source === SOURCE.microphone || source === SOURCE.lineIn;
      const isOff = (gain & MUTE) !== 0 || !isHeard || (ready & 0x5) !== 0x5;
      const db = STEP_DB * ((gain >> shift) & 0xf) + (source === SOURCE.microphone ? boost : 0);
      this.recordGains[channel] = isOff ? 0 : fixed(db);
    }
  }
}

const fixed = (db: number): number => Math.round(10 ** (db / 20) * 2 ** GAIN_BITS);

/** REF, ANL, DAC and ADC in bits 3..0, from the power-down bits PR0 to PR3 (5.7.6). */
function readyBits(power: number): number {
  const [adcOff, dacOff, mixerOff, referenceOff] = [0x100, 0x200, 0x400, 0x800].map((bit) => (power & bit) !== 0);
  return (adcOff ? 0 : 1) | (dacOff ? 0 : 2) | (mixerOff || referenceOff ? 0 : 4) | (referenceOff ? 0 : 8);
}
