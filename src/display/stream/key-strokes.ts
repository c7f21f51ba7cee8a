/**
 * Set 1 scan codes from somebody else: whole makes and breaks, or nothing.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard" (scan code set 1).
 */

export interface Stroke {
  /** Code without the break bit; 0x100 added after the prefix E0. */
  readonly key: number;
  readonly isDown: boolean;
}

const EXTENDED = 0x100;
const BREAK = 0x80;
const PREFIX_E0 = 0xe0;
/** Makes and breaks Pause at once, so that it is never held. */
const PAUSE: readonly number[] = [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5];
/** Would read as a prefix when let go. */
const NO_KEYS: readonly number[] = [0, 0x60, 0x61];

/** @returns what happens to which key, in order; undefined when the bytes are not whole makes and breaks */
export function strokesOf(scancodes: Uint8Array): Stroke[] | undefined {
  const strokes: Stroke[] = [];
  for (let at = 0; at < scancodes.length; at++) {
    if (PAUSE.every((byte, i) => scancodes[at + i] === byte)) {
      at += PAUSE.length - 1;
      continue;
    }
    const isExtended = scancodes[at] === PREFIX_E0;
    if (isExtended) at++;
    const byte = scancodes[at];
    if (byte === undefined || NO_KEYS.includes(byte & 0x7f)) return undefined;
    strokes.push({ key: (byte & 0x7f) | (isExtended ? EXTENDED : 0), isDown: byte < BREAK });
  }
  return strokes;
}

/** Scan codes that let go of a key. */
export function breakOf(key: number): readonly number[] {
  const byte = (key & 0x7f) | BREAK;
  return key & EXTENDED ? [PREFIX_E0, byte] : [byte];
}
