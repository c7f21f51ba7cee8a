/**
 * 16550A serial port.
 * Source: National Semiconductor PC16550D data sheet, section 8 (registers) and section 6 (FIFO interrupt mode).
 * Not modelled: the time a character takes on the line, parity and framing errors, FIFO DMA mode signals, BAUDOUT.
 *
 * Transmit. A byte written goes out at once and the transmitter is always empty, so polling never waits. The "transmitter
 * holding register empty" interrupt follows at once too, except every `BURST`-th, which comes `PAUSE_NS` later: a driver
 * that loops in its handler while there is a cause (Linux 8250, at most 256 rounds in old kernels) leaves it in time.
 *
 * Receive. `receive` takes what fits and the host keeps the rest, so nothing is lost to an overrun; `onReceiveRoom` asks
 * for more once the guest has read everything. Below the trigger level the interrupt comes after four character times of
 * the programmed line speed, at most `MAX_TIMEOUT_NS`.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice } from '../../bus/io-bus.ts';
import type { IrqLine, Saveable } from '../../bus/wires.ts';

/** Register offsets. */
const REG = { data: 0, ier: 1, iirFcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scratch: 7 } as const;
const IER = { received: 1 << 0, transmitEmpty: 1 << 1, lineStatus: 1 << 2, modemStatus: 1 << 3, valid: 0x0f } as const;
const IIR = {
  modemStatus: 0x00,
  none: 0x01,
  transmitEmpty: 0x02,
  received: 0x04,
  lineStatus: 0x06,
  timeout: 0x0c,
  fifos: 0xc0,
} as const;
const FCR = { enable: 1 << 0, clearReceive: 1 << 1, clearTransmit: 1 << 2 } as const;
const LCR = { stopBits: 1 << 2, parity: 1 << 3, break: 1 << 6, divisorLatch: 1 << 7 } as const;
const MCR = { dtr: 1 << 0, rts: 1 << 1, out1: 1 << 2, out2: 1 << 3, loop: 1 << 4, valid: 0x1f } as const;
const LSR = {
  dataReady: 1 << 0,
  overrun: 1 << 1,
  break: 1 << 4,
  holdingEmpty: 1 << 5,
  transmitterEmpty: 1 << 6,
  fifoError: 1 << 7,
} as const;
/** Levels are in bits 4..7, their changes in bits 0..3; RI tells only its trailing edge. */
const MSR = {
  ringTrailing: 1 << 2,
  cts: 1 << 4,
  dsr: 1 << 5,
  ring: 1 << 6,
  dcd: 1 << 7,
  levels: 0xf0,
  deltas: 0x0f,
} as const;

const FIFO_BYTES = 16;
const TRIGGER = [1, 4, 8, 14] as const;
/** A break is a zero byte with this mark in the FIFO. */
const BREAK_MARK = 0x100;

const CLOCK_HZ = 1_843_200 / 16;
const MAX_TIMEOUT_NS = 2e6;
const BURST = 64;
const PAUSE_NS = 50_000;

export interface Uart16550Parts {
  readonly irq: IrqLine;
  readonly timers: Timers;
  /** Once per byte the guest sends. */
  readonly onTransmit: (byte: number) => void;
  /** The guest has read all it was given: `receive` has room for at least one byte (16 with FIFOs on). */
  readonly onReceiveRoom?: () => void;
  /** DTR or RTS changed. */
  readonly onModemControl?: (dtr: boolean, rts: boolean) => void;
  /** The guest began or ended a break. */
  readonly onBreak?: (active: boolean) => void;
}

/** Plain data. */
export interface Uart16550State {
  divisor: number;
  ier: number;
  lcr: number;
  mcr: number;
  scratch: number;
  fifosOn: boolean;
  /** Receive trigger level in bytes. */
  trigger: number;
  /** Received characters, oldest first; bit 8 marks a break. */
  received: number[];
  /** Overrun and break bits the guest has not read. */
  lineErrors: number;
  transmitEmptyPending: boolean;
  /** The transmitter-empty interrupt is held back for a moment. */
  paused: boolean;
  timeoutPending: boolean;
  /** Levels of the modem inputs, as MSR bits 4..7. */
  modemInputs: number;
  /** Changes since MSR was read, as MSR bits 0..3. */
  modemDeltas: number;
  /** Transmitter-empty interrupts since the last pause. */
  burst: number;
}

const powerOn = (): Uart16550State => ({
  divisor: 12,
  ier: 0,
  lcr: 0,
  mcr: 0,
  scratch: 0,
  fifosOn: false,
  trigger: 1,
  received: [],
  lineErrors: 0,
  transmitEmptyPending: false,
  paused: false,
  timeoutPending: false,
  modemInputs: 0,
  modemDeltas: 0,
  burst: 0,
});

/** Eight ports. */
export class Uart16550 implements IoDevice, Saveable<Uart16550State> {
  readonly #parts: Uart16550Parts;
  readonly #pause: Timer;
  readonly #timeout: Timer;
  #s: Uart16550State = powerOn();

  constructor(parts: Uart16550Parts) {
    this.#parts = parts;
    this.#pause = parts.timers.create(() => {
      this.#s.paused = false;
      this.#s.transmitEmptyPending = true;
      this.#drive();
    });
    this.#timeout = parts.timers.create(() => {
      this.#s.timeoutPending = this.#s.received.length > 0;
      this.#drive();
    });
  }

  /** How many bytes `receive` would take now; 0 while the guest tests the port in loopback. */
  get receiveRoom(): number {
    const s = this.#s;
    return s.mcr & MCR.loop ? 0 : this.#capacity - s.received.length;
  }

  /**
   * Bytes arrive from the line.
   * @returns how many were taken; offer the others again after `onReceiveRoom`
   */
  receive(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.receiveRoom);
    for (let i = 0; i < taken; i++) this.#s.received.push(bytes[i]);
    if (taken > 0) this.#afterReceive();
    return taken;
  }

  /** The line is held low for longer than a character. @returns false when there is no room for it */
  receiveBreak(): boolean {
    if (this.receiveRoom === 0) return false;
    this.#push(BREAK_MARK);
    this.#afterReceive();
    return true;
  }

  /** Something is plugged in and ready: asserts DSR, CTS and DCD, or drops them. */
  setConnected(connected: boolean): void {
    this.setModemInputs(connected, connected, connected, false);
  }

  setModemInputs(dsr: boolean, cts: boolean, dcd: boolean, ring: boolean): void {
    const levels = (dsr ? MSR.dsr : 0) | (cts ? MSR.cts : 0) | (dcd ? MSR.dcd : 0) | (ring ? MSR.ring : 0);
    const before = this.#modemLevels;
    this.#s.modemInputs = levels;
    this.#noteModem(before);
    this.#drive();
  }

  get dtr(): boolean {
    return (this.#s.mcr & (MCR.dtr | MCR.loop)) === MCR.dtr;
  }

  get rts(): boolean {
    return (this.#s.mcr & (MCR.rts | MCR.loop)) === MCR.rts;
  }

  /** Line speed the guest has programmed, in bits a second. */
  get baud(): number {
    return CLOCK_HZ / (this.#s.divisor || 0x1_0000);
  }

  read(offset: number): number {
    const s = this.#s;
    switch (offset) {
      case REG.data:
        return s.lcr & LCR.divisorLatch ? s.divisor & 0xff : this.#readData();
      case REG.ier:
        return s.lcr & LCR.divisorLatch ? s.divisor >> 8 : s.ier;
      case REG.iirFcr:
        return this.#readIir();
      case REG.lcr:
        return s.lcr;
      case REG.mcr:
        return s.mcr;
      case REG.lsr:
        return this.#readLsr();
      case REG.msr:
        return this.#readMsr();
      default:
        return s.scratch;
    }
  }

  write(offset: number, _width: number, value: number): void {
    const s = this.#s;
    switch (offset) {
      case REG.data:
        if (s.lcr & LCR.divisorLatch) s.divisor = (s.divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case REG.ier:
        if (s.lcr & LCR.divisorLatch) s.divisor = (s.divisor & 0x00ff) | (value << 8);
        else this.#writeIer(value);
        break;
      case REG.iirFcr:
        this.#writeFcr(value);
        break;
      case REG.lcr:
        this.#writeLcr(value);
        break;
      case REG.mcr:
        this.#writeMcr(value);
        break;
      case REG.scratch:
        s.scratch = value;
        break;
      default:
        break; // LSR is read-only for a driver (its writes are a factory test); MSR ignores writes.
    }
  }

  /** Master reset. The modem inputs belong to what is plugged in. */
  reset(): void {
    const { modemInputs, received } = this.#s;
    const before = this.#s.mcr;
    this.#s = powerOn();
    this.#s.modemInputs = modemInputs;
    this.#pause.disarm();
    this.#timeout.disarm();
    this.#tellModemControl(before);
    this.#drive();
    if (received.length > 0) this.#parts.onReceiveRoom?.();
  }

  save(): Uart16550State {
    return { ...this.#s, received: [...this.#s.received] };
  }

  restore(state: Uart16550State): void {
    this.#s = { ...state, received: [...state.received] };
    this.#pause.disarm();
    // A pause under way ends now, a receive timeout starts anew.
    if (state.paused) {
      this.#s.paused = false;
      this.#s.transmitEmptyPending = true;
    }
    this.#armTimeout();
    this.#parts.onModemControl?.(this.dtr, this.rts);
    this.#drive();
  }

  get #capacity(): number {
    return this.#s.fifosOn ? FIFO_BYTES : 1;
  }

  #readData(): number {
    const s = this.#s;
    const character = s.received.shift() ?? 0;
    s.timeoutPending = false;
    this.#noteBreakAtHead();
    this.#armTimeout();
    this.#drive();
    if (s.received.length === 0 && !(s.mcr & MCR.loop)) this.#parts.onReceiveRoom?.();
    return character & 0xff;
  }

  #transmit(byte: number): void {
    const s = this.#s;
    s.transmitEmptyPending = false;
    if (s.mcr & MCR.loop) this.#loopBack(byte);
    else this.#parts.onTransmit(byte);
    this.#holdingEmptied();
    this.#drive();
  }

  #loopBack(byte: number): void {
    const s = this.#s;
    if (s.received.length < this.#capacity) s.received.push(byte);
    else {
      s.lineErrors |= LSR.overrun;
      // Without FIFOs the newer character replaces the older one.
      if (!s.fifosOn) s.received[0] = byte;
    }
    this.#afterReceive();
  }

  /** The holding register or FIFO has emptied: now, or after the pause of a long burst. */
  #holdingEmptied(): void {
    const s = this.#s;
    if (s.paused) return;
    if (s.burst >= BURST) {
      s.burst = 0;
      s.paused = true;
      this.#pause.arm(guestNs(this.#parts.timers.now() + PAUSE_NS));
    } else s.transmitEmptyPending = true;
  }

  #writeIer(value: number): void {
    const s = this.#s;
    const enabled = value & ~s.ier & IER.valid;
    s.ier = value & IER.valid;
    // Enabling the interrupt while the transmitter is empty raises it.
    if (enabled & IER.transmitEmpty) {
      s.transmitEmptyPending = true;
      s.paused = false;
      this.#pause.disarm();
    }
    this.#drive();
  }

  #writeFcr(value: number): void {
    const s = this.#s;
    const on = (value & FCR.enable) !== 0;
    const changed = on !== s.fifosOn;
    s.fifosOn = on;
    s.trigger = on ? TRIGGER[(value >> 6) & 3] : 1;
    if (changed || (on && value & FCR.clearReceive)) {
      const had = s.received.length > 0;
      s.received.length = 0;
      s.timeoutPending = false;
      this.#timeout.disarm();
      if (had && !(s.mcr & MCR.loop)) this.#parts.onReceiveRoom?.();
    }
    // The transmit FIFO is always empty; clearing it has nothing to do.
    this.#drive();
  }

  #writeLcr(value: number): void {
    const s = this.#s;
    const breakChanged = ((s.lcr ^ value) & LCR.break) !== 0;
    s.lcr = value;
    if (!breakChanged) return;
    const active = (value & LCR.break) !== 0;
    if (!(s.mcr & MCR.loop)) this.#parts.onBreak?.(active);
    else if (active && s.received.length < this.#capacity) {
      this.#push(BREAK_MARK);
      this.#afterReceive();
    }
  }

  #writeMcr(value: number): void {
    const s = this.#s;
    const before = s.mcr;
    const levels = this.#modemLevels;
    s.mcr = value & MCR.valid;
    this.#noteModem(levels);
    this.#tellModemControl(before);
    this.#drive();
    // The line was deaf during loopback.
    if (before & ~s.mcr & MCR.loop && s.received.length === 0) this.#parts.onReceiveRoom?.();
  }

  #tellModemControl(before: number): void {
    // The pins are inactive in loopback.
    const pins = (mcr: number): number => (mcr & MCR.loop ? 0 : mcr & (MCR.dtr | MCR.rts));
    if (pins(before) !== pins(this.#s.mcr)) this.#parts.onModemControl?.(this.dtr, this.rts);
  }

  #readIir(): number {
    const s = this.#s;
    const cause = this.#cause();
    if (cause === IIR.transmitEmpty) {
      s.transmitEmptyPending = false;
      s.burst++;
      this.#drive();
    }
    return cause | (s.fifosOn ? IIR.fifos : 0);
  }

  #readLsr(): number {
    const s = this.#s;
    const status =
      LSR.holdingEmpty |
      LSR.transmitterEmpty |
      (s.received.length > 0 ? LSR.dataReady : 0) |
      (s.fifosOn && s.received.some((c) => c >= BREAK_MARK) ? LSR.fifoError : 0) |
      s.lineErrors;
    s.lineErrors = 0;
    this.#drive();
    return status;
  }

  #readMsr(): number {
    const s = this.#s;
    const status = this.#modemLevels | s.modemDeltas;
    s.modemDeltas = 0;
    this.#drive();
    return status;
  }

  /** Modem inputs, or the outputs turned round in loopback (section 8.6.5). */
  get #modemLevels(): number {
    const { mcr, modemInputs } = this.#s;
    if ((mcr & MCR.loop) === 0) return modemInputs;
    return (
      (mcr & MCR.rts ? MSR.cts : 0) |
      (mcr & MCR.dtr ? MSR.dsr : 0) |
      (mcr & MCR.out1 ? MSR.ring : 0) |
      (mcr & MCR.out2 ? MSR.dcd : 0)
    );
  }

  #noteModem(before: number): void {
    const now = this.#modemLevels;
    const changed = before ^ now;
    this.#s.modemDeltas |= ((changed & (MSR.cts | MSR.dsr | MSR.dcd)) >> 4) & MSR.deltas;
    if (before & ~now & MSR.ring) this.#s.modemDeltas |= MSR.ringTrailing;
  }

  #push(character: number): void {
    this.#s.received.push(character);
    if (this.#s.received.length === 1) this.#noteBreakAtHead();
  }

  /** A break is reported when its character reaches the head of the FIFO. */
  #noteBreakAtHead(): void {
    if (this.#s.received.length > 0 && this.#s.received[0] >= BREAK_MARK) this.#s.lineErrors |= LSR.break;
  }

  #afterReceive(): void {
    this.#s.timeoutPending = false;
    this.#armTimeout();
    this.#drive();
  }

  /** Each character in or out restarts the timeout; it runs only for what no trigger level announces. */
  #armTimeout(): void {
    const s = this.#s;
    if (!s.fifosOn || s.received.length === 0 || s.received.length >= s.trigger) {
      this.#timeout.disarm();
      return;
    }
    const bits = 1 + 5 + (s.lcr & 3) + (s.lcr & LCR.parity ? 1 : 0) + (s.lcr & LCR.stopBits ? 2 : 1);
    const ns = Math.min(MAX_TIMEOUT_NS, Math.ceil((4 * bits * 1e9) / this.baud));
    this.#timeout.arm(guestNs(this.#parts.timers.now() + ns));
  }

  /** The enabled cause of the highest priority. */
  #cause(): number {
    const s = this.#s;
    if (s.ier & IER.lineStatus && s.lineErrors) return IIR.lineStatus;
    if (s.ier & IER.received) {
      if (s.received.length >= s.trigger) return IIR.received;
      if (s.timeoutPending) return IIR.timeout;
    }
    if (s.ier & IER.transmitEmpty && s.transmitEmptyPending) return IIR.transmitEmpty;
    if (s.ier & IER.modemStatus && s.modemDeltas) return IIR.modemStatus;
    return IIR.none;
  }

  /** On a PC, OUT2 gates the interrupt to the bus. */
  #drive(): void {
    this.#parts.irq.set((this.#s.mcr & MCR.out2) !== 0 && this.#cause() !== IIR.none);
  }
}
