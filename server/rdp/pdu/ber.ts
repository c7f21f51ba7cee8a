/** Basic and packed encoding rules, as far as MCS, GCC and CredSSP need them. Source: [X.690] 8; [X.691] 10.9. */
import { PduError, type PduReader, PduWriter } from './bytes.ts';

export const BER_TAG = { boolean: 1, integer: 2, octetString: 4, enumerated: 10, sequence: 0x30 } as const;
/** [n] EXPLICIT, constructed. */
export const contextTag = (n: number): number => 0xa0 | n;

/** @throws PduError for lengths above 2^24 and indefinite ones */
export function readBerLength(r: PduReader): number {
  const first = r.u8();
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count === 0 || count > 3) throw new PduError('a BER length is of no use', { first });
  let length = 0;
  for (let i = 0; i < count; i++) length = (length << 8) | r.u8();
  return length;
}

export function writeBerLength(w: PduWriter, length: number): PduWriter {
  if (length < 0x80) return w.u8(length);
  if (length < 0x100) return w.u8(0x81).u8(length);
  if (length < 0x1_0000) return w.u8(0x82).u16be(length);
  return w
    .u8(0x83)
    .u8(length >>> 16)
    .u16be(length);
}

/** A reader of the contents of the element at hand. @throws PduError when it has another tag */
export function readBer(r: PduReader, tag: number): PduReader {
  const found = tag > 0xff ? r.u16be() : r.u8();
  if (found !== tag) throw new PduError('a BER element has another tag', { expected: tag, found });
  return r.part(readBerLength(r));
}

/** @throws PduError for integers above 32 bits */
export function readBerInteger(r: PduReader): number {
  const body = readBer(r, BER_TAG.integer);
  if (body.remaining === 0 || body.remaining > 5) throw new PduError('a BER integer has a wrong length');
  let value = 0;
  while (body.remaining > 0) value = value * 256 + body.u8();
  return value;
}

/** An element around contents. */
export function ber(tag: number, contents: Uint8Array): Uint8Array {
  const w = new PduWriter(contents.length + 8);
  if (tag > 0xff) w.u16be(tag);
  else w.u8(tag);
  return writeBerLength(w, contents.length).bytes(contents).done();
}

export const berInteger = (value: number): Uint8Array => {
  const bytes: number[] = [];
  for (let left = value; left > 0 || bytes.length === 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  if (bytes[0] & 0x80) bytes.unshift(0);
  return ber(BER_TAG.integer, Uint8Array.from(bytes));
};

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => {
  const w = new PduWriter(parts.reduce((sum, part) => sum + part.length, 0));
  for (const part of parts) w.bytes(part);
  return w.done();
};

/** PER length determinant, up to 3FFFh. */
export function readPerLength(r: PduReader): number {
  const first = r.u8();
  return first & 0x80 ? ((first & 0x7f) << 8) | r.u8() : first;
}

export const writePerLength = (w: PduWriter, length: number): PduWriter =>
  length < 0x80 ? w.u8(length) : w.u16be(length | 0x8000);
