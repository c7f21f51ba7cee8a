/**
 * What a machine and a relay say to each other: one message in one WebSocket message, binary.
 *
 *   type 1, frames   u8 type | (u16 length | frame) ... one or more
 *   type 2, credit   u8 type | u32 bytes that the sender of this message can take in addition
 *   type 3, status   u8 type | UTF-8 JSON, at most 16 KiB: RelayStatus; from the relay only
 *   type 4, attach   u8 type | UTF-8 JSON, at most 16 KiB: RelayAttach; the machine's first message, and only that
 *   type 5, peer     u8 type | UTF-8 JSON, at most 16 KiB: PeerMessage
 *   type 6, change   u8 type | UTF-8 JSON, at most 16 KiB: what is to be different from now on; answered by a `note`
 *
 * Numbers are big-endian. A frame costs its length and two bytes of credit. Each side may send `FIRST_CREDIT` bytes
 * before it hears of more; one that sends more is cut off.
 */
import { put16, put32, u16, u32 } from './bytes.ts';
import { ETHERNET_HEADER_BYTES } from './ethernet.ts';

export const FIRST_CREDIT: number = 256 * 1024;
/** Longest message, and frame. */
export const MOST_MESSAGE_BYTES: number = 64 * 1024;
export const MOST_RELAY_FRAME_BYTES = 16_384;
const MOST_JSON_BYTES = 16 * 1024;
const TYPE = { frames: 1, credit: 2, status: 3, attach: 4, peer: 5, change: 6 } as const;

/** The first thing a relay says, and what it says when it cannot go on. */
export type RelayStatus =
  | { readonly kind: 'attached'; readonly network: string }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** How a change went; '': well. The connection goes on. */
  | { readonly kind: 'note'; readonly message: string };

/**
 * How cards of an internal network come to send frames to each other without the relay. Peers are the relay's numbers.
 *
 *   relay  -> both       meet     one of them begins
 *   either -> other      signal   what WebRTC has to say, through the relay
 *   either -> relay      direct   frames to the peer go directly from now on, or no longer
 *   relay  -> other      part     the peer is gone, or may no longer be met
 *
 * Once both say `direct`, the relay's switch passes nothing between them.
 */
export type PeerMessage =
  | {
      readonly kind: 'meet';
      readonly peer: number;
      readonly isInitiator: boolean;
      /** The only source that its frames may have, 12 hexadecimal digits; null: any. */
      readonly mac: string | null;
    }
  | { readonly kind: 'signal'; readonly peer: number; readonly data: unknown }
  | { readonly kind: 'direct'; readonly peer: number; readonly on: boolean }
  | { readonly kind: 'part'; readonly peer: number };

export type RelayMessage =
  | { readonly kind: 'frames'; readonly frames: readonly Uint8Array[]; readonly cost: number }
  | { readonly kind: 'credit'; readonly bytes: number }
  | { readonly kind: 'status'; readonly status: RelayStatus }
  /** As it came: whoever takes it checks it. */
  | { readonly kind: 'attach'; readonly request: unknown }
  | { readonly kind: 'peer'; readonly message: PeerMessage }
  /** As it came. */
  | { readonly kind: 'change'; readonly request: unknown };

/** What a frame costs. */
export const frameCost = (frame: Uint8Array): number => 2 + frame.length;

export function encodeFrames(frames: readonly Uint8Array[]): Uint8Array {
  const b = new Uint8Array(frames.reduce((sum, frame) => sum + frameCost(frame), 1));
  b[0] = TYPE.frames;
  let at = 1;
  for (const frame of frames) {
    put16(b, at, frame.length);
    b.set(frame, at + 2);
    at += frameCost(frame);
  }
  return b;
}

export function encodeCredit(bytes: number): Uint8Array {
  const b = new Uint8Array(5);
  b[0] = TYPE.credit;
  put32(b, 1, bytes);
  return b;
}

/** @param json of a `RelayStatus`, as UTF-8 */
export const encodeStatus = (json: Uint8Array): Uint8Array => withType(TYPE.status, json);

/** @param json of what the card is to be attached to, as UTF-8 */
export const encodeAttach = (json: Uint8Array): Uint8Array => withType(TYPE.attach, json);

/** @param json of a `PeerMessage`, as UTF-8 */
export const encodePeer = (json: Uint8Array): Uint8Array => withType(TYPE.peer, json);

/** @param json of what is to change, as UTF-8 */
export const encodeChange = (json: Uint8Array): Uint8Array => withType(TYPE.change, json);

function withType(type: number, json: Uint8Array): Uint8Array {
  const b = new Uint8Array(1 + json.length);
  b[0] = type;
  b.set(json, 1);
  return b;
}

/**
 * @param readText turns UTF-8 into text
 * @returns undefined when it is no message; frames are views
 */
export function decodeRelay(b: Uint8Array, readText: (bytes: Uint8Array) => string): RelayMessage | undefined {
  if (b.length < 2 || MOST_MESSAGE_BYTES < b.length) return undefined;
  switch (b[0]) {
    case TYPE.frames:
      return decodeFrames(b);
    case TYPE.credit:
      return b.length === 5 ? { kind: 'credit', bytes: u32(b, 1) } : undefined;
    case TYPE.status: {
      const status = parseStatus(parseJson(b, readText));
      return status && { kind: 'status', status };
    }
    case TYPE.attach:
    case TYPE.change: {
      const request = parseJson(b, readText);
      const kind = b[0] === TYPE.attach ? 'attach' : 'change';
      return request === undefined ? undefined : { kind, request };
    }
    case TYPE.peer: {
      const message = parsePeer(parseJson(b, readText));
      return message && { kind: 'peer', message };
    }
    default:
      return undefined;
  }
}

function decodeFrames(b: Uint8Array): RelayMessage | undefined {
  const frames: Uint8Array[] = [];
  for (let at = 1; at < b.length; ) {
    if (b.length < at + 2) return undefined;
    const bytes = u16(b, at);
    if (bytes < ETHERNET_HEADER_BYTES || MOST_RELAY_FRAME_BYTES < bytes || b.length < at + 2 + bytes) return undefined;
    frames.push(b.subarray(at + 2, at + 2 + bytes));
    at += 2 + bytes;
  }
  return { kind: 'frames', frames, cost: b.length - 1 };
}

function parseJson(b: Uint8Array, readText: (bytes: Uint8Array) => string): unknown {
  if (b.length > MOST_JSON_BYTES) return undefined;
  try {
    return JSON.parse(readText(b.subarray(1)));
  } catch {
    return undefined;
  }
}

function parseStatus(value: unknown): RelayStatus | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, network, code, message } = value as Readonly<Record<string, unknown>>;
  if (kind === 'attached' && typeof network === 'string') return { kind, network };
  if (kind === 'note' && typeof message === 'string') return { kind, message };
  if (kind === 'refused' && typeof code === 'string' && typeof message === 'string') return { kind, code, message };
  return undefined;
}

function parsePeer(value: unknown): PeerMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, peer, isInitiator, mac, data, on } = value as Readonly<Record<string, unknown>>;
  if (typeof peer !== 'number' || !Number.isSafeInteger(peer) || peer < 0) return undefined;
  if (kind === 'part') return { kind, peer };
  if (kind === 'direct' && typeof on === 'boolean') return { kind, peer, on };
  if (kind === 'signal' && data !== undefined) return { kind, peer, data };
  const isAddress = mac === null || (typeof mac === 'string' && /^[0-9A-F]{12}$/.test(mac));
  if (kind === 'meet' && typeof isInitiator === 'boolean' && isAddress) return { kind, peer, isInitiator, mac };
  return undefined;
}
