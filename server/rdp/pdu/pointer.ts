/** Pointer updates. Source: [MS-RDPBCGR] 2.2.9.1.1.4 (slow path), 2.2.9.1.2.1.5 to .9 (fast path). */
import { PduWriter } from './bytes.ts';

/** A pointer as its update has it: rows from bottom to top, each padded to two bytes. */
export interface PointerBitmap {
  readonly hotX: number;
  readonly hotY: number;
  readonly width: number;
  readonly height: number;
  /** 24 (colour pointer) or 32 (new pointer, with alpha). */
  readonly bitsPerPixel: 24 | 32;
  readonly colours: Uint8Array;
  /** A bit a pixel: 1 lets what is below through. */
  readonly mask: Uint8Array;
}

/** 2.2.9.1.1.4.4: the body of a colour pointer update, and of a new pointer's behind its depth. */
export function encodePointerBitmap(pointer: PointerBitmap, cacheIndex: number): Uint8Array {
  const { hotX, hotY, width, height, bitsPerPixel, colours, mask } = pointer;
  const w = new PduWriter(17 + colours.length + mask.length);
  if (bitsPerPixel === 32) w.u16(bitsPerPixel);
  w.u16(cacheIndex).u16(hotX).u16(hotY).u16(width).u16(height);
  return w.u16(mask.length).u16(colours.length).bytes(colours).bytes(mask).u8(0).done();
}

export const encodeCachedPointer = (cacheIndex: number): Uint8Array => new PduWriter().u16(cacheIndex).done();

/** 2.2.9.1.1.4, messageType. */
export const POINTER_MESSAGE = { system: 1, color: 6, cached: 7, new: 8 } as const;
/** 2.2.9.1.1.4.3, systemPointerType. */
export const SYSTEM_POINTER = { hidden: 0, default: 0x7f00 } as const;

export const encodeSystemPointer = (type: number): Uint8Array => new PduWriter().u32(type).done();

/** A pointer update for the slow path. @param message of POINTER_MESSAGE */
export const encodePointerMessage = (message: number, body: Uint8Array): Uint8Array =>
  new PduWriter(4 + body.length).u16(message).u16(0).bytes(body).done();
