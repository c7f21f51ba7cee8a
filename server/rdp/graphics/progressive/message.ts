/** Blocks of progressive RemoteFX. Source: [MS-RDPEGFX] 2.2.4.2 (RFX_PROGRESSIVE_BITMAP_STREAM). */
import type { Rect } from '#display/raster/rects.ts';
import { PduWriter } from '../../pdu/bytes.ts';
import { TILE_SIZE } from '../remotefx/tile-module.ts';
import { SUBBAND_COUNT } from './extrapolated-transform.ts';
import { FIRST_PASS, FULL, type UpgradedPlane } from './progressive-tile.ts';

const BLOCK = {
  sync: 0xccc0,
  frameBegin: 0xccc1,
  frameEnd: 0xccc2,
  context: 0xccc3,
  region: 0xccc4,
  tileFirst: 0xccc6,
  tileUpgrade: 0xccc7,
} as const;
const MAGIC = 0xcaccacca;
const VERSION_1_0 = 0x0100;
const SUBBAND_DIFFING = 1;
const REDUCE_EXTRAPOLATE = 1;
/** progressiveQuality: the first of the region's qualities, and everything. */
const [FIRST_QUALITY, FULL_QUALITY] = [0, 0xff];

export type ProgressiveTile = { readonly column: number; readonly row: number } & (
  | { readonly kind: 'first'; readonly planes: readonly Uint8Array[] }
  | { readonly kind: 'upgrade'; readonly planes: readonly UpgradedPlane[] }
);

/** @param rects where the tiles show; the rest of them is not drawn */
export function encodeProgressive(
  frame: number,
  rects: readonly Rect[],
  tiles: readonly ProgressiveTile[],
): Uint8Array<ArrayBuffer> {
  const w = new PduWriter(32 * 1024);
  w.u16(BLOCK.sync).u32(12).u32(MAGIC).u16(VERSION_1_0);
  w.u16(BLOCK.context).u32(10).u8(0).u16(TILE_SIZE).u8(SUBBAND_DIFFING);
  w.u16(BLOCK.frameBegin).u32(12).u32(frame).u16(1);
  const start = w.length;
  w.u16(BLOCK.region).u32(0).u8(TILE_SIZE).u16(rects.length).u8(1).u8(1).u8(REDUCE_EXTRAPOLATE);
  w.u16(tiles.length).u32(0);
  const tilesSizeAt = w.length - 4;
  for (const { x, y, width, height } of rects) w.u16(x).u16(y).u16(width).u16(height);
  w.bytes(quantizationBytes(FULL)).u8(FIRST_QUALITY);
  for (let plane = 0; plane < 3; plane++) w.bytes(quantizationBytes(FIRST_PASS));
  const tilesAt = w.length;
  for (const tile of tiles) writeTile(tile, w);
  w.patch32(tilesSizeAt, w.length - tilesAt);
  w.patch32(start + 2, w.length - start);
  return w.u16(BLOCK.frameEnd).u32(6).done();
}

/** RFX_COMPONENT_CODEC_QUANT: from the lowest subband to the highest, two a byte; ours go the other way. */
function quantizationBytes(values: readonly number[]): number[] {
  // LL3, HL3, LH3, HH3, HL2, LH2, HH2, HL1, LH1, HH1.
  const order = [9, 6, 7, 8, 3, 4, 5, 0, 1, 2];
  const sorted = order.map((band) => values[band]);
  return Array.from({ length: SUBBAND_COUNT / 2 }, (_, i) => sorted[i * 2] | (sorted[i * 2 + 1] << 4));
}

function writeTile(tile: ProgressiveTile, w: PduWriter): void {
  const start = w.length;
  w.u16(tile.kind === 'first' ? BLOCK.tileFirst : BLOCK.tileUpgrade).u32(0);
  w.u8(0).u8(0).u8(0).u16(tile.column).u16(tile.row);
  if (tile.kind === 'first') {
    w.u8(0).u8(FIRST_QUALITY);
    for (const plane of tile.planes) w.u16(plane.length);
    w.u16(0);
    for (const plane of tile.planes) w.bytes(plane);
  } else {
    w.u8(FULL_QUALITY);
    for (const { srl, raw } of tile.planes) w.u16(srl.length).u16(raw.length);
    for (const { srl, raw } of tile.planes) w.bytes(srl).bytes(raw);
  }
  w.patch32(start + 2, w.length - start);
}
