/** A client's input events, done with the hands of its seat. */

import { CodedError } from '#base/errors.ts';
import { BUTTON, type DesktopSeat } from '#display/desktop/desktop.ts';
import { textScancodes } from '#emu/devices/input/keystrokes.ts';
import { type InputEvent, POINTER, wheelRotation } from './pdu/input.ts';

const PREFIX_E0 = 0xe0;
const BREAK_BIT = 0x80;
const CONTROL_CODE = 0x1d;
const NUM_LOCK_CODE = 0x45;
const PAUSE = [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5] as const;
/** [MS-RDPBCGR] 2.2.8.1.1.3.1.1.5, toggleFlags, with the keys' codes; a keyboard's lights have the same bits. */
const LOCKS = [
  [1, 0x46],
  [2, NUM_LOCK_CODE],
  [4, 0x3a],
] as const;
/** V types what was copied, X copies the text on the screen. */
const CHORD_KEYS = { paste: 0x2f, copy: 0x2d } as const;
/** With all of these held; left and right are the same but for E0. */
const CHORD_WITH = [[CONTROL_CODE], [0x38], [0x2a, 0x36]] as const;
/** Ctrl-Pause, as a keyboard sends it. */
const BREAK = [0xe0, 0x46, 0xe0, 0xc6] as const;
const ROTATION_A_NOTCH = 120;
/** Bits of POINTER to bits of BUTTON. */
const BUTTONS = [
  [POINTER.button1, BUTTON.left],
  [POINTER.button2, BUTTON.right],
  [POINTER.button3, BUTTON.middle],
] as const;
/** [MS-RDPBCGR] 2.2.8.1.1.3.1.1.4 */
const X_BUTTONS = [
  [1, BUTTON.fourth],
  [2, BUTTON.fifth],
] as const;

/** What Ctrl-Alt-Shift with a key does, since no guest has an agent for it. */
export interface ClipboardChords {
  /** @returns what is to be typed, perhaps nothing; undefined: nothing was copied, nothing, and the keys mean what they mean to the guest */
  paste(): string | undefined;
  /** @returns false: there is no text to copy, and the keys mean what they mean to the guest */
  copy(): boolean;
}

export class ClientInput {
  readonly #seat: DesktopSeat;
  readonly #leds: () => number | undefined;
  readonly #chords: ClipboardChords;
  /** Codes of keys that the client holds, whatever the guest has been told. */
  readonly #held = new Set<number>();
  /** A key that was none of the guest's business when it went down. */
  #swallowed: number | undefined;
  /** Lights that were pressed for and that the guest has not set yet, over those it had then. */
  #expected: { readonly before: number; readonly leds: number } | undefined;
  #buttons = 0;
  readonly #rotation = { vertical: 0, horizontal: 0 };
  /** The first half of Pause has come. */
  #isPausing = false;

  /**
   * @param leds lights of the guest's keyboard; undefined: they are not known
   */
  constructor(seat: DesktopSeat, leds: () => number | undefined, chords: ClipboardChords) {
    this.#seat = seat;
    this.#leds = leds;
    this.#chords = chords;
  }

  take(event: InputEvent): void {
    switch (event.kind) {
      case 'key':
        this.#key(event);
        return;
      case 'unicode':
        if (event.down) this.#character(String.fromCharCode(event.unit));
        return;
      case 'mouse':
        this.#mouse(event);
        return;
      case 'relative':
        if (event.dx !== 0 || event.dy !== 0) this.#seat.moveBy(event.dx, event.dy);
        this.#press(event.flags, BUTTONS);
        return;
      case 'synchronize':
        // The client has lost sight of its keyboard: whatever it holds, it will say again.
        this.#buttons = 0;
        this.#isPausing = false;
        this.#swallowed = undefined;
        this.#held.clear();
        this.#seat.releaseAll();
        this.#setLocks(event.toggles);
    }
  }

  /** Pause comes as E1-1D and 45, down and up; nothing but the whole of it makes sense to a guest. */
  #key({ code, extended, extended1, down }: Extract<InputEvent, { kind: 'key' }>): void {
    if (extended1) {
      if (code === CONTROL_CODE) this.#isPausing = true;
      return;
    }
    if (this.#isPausing && code === NUM_LOCK_CODE && !extended) {
      if (down) this.#seat.putScancodes(PAUSE);
      else this.#isPausing = false;
      return;
    }
    this.#isPausing = false;
    if (extended && code === BREAK[1]) {
      if (down) this.#seat.putScancodes(BREAK);
      return;
    }
    if (down) this.#held.add(code);
    else this.#held.delete(code);
    if (!extended && this.#isChord(code, down)) return;
    const byte = down ? code : code | BREAK_BIT;
    this.#seat.putScancodes(extended ? [PREFIX_E0, byte] : [byte]);
  }

  /** @returns the key is none of the guest's business */
  #isChord(code: number, down: boolean): boolean {
    const isSwallowed = this.#swallowed === code;
    if (isSwallowed && !down) this.#swallowed = undefined;
    if (isSwallowed || !down) return isSwallowed;
    if (code !== CHORD_KEYS.paste && code !== CHORD_KEYS.copy) return false;
    if (!CHORD_WITH.every((codes) => codes.some((one) => this.#held.has(one)))) return false;
    const text = code === CHORD_KEYS.paste ? this.#chords.paste() : this.#chords.copy() ? '' : undefined;
    if (text === undefined) return false;
    this.#swallowed = code;
    // Typed with these held, the text would be commands.
    this.#seat.releaseAll();
    if (text !== '') this.#seat.typeText(text);
    return true;
  }

  /** Presses the lock keys whose lights differ from the client's. @param toggles as `Desktop.leds` has them */
  #setLocks(toggles: number): void {
    const seen = this.#leds();
    if (seen === undefined) return;
    const now = this.#expected?.before === seen ? this.#expected.leds : seen;
    let leds = now;
    for (const [bit, code] of LOCKS) {
      if (((now ^ toggles) & bit) === 0) continue;
      this.#seat.putScancodes([code, code | BREAK_BIT]);
      leds ^= bit;
    }
    this.#expected = { before: seen, leds };
  }

  #character(text: string): void {
    try {
      for (const codes of textScancodes(text)) this.#seat.putScancodes(codes);
    } catch (cause) {
      // A character that no key of the guest's keyboard makes is dropped, as a key that is not there would be.
      if (!(cause instanceof CodedError)) throw cause;
    }
  }

  #mouse({ flags, x, y, isX }: Extract<InputEvent, { kind: 'mouse' }>): void {
    if (isX) {
      this.#seat.moveTo(x, y);
      this.#press(flags, X_BUTTONS);
      return;
    }
    if (flags & (POINTER.verticalWheel | POINTER.horizontalWheel)) {
      this.#turn(flags & POINTER.verticalWheel ? 'vertical' : 'horizontal', wheelRotation(flags));
      return;
    }
    this.#seat.moveTo(x, y);
    this.#press(flags, BUTTONS);
  }

  #press(flags: number, buttons: readonly (readonly [number, number])[]): void {
    for (const [bit, button] of buttons) {
      if ((flags & bit) === 0) continue;
      if (flags & POINTER.down) this.#buttons |= button;
      else this.#buttons &= ~button;
    }
    this.#seat.setButtons(this.#buttons);
  }

  /** Fine wheels send parts of a notch. */
  #turn(wheel: 'vertical' | 'horizontal', rotation: number): void {
    const all = this.#rotation[wheel] + rotation;
    const notches = Math.trunc(all / ROTATION_A_NOTCH);
    this.#rotation[wheel] = all - notches * ROTATION_A_NOTCH;
    if (notches === 0) return;
    if (wheel === 'vertical') this.#seat.wheel(-notches);
    else this.#seat.wheel(0, -notches);
  }
}
