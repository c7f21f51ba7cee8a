/** Fast-path headers, both ways. Source: [MS-RDPBCGR] 2.2.8.1.2 (input), 2.2.9.1.2 (output). */
import { PduReader, PduWriter } from './bytes.ts';
import { MAC_BYTES } from './security-header.ts';

/** Bits of the first byte's two highest. */
const ENCRYPTION = { secureChecksum: 1, encrypted: 2 } as const;
/** 2.2.9.1.2.1, updateCode. */
export const FAST_UPDATE = {
  bitmap: 1,
  palette: 2,
  synchronize: 3,
  surfaceCommands: 4,
  pointerHidden: 5,
  pointerDefault: 6,
  pointerPosition: 8,
  pointerColor: 9,
  pointerCached: 10,
  pointerNew: 11,
} as const;
const FRAGMENT = { single: 0, last: 1, first: 2, next: 3 } as const;
/** Payload of one packet: lengths have 15 bits, and some clients keep 16 KB for a packet. */
export const MAX_FRAGMENT_BYTES = 0x3f80;

export interface FastPathInputHeader {
  /** 0: the first byte behind the header has it. */
  readonly eventCount: number;
  /** 8 bytes; undefined: not encrypted. */
  readonly mac: Uint8Array | undefined;
  /** The MAC counts packets. */
  readonly isSalted: boolean;
  readonly body: PduReader;
}

/** @param packet whole. @throws PduError */
export function decodeFastPathInputHeader(packet: Uint8Array): FastPathInputHeader {
  const r = new PduReader(packet);
  const first = r.u8();
  if (r.u8() & 0x80) r.skip(1);
  const flags = first >>> 6;
  const mac = flags & ENCRYPTION.encrypted ? r.take(MAC_BYTES) : undefined;
  return { eventCount: (first >>> 2) & 0xf, mac, isSalted: (flags & ENCRYPTION.secureChecksum) !== 0, body: r };
}

/** An update, in as many parts as it takes. Each is the payload of one packet. */
export function encodeFastPathUpdates(code: number, body: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < body.length; at += MAX_FRAGMENT_BYTES) {
    const part = body.subarray(at, at + MAX_FRAGMENT_BYTES);
    const isLast = at + part.length >= body.length;
    const fragment = at === 0 ? (isLast ? FRAGMENT.single : FRAGMENT.first) : isLast ? FRAGMENT.last : FRAGMENT.next;
    const w = new PduWriter(3 + part.length).u8(code | (fragment << 4)).u16(part.length);
    parts.push(w.bytes(part).done());
  }
  return parts;
}

/** Packet around a payload. @param mac with encryption: of the payload, which is encrypted already */
export function encodeFastPathPacket(payload: Uint8Array, mac: Uint8Array | undefined): Uint8Array {
  const bytes = 3 + (mac?.length ?? 0) + payload.length;
  const w = new PduWriter(bytes).u8(mac ? ENCRYPTION.encrypted << 6 : 0).u16be(bytes | 0x8000);
  if (mac) w.bytes(mac);
  return w.bytes(payload).done();
}
