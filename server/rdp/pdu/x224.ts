/**
 * X.224 TPDUs in their TPKT packets.
 * Source: RFC 1006; [X.224] 13.3, 13.4, 13.7; [MS-RDPBCGR] 2.2.1.1 (Connection Request), 2.2.1.2 (Connection Confirm).
 */
import { asciiText, PduError, PduReader, PduWriter } from './bytes.ts';
import { TPKT_HEADER_BYTES } from './tpkt.ts';

const TPDU = { connectionRequest: 0xe0, connectionConfirm: 0xd0, data: 0xf0 } as const;
const NEGOTIATION = { request: 1, response: 2, failure: 3 } as const;
const END_OF_TPDU = 0x80;
const NEGOTIATION_BYTES = 8;
/** TPKT header and a Data TPDU's. */
export const DATA_HEADER_BYTES: number = TPKT_HEADER_BYTES + 3;

/** [MS-RDPBCGR] 2.2.1.1.1, requestedProtocols. Standard RDP security when none is set. */
export const PROTOCOL = { rdp: 0, ssl: 1, hybrid: 2, hybridEx: 8 } as const;
/** [MS-RDPBCGR] 2.2.1.2.1, flags. */
export const RESPONSE_FLAG = { extendedClientData: 1, graphicsPipeline: 2 } as const;
/** [MS-RDPBCGR] 2.2.1.2.2, failureCode. */
export const NEGOTIATION_FAILURE = { sslRequired: 1, sslNotAllowed: 2, inconsistent: 4, hybridRequired: 5 } as const;

export interface ConnectionRequest {
  /** What the client put into its cookie or routing token; '' when there is none. */
  readonly cookie: string;
  /** Bits of PROTOCOL; undefined: a client of before 2005, which negotiates nothing. */
  readonly protocols: number | undefined;
}

/** @param packet a whole TPKT packet. @throws PduError */
export function decodeConnectionRequest(packet: Uint8Array): ConnectionRequest {
  const r = new PduReader(packet, TPKT_HEADER_BYTES);
  const length = r.u8();
  if (length !== r.remaining) throw new PduError('a connection request has a wrong length', { length });
  const type = r.u8() & 0xf0;
  if (type !== TPDU.connectionRequest) throw new PduError('a connection begins with something else', { type });
  r.skip(5);
  const cookie = takeCookie(r);
  if (r.remaining < NEGOTIATION_BYTES) return { cookie, protocols: undefined };
  const kind = r.u8();
  r.skip(1);
  const bytes = r.u16();
  if (kind !== NEGOTIATION.request || bytes !== NEGOTIATION_BYTES) {
    throw new PduError('a connection request holds an unknown negotiation', { kind, bytes });
  }
  return { cookie, protocols: r.u32() };
}

/** Ends in CR LF; there is none when the next byte is a negotiation request's. */
function takeCookie(r: PduReader): string {
  if (r.remaining === 0 || r.bytes[r.at] === NEGOTIATION.request) return '';
  for (let end = r.at; end + 1 < r.end; end++) {
    if (r.bytes[end] !== 0x0d || r.bytes[end + 1] !== 0x0a) continue;
    const text = asciiText(r.take(end - r.at));
    r.skip(2);
    return text;
  }
  return '';
}

export type ConnectionAnswer =
  | { readonly kind: 'none' }
  | { readonly kind: 'selected'; readonly protocol: number; readonly flags: number }
  | { readonly kind: 'failure'; readonly code: number };

export function encodeConnectionConfirm(answer: ConnectionAnswer): Uint8Array {
  const negotiates = answer.kind !== 'none';
  const w = new PduWriter();
  w.u8(3).u8(0);
  w.u16be(TPKT_HEADER_BYTES + 7 + (negotiates ? NEGOTIATION_BYTES : 0));
  w.u8(6 + (negotiates ? NEGOTIATION_BYTES : 0))
    .u8(TPDU.connectionConfirm)
    .u16be(0);
  w.u16be(0x1234).u8(0);
  if (answer.kind === 'selected') {
    w.u8(NEGOTIATION.response).u8(answer.flags).u16(NEGOTIATION_BYTES).u32(answer.protocol);
  } else if (answer.kind === 'failure') w.u8(NEGOTIATION.failure).u8(0).u16(NEGOTIATION_BYTES).u32(answer.code);
  return w.done();
}

/** Puts a payload into a Data TPDU of a TPKT packet. @throws PduError when it is longer than a packet can be */
export function encodeData(payload: Uint8Array): Uint8Array {
  const length = DATA_HEADER_BYTES + payload.length;
  if (length > 0xffff) throw new PduError('a PDU is too long for a packet', { length });
  const w = new PduWriter(length);
  w.u8(3).u8(0).u16be(length).u8(2).u8(TPDU.data).u8(END_OF_TPDU);
  return w.bytes(payload).done();
}

/** A reader of the payload of a Data TPDU. @param packet a whole TPKT packet. @throws PduError */
export function decodeData(packet: Uint8Array): PduReader {
  const r = new PduReader(packet, TPKT_HEADER_BYTES);
  const length = r.u8();
  const type = r.u8();
  r.skip(1);
  if (length !== 2 || (type & 0xf0) !== TPDU.data) throw new PduError('a packet is no data', { type });
  return r;
}
