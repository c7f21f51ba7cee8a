// Fragmentation and reassembly of IP datagrams. Source: RFC 791 3.2, RFC 8200 4.5, RFC 5722 (overlaps), RFC 815.
//
// Bounded: at most `MAX_DATAGRAMS` unfinished ones, the oldest goes first. A datagram with overlapping, contradicting or
// too many fragments is dropped whole, because only an attack has them.

import type { Mac } from './address.ts';
import { hex, put16, put32, u32 } from './bytes.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE, writeEthernet } from './ethernet.ts';
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, type IpHeader, PROTOCOL, writeIpv4, writeIpv6 } from './ip.ts';

const MAX_DATAGRAMS = 64;
const MAX_FRAGMENTS = 128;
const MAX_BYTES = 65_535;
const TIMEOUT_MS = 30_000;

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Unfinished {
  readonly sinceMs: number;
  readonly protocol: number;
  pieces: Piece[];
  /** Known once the last fragment came. */
  totalBytes: number | undefined;
  bytes: number;
}

export interface Reassembled {
  readonly protocol: number;
  readonly payload: Uint8Array;
}

export class Reassembler {
  readonly #unfinished = new Map<string, Unfinished>();

  /** Datagrams waiting for the rest. */
  get waiting(): number {
    return this.#unfinished.size;
  }

  /** @returns the datagram's payload when this fragment was the last one missing */
  add(nowMs: number, b: Uint8Array, header: IpHeader): Reassembled | undefined {
    this.#expire(nowMs);
    const addresses = b.subarray(header.addressAt, header.addressAt + header.addressBytes);
    const key = `${hex(addresses)}/${header.fragmentId}/${header.version === 4 ? header.protocol : 0}`;
    const known = this.#unfinished.get(key);
    const one = known ?? { sinceMs: nowMs, protocol: header.protocol, pieces: [], totalBytes: undefined, bytes: 0 };
    const piece = { offset: header.fragmentOffset, bytes: b.slice(header.payloadAt, header.end) };
    if (!accept(one, piece, header.moreFragments)) {
      this.#unfinished.delete(key);
      return undefined;
    }
    if (one.totalBytes !== one.bytes) {
      if (!known) this.#remember(key, one);
      return undefined;
    }
    this.#unfinished.delete(key);
    const payload = new Uint8Array(one.bytes);
    for (const { offset, bytes } of one.pieces) payload.set(bytes, offset);
    return { protocol: one.protocol, payload };
  }

  #remember(key: string, one: Unfinished): void {
    if (this.#unfinished.size >= MAX_DATAGRAMS) {
      for (const oldest of this.#unfinished.keys()) {
        this.#unfinished.delete(oldest);
        break;
      }
    }
    this.#unfinished.set(key, one);
  }

  #expire(nowMs: number): void {
    for (const [key, { sinceMs }] of this.#unfinished) {
      if (nowMs - sinceMs < TIMEOUT_MS) return;
      this.#unfinished.delete(key);
    }
  }
}

function accept(one: Unfinished, piece: Piece, more: boolean): boolean {
  const end = piece.offset + piece.bytes.length;
  if (end > MAX_BYTES || piece.bytes.length === 0 || one.pieces.length >= MAX_FRAGMENTS) return false;
  if (more && piece.bytes.length % 8 !== 0) return false;
  if (!more && one.totalBytes !== undefined && one.totalBytes !== end) return false;
  // An exact duplicate is a retransmission, not an attack.
  const twin = one.pieces.find(({ offset }) => offset === piece.offset);
  if (twin) return twin.bytes.length === piece.bytes.length;
  if (one.pieces.some(({ offset, bytes }) => offset < end && piece.offset < offset + bytes.length)) return false;
  if (!more) one.totalBytes = end;
  if (one.totalBytes !== undefined && one.totalBytes < end) return false;
  if (one.pieces.some(({ offset, bytes }) => one.totalBytes !== undefined && one.totalBytes < offset + bytes.length))
    return false;
  one.pieces.push(piece);
  one.bytes += piece.bytes.length;
  return true;
}

/**
 * Frames that carry one IP payload, fragmented when it is larger than the MTU.
 * @param addresses source and destination, 8 or 32 bytes
 * @param id the datagram's, when it must be fragmented
 */
export function ipFrames(
  to: { readonly destination: Mac; readonly source: Mac; readonly mtu: number },
  addresses: Uint8Array,
  protocol: number,
  payload: Uint8Array,
  id: number,
  hopLimit = 64,
): Uint8Array[] {
  const isV4 = addresses.length === 8;
  const headerBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  const whole = headerBytes + payload.length <= to.mtu;
  const fragmentHeader = whole || isV4 ? 0 : 8;
  const room = whole ? payload.length : (to.mtu - headerBytes - fragmentHeader) & ~7;
  const frames: Uint8Array[] = [];
  for (let offset = 0; offset === 0 || offset < payload.length; offset += room) {
    const part = payload.subarray(offset, offset + room);
    const more = offset + part.length < payload.length;
    const at = ETHERNET_HEADER_BYTES;
    const frame = new Uint8Array(at + headerBytes + fragmentHeader + part.length);
    writeEthernet(frame, to.destination, to.source, isV4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6);
    if (isV4) {
      writeIpv4(frame, at, {
        totalBytes: headerBytes + part.length,
        protocol,
        source: u32(addresses, 0),
        destination: u32(addresses, 4),
        id: id & 0xffff,
        hopLimit,
        ...(whole ? {} : { fragment: (more ? 0x2000 : 0) | (offset / 8) }),
      });
    } else {
      const outer = whole ? protocol : PROTOCOL.ipv6Fragment;
      writeIpv6(frame, at, { payloadBytes: fragmentHeader + part.length, protocol: outer, addresses, hopLimit });
      if (!whole) {
        frame[at + IPV6_HEADER_BYTES] = protocol;
        put16(frame, at + IPV6_HEADER_BYTES + 2, offset | (more ? 1 : 0));
        put32(frame, at + IPV6_HEADER_BYTES + 4, id);
      }
    }
    frame.set(part, at + headerBytes + fragmentHeader);
    frames.push(frame);
    if (whole) break;
  }
  return frames;
}
