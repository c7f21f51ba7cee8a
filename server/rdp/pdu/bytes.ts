/** Cursors over the bytes of a PDU. Reading past the end is an error of the peer's, never an `undefined`. */
import { CodedError } from '#base/errors.ts';

/** What a peer sent makes no sense. The connection it came over ends; nothing else happens. */
export class PduError extends CodedError<'bad-pdu'> {
  constructor(message: string, details: Readonly<Record<string, string | number>> = {}) {
    super('bad-pdu', message, details);
  }
}

/** Little-endian unless a method's name says otherwise. */
export class PduReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  /** @throws PduError unless `count` bytes are left */
  need(count: number): void {
    if (count > this.end - this.at) {
      throw new PduError('a PDU ends too early', { needed: count, left: this.end - this.at });
    }
  }

  u8(): number {
    this.need(1);
    return this.bytes[this.at++];
  }

  u16(): number {
    this.need(2);
    const { bytes, at } = this;
    this.at += 2;
    return bytes[at] | (bytes[at + 1] << 8);
  }

  i16(): number {
    return (this.u16() << 16) >> 16;
  }

  u32(): number {
    this.need(4);
    const { bytes, at } = this;
    this.at += 4;
    return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  }

  u16be(): number {
    const value = this.u16();
    return (value >>> 8) | ((value & 0xff) << 8);
  }

  u32be(): number {
    return ((this.u16be() << 16) | this.u16be()) >>> 0;
  }

  skip(count: number): void {
    this.need(count);
    this.at += count;
  }

  /** The next `count` bytes, not copied. */
  take(count: number): Uint8Array {
    this.need(count);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  rest(): Uint8Array {
    return this.take(this.remaining);
  }

  /** A reader of the next `count` bytes. */
  part(count: number): PduReader {
    this.need(count);
    this.at += count;
    return new PduReader(this.bytes, this.at - count, this.at);
  }
}

/** Little-endian unless a method's name says otherwise; grows. */
export class PduWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** @param capacity bytes that are likely to be enough */
  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    return this.u8(value).u8(value >>> 8);
  }

  u32(value: number): this {
    return this.u16(value).u16(value >>> 16);
  }

  u16be(value: number): this {
    return this.u8(value >>> 8).u8(value);
  }

  u32be(value: number): this {
    return this.u16be(value >>> 16).u16be(value);
  }

  bytes(values: ArrayLike<number>): this {
    this.#room(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
    return this;
  }

  zeros(count: number): this {
    this.#room(count);
    this.#length += count;
    return this;
  }

  /** Text in `count` bytes of ASCII, cut off or filled with zeros. */
  ascii(text: string, count: number = text.length): this {
    for (let i = 0; i < count; i++) this.u8(i < text.length ? text.charCodeAt(i) & 0x7f : 0);
    return this;
  }

  /** UTF-16, without an end mark. */
  utf16(text: string): this {
    for (let i = 0; i < text.length; i++) this.u16(text.charCodeAt(i));
    return this;
  }

  /** Overwrites two bytes that are there already. */
  patch16(at: number, value: number): void {
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >>> 8;
  }

  patch32(at: number, value: number): void {
    this.patch16(at, value);
    this.patch16(at + 2, value >>> 16);
  }

  /** What was written; the writer is finished with it. */
  done(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** UTF-16 up to the first NUL. */
export function utf16Text(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const unit = bytes[i] | (bytes[i + 1] << 8);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

/** ASCII up to the first NUL. */
export function asciiText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}
