/**
 * PS/2 mouse: standard, IntelliMouse (wheel) and IntelliMouse Explorer (wheel, five buttons, horizontal wheel).
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device"; Microsoft "IntelliMouse PS/2 protocol"
 * (identification by sample rates 200, 100, 80 and 200, 200, 80). The horizontal wheel is that of the IntelliMouse Explorer
 * 4.0, as Linux (drivers/input/mouse/psmouse-base.c) turns it on, by the rates 200, 80, 40, and reads it; its other form of
 * a report, for the vertical wheel, says no more than the usual one and is not used. An Explorer that has not been asked so
 * reports no horizontal wheel: the bits that tell it were always 0 before, and a driver may take them for notches.
 * Not modelled: the effect of the resolution on counts (the host's counts are reported as they are), overflow bits:
 * a movement that does not fit one report goes on in the next.
 *
 * Movement is kept until it is reported and a report is made only when the controller takes its first byte, so a busy
 * guest gets fewer and larger reports and never a stale queue. Each change of the buttons keeps its own report.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { Saveable } from '../../bus/wires.ts';
import type { MouseInput } from '../../host/input.ts';
import { PS2_REPLY, type Ps2Device } from './ps2-device.ts';

const COMMAND = {
  scaling1: 0xe6,
  scaling2: 0xe7,
  resolution: 0xe8,
  status: 0xe9,
  stream: 0xea,
  readData: 0xeb,
  resetWrap: 0xec,
  wrap: 0xee,
  remote: 0xf0,
  readId: 0xf2,
  sampleRate: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  defaults: 0xf6,
  resend: 0xfe,
  reset: 0xff,
} as const;
const ID = { standard: 0, wheel: 3, explorer: 4 } as const;
/** The fourth byte of a report has notches of the horizontal wheel: six bits, two's complement, to the left positive. */
const SIDEWAYS = 0x40;
const SIDEWAYS_MASK = 0x3f;
const MAX_SIDEWAYS = 31;
/** Buttons four and five, which such a report cannot tell. */
const SIDE_BUTTONS = 0x18;
/** First byte of a report. */
const REPORT = { always: 1 << 3, xNegative: 1 << 4, yNegative: 1 << 5, buttons: 7 } as const;
const STATUS = { scaling: 1 << 4, enabled: 1 << 5, remote: 1 << 6 } as const;

const MAX_COUNT = 255;
/** Wheel notches of a report: four bits, two's complement. */
const MAX_NOTCHES = 7;
/** Scaling 2:1 (stream mode): counts 0..5; larger ones double. */
const SCALED = [0, 1, 1, 3, 6, 9] as const;
const MAX_PENDING = 64;

export interface Ps2MouseParts {
  readonly timers: Timers;
}

/** Movement with one state of the buttons. dx right, dy down, dz towards the person, dw to the left. */
export interface PendingMovement {
  dx: number;
  dy: number;
  dz: number;
  dw: number;
  buttons: number;
}

/** Plain data. */
export interface Ps2MouseState {
  replies: number[];
  /** Bytes of the report that is being sent. */
  report: number[];
  pending: PendingMovement[];
  /** Buttons of the last report or, with none since, as the person holds them. */
  buttons: number;
  expecting: number;
  enabled: boolean;
  remote: boolean;
  wrap: boolean;
  scaling2: boolean;
  resolution: number;
  /** Reports a second in stream mode. */
  sampleRate: number;
  /** The last three sample rates set, oldest first. */
  rates: number[];
  id: number;
  /** The guest has asked an Explorer for its horizontal wheel. */
  hasSideways: boolean;
  lastSent: number;
  /** Guest nanosecond before which stream mode makes no report. */
  nextReportAt: number;
}

const powerOn = (): Ps2MouseState => ({
  replies: [],
  report: [],
  pending: [],
  buttons: 0,
  expecting: 0,
  enabled: false,
  remote: false,
  wrap: false,
  scaling2: false,
  resolution: 2,
  sampleRate: 100,
  rates: [0, 0, 0],
  id: ID.standard,
  hasSideways: false,
  lastSent: 0,
  nextReportAt: 0,
});

const clamp = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value));

export class Ps2Mouse implements Ps2Device, MouseInput, Saveable<Ps2MouseState> {
  onData: () => void = () => {};
  readonly #timers: Timers;
  readonly #timer: Timer;
  #s: Ps2MouseState = powerOn();

  constructor(parts: Ps2MouseParts) {
    this.#timers = parts.timers;
    this.#timer = parts.timers.create(() => this.onData());
  }

  /** True while the guest listens to the mouse. */
  get enabled(): boolean {
    return this.#s.enabled;
  }

  /** @param buttons also bit 3 and bit 4 for the fourth and fifth button, reported by an Explorer */
  move(dx: number, dy: number, dz: number, buttons: number, dw = 0): void {
    const s = this.#s;
    if (!s.enabled && !s.remote) {
      s.buttons = buttons;
      return;
    }
    const x = Math.trunc(dx);
    const y = Math.trunc(dy);
    const z = Math.trunc(dz);
    const w = Math.trunc(dw);
    const last = s.pending.at(-1);
    if (x === 0 && y === 0 && z === 0 && w === 0 && buttons === (last ?? s).buttons) return;
    if (last && (last.buttons === buttons || s.pending.length >= MAX_PENDING)) {
      last.dx += x;
      last.dy += y;
      last.dz += z;
      last.dw += w;
      last.buttons = buttons;
    } else s.pending.push({ dx: x, dy: y, dz: z, dw: w, buttons });
    this.#announce();
  }

  take(): number {
    const s = this.#s;
    if (s.replies.length === 0 && s.report.length === 0 && this.#streams && s.pending.length > 0) {
      if (this.#timers.now() < s.nextReportAt) return -1;
      this.#makeReport(s.report, s.scaling2);
      s.nextReportAt = this.#timers.now() + Math.floor(1e9 / s.sampleRate);
      this.#announce();
    }
    const byte = s.replies.shift() ?? s.report.shift();
    if (byte === undefined) return -1;
    s.lastSent = byte;
    return byte;
  }

  receive(byte: number): void {
    const s = this.#s;
    const expecting = s.expecting;
    s.expecting = 0;
    // A command ends the report under way.
    s.report.length = 0;
    if (s.wrap && byte !== COMMAND.reset && byte !== COMMAND.resetWrap) s.replies.push(byte);
    else if (expecting !== 0) this.#parameter(expecting, byte);
    else this.#command(byte);
    this.onData();
  }

  reset(): void {
    const { buttons } = this.#s;
    this.#s = powerOn();
    this.#s.buttons = buttons;
    this.#timer.disarm();
  }

  save(): Ps2MouseState {
    return structuredClone(this.#s);
  }

  restore(state: Ps2MouseState): void {
    // One saved by a program without horizontal wheels lacks them.
    const pending = state.pending.map((one) => ({ ...one, dw: one.dw ?? 0 }));
    this.#s = structuredClone({ ...state, pending, hasSideways: state.hasSideways ?? false });
    // Not at once: the controller may be restored after its devices.
    if (this.#streams && state.pending.length > 0) this.#timer.arm(guestNs(state.nextReportAt));
    else this.#timer.disarm();
  }

  get #streams(): boolean {
    const s = this.#s;
    return s.enabled && !s.remote && !s.wrap;
  }

  /** Tells the controller now or when the sample interval is over. */
  #announce(): void {
    const s = this.#s;
    if (!this.#streams || s.pending.length === 0) this.#timer.disarm();
    else if (this.#timers.now() < s.nextReportAt) this.#timer.arm(guestNs(s.nextReportAt));
    else this.onData();
  }

  #reply(...bytes: number[]): void {
    this.#s.replies.push(...bytes);
  }

  #command(byte: number): void {
    const s = this.#s;
    switch (byte) {
      case COMMAND.scaling1:
      case COMMAND.scaling2:
        s.scaling2 = byte === COMMAND.scaling2;
        break;
      case COMMAND.resolution:
      case COMMAND.sampleRate:
        s.expecting = byte;
        break;
      case COMMAND.status:
        this.#reply(PS2_REPLY.acknowledge, this.#status(), s.resolution, s.sampleRate);
        return;
      case COMMAND.stream:
      case COMMAND.remote:
        s.remote = byte === COMMAND.remote;
        this.#forgetMovement();
        break;
      case COMMAND.readData:
        this.#reply(PS2_REPLY.acknowledge);
        this.#makeReport(s.replies, false);
        return;
      case COMMAND.wrap:
      case COMMAND.resetWrap:
        s.wrap = byte === COMMAND.wrap;
        break;
      case COMMAND.readId:
        this.#reply(PS2_REPLY.acknowledge, s.id);
        return;
      case COMMAND.enable:
      case COMMAND.disable:
        s.enabled = byte === COMMAND.enable;
        this.#forgetMovement();
        break;
      case COMMAND.defaults:
        this.#setDefaults();
        break;
      case COMMAND.resend:
        this.#reply(s.lastSent);
        return;
      case COMMAND.reset:
        this.#forgetMovement();
        this.reset();
        this.#reply(PS2_REPLY.acknowledge, PS2_REPLY.selfTestPassed, ID.standard);
        return;
      default:
        this.#reply(PS2_REPLY.resend);
        return;
    }
    this.#reply(PS2_REPLY.acknowledge);
  }

  #parameter(command: number, value: number): void {
    const s = this.#s;
    const valid = command === COMMAND.resolution ? value <= 3 : value >= 10 && value <= 200;
    if (!valid) {
      s.expecting = command;
      this.#reply(PS2_REPLY.resend);
      return;
    }
    if (command === COMMAND.resolution) s.resolution = value;
    else {
      s.sampleRate = value;
      s.rates = [s.rates[1], s.rates[2], value];
      this.#identify();
    }
    this.#reply(PS2_REPLY.acknowledge);
  }

  /** The knock that turns the extensions on. */
  #identify(): void {
    const s = this.#s;
    const [a, b, c] = s.rates;
    if (a !== 200) return;
    if (b === 80 && c === 40) s.hasSideways = s.id === ID.explorer;
    if (c !== 80) return;
    if (b === 100 && s.id === ID.standard) s.id = ID.wheel;
    else if (b === 200) s.id = ID.explorer;
  }

  /** Movement is lost, but the person still holds what they hold. */
  #forgetMovement(): void {
    const s = this.#s;
    s.buttons = (s.pending.at(-1) ?? s).buttons;
    s.pending.length = 0;
    this.#timer.disarm();
  }

  #setDefaults(): void {
    const s = this.#s;
    this.#forgetMovement();
    s.enabled = false;
    s.remote = false;
    s.scaling2 = false;
    s.resolution = 2;
    s.sampleRate = 100;
  }

  /** Left is bit 2 here, other than in a report. */
  #status(): number {
    const s = this.#s;
    const b = s.buttons;
    return (
      (b & 1 ? 4 : 0) |
      (b & 4 ? 2 : 0) |
      (b & 2 ? 1 : 0) |
      (s.scaling2 ? STATUS.scaling : 0) |
      (s.enabled ? STATUS.enabled : 0) |
      (s.remote ? STATUS.remote : 0)
    );
  }

  /** Notches of the horizontal wheel in the next report, which has them or those of the other wheel: whichever has more. */
  #sideways({ dz, dw, buttons }: PendingMovement): number {
    const s = this.#s;
    if (!s.hasSideways || Math.abs(dw) < Math.abs(dz)) return 0;
    return (buttons ^ s.buttons) & SIDE_BUTTONS ? 0 : clamp(dw, MAX_SIDEWAYS);
  }

  /** Appends one report of the oldest movement; what does not fit stays. */
  #makeReport(into: number[], scaled: boolean): void {
    const s = this.#s;
    const movement = s.pending[0];
    const limit = scaled ? Math.floor(MAX_COUNT / 2) : MAX_COUNT;
    const dx = movement ? clamp(movement.dx, limit) : 0;
    const dy = movement ? clamp(movement.dy, limit) : 0;
    const dw = movement ? this.#sideways(movement) : 0;
    const dz = movement && dw === 0 ? clamp(movement.dz, MAX_NOTCHES) : 0;
    if (movement) {
      s.buttons = movement.buttons;
      movement.dx -= dx;
      movement.dy -= dy;
      movement.dz = s.id === ID.standard ? 0 : movement.dz - dz;
      movement.dw = s.hasSideways ? movement.dw - dw : 0;
      if (movement.dx === 0 && movement.dy === 0 && movement.dz === 0 && movement.dw === 0) s.pending.shift();
    }
    const x = scaled ? scale(dx) : dx;
    // The mouse counts upwards.
    const y = scaled ? scale(-dy) : -dy;
    into.push(
      REPORT.always | (s.buttons & REPORT.buttons) | (x < 0 ? REPORT.xNegative : 0) | (y < 0 ? REPORT.yNegative : 0),
      x & 0xff,
      y & 0xff,
    );
    if (dw !== 0) into.push(SIDEWAYS | (dw & SIDEWAYS_MASK));
    else if (s.id === ID.wheel) into.push(dz & 0xff);
    else if (s.id === ID.explorer) into.push((dz & 0x0f) | ((s.buttons & 0x18) << 1));
  }
}

function scale(counts: number): number {
  const size = Math.abs(counts);
  return Math.sign(counts) * (size < SCALED.length ? SCALED[size] : 2 * size);
}
