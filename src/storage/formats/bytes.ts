/** Reads past the end give zeros: a head may be shorter than a format's fields reach, and no file may make us throw. */
export class ByteView {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  u8(at: number): number {
    return this.bytes[at] ?? 0;
  }

  u16(at: number): number {
    return this.u8(at) | (this.u8(at + 1) << 8);
  }

  u32(at: number): number {
    return (this.u16(at) | (this.u16(at + 2) << 16)) >>> 0;
  }

  u32be(at: number): number {
    return ((this.u8(at) << 24) | (this.u8(at + 1) << 16) | (this.u8(at + 2) << 8) | this.u8(at + 3)) >>> 0;
  }

  /** Exact up to 2^53. */
  u64(at: number): number {
    return this.u32(at) + this.u32(at + 4) * 0x1_0000_0000;
  }

  /** Printable ASCII of a fixed-length or zero-ended field, trimmed; other bytes become `?`. */
  text(at: number, length: number): string {
    let text = '';
    for (let i = at; i < at + length; i++) {
      const byte = this.u8(i);
      if (byte === 0) break;
      text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
    }
    return text.trim();
  }

  /** True when the bytes at `at` are these; a string stands for its char codes. */
  has(at: number, signature: string | readonly number[]): boolean {
    const expected = typeof signature === 'string' ? [...signature].map((c) => c.charCodeAt(0)) : signature;
    return at >= 0 && expected.every((byte, i) => this.bytes[at + i] === byte);
  }
}
