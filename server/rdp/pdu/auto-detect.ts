/**
 * Network auto-detection: how long the way to a client and back is, and what it carries.
 * Source: [MS-RDPBCGR] 2.2.14.1.1 (RDP_RTT_REQUEST), 2.2.14.1.2 (RDP_BW_START), 2.2.14.1.4 (RDP_BW_STOP), 2.2.14.1.5
 * (RDP_NETCHAR_RESULT), 2.2.14.2.1 (RDP_RTT_RESPONSE), 2.2.14.2.2 (RDP_BW_RESULTS).
 * Not modelled: measuring while somebody connects (RDP_BW_PAYLOAD, RDP_NETCHAR_SYNC); UDP.
 */
import { type PduReader, PduWriter } from './bytes.ts';

const TYPE = { request: 0, response: 1 } as const;
const HEADER_BYTES = 6;
/** requestType, all outside the connection sequence; of results: base and average, with bandwidth between them or not. */
const REQUEST = {
  ...{ roundTrip: 0x0001, bandwidthStart: 0x0014, bandwidthStop: 0x0429 },
  ...{ result: 0x0840, resultWithBandwidth: 0x08c0 },
} as const;
/** responseType. */
const RESPONSE = { roundTrip: 0x0000, bandwidth: 0x000b } as const;

export type AutoDetectResponse =
  | { readonly kind: 'round trip'; readonly sequence: number }
  /** What came between start and stop, and how long that took. */
  | { readonly kind: 'bandwidth'; readonly sequence: number; readonly tookMs: number; readonly byteCount: number };

const header = (sequence: number, type: number, moreBytes = 0): PduWriter =>
  new PduWriter()
    .u8(HEADER_BYTES + moreBytes)
    .u8(TYPE.request)
    .u16(sequence)
    .u16(type);

/** @param sequence 16 bits, which the answer has as well */
export const encodeRoundTripRequest = (sequence: number): Uint8Array => header(sequence, REQUEST.roundTrip).done();

/** From here on the client counts what comes. */
export const encodeBandwidthStart = (sequence: number): Uint8Array => header(sequence, REQUEST.bandwidthStart).done();

/** @param sequence 16 bits, which the answer has as well */
export const encodeBandwidthStop = (sequence: number): Uint8Array => header(sequence, REQUEST.bandwidthStop).done();

/**
 * What was found out, for the client to show.
 * @param baseMs the shortest of late
 * @param kilobits a second; undefined: not known
 */
export const encodeNetworkResult = (
  sequence: number,
  baseMs: number,
  averageMs: number,
  kilobits?: number,
): Uint8Array =>
  kilobits === undefined
    ? header(sequence, REQUEST.result, 8).u32(baseMs).u32(averageMs).done()
    : header(sequence, REQUEST.resultWithBandwidth, 12).u32(baseMs).u32(kilobits).u32(averageMs).done();

/**
 * @param r behind the security header
 * @returns undefined: it answers nothing that was asked
 * @throws PduError
 */
export function decodeAutoDetectResponse(r: PduReader): AutoDetectResponse | undefined {
  r.skip(1);
  const isResponse = r.u8() === TYPE.response;
  const sequence = r.u16();
  if (!isResponse) return undefined;
  switch (r.u16()) {
    case RESPONSE.roundTrip:
      return { kind: 'round trip', sequence };
    case RESPONSE.bandwidth:
      return { kind: 'bandwidth', sequence, tookMs: r.u32(), byteCount: r.u32() };
    default:
      return undefined;
  }
}
