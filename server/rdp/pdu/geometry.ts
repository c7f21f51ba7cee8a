/**
 * PDUs that tell a client where something shows that it draws by itself.
 * Source: [MS-RDPEGT] 2.2.1; RGNDATA of the Windows API.
 */
import { PduWriter } from './bytes.ts';
import type { Area } from './graphics-pipeline.ts';

const VERSION = 1;
/** UpdateType. */
const UPDATE = { update: 1, clear: 2 } as const;
const REGION = 2;
const REGION_HEADER_BYTES = 32;
const RECTANGLES = 1;
/** One rectangle: the bounds, and the rectangle itself. */
const REGION_BYTES = REGION_HEADER_BYTES + 16;
/** Without the byte behind the region, which is reserved. */
const BYTES = 72 + REGION_BYTES;

/**
 * Says where a rectangle is, or is by now.
 * @param id of the rectangle
 * @param topLevel the window that it is in
 * @param area in that window
 */
export const encodeGeometry = (id: number, topLevel: Area, area: Area): Uint8Array =>
  packet(id, UPDATE.update, topLevel, area);

/** The rectangle is no more. */
export const encodeGeometryEnd = (id: number, topLevel: Area, area: Area): Uint8Array =>
  packet(id, UPDATE.clear, topLevel, area);

function packet(id: number, type: number, topLevel: Area, area: Area): Uint8Array {
  const w = new PduWriter(BYTES + 1).u32(BYTES).u32(VERSION).u32(id).u32(0).u32(type).u32(0);
  // No window has a number here.
  w.zeros(8);
  box(w, area);
  box(w, topLevel);
  w.u32(REGION).u32(REGION_BYTES).u32(REGION_HEADER_BYTES).u32(RECTANGLES).u32(1).u32(0);
  for (let i = 0; i < 2; i++) box(w, { ...area, x: 0, y: 0 });
  return w.u8(0).done();
}

/** Left, top, and right, bottom, which are exclusive. */
const box = (w: PduWriter, { x, y, width, height }: Area): PduWriter =>
  w
    .u32(x)
    .u32(y)
    .u32(x + width)
    .u32(y + height);
