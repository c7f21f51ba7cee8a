// TCP segments, read into a record that is used again and written in place.
// Source: RFC 9293 3.1 (header), RFC 7323 (window scale, timestamps), RFC 2018 (SACK).

import { put16, put32, u16, u32 } from './bytes.ts';
import { checksum, isIntact, pseudoHeader } from './checksum.ts';
import { PROTOCOL } from './ip.ts';

export const TCP_HEADER_BYTES = 20;
export const TCP = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;
const OPTION = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;
export const MAX_SACK_BLOCKS = 4;

/** One segment; offsets are into the buffer it was decoded from. */
export interface TcpSegment {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment: number;
  /** Bits of `TCP`. */
  flags: number;
  /** As in the header, not scaled. */
  window: number;
  dataAt: number;
  end: number;
  /** 0: no such option. */
  mss: number;
  /** -1: no such option. */
  windowScale: number;
  sackPermitted: boolean;
  hasTimestamps: boolean;
  timestamp: number;
  timestampEcho: number;
  /** Left and right edges in turn; `sackCount` blocks are valid. */
  readonly sack: number[];
  sackCount: number;
}

export const tcpSegment = (): TcpSegment => ({
  sourcePort: 0,
  destinationPort: 0,
  sequence: 0,
  acknowledgment: 0,
  flags: 0,
  window: 0,
  dataAt: 0,
  end: 0,
  mss: 0,
  windowScale: -1,
  sackPermitted: false,
  hasTimestamps: false,
  timestamp: 0,
  timestampEcho: 0,
  sack: new Array<number>(MAX_SACK_BLOCKS * 2).fill(0),
  sackCount: 0,
});

/**
 * @param at, end the IP payload
 * @param addressAt, addressBytes where `b` has the addresses
 * @returns false when it is short or the checksum is wrong; an option that makes no sense is as if it were not there
 */
export function decodeTcp(
  b: Uint8Array,
  at: number,
  end: number,
  addressAt: number,
  addressBytes: number,
  into: TcpSegment,
): boolean {
  if (end < at + TCP_HEADER_BYTES) return false;
  const headerBytes = (b[at + 12] >>> 4) * 4;
  if (headerBytes < TCP_HEADER_BYTES || end < at + headerBytes) return false;
  if (!isIntact(b, at, end, pseudoHeader(b, addressAt, addressBytes, PROTOCOL.tcp, end - at))) return false;
  into.sourcePort = u16(b, at);
  into.destinationPort = u16(b, at + 2);
  into.sequence = u32(b, at + 4);
  into.acknowledgment = u32(b, at + 8);
  into.flags = b[at + 13] & 63;
  into.window = u16(b, at + 14);
  into.dataAt = at + headerBytes;
  into.end = end;
  into.mss = 0;
  into.windowScale = -1;
  into.sackPermitted = false;
  into.hasTimestamps = false;
  into.sackCount = 0;
  if (headerBytes > TCP_HEADER_BYTES) decodeOptions(b, at + TCP_HEADER_BYTES, at + headerBytes, into);
  return true;
}

function decodeOptions(b: Uint8Array, from: number, to: number, into: TcpSegment): void {
  let at = from;
  while (at < to && b[at] !== OPTION.end) {
    if (b[at] === OPTION.nop) {
      at++;
      continue;
    }
    const bytes = b[at + 1];
    if (to < at + 2 || bytes < 2 || to < at + bytes) return;
    decodeOption(b, at, bytes, into);
    at += bytes;
  }
}

function decodeOption(b: Uint8Array, at: number, bytes: number, into: TcpSegment): void {
  const kind = b[at];
  if (kind === OPTION.timestamps && bytes === 10) {
    into.hasTimestamps = true;
    into.timestamp = u32(b, at + 2);
    into.timestampEcho = u32(b, at + 6);
  } else if (kind === OPTION.sack && bytes >= 10 && (bytes - 2) % 8 === 0) {
    into.sackCount = Math.min((bytes - 2) / 8, MAX_SACK_BLOCKS);
    for (let n = 0; n < into.sackCount * 2; n++) into.sack[n] = u32(b, at + 2 + n * 4);
  } else if ((into.flags & TCP.syn) !== 0) {
    if (kind === OPTION.mss && bytes === 4) into.mss = u16(b, at + 2);
    else if (kind === OPTION.windowScale && bytes === 3) into.windowScale = Math.min(b[at + 2], 14);
    else if (kind === OPTION.sackPermitted && bytes === 2) into.sackPermitted = true;
  }
}

/** Bytes of the options that `writeTcp` will write, a multiple of four. */
export function tcpOptionBytes(segment: TcpSegment): number {
  let bytes = segment.hasTimestamps ? 12 : 0;
  if (segment.sackCount > 0) bytes += 4 + segment.sackCount * 8;
  if (segment.mss > 0) bytes += 4;
  if (segment.windowScale >= 0) bytes += 4;
  if (segment.sackPermitted) bytes += 4;
  return bytes;
}

/**
 * Writes header, options and checksum; the data must be in place already.
 * @param end one behind the data
 * @param addressAt, addressBytes where `b` has the addresses
 */
export function writeTcp(
  b: Uint8Array,
  at: number,
  end: number,
  addressAt: number,
  addressBytes: number,
  segment: TcpSegment,
): void {
  put16(b, at, segment.sourcePort);
  put16(b, at + 2, segment.destinationPort);
  put32(b, at + 4, segment.sequence);
  put32(b, at + 8, segment.acknowledgment);
  const headerBytes = TCP_HEADER_BYTES + tcpOptionBytes(segment);
  b[at + 12] = headerBytes << 2;
  b[at + 13] = segment.flags;
  put16(b, at + 14, segment.window);
  put32(b, at + 16, 0);
  if (headerBytes > TCP_HEADER_BYTES) writeOptions(b, at + TCP_HEADER_BYTES, segment);
  put16(b, at + 16, checksum(b, at, end, pseudoHeader(b, addressAt, addressBytes, PROTOCOL.tcp, end - at)));
}

function writeOptions(b: Uint8Array, from: number, segment: TcpSegment): void {
  let at = from;
  const word = (value: number): void => {
    put32(b, at, value);
    at += 4;
  };
  if (segment.mss > 0) word((OPTION.mss << 24) | (4 << 16) | segment.mss);
  if (segment.windowScale >= 0) word((OPTION.nop << 24) | (OPTION.windowScale << 16) | (3 << 8) | segment.windowScale);
  if (segment.sackPermitted) word((OPTION.nop << 24) | (OPTION.nop << 16) | (OPTION.sackPermitted << 8) | 2);
  if (segment.hasTimestamps) {
    word((OPTION.nop << 24) | (OPTION.nop << 16) | (OPTION.timestamps << 8) | 10);
    word(segment.timestamp);
    word(segment.timestampEcho);
  }
  if (segment.sackCount > 0) {
    word((OPTION.nop << 24) | (OPTION.nop << 16) | (OPTION.sack << 8) | (2 + segment.sackCount * 8));
    for (let n = 0; n < segment.sackCount * 2; n++) word(segment.sack[n]);
  }
}

/** `a - b` of sequence numbers, as a signed 32-bit number. Source: RFC 9293 3.4. */
export const sequenceDifference = (a: number, b: number): number => (a - b) | 0;
