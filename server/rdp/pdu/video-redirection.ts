/**
 * PDUs of the channels for video that a client decodes by itself, and shows over its picture of the screen.
 * Source: [MS-RDPEVOR] 2.2.1.
 * Not modelled: samples in several packets, which dynamic channels cut up anyway; sound at the same pace.
 */
import { PduError, PduReader, PduWriter } from './bytes.ts';

/** 2.2.1.1, PacketType. */
const PACKET = { presentationRequest: 1, presentationResponse: 2, clientNotification: 3, videoData: 4 } as const;
const HEADER_BYTES = 8;
const VERSION = 1;
/** 2.2.1.2, Command. */
const COMMAND = { start: 1, stop: 2 } as const;
/** MFVideoFormat_H264, {34363248-0000-0010-8000-00AA00389B71}. */
const H264 = [0x48, 0x32, 0x36, 0x34, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
/** 2.2.1.4, NotificationType. */
const NOTIFICATION = { networkError: 1, frameRateOverride: 2 } as const;
/** 2.2.1.5, Flags. */
const RATE = { unrestricted: 1, override: 2 } as const;
const MOST_RATE = 30;
/** 2.2.1.6, Flags. */
const DATA = { hasTimestamps: 1, keyFrame: 2, newFrameRate: 4 } as const;
/** Of 100 ns in a millisecond. */
const TICKS = 10_000;

export interface Presentation {
  /** 1 to 255, of all that are under way. */
  readonly id: number;
  /** Of its geometry. */
  readonly mapping: number;
  readonly width: number;
  readonly height: number;
  /** Sequence and picture parameter sets, Annex B. */
  readonly parameterSets: Uint8Array;
}

export interface VideoSample {
  readonly presentation: number;
  /** Counts from 1. */
  readonly number: number;
  /** Milliseconds since the presentation began. */
  readonly atMs: number;
  readonly isKey: boolean;
  /** The first one since the client has said how many it would like. */
  readonly hasNewRate: boolean;
  /** Annex B. */
  readonly data: Uint8Array;
}

/** What a client says of a presentation. */
export type VideoNotice =
  /** It is ready for pictures. */
  | { readonly kind: 'accepted'; readonly presentation: number }
  /** It has lost something; pictures that build upon others are of no use to it. */
  | { readonly kind: 'lost'; readonly presentation: number }
  /** `most` pictures a second; undefined: as many as there are. */
  | { readonly kind: 'rate'; readonly presentation: number; readonly most: number | undefined };

export const encodePresentationStart = (presentation: Presentation): Uint8Array =>
  presentationRequest(COMMAND.start, presentation);

export const encodePresentationStop = (presentation: Presentation): Uint8Array =>
  presentationRequest(COMMAND.stop, { ...presentation, parameterSets: new Uint8Array(0) });

function presentationRequest(command: number, { id, mapping, width, height, parameterSets }: Presentation): Uint8Array {
  const w = header(PACKET.presentationRequest, 60 + parameterSets.length)
    .u8(id)
    .u8(VERSION)
    .u8(command);
  // Frame rate and bit rate, which are reserved.
  w.zeros(5).u32(width).u32(height).u32(width).u32(height);
  w.zeros(8).u32(mapping).u32(0).bytes(H264);
  return w.u32(parameterSets.length).bytes(parameterSets).done();
}

/** A whole picture in one packet. */
export function encodeVideoSample({ presentation, number, atMs, isKey, hasNewRate, data }: VideoSample): Uint8Array {
  const w = header(PACKET.videoData, 32 + data.length)
    .u8(presentation)
    .u8(VERSION);
  w.u8(DATA.hasTimestamps | (isKey ? DATA.keyFrame : 0) | (hasNewRate ? DATA.newFrameRate : 0)).u8(0);
  const ticks = Math.round(atMs * TICKS);
  w.u32(ticks).u32(Math.floor(ticks / 2 ** 32));
  // How long it shows nobody knows before the next one comes. Clients that add durations up would show that later.
  w.zeros(8);
  return w.u16(1).u16(1).u32(number).u32(data.length).bytes(data).done();
}

const header = (type: number, bytes: number): PduWriter =>
  new PduWriter(HEADER_BYTES + bytes).u32(HEADER_BYTES + bytes).u32(type);

/** @returns undefined: it says nothing that is known here. @throws PduError */
export function decodeVideoNotice(message: Uint8Array): VideoNotice | undefined {
  const r = new PduReader(message);
  const bytes = r.u32();
  if (bytes < HEADER_BYTES) throw new PduError('a PDU of a video is too short', { bytes });
  const body = r.part(bytes - 4);
  const type = body.u32();
  if (type !== PACKET.presentationResponse && type !== PACKET.clientNotification) return undefined;
  const presentation = body.u8();
  if (type === PACKET.presentationResponse) return { kind: 'accepted', presentation };
  const what = body.u8();
  body.skip(2);
  const data = body.part(body.u32());
  if (what === NOTIFICATION.networkError) return { kind: 'lost', presentation };
  if (what !== NOTIFICATION.frameRateOverride) return undefined;
  const flags = data.u32();
  const wanted = data.u32();
  if (flags & RATE.override) return { kind: 'rate', presentation, most: Math.min(Math.max(wanted, 1), MOST_RATE) };
  return flags & RATE.unrestricted ? { kind: 'rate', presentation, most: undefined } : undefined;
}

/** Nal units of the parameter sets: ITU-T H.264 table 7-1. */
const [SEQUENCE_PARAMETERS, PICTURE_PARAMETERS] = [7, 8];

/** The parameter sets at the beginning of a key picture, Annex B. */
export function parameterSetsOf(data: Uint8Array): Uint8Array {
  let from: number | undefined;
  for (let at = 0; at + 3 < data.length; at++) {
    if (data[at] !== 0 || data[at + 1] !== 0 || data[at + 2] !== 1) continue;
    const type = data[at + 3] & 31;
    const start = at > 0 && data[at - 1] === 0 ? at - 1 : at;
    if (type === SEQUENCE_PARAMETERS || type === PICTURE_PARAMETERS) from ??= start;
    else if (from !== undefined) return data.subarray(from, start);
    at += 3;
  }
  return data.subarray(from ?? data.length);
}
