// TFTP packets with options. Source: RFC 1350 5, RFC 2347 (options), RFC 2348 (blksize), RFC 2349 (timeout, tsize),
// RFC 7440 (windowsize).

import { concat, put16, u16 } from './bytes.ts';

export const TFTP_ERROR = {
  undefined: 0,
  notFound: 1,
  accessViolation: 2,
  illegalOperation: 4,
  unknownTransfer: 5,
  badOption: 8,
} as const;
const OPCODE = { read: 1, write: 2, data: 3, ack: 4, error: 5, optionAck: 6 } as const;

export type TftpPacket =
  | {
      readonly kind: 'read' | 'write';
      readonly file: string;
      /** Lower case. */
      readonly mode: string;
      /** Names in lower case. */
      readonly options: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'data'; readonly block: number; readonly data: Uint8Array }
  | { readonly kind: 'ack'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'optionAck'; readonly options: ReadonlyMap<string, string> };

/** @returns undefined when it is cut short or no packet */
export function decodeTftp(b: Uint8Array): TftpPacket | undefined {
  if (b.length < 4) return undefined;
  const opcode = u16(b, 0);
  switch (opcode) {
    case OPCODE.read:
    case OPCODE.write: {
      const texts = zeroTerminated(b, 2);
      if (!texts || texts.length < 2 || texts.length % 2 !== 0) return undefined;
      const kind = opcode === OPCODE.read ? 'read' : 'write';
      return { kind, file: texts[0], mode: texts[1].toLowerCase(), options: pairs(texts.slice(2)) };
    }
    case OPCODE.data:
      return { kind: 'data', block: u16(b, 2), data: b.subarray(4) };
    case OPCODE.ack:
      return { kind: 'ack', block: u16(b, 2) };
    case OPCODE.error:
      return { kind: 'error', code: u16(b, 2), message: zeroTerminated(b, 4)?.[0] ?? '' };
    case OPCODE.optionAck: {
      const texts = zeroTerminated(b, 2);
      return texts && texts.length % 2 === 0 ? { kind: 'optionAck', options: pairs(texts) } : undefined;
    }
    default:
      return undefined;
  }
}

export function encodeTftp(packet: TftpPacket): Uint8Array {
  switch (packet.kind) {
    case 'read':
    case 'write': {
      const texts = [packet.file, packet.mode, ...[...packet.options].flat()];
      return concat(head(packet.kind === 'read' ? OPCODE.read : OPCODE.write), ...texts.map(terminated));
    }
    case 'data':
      return concat(head(OPCODE.data, packet.block), packet.data);
    case 'ack':
      return head(OPCODE.ack, packet.block);
    case 'error':
      return concat(head(OPCODE.error, packet.code), terminated(packet.message));
    case 'optionAck':
      return concat(head(OPCODE.optionAck), ...[...packet.options].flat().map(terminated));
  }
}

function head(opcode: number, word?: number): Uint8Array {
  const b = new Uint8Array(word === undefined ? 2 : 4);
  put16(b, 0, opcode);
  if (word !== undefined) put16(b, 2, word);
  return b;
}

const terminated = (text: string): Uint8Array => Uint8Array.from(`${text}\0`, (c) => c.charCodeAt(0));

function zeroTerminated(b: Uint8Array, from: number): string[] | undefined {
  if (b.length <= from || b[b.length - 1] !== 0) return undefined;
  return String.fromCharCode(...b.subarray(from, b.length - 1)).split('\0');
}

function pairs(texts: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let n = 0; n + 1 < texts.length; n += 2) map.set(texts[n].toLowerCase(), texts[n + 1]);
  return map;
}
