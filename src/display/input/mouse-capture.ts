/**
 * The person's mouse as the guest's mouse with two wheels.
 * Source: W3C Pointer Lock 2.0; UI Events (`buttons`, `WheelEvent`).
 * Not modelled: touch, pens, buttons beyond three.
 */
import type { MouseInput } from '#emu/host/input.ts';

/** A guest that takes positions: the pointer is not captured for it. */
export interface FreePointer {
  isOn(): boolean;
  /** The pointer is at this point of the page. */
  at(clientX: number, clientY: number): void;
}

export interface MouseCaptureParts {
  /** Clicking it captures the pointer, unless the guest takes positions. */
  readonly target: HTMLElement;
  readonly free?: FreePointer | undefined;
  readonly mouse: MouseInput;
  /** The pointer was captured or given back. */
  readonly onCapture: (captured: boolean) => void;
  /** The browser refused to capture. */
  readonly onRefused?: () => void;
}

/** One notch of a wheel in pixels, as browsers report it. */
const NOTCH_PIXELS = 100;
const NOTCH_LINES = 3;

/** DOM order (left, right, middle, back, forward in bits 0 to 4 of `buttons`) is the guest's order too. */
const BUTTON_MASK = 31;
/** `button` of those with which browsers leave a page when they come up: back and forward. */
const FIRST_SIDE_BUTTON = 3;

/** Movement is added up and reported once an animation frame; buttons at once. */
export class MouseCapture {
  readonly #parts: MouseCaptureParts;
  readonly #listening = new AbortController();
  #dx = 0;
  #dy = 0;
  #wheel = 0;
  /** Of the horizontal wheel, to the left. */
  #sideways = 0;
  #buttons = 0;
  #request: number | undefined;
  #at: { readonly x: number; readonly y: number } | undefined;

  constructor(parts: MouseCaptureParts) {
    this.#parts = parts;
    const { signal } = this.#listening;
    const { target } = parts;
    const view = target.ownerDocument;
    target.addEventListener('mousedown', (event) => this.#onDown(event), { signal });
    // A button that went down here may come up anywhere.
    view.addEventListener('mouseup', (event) => this.#onUp(event), { signal });
    target.addEventListener('mousemove', (event) => this.#onMove(event), { signal });
    target.addEventListener('wheel', (event) => this.#onWheel(event), { signal, passive: false });
    target.addEventListener('contextmenu', (event) => event.preventDefault(), { signal });
    view.addEventListener('pointerlockchange', () => this.#onLockChange(), { signal });
    view.addEventListener('pointerlockerror', () => parts.onRefused?.(), { signal });
  }

  get captured(): boolean {
    return this.#parts.target.ownerDocument.pointerLockElement === this.#parts.target;
  }

  /** Must be called from a person's click or key. */
  capture(): void {
    if (this.captured) return;
    // Older browsers return nothing and report failure by the event alone.
    const request = this.#parts.target.requestPointerLock() as Promise<void> | undefined;
    request?.catch(() => this.#parts.onRefused?.());
  }

  release(): void {
    if (this.captured) this.#parts.target.ownerDocument.exitPointerLock();
  }

  stop(): void {
    this.release();
    this.#letGo();
    this.#listening.abort();
    if (this.#request !== undefined) cancelAnimationFrame(this.#request);
  }

  /** The pointer is the page's, and the guest's follows it. */
  get #isFree(): boolean {
    return !this.captured && this.#parts.free?.isOn() === true;
  }

  #onDown(event: MouseEvent): void {
    if (this.#isFree) this.#parts.free?.at(event.clientX, event.clientY);
    else if (!this.captured) {
      this.capture();
      return;
    } else event.preventDefault();
    this.#onButtons(event);
  }

  #onUp(event: MouseEvent): void {
    if (this.#buttons === 0) return;
    if (event.button >= FIRST_SIDE_BUTTON) event.preventDefault();
    this.#onButtons(event);
  }

  #onButtons(event: MouseEvent): void {
    this.#buttons = event.buttons & BUTTON_MASK;
    this.#send();
  }

  #onMove(event: MouseEvent): void {
    if (this.#isFree) this.#at = { x: event.clientX, y: event.clientY };
    else if (this.captured) {
      this.#dx += event.movementX;
      this.#dy += event.movementY;
    } else return;
    this.#request ??= requestAnimationFrame(() => {
      this.#request = undefined;
      const at = this.#at;
      this.#at = undefined;
      if (at) this.#parts.free?.at(at.x, at.y);
      else this.#send();
    });
  }

  #onWheel(event: WheelEvent): void {
    if (!this.captured && !this.#isFree) return;
    event.preventDefault();
    const notch = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? NOTCH_PIXELS : NOTCH_LINES;
    // Some browsers say with Shift that the horizontal wheel turned when it was the other; which it was nobody can tell.
    this.#wheel += event.deltaY / notch;
    this.#sideways -= event.deltaX / notch;
    if (Math.abs(this.#wheel) >= 1 || Math.abs(this.#sideways) >= 1) this.#send();
  }

  #onLockChange(): void {
    if (!this.captured) this.#letGo();
    this.#parts.onCapture(this.captured);
  }

  #letGo(): void {
    this.#dx = this.#dy = this.#wheel = this.#sideways = 0;
    if (this.#buttons === 0) return;
    this.#buttons = 0;
    this.#send();
  }

  /** Fractions of a count wait for the next report. */
  #send(): void {
    const dx = Math.trunc(this.#dx);
    const dy = Math.trunc(this.#dy);
    const dz = Math.trunc(this.#wheel);
    this.#dx -= dx;
    this.#dy -= dy;
    this.#wheel -= dz;
    const dw = Math.trunc(this.#sideways);
    this.#sideways -= dw;
    this.#parts.mouse.move(dx, dy, dz, this.#buttons, dw);
  }
}
