/**
 * 8042 keyboard and auxiliary device controller of a PS/2.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device controller"; port numbers 60h
 * and 64h; commands DDh and DFh (A20) as PC clones have them.
 * Not modelled: security mode (a password is never installed, so A6h does nothing), the input buffer (writes are taken
 * at once, so IBF reads 0), diagnostic dump, the keyboard lock switch.
 *
 * Output buffer. A device keeps its bytes until the buffer is free, so none is lost. The next device byte comes
 * `BYTE_NS` after the last one was read, as over the serial line: DOS programs read port 60h, chain to the BIOS, and
 * that reads the same byte again. The controller's own answers do not wait.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice } from '../../bus/io-bus.ts';
import type { IrqLine, Saveable } from '../../bus/wires.ts';
import { PS2_REPLY, type Ps2Device } from './ps2-device.ts';
import { BREAK_BIT, PREFIX_BREAK, SET2_TO_SET1 } from './scan-codes.ts';

const STATUS = {
  outputFull: 1 << 0,
  system: 1 << 2,
  command: 1 << 3,
  unlocked: 1 << 4,
  auxiliary: 1 << 5,
  timeout: 1 << 6,
} as const;
/** Command byte, RAM byte 0. */
const CTR = {
  interrupt1: 1 << 0,
  interrupt12: 1 << 1,
  system: 1 << 2,
  disableKeyboard: 1 << 4,
  disableAuxiliary: 1 << 5,
  translate: 1 << 6,
} as const;
const OUTPUT_PORT = { reset: 1 << 0, a20: 1 << 1, irq1: 1 << 4, irq12: 1 << 5, idle: 0xc4 } as const;
const INPUT_PORT = 0xa0;

const COMMAND = {
  readRam: 0x20,
  writeRam: 0x60,
  testPassword: 0xa4,
  loadPassword: 0xa5,
  disableAuxiliary: 0xa7,
  enableAuxiliary: 0xa8,
  testAuxiliary: 0xa9,
  selfTest: 0xaa,
  testKeyboard: 0xab,
  disableKeyboard: 0xad,
  enableKeyboard: 0xae,
  readInputPort: 0xc0,
  readOutputPort: 0xd0,
  writeOutputPort: 0xd1,
  writeKeyboardBuffer: 0xd2,
  writeAuxiliaryBuffer: 0xd3,
  writeAuxiliary: 0xd4,
  closeA20: 0xdd,
  openA20: 0xdf,
  readTestInputs: 0xe0,
  pulse: 0xf0,
} as const;
const REPLY = { selfTestPassed: 0x55, testPassed: 0x00, noPassword: 0xf1 } as const;

/** Marks of a byte on its way to the output buffer. */
const MARK = { auxiliary: 0x100, timeout: 0x200 } as const;
/** Eleven bits at 16.7 kHz. */
const BYTE_NS = 660_000;
const RAM_BYTES = 32;

export interface I8042Parts {
  readonly timers: Timers;
  /** IRQ 1: the output buffer holds a keyboard byte. */
  readonly irq1: IrqLine;
  /** IRQ 12: the output buffer holds a byte of the auxiliary device. */
  readonly irq12: IrqLine;
  /** Without one, its commands time out. */
  readonly keyboard?: Ps2Device;
  readonly mouse?: Ps2Device;
  /** The guest pulsed the CPU's reset line. */
  readonly onReset: () => void;
  /** A20GATE changed: true lets address line 20 through. */
  readonly onA20: (open: boolean) => void;
}

/** Plain data. */
export interface I8042State {
  ram: Uint8Array;
  /** The output buffer and whether it is full, what it holds (marks) included. */
  output: number;
  outputFull: boolean;
  /** Bytes of the controller itself that wait for the output buffer, with marks. */
  replies: number[];
  /** Last write was to the command port. */
  command: boolean;
  /** Command whose data byte is due on port 60h, 0 when none. */
  expecting: number;
  a20: boolean;
  /** Translation has swallowed a break prefix. */
  breakPending: boolean;
  /** Guest nanosecond before which no device byte reaches the output buffer. */
  nextByteAt: number;
}

const powerOn = (): I8042State => {
  const ram = new Uint8Array(RAM_BYTES);
  ram[0] = CTR.translate;
  return {
    ram,
    output: 0,
    outputFull: false,
    replies: [],
    command: true,
    expecting: 0,
    a20: false,
    breakPending: false,
    nextByteAt: 0,
  };
};

export class I8042 implements Saveable<I8042State> {
  /** Port 60h. */
  readonly data: IoDevice;
  /** Port 64h: status and command. */
  readonly command: IoDevice;
  readonly #parts: I8042Parts;
  readonly #timer: Timer;
  #s: I8042State = powerOn();

  constructor(parts: I8042Parts) {
    this.#parts = parts;
    this.#timer = parts.timers.create(() => this.#fill());
    this.data = {
      read: (): number => this.#readData(),
      write: (_offset: number, _width: number, value: number): void => this.#writeData(value),
    };
    this.command = {
      read: (): number => this.#status(),
      write: (_offset: number, _width: number, value: number): void => this.#writeCommand(value),
    };
    if (parts.keyboard) parts.keyboard.onData = (): void => this.#fill();
    if (parts.mouse) parts.mouse.onData = (): void => this.#fill();
  }

  /** Power-on state of the controller; its devices are reset by whoever owns them. */
  reset(): void {
    const wasOpen = this.#s.a20;
    this.#s = powerOn();
    this.#timer.disarm();
    if (wasOpen) this.#parts.onA20(false);
    this.#drive();
  }

  save(): I8042State {
    return { ...this.#s, ram: this.#s.ram.slice(), replies: [...this.#s.replies] };
  }

  restore(state: I8042State): void {
    this.#s = { ...state, ram: state.ram.slice(), replies: [...state.replies] };
    this.#parts.onA20(state.a20);
    this.#drive();
    this.#timer.arm(guestNs(state.nextByteAt));
  }

  #status(): number {
    const s = this.#s;
    return (
      STATUS.unlocked |
      (s.ram[0] & CTR.system ? STATUS.system : 0) |
      (s.command ? STATUS.command : 0) |
      (s.outputFull ? STATUS.outputFull : 0) |
      (s.outputFull && s.output & MARK.auxiliary ? STATUS.auxiliary : 0) |
      (s.outputFull && s.output & MARK.timeout ? STATUS.timeout : 0)
    );
  }

  /** A read of the empty buffer gives what it held last. */
  #readData(): number {
    const s = this.#s;
    const byte = s.output & 0xff;
    if (s.outputFull) {
      s.outputFull = false;
      s.nextByteAt = this.#parts.timers.now() + BYTE_NS;
      this.#drive();
      this.#fill();
    }
    return byte;
  }

  #writeData(value: number): void {
    const s = this.#s;
    const { expecting } = s;
    s.command = false;
    s.expecting = 0;
    if (expecting >= COMMAND.writeRam && expecting < COMMAND.writeRam + RAM_BYTES) {
      s.ram[expecting - COMMAND.writeRam] = value;
      this.#drive();
      this.#fill();
      return;
    }
    switch (expecting) {
      case COMMAND.writeOutputPort:
        this.#setA20((value & OUTPUT_PORT.a20) !== 0);
        if ((value & OUTPUT_PORT.reset) === 0) this.#parts.onReset();
        break;
      case COMMAND.writeKeyboardBuffer:
        this.#reply(value);
        break;
      case COMMAND.writeAuxiliaryBuffer:
        this.#reply(value | MARK.auxiliary);
        break;
      case COMMAND.writeAuxiliary:
        this.#send(this.#parts.mouse, CTR.disableAuxiliary, MARK.auxiliary, value);
        break;
      case COMMAND.loadPassword:
        // The password ends with a zero byte and is not kept.
        if (value !== 0) s.expecting = COMMAND.loadPassword;
        break;
      default:
        this.#send(this.#parts.keyboard, CTR.disableKeyboard, 0, value);
    }
  }

  /** A byte for a device also opens its interface. */
  #send(device: Ps2Device | undefined, disableBit: number, mark: number, value: number): void {
    this.#s.ram[0] &= ~disableBit;
    if (device) device.receive(value);
    else this.#reply(PS2_REPLY.resend | mark | MARK.timeout);
  }

  #writeCommand(value: number): void {
    const s = this.#s;
    s.command = true;
    s.expecting = 0;
    if (value >= COMMAND.readRam && value < COMMAND.readRam + RAM_BYTES) {
      this.#reply(s.ram[value - COMMAND.readRam]);
      return;
    }
    if (value >= COMMAND.writeRam && value < COMMAND.writeRam + RAM_BYTES) {
      s.expecting = value;
      return;
    }
    if (value >= COMMAND.pulse) {
      // Bits 0..3 choose the lines to pulse low; only bit 0 is wired, to reset.
      if ((value & 1) === 0) this.#parts.onReset();
      return;
    }
    this.#otherCommand(value);
  }

  #otherCommand(value: number): void {
    const s = this.#s;
    switch (value) {
      case COMMAND.testPassword:
        this.#reply(REPLY.noPassword);
        break;
      case COMMAND.disableAuxiliary:
        s.ram[0] |= CTR.disableAuxiliary;
        break;
      case COMMAND.enableAuxiliary:
        s.ram[0] &= ~CTR.disableAuxiliary;
        this.#fill();
        break;
      case COMMAND.testAuxiliary:
      case COMMAND.testKeyboard:
        this.#reply(REPLY.testPassed);
        break;
      case COMMAND.selfTest:
        s.ram[0] |= CTR.system;
        this.#reply(REPLY.selfTestPassed);
        break;
      case COMMAND.disableKeyboard:
        s.ram[0] |= CTR.disableKeyboard;
        break;
      case COMMAND.enableKeyboard:
        s.ram[0] &= ~CTR.disableKeyboard;
        this.#fill();
        break;
      case COMMAND.readInputPort:
        this.#reply(INPUT_PORT);
        break;
      case COMMAND.readOutputPort:
        this.#reply(this.#outputPort());
        break;
      case COMMAND.readTestInputs:
        this.#reply(0);
        break;
      case COMMAND.closeA20:
      case COMMAND.openA20:
        this.#setA20(value === COMMAND.openA20);
        break;
      case COMMAND.loadPassword:
      case COMMAND.writeOutputPort:
      case COMMAND.writeKeyboardBuffer:
      case COMMAND.writeAuxiliaryBuffer:
      case COMMAND.writeAuxiliary:
        s.expecting = value;
        break;
    }
  }

  #outputPort(): number {
    const s = this.#s;
    const irq = s.outputFull ? (s.output & MARK.auxiliary ? OUTPUT_PORT.irq12 : OUTPUT_PORT.irq1) : 0;
    return OUTPUT_PORT.idle | OUTPUT_PORT.reset | (s.a20 ? OUTPUT_PORT.a20 : 0) | irq;
  }

  #setA20(open: boolean): void {
    if (open === this.#s.a20) return;
    this.#s.a20 = open;
    this.#parts.onA20(open);
  }

  #reply(byte: number): void {
    this.#s.replies.push(byte);
    this.#fill();
  }

  /** Moves the next byte into the output buffer if that is free. */
  #fill(): void {
    const s = this.#s;
    if (s.outputFull) return;
    const reply = s.replies.shift();
    if (reply !== undefined) {
      this.#put(reply);
      return;
    }
    if (this.#parts.timers.now() < s.nextByteAt) {
      this.#timer.arm(guestNs(s.nextByteAt));
      return;
    }
    const keyboard = this.#takeKeyboard();
    if (keyboard >= 0) this.#put(keyboard);
    else if (this.#parts.mouse && (s.ram[0] & CTR.disableAuxiliary) === 0) {
      const byte = this.#parts.mouse.take();
      if (byte >= 0) this.#put(byte | MARK.auxiliary);
    }
  }

  /** The next byte of the keyboard as the guest sees it, or -1. */
  #takeKeyboard(): number {
    const s = this.#s;
    const { keyboard } = this.#parts;
    if (!keyboard || s.ram[0] & CTR.disableKeyboard) return -1;
    let byte = keyboard.take();
    if ((s.ram[0] & CTR.translate) === 0) return byte;
    while (byte === PREFIX_BREAK) {
      s.breakPending = true;
      byte = keyboard.take();
    }
    if (byte < 0) return -1;
    const translated = SET2_TO_SET1[byte];
    const broken = s.breakPending;
    s.breakPending = false;
    return broken ? translated | BREAK_BIT : translated;
  }

  #put(byte: number): void {
    this.#s.output = byte;
    this.#s.outputFull = true;
    this.#drive();
  }

  #drive(): void {
    const s = this.#s;
    const auxiliary = (s.output & MARK.auxiliary) !== 0;
    this.#parts.irq1.set(s.outputFull && !auxiliary && (s.ram[0] & CTR.interrupt1) !== 0);
    this.#parts.irq12.set(s.outputFull && auxiliary && (s.ram[0] & CTR.interrupt12) !== 0);
  }
}
