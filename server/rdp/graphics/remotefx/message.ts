/** RemoteFX blocks in video mode. Source: [MS-RDPRFX] 2.2.2 (encode headers, frames, regions, tile sets). */
import type { Rect } from '#display/raster/rects.ts';
import { PduWriter } from '../../pdu/bytes.ts';
import { type EncodedTile, type Quantization, quantizationBytes } from './tile-encoder.ts';
import { TILE_SIZE } from './tile-module.ts';

const BLOCK = {
  sync: 0xccc0,
  codecVersions: 0xccc1,
  channels: 0xccc2,
  context: 0xccc3,
  frameBegin: 0xccc4,
  frameEnd: 0xccc5,
  region: 0xccc6,
  extension: 0xccc7,
} as const;
const REGION_TYPE = 0xcac1;
const TILE_SET = 0xcac2;
const TILE = 0xcac3;
const MAGIC = 0xcaccacca;
const VERSION_1_0 = 0x0100;
const ALL_CHANNELS = 0xff;
/** Irreversible colour transform, 5/3 wavelets, RLGR1, scalar quantization: where a context and a tile set have them. */
const CONTEXT_PROPERTIES = (1 << 3) | (1 << 5) | (1 << 9) | (1 << 13);
const TILE_SET_PROPERTIES = 1 | (1 << 4) | (1 << 6) | (1 << 10) | (1 << 14);

export interface PlacedTile {
  readonly column: number;
  readonly row: number;
  /** Made with the second of the frame's quantizations, colours with the third, not all with the first. */
  readonly isCoarse: boolean;
  readonly data: EncodedTile;
}

/** Bytes of a tile in a message. */
export const tileBytes = ({ data }: PlacedTile): number => 19 + data.y.length + data.cb.length + data.cr.length;

/** What comes once, in front of the first frame. */
export function encodeHeaders(width: number, height: number): Uint8Array {
  const w = new PduWriter();
  w.u16(BLOCK.sync).u32(12).u32(MAGIC).u16(VERSION_1_0);
  w.u16(BLOCK.codecVersions).u32(10).u8(1).u8(1).u16(VERSION_1_0);
  w.u16(BLOCK.channels).u32(12).u8(1).u8(0).u16(width).u16(height);
  w.u16(BLOCK.context).u32(13).u8(1).u8(ALL_CHANNELS).u8(0).u16(TILE_SIZE).u16(CONTEXT_PROPERTIES);
  return w.done();
}

export interface Frame {
  readonly index: number;
  /** Where the tiles show; the rest of them is not drawn. */
  readonly rects: readonly Rect[];
  readonly tiles: readonly PlacedTile[];
  readonly quantizations: readonly Quantization[];
}

export function encodeFrame({ index, rects, tiles, quantizations }: Frame): Uint8Array {
  const bytes = tiles.reduce((sum, tile) => sum + tileBytes(tile), 0);
  const w = new PduWriter(bytes + rects.length * 8 + 100);
  w.u16(BLOCK.frameBegin).u32(14).u8(1).u8(0).u32(index).u16(1);
  w.u16(BLOCK.region)
    .u32(15 + rects.length * 8)
    .u8(1)
    .u8(0)
    .u8(1)
    .u16(rects.length);
  for (const { x, y, width, height } of rects) w.u16(x).u16(y).u16(width).u16(height);
  w.u16(REGION_TYPE).u16(1);
  w.u16(BLOCK.extension)
    .u32(22 + quantizations.length * 5 + bytes)
    .u8(1)
    .u8(0)
    .u16(TILE_SET)
    .u16(0);
  w.u16(TILE_SET_PROPERTIES).u8(quantizations.length).u8(TILE_SIZE).u16(tiles.length).u32(bytes);
  for (const values of quantizations) w.bytes(quantizationBytes(values));
  for (const tile of tiles) {
    const { y, cb, cr } = tile.data;
    const [luma, chroma] = tile.isCoarse ? [1, 2] : [0, 0];
    w.u16(TILE).u32(tileBytes(tile)).u8(luma).u8(chroma).u8(chroma).u16(tile.column).u16(tile.row);
    w.u16(y.length).u16(cb.length).u16(cr.length).bytes(y).bytes(cb).bytes(cr);
  }
  return w.u16(BLOCK.frameEnd).u32(8).u8(1).u8(0).done();
}
