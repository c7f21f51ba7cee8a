/**
 * PDUs of the graphics pipeline. Source: [MS-RDPEGFX] 2.2.1 (header), 2.2.2 (messages), 2.2.3 (capabilities).
 * Not modelled: bitmap caches (bulk compression finds what repeats), scaled output, other pixel formats than XRGB.
 */
import { PduError, PduReader, PduWriter } from './bytes.ts';
import { type MonitorBox, monitorLayoutBody } from './share.ts';

/** 2.2.1.5, cmdId. */
const COMMAND = {
  wireToSurface1: 0x01,
  wireToSurface2: 0x02,
  solidFill: 0x04,
  surfaceToSurface: 0x05,
  createSurface: 0x09,
  deleteSurface: 0x0a,
  startFrame: 0x0b,
  endFrame: 0x0c,
  frameAcknowledge: 0x0d,
  resetGraphics: 0x0e,
  mapSurfaceToOutput: 0x0f,
  capsAdvertise: 0x12,
  capsConfirm: 0x13,
} as const;
/** 2.2.2.1, codecId. */
export const PIPELINE_CODEC = { uncompressed: 0x0, remoteFx: 0x3, clear: 0x8, planar: 0xa, avc420: 0xb } as const;
const PROGRESSIVE = 0x9;
const XRGB = 0x20;
const RESET_GRAPHICS_BYTES = 340;
const MAX_CAPABILITY_SETS = 64;
/** queueDepth of a client that does not want to acknowledge. */
const SUSPENDED = 0xffff_ffff;
/** 2.2.3: versions 8.0 to 10.7; each later one has what the earlier ones have. */
const VERSIONS: readonly number[] = [
  ...[0x0008_0004, 0x0008_0105, 0x000a_0002, 0x000a_0100, 0x000a_0200, 0x000a_0301],
  ...[0x000a_0400, 0x000a_0502, 0x000a_0600, 0x000a_0701],
];

export interface PipelineCapabilities {
  readonly version: number;
  readonly data: Uint8Array;
}

export type PipelineMessage =
  | { readonly kind: 'capabilities'; readonly sets: readonly PipelineCapabilities[] }
  /** `isSuspended`: no more of these will come. */
  | { readonly kind: 'acknowledge'; readonly frame: number; readonly isSuspended: boolean };

/** What a client has sent; kinds that ask for nothing are left out. @throws PduError */
export function decodePipelineMessages(message: Uint8Array): PipelineMessage[] {
  const r = new PduReader(message);
  const found: PipelineMessage[] = [];
  while (r.remaining > 0) {
    const command = r.u16();
    r.skip(2);
    const length = r.u32();
    if (length < 8) throw new PduError('a PDU of the graphics pipeline is too short', { command, length });
    const body = r.part(length - 8);
    if (command === COMMAND.capsAdvertise) found.push({ kind: 'capabilities', sets: decodeCapabilities(body) });
    else if (command === COMMAND.frameAcknowledge) {
      const isSuspended = body.u32() === SUSPENDED;
      found.push({ kind: 'acknowledge', frame: body.u32(), isSuspended });
    }
  }
  return found;
}

function decodeCapabilities(r: PduReader): PipelineCapabilities[] {
  const count = r.u16();
  if (count > MAX_CAPABILITY_SETS) throw new PduError('a client has too many versions', { count });
  return Array.from({ length: count }, () => {
    const version = r.u32();
    return { version, data: r.take(r.u32()) };
  });
}

/** 2.2.3: what flags of a set mean, and the versions from which on H.264 is there unless they say otherwise. */
const [AVC420_ENABLED, AVC_DISABLED] = [0x10, 0x20];
const [VERSION_8_1, VERSION_10] = [0x0008_0105, 0x000a_0002];

/** The client can show H.264. */
export function hasAvc420({ version, data }: PipelineCapabilities): boolean {
  const flags = data[0] ?? 0;
  if (version === VERSION_8_1) return (flags & AVC420_ENABLED) !== 0;
  return version >= VERSION_10 && (flags & AVC_DISABLED) === 0;
}

/** The best set that is known here. */
export function chooseCapabilities(sets: readonly PipelineCapabilities[]): PipelineCapabilities | undefined {
  const rank = ({ version }: PipelineCapabilities): number => VERSIONS.indexOf(version);
  return sets.filter((set) => rank(set) >= 0).sort((a, b) => rank(b) - rank(a))[0];
}

/** A part of a surface, in pixels. */
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Told to clients, who only show it: quantization and quality, whatever the coder took. */
const [AVC_QP, AVC_QUALITY] = [22, 100];

/** RDPGFX_RECT16: the last two are exclusive. */
const writeArea = (w: PduWriter, { x, y, width, height }: Area): PduWriter =>
  w
    .u16(x)
    .u16(y)
    .u16(x + width)
    .u16(y + height);

/** Writes several PDUs of the pipeline into one message. */
export class PipelineWriter {
  readonly #w: PduWriter;

  /** @param capacity bytes that are likely to be enough */
  constructor(capacity = 512) {
    this.#w = new PduWriter(capacity);
  }

  confirm({ version, data }: PipelineCapabilities): this {
    return this.#pdu(COMMAND.capsConfirm, 8 + data.length, (w) => w.u32(version).u32(data.length).bytes(data));
  }

  /** @param monitors where they lie in a picture of this size, at most 16; none: there is one that shows all of it */
  reset(width: number, height: number, monitors: readonly MonitorBox[] = []): this {
    const shown = monitors.length > 0 ? monitors : [{ x: 0, y: 0, width, height }];
    return this.#pdu(COMMAND.resetGraphics, RESET_GRAPHICS_BYTES - 8, (w) => {
      const layout = monitorLayoutBody(shown);
      return w
        .u32(width)
        .u32(height)
        .bytes(layout)
        .zeros(RESET_GRAPHICS_BYTES - 16 - layout.length);
    });
  }

  createSurface(id: number, width: number, height: number): this {
    return this.#pdu(COMMAND.createSurface, 7, (w) => w.u16(id).u16(width).u16(height).u8(XRGB));
  }

  mapToOutput(id: number): this {
    return this.#pdu(COMMAND.mapSurfaceToOutput, 12, (w) => w.u16(id).u16(0).u32(0).u32(0));
  }

  deleteSurface(id: number): this {
    return this.#pdu(COMMAND.deleteSurface, 2, (w) => w.u16(id));
  }

  startFrame(frame: number): this {
    return this.#pdu(COMMAND.startFrame, 8, (w) => w.u32(0).u32(frame));
  }

  endFrame(frame: number): this {
    return this.#pdu(COMMAND.endFrame, 4, (w) => w.u32(frame));
  }

  /** @param codec of PIPELINE_CODEC */
  bitmap(id: number, codec: number, area: Area, data: Uint8Array): this {
    return this.#pdu(COMMAND.wireToSurface1, 17 + data.length, (w) =>
      writeArea(w.u16(id).u16(codec).u8(XRGB), area).u32(data.length).bytes(data),
    );
  }

  /** @param data of progressive RemoteFX, which says itself where it goes */
  progressive(id: number, data: Uint8Array): this {
    return this.#pdu(COMMAND.wireToSurface2, 13 + data.length, (w) =>
      w.u16(id).u16(PROGRESSIVE).u32(0).u8(XRGB).u32(data.length).bytes(data),
    );
  }

  /** @param colour 0xrrggbb */
  fill(id: number, colour: number, areas: readonly Area[]): this {
    return this.#pdu(COMMAND.solidFill, 8 + areas.length * 8, (w) => {
      w.u16(id).u32(colour).u16(areas.length);
      for (const area of areas) writeArea(w, area);
      return w;
    });
  }

  /** Inside one surface the areas may overlap. @param x, y where the upper left corner goes */
  copy(from: number, area: Area, to: number, x: number, y: number): this {
    return this.#pdu(COMMAND.surfaceToSurface, 18, (w) => writeArea(w.u16(from).u16(to), area).u16(1).u16(x).u16(y));
  }

  /** @param picture one of H.264, Annex B, that covers the surface. See 2.2.4.4 (RFX_AVC420_BITMAP_STREAM). */
  avc420(id: number, area: Area, picture: Uint8Array): this {
    const w = new PduWriter(14 + picture.length).u32(1);
    writeArea(w, area).u8(AVC_QP).u8(AVC_QUALITY).bytes(picture);
    return this.bitmap(id, PIPELINE_CODEC.avc420, area, w.done());
  }

  /** @param other its PDUs, behind these */
  append(other: PipelineWriter): this {
    this.#w.bytes(other.done());
    return this;
  }

  /** Bytes so far. */
  get length(): number {
    return this.#w.length;
  }

  /** The PDUs, to be put into bulk data. */
  done(): Uint8Array {
    return this.#w.done();
  }

  #pdu(command: number, bodyBytes: number, body: (w: PduWriter) => PduWriter): this {
    body(
      this.#w
        .u16(command)
        .u16(0)
        .u32(8 + bodyBytes),
    );
    return this;
  }
}
