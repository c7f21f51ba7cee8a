/**
 * Network auto-detection: how long the way to a client and back is.
 * Source: [MS-RDPBCGR] 2.2.14.1.1 (RDP_RTT_REQUEST), 2.2.14.1.5 (RDP_NETCHAR_RESULT), 2.2.14.2.1 (RDP_RTT_RESPONSE).
 * Not modelled: bandwidth, which acknowledged frames tell; measuring while somebody connects.
 */
import { type PduReader, PduWriter } from './bytes.ts';

const TYPE = { request: 0, response: 1 } as const;
const HEADER_BYTES = 6;
/** requestType: outside the connection sequence; base and average, no bandwidth. */
const REQUEST = { roundTrip: 0x0001, result: 0x0840 } as const;
const ROUND_TRIP_RESPONSE = 0;

/** @param sequence 16 bits, which the answer has as well */
export const encodeRoundTripRequest = (sequence: number): Uint8Array =>
  new PduWriter().u8(HEADER_BYTES).u8(TYPE.request).u16(sequence).u16(REQUEST.roundTrip).done();

/** What was found out, for the client to show. @param baseMs the shortest of late */
export const encodeNetworkResult = (sequence: number, baseMs: number, averageMs: number): Uint8Array =>
  new PduWriter()
    .u8(HEADER_BYTES + 8)
    .u8(TYPE.request)
    .u16(sequence)
    .u16(REQUEST.result)
    .u32(baseMs)
    .u32(averageMs)
    .done();

/**
 * @param r behind the security header
 * @returns the sequence number of the round trip that it answers; undefined: it is another answer
 * @throws PduError
 */
export function decodeRoundTripResponse(r: PduReader): number | undefined {
  r.skip(1);
  const type = r.u8();
  const sequence = r.u16();
  return type === TYPE.response && r.u16() === ROUND_TRIP_RESPONSE ? sequence : undefined;
}
