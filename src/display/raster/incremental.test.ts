/** Whatever a guest does between two frames, drawing what changed gives the same picture as drawing everything. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISPI } from '#emu/devices/video/dispi.ts';
import { MODE_03, MODE_04, MODE_12, MODE_13, MODE_X, type VgaRig, vgaRig } from '#emu/devices/video/vga-modes.suite.ts';
import { Rasteriser } from './rasteriser.ts';

const VRAM_BYTES = 1024 * 1024;
const MODES = [MODE_03, MODE_04, MODE_12, MODE_13, MODE_X];

type Step = (rig: VgaRig) => void;
const byte = fc.nat(255);

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(0x1ffff), byte).map(
      ([at, value]): Step =>
        (rig) =>
          rig.poke(at, value),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat(0x5_ffff), fc.integer({ min: 1, max: 9000 }), byte).map(
      ([at, count, value]): Step =>
        (rig) =>
          rig.linear(at, new Uint8Array(count).fill(value)),
    ),
  },
  fc.nat(MODES.length - 1).map(
    (mode): Step =>
      (rig) =>
        rig.setMode(MODES[mode]),
  ),
  fc
    .tuple(fc.constantFrom(4, 8, 15, 16, 24, 32), fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 300 }))
    .map(
      ([bpp, width, height]): Step =>
        (rig) => {
          rig.dispi(DISPI.enable, 0);
          rig.dispi(DISPI.xRes, width);
          rig.dispi(DISPI.yRes, height);
          rig.dispi(DISPI.bpp, bpp);
          rig.dispi(DISPI.enable, 0x81);
        },
    ),
  fc
    .tuple(fc.constantFrom(DISPI.bank, DISPI.virtWidth, DISPI.xOffset, DISPI.yOffset, DISPI.enable), fc.nat(0xffff))
    .map(
      ([index, value]): Step =>
        (rig) =>
          rig.dispi(index, value & (index === DISPI.enable ? 0xf1 : 0x7ff)),
    ),
  // Sizes stay as the mode set them, so that pictures stay small; everything else may change.
  fc.tuple(fc.constantFrom(8, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x13, 0x14, 0x17, 0x18), byte).map(
    ([index, value]): Step =>
      (rig) =>
        rig.indexed(0x3d4, index, value),
  ),
  fc.tuple(fc.nat(8), byte).map(
    ([index, value]): Step =>
      (rig) =>
        rig.indexed(0x3ce, index, value),
  ),
  fc.tuple(fc.integer({ min: 1, max: 4 }), byte).map(
    ([index, value]): Step =>
      (rig) =>
        rig.indexed(0x3c4, index, value),
  ),
  fc.tuple(fc.nat(0x14), byte).map(
    ([index, value]): Step =>
      (rig) =>
        rig.attribute(index, value),
  ),
  fc.tuple(byte, byte, byte, byte).map(
    ([index, r, g, b]): Step =>
      (rig) =>
        rig.setColours(index, r, g, b),
  ),
  fc.nat(1e9).map(
    (ns): Step =>
      (rig) =>
        rig.clock.advance(ns),
  ),
);

describe('incremental drawing', () => {
  it('equals drawing from nothing', () => {
    fc.assert(
      fc.property(
        fc.nat(MODES.length - 1),
        fc.array(fc.array(anyStep, { maxLength: 12 }), { minLength: 1, maxLength: 6 }),
        (mode, frames) => {
          const rig = vgaRig(VRAM_BYTES);
          for (let i = 0; i < VRAM_BYTES; i++) rig.vram[i] = Math.imul(i, 0x9e37_79b1) >>> 24;
          for (let i = 0; i < 256; i++) rig.setColours(i, i, i >> 2, i * 7);
          rig.setMode(MODES[mode]);
          const screen = new Rasteriser(rig.vram, rig.frame);
          for (const steps of frames) {
            for (const step of steps) step(rig);
            rig.vga.publish(rig.frame);
            const before = screen.pixels.slice();
            const rects = screen.render();
            const whole = new Rasteriser(rig.vram, rig.frame);
            whole.render();
            expect([screen.width, screen.height]).toEqual([whole.width, whole.height]);
            expect(firstDifference(screen.pixels, whole.pixels)).toBe(-1);
            // Nothing changed outside the rectangles that were reported.
            if (before.length !== screen.pixels.length) continue;
            for (const { x, y, width, height } of rects) {
              for (let line = y; line < y + height; line++) {
                const at = line * screen.width + x;
                before.set(screen.pixels.subarray(at, at + width), at);
              }
            }
            expect(firstDifference(screen.pixels, before)).toBe(-1);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

function firstDifference(a: Uint32Array, b: Uint32Array): number {
  if (a.length !== b.length) return 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return i;
  return -1;
}
