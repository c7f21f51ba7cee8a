/**
 * Share control and share data PDUs: activation, finalization and the small ones of a running session.
 * Source: [MS-RDPBCGR] 2.2.8.1.1.1 (headers), 2.2.1.13 (activation), 2.2.1.14 to 2.2.1.22 (finalization), 2.2.2 (end),
 * 2.2.3 (deactivation), 2.2.5.1 (error info), 2.2.11 (output control).
 */
import { PduError, type PduReader, PduWriter } from './bytes.ts';

/** 2.2.8.1.1.1.1, pduType. */
export const SHARE_CONTROL = { demandActive: 1, confirmActive: 3, deactivateAll: 6, data: 7 } as const;
const PROTOCOL_VERSION = 0x10;
/** 2.2.8.1.1.1.2, pduType2. */
export const SHARE_DATA = {
  update: 0x02,
  control: 0x14,
  pointer: 0x1b,
  input: 0x1c,
  synchronize: 0x1f,
  refreshRect: 0x21,
  suppressOutput: 0x23,
  shutdownRequest: 0x24,
  shutdownDenied: 0x25,
  saveSessionInfo: 0x26,
  fontList: 0x27,
  fontMap: 0x28,
  persistentKeys: 0x2b,
  errorInfo: 0x2f,
  monitorLayout: 0x37,
  frameAcknowledge: 0x38,
} as const;
/** 2.2.1.15.1, action. */
export const CONTROL = { request: 1, granted: 2, detach: 3, cooperate: 4 } as const;
const STREAM_LOW = 1;
/** 2.2.5.1.1, codes used here. */
export const ERROR_INFO = {
  rpcInitiatedDisconnect: 0x01,
  disconnectedByOtherConnection: 0x05,
  serverDeniedConnection: 0x07,
  serverInsufficientPrivileges: 0x09,
} as const;

/** One share control PDU. Clients may put several into one packet. */
export interface ShareControl {
  /** Of SHARE_CONTROL. */
  readonly type: number;
  readonly body: PduReader;
}

/** @throws PduError */
export function decodeShareControl(r: PduReader): ShareControl {
  const length = r.u16();
  if (length < 6) throw new PduError('a share control PDU is too short', { length });
  const body = r.part(Math.min(length - 2, r.remaining));
  const type = body.u16() & 0xf;
  body.skip(2);
  return { type, body };
}

/** @param source MCS channel id of the sender. @param body what follows the header */
export function encodeShareControl(type: number, source: number, body: Uint8Array): Uint8Array {
  const w = new PduWriter(6 + body.length).u16(6 + body.length).u16(type | PROTOCOL_VERSION);
  return w.u16(source).bytes(body).done();
}

export interface ShareData {
  readonly shareId: number;
  /** Of SHARE_DATA. */
  readonly type: number;
  readonly body: PduReader;
}

/** @param r behind the share control header. @throws PduError when it is compressed, which no client was told it may */
export function decodeShareData(r: PduReader): ShareData {
  const shareId = r.u32();
  r.skip(4);
  const type = r.u8();
  const compression = r.u8();
  r.skip(2);
  if (compression & 0x20) throw new PduError('a client compresses what it must not', { type });
  return { shareId, type, body: r };
}

/** A share data PDU with its share control header. */
export function encodeShareData(type: number, shareId: number, source: number, body: Uint8Array): Uint8Array {
  const w = new PduWriter(12 + body.length).u32(shareId).u8(0).u8(STREAM_LOW);
  w.u16(12 + body.length)
    .u8(type)
    .u8(0)
    .u16(0)
    .bytes(body);
  return encodeShareControl(SHARE_CONTROL.data, source, w.done());
}

/** @param sets capability sets, each with its header */
export function encodeDemandActive(shareId: number, source: number, sets: readonly Uint8Array[]): Uint8Array {
  const w = new PduWriter(512);
  const bytes = sets.reduce((sum, set) => sum + set.length, 0);
  w.u32(shareId)
    .u16(4)
    .u16(4 + bytes)
    .ascii('RDP', 4)
    .u16(sets.length)
    .u16(0);
  for (const set of sets) w.bytes(set);
  return encodeShareControl(SHARE_CONTROL.demandActive, source, w.u32(0).done());
}

/** @param body behind the share control header. @returns a reader of the capability sets, and how many there are */
export function decodeConfirmActive(body: PduReader): { readonly count: number; readonly sets: PduReader } {
  body.skip(4 + 2);
  const sourceBytes = body.u16();
  const setBytes = body.u16();
  body.skip(sourceBytes);
  const sets = body.part(Math.min(setBytes, body.remaining));
  const count = sets.u16();
  sets.skip(2);
  return { count, sets };
}

export const encodeDeactivateAll = (shareId: number, source: number): Uint8Array =>
  encodeShareControl(SHARE_CONTROL.deactivateAll, source, new PduWriter().u32(shareId).u16(1).u8(0).done());

/** @param user MCS channel id of the receiver */
export const synchronizeBody = (user: number): Uint8Array => new PduWriter().u16(1).u16(user).done();

export const controlBody = (action: number, grantId: number, controlId: number): Uint8Array =>
  new PduWriter().u16(action).u16(grantId).u32(controlId).done();

/** Where a monitor lies on the client's desktop, in pixels. */
export interface MonitorBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** 2.2.12.1: the first one is the primary monitor. */
export function monitorLayoutBody(monitors: readonly MonitorBox[]): Uint8Array {
  const w = new PduWriter(4 + monitors.length * 20).u32(monitors.length);
  monitors.forEach(({ x, y, width, height }, i) => {
    w.u32(x)
      .u32(y)
      .u32(x + width - 1)
      .u32(y + height - 1)
      .u32(i === 0 ? 1 : 0);
  });
  return w.done();
}

/** First and last of a sequence of maps of nothing. */
export const fontMapBody = (): Uint8Array => new PduWriter().u16(0).u16(0).u16(3).u16(4).done();

export const errorInfoBody = (code: number): Uint8Array => new PduWriter().u32(code).done();

/** 2.2.10.1.1.4 with 2.2.4.2: what a client needs to come back. @param random 16 bytes */
export function reconnectCookieBody(logonId: number, random: Uint8Array): Uint8Array {
  const w = new PduWriter(620)
    .u32(INFO_LOGON_EXTENDED)
    .u16(2 + 4 + 4 + COOKIE_BYTES)
    .u32(HAS_COOKIE);
  return w.u32(COOKIE_BYTES).u32(COOKIE_BYTES).u32(1).u32(logonId).bytes(random).zeros(570).done();
}

const INFO_LOGON_EXTENDED = 3;
const HAS_COOKIE = 1;
const COOKIE_BYTES = 28;

/** 2.2.11.3.1: whether the client wants to see anything. */
export const decodeSuppressOutput = (body: PduReader): boolean => body.u8() !== 0;
