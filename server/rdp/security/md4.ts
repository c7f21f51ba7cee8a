/** The MD4 hash, which OpenSSL no longer has; NT passwords are kept as it. Source: RFC 1320. */

const BLOCK = 64;
const ROUND_2 = 0x5a827999;
const ROUND_3 = 0x6ed9eba1;
const ORDER_2 = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15] as const;
const ORDER_3 = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15] as const;
const SHIFTS = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15],
] as const;

const rotate = (value: number, count: number): number => (value << count) | (value >>> (32 - count));

/** @returns 16 bytes */
export function md4(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array((Math.floor((message.length + 8) / BLOCK) + 1) * BLOCK);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, message.length * 8, true);
  view.setUint32(padded.length - 4, Math.floor(message.length / 0x2000_0000), true);
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]);
  const words = new Int32Array(16);
  for (let at = 0; at < padded.length; at += BLOCK) {
    for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + i * 4, true);
    mix(state, words);
  }
  return new Uint8Array(state.buffer);
}

function mix(state: Int32Array, words: Int32Array): void {
  let [a, b, c, d] = state;
  for (let step = 0; step < 48; step++) {
    const round = step >> 4;
    const i = step & 15;
    let sum: number;
    if (round === 0) sum = ((b & c) | (~b & d)) + words[i];
    else if (round === 1) sum = ((b & c) | (b & d) | (c & d)) + words[ORDER_2[i]] + ROUND_2;
    else sum = (b ^ c ^ d) + words[ORDER_3[i]] + ROUND_3;
    const next = rotate((a + sum) | 0, SHIFTS[round][i & 3]);
    a = d;
    d = c;
    c = b;
    b = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}
