/** PDUs of the channel for microphones. Source: [MS-RDPEAI] 2.2.2 (initialization), 2.2.3 (data), 2.2.4 (format change). */
import { type AudioFormat, decodeFormat, writeFormat } from './audio.ts';
import { PduError, PduReader, PduWriter } from './bytes.ts';

/** 2.2.1, MessageId. */
const MESSAGE = { version: 1, formats: 2, open: 3, openReply: 4, dataIncoming: 5, data: 6, formatChange: 7 } as const;
const VERSION_1 = 1;
const MAX_FORMATS = 256;

export type AudioInputMessage =
  | { readonly kind: 'version' }
  /** What of the server's formats the client records, in the order in which it counts them. */
  | { readonly kind: 'formats'; readonly formats: readonly AudioFormat[] }
  /** Whether its device is open now. */
  | { readonly kind: 'opened'; readonly isOpen: boolean }
  | { readonly kind: 'format'; readonly index: number }
  | { readonly kind: 'data'; readonly data: Uint8Array };

/** @returns undefined for what asks for nothing. @throws PduError */
export function decodeAudioInput(message: Uint8Array): AudioInputMessage | undefined {
  const r = new PduReader(message);
  switch (r.u8()) {
    case MESSAGE.version:
      return { kind: 'version' };
    case MESSAGE.formats: {
      const count = r.u32();
      if (count > MAX_FORMATS) throw new PduError('a client records too many formats', { count });
      r.skip(4);
      return { kind: 'formats', formats: Array.from({ length: count }, () => decodeFormat(r)) };
    }
    case MESSAGE.openReply:
      return { kind: 'opened', isOpen: (r.u32() | 0) >= 0 };
    case MESSAGE.formatChange:
      return { kind: 'format', index: r.u32() };
    case MESSAGE.data:
      return { kind: 'data', data: r.rest() };
    case MESSAGE.dataIncoming:
      return undefined;
    default:
      throw new PduError('an unknown message about microphones', { type: message[0] });
  }
}

export const encodeInputVersion = (): Uint8Array => new PduWriter(5).u8(MESSAGE.version).u32(VERSION_1).done();

export function encodeInputFormats(formats: readonly AudioFormat[]): Uint8Array {
  const w = new PduWriter().u8(MESSAGE.formats).u32(formats.length).u32(0);
  for (const format of formats) writeFormat(w, format);
  w.patch32(5, w.length);
  return w.done();
}

/** @param frames of a packet, @param index into the client's formats */
export function encodeInputOpen(frames: number, index: number, format: AudioFormat): Uint8Array {
  return writeFormat(new PduWriter().u8(MESSAGE.open).u32(frames).u32(index), format).done();
}
