/**
 * Multipoint communication service: connect PDUs and domain PDUs.
 * Source: [T.125] 7 and 11.8; [MS-RDPBCGR] 2.2.1.3 to 2.2.1.9, 2.2.2.3 (ultimatum), 2.2.8.1 and 2.2.9.1 (data).
 */
import { BER_TAG, ber, berInteger, concat, readBer, readPerLength, writePerLength } from './ber.ts';
import { PduError, type PduReader, PduWriter } from './bytes.ts';

const CONNECT = { initial: 0x7f65, response: 0x7f66 } as const;
/** Domain PDUs by their choice number. */
export const MCS = {
  erectDomainRequest: 1,
  disconnectProviderUltimatum: 8,
  attachUserRequest: 10,
  attachUserConfirm: 11,
  channelJoinRequest: 14,
  channelJoinConfirm: 15,
  sendDataRequest: 25,
  sendDataIndication: 26,
} as const;
/** User ids are sent relative to this one. */
const USER_ID_BASE = 1001;
export const MCS_REASON = { providerInitiated: 1, userRequested: 3 } as const;
const RESULT = { successful: 0, noSuchChannel: 4 } as const;
const HIGH_PRIORITY_WHOLE = 0x70;
/** rdesktop misreads longer PER lengths. */
export const MAX_MCS_DATA: number = 0x4000 - 512;

/** @returns a reader of the GCC conference create request. @throws PduError */
export function decodeConnectInitial(r: PduReader): PduReader {
  const body = readBer(r, CONNECT.initial);
  readBer(body, BER_TAG.octetString);
  readBer(body, BER_TAG.octetString);
  readBer(body, BER_TAG.boolean);
  for (let i = 0; i < 3; i++) readBer(body, BER_TAG.sequence);
  return readBer(body, BER_TAG.octetString);
}

/** @param userData a GCC conference create response */
export function encodeConnectResponse(userData: Uint8Array): Uint8Array {
  // Channels, users, tokens, priorities, throughput, height, PDU size, version.
  const parameters = [34, 3, 0, 1, 0, 1, 0xfff8, 2].map(berInteger);
  const body = concat(
    ber(BER_TAG.enumerated, Uint8Array.of(RESULT.successful)),
    berInteger(0),
    ber(BER_TAG.sequence, concat(...parameters)),
    ber(BER_TAG.octetString, userData),
  );
  return ber(CONNECT.response, body);
}

export type DomainPdu =
  | { readonly kind: 'erectDomain' | 'attachUser' | 'disconnect' }
  | { readonly kind: 'channelJoin'; readonly userId: number; readonly channelId: number }
  | { readonly kind: 'data'; readonly userId: number; readonly channelId: number; readonly payload: PduReader };

/** What a client may send behind its connect initial. @throws PduError */
export function decodeDomainPdu(r: PduReader): DomainPdu {
  const choice = r.u8() >>> 2;
  switch (choice) {
    case MCS.erectDomainRequest:
      return { kind: 'erectDomain' };
    case MCS.attachUserRequest:
      return { kind: 'attachUser' };
    case MCS.disconnectProviderUltimatum:
      return { kind: 'disconnect' };
    case MCS.channelJoinRequest:
      return { kind: 'channelJoin', userId: r.u16be() + USER_ID_BASE, channelId: r.u16be() };
    case MCS.sendDataRequest: {
      const userId = r.u16be() + USER_ID_BASE;
      const channelId = r.u16be();
      r.skip(1);
      return { kind: 'data', userId, channelId, payload: r.part(readPerLength(r)) };
    }
    default:
      throw new PduError('a client may not send this MCS PDU', { choice });
  }
}

export const encodeAttachUserConfirm = (userId: number): Uint8Array =>
  new PduWriter()
    .u8((MCS.attachUserConfirm << 2) | 2)
    .u8(RESULT.successful)
    .u16be(userId - USER_ID_BASE)
    .done();

/** @param joined false: there is no such channel */
export function encodeChannelJoinConfirm(userId: number, channelId: number, joined: boolean): Uint8Array {
  const w = new PduWriter().u8((MCS.channelJoinConfirm << 2) | (joined ? 2 : 0));
  w.u8(joined ? RESULT.successful : RESULT.noSuchChannel).u16be(userId - USER_ID_BASE);
  w.u16be(channelId);
  return joined ? w.u16be(channelId).done() : w.done();
}

/** @param payload at most MAX_MCS_DATA bytes for every client to read it */
export function encodeSendDataIndication(userId: number, channelId: number, payload: Uint8Array): Uint8Array {
  const w = new PduWriter(payload.length + 8);
  w.u8(MCS.sendDataIndication << 2)
    .u16be(userId - USER_ID_BASE)
    .u16be(channelId)
    .u8(HIGH_PRIORITY_WHOLE);
  return writePerLength(w, payload.length).bytes(payload).done();
}

export const encodeDisconnectUltimatum = (reason: number): Uint8Array =>
  Uint8Array.of((MCS.disconnectProviderUltimatum << 2) | (reason >>> 1), (reason & 1) << 7);
