/** Bitmap and palette updates, alike on both paths. Source: [MS-RDPBCGR] 2.2.9.1.1.3.1.2 (bitmap), .1.1 (palette). */
import { PduWriter } from './bytes.ts';

const UPDATE = { bitmap: 1, palette: 2, synchronize: 3 } as const;
const COMPRESSED = 0x0001;
const NO_COMPRESSION_HEADER = 0x0400;
const COMPRESSION_HEADER_BYTES = 8;
const DATA_HEADER_BYTES = 18;

export interface BitmapData {
  /** Pixels from the left and top of the screen. */
  readonly x: number;
  readonly y: number;
  /** Of the part that is to be seen. */
  readonly width: number;
  readonly height: number;
  /** Of the bitmap: a multiple of 4. */
  readonly bitmapWidth: number;
  readonly bitsPerPixel: number;
  readonly isCompressed: boolean;
  /** Rows from bottom to top. */
  readonly data: Uint8Array;
}

/** Bytes that one rectangle takes in an update. */
export const bitmapDataBytes = (bitmap: BitmapData): number =>
  DATA_HEADER_BYTES + COMPRESSION_HEADER_BYTES + bitmap.data.length;

/** @param withHeaders the client wants a header in front of compressed data */
export function encodeBitmapUpdate(bitmaps: readonly BitmapData[], withHeaders: boolean): Uint8Array {
  const w = new PduWriter(4 + bitmaps.reduce((sum, one) => sum + bitmapDataBytes(one), 0));
  w.u16(UPDATE.bitmap).u16(bitmaps.length);
  for (const one of bitmaps) {
    const hasHeader = withHeaders && one.isCompressed;
    w.u16(one.x)
      .u16(one.y)
      .u16(one.x + one.width - 1)
      .u16(one.y + one.height - 1);
    w.u16(one.bitmapWidth).u16(one.height).u16(one.bitsPerPixel);
    w.u16(one.isCompressed ? COMPRESSED | (hasHeader ? 0 : NO_COMPRESSION_HEADER) : 0);
    w.u16(one.data.length + (hasHeader ? COMPRESSION_HEADER_BYTES : 0));
    if (hasHeader) {
      const rowBytes = one.bitmapWidth * Math.ceil(one.bitsPerPixel / 8);
      w.u16(0)
        .u16(one.data.length)
        .u16(rowBytes)
        .u16(rowBytes * one.height);
    }
    w.bytes(one.data);
  }
  return w.done();
}

/** @param colours 256 colours as 0xrrggbb */
export function encodePaletteUpdate(colours: readonly number[]): Uint8Array {
  const w = new PduWriter(8 + colours.length * 3).u16(UPDATE.palette).u16(0).u32(colours.length);
  for (const colour of colours)
    w.u8(colour >>> 16)
      .u8(colour >>> 8)
      .u8(colour);
  return w.done();
}

export const encodeSynchronizeUpdate = (): Uint8Array => new PduWriter().u16(UPDATE.synchronize).u16(0).done();
