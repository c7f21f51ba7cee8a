/**
 * PDUs of the graphics pipeline. Source: [MS-RDPEGFX] 2.2.1 (header), 2.2.2 (messages), 2.2.3 (capabilities),
 * 2.2.5 (RDP8 bulk data).
 * Not modelled: caches, surface to surface, scaled output, other pixel formats than XRGB; bulk data is not compressed,
 * since what is in it is compressed already.
 */
import { PduError, PduReader, PduWriter } from './bytes.ts';

/** 2.2.1.5, cmdId. */
const COMMAND = {
  wireToSurface1: 0x01,
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
export const PIPELINE_CODEC = { uncompressed: 0x0, remoteFx: 0x3, planar: 0xa } as const;
const XRGB = 0x20;
const RESET_GRAPHICS_BYTES = 340;
const MONITOR_PRIMARY = 1;
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

/** The best set that is known here. */
export function chooseCapabilities(sets: readonly PipelineCapabilities[]): PipelineCapabilities | undefined {
  const rank = ({ version }: PipelineCapabilities): number => VERSIONS.indexOf(version);
  return sets.filter((set) => rank(set) >= 0).sort((a, b) => rank(b) - rank(a))[0];
}

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

  /** One monitor of this size. */
  reset(width: number, height: number): this {
    return this.#pdu(COMMAND.resetGraphics, RESET_GRAPHICS_BYTES - 8, (w) => {
      w.u32(width).u32(height).u32(1);
      w.u32(0)
        .u32(0)
        .u32(width - 1)
        .u32(height - 1)
        .u32(MONITOR_PRIMARY);
      return w.zeros(RESET_GRAPHICS_BYTES - 8 - 32);
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
  bitmap(
    id: number,
    codec: number,
    { x, y, width, height }: { x: number; y: number; width: number; height: number },
    data: Uint8Array,
  ): this {
    return this.#pdu(COMMAND.wireToSurface1, 17 + data.length, (w) =>
      w
        .u16(id)
        .u16(codec)
        .u8(XRGB)
        .u16(x)
        .u16(y)
        .u16(x + width)
        .u16(y + height)
        .u32(data.length)
        .bytes(data),
    );
  }

  /** The message, as the channel carries it. */
  done(): Uint8Array {
    return encodeBulk(this.#w.done());
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

const SEGMENT = { single: 0xe0, multipart: 0xe1 } as const;
/** Type RDP8, not compressed. */
const RDP8 = 0x04;
const MAX_SEGMENT = 65_535;

/** 2.2.5.1: RDP_SEGMENTED_DATA. */
function encodeBulk(data: Uint8Array): Uint8Array {
  if (data.length <= MAX_SEGMENT) {
    return new PduWriter(2 + data.length).u8(SEGMENT.single).u8(RDP8).bytes(data).done();
  }
  const count = Math.ceil(data.length / MAX_SEGMENT);
  const w = new PduWriter(7 + count * 5 + data.length).u8(SEGMENT.multipart).u16(count).u32(data.length);
  for (let at = 0; at < data.length; at += MAX_SEGMENT) {
    const part = data.subarray(at, at + MAX_SEGMENT);
    w.u32(1 + part.length)
      .u8(RDP8)
      .bytes(part);
  }
  return w.done();
}
