/**
 * A clipboard for the people at one machine: the text that one of them copies, the others can paste, into the machine as
 * keystrokes as well; files they can fetch from whoever has copied them, while that one is there. No guest has a part in it.
 * Not modelled: pictures, marked-up text.
 */

/** UTF-16 units of the longest text. */
export const MAX_CLIPBOARD_TEXT: number = 256 * 1024;

export interface SharedFile {
  /** Safe as a file's name anywhere, and unlike the others. */
  readonly name: string;
  /** Undefined: whoever has it has to be asked. */
  readonly byteCount: number | undefined;
}

/** Files that somebody has copied and still has. Each question is answered once; by undefined when they cannot be had. */
export interface SharedFiles {
  list(done: (files: readonly SharedFile[] | undefined) => void): void;
  /** @param index in the list */
  byteCount(index: number, done: (byteCount: number | undefined) => void): void;
  /** @param byteCount at most; less comes where the file ends */
  read(index: number, at: number, byteCount: number, done: (bytes: Uint8Array | undefined) => void): void;
}

/** One person's, or one gateway's, way to it. */
export interface ClipboardPlace {
  /** @param text line ends as LF. @returns false: it is longer than can be shared, and the one before stays */
  put(text: string): boolean;
  /** @param files undefined: those that were put here are there no longer */
  putFiles(files: SharedFiles | undefined): void;
  close(): void;
}

interface Listener {
  /** The text that was last put here, and no files since. */
  last: string | undefined;
  text(text: string, isBesideFiles: boolean): void;
  files(files: SharedFiles | undefined): void;
}

export class SharedClipboard {
  #text = '';
  /** Files were copied since the text was, whether they are there still or not. */
  #isTextOlder = false;
  #files: { readonly of: Listener; readonly files: SharedFiles } | undefined;
  readonly #places = new Set<Listener>();

  /** What was copied last; empty: nothing yet. */
  get text(): string {
    return this.#text;
  }

  /** Undefined: something else was copied since, or whoever had them is gone. */
  get files(): SharedFiles | undefined {
    return this.#files?.files;
  }

  /**
   * @param onText told what is copied elsewhere, not what is put here; `isBesideFiles`: it says in words what was copied as files
   * @param onFiles the same of files; undefined: they can no longer be had
   */
  open(
    onText: (text: string, isBesideFiles: boolean) => void,
    onFiles: (files: SharedFiles | undefined) => void = () => {},
  ): ClipboardPlace {
    const place: Listener = { last: undefined, text: onText, files: onFiles };
    this.#places.add(place);
    return {
      put: (text) => {
        if (text.length > MAX_CLIPBOARD_TEXT) return false;
        // Some say again and again what they have: that is no copy.
        const isSaidAgain = text === this.#text && (!this.#isTextOlder || text === place.last);
        if (text === '' || isSaidAgain) return true;
        this.#text = text;
        place.last = text;
        const isBesideFiles = this.#files?.of === place;
        if (!isBesideFiles) {
          this.#files = undefined;
          this.#isTextOlder = false;
        }
        for (const other of this.#others(place)) other.text(text, isBesideFiles);
        return true;
      },
      putFiles: (files) => this.#putFiles(place, files),
      close: () => {
        this.#places.delete(place);
        this.#putFiles(place, undefined);
      },
    };
  }

  #putFiles(place: Listener, files: SharedFiles | undefined): void {
    if (!files && this.#files?.of !== place) return;
    if (files) {
      this.#isTextOlder = true;
      place.last = undefined;
    }
    this.#files = files && { of: place, files };
    for (const other of this.#others(place)) other.files(files);
  }

  #others(place: Listener): Listener[] {
    return [...this.#places].filter((one) => one !== place);
  }
}
