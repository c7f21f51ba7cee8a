/**
 * PDUs of the clipboard channel.
 * Source: [MS-RDPECLIP] 2.2.1 (header), 2.2.2 (initialization), 2.2.3 (formats), 2.2.5 (data).
 * Not modelled: long format names, files.
 */
import { PduError, PduReader, PduWriter, utf16Text } from './bytes.ts';

/** 2.2.1, msgType. */
const MESSAGE = {
  ...{ monitorReady: 1, formatList: 2, formatListResponse: 3, dataRequest: 4, dataResponse: 5 },
  capabilities: 7,
} as const;
/** 2.2.1, msgFlags. */
const FLAG = { ok: 1, fail: 2 } as const;
const VERSION_2 = 2;
/** 2.2.3.1.1.1: an identifier and a name of 32 bytes. */
const SHORT_FORMAT_BYTES = 36;
const MAX_FORMATS = 1024;
/** Windows' number for text in UTF-16. */
export const CF_UNICODETEXT = 13;

export type ClipboardMessage =
  | { readonly kind: 'formats'; readonly formats: readonly number[] }
  | { readonly kind: 'formatsTaken' }
  | { readonly kind: 'dataRequest'; readonly format: number }
  /** text: undefined where the client has none to give. */
  | { readonly kind: 'data'; readonly text: string | undefined };

/** @returns undefined for what asks for nothing. @throws PduError */
export function decodeClipboardMessage(message: Uint8Array): ClipboardMessage | undefined {
  const r = new PduReader(message);
  const type = r.u16();
  const flags = r.u16();
  const body = r.part(r.u32());
  if (type === MESSAGE.formatList) {
    const count = Math.floor(body.remaining / SHORT_FORMAT_BYTES);
    if (count > MAX_FORMATS) throw new PduError('a clipboard has too many formats', { count });
    const formats = Array.from({ length: count }, () => new PduReader(body.take(SHORT_FORMAT_BYTES)).u32());
    return { kind: 'formats', formats };
  }
  if (type === MESSAGE.formatListResponse) return { kind: 'formatsTaken' };
  if (type === MESSAGE.dataRequest) return { kind: 'dataRequest', format: body.u32() };
  if (type !== MESSAGE.dataResponse) return undefined;
  const isThere = (flags & FLAG.ok) !== 0;
  return { kind: 'data', text: isThere ? utf16Text(body.rest()).replaceAll('\r\n', '\n') : undefined };
}

/** What the server can: nothing beyond text, with short format names. */
export const encodeClipboardCapabilities = (): Uint8Array =>
  pdu(MESSAGE.capabilities, 0, new PduWriter().u16(1).u16(0).u16(1).u16(12).u32(VERSION_2).u32(0).done());

export const encodeMonitorReady = (): Uint8Array => pdu(MESSAGE.monitorReady, 0, NOTHING);

export const encodeFormatsTaken = (): Uint8Array => pdu(MESSAGE.formatListResponse, FLAG.ok, NOTHING);

/** There is text. */
export const encodeTextFormat = (): Uint8Array =>
  pdu(
    MESSAGE.formatList,
    0,
    new PduWriter()
      .u32(CF_UNICODETEXT)
      .zeros(SHORT_FORMAT_BYTES - 4)
      .done(),
  );

export const encodeTextRequest = (): Uint8Array =>
  pdu(MESSAGE.dataRequest, 0, new PduWriter().u32(CF_UNICODETEXT).done());

/** @param text line ends as LF; undefined: there is nothing in the format that was asked for */
export function encodeClipboardData(text: string | undefined): Uint8Array {
  if (text === undefined) return pdu(MESSAGE.dataResponse, FLAG.fail, NOTHING);
  const w = new PduWriter(text.length * 2 + 64);
  return pdu(MESSAGE.dataResponse, FLAG.ok, w.utf16(text.replace(/\r?\n/g, '\r\n')).u16(0).done());
}

const NOTHING = new Uint8Array(0);

const pdu = (type: number, flags: number, body: Uint8Array): Uint8Array =>
  new PduWriter(8 + body.length).u16(type).u16(flags).u32(body.length).bytes(body).done();
