/**
 * What a person types, as set 1 scan codes for `KeyboardInput.putScancodes`.
 * Source: W3C "UI Events KeyboardEvent code Values"; IBM PS/2 Hardware Interface Technical Reference, "Keyboard"
 * (Print Screen and Pause sequences); VBoxManage manual, `controlvm keyboardputscancode` and `keyboardputstring`.
 * Not modelled: layouts other than US for text; the fake shifts around grey keys with Num Lock on, which set 1 software
 * ignores.
 */
import { CodedError } from '#base/errors.ts';
import { KEY_CODES, US_LAYOUT } from './key-codes.ts';
import { BREAK_BIT, PREFIX_E0, PREFIX_E1 } from './scan-codes.ts';

/** Modifiers that change which code Print Screen and Pause send. */
export interface HeldModifiers {
  readonly alt?: boolean;
  readonly ctrl?: boolean;
}

const NOTHING: readonly number[] = [];
const EXTENDED = 0x100;
const PRINT_SCREEN = { down: [0xe0, 0x2a, 0xe0, 0x37], up: [0xe0, 0xb7, 0xe0, 0xaa] } as const;
const SYS_RQ = { down: [0x54], up: [0xd4] } as const;
/** Pause sends make and break at once, and nothing when it is let go. */
const PAUSE = [PREFIX_E1, 0x1d, 0x45, PREFIX_E1, 0x9d, 0xc5] as const;
const BREAK = [PREFIX_E0, 0x46, PREFIX_E0, 0xc6] as const;

/**
 * Scan codes of a key going down or up.
 * @param code `KeyboardEvent.code`
 * @returns set 1 bytes; none for a key a PC keyboard does not have, and when Pause goes up
 */
export function keyScancodes(code: string, down: boolean, held: HeldModifiers = {}): readonly number[] {
  if (code === 'PrintScreen') {
    const key = held.alt ? SYS_RQ : PRINT_SCREEN;
    return down ? key.down : key.up;
  }
  if (code === 'Pause') return down ? (held.ctrl ? BREAK : PAUSE) : NOTHING;
  const key = Object.hasOwn(KEY_CODES, code) ? KEY_CODES[code] : undefined;
  if (key === undefined) return NOTHING;
  const byte = (key & 0x7f) | (down ? 0 : BREAK_BIT);
  return key & EXTENDED ? [PREFIX_E0, byte] : [byte];
}

/** Every `KeyboardEvent.code` that has scan codes. */
export const KNOWN_KEYS: readonly string[] = [...Object.keys(KEY_CODES), 'PrintScreen', 'Pause'];

interface Typed {
  readonly code: string;
  readonly shift: boolean;
}

const CHARACTERS: ReadonlyMap<string, Typed> = charactersOf();

function charactersOf(): Map<string, Typed> {
  const characters = new Map<string, Typed>();
  for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') {
    characters.set(letter, { code: `Key${letter}`, shift: true });
    characters.set(letter.toLowerCase(), { code: `Key${letter}`, shift: false });
  }
  for (const [code, plain, shifted] of US_LAYOUT) {
    // A key that gives the same character with Shift is typed without.
    characters.set(shifted, { code, shift: true });
    characters.set(plain, { code, shift: false });
  }
  return characters;
}

/**
 * Types text on a US keyboard.
 * @param text line ends may be LF, CR or CR LF
 * @returns one sequence a character, for the caller to space out: a BIOS buffers 15 keys
 * @throws CodedError<'no-key'> for a character a US keyboard cannot type
 */
export function textScancodes(text: string): number[][] {
  const sequences: number[][] = [];
  for (const character of text.replace(/\r\n?/g, '\n')) {
    const typed = CHARACTERS.get(character);
    if (!typed) {
      throw new CodedError('no-key', `a US keyboard has no key for '${character}': send scan codes instead`, {
        character,
        at: sequences.length,
      });
    }
    sequences.push(pressTogether(typed.shift ? ['ShiftLeft', typed.code] : [typed.code]));
  }
  return sequences;
}

/** Keys go down in order and up in reverse. */
function pressTogether(codes: readonly string[]): number[] {
  const held = {
    alt: codes.includes('AltLeft') || codes.includes('AltRight'),
    ctrl: codes.includes('ControlLeft') || codes.includes('ControlRight'),
  };
  const bytes: number[] = [];
  for (const code of codes) bytes.push(...keyScancodes(code, true, held));
  for (const code of codes.toReversed()) bytes.push(...keyScancodes(code, false, held));
  return bytes;
}

/** Short names of keys in combinations, in lower case; `KeyboardEvent.code` values work too. */
const KEY_NAMES: Readonly<Record<string, string>> = {
  ctrl: 'ControlLeft',
  control: 'ControlLeft',
  rctrl: 'ControlRight',
  alt: 'AltLeft',
  altgr: 'AltRight',
  ralt: 'AltRight',
  shift: 'ShiftLeft',
  rshift: 'ShiftRight',
  win: 'MetaLeft',
  super: 'MetaLeft',
  meta: 'MetaLeft',
  menu: 'ContextMenu',
  del: 'Delete',
  ins: 'Insert',
  esc: 'Escape',
  bs: 'Backspace',
  return: 'Enter',
  spacebar: 'Space',
  pgup: 'PageUp',
  pgdn: 'PageDown',
  up: 'ArrowUp',
  down: 'ArrowDown',
  left: 'ArrowLeft',
  right: 'ArrowRight',
  break: 'Pause',
  prtsc: 'PrintScreen',
  print: 'PrintScreen',
  sysrq: 'PrintScreen',
  caps: 'CapsLock',
  num: 'NumLock',
  scroll: 'ScrollLock',
  minus: 'Minus',
};
const CODES_BY_LOWER_CASE: ReadonlyMap<string, string> = new Map(KNOWN_KEYS.map((code) => [code.toLowerCase(), code]));

/** Combinations a front end offers by name. */
export const COMBINATIONS: readonly string[] = [
  'Ctrl-Alt-Del',
  'Ctrl-Alt-Backspace',
  'Ctrl-Break',
  'Ctrl-Esc',
  'Alt-Tab',
  'Alt-F4',
  'Alt-PrintScreen',
  'PrintScreen',
  'Pause',
  'Insert',
  ...Array.from({ length: 12 }, (_, i) => `Ctrl-Alt-F${i + 1}`),
];

/**
 * Presses keys together.
 * @param name keys joined by `-` or `+`, case does not matter: `Ctrl-Alt-Del`, `win+r`, `Shift-Insert`
 * @throws CodedError<'unknown-key'>
 */
export function combinationScancodes(name: string): number[] {
  const codes = name.split(/[-+]/).map((part) => {
    const key = part.trim().toLowerCase();
    const named = Object.hasOwn(KEY_NAMES, key) ? KEY_NAMES[key] : CODES_BY_LOWER_CASE.get(key);
    const code = named ?? (key.length === 1 ? CHARACTERS.get(key)?.code : undefined);
    if (code === undefined) {
      throw new CodedError(
        'unknown-key',
        `no key is called '${part}' in '${name}': use names like Ctrl, Alt, Del, F1`,
        {
          key: part,
        },
      );
    }
    return code;
  });
  return pressTogether(codes);
}

/**
 * Scan codes as `VBoxManage controlvm keyboardputscancode` takes them.
 * @param words one byte each, one or two hexadecimal digits, `0x` allowed
 * @throws CodedError<'bad-scancode'>
 */
export function parseScancodeHex(words: readonly string[]): number[] {
  if (words.length === 0) {
    throw new CodedError('bad-scancode', 'no scan codes given: give hexadecimal bytes like 1c 9c');
  }
  return words.map((word, index) => {
    if (!/^(0x)?[0-9a-f]{1,2}$/i.test(word)) {
      throw new CodedError('bad-scancode', `'${word}' is not a hexadecimal byte: give values from 00 to ff`, {
        word,
        index,
      });
    }
    return Number.parseInt(word, 16);
  });
}
