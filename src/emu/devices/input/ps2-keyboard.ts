/**
 * PS/2 keyboard with scan code sets 1, 2 and 3.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard", commands from and to the system.
 * Not modelled: the time of a self test; typematic repeat, which the host's own repeated keys give (F3h is answered
 * and kept); make-only keys of set 3 repeat as the host does.
 *
 * Buffer. A key is queued whole or not at all. Makes are refused from 256 bytes on, and one overrun code tells the
 * guest; breaks are refused only at 512, so a guest that was away does not find keys stuck.
 */
import type { Saveable } from '../../bus/wires.ts';
import type { KeyboardInput } from '../../host/input.ts';
import { PS2_REPLY, type Ps2Device } from './ps2-device.ts';
import { BREAK_BIT, PREFIX_BREAK, PREFIX_E0, PREFIX_E1, SET1_TO_SET2, SET1_TO_SET3, SET3_PAUSE } from './scan-codes.ts';

const COMMAND = {
  setLeds: 0xed,
  echo: 0xee,
  scanCodeSet: 0xf0,
  readId: 0xf2,
  typematic: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  defaults: 0xf6,
  allTypematic: 0xf7,
  allMakeBreak: 0xf8,
  allMake: 0xf9,
  allTypematicMakeBreak: 0xfa,
  keyTypematic: 0xfb,
  keyMakeBreak: 0xfc,
  keyMake: 0xfd,
  resend: 0xfe,
  reset: 0xff,
} as const;
const ID = [0xab, 0x83] as const;
const DEFAULT_TYPEMATIC = 0x2b;

const MAKE_LIMIT = 256;
const BREAK_LIMIT = 512;
/** Longest key of any set: Pause. */
const LONGEST_KEY = 8;
/** Fake shifts that set 1 puts around grey keys; set 3 has no use for them. */
const FAKE_SHIFTS: readonly number[] = [0x2a, 0x36];

/** Set 3 keys that send a break by default: Caps Lock, the Shifts, left Ctrl and left Alt. */
const DEFAULT_BREAKS: readonly number[] = [0x14, 0x12, 0x59, 0x11, 0x19];

export interface Ps2KeyboardParts {
  /** The guest set its lights. @param leds bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock */
  readonly onLeds?: (leds: number) => void;
}

/** Plain data. */
export interface Ps2KeyboardState {
  /** Answers to commands; they go before keys. */
  replies: number[];
  keys: number[];
  /** Set 1 bytes of a key that is not complete. */
  partial: number[];
  /** Command whose parameter is due, 0 when none. */
  expecting: number;
  scanning: boolean;
  set: number;
  leds: number;
  typematic: number;
  /** By set 3 code: 1 when the key sends its break. */
  breaks: Uint8Array;
  lastSent: number;
  overrun: boolean;
}

const defaultBreaks = (): Uint8Array => {
  const breaks = new Uint8Array(256);
  for (const code of DEFAULT_BREAKS) breaks[code] = 1;
  return breaks;
};

const powerOn = (): Ps2KeyboardState => ({
  replies: [],
  keys: [],
  partial: [],
  expecting: 0,
  scanning: true,
  set: 2,
  leds: 0,
  typematic: DEFAULT_TYPEMATIC,
  breaks: defaultBreaks(),
  lastSent: 0,
  overrun: false,
});

export class Ps2Keyboard implements Ps2Device, KeyboardInput, Saveable<Ps2KeyboardState> {
  onData: () => void = () => {};
  readonly #onLeds: (leds: number) => void;
  #s: Ps2KeyboardState = powerOn();

  constructor(parts: Ps2KeyboardParts = {}) {
    this.#onLeds = parts.onLeds ?? ((): void => {});
  }

  /** Lights the guest has set: bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock. */
  get leds(): number {
    return this.#s.leds;
  }

  /** Bytes of keys the guest has not taken. */
  get queuedBytes(): number {
    return this.#s.keys.length;
  }

  putScancodes(set1: readonly number[]): void {
    for (const byte of set1) this.#parse(byte & 0xff);
    if (this.#s.keys.length > 0) this.onData();
  }

  take(): number {
    const s = this.#s;
    const byte = s.replies.shift() ?? s.keys.shift();
    if (byte === undefined) return -1;
    if (s.keys.length === 0) s.overrun = false;
    s.lastSent = byte;
    return byte;
  }

  receive(byte: number): void {
    const s = this.#s;
    const expecting = s.expecting;
    s.expecting = 0;
    if (expecting !== 0 && byte < COMMAND.setLeds) this.#parameter(expecting, byte);
    else this.#command(byte);
    this.onData();
  }

  reset(): void {
    this.#s = powerOn();
    this.#onLeds(0);
  }

  save(): Ps2KeyboardState {
    const s = this.#s;
    return { ...s, replies: [...s.replies], keys: [...s.keys], partial: [...s.partial], breaks: s.breaks.slice() };
  }

  restore(state: Ps2KeyboardState): void {
    this.#s = {
      ...state,
      replies: [...state.replies],
      keys: [...state.keys],
      partial: [...state.partial],
      breaks: state.breaks.slice(),
    };
    this.#onLeds(state.leds);
  }

  #reply(...bytes: number[]): void {
    this.#s.replies.push(...bytes);
  }

  #command(byte: number): void {
    const s = this.#s;
    switch (byte) {
      case COMMAND.echo:
        this.#reply(PS2_REPLY.echo);
        return;
      case COMMAND.resend:
        this.#reply(s.lastSent);
        return;
      case COMMAND.setLeds:
      case COMMAND.scanCodeSet:
      case COMMAND.typematic:
      case COMMAND.keyTypematic:
      case COMMAND.keyMakeBreak:
      case COMMAND.keyMake:
        s.expecting = byte;
        break;
      case COMMAND.readId:
        this.#reply(PS2_REPLY.acknowledge, ...ID);
        return;
      case COMMAND.enable:
        s.keys.length = 0;
        s.scanning = true;
        break;
      case COMMAND.disable:
        this.#setDefaults();
        s.scanning = false;
        break;
      case COMMAND.defaults:
        this.#setDefaults();
        break;
      case COMMAND.allTypematic:
      case COMMAND.allMake:
        s.breaks.fill(0);
        break;
      case COMMAND.allMakeBreak:
      case COMMAND.allTypematicMakeBreak:
        s.breaks.fill(1);
        break;
      case COMMAND.reset:
        this.reset();
        this.#reply(PS2_REPLY.acknowledge, PS2_REPLY.selfTestPassed);
        return;
      default:
        this.#reply(PS2_REPLY.resend);
        return;
    }
    this.#reply(PS2_REPLY.acknowledge);
  }

  #parameter(command: number, value: number): void {
    const s = this.#s;
    switch (command) {
      case COMMAND.setLeds:
        s.leds = value & 7;
        this.#onLeds(s.leds);
        break;
      case COMMAND.typematic:
        s.typematic = value & 0x7f;
        break;
      case COMMAND.scanCodeSet:
        this.#selectSet(value);
        return;
      default:
        // One key after another changes its type until the next command.
        s.breaks[value] = command === COMMAND.keyMakeBreak ? 1 : 0;
        s.expecting = command;
    }
    this.#reply(PS2_REPLY.acknowledge);
  }

  #selectSet(value: number): void {
    const s = this.#s;
    if (value > 3) {
      this.#reply(PS2_REPLY.resend);
      return;
    }
    this.#reply(PS2_REPLY.acknowledge);
    if (value === 0) this.#reply(s.set);
    else {
      s.set = value;
      s.keys.length = 0;
    }
  }

  #setDefaults(): void {
    const s = this.#s;
    s.keys.length = 0;
    s.set = 2;
    s.typematic = DEFAULT_TYPEMATIC;
    s.breaks = defaultBreaks();
  }

  /** Collects the set 1 bytes of one key: a code, E0 and a code, or E1 and two codes. */
  #parse(byte: number): void {
    const { partial } = this.#s;
    // No key has code 0; 00h and 80h would read as an overrun.
    if ((byte & 0x7f) === 0) return;
    if (byte === PREFIX_E0 || byte === PREFIX_E1) partial.length = 0;
    partial.push(byte);
    const wanted = partial[0] === PREFIX_E1 ? 3 : partial[0] === PREFIX_E0 ? 2 : 1;
    if (partial.length < wanted) return;
    if (this.#s.scanning) this.#queueKey();
    partial.length = 0;
  }

  #queueKey(): void {
    const s = this.#s;
    const isBreak = (s.partial[s.partial.length - 1] & BREAK_BIT) !== 0;
    if (s.keys.length + LONGEST_KEY > (isBreak ? BREAK_LIMIT : MAKE_LIMIT)) {
      if (!s.overrun) s.keys.push(s.set === 1 ? 0xff : 0x00);
      s.overrun = true;
      return;
    }
    if (s.set === 1) s.keys.push(...s.partial);
    else if (s.set === 2) this.#queueSet2();
    else this.#queueSet3(isBreak);
  }

  #queueSet2(): void {
    const { keys, partial } = this.#s;
    for (const byte of partial) {
      if (byte === PREFIX_E0 || byte === PREFIX_E1) keys.push(byte);
      else {
        if (byte & BREAK_BIT) keys.push(PREFIX_BREAK);
        keys.push(SET1_TO_SET2[byte & 0x7f]);
      }
    }
  }

  #queueSet3(isBreak: boolean): void {
    const { keys, partial, breaks } = this.#s;
    const set1 = partial[partial.length - 1] & 0x7f;
    const extended = partial[0] === PREFIX_E0;
    if (extended && FAKE_SHIFTS.includes(set1)) return;
    const code = partial[0] === PREFIX_E1 ? SET3_PAUSE : SET1_TO_SET3[(extended ? 0x80 : 0) | set1];
    if (code === 0) return;
    if (isBreak && !breaks[code]) return;
    if (isBreak) keys.push(PREFIX_BREAK);
    keys.push(code);
  }
}
