/**
 * Capability sets of the activation.
 * Source: [MS-RDPBCGR] 2.2.7 (sets); [MS-RDPEGDI] 2.2.1 (bitmap drawing flags); [MS-RDPRFX] 2.2.1 (codecs).
 */
import { PduError, type PduReader, PduWriter } from './bytes.ts';

const SET = {
  general: 1,
  bitmap: 2,
  order: 3,
  pointer: 8,
  share: 9,
  colorCache: 10,
  input: 13,
  font: 14,
  virtualChannel: 20,
  multifragmentUpdate: 26,
  largePointer: 27,
  surfaceCommands: 28,
  bitmapCodecs: 29,
  frameAcknowledge: 30,
} as const;
/** 2.2.7.1.1, extraFlags. */
export const GENERAL_EXTRA = { fastPathOutput: 1, autoReconnect: 8, noBitmapCompressionHeader: 0x400 } as const;
/** Long credentials and salted MACs as well. */
const GENERAL_OFFER =
  GENERAL_EXTRA.fastPathOutput | GENERAL_EXTRA.autoReconnect | GENERAL_EXTRA.noBitmapCompressionHeader | 0x4 | 0x10;
/** [MS-RDPEGDI] 2.2.1.1.1, drawingFlags. */
export const DRAWING = { dynamicColorFidelity: 2, subsampling: 4, skipAlpha: 8 } as const;
/** 2.2.7.1.6, inputFlags. */
const INPUT = { scancodes: 1, mouseX: 4, fastPath: 8, unicode: 0x10, fastPath2: 0x20, wheel: 0x100 } as const;
const INPUT_OFFER = INPUT.scancodes | INPUT.mouseX | INPUT.fastPath | INPUT.unicode | INPUT.fastPath2 | INPUT.wheel;
const INPUT_SET_BYTES = 88;
const ORDER_NEGOTIATES = 0x0002;
const ORDER_ZERO_BOUNDS = 0x0008;
const VIRTUAL_CHANNEL_CHUNK = 1600;
/** Bytes of a reassembled fast-path update. */
export const MULTIFRAGMENT_BYTES = 0x3f_0000;

export interface DisplaySettings {
  readonly width: number;
  readonly height: number;
  readonly bitsPerPixel: number;
}

/** What the server can, each with its header. */
export function encodeServerCapabilities(display: DisplaySettings): Uint8Array[] {
  const set = (type: number, body: PduWriter): Uint8Array => {
    const bytes = body.done();
    return new PduWriter(4 + bytes.length)
      .u16(type)
      .u16(4 + bytes.length)
      .bytes(bytes)
      .done();
  };
  const { width, height, bitsPerPixel } = display;
  const drawing = DRAWING.dynamicColorFidelity | DRAWING.subsampling | DRAWING.skipAlpha;
  return [
    set(SET.share, new PduWriter().u16(0).u16(0)),
    // Version 2.0; refresh rectangles and suppression of output are listened to.
    set(SET.general, new PduWriter().u16(1).u16(3).u16(0x200).u16(0).u16(0).u16(GENERAL_OFFER).zeros(6).u8(1).u8(1)),
    set(SET.virtualChannel, new PduWriter().u32(0).u32(VIRTUAL_CHANNEL_CHUNK)),
    set(
      SET.bitmap,
      new PduWriter()
        .u16(bitsPerPixel)
        .u16(1)
        .u16(1)
        .u16(1)
        .u16(width)
        .u16(height)
        .u16(0)
        .u16(1)
        .u16(1)
        .u8(0)
        .u8(drawing)
        .u16(1)
        .u16(0),
    ),
    set(SET.font, new PduWriter().u16(1).u16(0)),
    set(
      SET.order,
      new PduWriter(96)
        .zeros(16)
        .u32(0)
        .u16(1)
        .u16(20)
        .u16(0)
        .u16(1)
        .u16(0)
        .u16(ORDER_NEGOTIATES | ORDER_ZERO_BOUNDS)
        .zeros(32)
        .u16(0)
        .u16(0)
        .u32(0)
        .u32(230_400)
        .u16(0)
        .u16(0)
        .u16(0)
        .u16(0),
    ),
    set(SET.colorCache, new PduWriter().u16(6).u16(0)),
    set(SET.pointer, new PduWriter().u16(1).u16(25).u16(25)),
    // mstsc wants the whole 88 bytes.
    set(SET.input, new PduWriter().u16(INPUT_OFFER).zeros(INPUT_SET_BYTES - 4 - 2)),
    set(SET.multifragmentUpdate, new PduWriter().u32(MULTIFRAGMENT_BYTES)),
    set(SET.largePointer, new PduWriter().u16(1)),
    set(SET.surfaceCommands, new PduWriter().u32(SURFACE_COMMAND.setSurfaceBits | SURFACE_COMMAND.frameMarker).u32(0)),
    set(SET.bitmapCodecs, encodeCodecs()),
    set(SET.frameAcknowledge, new PduWriter().u32(0)),
  ];
}

/** 2.2.7.2.9, cmdFlags. */
export const SURFACE_COMMAND = { setSurfaceBits: 0x02, frameMarker: 0x10, streamSurfaceBits: 0x40 } as const;

/** CODEC_GUID_REMOTEFX {76772F12-BD72-4463-AFB3-B73C9C6F7886}, [MS-RDPBCGR] 2.2.7.2.10.1.1. */
const REMOTE_FX: readonly number[] = [
  ...[0x12, 0x2f, 0x77, 0x76, 0x72, 0xbd, 0x63, 0x44],
  ...[0xaf, 0xb3, 0xb7, 0x3c, 0x9c, 0x6f, 0x78, 0x86],
];

/** RemoteFX; a server's properties of it are 4 reserved bytes, its codec id is the client's to choose. */
function encodeCodecs(): PduWriter {
  return new PduWriter().u8(1).bytes(REMOTE_FX).u8(0).u16(4).u32(0);
}

/** What of a client's capabilities matters here. */
export interface ClientCapabilities {
  readonly fastPathOutput: boolean;
  readonly noBitmapCompressionHeader: boolean;
  readonly autoReconnect: boolean;
  /** 32-bit bitmaps may come without an alpha plane. */
  readonly skipAlpha: boolean;
  readonly bitsPerPixel: number;
  /** The client copes with a change of size. */
  readonly desktopResize: boolean;
  /** Longest fast-path update that it puts together, in bytes; 0: no fragments. */
  readonly multifragmentBytes: number;
  /** Bits of SURFACE_COMMAND. */
  readonly surfaceCommands: number;
  /** Id by which the client knows RemoteFX; undefined: it does not. */
  readonly remoteFxId: number | undefined;
  /** Pointers that it keeps: with alpha, and of 24 bits a pixel. */
  readonly newPointerCache: number;
  readonly colorPointerCache: number;
  /** Pointers may be larger than 32 x 32. */
  readonly largePointers: boolean;
  /** Frames that may be under way; undefined: it acknowledges none. */
  readonly framesInFlight: number | undefined;
}

/** @throws PduError */
export function decodeClientCapabilities(r: PduReader, count: number): ClientCapabilities {
  const found = {
    ...{ fastPathOutput: false, noBitmapCompressionHeader: false, skipAlpha: false, bitsPerPixel: 8 },
    ...{ autoReconnect: false, desktopResize: false, multifragmentBytes: 0, surfaceCommands: 0 },
    ...{ newPointerCache: 0, colorPointerCache: 0, largePointers: false },
    remoteFxId: undefined as number | undefined,
    framesInFlight: undefined as number | undefined,
  };
  for (let i = 0; i < count && r.remaining >= 4; i++) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new PduError('a capability set is too short', { type, length });
    const body = r.part(length - 4);
    if (type === SET.general) {
      body.skip(10);
      const extra = body.u16();
      found.fastPathOutput = (extra & GENERAL_EXTRA.fastPathOutput) !== 0;
      found.autoReconnect = (extra & GENERAL_EXTRA.autoReconnect) !== 0;
      found.noBitmapCompressionHeader = (extra & GENERAL_EXTRA.noBitmapCompressionHeader) !== 0;
    } else if (type === SET.bitmap) {
      found.bitsPerPixel = body.u16();
      body.skip(12);
      found.desktopResize = body.u16() !== 0;
      body.skip(3);
      found.skipAlpha = (body.u8() & DRAWING.skipAlpha) !== 0;
    } else if (type === SET.pointer) {
      body.skip(2);
      found.colorPointerCache = body.u16();
      // Clients from before there were any say nothing of pointers with another depth.
      if (body.remaining >= 2) found.newPointerCache = body.u16();
    } else if (type === SET.largePointer) found.largePointers = (body.u16() & 1) !== 0;
    else if (type === SET.multifragmentUpdate) found.multifragmentBytes = body.u32();
    else if (type === SET.surfaceCommands) found.surfaceCommands = body.u32();
    else if (type === SET.bitmapCodecs) found.remoteFxId = findRemoteFx(body);
    else if (type === SET.frameAcknowledge) found.framesInFlight = body.u32();
  }
  return found;
}

function findRemoteFx(r: PduReader): number | undefined {
  const count = r.u8();
  for (let i = 0; i < count; i++) {
    const guid = r.take(16);
    const id = r.u8();
    r.skip(r.u16());
    if (REMOTE_FX.every((byte, n) => guid[n] === byte)) return id;
  }
  return undefined;
}
