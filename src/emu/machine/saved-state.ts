/**
 * The file of a saved machine.
 *
 *   0  8  magic "TABBOXSV"
 *   8  4  format version                     all numbers little-endian
 *  12  4  checksum of everything from 16 on (CRC-32, ITU-T V.42)
 *  16  4  bytes of JSON                      the record: configuration, devices, CPU, time
 *  20  4  bytes of arrays                    what the record's typed arrays hold (record-codec.ts)
 *  24  4  bytes of RAM the machine has
 *  28  4  number of pages stored
 *  32     JSON, padded to 8; arrays; page numbers (4 bytes each), padded to 8; pages of 4096 bytes
 *
 * Pages of zeros are left out. A file of another version is refused: a machine is no document.
 */
import { crc32 } from '#base/crc32.ts';
import { CodedError } from '#base/errors.ts';
import { PAGE_BYTES } from '#base/units.ts';
import { decodeRecord, encodeRecord, placePieces } from './record-codec.ts';

export type SavedStateErrorCode = 'not-a-saved-state' | 'other-version' | 'damaged-state';

/** Goes up whenever a device's record changes its meaning. */
export const SAVED_STATE_VERSION = 2;

export interface SavedState {
  /** What the machine gave to `encodeSavedState`. */
  readonly record: unknown;
  readonly ramBytes: number;
  /** Writes all of guest memory, zeros included. @param ram `ramBytes` long */
  fillRam(ram: Uint8Array): void;
}

/** "TABBOXSV" */
const MAGIC = [0x54, 0x41, 0x42, 0x42, 0x4f, 0x58, 0x53, 0x56] as const;
const HEADER_BYTES = 32;
const FIELD = { version: 8, checksum: 12, json: 16, arrays: 20, ram: 24, pages: 28 } as const;
const CHECKED_FROM = 16;

const padded = (byteCount: number): number => Math.ceil(byteCount / 8) * 8;

export function encodeSavedState(record: unknown, ram: Uint8Array): Uint8Array {
  const { json, pieces, byteCount } = encodeRecord(record);
  const text = toAscii(json);
  const pages = usedPages(ram);
  const arraysAt = HEADER_BYTES + padded(text.length);
  const numbersAt = arraysAt + byteCount;
  const pagesAt = numbersAt + padded(pages.length * 4);
  const file = new Uint8Array(pagesAt + pages.length * PAGE_BYTES);
  const view = new DataView(file.buffer);
  file.set(MAGIC);
  view.setUint32(FIELD.version, SAVED_STATE_VERSION, true);
  view.setUint32(FIELD.json, text.length, true);
  view.setUint32(FIELD.arrays, byteCount, true);
  view.setUint32(FIELD.ram, ram.length, true);
  view.setUint32(FIELD.pages, pages.length, true);
  file.set(text, HEADER_BYTES);
  placePieces(pieces, file, arraysAt);
  pages.forEach((page, i) => {
    view.setUint32(numbersAt + i * 4, page, true);
    file.set(ram.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), pagesAt + i * PAGE_BYTES);
  });
  view.setUint32(FIELD.checksum, crc32(file.subarray(CHECKED_FROM)), true);
  return file;
}

const refuse = (code: SavedStateErrorCode, message: string, details: Record<string, number> = {}): never => {
  throw new CodedError<SavedStateErrorCode>(code, message, details);
};

/**
 * @param file may be anything
 * @throws CodedError<SavedStateErrorCode>
 */
export function decodeSavedState(file: Uint8Array): SavedState {
  if (file.length < FIELD.version || MAGIC.some((byte, i) => file[i] !== byte)) {
    refuse('not-a-saved-state', 'the file is not a saved machine; choose one that savestate wrote');
  }
  if (file.length < HEADER_BYTES) refuse('damaged-state', 'the saved machine is cut off; use an undamaged copy');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const version = view.getUint32(FIELD.version, true);
  if (version !== SAVED_STATE_VERSION) {
    refuse(
      'other-version',
      `the saved machine has format ${version} and this program reads ${SAVED_STATE_VERSION}; restore it with the program that saved it`,
      { version },
    );
  }
  const [jsonBytes, arrayBytes, ramBytes, pageCount] = [FIELD.json, FIELD.arrays, FIELD.ram, FIELD.pages].map((at) =>
    view.getUint32(at, true),
  );
  const arraysAt = HEADER_BYTES + padded(jsonBytes);
  const numbersAt = arraysAt + arrayBytes;
  const pagesAt = numbersAt + padded(pageCount * 4);
  const expected = pagesAt + pageCount * PAGE_BYTES;
  if (file.length !== expected) {
    refuse('damaged-state', 'the saved machine has not the length it names; the file is cut off, use a whole copy', {
      byteCount: file.length,
      expected,
    });
  }
  if (view.getUint32(FIELD.checksum, true) !== crc32(file.subarray(CHECKED_FROM))) {
    refuse('damaged-state', 'the saved machine fails its checksum; the file is damaged, use another copy');
  }
  const numbers = Array.from({ length: pageCount }, (_, i) => view.getUint32(numbersAt + i * 4, true));
  if (ramBytes % PAGE_BYTES !== 0 || numbers.some((page) => (page + 1) * PAGE_BYTES > ramBytes)) {
    refuse('damaged-state', 'the saved machine has memory where it says there is none; use another copy');
  }
  const json = fromAscii(file.subarray(HEADER_BYTES, HEADER_BYTES + jsonBytes));
  return {
    record: decodeRecord(json, file.subarray(arraysAt, numbersAt)),
    ramBytes,
    fillRam: (ram) => {
      ram.fill(0);
      numbers.forEach((page, i) => {
        const from = pagesAt + i * PAGE_BYTES;
        ram.set(file.subarray(from, from + PAGE_BYTES), page * PAGE_BYTES);
      });
    },
  };
}

/** Numbers of the pages that hold anything but zeros. */
function usedPages(ram: Uint8Array): number[] {
  const words = new Int32Array(ram.buffer, ram.byteOffset, ram.length >> 2);
  const perPage = PAGE_BYTES / 4;
  const pages: number[] = [];
  for (let page = 0; page < ram.length / PAGE_BYTES; page++) {
    let at = page * perPage;
    const end = at + perPage;
    while (at < end && words[at] === 0) at++;
    if (at < end) pages.push(page);
  }
  return pages;
}

/** JSON text with everything beyond ASCII escaped: its characters are its bytes. */
function toAscii(text: string): Uint8Array {
  const ascii = text.replace(
    /[\u0080-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0));
}

function fromAscii(bytes: Uint8Array): string {
  const parts: string[] = [];
  const PART = 8192;
  for (let at = 0; at < bytes.length; at += PART) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + PART)));
  }
  return parts.join('');
}
