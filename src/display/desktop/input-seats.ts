/**
 * Keyboard and mouse of one machine, shared by several people: remembers what each of them holds down.
 * For a guest that takes no positions they become movements of the relative mouse; one that accelerates it drifts away and
 * is brought back when the pointer is taken to an edge of the screen.
 */
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type { DesktopSeat } from './desktop.ts';

const PREFIX_E0 = 0xe0;
const PREFIX_E1 = 0xe1;
const BREAK_BIT = 0x80;
const EXTENDED = 0x100;
/** Codes that follow E0 around grey keys as if Shift were pressed; nobody holds them. */
const FAKE_SHIFTS: readonly number[] = [EXTENDED | 0x2a, EXTENDED | 0x36];
/** Counts by which the pointer is pushed against an edge. */
const EDGE_PUSH = 64;
/** Of positions. */
const FULL_SCALE = 0xffff;

export interface InputSeatsParts {
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  readonly typeText: (text: string) => void;
  /** Size of all that the pointer can be on, in pixels. */
  readonly size: () => { readonly width: number; readonly height: number };
  /** The guest takes positions, and `mouse.point` gives them; left out: it does not. */
  readonly takesPositions?: (() => boolean) | undefined;
}

/** Where a pixel of somebody's picture is on the whole desktop. */
export type PointOnDesktop = (x: number, y: number) => { readonly x: number; readonly y: number };

const SAME: PointOnDesktop = (x, y) => ({ x, y });

export class InputSeats {
  readonly #parts: InputSeatsParts;
  readonly #seats = new Set<Seat>();
  /** Where the guest's pointer should be; undefined until somebody has pointed. */
  #at: { x: number; y: number } | undefined;

  constructor(parts: InputSeatsParts) {
    this.#parts = parts;
  }

  /** @param onDesktop left out: the picture is the desktop */
  open(onDesktop: PointOnDesktop = SAME): DesktopSeat {
    const seat = new Seat(this.#parts.keyboard, {
      typeText: (text) => this.#parts.typeText(text),
      moveTo: (x, y) => this.#moveTo(onDesktop(x, y)),
      moveBy: (dx, dy) => this.#move(dx, dy, 0),
      wheel: (notches, sideways) => this.#move(0, 0, notches, sideways),
      buttonsChanged: () => this.#move(0, 0, 0),
      closed: () => this.#seats.delete(seat),
    });
    this.#seats.add(seat);
    return seat;
  }

  #moveTo(wanted: { readonly x: number; readonly y: number }): void {
    const { width, height } = this.#parts.size();
    const x = clamp(wanted.x, width - 1);
    const y = clamp(wanted.y, height - 1);
    const from = this.#at ?? { x, y };
    this.#at = { x, y };
    const { mouse, takesPositions } = this.#parts;
    if (mouse.point && takesPositions?.()) {
      // The middle of the pixel, however the guest rounds.
      mouse.point(((x + 0.5) * FULL_SCALE) / width, ((y + 0.5) * FULL_SCALE) / height);
      return;
    }
    if (from.x === x && from.y === y) return;
    this.#move(x - from.x + push(from.x, x, width), y - from.y + push(from.y, y, height), 0);
  }

  #move(dx: number, dy: number, dz: number, dw = 0): void {
    let buttons = 0;
    for (const seat of this.#seats) buttons |= seat.buttons;
    this.#parts.mouse.move(dx, dy, dz, buttons, dw);
  }
}

const clamp = (value: number, most: number): number => Math.max(0, Math.min(most, Math.round(value)));

function push(from: number, to: number, size: number): number {
  if (to === from) return 0;
  if (to === 0) return -EDGE_PUSH;
  return to === size - 1 ? EDGE_PUSH : 0;
}

interface SeatLinks {
  readonly typeText: (text: string) => void;
  readonly moveTo: (x: number, y: number) => void;
  readonly moveBy: (dx: number, dy: number) => void;
  readonly wheel: (notches: number, sideways: number) => void;
  readonly buttonsChanged: () => void;
  readonly closed: () => void;
}

class Seat implements DesktopSeat {
  buttons = 0;
  readonly #keyboard: KeyboardInput;
  readonly #links: SeatLinks;
  /** Keys that are down: the code, and EXTENDED behind E0. */
  readonly #held = new Set<number>();
  #open = true;

  constructor(keyboard: KeyboardInput, links: SeatLinks) {
    this.#keyboard = keyboard;
    this.#links = links;
  }

  putScancodes(set1: readonly number[]): void {
    if (!this.#open || set1.length === 0) return;
    this.#note(set1);
    this.#keyboard.putScancodes(set1);
  }

  typeText(text: string): void {
    if (this.#open && text !== '') this.#links.typeText(text);
  }

  moveTo(x: number, y: number): void {
    if (this.#open) this.#links.moveTo(x, y);
  }

  moveBy(dx: number, dy: number): void {
    if (this.#open) this.#links.moveBy(dx, dy);
  }

  setButtons(mask: number): void {
    if (!this.#open || mask === this.buttons) return;
    this.buttons = mask;
    this.#links.buttonsChanged();
  }

  wheel(notches: number, sideways = 0): void {
    if (this.#open) this.#links.wheel(notches, sideways);
  }

  releaseAll(): void {
    const codes = [...this.#held].flatMap((key) => {
      const up = (key & 0xff) | BREAK_BIT;
      return key & EXTENDED ? [PREFIX_E0, up] : [up];
    });
    this.#held.clear();
    if (codes.length > 0) this.#keyboard.putScancodes(codes);
    this.setButtons(0);
  }

  close(): void {
    if (!this.#open) return;
    this.releaseAll();
    this.#open = false;
    this.#links.closed();
  }

  #note(set1: readonly number[]): void {
    for (let i = 0; i < set1.length; i++) {
      // Pause: E1 and two codes, pressed and let go at once.
      if (set1[i] === PREFIX_E1) i += 2;
      else {
        const extended = set1[i] === PREFIX_E0 ? EXTENDED : 0;
        if (extended && ++i >= set1.length) return;
        const key = (set1[i] & 0x7f) | extended;
        if (set1[i] & BREAK_BIT) this.#held.delete(key);
        else if (!FAKE_SHIFTS.includes(key)) this.#held.add(key);
      }
    }
  }
}
