/**
 * A clipboard for the people at one machine: the text that one of them copies, the others can paste, into the machine as
 * keystrokes as well. No guest has a part in it.
 * Not modelled: pictures, files, marked-up text.
 */

/** UTF-16 units of the longest text. */
export const MAX_CLIPBOARD_TEXT = 256 * 1024;

/** One person's, or one gateway's, way to it. */
export interface ClipboardPlace {
  /** @param text line ends as LF. @returns false: it is longer than can be shared, and the one before stays */
  put(text: string): boolean;
  close(): void;
}

export class SharedClipboard {
  #text = '';
  readonly #places = new Set<(text: string) => void>();

  /** What was copied last; empty: nothing yet. */
  get text(): string {
    return this.#text;
  }

  /** @param onText told what is copied elsewhere, not what is put here */
  open(onText: (text: string) => void): ClipboardPlace {
    // A function of its own, so that two places may have the same listener.
    const tell = (text: string): void => onText(text);
    this.#places.add(tell);
    return {
      put: (text) => {
        if (text.length > MAX_CLIPBOARD_TEXT) return false;
        if (text === '' || text === this.#text) return true;
        this.#text = text;
        for (const other of [...this.#places]) if (other !== tell) other(text);
        return true;
      },
      close: () => void this.#places.delete(tell),
    };
  }
}
