/**
 * A client's fingers as a mouse: one moves and presses, as a pen would; a second one beside it turns the wheels when it moves up
 * and down or sideways, and presses the right button when it only taps.
 * Source: [MS-RDPEI] 3.2 (server).
 * Not modelled: touch as such, which no guest's device takes.
 */
import { BUTTON, type DesktopSeat } from '#display/desktop/desktop.ts';
import { decodeTouch, encodeTouchReady, type TouchContact } from '../pdu/touch.ts';
import type { DynamicChannel } from './dynamic-channels.ts';

/** Pixels of a finger's way for one notch of the wheel; a tap moves less. */
const NOTCH_PIXELS = 24;

/** Pixels that a finger moves without meaning to. */
const STILL_PIXELS = 6;

interface First {
  readonly id: number;
  /** Where it came down. */
  readonly x: number;
  readonly y: number;
  /** It drags. Until it does, a second finger may come instead. */
  isPressing: boolean;
}

interface Second {
  readonly id: number;
  x: number;
  y: number;
  hasTurned: boolean;
}

export class TouchInput implements DynamicChannel {
  readonly name = 'Microsoft::Windows::RDS::Input';
  readonly #seat: () => DesktopSeat | undefined;
  /** The finger that the pointer follows. */
  #first: First | undefined;
  #second: Second | undefined;

  /** @param seat undefined: nobody may type any more */
  constructor(seat: () => DesktopSeat | undefined) {
    this.#seat = seat;
  }

  opened(send: (message: Uint8Array) => void): void {
    send(encodeTouchReady());
  }

  closed(): void {
    this.#letGo();
  }

  received(message: Uint8Array): void {
    for (const moment of decodeTouch(message)) for (const contact of moment) this.#take(contact);
  }

  #take(contact: TouchContact): void {
    const seat = this.#seat();
    if (!seat) return;
    if (contact.id === this.#first?.id) this.#follow(seat, this.#first, contact);
    else if (contact.id === this.#second?.id) this.#turn(seat, this.#second, contact);
    else if (!contact.isDown) return;
    else if (!this.#first) {
      this.#first = { id: contact.id, x: contact.x, y: contact.y, isPressing: false };
      seat.moveTo(contact.x, contact.y);
    } else if (!this.#second && !this.#first.isPressing) {
      this.#second = { id: contact.id, x: contact.x, y: contact.y, hasTurned: false };
    }
  }

  #follow(seat: DesktopSeat, first: First, { x, y, isDown, isCanceled }: TouchContact): void {
    if (!isDown) {
      const isTap = !first.isPressing && !this.#second && !isCanceled;
      if (isTap) seat.setButtons(BUTTON.left);
      this.#letGo();
      return;
    }
    if (this.#second) return;
    if (!first.isPressing && Math.hypot(x - first.x, y - first.y) < STILL_PIXELS) return;
    if (!first.isPressing) seat.setButtons(BUTTON.left);
    first.isPressing = true;
    seat.moveTo(x, y);
  }

  #turn(seat: DesktopSeat, second: Second, { x, y, isDown, isCanceled }: TouchContact): void {
    if (isDown) {
      // What lies under a finger goes with it: up is on in a text.
      const up = Math.trunc((second.y - y) / NOTCH_PIXELS);
      const right = Math.trunc((x - second.x) / NOTCH_PIXELS);
      if (up === 0 && right === 0) return;
      second.hasTurned = true;
      // A finger never goes quite straight: the way that it goes less counts from here on.
      if (Math.abs(up) >= Math.abs(right)) {
        second.y -= up * NOTCH_PIXELS;
        second.x = x;
        seat.wheel(up);
      } else {
        second.x += right * NOTCH_PIXELS;
        second.y = y;
        seat.wheel(0, right);
      }
      return;
    }
    this.#second = undefined;
    // The first finger has done something else than pressing: it has to come anew.
    this.#first = undefined;
    if (second.hasTurned || isCanceled) return;
    seat.setButtons(BUTTON.right);
    seat.setButtons(0);
  }

  #letGo(): void {
    this.#first = undefined;
    this.#second = undefined;
    this.#seat()?.setButtons(0);
  }
}
