/**
 * PDUs of the clipboard channel.
 * Source: [MS-RDPECLIP] 2.2.1 (header), 2.2.2 (initialization), 2.2.3 (formats), 2.2.5 (data and contents of files).
 * Not modelled: locks.
 */
import { PduError, PduReader, PduWriter, utf16Text } from './bytes.ts';

/** 2.2.1, msgType. */
const MESSAGE = {
  ...{ monitorReady: 1, formatList: 2, formatListResponse: 3, dataRequest: 4, dataResponse: 5 },
  ...{ capabilities: 7, fileRequest: 8, fileResponse: 9 },
} as const;
/** 2.2.1, msgFlags. */
const FLAG = { ok: 1, fail: 2, ascii: 4 } as const;
const VERSION_2 = 2;
const GENERAL_SET = 1;
/** 2.2.2.1.1.1, generalFlags. */
const GENERAL = { longNames: 2, fileStreams: 4, noPaths: 8 } as const;
/** 2.2.3.1.1.1: an identifier and a name of 32 bytes. */
const SHORT_FORMAT_BYTES = 36;
const MAX_FORMATS = 1024;
/** Windows' number for text in UTF-16. */
export const CF_UNICODETEXT = 13;
/** The format of a list of files, whose number is the client's affair. */
export const FILE_LIST_NAME = 'FileGroupDescriptorW';
/** Our number for it, one of those that Windows leaves to programs. */
export const FILES_FORMAT = 0xc0b1;
/** 2.2.5.2.3.1 CLIPRDR_FILEDESCRIPTOR. */
const DESCRIPTOR_BYTES = 592;
const FILE_NAME_BYTES = 520;
const DESCRIPTOR = { attributes: 4, size: 0x40, progress: 0x4000 } as const;
const ATTRIBUTE_DIRECTORY = 0x10;
const ATTRIBUTE_NORMAL = 0x80;
/** 2.2.5.3, dwFlags. */
const CONTENTS = { size: 1, range: 2 } as const;
const MAX_FILES = 100_000;

export interface ClipboardFormat {
  readonly id: number;
  /** Empty for Windows' own formats. */
  readonly name: string;
}

export type ClipboardMessage =
  /** What both sides can decides what later messages look like. */
  | { readonly kind: 'capabilities'; readonly hasLongNames: boolean; readonly hasFiles: boolean }
  | { readonly kind: 'formats'; readonly formats: readonly ClipboardFormat[] }
  | { readonly kind: 'formatsTaken' }
  | { readonly kind: 'dataRequest'; readonly format: number }
  /** data: undefined where the client has none to give. */
  | { readonly kind: 'data'; readonly data: Uint8Array | undefined }
  | { readonly kind: 'contents'; readonly stream: number; readonly data: Uint8Array | undefined }
  | ({ readonly kind: 'contentsRequest' } & ContentsRequest);

/** 2.2.5.3 CLIPRDR_FILECONTENTS_REQUEST. */
export interface ContentsRequest {
  /** The answer has it as well. */
  readonly stream: number;
  /** Place in the list. */
  readonly index: number;
  readonly want: 'size' | 'range' | 'neither';
  /** Of a range. */
  readonly at: number;
  readonly byteCount: number;
}

/** @param hasLongNames both sides have said so. @returns undefined for what asks for nothing. @throws PduError */
export function decodeClipboardMessage(message: Uint8Array, hasLongNames: boolean): ClipboardMessage | undefined {
  const r = new PduReader(message);
  const type = r.u16();
  const flags = r.u16();
  const body = r.part(r.u32());
  const isThere = (flags & FLAG.ok) !== 0;
  switch (type) {
    case MESSAGE.capabilities:
      return decodeCapabilities(body);
    case MESSAGE.formatList:
      return { kind: 'formats', formats: hasLongNames ? longFormats(body) : shortFormats(body, flags) };
    case MESSAGE.formatListResponse:
      return { kind: 'formatsTaken' };
    case MESSAGE.dataRequest:
      return { kind: 'dataRequest', format: body.u32() };
    case MESSAGE.dataResponse:
      return { kind: 'data', data: isThere ? body.rest() : undefined };
    case MESSAGE.fileResponse:
      return { kind: 'contents', stream: body.u32(), data: isThere ? body.rest() : undefined };
    case MESSAGE.fileRequest:
      return { kind: 'contentsRequest', ...decodeContentsRequest(body) };
    default:
      return undefined;
  }
}

function decodeCapabilities(body: PduReader): ClipboardMessage {
  let general = 0;
  const count = body.u16();
  body.skip(2);
  for (let i = 0; i < count; i++) {
    const type = body.u16();
    const length = body.u16();
    if (length < 4) throw new PduError('a capability of a clipboard is too short', { length });
    const set = body.part(length - 4);
    if (type !== GENERAL_SET) continue;
    set.skip(4);
    general = set.u32();
  }
  const has = (flag: number): boolean => (general & flag) !== 0;
  return { kind: 'capabilities', hasLongNames: has(GENERAL.longNames), hasFiles: has(GENERAL.fileStreams) };
}

function decodeContentsRequest(body: PduReader): ContentsRequest {
  const [stream, index, flags, low, high, byteCount] = Array.from({ length: 6 }, () => body.u32());
  const at = high * 2 ** 32 + low;
  const isRange = flags === CONTENTS.range && at <= Number.MAX_SAFE_INTEGER - byteCount;
  return { stream, index, at, byteCount, want: flags === CONTENTS.size ? 'size' : isRange ? 'range' : 'neither' };
}

function shortFormats(body: PduReader, flags: number): ClipboardFormat[] {
  const count = Math.floor(body.remaining / SHORT_FORMAT_BYTES);
  if (count > MAX_FORMATS) throw new PduError('a clipboard has too many formats', { count });
  return Array.from({ length: count }, () => {
    const id = body.u32();
    const name = body.take(SHORT_FORMAT_BYTES - 4);
    return { id, name: flags & FLAG.ascii ? '' : utf16Text(name) };
  });
}

/** 2.2.3.1.2.1: identifiers and names up to a NUL. */
function longFormats(body: PduReader): ClipboardFormat[] {
  const formats: ClipboardFormat[] = [];
  while (body.remaining > 0) {
    const id = body.u32();
    let name = '';
    for (let unit = body.u16(); unit !== 0; unit = body.u16()) name += String.fromCharCode(unit);
    formats.push({ id, name });
    if (formats.length > MAX_FORMATS) throw new PduError('a clipboard has too many formats', { count: MAX_FORMATS });
  }
  return formats;
}

/** Line ends as LF. */
export const clipboardText = (data: Uint8Array): string => utf16Text(data).replaceAll('\r\n', '\n');

export interface CopiedFile {
  /** Its place in the list. */
  readonly index: number;
  /** With the folders that it lies in, separated by backslashes. */
  readonly path: string;
  readonly isFolder: boolean;
  /** Undefined: the client has to be asked. */
  readonly byteCount: number | undefined;
}

/** 2.2.5.2.3 CLIPRDR_FILELIST. @throws PduError */
export function decodeFileList(data: Uint8Array): CopiedFile[] {
  const r = new PduReader(data);
  const count = r.u32();
  if (count > MAX_FILES) throw new PduError('too many files were copied', { count });
  return Array.from({ length: count }, (_, index) => {
    const one = r.part(DESCRIPTOR_BYTES);
    const flags = one.u32();
    one.skip(32);
    const attributes = one.u32();
    one.skip(24);
    const [high, low] = [one.u32(), one.u32()];
    const isFolder = (flags & DESCRIPTOR.attributes) !== 0 && (attributes & ATTRIBUTE_DIRECTORY) !== 0;
    const byteCount = flags & DESCRIPTOR.size ? high * 2 ** 32 + low : undefined;
    return { index, path: utf16Text(one.take(FILE_NAME_BYTES)), isFolder, byteCount };
  });
}

/** @param hasFiles long names and contents of files, besides text */
export function encodeClipboardCapabilities(hasFiles: boolean): Uint8Array {
  const general = hasFiles ? GENERAL.longNames | GENERAL.fileStreams | GENERAL.noPaths : 0;
  const w = new PduWriter().u16(1).u16(0).u16(GENERAL_SET).u16(12).u32(VERSION_2).u32(general);
  return pdu(MESSAGE.capabilities, 0, w.done());
}

export const encodeMonitorReady = (): Uint8Array => pdu(MESSAGE.monitorReady, 0, NOTHING);

export const encodeFormatsTaken = (): Uint8Array => pdu(MESSAGE.formatListResponse, FLAG.ok, NOTHING);

/** There is text. */
export const encodeTextFormat = (hasLongNames: boolean): Uint8Array =>
  pdu(
    MESSAGE.formatList,
    0,
    new PduWriter()
      .u32(CF_UNICODETEXT)
      .zeros(hasLongNames ? 2 : SHORT_FORMAT_BYTES - 4)
      .done(),
  );

/** Nothing can be pasted. */
export const encodeNoFormats = (): Uint8Array => pdu(MESSAGE.formatList, 0, NOTHING);

/** There are files: both sides have long names. */
export const encodeFilesFormat = (): Uint8Array =>
  pdu(MESSAGE.formatList, 0, new PduWriter().u32(FILES_FORMAT).utf16(FILE_LIST_NAME).u16(0).done());

/** 2.2.5.2.3 CLIPRDR_FILELIST. @param files names of at most 259 units */
export function encodeClipboardFiles(
  files: readonly { readonly name: string; readonly byteCount: number | undefined }[],
): Uint8Array {
  const w = new PduWriter(4 + files.length * DESCRIPTOR_BYTES).u32(files.length);
  for (const { name, byteCount } of files) {
    const flags = DESCRIPTOR.attributes | DESCRIPTOR.progress | (byteCount === undefined ? 0 : DESCRIPTOR.size);
    w.u32(flags).zeros(32).u32(ATTRIBUTE_NORMAL).zeros(24);
    w.u32(Math.floor((byteCount ?? 0) / 2 ** 32)).u32(byteCount ?? 0);
    w.utf16(name).zeros(FILE_NAME_BYTES - name.length * 2);
  }
  return pdu(MESSAGE.dataResponse, FLAG.ok, w.done());
}

/** The answer to a question about a file. @param data undefined: it cannot be had */
export function encodeContents(stream: number, data: Uint8Array | undefined): Uint8Array {
  const w = new PduWriter(4 + (data?.length ?? 0)).u32(stream).bytes(data ?? NOTHING);
  return pdu(MESSAGE.fileResponse, data ? FLAG.ok : FLAG.fail, w.done());
}

/** What such an answer has where a size was asked for. */
export const encodeFileSize = (byteCount: number): Uint8Array =>
  new PduWriter(8)
    .u32(byteCount)
    .u32(Math.floor(byteCount / 2 ** 32))
    .done();

export const encodeDataRequest = (format: number): Uint8Array =>
  pdu(MESSAGE.dataRequest, 0, new PduWriter().u32(format).done());

/** Asks how long a file is: eight bytes. */
export const encodeSizeRequest = (stream: number, index: number): Uint8Array =>
  contentsRequest(stream, index, CONTENTS.size, 0, 8);

/** Asks for bytes of a file. */
export const encodeRangeRequest = (stream: number, index: number, at: number, byteCount: number): Uint8Array =>
  contentsRequest(stream, index, CONTENTS.range, at, byteCount);

function contentsRequest(stream: number, index: number, flags: number, at: number, byteCount: number): Uint8Array {
  const w = new PduWriter().u32(stream).u32(index).u32(flags);
  return pdu(
    MESSAGE.fileRequest,
    0,
    w
      .u32(at)
      .u32(Math.floor(at / 2 ** 32))
      .u32(byteCount)
      .done(),
  );
}

/** There is nothing in the format that was asked for. */
export const encodeNoClipboardData = (): Uint8Array => pdu(MESSAGE.dataResponse, FLAG.fail, NOTHING);

/** @param text line ends as LF; undefined: there is nothing in the format that was asked for */
export function encodeClipboardData(text: string | undefined): Uint8Array {
  if (text === undefined) return encodeNoClipboardData();
  const w = new PduWriter(text.length * 2 + 64);
  return pdu(MESSAGE.dataResponse, FLAG.ok, w.utf16(text.replace(/\r?\n/g, '\r\n')).u16(0).done());
}

const NOTHING = new Uint8Array(0);

const pdu = (type: number, flags: number, body: Uint8Array): Uint8Array =>
  new PduWriter(8 + body.length).u16(type).u16(flags).u32(body.length).bytes(body).done();
