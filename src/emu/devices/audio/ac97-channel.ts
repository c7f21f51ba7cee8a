/**
 * One bus master of an ICH's AC'97 controller: walks a list of 32 buffers at the pace of the samples.
 * Source: Intel 82801AA (ICH) and 82801AB (ICH0) data sheet (290655), 13.2 (native audio bus master registers).
 * Not modelled: the FIFO, and so its errors: samples move when they are heard.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';

/** Offsets in a channel's block of 16 bytes. */
const REG = { bdbar: 0x0, civ: 0x4, lvi: 0x5, sr: 0x6, picb: 0x8, piv: 0xa, cr: 0xb } as const;
const SR = {
  /** DMA halted. */
  dch: 1 << 0,
  /** The current buffer is the last valid one, and is done. */
  celv: 1 << 1,
  lvbci: 1 << 2,
  bcis: 1 << 3,
  fifoe: 1 << 4,
} as const;
const SR_ONE_CLEARS: number = SR.lvbci | SR.bcis | SR.fifoe;
const CR = { run: 1 << 0, reset: 1 << 1, lvbie: 1 << 2, feie: 1 << 3, ioce: 1 << 4 } as const;
const CR_WRITABLE: number = CR.run | CR.lvbie | CR.feie | CR.ioce;
const CR_ENABLES: number = CR.lvbie | CR.feie | CR.ioce;
const DESCRIPTOR_BYTES = 8;
const BUFFERS = 32;
const INTERRUPT_ON_COMPLETION = 0x8000_0000;
const SECOND_NS = 1e9;
/** Samples go on at least so often. */
const TICK_NS = 10e6;
/** And not more often: a guest may make buffers of a sample, or of none. */
const LEAST_TICK_NS = 100e3;
/** A machine that did not run for longer has lost the time, not the sound. */
const MOST_NS = 100e6;

export interface Ac97ChannelParts {
  readonly memory: DmaMemory;
  readonly timers: Timers;
  /** 16-bit samples a second, all channels together. */
  readonly samplesPerSecond: number;
  /** True while the function may master the bus. */
  readonly enabled: () => boolean;
  /**
   * So many bytes at this guest-physical address are due: at most `MOST_DUE_BYTES`, and a multiple of two.
   */
  readonly move: (at: number, byteCount: number) => void;
  /** A round of `move` is over. */
  readonly moved: () => void;
  /** The interrupt condition may have changed. */
  readonly onInterrupt: () => void;
  /** The driver has switched it on or off. */
  readonly onSwitch?: (on: boolean) => void;
}

/** More is moved in several steps. */
export const MOST_DUE_BYTES = 4096;

export interface Ac97ChannelState {
  bdbar: number;
  civ: number;
  lvi: number;
  sr: number;
  picb: number;
  piv: number;
  cr: number;
  address: number;
  interruptAtEnd: boolean;
}

export class Ac97Channel implements Saveable<Ac97ChannelState> {
  readonly #parts: Ac97ChannelParts;
  readonly #timer: Timer;
  #state: Ac97ChannelState = powerOn();
  /** Samples are counted from here, in guest time; and how many have moved since. */
  #since = 0;
  #moved = 0;
  /** As last told. */
  #isOn = false;

  constructor(parts: Ac97ChannelParts) {
    this.#parts = parts;
    this.#timer = parts.timers.create(() => this.#advance());
  }

  /** Something that the driver wants to know of has happened. */
  get interrupting(): boolean {
    const { sr, cr } = this.#state;
    const lastValid = (sr & SR.lvbci) !== 0 && (cr & CR.lvbie) !== 0;
    return (
      lastValid || ((sr & SR.bcis) !== 0 && (cr & CR.ioce) !== 0) || ((sr & SR.fifoe) !== 0 && (cr & CR.feie) !== 0)
    );
  }

  reset(): void {
    this.#state = powerOn();
    this.#timer.disarm();
    this.#parts.onInterrupt();
    this.#tellSwitch();
  }

  /** @param offset 0..15 */
  read(offset: number, width: Width): number {
    if (this.#isRunning) this.#advance();
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | this.#byte(offset + i);
    return value >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    if (this.#isRunning) this.#advance();
    for (let i = 0; i < width; i++) this.#writeByte(offset + i, (value >>> (i * 8)) & 0xff);
  }

  save(): Ac97ChannelState {
    if (this.#isRunning) this.#advance();
    return { ...this.#state };
  }

  restore(state: Ac97ChannelState): void {
    this.#state = { ...state };
    this.#timer.disarm();
    if (this.#isRunning) this.#begin();
    this.#parts.onInterrupt();
    this.#tellSwitch();
  }

  get #isRunning(): boolean {
    return (this.#state.cr & CR.run) !== 0 && (this.#state.sr & SR.dch) === 0;
  }

  #byte(offset: number): number {
    const s = this.#state;
    switch (offset) {
      case REG.civ:
        return s.civ;
      case REG.lvi:
        return s.lvi;
      case REG.sr:
        return s.sr;
      case REG.picb:
        return s.picb & 0xff;
      case REG.picb + 1:
        return s.picb >> 8;
      case REG.piv:
        return s.piv;
      case REG.cr:
        return s.cr;
      default:
        return offset < REG.civ ? (s.bdbar >>> (offset * 8)) & 0xff : 0;
    }
  }

  #writeByte(offset: number, byte: number): void {
    const s = this.#state;
    if (offset < REG.civ) {
      const shift = offset * 8;
      s.bdbar = ((s.bdbar & ~(0xff << shift)) | ((offset === 0 ? byte & 0xf8 : byte) << shift)) >>> 0;
    } else if (offset === REG.lvi) {
      s.lvi = byte & (BUFFERS - 1);
      // It had come to the end of the list, and now there is more.
      if (s.cr & CR.run && s.sr & SR.dch && s.sr & SR.celv) this.#resume();
    } else if (offset === REG.sr) {
      s.sr &= ~(byte & SR_ONE_CLEARS);
      this.#parts.onInterrupt();
    } else if (offset === REG.cr) this.#control(byte);
  }

  #control(byte: number): void {
    const s = this.#state;
    if (byte & CR.reset && !(s.cr & CR.run)) {
      this.#state = { ...powerOn(), cr: s.cr & CR_ENABLES };
      this.#timer.disarm();
    } else {
      const wasRunning = s.cr & CR.run;
      s.cr = byte & CR_WRITABLE;
      if (!(s.cr & CR.run)) {
        s.sr |= SR.dch;
        this.#timer.disarm();
      } else if (!wasRunning) this.#resume();
    }
    this.#parts.onInterrupt();
    this.#tellSwitch();
  }

  #tellSwitch(): void {
    const isOn = (this.#state.cr & CR.run) !== 0;
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    this.#parts.onSwitch?.(isOn);
  }

  /** Goes on in the middle of a buffer, or with the next one. */
  #resume(): void {
    const s = this.#state;
    s.sr &= ~(SR.dch | SR.celv);
    if (s.picb === 0) this.#nextBuffer();
    this.#begin();
  }

  #begin(): void {
    this.#since = this.#parts.timers.now();
    this.#moved = 0;
    this.#arm();
  }

  #nextBuffer(): void {
    const s = this.#state;
    const { memory } = this.#parts;
    s.civ = s.piv;
    s.piv = (s.piv + 1) & (BUFFERS - 1);
    const at = (s.bdbar + s.civ * DESCRIPTOR_BYTES) >>> 0;
    const control = memory.readU32(at + 4);
    s.address = (memory.readU32(at) & ~1) >>> 0;
    s.picb = control & 0xffff;
    s.interruptAtEnd = (control & INTERRUPT_ON_COMPLETION) !== 0;
  }

  /** Moves what is due by now. */
  #advance(): void {
    if (!this.#isRunning) return;
    const { timers, samplesPerSecond, enabled } = this.#parts;
    const now = timers.now();
    const least = now - MOST_NS;
    const movedNs = (this.#moved * SECOND_NS) / samplesPerSecond;
    if (this.#since + movedNs < least) this.#since = least - movedNs;
    // Whole frames of two channels.
    let due = (Math.floor(((now - this.#since) * samplesPerSecond) / SECOND_NS / 2) * 2 - this.#moved) | 0;
    if (due <= 0 || !enabled()) {
      this.#arm();
      return;
    }
    this.#moved += due;
    let empty = 0;
    while (due > 0 && this.#isRunning && empty < BUFFERS) {
      const samples = Math.min(due, this.#state.picb);
      this.#move(samples);
      due -= samples;
      empty = samples === 0 ? empty + 1 : 0;
      if (this.#state.picb === 0) this.#bufferDone();
    }
    this.#parts.moved();
    this.#arm();
  }

  #move(samples: number): void {
    const s = this.#state;
    for (let left = samples * 2; left > 0; ) {
      const byteCount = Math.min(left, MOST_DUE_BYTES);
      this.#parts.move(s.address, byteCount);
      s.address = (s.address + byteCount) >>> 0;
      left -= byteCount;
    }
    s.picb -= samples;
  }

  #bufferDone(): void {
    const s = this.#state;
    if (s.interruptAtEnd) s.sr |= SR.bcis;
    if (s.civ === s.lvi) s.sr |= SR.lvbci | SR.celv | SR.dch;
    else this.#nextBuffer();
    this.#parts.onInterrupt();
  }

  /** For the end of the buffer, or sooner, so that what is heard is not late. */
  #arm(): void {
    if (!this.#isRunning) {
      this.#timer.disarm();
      return;
    }
    const end = this.#since + ((this.#moved + this.#state.picb + 2) * SECOND_NS) / this.#parts.samplesPerSecond;
    const now = this.#parts.timers.now();
    const wait = this.#parts.enabled() ? Math.max(LEAST_TICK_NS, Math.min(Math.ceil(end - now), TICK_NS)) : TICK_NS;
    this.#timer.arm(guestNs(now + wait));
  }
}

const powerOn = (): Ac97ChannelState => ({
  ...{ bdbar: 0, civ: 0, lvi: 0, sr: SR.dch, picb: 0, piv: 0, cr: 0 },
  ...{ address: 0, interruptAtEnd: false },
});
