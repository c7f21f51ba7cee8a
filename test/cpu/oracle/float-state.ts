/** Random x87, MMX and SSE state of a case: the FXSAVE image in its record. Source: SDM Vol. 1, 10.5.1. */
import { FX, type Shape } from './layout.ts';
import type { Random } from './random.ts';

export function randomFloatState(r: Random, shape: Shape, given: Uint8Array, view: DataView): void {
  const { fx, ymm } = shape.given;
  const precision = r.pick([3, 3, 3, 2, 0]);
  const masks = r.oneIn(4) ? r.below(64) : 0x3f;
  const control = r.oneIn(3) ? 0x37f : 0x40 | masks | (precision << 8) | (r.below(4) << 10) | (r.oneIn(8) ? 0x1000 : 0);
  const exceptions = r.oneIn(4) ? r.below(128) : 0;
  // A pending exception stops all that waits for it.
  const flags = r.oneIn(6) ? exceptions : exceptions & (control | 0x40);
  const summary = flags & ~control & 0x3f ? 0x8080 : 0;
  const conditions = r.u32() & 0x4700;
  view.setUint16(fx + FX.control, control, true);
  view.setUint16(fx + FX.status, flags | summary | conditions | (r.below(8) << 11), true);
  given[fx + FX.tags] = r.pick([0xff, 0xff, 0xff, 0, r.u32() & 0xff, r.u32() & 0xff]);
  const standard = r.oneIn(2);
  const status = r.below(64);
  const mode = (r.below(4) << 13) | (r.oneIn(3) ? 0x8000 : 0) | (r.oneIn(3) ? 0x40 : 0);
  const mxcsr = standard ? 0x1f80 : mode | (r.oneIn(2) ? 0x1f80 : r.below(64) << 7) | status;
  view.setUint32(fx + FX.mxcsr, mxcsr, true);
  for (let i = 0; i < 8; i++) {
    const st = fx + FX.st + i * 16;
    r.fillExtended(given, st);
    // MMX registers hold anything.
    if (r.oneIn(3)) r.fill(given, st, 8);
  }
  for (let i = 0; i < shape.xmms; i++) {
    r.fill(given, fx + FX.xmm + i * 16, 16);
    r.fill(given, ymm + i * 16, 16);
  }
}
