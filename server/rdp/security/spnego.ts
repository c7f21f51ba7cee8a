/** The negotiation around NTLM tokens. Source: RFC 4178 4.2; [MS-SPNG] 3.2.5. Not modelled: any mechanism but NTLM. */
import { BER_TAG, ber, concat, contextTag, readBer, readBerLength } from '../pdu/ber.ts';
import { PduReader } from '../pdu/bytes.ts';

type Bytes = Uint8Array;
const APPLICATION_0 = 0x60;
const OID_TAG = 6;
const STATE = { completed: 0, incomplete: 1, requestMic: 3 } as const;
/** 1.3.6.1.4.1.311.2.2.10 */
const NTLM_OID: Bytes = Uint8Array.of(0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10);

export interface SpnegoToken {
  /** The mechanism's own token. */
  readonly token: Bytes | undefined;
  readonly mic: Bytes | undefined;
  /** DER of the list of mechanisms, which the MIC is over; in the first token only. */
  readonly mechanisms: Bytes | undefined;
  /** The token is for NTLM, which is first on the list. */
  readonly isForNtlm: boolean;
}

export const isSpnego = (token: Bytes): boolean => token[0] === APPLICATION_0 || token[0] === contextTag(1);

/** A NegTokenInit or NegTokenResp. @throws PduError */
export function decodeSpnego(bytes: Bytes): SpnegoToken {
  const r = new PduReader(bytes);
  let body: PduReader;
  if (bytes[0] === APPLICATION_0) {
    const application = readBer(r, APPLICATION_0);
    readBer(application, OID_TAG);
    body = readBer(readBer(application, contextTag(0)), BER_TAG.sequence);
  } else body = readBer(readBer(r, contextTag(1)), BER_TAG.sequence);
  const isFirst = bytes[0] === APPLICATION_0;
  const found: { token?: Bytes; mic?: Bytes; mechanisms?: Bytes } = {};
  let isForNtlm = true;
  while (body.remaining > 0) {
    const tag = body.u8();
    const value = body.part(readBerLength(body));
    if (tag === contextTag(2)) found.token = readBer(value, BER_TAG.octetString).rest();
    else if (tag === contextTag(3) && !isFirst) found.mic = readBer(value, BER_TAG.octetString).rest();
    else if (tag === contextTag(0) && isFirst) {
      found.mechanisms = value.bytes.slice(value.at, value.end);
      const first = readBer(readBer(value, BER_TAG.sequence), OID_TAG).rest();
      isForNtlm = Buffer.compare(first, NTLM_OID) === 0;
    }
  }
  return { token: found.token, mic: found.mic, mechanisms: found.mechanisms, isForNtlm };
}

const response = (...fields: readonly Bytes[]): Bytes => ber(contextTag(1), ber(BER_TAG.sequence, concat(...fields)));
const octets = (n: number, bytes: Bytes): Bytes => ber(contextTag(n), ber(BER_TAG.octetString, bytes));
const state = (value: number): Bytes => ber(contextTag(0), ber(BER_TAG.enumerated, Uint8Array.of(value)));

/** Goes on with NTLM. @param token undefined: the client's first one was for another mechanism */
export function encodeSpnegoChallenge(token: Bytes | undefined, wantsMic: boolean): Bytes {
  const fields = [state(wantsMic ? STATE.requestMic : STATE.incomplete), ber(contextTag(1), ber(OID_TAG, NTLM_OID))];
  return response(...fields, ...(token ? [octets(2, token)] : []));
}

export const encodeSpnegoCompleted = (mic: Bytes | undefined): Bytes =>
  response(state(STATE.completed), ...(mic ? [octets(3, mic)] : []));
