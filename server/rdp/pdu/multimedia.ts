/**
 * PDUs of the channels for multimedia that a client plays by itself (TSMF), as far as pictures of JPEG need them.
 * Source: [MS-RDPEV] 2.2; VIDEOINFOHEADER and BITMAPINFOHEADER of the Windows API.
 * Not modelled: sound, pausing and seeking, events of the client.
 */
import { PduError, PduReader, PduWriter } from './bytes.ts';
import type { Area } from './graphics-pipeline.ts';

/** [MS-RDPEXPS] 2.2.1, STREAM_ID_PROXY and STREAM_ID_STUB: whether an interface's number is of a request or of an answer. */
const MASK = { proxy: 0x4000_0000, stub: 0x8000_0000 } as const;
const INTERFACE = { server: 0, clientNotifications: 1, capabilities: 2 } as const;
/** FunctionId of what the server says (2.2.5), and of what the client does (2.2.4). */
const FUNCTION = {
  exchangeCapabilities: 0x100,
  setChannelParameters: 0x101,
  addStream: 0x102,
  onSample: 0x103,
  setVideoWindow: 0x104,
  onNewPresentation: 0x105,
  shutdownPresentation: 0x106,
  setTopology: 0x107,
  checkFormatSupport: 0x108,
  onPlaybackStarted: 0x109,
  onPlaybackStopped: 0x10b,
  updateGeometry: 0x114,
  removeStream: 0x115,
} as const;
const PLAYBACK_ACK = 0x100;
const INTERFACE_CAPABILITY_REQUEST = 0x100;
/** 2.2.6. */
const CAPABILITY = { version: 1, platforms: 2 } as const;
const VERSION_2 = 2;
/** 2.2.9 and 2.2.10: DirectShow, which has a decoder of JPEG wherever it is. */
const DIRECT_SHOW = 2;
const S_OK = 0;
/** 2.2.8, SampleExtensions: a key picture; to be shown when it comes. */
const SAMPLE = { cleanPoint: 0x01, noTimestamps: 0x80 } as const;
const SAMPLE_HEADER_BYTES = 36;
/** Of 100 ns: how much of a video a picture is, at 30 of them a second. */
const THROTTLE_TICKS = 333_333;
/** Of 100 ns in a millisecond. */
const TICKS = 10_000;

/** A GUID as it lies in memory: four characters in front of the rest that all such types share. */
const mediaGuid = (fourCharacters: string): number[] => [
  ...[0, 1, 2, 3].map((i) => fourCharacters.charCodeAt(i)),
  ...[0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71],
];
/** FORMAT_VideoInfo, {05589F80-C356-11CE-BF01-00AA0055595A}. */
const VIDEO_INFO = [0x80, 0x9f, 0x58, 0x05, 0x56, 0xc3, 0xce, 0x11, 0xbf, 0x01, 0, 0xaa, 0, 0x55, 0x59, 0x5a];
const VIDEO_INFO_BYTES = 88;
const MEDIA_TYPE_BYTES = 64 + VIDEO_INFO_BYTES;
const BITMAP_INFO_BYTES = 40;
/** Any window: there is one a presentation, and the screen, which is its parent. */
const [VIDEO_WINDOW, SCREEN_WINDOW] = [2, 1];
/** VideoWindowState: it is there, and there is something to show. */
const WINDOW_SHOWN = 0x1000;

/** Which presentation, 16 bytes. */
export type PresentationId = Uint8Array;

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

const request = (message: number, id: number): PduWriter =>
  new PduWriter()
    .u32(INTERFACE.server | MASK.proxy)
    .u32(message)
    .u32(id);

/** What a channel is opened with. */
export const encodeInterfaceCapabilities = (message: number): Uint8Array =>
  new PduWriter().u32(INTERFACE.capabilities).u32(message).u32(INTERFACE_CAPABILITY_REQUEST).u32(1).done();

/** @param stream 0: the channel that speaks of the presentation itself */
export const encodeChannelParameters = (message: number, id: PresentationId, stream: number): Uint8Array =>
  request(message, FUNCTION.setChannelParameters).bytes(id).u32(stream).done();

export function encodeMultimediaCapabilities(message: number): Uint8Array {
  const w = request(message, FUNCTION.exchangeCapabilities).u32(2);
  return w.u32(CAPABILITY.version).u32(4).u32(VERSION_2).u32(CAPABILITY.platforms).u32(4).u32(DIRECT_SHOW).done();
}

export const encodeNewPresentation = (message: number, id: PresentationId): Uint8Array =>
  request(message, FUNCTION.onNewPresentation).bytes(id).u32(DIRECT_SHOW).done();

export function encodeFormatCheck(message: number, size: PictureSize): Uint8Array {
  const w = request(message, FUNCTION.checkFormatSupport).u32(DIRECT_SHOW).u32(0);
  return writeMediaType(w, size).done();
}

export const encodeAddStream = (message: number, id: PresentationId, stream: number, size: PictureSize): Uint8Array =>
  writeMediaType(request(message, FUNCTION.addStream).bytes(id).u32(stream), size).done();

export const encodeTopology = (message: number, id: PresentationId): Uint8Array =>
  request(message, FUNCTION.setTopology).bytes(id).done();

export const encodeVideoWindow = (message: number, id: PresentationId): Uint8Array =>
  request(message, FUNCTION.setVideoWindow).bytes(id).u32(VIDEO_WINDOW).u32(0).u32(SCREEN_WINDOW).u32(0).done();

/** Where on the screen the video shows; all of it can be seen. */
export function encodeVideoGeometry(message: number, id: PresentationId, { x, y, width, height }: Area): Uint8Array {
  const w = request(message, FUNCTION.updateGeometry).bytes(id).u32(44);
  w.u32(VIDEO_WINDOW).u32(0).u32(WINDOW_SHOWN).u32(width).u32(height).u32(x).u32(y).zeros(8).u32(x).u32(y);
  // TS_RECT: top, left, bottom, right.
  return w.u32(16).u32(0).u32(0).u32(height).u32(width).done();
}

export const encodePlaybackStarted = (message: number, id: PresentationId): Uint8Array =>
  request(message, FUNCTION.onPlaybackStarted).bytes(id).zeros(12).done();

export const encodePlaybackStopped = (message: number, id: PresentationId): Uint8Array =>
  request(message, FUNCTION.onPlaybackStopped).bytes(id).done();

export const encodeRemoveStream = (message: number, id: PresentationId, stream: number): Uint8Array =>
  request(message, FUNCTION.removeStream).bytes(id).u32(stream).done();

export const encodeShutdown = (message: number, id: PresentationId): Uint8Array =>
  request(message, FUNCTION.shutdownPresentation).bytes(id).done();

/** @param atMs since the presentation began */
export function encodeSample(
  message: number,
  id: PresentationId,
  stream: number,
  atMs: number,
  data: Uint8Array,
): Uint8Array {
  const w = new PduWriter(96 + data.length)
    .u32(INTERFACE.server | MASK.proxy)
    .u32(message)
    .u32(FUNCTION.onSample);
  w.bytes(id)
    .u32(stream)
    .u32(SAMPLE_HEADER_BYTES + data.length);
  for (const ticks of [Math.round(atMs * TICKS), Math.round(atMs * TICKS) + THROTTLE_TICKS, THROTTLE_TICKS]) {
    w.u32(ticks).u32(Math.floor(ticks / 2 ** 32));
  }
  return w
    .u32(0)
    .u32(SAMPLE.cleanPoint | SAMPLE.noTimestamps)
    .u32(data.length)
    .bytes(data)
    .done();
}

/** Its length, and a TS_AM_MEDIA_TYPE (2.2.7): pictures of JPEG, each by itself. */
function writeMediaType(w: PduWriter, { width, height }: PictureSize): PduWriter {
  w.u32(MEDIA_TYPE_BYTES).bytes(mediaGuid('vids')).bytes(mediaGuid('MJPG')).zeros(12);
  w.bytes(VIDEO_INFO).u32(VIDEO_INFO_BYTES);
  // Where from and where to, bits a second and errors, which nobody knows, and how long a picture is shown.
  for (let i = 0; i < 2; i++) w.u32(0).u32(0).u32(width).u32(height);
  w.zeros(8).u32(THROTTLE_TICKS).u32(0);
  w.u32(BITMAP_INFO_BYTES).u32(width).u32(height).u16(1).u16(24).ascii('MJPG');
  return w.u32(width * height * 3).zeros(16);
}

export type MultimediaMessage =
  /** The answer to a request with this number, behind its header. */
  | { readonly kind: 'answer'; readonly message: number; readonly body: PduReader }
  /** A sample was shown. */
  | { readonly kind: 'played' };

/** @returns undefined: it says nothing that is known here. @throws PduError */
export function decodeMultimedia(bytes: Uint8Array): MultimediaMessage | undefined {
  const r = new PduReader(bytes);
  const face = r.u32();
  const message = r.u32();
  // What the capabilities of the interface are answered with has no mask.
  if ((face & MASK.stub) !== 0 || face === INTERFACE.capabilities) return { kind: 'answer', message, body: r };
  if (face !== (INTERFACE.clientNotifications | MASK.proxy) || r.u32() !== PLAYBACK_ACK) return undefined;
  // Stream, duration and size, as they were sent.
  r.skip(20);
  return { kind: 'played' };
}

/** The result of an answer that has nothing else behind `skipped` bytes. @throws PduError */
function isOk(body: PduReader, skipped: number): boolean {
  body.skip(skipped);
  return body.u32() === S_OK;
}

/** @throws PduError */
export const acceptsInterface = (body: PduReader): boolean => isOk(body, 4);

/** @throws PduError */
export function acceptsCapabilities(body: PduReader): boolean {
  const count = body.u32();
  if (count > 16) throw new PduError('a client has too many capabilities', { count });
  for (let i = 0; i < count; i++) {
    body.skip(4);
    body.skip(body.u32());
  }
  return isOk(body, 0);
}

/** FormatSupported, and on which platform. @throws PduError */
export const acceptsFormat = (body: PduReader): boolean => body.u32() === 1 && isOk(body, 4);

/** TopologyReady. @throws PduError */
export const acceptsTopology = (body: PduReader): boolean => body.u32() === 1 && isOk(body, 0);
