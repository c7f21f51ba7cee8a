/**
 * Physical keys of the person's keyboard as scan codes of the guest's.
 * Source: W3C UI Events, `KeyboardEvent.code`; VirtualBox manual, "Host key".
 * Not modelled: the false left Ctrl that Windows sends with AltGr.
 */
import { keyScancodes } from '#emu/devices/input/keystrokes.ts';
import type { KeyboardInput } from '#emu/host/input.ts';

/** Never reaches the guest: alone it gives keyboard and mouse back to the page, with another key it is a command. */
export const HOST_KEY = 'ControlRight';

export interface KeyboardCaptureParts {
  /** The focusable element that stands for the guest's screen. */
  readonly target: HTMLElement;
  readonly keyboard: KeyboardInput;
  /** The host key was pressed and let go with nothing else. */
  readonly onHostKey: () => void;
  /** A key went down while the host key was held. @param code `KeyboardEvent.code` */
  readonly onHostCombination: (code: string) => void;
}

/**
 * Listens while `target` has the focus. Keys do not get stuck: whatever is down is let go when the focus, the window or
 * the tab is lost, and when the browser swallows a key's release.
 */
export class KeyboardCapture {
  readonly #parts: KeyboardCaptureParts;
  readonly #down = new Set<string>();
  readonly #listening = new AbortController();
  #hostHeld = false;
  #hostUsed = false;

  constructor(parts: KeyboardCaptureParts) {
    this.#parts = parts;
    const { signal } = this.#listening;
    const { target } = parts;
    target.addEventListener('keydown', (event) => this.#onDown(event), { signal });
    target.addEventListener('keyup', (event) => this.#onUp(event), { signal });
    target.addEventListener('blur', () => this.releaseAll(), { signal });
    const view = target.ownerDocument;
    view.addEventListener('visibilitychange', () => this.releaseAll(), { signal });
    view.defaultView?.addEventListener('blur', () => this.releaseAll(), { signal });
  }

  /** Stops listening and lets go of every key. */
  stop(): void {
    this.releaseAll();
    this.#listening.abort();
  }

  /** Sends the release of every key the guest believes to be down. */
  releaseAll(): void {
    for (const code of this.#down) this.#parts.keyboard.putScancodes(keyScancodes(code, false, this.#modifiers()));
    this.#down.clear();
    this.#hostHeld = false;
  }

  /** `KeyboardEvent.code` of the keys the guest believes to be down. */
  get held(): ReadonlySet<string> {
    return this.#down;
  }

  #modifiers(): { alt: boolean; ctrl: boolean } {
    return { alt: this.#down.has('AltLeft') || this.#down.has('AltRight'), ctrl: this.#down.has('ControlLeft') };
  }

  #onDown(event: KeyboardEvent): void {
    // Keys of a composition have no physical key of their own.
    if (event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.code === HOST_KEY) {
      if (!event.repeat) this.#hostUsed = false;
      this.#hostHeld = true;
      return;
    }
    if (this.#hostHeld) {
      this.#hostUsed = true;
      if (!event.repeat) this.#parts.onHostCombination(event.code);
      return;
    }
    // A repeat goes on as another make code: that is what a PC keyboard does.
    const codes = keyScancodes(event.code, true, this.#modifiers());
    if (codes.length === 0) return;
    this.#down.add(event.code);
    this.#parts.keyboard.putScancodes(codes);
  }

  #onUp(event: KeyboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    if (event.code === HOST_KEY) {
      const alone = this.#hostHeld && !this.#hostUsed;
      this.#hostHeld = false;
      if (alone) this.#parts.onHostKey();
      return;
    }
    // Some browsers send no release for keys that were down together with Meta, and none for Print Screen's press.
    if (event.code === 'MetaLeft' || event.code === 'MetaRight') {
      this.releaseAll();
      return;
    }
    if (event.code === 'PrintScreen' && !this.#down.has('PrintScreen')) {
      this.#parts.keyboard.putScancodes(keyScancodes('PrintScreen', true, this.#modifiers()));
      this.#down.add('PrintScreen');
    }
    if (!this.#down.delete(event.code)) return;
    this.#parts.keyboard.putScancodes(keyScancodes(event.code, false, this.#modifiers()));
  }
}
