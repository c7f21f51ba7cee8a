import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeMode1, msfOf } from './cd-sector.ts';

/** Multiplication in GF(2^8) of x^8 + x^4 + x^3 + x^2 + 1, bit by bit. */
function times(a: number, b: number): number {
  let product = 0;
  for (let x = a, y = b; y; y >>= 1, x = (x << 1) ^ (x & 0x80 ? 0x11d : 0)) if (y & 1) product ^= x;
  return product;
}

/** Both rows of the check matrix of ECMA-130, annex A: plain sum, and sum weighted by falling powers of alpha. */
function syndromes(word: readonly number[]): [number, number] {
  let weighted = 0;
  for (const byte of word) weighted = times(weighted, 2) ^ byte;
  return [word.reduce((sum, byte) => sum ^ byte, 0), weighted];
}

/** Remainder of the sector's first 2068 bytes divided by the EDC polynomial, bits taken least significant first. */
function edcRemainder(bytes: Uint8Array): number {
  let register = 0;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const out = (register >>> 31) & 1;
      register = ((register << 1) | ((byte >> bit) & 1)) >>> 0;
      // (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1)
      if (out) register = (register ^ 0x8001801b) >>> 0;
    }
  }
  return register;
}

describe('encodeMode1', () => {
  it('makes every P and Q word and the EDC check', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2048, maxLength: 2048 }), fc.nat(400_000), (user, lba) => {
        const sector = new Uint8Array(2352);
        sector.set(user, 16);
        encodeMode1(sector, 0, lba);
        expect(edcRemainder(sector.subarray(0, 2068))).toBe(0);
        // Words of annex A: byte pairs from 12 on, least and most significant byte coded apart.
        const at = (word: number, half: number): number => sector[12 + word * 2 + half];
        for (const half of [0, 1]) {
          for (let n = 0; n < 43; n++) {
            expect(syndromes(Array.from({ length: 26 }, (_, m) => at(43 * m + n, half)))).toEqual([0, 0]);
          }
          for (let n = 0; n < 26; n++) {
            const diagonal = Array.from({ length: 43 }, (_, m) => at((44 * m + 43 * n) % 1118, half));
            expect(syndromes([...diagonal, at(1118 + n, half), at(1144 + n, half)])).toEqual([0, 0]);
          }
        }
        expect(sector.slice(16, 2064)).toEqual(user);
      }),
      { numRuns: 20 },
    );
  });

  it('numbers sectors in minutes, seconds and frames', () => {
    expect([0, 74, 75, 4500, 449_999].map(msfOf)).toEqual([0, 74, 0x100, 0x10000, 0x633b4a]);
  });
});
