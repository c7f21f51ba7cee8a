/**
 * The three scan code sets and the 8042's translation.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard", scan code tables; Microsoft "Keyboard Scan Code
 * Specification" 1.3a, appendix A (translation of set 2 to set 1).
 * Not modelled: keys with no set 3 code (Windows and media keys have the codes common keyboards give them, or none).
 */

export const BREAK_BIT = 0x80;
export const PREFIX_E0 = 0xe0;
export const PREFIX_E1 = 0xe1;
/** Sets 2 and 3: the next code is a break. */
export const PREFIX_BREAK = 0xf0;

/** Set 2 code to set 1 code for 00h..7Fh, as the 8042 translates. */
const SET2_TO_SET1_LOW =
  'ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59 ' +
  '65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b ' +
  '67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d ' +
  '69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f ' +
  '6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61 ' +
  '6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76 ' +
  '55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f ' +
  '52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54';

/** Hexadecimal bytes, `--` for 0. */
const bytesOf = (hex: string): number[] =>
  hex
    .trim()
    .split(' ')
    .map((byte) => (byte === '--' ? 0 : Number.parseInt(byte, 16)));

function translation(): Uint8Array {
  // Replies and other bytes above 7Fh pass unchanged; F7 and SysRq are the only keys there.
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  bytes.set(bytesOf(SET2_TO_SET1_LOW));
  bytes[0x83] = 0x41;
  bytes[0x84] = 0x54;
  return bytes;
}

/** What the 8042 makes of a byte from the keyboard, break prefixes apart. */
export const SET2_TO_SET1: Uint8Array = translation();

/** The set 2 code whose translation is a set 1 code 01h..7Fh; 0 for 00h. */
export const SET1_TO_SET2: Uint8Array = inverse();

function inverse(): Uint8Array {
  const codes = new Uint8Array(128);
  // Upwards, because of two set 2 codes for one key a keyboard sends the higher (83h for F7, 84h for SysRq).
  for (let set2 = 0; set2 <= 0x84; set2++) {
    const set1 = SET2_TO_SET1[set2];
    if (set1 < 0x80) codes[set1] = set2;
  }
  return codes;
}

/** Set 3 codes by set 1 code; rows of eight from 00h, `--` where there is none. */
const SET3_PLAIN =
  '-- 08 16 1e 26 25 2e 36 ' + //
  '3d 3e 46 45 4e 55 66 0d ' +
  '15 1d 24 2d 2c 35 3c 43 ' +
  '44 4d 54 5b 5a 11 1c 1b ' +
  '23 2b 34 33 3b 42 4b 4c ' +
  '52 0e 12 5c 1a 22 21 2a ' +
  '32 31 3a 41 49 4a 59 7e ' +
  '19 29 14 07 0f 17 1f 27 ' +
  '2f 37 3f 47 4f 76 5f 6c ' +
  '75 7d 84 6b 73 74 7c 69 ' +
  '72 7a 70 71 57 -- 13 56 ' +
  '5e';
const SET3_EXTENDED: Readonly<Record<number, number>> = {
  28: 0x79, // Keypad Enter
  29: 0x58, // Right Ctrl
  53: 0x77, // Keypad /
  55: 0x57, // Print Screen
  56: 0x39, // Right Alt
  70: 0x62, // Break
  71: 0x6e, // Home
  72: 0x63, // Up
  73: 0x6f, // Page Up
  75: 0x61, // Left
  77: 0x6a, // Right
  79: 0x65, // End
  80: 0x60, // Down
  81: 0x6d, // Page Down
  82: 0x67, // Insert
  83: 0x64, // Delete
  91: 0x8b, // Left Windows
  92: 0x8c, // Right Windows
  93: 0x8d, // Menu
};

/** Set 3 code by set 1 code, plus 80h for keys behind E0h; 0 where the set has none. */
export const SET1_TO_SET3: Uint8Array = set3();
/** Pause, which is E1 1D 45 in set 1. */
export const SET3_PAUSE = 0x62;

function set3(): Uint8Array {
  const codes = new Uint8Array(256);
  codes.set(bytesOf(SET3_PLAIN));
  for (const [set1, code] of Object.entries(SET3_EXTENDED)) codes[0x80 | Number(set1)] = code;
  return codes;
}
