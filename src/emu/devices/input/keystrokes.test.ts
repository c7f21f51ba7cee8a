import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  COMBINATIONS,
  combinationScancodes,
  KNOWN_KEYS,
  keyScancodes,
  parseScancodeHex,
  textScancodes,
} from './keystrokes.ts';

const hex = (bytes: readonly number[]): string => bytes.map((b) => b.toString(16).padStart(2, '0')).join(' ');

describe('keyScancodes', () => {
  it.each([
    ['Escape', '01', '81'],
    ['KeyA', '1e', '9e'],
    ['ArrowUp', 'e0 48', 'e0 c8'],
    ['ControlRight', 'e0 1d', 'e0 9d'],
    ['NumpadEnter', 'e0 1c', 'e0 9c'],
    ['IntlBackslash', '56', 'd6'],
    ['AudioVolumeUp', 'e0 30', 'e0 b0'],
    ['PrintScreen', 'e0 2a e0 37', 'e0 b7 e0 aa'],
    ['Pause', 'e1 1d 45 e1 9d c5', ''],
    ['Fn', '', ''],
    ['constructor', '', ''],
  ])('%s', (code, down, up) => {
    expect([hex(keyScancodes(code, true)), hex(keyScancodes(code, false))]).toEqual([down, up]);
  });

  it('changes Print Screen under Alt and Pause under Ctrl', () => {
    expect(hex(keyScancodes('PrintScreen', true, { alt: true }))).toBe('54');
    expect(hex(keyScancodes('Pause', true, { ctrl: true }))).toBe('e0 46 e0 c6');
  });

  it('gives every key codes of its own, with the 104 keys of a US keyboard and one more', () => {
    const makes = new Set(KNOWN_KEYS.map((code) => hex(keyScancodes(code, true))));
    expect(makes.size).toBe(KNOWN_KEYS.length);
    expect(makes.has('')).toBe(false);
    expect(KNOWN_KEYS.length).toBeGreaterThan(105);
  });
});

describe('textScancodes', () => {
  it('types letters, shifted characters and line ends', () => {
    expect(textScancodes('aB|\r\n~').map(hex)).toEqual(['1e 9e', '2a 30 b0 aa', '2a 2b ab aa', '1c 9c', '2a 29 a9 aa']);
  });

  it('types every printable ASCII character and lets every key go', () => {
    const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
    const sequences = textScancodes(printable);
    expect(new Set(sequences.map(hex)).size).toBe(95);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...printable) }), (text) => {
        const down = new Set<number>();
        for (const byte of textScancodes(text).flat()) {
          if (byte & 0x80) expect(down.delete(byte & 0x7f)).toBe(true);
          else down.add(byte);
        }
        expect(down.size).toBe(0);
      }),
    );
  });

  it('says which character it cannot type', () => {
    expect(() => textScancodes('caf\u00e9')).toThrow(
      expect.objectContaining({ code: 'no-key', details: { character: '\u00e9', at: 3 } }),
    );
  });
});

describe('combinationScancodes', () => {
  it('presses in order and lets go in reverse', () => {
    expect(hex(combinationScancodes('Ctrl-Alt-Del'))).toBe('1d 38 e0 53 e0 d3 b8 9d');
    expect(hex(combinationScancodes('win+r'))).toBe('e0 5b 13 93 e0 db');
    expect(hex(combinationScancodes('Ctrl-Break'))).toBe('1d e0 46 e0 c6 9d');
    expect(hex(combinationScancodes('alt-PrintScreen'))).toBe('38 54 d4 b8');
  });

  it('knows all it offers and refuses what it does not know', () => {
    for (const name of COMBINATIONS) expect(combinationScancodes(name).length).toBeGreaterThan(1);
    expect(() => combinationScancodes('Ctrl-Foo')).toThrow(expect.objectContaining({ code: 'unknown-key' }));
    expect(() => combinationScancodes('')).toThrow(expect.objectContaining({ code: 'unknown-key' }));
  });
});

describe('parseScancodeHex', () => {
  it('round-trips bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1 }), (bytes) => {
        expect(parseScancodeHex(bytes.map((b) => b.toString(16)))).toEqual(bytes);
        expect(parseScancodeHex(bytes.map((b) => `0x${b.toString(16).toUpperCase()}`))).toEqual(bytes);
      }),
    );
  });

  it.each(['', 'g0', '1c9', '-1', '1c 9c', '0x'])('refuses %j', (word) => {
    expect(() => parseScancodeHex(['1c', word])).toThrow(
      expect.objectContaining({ code: 'bad-scancode', details: { word, index: 1 } }),
    );
  });

  it('refuses an empty list', () => {
    expect(() => parseScancodeHex([])).toThrow(expect.objectContaining({ code: 'bad-scancode' }));
  });
});
