/** The RC4 stream cipher, which OpenSSL no longer has. Source: RFC 6229 (test vectors); [MS-RDPBCGR] 5.3.6. */
export class Rc4 {
  readonly #state = new Uint8Array(256);
  #i = 0;
  #j = 0;

  /** @param key 1 to 256 bytes */
  constructor(key: Uint8Array) {
    const s = this.#state;
    for (let i = 0; i < 256; i++) s[i] = i;
    for (let i = 0, j = 0; i < 256; i++) {
      j = (j + s[i] + key[i % key.length]) & 255;
      const swapped = s[i];
      s[i] = s[j];
      s[j] = swapped;
    }
  }

  /** Encrypts or decrypts in place. */
  apply(bytes: Uint8Array): void {
    const s = this.#state;
    let i = this.#i;
    let j = this.#j;
    for (let at = 0; at < bytes.length; at++) {
      i = (i + 1) & 255;
      const a = s[i];
      j = (j + a) & 255;
      const b = s[j];
      s[i] = b;
      s[j] = a;
      bytes[at] ^= s[(a + b) & 255];
    }
    this.#i = i;
    this.#j = j;
  }
}

/** A copy, encrypted or decrypted with a key of its own. */
export function rc4(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  new Rc4(key).apply(copy);
  return copy;
}
